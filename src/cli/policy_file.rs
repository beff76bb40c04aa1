//! Reads policy documents from files, and shows what is wrong with them.

use std::fmt::Write as _;
use std::io::Read;
use std::path::Path;

use anyhow::Context;

use crate::policy::document::Document;
use crate::policy::tree::Finding;
use crate::policy::yaml::{self, MAX_BYTES};
use crate::policy::{Mode, Policy};

/// The longest part of a line that is shown, in characters.
const SHOWN_MAX: usize = 160;

/// The policy of a rehearsal, whose stack has mode `replace` unless another is given; the document goes no further.
///
/// A given mode stands for the stack's and for the one at the document's top.
pub(super) fn load(file: Option<&Path>, mode: Option<Mode>) -> anyhow::Result<Policy> {
    let stack = Policy::in_mode(mode.unwrap_or(Mode::Replace));
    let Some(file) = file else { return Ok(stack) };
    let document = document(file)?;
    let document = if mode.is_some() { document.without_mode() } else { document };
    Ok(document.under(&stack))
}

/// The document in a file.
pub(super) fn document(file: &Path) -> anyhow::Result<Document> {
    let bytes = bytes(file)?;
    yaml::read(&bytes).map_err(|findings| {
        let told: String = findings.iter().map(|finding| "\n".to_owned() + &shown(file, &bytes, finding)).collect();
        anyhow::anyhow!("failed to read the policy in {}:{told}", file.display())
    })
}

/// The bytes of a file, no more than a document can have and one; `-` is standard input.
pub(super) fn bytes(file: &Path) -> anyhow::Result<Vec<u8>> {
    bytes_up_to(file, MAX_BYTES)
}

/// The bytes of a file, at most one more than so many; `-` is standard input.
pub(super) fn bytes_up_to(file: &Path, most: usize) -> anyhow::Result<Vec<u8>> {
    let most = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    let context = || format!("failed to read {}", file.display());
    if file == Path::new("-") {
        std::io::stdin().lock().take(most).read_to_end(&mut bytes).with_context(context)?;
    } else {
        std::fs::File::open(file).with_context(context)?.take(most).read_to_end(&mut bytes).with_context(context)?;
    }
    Ok(bytes)
}

/// A finding with its file, and the line with a mark below.
pub(super) fn shown(file: &Path, bytes: &[u8], finding: &Finding) -> String {
    let mut text = format!("{}:{finding}", file.display());
    let row = usize::try_from(finding.at.line).unwrap_or(usize::MAX);
    let Some(line) = bytes.split(|byte| *byte == b'\n').nth(row.saturating_sub(1)) else { return text };
    let line = String::from_utf8_lossy(line);
    let line: String = line.trim_end().chars().take(SHOWN_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let column = usize::try_from(finding.at.column).unwrap_or(usize::MAX);
    if column <= line.chars().count() {
        let (number, gap, before) = (finding.at.line, " ".repeat(finding.at.line.to_string().len()), column - 1);
        // Writing to a `String` cannot fail.
        let _ = write!(text, "\n  {number} | {line}\n  {gap} | {}^", " ".repeat(before));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tree::Spot;

    #[test]
    fn without_a_document_everything_is_allowed_unless_a_mode_is_given() {
        assert_eq!(load(None, None).unwrap(), Policy::in_mode(Mode::Replace));
        assert_eq!(load(None, Some(Mode::Restart)).unwrap().mode, Mode::Restart);
    }

    #[test]
    fn a_finding_points_at_its_place() {
        let at = Spot { line: 2, column: 3 };
        let text = shown(Path::new("p.yaml"), b"a: 1\n  b: 2\r\nc: 3", &Finding { at, problem: "no".to_owned() });
        assert_eq!(text, "p.yaml:2:3: no\n  2 |   b: 2\n    |   ^");
    }

    #[test]
    fn a_line_that_would_colour_the_terminal_does_not() {
        let text = shown(Path::new("p"), b"\x1b[31m: 1", &Finding { at: Spot::START, problem: String::new() });
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }
}
