//! The tasks that would end with a disruptive remedy.
//!
//! A drain moves what services started, and respects their minimum by itself. It does not move what nobody starts again, and
//! what is still there when it has ended ends with the remedy.

use std::fmt;

use super::{Refusal, Sight, WorkloadRefusal};
use crate::observe::{Fact, Observation, Workload};
use crate::policy::{Policy, TasksRule};
use crate::time::moment;

impl fmt::Display for WorkloadRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tasks = |count: u32| if count == 1 { "1 task".to_owned() } else { format!("{count} tasks") };
        match *self {
            Self::Standalone { count } => write!(f, "{} that no service started would end", tasks(count)),
            Self::Protected { count, until: Some(until) } => {
                write!(f, "{} under scale-in protection until {} would end", tasks(count), moment(until))
            }
            Self::Protected { count, until: None } => {
                write!(f, "{} under scale-in protection would end", tasks(count))
            }
            Self::StillThere { count } => write!(f, "{} did not end in the time of the drain", tasks(count)),
            Self::ServiceMinimum { elsewhere, desired, percent } => {
                write!(f, "a service would keep {elsewhere} of its {desired} tasks, and its minimum is {percent} %")
            }
        }
    }
}

/// The tasks, or why nobody knows them. None: the node is no container instance.
fn workload(seen: &Observation) -> Result<Option<&Workload>, Refusal> {
    match &seen.workload {
        Fact::Known(workload) => Ok(Some(workload)),
        Fact::Absent => Ok(None),
        Fact::Unknown(blind) => Err(Refusal::CannotSee { what: Sight::Workload, blind: *blind }),
    }
}

fn refuse(why: WorkloadRefusal) -> Result<(), Refusal> {
    Err(Refusal::Workload { why })
}

/// Whether no task is on the node that must not be ended, by the policy.
///
/// # Errors
/// The refusal, with the number of tasks.
pub fn tasks(seen: &Observation, policy: &Policy) -> Result<(), Refusal> {
    let rules = policy.workload;
    if rules.standalone == TasksRule::Ignore && rules.protected == TasksRule::Ignore {
        return Ok(());
    }
    let Some(workload) = workload(seen)? else { return Ok(()) };
    let minds = |rule: TasksRule| rule == TasksRule::Refuse;
    let (standalone, protected) = (minds(rules.standalone), minds(rules.protected));
    #[cfg(feature = "plants")]
    let standalone = standalone && !crate::plants::on(crate::plants::Plant::EndStandaloneTasks);
    #[cfg(feature = "plants")]
    let protected = protected && !crate::plants::on(crate::plants::Plant::EndProtectedTasks);
    if standalone && workload.standalone > 0 {
        return refuse(WorkloadRefusal::Standalone { count: workload.standalone });
    }
    if protected && workload.protected > 0 {
        return refuse(WorkloadRefusal::Protected { count: workload.protected, until: workload.protected_until });
    }
    Ok(())
}

/// Whether every service keeps its `minimumHealthyPercent` when the tasks on the node end now.
///
/// Where the ECS agent is disconnected the tasks are out of ECS's hands already: it can neither stop nor watch them, and who
/// waits for them never repairs two nodes that fail together.
///
/// # Errors
/// The refusal, with the service's numbers.
pub fn service_minimum(seen: &Observation) -> Result<(), Refusal> {
    planted!(BelowTheServiceMinimum => return Ok(()));
    if seen.ecs.known().is_none_or(|ecs| !ecs.connected) {
        return Ok(());
    }
    match workload(seen)?.and_then(|workload| workload.service) {
        Some(share) if !share.keeps_minimum() => refuse(WorkloadRefusal::ServiceMinimum {
            elsewhere: share.elsewhere,
            desired: share.desired,
            percent: share.minimum_percent,
        }),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::samples::{Seen, noon, seen};
    use crate::observe::{Blind, Share};
    use crate::policy::WorkloadRules;
    use crate::time::after;

    fn text<T>(result: Result<T, Refusal>) -> String {
        result.err().map(|refusal| refusal.to_string()).unwrap_or_default()
    }

    fn with(workload: Workload) -> Seen {
        seen(noon()).in_cluster().with(|seen| seen.workload = Fact::Known(workload))
    }

    fn minding(standalone: TasksRule, protected: TasksRule) -> Policy {
        Policy { workload: WorkloadRules { standalone, protected, ..WorkloadRules::default() }, ..Policy::default() }
    }

    #[test]
    fn a_task_that_nobody_starts_again_is_not_ended() {
        let of = |count| text(tasks(&with(Workload { standalone: count, ..Workload::default() }), &Policy::default()));
        assert_eq!(of(0), "");
        assert_eq!(of(1), "1 task that no service started would end");
        assert_eq!(of(2), "2 tasks that no service started would end");
    }

    #[test]
    fn a_protected_task_is_not_ended_and_the_refusal_says_until_when() {
        let until = Some(after(noon(), 3_600));
        let seen = with(Workload { protected: 3, protected_until: until, ..Workload::default() });
        let words = "3 tasks under scale-in protection until 2026-11-20 13:00:00 UTC would end";
        assert_eq!(text(tasks(&seen, &Policy::default())), words);
    }

    #[test]
    fn the_policy_may_ignore_either() {
        let seen = with(Workload { standalone: 1, protected: 1, ..Workload::default() });
        let (refuse, ignore) = (TasksRule::Refuse, TasksRule::Ignore);
        assert_eq!(text(tasks(&seen, &minding(ignore, refuse))), "1 task under scale-in protection would end");
        assert_eq!(text(tasks(&seen, &minding(refuse, ignore))), "1 task that no service started would end");
        assert_eq!(tasks(&seen, &minding(ignore, ignore)), Ok(()));
    }

    #[test]
    fn tasks_that_could_not_be_read_may_be_any() {
        let blind = seen(noon()).in_cluster().with(|seen| seen.workload = Fact::Unknown(Blind::Throttled));
        let words = "could not read the tasks on the node: throttled";
        assert_eq!(text(tasks(&blind, &Policy::default())), words);
        assert_eq!(text(service_minimum(&blind)), words);
        assert_eq!(tasks(&blind, &minding(TasksRule::Ignore, TasksRule::Ignore)), Ok(()), "nobody asked");
        assert_eq!(tasks(&seen(noon()), &Policy::default()), Ok(()), "no container instance");
    }

    #[test]
    fn a_service_keeps_its_minimum_rounded_up() {
        let of = |here, elsewhere, minimum_percent| {
            let service = Some(Share { here, elsewhere, desired: 5, minimum_percent });
            text(service_minimum(&with(Workload { service, ..Workload::default() })))
        };
        assert_eq!(of(2, 3, 100), "a service would keep 3 of its 5 tasks, and its minimum is 100 %");
        assert_eq!((of(2, 3, 60).as_str(), of(2, 3, 50).as_str()), ("", ""));
        assert_ne!(of(3, 2, 50), "", "half of five is three");
        assert_eq!(of(0, 0, 100), "", "none of its tasks is here");
    }

    #[test]
    fn a_disconnected_agents_tasks_are_out_of_the_services_hands_already() {
        let service = Some(Share { here: 5, elsewhere: 0, desired: 5, minimum_percent: 100 });
        let gone = with(Workload { service, ..Workload::default() }).with_ecs(|ecs| ecs.connected = false);
        assert_eq!(service_minimum(&gone), Ok(()));
    }
}
