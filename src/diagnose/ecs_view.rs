//! ECS's own view of a node, as lines: C01 and C02.

use super::CheckLine;
use crate::observe::{Check, Ecs, EcsStatus, Fact, Observation};

/// ECS's view, check by check.
#[must_use]
pub fn lines(seen: &Observation) -> Vec<CheckLine> {
    match &seen.ecs {
        Fact::Unknown(blind) => {
            vec![CheckLine::unknown("C01", format!("could not read ECS's view: {}", blind.as_str()))]
        }
        Fact::Absent => vec![CheckLine::ok("C01", "no container instance of any cluster")],
        Fact::Known(ecs) => vec![connection(ecs), health(ecs)],
    }
}

fn connection(ecs: &Ecs) -> CheckLine {
    let (id, cluster) = ("C01", ecs.cluster.name());
    match (ecs.status, ecs.connected) {
        (EcsStatus::Inactive, _) => {
            let fix =
                "a restart is futile: replace the instance, or stop the agent, remove /var/lib/ecs/data and start it";
            CheckLine::fail(id, format!("deregistered from the cluster {cluster}"), fix)
        }
        (EcsStatus::Active | EcsStatus::Draining | EcsStatus::Transitional, false) => {
            let fix = "see the other checks for the cause; without one, restart the agent: systemctl restart ecs";
            CheckLine::fail(id, format!("the ECS agent is not connected to the cluster {cluster}"), fix)
        }
        (EcsStatus::Draining, true) => {
            let fix = "if nobody drains it: aws ecs update-container-instances-state --status ACTIVE";
            CheckLine::warn(id, format!("connected to the cluster {cluster}, and DRAINING"), fix)
        }
        (EcsStatus::Active | EcsStatus::Transitional, true) => {
            CheckLine::ok(id, format!("the ECS agent is connected to the cluster {cluster}"))
        }
    }
}

fn health(ecs: &Ecs) -> CheckLine {
    let id = "C02";
    let runtime = "restart the runtime after a drain: systemctl restart docker && systemctl restart ecs";
    let agent = "see C01: ECS has not seen the agent for some minutes";
    match (ecs.runtime_check, ecs.agent_check) {
        (Check::Impaired, _) => CheckLine::fail(id, "the health check CONTAINER_RUNTIME is IMPAIRED", runtime),
        (_, Check::Impaired) => CheckLine::fail(id, "the health check AGENT_CONNECTIVITY is IMPAIRED", agent),
        (Check::Ok | Check::Undecided, Check::Ok | Check::Undecided) => {
            CheckLine::ok(id, "no health check of ECS is IMPAIRED")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::Mark;
    use crate::observe::Blind;
    use crate::observe::samples::{Seen, noon, seen};

    fn marks(seen: &Seen) -> Vec<(&'static str, Mark)> {
        let lines = lines(seen);
        assert!(lines.iter().all(|line| line.verdict != Mark::Fail || line.fix.is_some()));
        lines.iter().map(|line| (line.id, line.verdict)).collect()
    }

    #[test]
    fn a_node_in_no_cluster_lacks_nothing() {
        assert_eq!(marks(&seen(noon())), [("C01", Mark::Ok)]);
        let blind = seen(noon()).with(|seen| seen.ecs = Fact::Unknown(Blind::Denied));
        assert_eq!(marks(&blind), [("C01", Mark::Unknown)]);
    }

    #[test]
    fn each_trouble_that_ecs_tells_of_has_its_line() {
        assert_eq!(marks(&seen(noon()).in_cluster()), [("C01", Mark::Ok), ("C02", Mark::Ok)]);
        assert_eq!(marks(&seen(noon()).ecs_lost()), [("C01", Mark::Fail), ("C02", Mark::Fail)]);
        assert_eq!(marks(&seen(noon()).docker_hung())[1], ("C02", Mark::Fail));
        let draining = seen(noon()).with_ecs(|ecs| ecs.status = EcsStatus::Draining);
        assert_eq!(marks(&draining)[0], ("C01", Mark::Warn));
        let gone = seen(noon()).with_ecs(|ecs| ecs.status = EcsStatus::Inactive);
        assert_eq!(marks(&gone)[0], ("C01", Mark::Fail));
    }
}
