//! N13: who changed what stands in the way. `CloudTrail` knows, and is not read: the line says what to ask it.

use std::sync::Arc;

use super::super::{CheckLine, Mark};

/// What the ids begin with of what people change on the way.
const KINDS: [&str; 11] = ["sg-", "acl-", "rtb-", "vpce-", "nat-", "igw-", "eigw-", "subnet-", "pl-", "dopt-", "tgw-"];
/// More than a few are one change with many places.
const NAMED_MAX: usize = 3;

/// The line, where something stands in the way.
pub(super) fn changed(lines: &[CheckLine]) -> Option<CheckLine> {
    let mut named: Vec<&str> = Vec::new();
    for line in lines.iter().filter(|line| matches!(line.verdict, Mark::Fail | Mark::Warn)) {
        for id in line.text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').filter(|word| is_id(word)) {
            if !named.contains(&id) {
                named.push(id);
            }
        }
    }
    let first = named.first()?;
    let ask = format!(
        "ask CloudTrail: aws cloudtrail lookup-events --lookup-attributes AttributeKey=ResourceName,AttributeValue={first}"
    );
    named.truncate(NAMED_MAX);
    let line = CheckLine::unknown("N13", format!("who changed {}, and when, was not read", named.join(", ")));
    Some(CheckLine { fix: Some(Arc::from(ask)), ..line })
}

fn is_id(word: &str) -> bool {
    KINDS.iter().any(|kind| word.strip_prefix(kind).is_some_and(|rest| rest.bytes().any(|byte| byte.is_ascii_digit())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_the_way_is_what_cloudtrail_is_asked_for() {
        let lines = [
            CheckLine::ok("N01", "rtb-1 leads to igw-1"),
            CheckLine::fail("N09", "sg-0a1 (and sg-0b2) lets no TCP 443 out", "allow it"),
            CheckLine::fail("N10", "acl-7, rule 90, denies what sg-0a1 lets out by tgw-9", "allow it"),
        ];
        let line = changed(&lines).unwrap();
        assert_eq!((line.id, line.verdict), ("N13", Mark::Unknown), "nothing follows from what nobody read");
        assert_eq!(&*line.text, "who changed sg-0a1, sg-0b2, acl-7, and when, was not read");
        assert!(line.fix.unwrap().ends_with("AttributeValue=sg-0a1"));
    }

    #[test]
    fn an_open_way_and_one_without_a_name_ask_nobody() {
        assert_eq!(changed(&[CheckLine::ok("N09", "sg-1 lets 443 out")]), None);
        assert_eq!(changed(&[CheckLine::fail("N02", "no public address of the sg-less host", "give it one")]), None);
    }
}
