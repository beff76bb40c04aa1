//! Output that has a shape is read as what it is: tables, units, JSON.

use super::books::Books;
use super::place::Place;

mod aws;
mod clock;
mod diagnostics;
mod disk;
mod docker;
mod iostat;
mod json;
mod load;
mod network;
mod policies;
mod probe;
mod processes;
mod renamed;
mod routes;
mod shell;
mod unit;
mod windows;

pub(super) use json::{Block, Taken, read};
pub(super) use probe::passed_on;

/// The readers of shapes. Each sees every line.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    disk: disk::Disk,
    disks: iostat::Disks,
    load: load::Load,
    units: unit::Units,
    sections: probe::Sections,
    shell: shell::Shell,
    processes: processes::Processes,
    containers: docker::Containers,
    checks: diagnostics::Table,
    outline: renamed::Outline,
    services: windows::Services,
    routes: routes::Routes,
}

impl Shapes {
    /// Looks at a line.
    pub(super) fn look(&mut self, line: &str, books: &mut Books) {
        // Most lines of a log are longer than any line of a table, and none of the shapes needs them.
        if line.len() > 2_048 {
            return;
        }
        self.disk.line(line, books);
        self.disks.line(line, books);
        self.load.line(line, books);
        self.units.line(line, books);
        self.sections.line(line);
        self.shell.line(line, books);
        self.processes.line(line, books);
        self.containers.line(line, books);
        self.checks.line(line, books);
        self.outline.line(line, books);
        self.services.line(line);
        self.routes.line(line, books);
        clock::line(line, books);
    }

    /// A program of that kind speaks in the text.
    pub(super) fn speaks(&mut self, place: Place) {
        self.units.speaks(place);
    }

    /// Says what only the end shows.
    pub(super) fn finish(&mut self, place: Place, books: &mut Books) {
        self.disk.finish(books);
        self.load.finish(books);
        self.sections.finish(books);
        self.units.finish(place, books);
        self.checks.finish(books);
        self.services.finish(books);
        self.routes.finish(books);
    }
}

/// The number at the beginning of a text, such as `97` of `97%`.
fn leading_number(text: &str) -> Option<f64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    text.get(..end)?.parse().ok()
}
