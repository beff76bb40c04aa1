//! The function's role in each mode, read from the template that people deploy.

use serde_json::{Map, Value, json};

/// The policies of the template, and the least modes that have each: `probe` is what observe has with `AllowProbes`.
const MODES: [(&str, &[&str]); 5] = [
    ("observe", &["observe"]),
    ("probes", &["observe", "probe"]),
    ("restart", &["observe", "restart"]),
    ("cycle", &["observe", "restart", "cycle"]),
    ("replace", &["observe", "restart", "cycle", "replace"]),
];

/// Conditions that hold in a stack with defaults: no customer keys, no clusters named, the stack's own topic and policy parameter.
const TRUE: [&str; 2] = ["MakesTopic", "MakesPolicyParameter"];

/// The statements of the role in a mode, resolved for a stack called `defib`.
///
/// The reader of YAML drops CloudFormation's tags, so a function is known by its shape: a list of three that begins with the name of a
/// condition is an `If`, a text with `${…}` a `Sub`.
pub(crate) fn statements(mode: &str) -> Vec<Value> {
    let template: Value = serde_saphyr::from_str(include_str!("../../infra/template.yaml")).unwrap();
    let conditions = template["Conditions"].as_object().unwrap();
    let (_, policies) = MODES.iter().find(|(name, _)| *name == mode).unwrap();
    let mut statements = Vec::new();
    for resource in template["Resources"].as_object().unwrap().values() {
        let properties = &resource["Properties"];
        let name = properties["PolicyName"].as_str().unwrap_or_default();
        if resource["Type"] != "AWS::IAM::Policy" || !policies.contains(&name) {
            continue;
        }
        let document = resolved(&properties["PolicyDocument"], conditions).unwrap();
        statements.extend(document["Statement"].as_array().unwrap().iter().cloned());
    }
    assert!(statements.len() >= 5, "the template has the policies of mode {mode}");
    statements
}

/// A value without functions; none: `AWS::NoValue`.
fn resolved(value: &Value, conditions: &Map<String, Value>) -> Option<Value> {
    match value {
        Value::String(text) if text == "AWS::NoValue" => None,
        Value::String(text) => Some(json!(substituted(text))),
        Value::Array(list) => {
            if let [Value::String(condition), then, otherwise] = list.as_slice()
                && conditions.contains_key(condition)
            {
                return resolved(if TRUE.contains(&condition.as_str()) { then } else { otherwise }, conditions);
            }
            // A `Sub` with values of its own: the parameter's name, which nothing here depends on.
            if let [Value::String(text), Value::Object(own)] = list.as_slice()
                && text.contains("${")
            {
                let mut text = text.clone();
                for (name, value) in own {
                    let value = resolved(value, conditions)?;
                    text = text.replace(&format!("${{{name}}}"), value.as_str()?);
                }
                return Some(json!(substituted(&text)));
            }
            Some(Value::Array(list.iter().filter_map(|one| resolved(one, conditions)).collect()))
        }
        Value::Object(map) => {
            let whole = map.iter().filter_map(|(key, one)| Some((key.clone(), resolved(one, conditions)?)));
            Some(Value::Object(whole.collect()))
        }
        other => Some(other.clone()),
    }
}

fn substituted(text: &str) -> String {
    let pseudo = [
        ("${AWS::Partition}", "aws"),
        ("${AWS::Region}", "us-east-1"),
        ("${AWS::AccountId}", "111122223333"),
        ("${AWS::StackName}", "defib"),
        ("${AWS::URLSuffix}", "amazonaws.com"),
    ];
    pseudo.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
}

/// The name of one of our documents in the role: with the hash of its content.
pub(crate) fn document(kind: &str) -> String {
    let all = statements("restart");
    let texts = all.iter().flat_map(|statement| statement["Resource"].as_array().cloned().unwrap_or_default());
    let names = texts.filter_map(|arn| arn.as_str()?.rsplit_once(":document/").map(|(_, name)| name.to_owned()));
    names.into_iter().find(|name| name.contains(kind)).unwrap()
}

/// The role without one action.
pub(crate) fn without(statements: &[Value], action: &str) -> Vec<Value> {
    let less = |statement: &Value| {
        let mut statement = statement.clone();
        let kept: Vec<Value> = match &statement["Action"] {
            Value::Array(all) => all.iter().filter(|one| *one != action).cloned().collect(),
            one => std::iter::once(one).filter(|one| *one != action).cloned().collect(),
        };
        if statement["Effect"] == "Allow" {
            statement["Action"] = json!(kept);
        }
        statement
    };
    statements.iter().map(less).collect()
}
