//! IAM's policy documents, read as far as an agent's fate depends on them.
//!
//! This is no evaluator of IAM: whatever depends on a condition, a resource or a certain principal is unclear, and stays so. IAM
//! itself is asked for the whole truth about a role (`SimulatePrincipalPolicy`); it says nothing about endpoint and trust policies.

use serde_json::Value;

use crate::json;

/// A policy document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    statements: Vec<Statement>,
}

/// A text that is no policy document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a policy document")]
pub struct NotAPolicy;

/// What a document says about an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grant {
    /// Allowed to everybody concerned, on every resource.
    Allowed,
    /// A statement denies it to everybody.
    Denied,
    /// No statement allows it.
    NotAllowed,
    /// It depends on something that is not known here.
    Unclear,
}

#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is one independent part of a statement")]
struct Statement {
    allow: bool,
    /// Names of services under `Principal`.
    services: Vec<String>,
    /// `Principal` is everybody.
    everybody: bool,
    /// `Principal` names others as well, or `NotPrincipal` is used.
    somebody: bool,
    actions: Vec<String>,
    /// `NotAction`.
    all_but: bool,
    /// Some `Resource` that is not everything, or a `Condition`.
    narrow: bool,
}

/// How far a statement speaks about something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Speaks {
    No,
    Perhaps,
    Yes,
}

impl Document {
    /// Reads a document, as it is or URL-encoded as IAM's own answers are.
    ///
    /// # Errors
    /// [`NotAPolicy`] if the text is no JSON object with statements.
    pub fn parse(text: &str) -> Result<Self, NotAPolicy> {
        let decoded =
            if text.trim_start().starts_with('%') { decoded(text).ok_or(NotAPolicy)? } else { text.to_owned() };
        let value: Value = json::read(&decoded).map_err(|_| NotAPolicy)?;
        let statements = match value.get("Statement").ok_or(NotAPolicy)? {
            Value::Array(all) => all.iter().map(statement).collect::<Option<_>>(),
            one => statement(one).map(|one| vec![one]),
        };
        Ok(Self { statements: statements.ok_or(NotAPolicy)? })
    }

    /// What it says about an action, whoever does it.
    #[must_use]
    pub fn grant(&self, action: &str) -> Grant {
        self.judge(action, |statement| {
            if statement.everybody {
                Speaks::Yes
            } else if statement.somebody || !statement.services.is_empty() {
                Speaks::Perhaps
            } else {
                Speaks::No
            }
        })
    }

    /// What it says about an action that a service does, by any of the service's names.
    #[must_use]
    pub fn grant_to_service(&self, action: &str, names: &[&str]) -> Grant {
        self.judge(action, |statement| {
            if statement.services.iter().any(|service| names.contains(&service.as_str())) {
                Speaks::Yes
            } else if statement.everybody || statement.somebody {
                Speaks::Perhaps
            } else {
                Speaks::No
            }
        })
    }

    fn judge(&self, action: &str, who: impl Fn(&Statement) -> Speaks) -> Grant {
        let strongest = |allow: bool| {
            let speaking = self.statements.iter().filter(|statement| statement.allow == allow);
            speaking.map(|statement| statement.speaks(action).min(who(statement))).max().unwrap_or(Speaks::No)
        };
        match (strongest(false), strongest(true)) {
            (Speaks::Yes, _) => Grant::Denied,
            (_, Speaks::No) => Grant::NotAllowed,
            (Speaks::No, Speaks::Yes) => Grant::Allowed,
            (Speaks::Perhaps, _) | (Speaks::No, Speaks::Perhaps) => Grant::Unclear,
        }
    }
}

impl Statement {
    fn speaks(&self, action: &str) -> Speaks {
        let named =
            self.actions.iter().any(|pattern| matches(&pattern.to_ascii_lowercase(), &action.to_ascii_lowercase()));
        match (named != self.all_but, self.narrow) {
            (false, _) => Speaks::No,
            (true, true) => Speaks::Perhaps,
            (true, false) => Speaks::Yes,
        }
    }
}

fn statement(value: &Value) -> Option<Statement> {
    let allow = match value.get("Effect")?.as_str()? {
        "Allow" => true,
        "Deny" => false,
        _ => return None,
    };
    let (actions, all_but) = match (value.get("Action"), value.get("NotAction")) {
        (Some(actions), None) => (texts(actions)?, false),
        (None, Some(actions)) => (texts(actions)?, true),
        (Some(_), Some(_)) | (None, None) => return None,
    };
    let conditional = value.get("Condition").is_some_and(|all| all.as_object().is_none_or(|all| !all.is_empty()));
    // A trust policy has no resource.
    let some_resources = match value.get("Resource") {
        None => false,
        Some(resources) => !texts(resources)?.iter().any(|resource| resource == "*"),
    };
    let narrow = conditional || some_resources || value.get("NotResource").is_some();
    let mut found = Statement {
        allow,
        services: Vec::new(),
        everybody: false,
        somebody: value.get("NotPrincipal").is_some(),
        actions,
        all_but,
        narrow,
    };
    match value.get("Principal") {
        None => {}
        Some(Value::String(all)) if all == "*" => found.everybody = true,
        Some(Value::Object(kinds)) => {
            for (kind, names) in kinds {
                let names = texts(names)?;
                match kind.as_str() {
                    "Service" => found.services.extend(names),
                    "AWS" if names.iter().any(|name| name == "*") => found.everybody = true,
                    _ => found.somebody = true,
                }
            }
        }
        Some(_) => return None,
    }
    Some(found)
}

/// One text, or a list of them.
fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(one) => Some(vec![one.clone()]),
        Value::Array(all) => all.iter().map(|one| one.as_str().map(str::to_owned)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

/// Whether a text matches a pattern with `*` and `?`.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where to go on when what follows the last star does not match: the star takes one character more.
    let mut star: Option<(usize, usize)> = None;
    while let Some(&c) = text.get(t) {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&wanted) if wanted == '?' || wanted == c => {
                p += 1;
                t += 1;
            }
            Some(_) | None => {
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                p = at + 1;
                t = taken + 1;
            }
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

/// Percent-decodes a text (RFC 3986).
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn grant(statements: &str, action: &str) -> Grant {
        Document::parse(&format!(r#"{{"Version":"2012-10-17","Statement":{statements}}}"#)).unwrap().grant(action)
    }

    const ALL: &str = r#"{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}"#;

    #[test]
    fn the_default_endpoint_policy_allows_everything() {
        assert_eq!(grant(ALL, "ssm:UpdateInstanceInformation"), Grant::Allowed);
        let listed =
            r#"[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":["ec2messages:*","SSM:update*"],"Resource":["*"]}]"#;
        assert_eq!(grant(listed, "ssm:UpdateInstanceInformation"), Grant::Allowed);
        assert_eq!(grant(listed, "ssmmessages:OpenControlChannel"), Grant::NotAllowed);
    }

    #[test]
    fn an_explicit_deny_wins_against_any_allow() {
        let denied = format!(r#"[{ALL},{{"Effect":"Deny","Principal":"*","Action":"ssm:Update*","Resource":"*"}}]"#);
        assert_eq!(grant(&denied, "ssm:UpdateInstanceInformation"), Grant::Denied);
        assert_eq!(grant(&denied, "ssm:GetParameter"), Grant::Allowed);
        let all_but = format!(r#"[{ALL},{{"Effect":"Deny","Principal":"*","NotAction":"ssm:Get*","Resource":"*"}}]"#);
        assert_eq!(grant(&all_but, "ssm:UpdateInstanceInformation"), Grant::Denied);
        assert_eq!(grant(&all_but, "ssm:GetParameter"), Grant::Allowed);
    }

    #[test]
    fn what_depends_on_something_else_is_unclear() {
        let only_org = r#"{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*",
            "Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}}"#;
        let one_account = r#"{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"*","Resource":"*"}"#;
        let one_bucket = r#"{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::mine/*"}"#;
        let not_others = format!(
            r#"[{ALL},{{"Effect":"Deny","NotPrincipal":{{"AWS":"111122223333"}},"Action":"*","Resource":"*"}}]"#
        );
        for statements in [only_org, one_account, one_bucket, &not_others] {
            assert_eq!(grant(statements, "s3:GetObject"), Grant::Unclear, "{statements}");
        }
        let empty_condition = r#"{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*","Condition":{}}"#;
        assert_eq!(grant(empty_condition, "s3:GetObject"), Grant::Allowed);
    }

    #[test]
    fn a_trust_policy_is_read_url_encoded_and_in_every_partition() {
        let names = ["ec2.amazonaws.com", "ec2.amazonaws.com.cn"];
        let trust = |text: &str| Document::parse(text).unwrap().grant_to_service("sts:AssumeRole", &names);
        let encoded = "%7B%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C%22Principal%22%3A%7B%22Service%22%3A\
                       %22ec2.amazonaws.com%22%7D%2C%22Action%22%3A%22sts%3AAssumeRole%22%7D%5D%7D";
        assert_eq!(trust(encoded), Grant::Allowed);
        let china = r#"{"Statement":{"Effect":"Allow","Principal":{"Service":["ecs.amazonaws.com","ec2.amazonaws.com.cn"]},"Action":"sts:AssumeRole"}}"#;
        assert_eq!(trust(china), Grant::Allowed);
        let lambda = r#"{"Statement":{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}}"#;
        assert_eq!(trust(lambda), Grant::NotAllowed);
        let account =
            r#"{"Statement":{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"sts:AssumeRole"}}"#;
        assert_eq!(trust(account), Grant::Unclear);
    }

    #[test]
    fn what_is_no_policy_is_said_to_be_none() {
        for text in
            ["", "{}", "nonsense", "%7", r#"{"Statement":[{"Effect":"Perhaps","Action":"*"}]}"#, r#"{"Statement":3}"#]
        {
            assert_eq!(Document::parse(text), Err(NotAPolicy), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_policy_or_an_error(text in ".*") {
            let _ = Document::parse(&text);
        }

        #[test]
        fn patterns_match_as_the_slow_way_says(pattern in "[ab*?]{0,6}", text in "[ab]{0,6}") {
            fn slow(p: &[u8], t: &[u8]) -> bool {
                match (p.first(), t.first()) {
                    (None, _) => t.is_empty(),
                    (Some(b'*'), _) => slow(&p[1..], t) || !t.is_empty() && slow(p, &t[1..]),
                    (Some(b'?'), Some(_)) => slow(&p[1..], &t[1..]),
                    (Some(c), Some(d)) if c == d => slow(&p[1..], &t[1..]),
                    _ => false,
                }
            }
            prop_assert_eq!(matches(&pattern, &text), slow(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
