//! AWS's errors: the code that clients decide by, a message, and the HTTP status that belongs to it.

use std::borrow::Cow;

use super::protocol::Service;

/// Why an operation was refused, as AWS would say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AwsError {
    /// What clients decide by.
    pub code: Cow<'static, str>,
    /// For people.
    pub message: String,
    /// The HTTP status.
    pub status: u16,
}

impl AwsError {
    /// The caller's mistake: 400, which nearly every code has.
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code: Cow::Borrowed(code), message: message.into(), status: 400 }
    }

    /// With another HTTP status.
    pub(super) fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// A request without something that the operation needs.
    pub(super) fn missing(service: Service, field: &str) -> Self {
        match service {
            Service::Ssm => Self::new(
                "ValidationException",
                format!(
                    "1 validation error detected: Value null at '{field}' failed to satisfy constraint: Member must not be null"
                ),
            ),
            Service::Ecs => Self::new("InvalidParameterException", format!("{field} can not be blank.")),
            Service::Ec2 => Self::new("MissingParameter", format!("The request must contain the parameter {field}")),
            Service::AutoScaling | Service::Iam => Self::new(
                "ValidationError",
                format!(
                    "1 validation error detected: Value null at '{field}' failed to satisfy constraint: Member must not be null"
                ),
            ),
        }
    }

    /// A value that the operation does not allow.
    pub(super) fn invalid(service: Service, message: impl Into<String>) -> Self {
        Self::new(
            match service {
                Service::Ssm => "ValidationException",
                Service::Ecs => "InvalidParameterException",
                Service::Ec2 => "InvalidParameterValue",
                Service::AutoScaling | Service::Iam => "ValidationError",
            },
            message,
        )
    }

    /// Too many requests, in the words of each service.
    pub(super) fn throttled(service: Service) -> Self {
        match service {
            Service::Ssm | Service::Ecs => Self::new("ThrottlingException", "Rate exceeded"),
            Service::Ec2 => Self::new("RequestLimitExceeded", "Request limit exceeded.").with_status(503),
            Service::AutoScaling | Service::Iam => Self::new("Throttling", "Rate exceeded"),
        }
    }

    /// IAM said no, in the words of each service.
    pub(super) fn denied(service: Service, operation: &str) -> Self {
        let message = format!(
            "User: arn:aws:sts::111122223333:assumed-role/defib/defib is not authorized to perform: {}:{operation} because \
             no identity-based policy allows the {}:{operation} action",
            service.prefix(),
            service.prefix()
        );
        match service {
            Service::Ssm | Service::Ecs => Self::new("AccessDeniedException", message),
            Service::Ec2 => Self::new(
                "UnauthorizedOperation",
                format!("You are not authorized to perform this operation. {message}"),
            )
            .with_status(403),
            Service::AutoScaling | Service::Iam => Self::new("AccessDenied", message).with_status(403),
        }
    }

    /// The service itself failed, in the words of each service.
    pub(super) fn broken(service: Service) -> Self {
        let (code, message) = match service {
            Service::Ssm => ("InternalServerError", "An error occurred on the server side."),
            Service::Ecs => ("ServerException", "Service Unavailable. Please try again later."),
            Service::Ec2 => ("InternalError", "An internal error has occurred"),
            Service::AutoScaling => ("InternalFailure", "We encountered an internal error. Please try again."),
            Service::Iam => ("ServiceFailure", "The request processing has failed because of an unknown error."),
        };
        Self::new(code, message).with_status(500)
    }
}
