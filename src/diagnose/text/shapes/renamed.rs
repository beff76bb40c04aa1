//! Fields that `--query` gave other names, and the same as tables, as YAML and as tabs: a field is known by its value, where AWS
//! alone writes such a word, and by what its name still says.

use serde_json::{Map, Value};

use super::super::super::{Cause, Helps};
use super::super::books::{Books, Sighting};
use super::super::place::Place;
use super::super::signature::{Component, Heals, Weight};
use super::json::{Within, field, walk};

/// Reads an answer of AWS by the words in it.
pub(super) fn read(value: &Value, books: &mut Books) {
    walk(value, &mut |value, _| {
        match value {
            Value::Array(items) => row(items, books),
            Value::Object(fields) => object(value, fields, books),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
        Within::Also
    });
}

fn object(value: &Value, fields: &Map<String, Value>, books: &mut Books) {
    for (name, item) in fields {
        match item {
            Value::String(word) => pair(name, word, books),
            Value::Bool(flag) => pair(name, if *flag { "True" } else { "False" }, books),
            Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => {}
        }
    }
    profile(fields, books);
    inactive(value, fields, books);
}

fn note(books: &mut Books, id: &str, component: Component, cause: Cause, weight: Weight, text: &str) {
    books.note(Sighting::new(&format!("aws.{id}"), component, cause, weight, text), None);
}

/// One field. `SystemStatus.Status` may be called anything that still says "sys".
pub(super) fn pair(name: &str, word: &str, books: &mut Books) {
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let says = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    let text = format!("{name} is {word}");
    match word {
        "impaired" if says(&["sys"]) => {
            let sighting = Sighting::new(
                "aws.system-impaired",
                Component::Ec2Status,
                Cause::PlatformHardware,
                Weight::Cause,
                &text,
            );
            books.note(sighting.helped(Helps::No, Helps::No), None);
        }
        "impaired" if says(&["ebs", "volume", "attached"]) => {
            note(books, "ebs-impaired", Component::Ec2Status, Cause::HostIoStalled, Weight::Cause, &text);
        }
        "impaired" if says(&["inst", "os", "reach"]) => instance_check(&text, books),
        "disabled" if says(&["httpendpoint", "imds", "metadata"]) && !says(&["ipv6", "protocol", "tags"]) => {
            note(books, "metadata-off", Component::Agent, Cause::IdentityImdsUnreachable, Weight::Cause, &text);
        }
        "ConnectionLost" | "Inactive" if says(&["ping"]) => silent("ping-lost", &text, books),
        "Online" if says(&["ping", "ssm"]) => books.success(Place::Ssm, Heals::Nothing),
        "False" | "false" if says(&["agentconnected"]) => {
            let sighting =
                Sighting::new("aws.agent-disconnected", Component::EcsService, Cause::Unknown, Weight::Symptom, &text);
            books.note(sighting.or(&[Cause::EcsAgentHung, Cause::EcsAgentStopped, Cause::NetworkUnreachable]), None);
        }
        "True" | "true" if says(&["agentconnected"]) => books.success(Place::Ecs, Heals::Nothing),
        "implicitDeny" | "explicitDeny" => {
            note(books, "simulated-deny", Component::Agent, Cause::IdentityAccessDenied, Weight::Cause, &text);
        }
        _ => {}
    }
}

fn silent(id: &str, text: &str, books: &mut Books) {
    let sighting = Sighting::new(&format!("aws.{id}"), Component::RunCommand, Cause::Unknown, Weight::Symptom, text);
    books.note(sighting.or(&[Cause::SsmAgentStopped, Cause::SsmAgentHung, Cause::NetworkUnreachable]), None);
}

fn instance_check(text: &str, books: &mut Books) {
    let sighting =
        Sighting::new("aws.instance-impaired", Component::Ec2Status, Cause::HostKernelHang, Weight::Symptom, text);
    let sighting = sighting.or(&[Cause::HostBootFailure, Cause::HostNetworkStack, Cause::HostOutOfMemory]);
    books.note(sighting.helped(Helps::Yes, Helps::No), None);
}

/// `["i-0abc…", "running", "impaired", "impaired"]`: which check is which, nobody knows any more, unless all of them fail.
fn row(items: &[Value], books: &mut Books) {
    let words = || items.iter().filter_map(Value::as_str);
    if !words().any(is_instance) {
        return;
    }
    let impaired = words().filter(|&word| word == "impaired").count();
    let well = words().any(|word| word == "ok");
    let text = Value::from(items).to_string();
    if impaired > 1 && !well {
        note(books, "all-impaired", Component::Ec2Status, Cause::PlatformHardware, Weight::Cause, &text);
    } else if impaired > 0 {
        let cause = Cause::HostKernelHang;
        let sighting = Sighting::new("aws.some-impaired", Component::Ec2Status, cause, Weight::Symptom, &text);
        books.note(sighting.or(&[Cause::PlatformHardware]), None);
    }
}

/// A row about an instance that has a column for its profile, and nothing in it.
fn profile(fields: &Map<String, Value>, books: &mut Books) {
    let instance = fields.values().filter_map(Value::as_str).find(|word| is_instance(word));
    let empty = fields.iter().any(|(name, value)| {
        let name = name.to_ascii_lowercase();
        value.is_null() && (name.contains("profile") || matches!(name.as_str(), "iam" | "role" | "iamrole"))
    });
    if let Some(instance) = instance.filter(|_| empty) {
        let text = format!("{instance} has no instance profile");
        note(books, "no-profile", Component::Agent, Cause::IdentityNoInstanceProfile, Weight::Cause, &text);
    }
}

/// A cluster or a container instance that is `INACTIVE`, known by its ARN.
fn inactive(value: &Value, fields: &Map<String, Value>, books: &mut Books) {
    if !fields.values().any(|word| word == "INACTIVE") || field(value, "containerInstances").is_array() {
        return;
    }
    let arn = |part: &str| fields.values().filter_map(Value::as_str).any(|word| word.contains(part));
    let text = value.to_string();
    if arn(":container-instance/") {
        gone("instance-inactive", Cause::EcsAgentDeregistered, &text, books);
    } else if arn(":cluster/") {
        gone("cluster-inactive", Cause::EcsAgentClusterMissing, &text, books);
    }
}

fn gone(id: &str, cause: Cause, text: &str, books: &mut Books) {
    note(books, id, Component::EcsService, cause, Weight::Cause, text);
}

/// `i-0123456789abcdef0`, or the shorter old form.
fn is_instance(word: &str) -> bool {
    word.strip_prefix("i-").is_some_and(|id| matches!(id.len(), 8 | 17) && id.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Reads the same of `--output table`, `yaml` and `text`.
#[derive(Debug, Default)]
pub(super) struct Outline {
    section: String,
    /// What the last ARN named.
    of_container_instance: Option<bool>,
}

/// Parts of answers whose fields bear names that say too little alone.
const SECTIONS: [&str; 4] = ["SystemStatus", "InstanceStatus", "AttachedEbsStatus", "MetadataOptions"];

/// Words that [`pair`] knows.
const WORDS: [&str; 10] =
    ["impaired", "disabled", "ConnectionLost", "Inactive", "Online", "True", "False", "true", "false", "Deny"];

impl Outline {
    pub(super) fn line(&mut self, line: &str, books: &mut Books) {
        if line.len() > 200 {
            return;
        }
        let bare = line.trim_matches(|c: char| c.is_whitespace() || "|+-:".contains(c));
        if let Some(name) = SECTIONS.iter().find(|name| bare.eq_ignore_ascii_case(name)) {
            (*name).clone_into(&mut self.section);
            return;
        }
        if bare.contains(":container-instance/") || bare.contains(":cluster/") {
            self.of_container_instance = Some(bare.contains(":container-instance/"));
        } else if bare.starts_with("status") && bare.ends_with("INACTIVE") {
            match self.of_container_instance {
                Some(true) => gone("instance-inactive", Cause::EcsAgentDeregistered, bare, books),
                Some(false) => gone("cluster-inactive", Cause::EcsAgentClusterMissing, bare, books),
                None => {}
            }
        }
        // Few lines hold such a word, and nothing else of them matters.
        if !bare.contains('\t') && !WORDS.iter().any(|word| bare.trim_end_matches('\'').ends_with(word)) {
            return;
        }
        let Some((name, word)) = bare.split_once(['|', ':', '\t']) else { return };
        let (name, word) = (name.trim(), word.trim().trim_matches('\''));
        let word = word.split('\t').next().unwrap_or_default().trim_end();
        if name.is_empty() || word.is_empty() || name.contains(' ') || word.contains(' ') {
            return;
        }
        if name.eq_ignore_ascii_case("Status") && word == "impaired" {
            pair(&self.section, word, books);
        } else {
            pair(name, word, books);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn causes(read: impl Fn(&mut Books)) -> Vec<(Cause, Weight)> {
        let mut books = Books::default();
        read(&mut books);
        books.close().0.into_iter().map(|seen| (seen.cause, seen.weight)).collect()
    }

    #[test]
    fn fields_are_known_by_their_words_whatever_a_query_calls_them() {
        for (value, cause, weight) in [
            (json!([{"Sys": "impaired", "Inst": "ok"}]), Cause::PlatformHardware, Weight::Cause),
            (json!({"InstanceCheck": "impaired"}), Cause::HostKernelHang, Weight::Symptom),
            (json!(["i-0aa11bb22cc33dd44", "impaired", "ok"]), Cause::HostKernelHang, Weight::Symptom),
            (json!(["i-0aa11bb22cc33dd44", "impaired", "impaired"]), Cause::PlatformHardware, Weight::Cause),
            (json!([{"Id": "i-0aa11bb22cc33dd44", "Profile": null}]), Cause::IdentityNoInstanceProfile, Weight::Cause),
            (json!({"Opts": {"HttpEndpoint": "disabled"}}), Cause::IdentityImdsUnreachable, Weight::Cause),
            (json!([{"Action": "ssm:X", "Decision": "implicitDeny"}]), Cause::IdentityAccessDenied, Weight::Cause),
            (
                json!({"Arn": "arn:aws:ecs:r:1:cluster/a", "S": "INACTIVE"}),
                Cause::EcsAgentClusterMissing,
                Weight::Cause,
            ),
        ] {
            assert_eq!(causes(|books| read(&value, books)), [(cause, weight)], "{value}");
        }
        for value in [
            json!([{"Sys": "ok", "Inst": "ok"}]),
            json!({"HttpProtocolIpv6": "disabled"}),
            json!({"Name": "web", "Profile": null}),
            json!({"Monitoring": {"State": "disabled"}}),
        ] {
            assert_eq!(causes(|books| read(&value, books)), [], "{value}");
        }
    }

    #[test]
    fn tables_and_yaml_and_tabs_say_the_same() {
        for text in [
            "|||          SystemStatus          |||\n||+--------+---------+||\n|||  Status  |  impaired  |||",
            "  SystemStatus:\n    Status: impaired",
            "SYSTEMSTATUS\timpaired",
        ] {
            let seen = causes(|books| {
                let mut outline = Outline::default();
                text.lines().for_each(|line| outline.line(line, books));
            });
            assert_eq!(seen, [(Cause::PlatformHardware, Weight::Cause)], "{text}");
        }
    }
}
