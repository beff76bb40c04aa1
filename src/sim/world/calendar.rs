//! Change calendars: open, but for the windows in which somebody closed them. One that nobody made is an open one here.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{World, moment};
use crate::node::DocumentName;
use crate::observe::{Calendar, Fact};
use crate::sim::machine::Secs;

/// When each calendar is closed: from a moment on, until another.
pub(crate) type Calendars = BTreeMap<DocumentName, Vec<(Secs, Secs)>>;

impl World {
    /// Somebody closes a calendar from a moment on, for so many seconds.
    pub fn close_calendar(&mut self, name: &DocumentName, from: Timestamp, secs: i64) {
        let window = (from.as_second(), from.as_second().saturating_add(secs));
        self.calendars.entry(name.clone()).or_default().push(window);
    }

    /// The windows of a calendar that hold at a moment.
    fn closing(&self, name: &DocumentName, at: Secs) -> impl Iterator<Item = (Secs, Secs)> + '_ {
        let windows = self.calendars.get(name).map_or(&[][..], Vec::as_slice);
        windows.iter().copied().filter(move |(from, until)| (*from..*until).contains(&at))
    }

    /// A calendar as `GetCalendarState` answers.
    pub(crate) fn calendar(&self, name: Option<&DocumentName>) -> Fact<Calendar> {
        let Some(name) = name else { return Fact::Absent };
        let now = self.now;
        let opens = self.closing(name, now).map(|(_, until)| until).max();
        let windows = self.calendars.get(name).map_or(&[][..], Vec::as_slice);
        let closes = windows.iter().map(|(from, _)| *from).filter(|from| *from > now).min();
        Fact::Known(Calendar { name: name.clone(), open: opens.is_none(), changes_at: opens.or(closes).map(moment) })
    }

    /// Since when a calendar has been closed at least; none where it is open.
    #[must_use]
    pub fn calendar_closed_since(&self, name: &DocumentName) -> Option<Timestamp> {
        self.closing(name, self.now).map(|(from, _)| from).min().map(moment)
    }
}
