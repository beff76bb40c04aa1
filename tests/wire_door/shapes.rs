//! Recorded shapes: a service that answers what the documentation says, to exactly the requests that it expects.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::{Protocol, Request, Response, Upstream};

const NOTE: &str = "shape from the documentation, not recorded on a real account";

/// A file of shapes of one operation.
pub(crate) fn of(operation: &str) -> Value {
    let path = format!("{}/tests/wire/{operation}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|_| panic!("{path} is missing"));
    let shapes: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(shapes["note"], NOTE, "{operation}");
    shapes
}

/// A request as it stands in a file. A token that is new each time is not compared.
pub(crate) fn shown(request: &Request) -> Value {
    if request.protocol == Protocol::Json {
        let mut body = request.json();
        if let Some(token) = body.get_mut("ClientRequestToken") {
            *token = json!("(a new one)");
        }
        hide_bodies(&mut body);
        return json!({ "target": request.target, "body": body });
    }
    let mut form: BTreeMap<String, String> = form_urlencoded::parse(request.body.as_bytes()).into_owned().collect();
    form.remove("Action");
    let version = form.remove("Version");
    // Attributes come in any order, and what a message says is no matter of the wire.
    let mut attributes = BTreeMap::new();
    while let Some(name) = form.remove(&format!("MessageAttributes.entry.{}.Name", attributes.len() + 1)) {
        let value = format!("MessageAttributes.entry.{}.Value.", attributes.len() + 1);
        let (kind, text) = (form.remove(&format!("{value}DataType")), form.remove(&format!("{value}StringValue")));
        attributes.insert(name, (kind, text));
    }
    if let Some(message) = form.get_mut("Message") {
        let forms: BTreeMap<String, String> = serde_json::from_str(message).unwrap();
        *message = forms.into_keys().collect::<Vec<_>>().join(", ");
        return json!({ "version": version, "form": form, "attributes": attributes });
    }
    json!({ "version": version, "form": form })
}

/// What is in an item has its own frozen samples.
fn hide_bodies(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(body) = map.get_mut("body").filter(|body| body.get("S").is_some()) {
                *body = json!({ "S": "(JSON)" });
            }
            map.values_mut().for_each(hide_bodies);
        }
        Value::Array(list) => list.iter_mut().for_each(hide_bodies),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What was asked that no file expects.
pub(crate) type Strange = Arc<Mutex<Vec<String>>>;

/// A service that answers from the files.
pub(crate) fn service() -> (Upstream, Strange) {
    let strange = Strange::default();
    let noted = Arc::clone(&strange);
    let upstream = Upstream::canned(move |request| {
        let (asked, shapes) = (shown(request), of(&request.operation));
        let call = shapes["calls"].as_array().unwrap().iter().find(|call| call["request"] == asked);
        let Some(call) = call else {
            noted.lock().unwrap().push(format!("{}: {asked:#}", request.operation));
            return Response::json_error(400, "ValidationException", json!({ "message": "not expected" }));
        };
        let status = u16::try_from(call["response"]["status"].as_u64().unwrap()).unwrap();
        match &call["response"]["body"] {
            Value::Array(lines) => {
                Response::xml(status, lines.iter().map(|line| line.as_str().unwrap()).collect::<Vec<_>>().join("\n"))
            }
            body => Response::json(status, body),
        }
    });
    (upstream, strange)
}

/// Compares a request and its answer with the file of their operation.
#[allow(clippy::disallowed_methods, reason = "a switch for people who change what is sent on purpose")]
pub(crate) fn kept(request: &Request, answer: &Response) {
    let mut body = serde_json::from_str(&answer.body).unwrap_or_else(|_| Value::from(vec![answer.body.clone()]));
    hide_bodies(&mut body);
    let call = json!({ "request": shown(request), "response": { "status": answer.status, "body": body } });
    let call = json!({ "note": NOTE, "calls": [call] });
    if std::env::var_os("UPDATE").is_some() {
        let path = format!("{}/tests/wire/{}.json", env!("CARGO_MANIFEST_DIR"), request.operation);
        std::fs::write(path, serde_json::to_string_pretty(&call).unwrap() + "\n").unwrap();
    }
    assert_eq!(of(&request.operation), call, "{} is sent differently", request.operation);
}
