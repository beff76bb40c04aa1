//! What a failed call of the SDK means: throttled, denied, absent, invalid, or no answer at all.
//!
//! The one place that knows AWS's error codes. A code that is not known is sorted by its HTTP status.

use std::fmt;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::{ErrorMetadata, ProvideErrorMetadata};
use aws_types::request_id::RequestId;

use crate::observe::Blind;
use crate::ports::PortError;
use crate::report::redact;

/// At most this many characters of AWS's own message go into a log line.
const MESSAGE_MAX: usize = 200;

/// What a failed call means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultKind {
    /// AWS asked for less load. The call was not carried out.
    Throttled,
    /// The role may not do it.
    Denied,
    /// AWS answered that there is no such thing.
    Absent,
    /// AWS answered that it will not do it: a wrong state, a wrong parameter.
    Invalid,
    /// No answer in time, a 5xx, a reset, an answer that cannot be read.
    Unavailable,
}

/// A failed call, ready for one line in the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Fault {
    /// What was called, as AWS spells it.
    pub operation: &'static str,
    /// What the failure means.
    pub kind: FaultKind,
    /// AWS's error code, where there is an answer.
    pub code: Option<String>,
    /// AWS's message, or what went wrong on the way; cut, and without secrets.
    pub message: String,
    /// AWS's request id, for a support case.
    pub request_id: Option<String>,
    /// Whether AWS itself answered that it refuses: then certainly nothing happened.
    pub refused: bool,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.operation, self.code.as_deref().unwrap_or(self.kind.as_str()))
    }
}

impl FaultKind {
    /// The word in the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::Denied => "denied",
            Self::Absent => "absent",
            Self::Invalid => "invalid",
            Self::Unavailable => "unavailable",
        }
    }

    /// Why a fact is unknown after such a failure. What is absent or invalid where it must not be counts as no answer.
    #[must_use]
    pub fn blind(self) -> Blind {
        match self {
            Self::Throttled => Blind::Throttled,
            Self::Denied => Blind::Denied,
            Self::Absent => Blind::Empty,
            Self::Invalid | Self::Unavailable => Blind::Unavailable,
        }
    }
}

impl Fault {
    /// Reads a failed call. Of the error that is the operation's own only code, message and request id count; so all operations
    /// share what follows, instead of bringing a copy each into the zip (docs/decisions/0076).
    pub fn of<E: ProvideErrorMetadata>(operation: &'static str, error: SdkError<E, HttpResponse>) -> Self {
        Self::read(operation, &error.map_service_error(|error| error.meta().clone()))
    }

    fn read(operation: &'static str, error: &SdkError<ErrorMetadata, HttpResponse>) -> Self {
        let status = error.raw_response().map(|response| response.status().as_u16());
        // Without a code it is not AWS that answered, or not all of its answer arrived.
        let code = error.code().map(ToOwned::to_owned);
        let kind = kind_of(code.as_deref(), status);
        let answered = matches!(error, SdkError::ServiceError(_)) && code.is_some();
        // Throttled is never carried out, also where EC2 says so with a 503.
        let client_error = kind != FaultKind::Unavailable && status.is_some_and(|status| (400..500).contains(&status));
        let refused = answered && (kind == FaultKind::Throttled || client_error);
        let message = error.message().map_or_else(|| causes(error), ToOwned::to_owned);
        Self {
            operation,
            kind,
            code: code.map(|code| redact::cut(&redact::ascii(&code), 80)),
            message: redact::cut(&redact::excerpt(&message), MESSAGE_MAX),
            // EC2 and its kin name it in the body, the others in a header.
            request_id: error.meta().extra("aws_request_id").or_else(|| error.request_id()).map(redact::ascii),
            refused,
        }
    }

    /// Logs the failure, once, where it is handled.
    pub fn tell(&self) {
        let code = self.code.as_deref().unwrap_or_default();
        let request = self.request_id.as_deref().unwrap_or_default();
        tracing::warn!(
            operation = self.operation,
            error.code = code,
            error.message = self.message,
            request.id = request,
            "a call of AWS failed: {}",
            self.kind.as_str()
        );
    }

    /// Why a fact is unknown after this; logs it.
    #[must_use]
    pub fn blind(&self) -> Blind {
        self.tell();
        self.kind.blind()
    }
}

impl From<Fault> for PortError {
    /// Logs the failure: whoever tries again does not know what it was.
    fn from(fault: Fault) -> Self {
        fault.tell();
        Self::Transient
    }
}

/// What went wrong, from the outermost cause to the innermost.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next.filter(|_| text.len() < MESSAGE_MAX) {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}

/// Sorts by AWS's code, and by the HTTP status where the code says nothing.
fn kind_of(code: Option<&str>, status: Option<u16>) -> FaultKind {
    // Query APIs prefix some codes with who is to blame: `Client.UnauthorizedOperation`.
    let code = code.map(|code| code.trim_start_matches("Client.").trim_start_matches("Server."));
    match code {
        Some(
            "Throttling"
            | "ThrottlingException"
            | "ThrottledException"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "RequestLimitExceeded"
            | "RateExceeded"
            | "TooManyRequestsException"
            | "EC2ThrottledException"
            | "BandwidthLimitExceeded"
            | "PriorRequestNotComplete"
            | "ProvisionedThroughputExceededException"
            | "SlowDown",
        ) => FaultKind::Throttled,
        // The function's own credentials are renewed by Lambda: what is expired now is not a moment later.
        Some("ExpiredToken" | "ExpiredTokenException" | "RequestExpired" | "RequestTimeout") => FaultKind::Unavailable,
        Some(
            "AccessDenied"
            | "AccessDeniedException"
            | "UnauthorizedOperation"
            | "UnauthorizedException"
            | "AuthFailure"
            | "OptInRequired"
            | "Blocked"
            | "PendingVerification"
            | "InvalidClientTokenId"
            | "UnrecognizedClientException"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException"
            | "IncompleteSignature"
            | "IncompleteSignatureException"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch",
        ) => FaultKind::Denied,
        Some(
            "InvalidInstanceID.NotFound"
            | "InvalidInstanceID.Malformed"
            | "InvalidInstanceId"
            | "InvocationDoesNotExist"
            | "InvalidCommandId"
            | "InvalidResourceId"
            | "ClusterNotFoundException"
            | "ServiceNotFoundException"
            | "NoSuchEntity"
            | "NoSuchEntityException"
            | "ParameterNotFound",
        ) => FaultKind::Absent,
        // Written with a 4xx by some services though it is their own fault.
        Some("InternalError" | "InternalFailure" | "InternalServerError" | "ServiceUnavailable" | "Unavailable") => {
            FaultKind::Unavailable
        }
        Some(_) | None => match status {
            Some(429) => FaultKind::Throttled,
            Some(403) => FaultKind::Denied,
            Some(400..=499) if code.is_some() => FaultKind::Invalid,
            Some(_) | None => FaultKind::Unavailable,
        },
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::operation::reboot_instances::RebootInstancesError;
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;

    use super::*;

    fn answered(status: u16, code: Option<&str>) -> Fault {
        let mut meta = ErrorMetadata::builder().message("token=abcdefghijklmnop, and more");
        if let Some(code) = code {
            meta = meta.code(code);
        }
        let raw = HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::empty());
        Fault::of("RebootInstances", SdkError::service_error(RebootInstancesError::generic(meta.build()), raw))
    }

    #[test]
    fn codes_are_sorted_before_the_status() {
        for (status, code, kind) in [
            (503, "RequestLimitExceeded", FaultKind::Throttled),
            (400, "ThrottlingException", FaultKind::Throttled),
            (403, "UnauthorizedOperation", FaultKind::Denied),
            (400, "AccessDeniedException", FaultKind::Denied),
            (400, "ExpiredTokenException", FaultKind::Unavailable),
            (400, "InvalidInstanceID.NotFound", FaultKind::Absent),
            (400, "IncorrectInstanceState", FaultKind::Invalid),
            (400, "SomethingNew", FaultKind::Invalid),
            (403, "SomethingNew", FaultKind::Denied),
            (429, "SomethingNew", FaultKind::Throttled),
            (500, "InternalError", FaultKind::Unavailable),
            (503, "Unavailable", FaultKind::Unavailable),
        ] {
            assert_eq!(answered(status, Some(code)).kind, kind, "{status} {code}");
        }
    }

    #[test]
    fn only_a_refusal_in_aws_s_own_words_proves_that_nothing_happened() {
        assert!(answered(400, Some("IncorrectInstanceState")).refused);
        assert!(answered(503, Some("RequestLimitExceeded")).refused, "what is throttled is not carried out");
        assert!(!answered(500, Some("InternalError")).refused);
        assert!(!answered(400, None).refused, "a proxy's page, or half an answer");
        let lost: SdkError<RebootInstancesError, HttpResponse> = SdkError::timeout_error("no answer");
        let lost = Fault::of("RebootInstances", lost);
        assert!(!lost.refused && lost.kind == FaultKind::Unavailable);
    }

    #[test]
    fn a_message_is_cut_and_without_secrets() {
        let fault = answered(400, Some("SomethingNew"));
        assert!(!fault.message.contains("abcdefghijklmnop"), "{}", fault.message);
        assert_eq!(fault.to_string(), "RebootInstances: SomethingNew");
    }
}
