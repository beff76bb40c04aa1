//! Moments and spans, without a clock.
//!
//! The pure part of the house is handed its `now`. These functions keep the arithmetic total: a sum that would leave the
//! range of [`Timestamp`] stays at its end, so no caller has to handle an error that no real clock can cause.

use jiff::{SignedDuration, Timestamp};

/// The moment `secs` seconds after `at`; negative values look back.
#[must_use]
pub fn after(at: Timestamp, secs: i64) -> Timestamp {
    let end = if secs < 0 { Timestamp::MIN } else { Timestamp::MAX };
    // Simpler than adding a duration, and it is done everywhere.
    let Some(second) = at.as_second().checked_add(secs) else { return end };
    if at.subsec_nanosecond() < 0 {
        return at.checked_add(SignedDuration::from_secs(secs)).unwrap_or(end);
    }
    Timestamp::new(second, at.subsec_nanosecond()).unwrap_or(end)
}

/// Whole seconds from `earlier` to `later`; negative when they are the other way round.
#[must_use]
pub fn secs_between(earlier: Timestamp, later: Timestamp) -> i64 {
    later.as_second().saturating_sub(earlier.as_second())
}

/// A span as people say it: `42s`, `6m41s`, `2h05m`, `3d04h`.
#[must_use]
pub fn spoken(secs: i64) -> String {
    let secs = secs.max(0);
    match secs {
        0..=59 => format!("{secs}s"),
        60..=3_599 => format!("{}m{:02}s", secs / 60, secs % 60),
        3_600..=86_399 => format!("{}h{:02}m", secs / 3_600, secs % 3_600 / 60),
        _ => format!("{}d{:02}h", secs / 86_400, secs % 86_400 / 3_600),
    }
}

/// A moment as people write it: `2026-11-20 15:16:37 UTC`.
#[must_use]
pub fn moment(at: Timestamp) -> String {
    let at = jiff::tz::Offset::UTC.to_datetime(at);
    let (year, month, day) = (at.year(), at.month(), at.day());
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", at.hour(), at.minute(), at.second())
}

/// Seconds of a span as people write it: a whole number with s, m, h or d; none where it is none.
#[must_use]
pub fn span(text: &str) -> Option<i64> {
    let unit = text.chars().last()?;
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    text.strip_suffix(unit)?.parse::<i64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_stay_inside_the_range_of_a_timestamp() {
        assert_eq!(after(Timestamp::MAX, 1), Timestamp::MAX);
        assert_eq!(after(Timestamp::MIN, -1), Timestamp::MIN);
        assert_eq!(secs_between(Timestamp::UNIX_EPOCH, after(Timestamp::UNIX_EPOCH, 90)), 90);
    }

    #[test]
    fn spans_read_like_speech() {
        let spoken_of = |secs| spoken(secs);
        assert_eq!(
            [spoken_of(-4), spoken_of(42), spoken_of(401), spoken_of(7_500), spoken_of(273_600)],
            ["0s", "42s", "6m41s", "2h05m", "3d04h"]
        );
    }
}
