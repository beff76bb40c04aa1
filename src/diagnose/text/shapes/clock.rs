//! What chrony, ntpd and timedatectl say of the clock.

use super::super::super::Cause;
use super::super::books::{Books, Sighting};
use super::super::cut::cut;
use super::super::signature::{Component, Weight};

/// AWS refuses signatures that are more than five minutes off; a clock that is a minute off is on its way there.
const OFF_SECS: f64 = 60.0;
/// So much is worth a look.
const A_BIT_OFF_SECS: f64 = 1.0;

/// Looks for a clock that is off by a figure.
pub(super) fn line(line: &str, books: &mut Books) {
    let offset = if let Some((_, rest)) = cut(line, "System time") {
        // `System time     : 312.1 seconds slow of NTP time`
        rest.split_once(':').filter(|(_, rest)| rest.contains("seconds")).and_then(|(_, rest)| number(rest))
    } else if let Some((_, rest)) = cut(line, "System clock wrong by") {
        number(rest)
    } else if let Some((_, rest)) = cut(line, "System clock was stepped by") {
        number(rest)
    } else if let Some((_, rest)) = cut(line, "Can't synchronise: clock off by") {
        number(rest)
    } else if let Some((_, rest)) = cut(line, "Phase Offset:") {
        // `w32tm /query /status`
        number(rest.trim_start().trim_end_matches('s'))
    } else {
        stripchart(line)
    };
    if offset.is_some_and(|offset| offset.abs() < A_BIT_OFF_SECS) {
        let sighting = Sighting::new("host.clock-fine", Component::Host, Cause::Healthy, Weight::Noise, line);
        books.note(sighting, None);
    }
    if let Some(offset) = offset.filter(|offset| offset.abs() >= A_BIT_OFF_SECS) {
        let text = format!("the clock was off by {offset} s: {line}");
        let (id, weight) = if offset.abs() >= OFF_SECS {
            ("host.clock-off", Weight::Cause)
        } else {
            ("host.clock-a-bit-off", Weight::Symptom)
        };
        books.note(Sighting::new(id, Component::Host, Cause::ClockSkew, weight, &text), None);
    }
}

/// `04:00:01, +1824.1121871s`, a row of `w32tm /stripchart /dataonly`, or the same with `d:` and `o:` before its figures.
fn stripchart(line: &str) -> Option<f64> {
    if !line.ends_with(['s', ']']) {
        return None;
    }
    let (time, rest) = line.trim().split_once(' ')?;
    let of_clock = time.trim_end_matches(',').split(':').count() == 3 && time.starts_with(|c: char| c.is_ascii_digit());
    let figure = rest.split_whitespace().map(|word| word.trim_start_matches("o:")).find(|word| {
        (word.starts_with('+') || word.starts_with('-')) && word.ends_with('s') && !word.starts_with("d:")
    })?;
    of_clock.then(|| number(figure.trim_end_matches('s')))?
}

fn number(text: &str) -> Option<f64> {
    text.split_whitespace().next()?.trim_end_matches(',').parse().ok()
}
