//! Policies of IAM: whom a role trusts, what a policy denies, what an endpoint lets through, what is attached.
//!
//! One policy of several says for certain only what it denies; what it leaves out another may allow.

use serde_json::Value;

use super::super::super::Cause;
use super::super::super::iam::{Document, Grant};
use super::super::books::{Books, Sighting};
use super::super::signature::{Component, Weight};
use super::json::{Within, field, walk};

/// Without one of these an agent does not reach its service.
const NEEDED: [&str; 3] =
    ["ssm:UpdateInstanceInformation", "ssmmessages:CreateControlChannel", "ecs:RegisterContainerInstance"];
/// Words in the names of policies that may well hold what the agents need.
const FITTING: [&str; 8] = ["ssm", "systemsmanager", "containerservice", "ecs", "admin", "poweruser", "core", "agent"];

/// Reads an answer of AWS.
pub(super) fn read(value: &Value, books: &mut Books) {
    walk(value, &mut |value, depth| object(value, depth, books));
}

fn object(value: &Value, depth: u32, books: &mut Books) -> Within {
    trust(field(value, "AssumeRolePolicyDocument"), books);
    let service = field(value, "ServiceName").as_str().unwrap_or_default();
    for name in ["PolicyDocument", "Document"] {
        if let Some(document) = document(field(value, name)) {
            policy(&document, service, books);
        }
    }
    if field(value, "Statement").is_array() && depth == 0 {
        if let Some(document) = document(value) {
            policy(&document, "", books);
        }
        return Within::Not;
    }
    attached(value, books);
    Within::Also
}

fn note(books: &mut Books, id: &str, weight: Weight, text: &str) {
    let sighting = Sighting::new(&format!("aws.{id}"), Component::Agent, Cause::IdentityAccessDenied, weight, text);
    books.note(sighting.or(&[Cause::IdentityNoInstanceProfile]), None);
}

fn fits(books: &mut Books, text: &str) {
    books.note(Sighting::new("aws.identity-fits", Component::Agent, Cause::Healthy, Weight::Noise, text), None);
}

/// A document as the command line prints it: an object, or a text with one in it.
fn document(value: &Value) -> Option<Document> {
    match value {
        Value::String(text) if text.contains("Statement") => Document::parse(text).ok(),
        Value::Object(fields) if fields.contains_key("Statement") => Document::parse(&value.to_string()).ok(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A node's role trusts EC2. Roles of tasks, functions of Lambda and Systems Manager have other masters, and are left alone where
/// they name one that has to do with a node.
fn trust(value: &Value, books: &mut Books) {
    let Some(document) = document(value) else { return };
    let trusts = |names: &[&str]| document.grant_to_service("sts:AssumeRole", names) != Grant::NotAllowed;
    let other = ["ecs-tasks.amazonaws.com", "ssm.amazonaws.com", "ecs.amazonaws.com", "spotfleet.amazonaws.com"];
    if !trusts(&["ec2.amazonaws.com", "ec2.amazonaws.com.cn"]) && !other.iter().any(|name| trusts(&[name])) {
        note(books, "trust", Weight::Symptom, &format!("the role does not trust ec2.amazonaws.com: {value}"));
    } else {
        fits(books, "the role trusts who should have it");
    }
}

fn policy(document: &Document, service: &str, books: &mut Books) {
    let of_endpoint = service.starts_with("com.amazonaws.");
    for action in NEEDED {
        let name = action.split(':').next().unwrap_or_default();
        let own = service.rsplit('.').next() == Some(name);
        let barred = match document.grant(action) {
            Grant::Denied => own || !of_endpoint,
            // An endpoint has one policy, and what it does not allow does not pass.
            Grant::NotAllowed => own && of_endpoint,
            Grant::Allowed | Grant::Unclear => false,
        };
        if barred {
            let of = if of_endpoint { service } else { "a policy" };
            return note(books, "policy-denies", Weight::Cause, &format!("{of} does not let {action} through"));
        }
    }
}

/// `list-attached-role-policies`. Inline policies are not in it.
fn attached(value: &Value, books: &mut Books) {
    let Some(policies) = field(value, "AttachedPolicies").as_array() else { return };
    let names: Vec<String> = policies
        .iter()
        .map(|policy| field(policy, "PolicyName").as_str().unwrap_or_default().to_ascii_lowercase())
        .collect();
    // A policy of one's own may hold anything; those of AWS say in their names what they are for.
    let own = policies.iter().any(|policy| {
        field(policy, "PolicyArn").as_str().is_some_and(|arn| arn.starts_with("arn:") && !arn.contains(":iam::aws:"))
    });
    if !own && !names.iter().any(|name| FITTING.iter().any(|word| name.contains(word))) {
        let text = format!("no attached policy is one for an agent: {}", names.join(", "));
        note(books, "no-agent-policy", Weight::Symptom, &text);
    } else if !own {
        fits(books, "a policy for an agent is attached");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn weights(value: &Value) -> Vec<Weight> {
        let mut books = Books::default();
        read(value, &mut books);
        books.close().0.into_iter().filter(|seen| seen.cause != Cause::Healthy).map(|seen| seen.weight).collect()
    }

    #[test]
    fn a_role_that_trusts_another_master_is_a_symptom() {
        let role = |service: &str| {
            let statement = json!({"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"});
            weights(&json!({"Role": {"AssumeRolePolicyDocument": {"Statement": [statement]}}}))
        };
        assert_eq!(role("ec2.amazonaws.com"), []);
        assert_eq!(role("ecs-tasks.amazonaws.com"), []);
        assert_eq!(role("lambda.amazonaws.com"), [Weight::Symptom]);
    }

    #[test]
    fn a_denial_is_a_cause_and_what_a_policy_leaves_out_is_none_unless_it_is_an_endpoints() {
        let policy = |effect: &str, action: &str| json!({"Statement": [{"Effect": effect, "Principal": "*", "Action": action, "Resource": "*"}]});
        let role = |effect: &str, action: &str| weights(&json!({"PolicyDocument": policy(effect, action)}));
        assert_eq!(role("Deny", "ssm:*"), [Weight::Cause]);
        assert_eq!(role("Allow", "s3:*"), []);
        let endpoint = |action: &str| {
            let text = policy("Allow", action).to_string();
            weights(&json!({"VpcEndpoints": [{"ServiceName": "com.amazonaws.eu-west-1.ssm", "PolicyDocument": text}]}))
        };
        assert_eq!(endpoint("*"), []);
        assert_eq!(endpoint("ssm:GetParameter"), [Weight::Cause]);
    }

    #[test]
    fn policies_of_aws_for_something_else_are_a_symptom() {
        let list = |name: &str, owner: &str| {
            let arn = format!("arn:aws:iam::{owner}:policy/{name}");
            weights(&json!({"AttachedPolicies": [{"PolicyName": name, "PolicyArn": arn}]}))
        };
        assert_eq!(list("AmazonSSMManagedInstanceCore", "aws"), []);
        assert_eq!(list("node", "123456789012"), []);
        assert_eq!(list("AmazonS3ReadOnlyAccess", "aws"), [Weight::Symptom]);
    }
}
