//! `defib template`: the CloudFormation template that this version was made with.

use std::process::ExitCode;

use clap::ValueEnum;

use super::Ui;

/// The template as it lies in `infra/`.
const TEMPLATE: &str = include_str!("../../infra/template.yaml");
/// What tells a Systems Manager document in it.
const DOCUMENT: &str = "    Type: AWS::SSM::Document";

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

/// The template without its documents, and without what depends on them by name.
///
/// It works on lines: the file is ours, its resources stand two spaces in, and a test reads the result as YAML.
fn without_documents(template: &str) -> String {
    let mut blocks: Vec<Vec<&str>> = Vec::new();
    for line in template.lines() {
        let begins = line.starts_with(|c: char| c.is_ascii_alphabetic())
            || line.strip_prefix("  ").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic()));
        if begins || blocks.is_empty() {
            blocks.push(Vec::new());
        }
        if let Some(block) = blocks.last_mut() {
            block.push(line);
        }
    }
    let is_document = |block: &Vec<&str>| block.contains(&DOCUMENT);
    let names: Vec<String> = blocks
        .iter()
        .filter(|block| is_document(block))
        .filter_map(|block| block.first())
        .map(|line| line.trim().trim_end_matches(':').to_owned())
        .collect();
    let kept = blocks.into_iter().filter(|block| !is_document(block)).flatten();
    let mut text = String::with_capacity(template.len());
    for line in kept.filter(|line| !names.iter().any(|name| line.trim() == format!("- {name}"))) {
        text.push_str(line);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

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
