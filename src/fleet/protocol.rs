//! From bytes to an operation, and from its answer back to bytes.
//!
//! One port serves all: awsJson 1.1 names its service in `X-Amz-Target`, the query protocol by the `Version` in the form.

use serde_json::{Map, Value, json};

use super::calls::Injected;
use super::error::AwsError;
use super::input::{Body, Form, shown};
use super::xml::{self, Lists};
use super::{Answered, Fleet, auto_scaling, ec2, ecs, iam, ssm};

/// So many characters of what a call asked for are kept.
const ASKED_MAX: usize = 300;

/// A request as it came in.
#[derive(Debug, Clone, Copy, Default)]
pub struct Request<'a> {
    /// `GET`, `POST`, ….
    pub method: &'a str,
    /// The path, without the query.
    pub path: &'a str,
    /// The query, without its question mark; empty when there is none.
    pub query: &'a str,
    /// The header `X-Amz-Target`.
    pub target: Option<&'a str>,
    /// The body.
    pub body: &'a [u8],
}

/// What goes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
    /// How long it is held back.
    pub pause: Pause,
}

/// How long an answer is held back: a fault that somebody injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// It goes out at once.
    None,
    /// It goes out after so many seconds.
    Secs(u64),
    /// It never goes out; the connection stays open until the client gives up.
    Forever,
}

/// A service behind the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Service {
    Ssm,
    Ecs,
    Ec2,
    AutoScaling,
    Iam,
}

impl Service {
    pub(super) const ALL: [Self; 5] = [Self::Ssm, Self::Ecs, Self::Ec2, Self::AutoScaling, Self::Iam];

    /// The prefix of its IAM actions, by which the log of calls and the injected faults name it.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::Ssm => "ssm",
            Self::Ecs => "ecs",
            Self::Ec2 => "ec2",
            Self::AutoScaling => "autoscaling",
            Self::Iam => "iam",
        }
    }

    fn of_version(version: &str) -> Option<Self> {
        match version {
            "2016-11-15" => Some(Self::Ec2),
            "2011-01-01" => Some(Self::AutoScaling),
            "2010-05-08" => Some(Self::Iam),
            _ => None,
        }
    }

    fn namespace(self) -> &'static str {
        match self {
            Self::AutoScaling => "http://autoscaling.amazonaws.com/doc/2011-01-01/",
            Self::Iam => "https://iam.amazonaws.com/doc/2010-05-08/",
            Self::Ec2 | Self::Ssm | Self::Ecs => "http://ec2.amazonaws.com/doc/2016-11-15/",
        }
    }
}

/// What is asked for.
pub(super) enum Input {
    Json(Map<String, Value>),
    Form(Form),
}

/// A call that was understood.
pub(super) struct Call {
    pub(super) service: Service,
    pub(super) operation: String,
    pub(super) input: Input,
}

impl Input {
    /// What is asked for, as one line for the log of calls.
    fn told(&self) -> String {
        let whole = match self {
            Self::Json(map) => Value::Object(map.clone()).to_string(),
            Self::Form(form) => form.told(),
        };
        whole.chars().take(ASKED_MAX).collect()
    }
}

/// Why a request is no call at all, and in which form that is said.
struct Misunderstood {
    error: AwsError,
    service: Option<Service>,
    json: bool,
}

/// Answers a request to one of the services.
pub(super) fn answer(fleet: &mut Fleet, request: &Request<'_>) -> Answer {
    let id = fleet.request_id();
    let call = match understand(request) {
        Ok(call) => call,
        Err(Misunderstood { error, service, json }) => {
            let service = service.unwrap_or(if json { Service::Ssm } else { Service::AutoScaling });
            fleet.calls.push(fleet.world.now(), (service, ""), String::new(), Vec::new(), &error.code);
            return refusal(service, &error, &id);
        }
    };
    let nodes = match &call.input {
        Input::Json(map) => {
            let mut texts = Vec::new();
            map.values().for_each(|value| texts_of(value, &mut texts));
            fleet.named_in(texts.into_iter())
        }
        Input::Form(form) => fleet.named_in(form.values()),
    };
    let may = fleet.may(&call);
    let injected = if may { fleet.faults.take(call.service, &call.operation, &nodes) } else { None };
    let (answered, pause) = match injected {
        None if !may => (Err(AwsError::denied(call.service, &call.operation)), Pause::None),
        Some(Injected::Throttle) => (Err(AwsError::throttled(call.service)), Pause::None),
        Some(Injected::Deny) => (Err(AwsError::denied(call.service, &call.operation)), Pause::None),
        Some(Injected::Broken) => (Err(AwsError::broken(call.service)), Pause::None),
        Some(Injected::Hang) => (Err(AwsError::broken(call.service)), Pause::Forever),
        Some(Injected::Slow { secs }) => (perform(fleet, &call), Pause::Secs(secs)),
        Some(Injected::Lost) => (perform(fleet, &call), Pause::Forever),
        None => (perform(fleet, &call), Pause::None),
    };
    let outcome = match (&answered, injected) {
        (_, Some(Injected::Hang)) => "(no answer)",
        (Ok(_), Some(Injected::Lost)) => "(answer lost)",
        (Ok(_), _) => "ok",
        (Err(error), _) => error.code.as_ref(),
    };
    fleet.calls.push(fleet.world.now(), (call.service, &call.operation), call.input.told(), nodes, outcome);
    let answer = match answered {
        Ok(value) => success(call.service, &call.operation, &value, &id),
        Err(error) => refusal(call.service, &error, &id),
    };
    Answer { pause, ..answer }
}

fn texts_of<'a>(value: &'a Value, texts: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => texts.push(text),
        Value::Array(list) => list.iter().for_each(|one| texts_of(one, texts)),
        Value::Object(map) => map.values().for_each(|one| texts_of(one, texts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn understand(request: &Request<'_>) -> Result<Call, Misunderstood> {
    let json_error =
        |service, code, message: String| Misunderstood { error: AwsError::new(code, message), service, json: true };
    if let Some(target) = request.target {
        let (prefix, operation) = target.rsplit_once('.').unwrap_or((target, ""));
        let service = match prefix {
            "AmazonSSM" => Service::Ssm,
            "AmazonEC2ContainerServiceV20141113" => Service::Ecs,
            _ => return Err(json_error(None, "UnknownOperationException", String::new())),
        };
        let text = if request.body.trim_ascii().is_empty() { b"{}" } else { request.body };
        // serde_json refuses what is nested more than 128 levels deep.
        let value: Value = serde_json::from_slice(text)
            .map_err(|_| json_error(Some(service), "SerializationException", "the body is not JSON".to_owned()))?;
        let Value::Object(map) = value else {
            let error = json_error(Some(service), "SerializationException", "the body is not an object".to_owned());
            return Err(error);
        };
        return Ok(Call { service, operation: operation.to_owned(), input: Input::Json(map) });
    }
    let query_error =
        |service, code, message: String| Misunderstood { error: AwsError::new(code, message), service, json: false };
    let bytes = if request.body.is_empty() { request.query.as_bytes() } else { request.body };
    let form = Form::read(bytes)
        .ok_or_else(|| query_error(None, "MalformedQueryString", "the form has too many parameters".to_owned()))?;
    let version = form.text("Version").unwrap_or_default();
    let service = Service::of_version(version);
    let Some(action) = form.text("Action") else {
        return Err(query_error(
            service,
            "MissingAction",
            "The request is missing an action or a required parameter".to_owned(),
        ));
    };
    let (action, Some(service)) = (action.to_owned(), service) else {
        let message = format!("Could not find operation {} for version {}", shown(action), shown(version));
        return Err(query_error(None, "InvalidAction", message));
    };
    Ok(Call { service, operation: action, input: Input::Form(form.of(service)) })
}

fn perform(fleet: &mut Fleet, call: &Call) -> Answered {
    let operation = call.operation.as_str();
    let answered = match (&call.input, call.service) {
        (Input::Json(map), Service::Ssm) => ssm::call(fleet, operation, Body::new(map, call.service)),
        (Input::Json(map), Service::Ecs) => ecs::call(fleet, operation, Body::new(map, call.service)),
        (Input::Form(form), Service::Ec2) => ec2::call(fleet, operation, form),
        (Input::Form(form), Service::AutoScaling) => auto_scaling::call(fleet, operation, form),
        (Input::Form(form), Service::Iam) => iam::call(fleet, operation, form),
        (Input::Json(_), Service::Ec2 | Service::AutoScaling | Service::Iam)
        | (Input::Form(_), Service::Ssm | Service::Ecs) => None,
    };
    answered.unwrap_or_else(|| {
        let message = format!("the simulated account does not know the operation {}", shown(operation));
        Err(match call.service {
            Service::Ssm | Service::Ecs => AwsError::new("UnknownOperationException", message),
            Service::Ec2 | Service::AutoScaling | Service::Iam => AwsError::new("InvalidAction", message),
        })
    })
}

fn success(service: Service, operation: &str, value: &Value, id: &str) -> Answer {
    let empty = Map::new();
    let map = value.as_object().unwrap_or(&empty);
    match service {
        Service::Ssm | Service::Ecs => json_answer(200, value, id),
        Service::Ec2 => {
            let mut body = opening(&format!("{operation}Response"), service);
            xml::element("requestId", &json!(id), Lists::Item, &mut body);
            xml::fields(map, Lists::Item, &mut body);
            xml_answer(200, body + &format!("</{operation}Response>"), id)
        }
        Service::AutoScaling | Service::Iam => {
            let mut body = opening(&format!("{operation}Response"), service);
            xml::element(&format!("{operation}Result"), value, Lists::Member, &mut body);
            xml::element("ResponseMetadata", &json!({ "RequestId": id }), Lists::Member, &mut body);
            xml_answer(200, body + &format!("</{operation}Response>"), id)
        }
    }
}

fn refusal(service: Service, error: &AwsError, id: &str) -> Answer {
    match service {
        Service::Ssm | Service::Ecs => {
            let body = json!({ "__type": error.code, "message": error.message });
            let mut answer = json_answer(error.status, &body, id);
            answer.headers.push(("x-amzn-errortype", error.code.to_string()));
            answer
        }
        Service::Ec2 => {
            let mut body = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
            let errors = json!({
                "Errors": { "Error": { "Code": error.code, "Message": error.message } }, "RequestID": id
            });
            xml::element("Response", &errors, Lists::Item, &mut body);
            xml_answer(error.status, body, id)
        }
        Service::AutoScaling | Service::Iam => {
            let mut body = opening("ErrorResponse", service);
            let kind = if error.status < 500 { "Sender" } else { "Receiver" };
            let told = json!({ "Type": kind, "Code": error.code, "Message": error.message });
            xml::element("Error", &told, Lists::Member, &mut body);
            xml::element("RequestId", &json!(id), Lists::Member, &mut body);
            xml_answer(error.status, body + "</ErrorResponse>", id)
        }
    }
}

fn opening(root: &str, service: Service) -> String {
    let head = if service == Service::Ec2 { "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" } else { "" };
    format!("{head}<{root} xmlns=\"{}\">", service.namespace())
}

fn json_answer(status: u16, value: &Value, id: &str) -> Answer {
    let headers = vec![("content-type", "application/x-amz-json-1.1".to_owned()), ("x-amzn-requestid", id.to_owned())];
    Answer { status, headers, body: value.to_string(), pause: Pause::None }
}

fn xml_answer(status: u16, body: String, id: &str) -> Answer {
    let headers = vec![("content-type", "text/xml;charset=UTF-8".to_owned()), ("x-amzn-requestid", id.to_owned())];
    Answer { status, headers, body, pause: Pause::None }
}
