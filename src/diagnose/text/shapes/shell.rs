//! What a person typed and what came of it: the command names the target, curl's and timeout's codes say what is wrong.

use super::super::cut::cut;
use std::collections::VecDeque;

use super::super::super::{Cause, Helps};
use super::super::books::{Books, Sighting};
use super::super::owner::foreign_host;
use super::super::place::{self, Place};
use super::super::signature::{Component, Weight};
use super::unit;

/// What curl ends with where a certificate or the handshake is the trouble: <https://curl.se/libcurl/c/libcurl-errors.html>.
const TLS: [u32; 8] = [35, 51, 53, 58, 59, 60, 77, 83];
/// More units are not asked for in one line.
const UNITS_MAX: usize = 16;
/// What `systemctl is-active` and `is-enabled` answer.
const ANSWERS: [&str; 14] = [
    "active",
    "inactive",
    "failed",
    "activating",
    "deactivating",
    "unknown",
    "enabled",
    "disabled",
    "masked",
    "static",
    "indirect",
    "generated",
    "not-found",
    "enabled-runtime",
];

/// What was asked last.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Target {
    #[default]
    Unknown,
    Metadata,
    EcsAgent,
    Docker,
    Aws,
    /// Somebody else's host, by HTTPS: its certificate is its own matter.
    Other,
}

/// Reads a person's terminal.
#[derive(Debug, Default)]
pub(super) struct Shell {
    target: Target,
    /// The units that `systemctl is-active` or `is-enabled` was asked for, as far as the answers are still to come.
    asked: VecDeque<String>,
    /// What the line before shall print of a request: `curl … ; echo $?`, `curl … -w '%{http_code}'`.
    shown: Option<Shown>,
    /// The role's name was asked of the metadata service.
    asked_role: bool,
}

/// A bare figure that tells how a request went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// The exit code of curl.
    CurlCode,
    /// The status of HTTP, `000` where there was none.
    HttpStatus,
}

impl Shell {
    pub(super) fn line(&mut self, line: &str, books: &mut Books) {
        let trimmed = line.trim();
        self.units(trimmed, books);
        link(trimmed, books);
        if let Some((before, rest)) = cut(trimmed, "curl: (") {
            // What an application calls is its own matter.
            if !before.is_empty() && place::stamp(trimmed).place == Some(Place::Application) {
                return;
            }
            let code = rest.split_once(')').and_then(|(code, _)| code.parse::<u32>().ok());
            self.target = target(rest).unwrap_or(self.target);
            if let Some(code) = code {
                self.curl(code, trimmed, books);
            }
            return;
        }
        let shown = self.shown;
        self.named_in(trimmed);
        let code = trimmed.strip_prefix("rc=").or_else(|| trimmed.strip_prefix("exit code ")).unwrap_or(trimmed);
        self.figure(shown, code, books);
        self.answered(trimmed, books);
        if self.target == Target::Docker && code == "124" {
            let sighting = Sighting::new(
                "host.docker-timeout",
                Component::Docker,
                Cause::RuntimeDockerHung,
                Weight::Cause,
                "a docker command ran into its time limit",
            );
            books.note(sighting.at(Place::Docker), None);
        }
    }

    /// One answer a line, in the order in which the units were named.
    fn units(&mut self, line: &str, books: &mut Books) {
        if !line.contains(" is-active ") && !line.contains(" is-enabled ") {
            if let Some(unit) = self.asked.pop_front() {
                if ANSWERS.contains(&line) {
                    unit::said(&unit, line, books);
                } else {
                    self.asked.clear();
                }
            }
            return;
        }
        self.asked.clear();
        for command in line.split([';', '|', '&']) {
            let named = cut(command, " is-active ").or_else(|| cut(command, " is-enabled "));
            let units = named.into_iter().flat_map(|(_, units)| units.split_whitespace());
            let units = units.filter(|unit| !unit.starts_with(['-', '#', '>', '2'])).map(str::to_owned);
            self.asked.extend(units.take(UNITS_MAX));
        }
    }

    fn named_in(&mut self, line: &str) {
        let typed = ["$ ", "# ", "curl ", "> ", "*   Trying", "timeout "].iter().any(|mark| line.contains(mark));
        if typed {
            self.target = target(line).unwrap_or(self.target);
            self.asked_role = line.contains("iam/security-credentials");
            self.shown = if !line.contains("curl") && !line.contains("/dev/tcp/") {
                None
            } else if line.contains("http_code") {
                Some(Shown::HttpStatus)
            } else if line.contains("$?") {
                Some(Shown::CurlCode)
            } else {
                None
            };
        }
    }

    /// What a request shows of itself where it was told to be silent. `timeout` ends with 124 what curl would end with 28.
    fn figure(&self, shown: Option<Shown>, line: &str, books: &mut Books) {
        let known = matches!(self.target, Target::Metadata | Target::EcsAgent | Target::Aws);
        match shown {
            // `echo "ssm $?"` prints a name before it.
            Some(Shown::CurlCode) if line.split_whitespace().count() <= 3 => match last_word(line).parse::<u32>() {
                Ok(124) => self.curl(28, "the request ran into its time limit", books),
                Ok(code) if code > 0 && known => self.curl(code, &format!("curl ended with code {code}"), books),
                Ok(_) | Err(_) => {}
            },
            Some(Shown::HttpStatus) if line.split_whitespace().count() <= 4 => {
                let status = |wanted: &str| line.split_whitespace().any(|word| word == wanted);
                if known && status("000") {
                    self.curl(28, &format!("the request got no answer: {line}"), books);
                } else if self.target == Target::Metadata && status("403") {
                    // Without a token it answers 401, and that is well.
                    self.curl(28, "metadata answers 403: it is turned off", books);
                }
            }
            Some(Shown::CurlCode | Shown::HttpStatus) | None => {}
        }
    }

    /// What other tools answered.
    fn answered(&self, line: &str, books: &mut Books) {
        let failed = ["timed out", "can't connect", "refused", "No route"].iter().any(|word| line.contains(word));
        if line.starts_with("wget: ") && failed && self.target == Target::Metadata {
            self.curl(28, line, books);
        }
        // PowerShell's words for whatever went wrong, on a line that does not name what was asked.
        let refused = ["Unable to connect to the remote server", "The operation has timed out"];
        if self.target == Target::Metadata && refused.iter().any(|word| line.contains(word)) {
            self.curl(28, line, books);
        }
        if self.asked_role && self.target == Target::Metadata && line.contains("404 - Not Found") {
            let cause = Cause::IdentityNoInstanceProfile;
            let text = "metadata knows no role: it answers 404 for iam/security-credentials";
            books.note(Sighting::new("shell.no-role", Component::Agent, cause, Weight::Cause, text), None);
        }
    }

    /// What a code of curl means for the node.
    fn curl(&self, code: u32, line: &str, books: &mut Books) {
        let (id, cause, component, place) = match (self.target, code) {
            (_, 5) => ("curl.proxy", Cause::NetworkProxy, Component::Agent, Place::Unknown),
            (_, 56) if line.contains("407") || line.contains("from proxy") => {
                ("curl.proxy", Cause::NetworkProxy, Component::Agent, Place::Unknown)
            }
            (_, code) if TLS.contains(&code) => ("curl.tls", Cause::NetworkTls, Component::Agent, Place::Unknown),
            (_, 6) => ("curl.name", Cause::NetworkDns, Component::Agent, Place::Unknown),
            (Target::Metadata, 7 | 28 | 52 | 56) => {
                ("curl.metadata", Cause::IdentityImdsUnreachable, Component::Agent, Place::Unknown)
            }
            (Target::EcsAgent, 28 | 52 | 56) => {
                ("curl.ecs-agent", Cause::EcsAgentHung, Component::EcsAgent, Place::Ecs)
            }
            // Refused: the sections of a probe, or the unit, say whether it runs.
            (Target::EcsAgent | Target::Docker, _) => return,
            (Target::Aws | Target::Other | Target::Unknown, 7 | 28 | 52 | 55 | 56) => {
                ("curl.unreachable", Cause::NetworkUnreachable, Component::Agent, Place::Unknown)
            }
            (Target::Metadata | Target::Aws | Target::Other | Target::Unknown, _) => return,
        };
        let weight = match self.target {
            Target::Other if TLS.contains(&code) => Weight::Noise,
            // Nobody knows whose certificate it was.
            Target::Unknown if TLS.contains(&code) => Weight::Symptom,
            Target::Unknown | Target::Metadata | Target::EcsAgent | Target::Docker | Target::Aws | Target::Other => {
                Weight::Cause
            }
        };
        let sighting = Sighting::new(id, component, cause, weight, line).at(place);
        let sighting =
            if cause == Cause::EcsAgentHung { sighting.helped(Helps::Unknown, Helps::Yes) } else { sighting };
        books.note(sighting, None);
    }
}

/// An interface of the host, not of a container, that is down: `ens5  DOWN ...`, `2: ens5: <...> state DOWN ...`.
fn link(line: &str, books: &mut Books) {
    let mut words = line.split_whitespace();
    let name = words.next().filter(|word| !word.ends_with(':')).or_else(|| words.next()).unwrap_or_default();
    let own = ["eth", "ens", "enp", "enX"]
        .iter()
        .any(|kind| name.strip_prefix(kind).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())));
    let down = words.next() == Some("DOWN") || line.contains("state DOWN");
    if own && down && line.len() < 300 {
        let text = format!("the interface is down: {line}");
        books.note(
            Sighting::new("host.link-down", Component::Host, Cause::HostNetworkStack, Weight::Cause, &text),
            None,
        );
    }
}

fn last_word(line: &str) -> &str {
    line.split_whitespace().next_back().unwrap_or_default()
}

/// What a line speaks to.
fn target(line: &str) -> Option<Target> {
    let names = |words: &[&str]| words.iter().any(|word| line.contains(word));
    if names(&["169.254.169.254"]) {
        Some(Target::Metadata)
    } else if names(&[":51678", " port 51678"]) {
        Some(Target::EcsAgent)
    } else if names(&["amazonaws.com"]) {
        Some(Target::Aws)
    } else if names(&["docker ps", "docker info", "docker version", "ctr "]) {
        Some(Target::Docker)
    } else if foreign_host(line) {
        Some(Target::Other)
    } else {
        None
    }
}
