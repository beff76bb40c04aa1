//! What a contender's bouts sum up to.

/// What was to be handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Schedule {
    /// Fleets.
    pub seeds: u64,
    /// Nodes in them.
    pub nodes: u64,
    /// Faults that some remedy cures.
    pub curable: u64,
    /// Faults that only a person can fix.
    pub person_only: u64,
    /// Faults that pass by themselves.
    pub passing: u64,
}

impl Schedule {
    pub(super) fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.nodes += other.nodes;
        self.curable += other.curable;
        self.person_only += other.person_only;
        self.passing += other.passing;
    }
}

/// How a contender did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Score {
    /// Seconds from the begin of each curable fault to the moment when its place was well again.
    pub repair_secs: Vec<i64>,
    /// Curable faults after which the place was never well again.
    pub never_repaired: u64,
    /// Places that were ill, drained, in Standby or empty at the end, those aside that only a person could have fixed.
    pub left_broken: u64,
    /// Disruptive actions that landed.
    pub disruptive: u64,
    /// Those that could not help: the fault forbids the action, is not cured by it, or was over.
    pub futile: u64,
    /// Those on a node that had been well for 90 seconds.
    pub healthy_touched: u64,
    /// Replacements of a node whose fault the new node had as well. They are futile, too.
    pub came_along: u64,
    /// Tasks on a node when a disruptive action landed on it.
    pub tasks_lost: u64,
    /// Faults for a person of which somebody was told while they were at work.
    pub told: u64,
    /// Faults for a person whose node was acted on disruptively.
    pub in_vain: u64,
    /// Messages to people.
    pub messages: u64,
}

impl Score {
    pub(super) fn merge(&mut self, mut other: Self) {
        self.repair_secs.append(&mut other.repair_secs);
        self.never_repaired += other.never_repaired;
        self.left_broken += other.left_broken;
        self.disruptive += other.disruptive;
        self.futile += other.futile;
        self.healthy_touched += other.healthy_touched;
        self.came_along += other.came_along;
        self.tasks_lost += other.tasks_lost;
        self.told += other.told;
        self.in_vain += other.in_vain;
        self.messages += other.messages;
    }

    /// Brings what was merged in any order into one order.
    pub(super) fn settle(&mut self) {
        self.repair_secs.sort_unstable();
    }

    /// The time to repair that this share of all curable faults did not exceed; none when fewer than that were ever
    /// repaired. A fault that was never repaired took longer than any other.
    #[must_use]
    pub fn repaired_within(&self, percent: u64) -> Option<i64> {
        self.at_rank(percent, self.faults())
    }

    /// The same of those faults only that were repaired.
    #[must_use]
    pub fn repaired_ones_within(&self, percent: u64) -> Option<i64> {
        self.at_rank(percent, self.repair_secs.len() as u64)
    }

    /// How many of a thousand curable faults were repaired.
    #[must_use]
    pub fn repaired_of_thousand(&self) -> u64 {
        self.repair_secs.len() as u64 * 1_000 / self.faults().max(1)
    }

    /// Curable faults that began.
    fn faults(&self) -> u64 {
        self.repair_secs.len() as u64 + self.never_repaired
    }

    fn at_rank(&self, percent: u64, of: u64) -> Option<i64> {
        let rank = (of * percent).div_ceil(100).max(1);
        self.repair_secs.get(usize::try_from(rank - 1).ok()?).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(repair_secs: &[i64], never_repaired: u64) -> Score {
        Score { repair_secs: repair_secs.to_vec(), never_repaired, ..Score::default() }
    }

    #[test]
    fn a_percentile_is_the_smallest_time_that_so_many_faults_kept() {
        let ten = score(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 0);
        assert_eq!((ten.repaired_within(50), ten.repaired_within(95)), (Some(5), Some(10)));
    }

    #[test]
    fn a_fault_that_was_never_repaired_counts_as_slower_than_all_others() {
        assert_eq!(score(&[10, 20], 2).repaired_within(50), Some(20));
        assert_eq!(score(&[10, 20], 2).repaired_within(95), None);
        assert_eq!(score(&[10, 20], 2).repaired_ones_within(95), Some(20));
        assert_eq!(score(&[10, 20], 2).repaired_of_thousand(), 500);
        assert_eq!(score(&[], 3).repaired_within(50), None);
        assert_eq!(score(&[], 0).repaired_within(50), None);
    }

    #[test]
    fn the_order_of_merging_does_not_matter() {
        let (mut left, mut right) = (score(&[3, 1], 1), score(&[2], 0));
        left.merge(score(&[2], 0));
        right.merge(score(&[3, 1], 1));
        left.settle();
        right.settle();
        assert_eq!(left, right);
    }
}
