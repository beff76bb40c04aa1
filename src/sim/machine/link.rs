//! An agent's connection, as it is and as AWS shows it.

/// Seconds since the epoch. The world counts in whole seconds; typed moments live at its edge.
pub(crate) type Secs = i64;

/// Something that is up or down, and that AWS shows with a lag.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    /// Whether it is up in truth.
    pub up: bool,
    /// Since when.
    pub since: Secs,
    /// How long AWS takes to show it.
    lag: Secs,
    /// What AWS showed before that, and since when.
    before: bool,
    before_since: Secs,
    /// Counts the changes, so that what was planned for an older one can be dropped.
    pub generation: u32,
}

impl Link {
    /// One that has been up for a while, or never.
    pub(crate) fn new(up: bool, since: Secs) -> Self {
        Self { up, since, lag: 0, before: up, before_since: since, generation: 0 }
    }

    /// What AWS shows.
    pub(crate) fn shown(&self, now: Secs) -> bool {
        if now >= self.shown_at() { self.up } else { self.before }
    }

    /// Since when AWS has shown what it shows now.
    pub(crate) fn shown_since(&self, now: Secs) -> Secs {
        if self.up == self.before || now < self.shown_at() { self.before_since } else { self.shown_at() }
    }

    /// When AWS shows the newest change.
    pub(crate) fn shown_at(&self) -> Secs {
        self.since.saturating_add(self.lag)
    }

    /// Whether the newest change is one that AWS has to show.
    pub(crate) fn differs(&self) -> bool {
        self.up != self.before
    }

    /// Goes up or down. Answers whether anything changed.
    pub(crate) fn turn(&mut self, up: bool, now: Secs, lag: Secs) -> bool {
        if self.up == up {
            return false;
        }
        (self.before, self.before_since) = (self.shown(now), self.shown_since(now));
        (self.up, self.since, self.lag) = (up, now, lag);
        self.generation = self.generation.wrapping_add(1);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aws_shows_a_change_after_its_lag() {
        let mut link = Link::new(true, 0);
        assert!(link.turn(false, 100, 30));
        assert!(link.shown(129) && !link.shown(130));
        assert_eq!((link.shown_since(129), link.shown_since(140)), (0, 130));
    }

    #[test]
    fn a_blip_shorter_than_the_lag_is_never_shown() {
        let mut link = Link::new(true, 0);
        link.turn(false, 100, 30);
        link.turn(true, 110, 5);
        assert!((100..200).all(|now| link.shown(now)));
        assert_eq!(link.shown_since(150), 0);
    }
}
