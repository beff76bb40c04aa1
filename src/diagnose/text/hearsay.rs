//! Words that somebody writes about a message are not the message: quoted, denied, or as a condition of advice.

/// So far before the words a condition counts, in bytes.
const NEAR: usize = 80;

/// Whether a line in lower case only speaks of the words at a place in it. Asked for lines of which no agent, nor the kernel, is
/// known to be the author.
#[must_use]
pub(super) fn is_hearsay(line: &str, at: usize) -> bool {
    let Some(before) = line.get(..at) else { return false };
    let near = before.get(before.ceil_char_boundary(before.len().saturating_sub(NEAR))..).unwrap_or_default();
    let bare = near.trim_end();
    let unquoted = bare.trim_end_matches(['\'', '"', '`', '‘', '“', '«']);
    let (unquoted, quoted) = (unquoted.trim_end(), unquoted.len() < bare.len());
    // What is the value of a field, or an error passed on, stands in quotes as well.
    let value = unquoted.is_empty() || unquoted.ends_with([':', '=', '{', '[', ',', '\\']);
    if quoted && !value {
        return true;
    }
    let after = line.get(at..line.floor_char_boundary(at + NEAR)).unwrap_or_default();
    // Quoted at the beginning of a line, and spoken of behind the quotes.
    let behind = after.find(['\'', '"', '`', '’', '”', '»']).and_then(|end| after.get(end..));
    let spoken_of = behind.is_some_and(|rest| {
        let mut words = rest.chars().skip(1);
        words.next() == Some(' ') && words.next().is_some_and(char::is_alphabetic)
    });
    if quoted && unquoted.is_empty() && spoken_of {
        return true;
    }
    let last = unquoted.rsplit(|c: char| c.is_whitespace() || c == '(').next().unwrap_or_default();
    if ["no", "not", "never", "without", "zero", "any"].contains(&last) {
        return true;
    }
    let searched = ["grep ", "rg ", "awk ", "journalctl -g"].iter().any(|tool| near.contains(tool));
    // A message passed on stands after a colon; a condition does not reach over it.
    let clause = if unquoted.ends_with(':') { "" } else { unquoted.rsplit(": ").next().unwrap_or_default() };
    let clause = clause.trim_start_matches(|c: char| !c.is_alphabetic());
    let conditions =
        ["if ", "when ", "whenever ", "in case ", "unless ", "should ", "check ", "look for ", "make sure "];
    let condition = conditions.iter().any(|word| clause.starts_with(word) || clause.contains(&format!(" {word}")));
    let explained = [" means ", " mean ", " indicates ", " errors: 0"].iter().any(|word| after.contains(word));
    searched || condition || explained
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_denied_or_a_condition_is_hearsay() {
        let says = |line: &str, words: &str| is_hearsay(line, line.find(words).unwrap());
        for line in [
            "checked dmesg: no 'no space left on device' lines",
            "runbook: if a node reports no space left on device, prune its images",
            "the agent stops whenever the disk has no space left on device",
            "# dmesg | grep -i 'no space left on device'",
            "see the chapter about \"no space left on device\"",
            "\"no space left on device\" in /var/log/messages tells of a full disk",
            "no space left on device means that the disk is full",
            "disk: no space left on device errors: 0",
            "found no no space left on device",
        ] {
            assert!(says(line, "no space left on device"), "{line}");
        }
        for line in [
            "open /x: no space left on device",
            "failed when it wrote /x: no space left on device",
            "level=critical error=\"no space left on device\"",
            "{\"error\":\"no space left on device\"}",
            "no space left on device",
        ] {
            assert!(!says(line, "no space left on device"), "{line}");
        }
    }
}
