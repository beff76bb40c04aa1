//! `ssm-cli get-diagnostics`, as JSON and as a table.
//!
//! What it says is not all true: it tests TCP only, no permissions, and calls a stopped agent running (facts/host.md §1 and §7.4).
//! So only what it calls failed is evidence, and all checks passed is a weak sign of health.

use super::super::super::{Cause, Helps};
use super::super::books::{Books, Sighting};
use super::super::place::Place;
use super::super::signature::{Component, Weight};

/// Reads the table.
#[derive(Debug, Default)]
pub(super) struct Table {
    row: Option<(String, String, String)>,
}

impl Table {
    pub(super) fn line(&mut self, line: &str, books: &mut Books) {
        let Some(mark) = ['│', '|'].into_iter().find(|&mark| line.trim_start().starts_with(mark)) else { return };
        let cells: Vec<&str> = line.trim().trim_matches(mark).split(mark).map(str::trim).collect();
        let [check, status, note] = cells.as_slice() else { return };
        if matches!(*status, "Success" | "Failed" | "Skipped") {
            self.finish(books);
            self.row = Some(((*check).to_owned(), (*status).to_owned(), (*note).to_owned()));
        } else if status.is_empty()
            && let Some((name, _, text)) = &mut self.row
            && text.len() < 2_048
        {
            // The table wraps what is long.
            for (cell, more) in [(name, check), (text, note)] {
                if !more.is_empty() {
                    cell.push(' ');
                    cell.push_str(more);
                }
            }
        }
    }

    pub(super) fn finish(&mut self, books: &mut Books) {
        if let Some((name, status, note)) = self.row.take() {
            check(&name, &status, &note, books);
        }
    }
}

/// One check of the tool.
pub(super) fn check(name: &str, status: &str, note: &str, books: &mut Books) {
    let text = format!("{name}: {status}: {note}");
    if status != "Failed" {
        let sighting = Sighting::new("ssm-cli.passed", Component::SsmCli, Cause::Healthy, Weight::Noise, &text);
        return books.note(sighting.at(Place::Ssm), None);
    }
    let low = note.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| low.contains(word));
    let (cause, weight) = if name.contains("IMDS") {
        (Cause::IdentityImdsUnreachable, Weight::Cause)
    } else if name.contains("Connectivity") {
        // A proxy's own name that does not resolve is the proxy's fault.
        let cause = if has(&["proxyconnect", "proxy authentication"]) {
            Cause::NetworkProxy
        } else if has(&["too many open files"]) {
            Cause::HostOpenFilesExhausted
        } else if has(&["no such host", "lookup ", "server misbehaving", "could not be resolved", "name resolution"]) {
            Cause::NetworkDns
        } else if has(&["x509", "certificate", "tls"]) {
            Cause::NetworkTls
        } else {
            Cause::NetworkUnreachable
        };
        let needed = ["ssm endpoint", "ssmmessages"].iter().any(|endpoint| name.contains(endpoint));
        // The agent does without the others: ec2messages is the way of older ones, s3 to logs serve some documents.
        let weight = if needed {
            Weight::Cause
        } else if name.contains("ec2messages") {
            Weight::Symptom
        } else {
            Weight::Noise
        };
        (cause, weight)
    } else if name.contains("Credentials") {
        credentials(&low)
    } else if name.contains("Agent service") {
        let cause = if has(&["expected user", "unexpected user"]) {
            Cause::SsmAgentMisconfigured
        } else {
            Cause::SsmAgentStopped
        };
        (cause, Weight::Cause)
    } else if name.contains("Hybrid") {
        (Cause::IdentityRegistrationMismatch, Weight::Cause)
    } else if name.contains("Proxy") {
        (Cause::NetworkProxy, Weight::Cause)
    } else if name.contains("sysprep") {
        // Without IMAGE_STATE_COMPLETE the service stays where it starts (facts/checks.md S20).
        (Cause::SsmAgentMisconfigured, Weight::Cause)
    } else {
        (Cause::Unknown, Weight::Noise)
    };
    let id = format!("ssm-cli.{}", name.to_ascii_lowercase().replace(' ', "-"));
    let mut sighting = Sighting::new(&id, Component::SsmCli, cause, weight, &text).at(Place::Ssm);
    if cause == Cause::SsmAgentStopped {
        let missing = has(&["unable to find", "not installed", "not found"]);
        sighting =
            if missing { sighting.helped(Helps::No, Helps::No) } else { sighting.helped(Helps::Yes, Helps::Yes) };
    }
    books.note(sighting, None);
}

fn credentials(note: &str) -> (Cause, Weight) {
    let has = |words: &[&str]| words.iter().any(|word| note.contains(word));
    if has(&["signature expired", "not yet current", "requestexpired", "tooskewed"]) {
        (Cause::ClockSkew, Weight::Cause)
    } else if has(&["expiredtoken", "invalidclienttokenid", "unrecognizedclient", "token included in the request is"]) {
        (Cause::IdentityCredentialsExpired, Weight::Cause)
    } else if has(&["expired", "will expire"]) {
        (Cause::IdentityCredentialsExpired, Weight::Symptom)
    } else if has(&[
        "no ec2 instance role",
        "ec2rolerequesterror",
        "nocredentialproviders",
        "no valid providers",
        "404",
    ]) {
        (Cause::IdentityNoInstanceProfile, Weight::Cause)
    } else if has(&["accessdenied", "not authorized", "unauthorized"]) {
        (Cause::IdentityAccessDenied, Weight::Cause)
    } else if has(&["no such host"]) {
        (Cause::NetworkDns, Weight::Symptom)
    } else if has(&["x509", "certificate"]) {
        (Cause::NetworkTls, Weight::Cause)
    } else if has(&["timed out", "timeout"]) {
        // Where the VPC has no endpoint for STS this is normal.
        (Cause::Unknown, Weight::Noise)
    } else {
        (Cause::IdentityNoInstanceProfile, Weight::Symptom)
    }
}
