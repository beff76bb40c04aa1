//! The change calendar: while it is closed, or cannot be read, nothing stops workload.

use super::{Refusal, Sight};
use crate::observe::{Blind, Fact, Observation};
use crate::policy::Policy;

/// Whether the change calendar that the policy names is open.
///
/// # Errors
/// The refusal, with the moment at which it opens where that is known.
pub fn open(seen: &Observation, policy: &Policy) -> Result<(), Refusal> {
    planted!(IgnoreCalendar => return Ok(()));
    let Some(name) = &policy.calendar else { return Ok(()) };
    let unread = |blind| Err(Refusal::CannotSee { what: Sight::Calendar, blind });
    match &seen.calendar {
        Fact::Known(calendar) if calendar.name != *name => unread(Blind::NotRead),
        Fact::Known(calendar) if calendar.open => Ok(()),
        Fact::Known(calendar) => Err(Refusal::CalendarClosed { name: name.clone(), until: calendar.changes_at }),
        // The look was taken before it was known which policy holds for the node.
        Fact::Absent => unread(Blind::NotRead),
        Fact::Unknown(blind) => unread(*blind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Calendar;
    use crate::observe::samples::{noon, seen};
    use crate::time::after;

    fn asked(calendar: Fact<Calendar>) -> String {
        let seen = seen(noon()).with(|seen| seen.calendar = calendar);
        let policy = Policy { calendar: Some("freeze".parse().unwrap()), ..Policy::default() };
        open(&seen, &policy).err().map(|refusal| refusal.to_string()).unwrap_or_default()
    }

    fn freeze(open: bool, changes_in: Option<i64>) -> Fact<Calendar> {
        let changes_at = changes_in.map(|secs| after(noon(), secs));
        Fact::Known(Calendar { name: "freeze".parse().unwrap(), open, changes_at })
    }

    #[test]
    fn a_closed_calendar_says_until_when() {
        assert_eq!(asked(freeze(true, None)), "");
        let words = "the change calendar freeze is closed until 2026-11-20 14:00:00 UTC";
        assert_eq!(asked(freeze(false, Some(7_200))), words);
        assert_eq!(asked(freeze(false, None)), "the change calendar freeze is closed");
    }

    #[test]
    fn an_unreadable_calendar_is_no_open_one() {
        let words = "could not read the change calendar: access denied";
        assert_eq!(asked(Fact::Unknown(Blind::Denied)), words);
        assert_eq!(asked(Fact::Absent), "could not read the change calendar: not asked for");
        let other = Calendar { name: "another".parse().unwrap(), open: true, changes_at: None };
        assert_eq!(asked(Fact::Known(other)), "could not read the change calendar: not asked for");
    }

    #[test]
    fn without_a_calendar_nobody_asks() {
        let seen = seen(noon()).with(|seen| seen.calendar = Fact::Unknown(Blind::Denied));
        assert_eq!(open(&seen, &Policy::default()), Ok(()));
    }
}
