//! `defib template`: the CloudFormation template that this version was made with.

use std::process::ExitCode;

use clap::ValueEnum;

use super::Ui;

/// The template as it lies in `infra/`.
const TEMPLATE: &str = include_str!("../../infra/template.yaml");
/// Between these two lines stand its Systems Manager documents.
const DOCUMENTS: (&str, &str) = ("  # documents: begin", "  # documents: end");
/// What the function waits for, so that the documents are there before it.
const NAMES: [&str; 2] = ["- ProbeDocument", "- RepairDocument"];

/// Print the CloudFormation template of this version.
#[derive(Debug, clap::Args)]
pub(super) struct TemplateArgs {
    /// Leave this out, for stand-ins that cannot hold it.
    #[arg(long, value_enum, value_name = "PART")]
    without: Option<Part>,
}

/// A part of the template that can be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The Systems Manager documents. The function then runs on documents that somebody else made, of the same names.
    Documents,
}

#[allow(clippy::unnecessary_wraps, reason = "every command answers like this")]
pub(super) fn run(args: &TemplateArgs, _ui: &Ui) -> anyhow::Result<ExitCode> {
    use std::io::Write;
    let text = match args.without {
        None => TEMPLATE.to_owned(),
        Some(Part::Documents) => without_documents(TEMPLATE),
    };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// The hash in the name of a document that the template makes, by how the name begins.
#[cfg(feature = "operate")]
pub(super) fn document_hash(kind: &str) -> Option<&'static str> {
    let name = TEMPLATE.split(kind).nth(1)?.split(|c: char| c.is_whitespace() || c == '"').next()?;
    name.rsplit('-').next().filter(|hash| !hash.is_empty() && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The template without its documents, and without what depends on them by name.
fn without_documents(template: &str) -> String {
    let (begin, end) = DOCUMENTS;
    let mut text = String::with_capacity(template.len());
    let mut inside = false;
    for line in template.lines() {
        inside |= line == begin;
        if !inside && !NAMES.contains(&line.trim()) {
            text.push_str(line);
            text.push('\n');
        }
        inside &= line != end;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "    Type: AWS::SSM::Document";

    #[test]
    fn without_its_documents_the_template_holds_everything_else() {
        let (whole, less) = (TEMPLATE, without_documents(TEMPLATE));
        let count = |text: &str, what: &str| text.matches(what).count();
        assert!(count(whole, DOCUMENT) >= 2);
        assert_eq!(count(&less, DOCUMENT), 0);
        let types = |text: &str| text.lines().filter(|line| line.starts_with("    Type: AWS::")).count();
        assert_eq!(types(&less), types(whole) - count(whole, DOCUMENT));
        for name in ["ProbeDocument", "RepairDocument"] {
            assert!(!less.contains(&format!("- {name}")) && !less.contains(&format!("!Ref {name}")), "{name}");
        }
        assert!(less.contains("DEFIB_PROBE_DOCUMENT"), "the function still knows their names");
    }
}
