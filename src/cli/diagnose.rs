//! `defib diagnose`: raw evidence becomes one cause.

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::{Ui, exit, paint};
use crate::diagnose::text::{Answer, Reader, Told, read};
use crate::diagnose::{Helps, Severity, name};

/// Name the cause that raw evidence shows: logs, journals, console output, output of tools, JSON of AWS.
///
/// Nothing is asked of AWS, nothing is changed. The text may be of any size and may hold any bytes.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("input").required(true).multiple(false))]
pub(super) struct DiagnoseArgs {
    /// A file with one text; `-` is standard input.
    #[arg(long, group = "input", value_name = "FILE")]
    text: Option<PathBuf>,
    /// A file with one object a line, `{"id","kind","text"}`; `-` is standard input.
    #[arg(long, group = "input", value_name = "FILE")]
    jsonl: Option<PathBuf>,
    /// What kind of text it is, such as `ssm-agent.log` or `console`; it helps where lines do not say who wrote them.
    #[arg(long, value_name = "KIND", requires = "text")]
    kind: Option<String>,
}

/// A line of `--jsonl`.
#[derive(Debug, Deserialize)]
struct Asked {
    #[serde(default)]
    id: serde_json::Value,
    #[serde(default)]
    kind: Option<String>,
    text: String,
}

/// An answer under its id.
#[derive(Debug, Serialize)]
struct Answered<'a> {
    id: &'a serde_json::Value,
    #[serde(flatten)]
    answer: &'a Answer,
}

/// What a line gets that is no question: nothing is known, and why.
#[derive(Debug, Serialize)]
struct Broken<'a> {
    #[serde(flatten)]
    answered: Answered<'a>,
    line: u64,
    error: String,
}

pub(super) fn run(args: &DiagnoseArgs, ui: &Ui) -> anyhow::Result<ExitCode> {
    match (&args.text, &args.jsonl) {
        (Some(file), _) => text(file, args.kind.as_deref(), ui),
        (None, Some(file)) => lines(file, ui),
        (None, None) => Ok(ExitCode::from(exit::USAGE)),
    }
}

fn open(file: &Path) -> anyhow::Result<Box<dyn Read>> {
    if file == Path::new("-") {
        return Ok(Box::new(std::io::stdin().lock()));
    }
    let opened = File::open(file).with_context(|| format!("failed to read {}", file.display()))?;
    Ok(Box::new(opened))
}

fn text(file: &Path, kind: Option<&str>, ui: &Ui) -> anyhow::Result<ExitCode> {
    let mut input = open(file)?;
    let mut reader = Reader::new(kind);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let read = match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error).with_context(|| format!("failed to read {}", file.display())),
        };
        reader.feed(buffer.get(..read).unwrap_or_default());
    }
    let answer = reader.finish();
    if ui.is_table() || (!ui.is_json() && std::io::stdout().is_terminal()) {
        page(&answer, ui)?;
    } else {
        let id = serde_json::Value::from(file.to_string_lossy());
        ui.object(&Answered { id: &id, answer: &answer })?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Answers line by line; a line that is no question costs only itself.
fn lines(file: &Path, ui: &Ui) -> anyhow::Result<ExitCode> {
    let mut input = BufReader::new(open(file)?);
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let (mut number, mut broken) = (0_u64, 0_u64);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let taken =
            input.read_until(b'\n', &mut bytes).with_context(|| format!("failed to read {}", file.display()))?;
        if taken == 0 {
            break;
        }
        number += 1;
        let line = String::from_utf8_lossy(&bytes);
        let line = line.trim_start_matches('\u{feff}').trim();
        if line.is_empty() {
            continue;
        }
        match serde_json::from_str::<Asked>(line) {
            Ok(asked) => {
                let answer = read_one(&asked);
                serde_json::to_writer(&mut out, &Answered { id: &asked.id, answer: &answer })?;
            }
            Err(error) => {
                broken += 1;
                ui.error(&format!("line {number} of {}: {error}", file.display()));
                let id = serde_json::from_str::<serde_json::Value>(line)
                    .ok()
                    .and_then(|value| value.get("id").cloned())
                    .unwrap_or_default();
                let answer = read(None, b"");
                let answered = Answered { id: &id, answer: &answer };
                serde_json::to_writer(&mut out, &Broken { answered, line: number, error: error.to_string() })?;
            }
        }
        out.write_all(b"\n")?;
    }
    out.flush()?;
    Ok(if broken > 0 { ExitCode::from(exit::ERROR) } else { ExitCode::SUCCESS })
}

fn read_one(asked: &Asked) -> Answer {
    read(asked.kind.as_deref(), asked.text.as_bytes())
}

/// The answer for people.
fn page(answer: &Answer, ui: &Ui) -> anyhow::Result<()> {
    let (head, faint) = (paint::HEAD, paint::FAINT);
    let percent = answer.confidence * 100.0;
    ui.line(&format!("{head}{}{head:#} ({}), {percent:.0} % sure", name(answer.cause), answer.cause))?;
    ui.line(&format!("  {}", answer.summary))?;
    if !answer.also.is_empty() {
        let also: Vec<String> = answer.also.iter().map(ToString::to_string).collect();
        ui.line(&format!("  or else: {}", also.join(", ")))?;
    }
    ui.line(&format!(
        "  a reboot {}; a restart of the agent {}",
        helps(answer.reboot_helps),
        helps(answer.restart_agent_helps)
    ))?;
    ui.line("")?;
    ui.line(&format!("{head}Evidence{head:#}"))?;
    for told in answer.findings.iter().take(12) {
        ui.line(&evidence(told))?;
        let rate = told.per_minute.map(|rate| format!(", {rate} a minute")).unwrap_or_default();
        let over = if told.over { ", over since" } else { "" };
        let often = if told.count == 1 { "once".to_owned() } else { format!("{} times", told.count) };
        ui.line(&format!("    {faint}line {}, {often}{rate}{over}: {}{faint:#}", told.line, told.evidence))?;
    }
    if answer.findings.is_empty() {
        ui.line("  none")?;
    }
    ui.line("")?;
    ui.line(&format!("{head}What to do{head:#}"))?;
    for step in &answer.advice {
        ui.line(&format!("  {step}"))?;
    }
    Ok(())
}

fn evidence(told: &Told) -> String {
    let style = match told.severity {
        Severity::Cause if !told.over => paint::BAD,
        Severity::Symptom if !told.over => paint::WARN,
        Severity::Cause | Severity::Symptom | Severity::Noise => paint::FAINT,
    };
    let meaning = if told.meaning.is_empty() { "" } else { told.meaning.as_str() };
    format!("  {style}{}{style:#} {} {meaning}", told.signature, told.cause)
}

fn helps(helps: Helps) -> &'static str {
    match helps {
        Helps::Yes => "helps",
        Helps::No => "does not help",
        Helps::AfterFix => "helps once the cause is repaired",
        Helps::Unknown => "may or may not help",
    }
}
