//! The host's own routes, as `ip route` and `route -n` print them.

use super::super::super::{Cause, Helps};
use super::super::books::{Books, Sighting};
use super::super::signature::{Component, Weight};

/// Reads a table of routes.
#[derive(Debug, Default)]
pub(super) struct Routes {
    open: bool,
    /// The first route that was read.
    first: Option<String>,
    default: bool,
}

impl Routes {
    pub(super) fn line(&mut self, line: &str, books: &mut Books) {
        if asks(line) {
            self.finish(books);
            self.open = true;
        } else if self.open {
            let trimmed = line.trim();
            if trimmed.starts_with("default ") || trimmed.starts_with("0.0.0.0 ") {
                self.default = true;
            } else if is_route(trimmed) {
                self.first.get_or_insert_with(|| trimmed.to_owned());
            } else if !trimmed.starts_with("Destination") {
                self.finish(books);
            }
        }
    }

    /// DHCP gives every instance a default route; a table without one has lost it.
    pub(super) fn finish(&mut self, books: &mut Books) {
        let table = std::mem::take(self);
        let Some(first) = table.first.filter(|_| !table.default) else { return };
        let text = format!("the routes have no default: {first}");
        let sighting =
            Sighting::new("host.no-default-route", Component::Host, Cause::HostNetworkStack, Weight::Cause, &text);
        books.note(sighting.or(&[Cause::NetworkUnreachable]).helped(Helps::Unknown, Helps::No), None);
    }
}

/// Whether a line asks for the main table of IPv4, or is its heading.
fn asks(line: &str) -> bool {
    if !line.contains("ip ") && !line.contains("route") && !line.contains("IP routing") {
        return false;
    }
    if line.trim() == "Kernel IP routing table" {
        return true;
    }
    let command = line.rsplit_once(['$', '#', '+']).map_or(line, |(_, command)| command);
    let words: Vec<&str> = command
        .split_whitespace()
        .filter(|word| !matches!(*word, "sudo" | "-4") && word.chars().any(char::is_alphanumeric))
        .collect();
    matches!(
        words.as_slice(),
        ["ip", "r" | "ro" | "route"] | ["ip", "r" | "ro" | "route", "show" | "list" | "ls"] | ["route", "-n"]
    )
}

fn is_route(line: &str) -> bool {
    let address = line.split(['/', ' ']).next().is_some_and(|word| word.split('.').count() == 4);
    let columns = line.split_whitespace().count();
    address && (line.contains(" dev ") || (columns == 8 && line.contains("255.")))
}
