//! Deliberate faults, to see whether the promises would notice. Only in builds with the Cargo feature `plants`.
//!
//! Each plant breaks one rule of the product at the place where it is kept. What is chosen holds for one thread, so that many
//! schedules can run side by side, and nothing is planted while a schedule is judged: a broken rule must not judge itself.
//! Without a choice everything behaves as usual. `docs/PLANTS.md` says which promise catches which plant, and how soon.

use std::cell::Cell;
use std::fmt;

thread_local! {
    static CHOSEN: Cell<Option<Plant>> = const { Cell::new(None) };
}

/// Writes the enum, its names and what each plant breaks from one table.
macro_rules! plants {
    ($($plant:ident, $name:literal, $about:literal;)*) => {
        /// A deliberate fault.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Plant {
            $(#[doc = $about] $plant,)*
        }

        impl Plant {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$plant,)*];

            /// Its name on the command line.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$plant => $name,)* }
            }

            /// What it breaks.
            #[must_use]
            pub fn about(self) -> &'static str {
                match self { $(Self::$plant => $about,)* }
            }
        }
    };
}

plants! {
    NoCompareAndSet, "no-compare-and-set", "A commit is saved whatever is stored by now.";
    VersionOnlyCompare, "version-only-compare", "A new incident does not check whether the node has an open one.";
    SecondIncident, "second-incident", "A node's open incident is not found, and another one opens.";
    PerformAfterConflict, "perform-after-conflict", "Whoever loses the compare-and-set sends its effect all the same.";
    PerformBeforeCommit, "perform-before-commit", "The effect is sent before its intent is saved.";
    PublishBeforeCommit, "publish-before-commit", "People are told before what they are told is saved.";
    NoPrecheck, "no-precheck", "An effect is sent, though its time has passed.";
    OldReads, "old-reads", "An intent may be sent for five minutes, however old its reads.";
    RedoOrphan, "redo-orphan", "An intent that nobody knows the end of is sent again.";
    BurnTooEarly, "burn-too-early", "An intent is given up while its call may still be on the way.";
    NoOwnCommandFilter, "no-own-command-filter", "Trouble with our own documents opens incidents.";
    UnknownIsDead, "unknown-is-dead", "A look without an answer counts as a dead node.";
    NoSightGate, "no-sight-gate", "What could not be read stands in nobody's way.";
    TrustOldProbe, "trust-old-probe", "A lost probe proves silence for ever.";
    SuspicionIsProof, "suspicion-is-proof", "Signs of trouble are enough to cycle a node.";
    OneLookIsEnough, "one-look-is-enough", "An ECS agent that was away in a single look is enough to cycle a node.";
    NoBudget, "no-budget", "Any number of disruptive remedies at once.";
    NoRate, "no-rate", "Any number of disruptive remedies in an hour and a day.";
    IgnoreQuarantine, "ignore-quarantine", "A node in quarantine is cycled once its rates allow it.";
    BadPolicyActs, "bad-policy-acts", "While no good policy document is there, the last good mode goes on.";
    TellBadPolicyAgain, "tell-bad-policy-again", "A bad policy document is told at every pass.";
    PermitsNeverFreed, "permits-never-freed", "Permits stay taken after the remedy.";
    PermitsFreedEarly, "permits-freed-early", "A drained node gives its permits back.";
    NoCooldown, "no-cooldown", "One attempt right after the other.";
    CooldownOfOneIncident, "cooldown-of-one-incident", "The cooldown begins anew with each incident of a node.";
    NoHoldDown, "no-hold-down", "Two looks, and the remedy.";
    NoLaunchGrace, "no-launch-grace", "A node is treated while it still boots.";
    IgnoreOptOut, "ignore-opt-out", "The tag defib:mode=off is not read.";
    IgnoreOptIn, "ignore-opt-in", "The tag defib:managed is not needed.";
    IgnoreGroupTags, "ignore-group-tags", "What the tags of group and cluster forbid is not read.";
    IgnoreMute, "ignore-mute", "A mute is not read.";
    IgnorePause, "ignore-pause", "The kill switch is not read.";
    IgnoreDarkSwitch, "ignore-dark-switch", "A kill switch that cannot be read counts as running.";
    IgnoreModeTags, "ignore-mode-tags", "Tags lower no mode.";
    ActInObserve, "act-in-observe", "Mode observe acts.";
    BeyondTheMode, "beyond-the-mode", "Any remedy in any mode that acts.";
    IgnoreApproval, "ignore-approval", "Nobody is asked.";
    ForgetWhoApproved, "forget-who-approved", "Nobody writes down who approved a remedy.";
    AnyApprovalWillDo, "any-approval-will-do", "Leave for one remedy counts for another.";
    IgnoreOtherWork, "ignore-other-work", "Somebody's command or patching on the node does not matter.";
    IgnoreRefresh, "ignore-refresh", "An instance refresh of the group does not matter.";
    IgnoreCauseTable, "ignore-cause-table", "The policy's table of causes allows everything.";
    IgnoreSessions, "ignore-sessions", "Live sessions are cut.";
    NoUnhealthyStop, "no-unhealthy-stop", "Nobody minds how much of a group is unhealthy.";
    NoZoneFreeze, "no-zone-freeze", "Nobody minds how much of a zone is unhealthy.";
    TakeTheLastOfAZone, "take-the-last-of-a-zone", "The last node that serves in its zone is cycled like any other.";
    EndStandaloneTasks, "end-standalone-tasks", "Tasks that nobody starts again are ended.";
    EndProtectedTasks, "end-protected-tasks", "Tasks under scale-in protection are ended.";
    BelowTheServiceMinimum, "below-the-service-minimum", "A service may fall below its minimumHealthyPercent.";
    ForgetStoppingTasks, "forget-stopping-tasks", "A drain is over while its tasks still serve their last requests.";
    GoOnAnyway, "go-on-anyway", "Tasks that a drain did not end are ended, whatever the policy says.";
    IgnoreStopGates, "ignore-stop-gates", "What a stop would destroy is stopped all the same.";
    IgnoreGroup, "ignore-group", "A group that lets nothing happen is not asked.";
    IgnoreCalendar, "ignore-calendar", "A closed change calendar is not read.";
    NoCapacityFloor, "no-capacity-floor", "Members that are missing already leave the budget as it is.";
    RebootForIdentity, "reboot-for-identity", "A node without credentials is rebooted.";
    RestartFutile, "restart-futile", "Agents are restarted against network, clock and configuration.";
    LadderDown, "ladder-down", "After a remedy that failed, gentler ones are tried again.";
    TriesForEver, "tries-for-ever", "A remedy that failed is tried again and again.";
    NoFence, "no-fence", "A replaced node is deregistered while it still runs.";
    ForgetDrain, "forget-drain", "A drained node is not given back.";
    LeaveStopped, "leave-stopped", "A stopped node is not started again.";
    StartOnce, "start-once", "A stopped node whose start was refused is left to people.";
    LeaveInStandby, "leave-in-standby", "A node in Standby is not brought back into service.";
    OwnStopIsGone, "own-stop-is-gone", "Our own stop or termination ends the incident as gone.";
    NoSweep, "no-sweep", "The sweep finds nothing.";
    NoOverdue, "no-overdue", "The sweep does not look for lost timers.";
    ParkForEver, "park-for-ever", "A parked incident waits without a limit.";
    NoTimeLimit, "no-time-limit", "An incident may take any time.";
    ForgetReport, "forget-report", "Reports are not saved with the record.";
    NeverMarkSent, "never-mark-sent", "A sent report is never marked as sent.";
    NewReportId, "new-report-id", "A report that is sent again carries another id.";
    NoBreaker, "no-breaker", "Nothing opens the breaker.";
    IgnoreBreaker, "ignore-breaker", "An open breaker stops nobody.";
    ManyCanaries, "many-canaries", "Everybody passes a half-open breaker.";
    BreakerNeverCloses, "breaker-never-closes", "An open breaker that nobody needs stays open.";
    IgnoreSharedCause, "ignore-shared-cause", "Nodes that fail together are cycled one by one.";
    UnsentCounts, "unsent-counts", "A remedy that was drained for and never sent counts as one.";
    FailedCanaryCloses, "failed-canary-closes", "A canary that did not help closes the breaker, too.";
    ObserveForEver, "observe-for-ever", "What is quiet stays so, whatever Defib may do by now.";
    ReopenAfterReplace, "reopen-after-replace", "What is left of a replaced node opens an incident when EC2 does not say that it is gone.";
    ForgetTheShelf, "forget-the-shelf", "Nobody takes from the shelf what waits there for a place.";
    NoActiveCap, "no-active-cap", "Any number of incidents is worked on at once.";
    NoBaseline, "no-baseline", "What was dead long before opens incidents.";
    DigestEachSweep, "digest-each-sweep", "A digest with every sweep.";
    ForgetPolicyNews, "forget-policy-news", "Nobody is told that the policy document cannot be used.";
    ForgetGathered, "forget-gathered", "Gathered reports are told in the first digest only.";
    OpenUnknown, "open-unknown", "An id that AWS does not know opens an incident.";
    BelieveElsewhere, "believe-elsewhere", "Events of other accounts and regions are let in.";
    GiveUpEarly, "give-up-early", "The ladder ends before its last rung.";
    NeverProbe, "never-probe", "No host is ever asked.";
    SlowSweep, "slow-sweep", "Two of three sweeps find nothing.";
    NoProof, "no-proof", "A remedy counts as helpful once it was sent.";
}

impl fmt::Display for Plant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A text that names no plant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a planted bug")]
pub struct NotAPlant;

impl std::str::FromStr for Plant {
    type Err = NotAPlant;

    fn from_str(text: &str) -> Result<Self, NotAPlant> {
        Self::ALL.iter().copied().find(|plant| plant.as_str() == text).ok_or(NotAPlant)
    }
}

/// What is planted on this thread.
#[must_use]
pub fn chosen() -> Option<Plant> {
    CHOSEN.get()
}

/// Whether this one is planted on this thread.
pub(crate) fn on(plant: Plant) -> bool {
    CHOSEN.get() == Some(plant)
}

/// Plants this on the current thread until it is dropped; none: nothing.
#[derive(Debug)]
#[must_use = "it is dug up again when this is dropped"]
pub struct Planted {
    before: Option<Plant>,
}

impl Planted {
    /// Plants it.
    pub fn new(plant: Option<Plant>) -> Self {
        Self { before: CHOSEN.replace(plant) }
    }
}

impl Drop for Planted {
    fn drop(&mut self) {
        CHOSEN.set(self.before);
    }
}

/// Code that runs only where a plant is chosen; nothing at all in builds without the feature.
macro_rules! planted {
    ($plant:ident => $($bug:tt)*) => {
        if $crate::plants::on($crate::plants::Plant::$plant) {
            $($bug)*
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plant_is_found_by_its_name() {
        for plant in Plant::ALL {
            assert_eq!(plant.as_str().parse(), Ok(*plant));
            assert!(plant.as_str().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{plant}");
        }
    }

    #[test]
    fn what_is_planted_ends_with_its_guard_and_stays_on_its_thread() {
        {
            let _planted = Planted::new(Some(Plant::NoBudget));
            assert!(on(Plant::NoBudget) && !on(Plant::NoRate));
            assert_eq!(std::thread::spawn(chosen).join().ok(), Some(None));
            let _judging = Planted::new(None);
            assert_eq!(chosen(), None);
        }
        assert_eq!(chosen(), None);
    }
}
