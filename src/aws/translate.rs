//! Small translations between the SDK's types and our own.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use crate::observe::Tags;
use crate::policy::Mode;

/// A moment of the SDK.
pub(super) fn moment(at: &aws_smithy_types::DateTime) -> Option<Timestamp> {
    i32::try_from(at.subsec_nanos()).ok().and_then(|nanos| Timestamp::new(at.secs(), nanos).ok())
}

/// A count; what is negative is none.
pub(super) fn count(number: i32) -> u32 {
    u32::try_from(number).unwrap_or_default()
}

/// How many; more than anybody counts stays at the end.
pub(super) fn number(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// A status as it is compared: the same one comes with spaces and without (facts/aws.md §2.1).
pub(super) fn plain(status: &str) -> String {
    status.chars().filter(|c| !c.is_whitespace() && *c != '_').flat_map(char::to_lowercase).collect()
}

/// Defib's tags among all. What cannot be read forbids: a mode that is none is `off`, a time that is none never comes.
pub(super) fn tags<'a>(all: impl IntoIterator<Item = (Option<&'a str>, Option<&'a str>)>) -> Tags {
    let mut tags = Tags::default();
    for (key, value) in all {
        let value = value.unwrap_or_default();
        match key {
            // Letter by letter, as IAM compares it: what the role may not touch is not opted in.
            Some("defib:managed") => tags.managed = value == "true",
            Some("defib:mode") => tags.mode = Some(value.trim().to_ascii_lowercase().parse().unwrap_or(Mode::Off)),
            Some("defib:mute-until") => tags.mute_until = Some(muted_until(value.trim()).unwrap_or(Timestamp::MAX)),
            Some(_) | None => {}
        }
    }
    tags
}

/// A moment, or a day: then to its end, by UTC.
fn muted_until(value: &str) -> Option<Timestamp> {
    let day = || value.parse::<Date>().ok()?.checked_add(1.day()).ok()?.to_zoned(TimeZone::UTC).ok();
    value.parse().ok().or_else(|| day().map(|day| day.timestamp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Tags {
        tags(pairs.iter().map(|(key, value)| (Some(*key), Some(*value))))
    }

    #[test]
    fn tags_say_what_they_say_and_what_cannot_be_read_forbids() {
        assert_eq!(read(&[("Name", "web-1")]), Tags::default());
        let good = read(&[("defib:managed", "true"), ("defib:mode", " Restart ")]);
        assert_eq!((good.managed, good.mode), (true, Some(Mode::Restart)));
        let bad = read(&[("defib:managed", "yes"), ("defib:mode", "gentle"), ("defib:mute-until", "soon")]);
        assert_eq!((bad.managed, bad.mode, bad.mute_until), (false, Some(Mode::Off), Some(Timestamp::MAX)));
        for other in ["True", "TRUE", " true", "1"] {
            assert!(!read(&[("defib:managed", other)]).managed, "{other:?}: IAM would refuse every change");
        }
    }

    #[test]
    fn a_mute_names_a_moment_or_a_day_to_its_end() {
        let until = |value| read(&[("defib:mute-until", value)]).mute_until.unwrap().to_string();
        assert_eq!(until("2026-11-20T12:00:00Z"), "2026-11-20T12:00:00Z");
        assert_eq!(until("2026-11-20"), "2026-11-21T00:00:00Z");
    }

    #[test]
    fn the_same_status_comes_in_three_spellings() {
        for spelling in ["Delivery Timed Out", "DeliveryTimedOut", "DELIVERY_TIMED_OUT"] {
            assert_eq!(plain(spelling), "deliverytimedout");
        }
    }
}
