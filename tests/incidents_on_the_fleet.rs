//! What whole incidents cost in calls of AWS, and that each call is allowed to the role of its mode: the real engine, the ledger in
//! memory, and the nodes behind the simulated account's HTTP door. Each prints its calls, so that the next cut is easy to see.

#![cfg(all(feature = "aws", feature = "cli"))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout)] // So may helpers of tests.

mod fleet_door;

#[path = "fleet_door/cost.rs"]
mod cost;
#[path = "fleet_door/edge.rs"]
mod edge;
#[path = "fleet_door/role.rs"]
mod role;

use cost::Class;
use defib::event::{Signal, SignalKind, SweptAgent};
use defib::incident::Outcome;
use defib::observe::Look;
use defib::policy::Mode;
use defib::ports::Performed;
use edge::{Edge, Lived, Place, node, world};
use serde_json::{Value, json};

/// Passes over one incident, at most.
const PASSES_MAX: usize = 200;
/// Passes until a call is refused, at most: a stop and start with everything around it.
const UNTIL_REFUSED: usize = 45;

/// What issues and docs call an incident's price: calls of Systems Manager, EC2, ECS and Auto Scaling that serve it alone.
struct Story {
    name: &'static str,
    place: Place,
    fault: &'static str,
    mode: Mode,
    agent: SweptAgent,
    ends: Outcome,
    calls_max: usize,
}

impl Story {
    /// Lives through it with a role of these statements, for so many passes at most.
    fn live_under(&self, statements: &[Value], passes_max: usize) -> Lived {
        let mut edge = Edge::open(&world(self.place, Some(self.fault)), self.mode);
        edge.door.under(&role::statements(self.mode.as_str()));
        let signal = edge.swept(self.agent);
        edge.door.under(statements);
        edge.live(signal, passes_max)
    }

    /// It ends as it must, within its price, and the role of its mode refuses none of its calls.
    fn holds(&self) {
        let lived = self.live_under(&role::statements(self.mode.as_str()), PASSES_MAX);
        lived.tell(self.name);
        assert_eq!(lived.outcome, Some(self.ends), "{}", self.name);
        assert_eq!(refused(&lived), [""; 0], "{}: the role of mode {} refuses what it does", self.name, self.mode);
        let calls = lived.cost.of(Class::Own);
        assert!(calls <= self.calls_max, "{}: {calls} calls, and at most {} are allowed", self.name, self.calls_max);
    }
}

/// The calls that were refused for want of leave.
fn refused(lived: &Lived) -> Vec<String> {
    let calls = lived.cost.0.iter().flatten().filter(|call| call.is_denied());
    calls.map(|call| format!("{}:{}", call.service, call.operation)).collect()
}

const RESTART: Story = Story {
    name: "a restart of the ECS agent",
    place: Place::Cluster,
    fault: "ecs-agent.hung",
    mode: Mode::Restart,
    agent: SweptAgent::Ecs,
    ends: Outcome::Fixed,
    calls_max: 10,
};

const REBOOT: Story = Story {
    name: "a reboot",
    place: Place::Alone,
    fault: "ssm-agent.hung",
    mode: Mode::Cycle,
    agent: SweptAgent::Ssm,
    ends: Outcome::Cycled,
    calls_max: 13,
};

const REBOOT_IN_GROUP: Story =
    Story { name: "a reboot of a group's member", place: Place::Group, calls_max: 15, ..REBOOT };

const REBOOT_IN_CLUSTER: Story = Story {
    name: "a reboot of a container instance with tasks",
    place: Place::Cluster,
    fault: "host.kernel-hang",
    calls_max: 42,
    ..REBOOT
};

const STOP_START: Story = Story { name: "a stop and start", fault: "platform.hardware", calls_max: 22, ..REBOOT };

const STOP_START_IN_CLUSTER: Story = Story {
    name: "a stop and start of a container instance with tasks",
    place: Place::Cluster,
    calls_max: 68,
    ..STOP_START
};

const REPLACE: Story = Story {
    name: "a replacement",
    place: Place::Cluster,
    fault: "ecs-agent.instance-type-changed",
    mode: Mode::Replace,
    agent: SweptAgent::Ecs,
    ends: Outcome::Replaced,
    calls_max: 24,
};

const DISK: Story = Story {
    name: "a full disk",
    place: Place::Cluster,
    fault: "host.disk-full",
    mode: Mode::Restart,
    agent: SweptAgent::Ecs,
    ends: Outcome::Fixed,
    calls_max: 26,
};

#[test]
fn an_agent_is_restarted() {
    RESTART.holds();
}

#[test]
fn a_full_disk_is_freed() {
    DISK.holds();
}

#[test]
fn a_silent_node_is_rebooted() {
    REBOOT.holds();
}

#[test]
fn a_silent_member_of_a_group_is_rebooted() {
    REBOOT_IN_GROUP.holds();
}

#[test]
fn a_silent_container_instance_is_drained_and_rebooted() {
    REBOOT_IN_CLUSTER.holds();
}

#[test]
fn a_node_on_failing_hardware_is_stopped_and_started() {
    STOP_START.holds();
}

#[test]
fn a_container_instance_on_failing_hardware_is_drained_stopped_and_started() {
    STOP_START_IN_CLUSTER.holds();
}

#[test]
fn what_cannot_be_cured_is_replaced() {
    REPLACE.holds();
}

#[test]
fn a_flap_that_heals_by_itself_costs_four_calls() {
    let mut world = world(Place::Cluster, Some("ecs-agent.stopped"));
    (world["instances"][7]["since_secs"], world["instances"][7]["lasts_secs"]) = (json!(120), json!(240));
    let mut edge = Edge::open(&world, Mode::Restart);
    let now = edge.door.now();
    let _ = edge.swept(SweptAgent::Ecs);
    let seen = edge.runtime.block_on(edge.door.nodes.observe(node(), &Look::default(), now));
    let ecs = seen.ecs.known().unwrap();
    assert!(!ecs.connected);
    let kind = SignalKind::EcsDisconnected {
        container_instance: ecs.arn.clone(),
        cluster: Some(ecs.cluster.clone()),
        version: None,
    };
    let lived = edge.live(Signal { node: node(), at: now, kind }, PASSES_MAX);
    lived.tell("a flap");
    assert_eq!(lived.outcome, Some(Outcome::SelfHealed));
    assert_eq!(lived.cost.counted().count(), 4, "censuses and diagnosis included");
}

#[test]
fn a_node_without_a_role_is_told_and_not_treated() {
    let mut edge = Edge::open(&world(Place::Cluster, Some("identity.no-instance-profile")), Mode::Replace);
    let signal = edge.swept(SweptAgent::Ssm);
    let lived = edge.live(signal, PASSES_MAX);
    lived.tell("a node without a role");
    assert_eq!(lived.rests_for(), Some(Outcome::NeedsHuman), "{:?}", lived.outcome);
    assert_eq!(edge.landed(), [""; 0]);
}

/// What changes something at a node or its services.
fn changes(lived: &Lived) -> Vec<String> {
    let reads = ["Describe", "Get", "List", "Simulate"];
    let calls = lived.cost.0.iter().flatten().filter(|call| !reads.iter().any(|read| call.operation.starts_with(read)));
    calls.map(|call| call.operation.clone()).collect()
}

#[test]
fn an_action_that_the_template_lost_is_noticed() {
    for (story, action) in [
        (RESTART, "ssm:SendCommand"),
        (RESTART, "ecs:DescribeContainerInstances"),
        (REBOOT, "ec2:RebootInstances"),
        (REBOOT, "ec2:DescribeInstances"),
        (REBOOT_IN_CLUSTER, "ecs:UpdateContainerInstancesState"),
        (STOP_START, "ec2:StopInstances"),
        (STOP_START, "ec2:DescribeInstanceAttribute"),
        (STOP_START_IN_CLUSTER, "autoscaling:EnterStandby"),
        (REPLACE, "autoscaling:TerminateInstanceInAutoScalingGroup"),
        (REPLACE, "ecs:DeregisterContainerInstance"),
        (REPLACE, "autoscaling:DescribeInstanceRefreshes"),
    ] {
        let less = role::without(&role::statements(story.mode.as_str()), action);
        let lived = story.live_under(&less, UNTIL_REFUSED);
        assert!(
            refused(&lived).iter().any(|call| call == action),
            "{}: without {action} nothing is refused",
            story.name
        );
    }
}

#[test]
fn what_gives_back_is_refused_where_the_template_lost_it() {
    for action in ["ec2:StartInstances", "autoscaling:ExitStandby"] {
        let less = role::without(&role::statements("cycle"), action);
        let lived = STOP_START_IN_CLUSTER.live_under(&less, UNTIL_REFUSED);
        assert!(refused(&lived).iter().any(|call| call == action), "without {action} nothing is refused");
    }
}

#[test]
fn nobody_asks_for_more_than_the_mode_allows() {
    // Each calls for more than its mode has, or for all of it.
    let faults = [
        (Mode::Observe, "ecs-agent.hung", SweptAgent::Ecs),
        (Mode::Observe, "ecs-agent.instance-type-changed", SweptAgent::Ecs),
        (Mode::Observe, "ssm-agent.hung", SweptAgent::Ssm),
        (Mode::Observe, "host.disk-full", SweptAgent::Ecs),
        (Mode::Observe, "platform.hardware", SweptAgent::Ssm),
        (Mode::Observe, "runtime.docker-hung", SweptAgent::Ecs),
        (Mode::Restart, "ssm-agent.hung", SweptAgent::Ssm),
        (Mode::Restart, "runtime.docker-hung", SweptAgent::Ecs),
        (Mode::Restart, "platform.hardware", SweptAgent::Ssm),
        (Mode::Cycle, "runtime.docker-hung", SweptAgent::Ecs),
        (Mode::Cycle, "ecs-agent.instance-type-changed", SweptAgent::Ecs),
    ];
    for (mode, fault, agent) in faults {
        let story = Story { fault, agent, mode, place: Place::Cluster, ..REBOOT };
        let lived = story.live_under(&role::statements(mode.as_str()), 25);
        assert_eq!(refused(&lived), [""; 0], "{fault} in mode {mode}");
        if mode == Mode::Observe {
            assert_eq!(changes(&lived), [""; 0], "{fault} in mode {mode}");
        }
    }
}

#[test]
fn a_node_that_was_opted_out_meanwhile_is_refused_by_the_role_as_well() {
    let edge = Edge::open(&world(Place::Alone, None), Mode::Cycle);
    edge.door.under(&role::statements("cycle"));
    for (tags, performed, outcome) in [
        (json!({"defib:managed": "true"}), Performed::Done { command: None }, "ok"),
        (json!({}), Performed::Refused, "UnauthorizedOperation"),
        (json!({"defib:managed": "true", "defib:mode": "OFF"}), Performed::Refused, "UnauthorizedOperation"),
    ] {
        let change = json!({"tags": [{"instance": edge::NODE, "tags": tags}]});
        edge.door.ask("POST", "/world", &change.to_string());
        assert_eq!(edge.reboot(), performed, "{tags}");
        assert_eq!(edge.door.received().last().map(|call| call.outcome.clone()), Some(outcome.to_owned()), "{tags}");
    }
}
