//! How each protocol says that something went wrong.

use serde_json::json;

use super::Fault;
use super::http::{Request, Response};

/// How a service speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// awsJson: Systems Manager, ECS, DynamoDB, Step Functions.
    Json,
    /// EC2's own query protocol.
    Ec2,
    /// The query protocol: Auto Scaling, IAM, SNS.
    Query,
}

/// What is answered in the place of the service.
pub(super) fn told(request: &Request, fault: Fault) -> Response {
    let protocol = request.protocol;
    let by_protocol = |json, ec2, query| match protocol {
        Protocol::Json => json,
        Protocol::Ec2 => ec2,
        Protocol::Query => query,
    };
    let (status, code) = match fault {
        Fault::BadRequest => (400, by_protocol("ValidationException", "InvalidParameterValue", "ValidationError")),
        Fault::TooMany => (429, by_protocol("ThrottlingException", "RequestLimitExceeded", "Throttling")),
        Fault::Internal => (500, by_protocol("InternalServerError", "InternalError", "InternalFailure")),
        Fault::Busy => (503, by_protocol("ServiceUnavailable", "Unavailable", "ServiceUnavailable")),
        Fault::Denied if protocol == Protocol::Json => (400, "AccessDeniedException"),
        Fault::Denied => (403, by_protocol("", "UnauthorizedOperation", "AccessDenied")),
        Fault::Expired => (400, by_protocol("ExpiredTokenException", "RequestExpired", "ExpiredToken")),
        Fault::Page => return Response::text(403, "<html><body>Blocked by the proxy.</body></html>"),
        Fault::Empty => return empty(request),
        _ => return garbage(protocol),
    };
    error(protocol, status, code)
}

fn error(protocol: Protocol, status: u16, code: &str) -> Response {
    let id = "7a62c49f-347e-4fc4-9331-6e8eEXAMPLE";
    match protocol {
        Protocol::Json => Response::json_error(status, code, json!({ "message": "something went wrong" })),
        Protocol::Ec2 => Response::xml(
            status,
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>{code}</Code>\
                 <Message>something went wrong</Message></Error></Errors><RequestID>{id}</RequestID></Response>"
            ),
        ),
        Protocol::Query => Response::xml(
            status,
            format!(
                "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>something went wrong</Message>\
                 </Error><RequestId>{id}</RequestId></ErrorResponse>"
            ),
        ),
    }
}

/// Success, and nothing in it.
fn empty(request: &Request) -> Response {
    let operation = &request.operation;
    match request.protocol {
        Protocol::Json => Response::json(200, &json!({})),
        Protocol::Ec2 => Response::xml(200, format!("<{operation}Response></{operation}Response>")),
        Protocol::Query => Response::xml(
            200,
            format!("<{operation}Response><{operation}Result></{operation}Result></{operation}Response>"),
        ),
    }
}

/// Success, and a body that nobody can read.
fn garbage(protocol: Protocol) -> Response {
    match protocol {
        Protocol::Json => Response::new(200, "application/x-amz-json-1.1", "{\"Instance".to_owned()),
        Protocol::Ec2 | Protocol::Query => Response::xml(200, "<Half><a>1</b>"),
    }
}
