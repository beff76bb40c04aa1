//! The cluster query language, as far as a sweep needs it: comparisons joined by `and`.

use crate::fleet::Fleet;
use crate::fleet::error::AwsError;
use crate::fleet::input::shown;
use crate::sim::machine::{EcsSide, Machine};

/// One comparison: `agentConnected == false`, `ec2InstanceId in [i-1, i-2]`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Term<'a> {
    subject: &'a str,
    equal: bool,
    /// The value is to be greater than the one that is given.
    greater: bool,
    values: Vec<&'a str>,
}

/// Reads an expression; none means all.
pub(super) fn read(text: &str) -> Result<Vec<Term<'_>>, AwsError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(Vec::new());
    }
    text.split(" and ").map(term).collect()
}

fn term(text: &str) -> Result<Term<'_>, AwsError> {
    let bad = || {
        let message = format!("Invalid filter: the simulated account does not understand {}", shown(text));
        AwsError::new("InvalidParameterException", message)
    };
    let text = text.trim();
    let (subject, equal, values) = if let Some((subject, value)) = text.split_once("==") {
        (subject, true, value)
    } else if let Some((subject, value)) = text.split_once(" > ") {
        // Only moments are compared, written as ECS writes them.
        let (subject, value) = (subject.trim(), value.trim());
        let fine = subject == REGISTERED_AT && value.parse::<jiff::Timestamp>().is_ok();
        return if fine { Ok(Term { subject, equal: true, greater: true, values: vec![value] }) } else { Err(bad()) };
    } else if let Some((subject, value)) = text.split_once("!=") {
        (subject, false, value)
    } else if let Some((subject, list)) = text.split_once(" in ") {
        let list = list.trim().strip_prefix('[').and_then(|list| list.strip_suffix(']')).ok_or_else(bad)?;
        (subject, true, list)
    } else {
        return Err(bad());
    };
    let subject = subject.trim();
    if !KNOWN.contains(&subject) {
        return Err(bad());
    }
    let plain = |value: &'_ str| value.trim().trim_matches(|c| c == '\'' || c == '"').len();
    let values: Vec<&str> =
        values.split(',').map(|value| value.trim().trim_matches(|c| c == '\'' || c == '"')).collect();
    if values.iter().any(|value| plain(value) == 0) {
        return Err(bad());
    }
    Ok(Term { subject, equal, greater: false, values })
}

/// When a container instance registered.
const REGISTERED_AT: &str = "registeredAt";
/// What can be compared.
const KNOWN: [&str; 5] =
    ["agentConnected", "ec2InstanceId", "runningTasksCount", "agentVersion", "attribute:ecs.availability-zone"];

impl Fleet {
    pub(super) fn satisfies(&self, machine: &Machine, ecs: &EcsSide, terms: &[Term<'_>]) -> bool {
        terms.iter().all(|term| {
            if term.greater {
                let since = term.values.first().and_then(|value| value.parse::<jiff::Timestamp>().ok());
                return since.is_some_and(|since| ecs.listed_since > since.as_second());
            }
            let given = match term.subject {
                "agentConnected" => self.shown_connected(machine, ecs).to_string(),
                "ec2InstanceId" => machine.id.to_string(),
                "runningTasksCount" => (ecs.tasks + ecs.special.standalone).to_string(),
                "agentVersion" => super::instances::AGENT.to_owned(),
                _ => machine.zone.as_ref().map_or_else(String::new, ToString::to_string),
            };
            term.values.contains(&given.as_str()) == term.equal
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_are_read_in_every_spelling_that_the_manual_shows() {
        for text in ["agentConnected==false", "agentConnected == false", "agentConnected == 'false'"] {
            let expected = Term { subject: "agentConnected", equal: true, greater: false, values: vec!["false"] };
            assert_eq!(read(text).unwrap(), [expected], "{text}");
        }
        let both = read("agentConnected != true and ec2InstanceId in ['i-1', 'i-2']").unwrap();
        assert_eq!(both.get(1).unwrap().values, ["i-1", "i-2"]);
        let later = read("registeredAt > 2026-11-20T12:00:00+00:00 and agentConnected == true").unwrap();
        assert!(later.first().unwrap().greater && !later.get(1).unwrap().greater);
        assert!(read("registeredAt > noon").is_err() && read("agentVersion > 1").is_err());
        assert!(read("").unwrap().is_empty());
        for bad in ["agentConnected", "task:group == service:x", "ec2InstanceId in i-1", "agentConnected =="] {
            assert_eq!(read(bad).unwrap_err().code, "InvalidParameterException", "{bad}");
        }
    }
}
