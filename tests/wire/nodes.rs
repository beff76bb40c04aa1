//! The node side.

use std::collections::BTreeSet;

use defib::aws::{Clients, Documents, Nodes};
use defib::diagnose::Cause;
use defib::effect::{Effect, IntentId, Target};
use defib::event::{SignalKind, SweptAgent};
use defib::incident::IncidentId;
use defib::node::{Home, NodeId};
use defib::observe::{
    Busy, Check, Connection, EcsStatus, Fact, InstanceState, InvocationStatus, Lifecycle, Look, Ping, Platform,
    ProbeAnswer,
};
use defib::policy::Mode;
use defib::ports::{Perform, Performed};
use jiff::{SignedDuration, Timestamp};

use crate::wire_door::{Between, shapes};

const NODE: &str = "i-0a1b2c3d4e5f60718";
const MANAGED: &str = "mi-0a1b2c3d4e5f6071a";
const PROBE: &str = "7c2f6b1e-9a51-4f0e-8f0d-3a1d1b1f9e77";
const COMMAND: &str = "11111111-2222-4333-8444-555555555555";
const CLUSTER: &str = "arn:aws:ecs:us-east-1:111122223333:cluster/blue";
const CONTAINER_INSTANCE: &str =
    "arn:aws:ecs:us-east-1:111122223333:container-instance/blue/c0ffee00112233445566778899aabbcc";

fn noon() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

fn run<F: Future<Output = ()>>(story: F) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(story);
}

struct Wire {
    between: Between,
    nodes: Nodes,
    strange: shapes::Strange,
}

impl Wire {
    async fn open() -> Self {
        let (upstream, strange) = shapes::service();
        let between = Between::open(upstream, None).await;
        let home = Home { account: "111122223333".parse().unwrap(), region: "us-east-1".parse().unwrap() };
        let documents =
            Documents { probe: "Defib-Probe-abc".parse().unwrap(), repair: "Defib-Repair-abc".parse().unwrap() };
        let nodes = Nodes::new(Clients::of(&between.shared().await), home, documents, || Timestamp::UNIX_EPOCH);
        Self { between, nodes, strange }
    }

    /// Every request was one that a file expects; gives the operations.
    fn operations(&self) -> BTreeSet<String> {
        let strange = self.strange.lock().unwrap();
        assert!(strange.is_empty(), "not expected: {}", strange.join("\n"));
        self.between.seen().into_iter().map(|request| request.operation).collect()
    }
}

#[test]
fn a_close_look_at_a_silent_instance() {
    run(async {
        let wire = Wire::open().await;
        let look = Look {
            close: true,
            probe: Some(PROBE.parse().unwrap()),
            command: Some(COMMAND.parse().unwrap()),
            calendar: Some("Freeze".parse().unwrap()),
            ..Look::default()
        };
        let seen = wire.nodes.observe(NODE.parse().unwrap(), &look, noon()).await;
        assert_eq!(wire.operations().len(), 38, "{:?}", wire.operations());
        let ec2 = seen.ec2.known().unwrap();
        assert_eq!(
            (ec2.state, ec2.system_check, ec2.instance_check),
            (InstanceState::Running, Check::Ok, Check::Impaired)
        );
        assert!(ec2.tags.managed && ec2.stop.instance_store_data && ec2.stop.public_address_changes);
        assert!(ec2.stop.volume_key && !ec2.stop.elastic_address, "the stack names no key");
        assert!(!ec2.stop.stop_protected && !ec2.stop.instance_store_root && !ec2.stop.spot);
        let ssm = seen.ssm.known().unwrap();
        assert_eq!((ssm.ping, ssm.platform), (Ping::ConnectionLost, Platform::Snap));
        assert_eq!(ssm.connection, Fact::Known(Connection::NotConnected));
        // Systems Manager writes seconds with a fraction.
        assert_eq!(ssm.last_ping.as_second(), noon().as_second() - 3_600);
        let ecs = seen.ecs.known().unwrap();
        assert_eq!((ecs.connected, ecs.status, ecs.tasks), (false, EcsStatus::Active, 2));
        assert_eq!((ecs.agent_check, ecs.runtime_check), (Check::Impaired, Check::Undecided));
        assert_eq!(ecs.impaired_since.unwrap().to_string(), "2026-11-20T11:30:00Z");
        assert!(ecs.cluster_tags.managed);
        let asg = seen.asg.known().unwrap();
        assert_eq!((asg.lifecycle, asg.desired, asg.min, asg.in_service), (Lifecycle::InService, 2, 1, 1));
        assert!(asg.ec2_health_only && asg.refreshing && !asg.suspended && asg.tags.managed);
        // `Delivery Timed Out`, with its spaces.
        assert_eq!(seen.invocation.known().unwrap().status, InvocationStatus::DeliveryTimedOut);
        // What stands behind the 2,500 characters of the list.
        let ProbeAnswer::Answered { findings, .. } = &seen.probe.known().unwrap().answer else { panic!("{seen:?}") };
        assert_eq!(findings.iter().map(|finding| finding.cause).collect::<Vec<_>>(), [Cause::HostDiskFull]);
        // Each of the two has its half on a second page.
        assert_eq!(seen.sessions.known().unwrap().live, 2);
        assert_eq!(seen.busy, Fact::Known(Busy::Deployment), "the refresh bakes, and before that it patches");
        let workload = seen.workload.known().unwrap();
        assert_eq!((workload.standalone, workload.protected), (1, 1));
        assert!(!seen.calendar.known().unwrap().open);
        let causes: Vec<Cause> = seen.identity.known().unwrap().iter().map(|finding| finding.cause).collect();
        assert_eq!(causes, [Cause::IdentityNoInstanceProfile], "the profile holds no role");
        let ways: Vec<_> = seen.network.known().unwrap().iter().map(|finding| finding.evidence.to_string()).collect();
        assert!(ways.iter().any(|way| way.contains("rtb-0a1b2c3d") && way.contains("nat-0a1b2c3d")), "{ways:?}");
        assert_eq!(seen.group.known().unwrap().size, 1);
    });
}

#[test]
fn a_close_look_at_a_managed_node() {
    run(async {
        let wire = Wire::open().await;
        let look = Look { close: true, ..Look::default() };
        let seen = wire.nodes.observe(MANAGED.parse().unwrap(), &look, noon()).await;
        let operations = wire.operations();
        assert!(operations.contains("ListTagsForResource") && !operations.contains("GetInstanceProfile"));
        let tags = seen.ssm.known().unwrap().tags.known().copied().unwrap();
        assert_eq!((tags.managed, tags.mode), (true, Some(Mode::Restart)));
        assert_eq!((&seen.ec2, &seen.ecs), (&Fact::Absent, &Fact::Absent));
    });
}

#[test]
fn a_sweep_reads_every_page() {
    run(async {
        let wire = Wire::open().await;
        let swept = wire.nodes.troubled(noon()).await.unwrap();
        assert_eq!((swept.fleet, wire.operations().len()), (2, 9));
        let [(signal, since)] = swept.troubled.as_slice() else { panic!("{swept:?}") };
        assert!(matches!(signal.kind, SignalKind::Swept { agent: SweptAgent::Ssm, .. }), "{signal:?}");
        assert_eq!(since.unwrap().as_second(), noon().as_second() - 3_600);
        for (operation, pages) in [("DescribeInstanceInformation", 2), ("DescribeInstances", 2), ("ListClusters", 2)] {
            assert_eq!(wire.between.count(operation), pages, "{operation}");
        }
    });
}

/// Every request is compared whole: nothing is in it that does not stand in the file.
#[test]
fn every_effect_is_sent_as_it_stands_in_its_file() {
    run(async {
        let wire = Wire::open().await;
        for effect in Effect::ALL {
            let node: NodeId = NODE.parse().unwrap();
            let target = Target {
                node,
                container_instance: Some((CLUSTER.parse().unwrap(), CONTAINER_INSTANCE.parse().unwrap())),
                group: Some("web-asg".parse().unwrap()),
            };
            let incident = IncidentId::new(noon(), node);
            let not_after = noon() + SignedDuration::from_secs(20);
            let perform = Perform { incident, intent: IntentId(1), effect, target, not_after };
            let command = effect.needs_ssm().then(|| PROBE.parse().unwrap());
            assert_eq!(wire.nodes.perform(&perform, noon()).await, Performed::Done { command }, "{effect:?}");
        }
        assert_eq!(wire.operations().len(), 9);
        assert_eq!(wire.between.seen().len(), Effect::ALL.len(), "each once");
    });
}
