//! New machines: those that were there before, and those that an Auto Scaling group launches.

use super::{Cluster, Due, Fleet, World, Zone};
use crate::incident::Remedy;
use crate::node::{AutoScalingGroupName, AvailabilityZone, ClusterArn, ContainerInstanceArn, NodeId};
use crate::observe::{Busy, EcsStatus, InstanceState, Lifecycle, Tags};
use crate::policy::Mode;
use crate::sim::ailment::Ailment;
use crate::sim::machine::{
    EcsSide, Illness, Link, Machine, MachineSpec, Membership, PING_EVERY, Secs, Special, Stopping, TagTimes,
};

/// Tags of a resource that is opted in.
const OPTED_IN: Tags = Tags { managed: true, mode: None, mute_until: None };

/// A scale-in protection lasts so long unless it is renewed, in seconds.
const PROTECTED_SECS: Secs = 2 * 3_600;
/// ECS's own default for `minimumHealthyPercent`.
const MINIMUM_PERCENT: u32 = 100;

impl World {
    /// Adds a machine that has been running well for a while.
    pub fn add(&mut self, spec: MachineSpec) -> NodeId {
        let launched_at = self.now - spec.age_secs.max(0);
        let index = self.place(spec, launched_at);
        let ping_phase = self.rng.i64(0..PING_EVERY);
        let now = self.now;
        if let Some(machine) = self.machines.get_mut(index) {
            machine.state = InstanceState::Running;
            (machine.host_up, machine.units_up, machine.ssm_registered) = (true, true, true);
            let up_since = (now - ping_phase).max(launched_at);
            machine.booted_at = launched_at;
            machine.ssm = Link::new(true, up_since);
            machine.well_since = Some(launched_at);
            machine.ill_since = None;
            machine.checks_from = launched_at;
            if let Some(ecs) = machine.ecs.as_mut() {
                (ecs.registered, ecs.known) = (true, true);
                ecs.link = Link::new(true, launched_at);
                ecs.tasks = machine.spec.tasks;
                let (standalone, protected) = (machine.spec.standalone, machine.spec.protected);
                ecs.special =
                    Special { standalone, protected, protected_until: now + PROTECTED_SECS, since: launched_at };
                if let Some(cluster) = self.clusters.get_mut(ecs.cluster) {
                    cluster.desired += ecs.tasks;
                }
            }
            if let Some(member) = machine.member.as_mut() {
                member.lifecycle = Lifecycle::InService;
                if let Some(fleet) = self.fleets.get_mut(member.group) {
                    fleet.desired += 1;
                    fleet.min = fleet.desired;
                }
            }
        }
        if let Some(machine) = self.machines.get_mut(index).filter(|machine| machine.spec.dead_secs > 0) {
            let died = (now - machine.spec.dead_secs).max(launched_at);
            machine.illness = Some(Illness::new(Ailment::SsmAgentHung, died, 1));
            (machine.ssm, machine.last_ping) = (Link::new(false, died), died);
            (machine.well_since, machine.ill_since) = (None, Some(died));
        }
        if self.flapping && self.machines.get(index).is_some_and(|machine| machine.ecs.is_some()) {
            let first = self.rng.i64(0..=2_100);
            self.queue.push(now + first, index, Due::Gap);
        }
        self.machines.get(index).map_or_else(|| NodeId::numbered(0), |machine| machine.id)
    }

    /// An Auto Scaling group launches a machine like one of its members.
    pub(crate) fn launch_like(&mut self, gone: usize) {
        let Some((spec, inherits)) = self.machines.get(gone).map(|machine| {
            let mut spec = machine.spec.clone();
            (spec.id, spec.container_instance, spec.sessions, spec.dead_secs) = (None, None, 0, 0);
            // What no replacement cures is in the surroundings or the image, so the new machine has it as well.
            let known = spec.is_cured_by(Remedy::Replace);
            let inherits = machine.illness.as_ref().map(|ill| ill.ailment).filter(|ailment| {
                !ailment.is_harmless() && !known.unwrap_or_else(|| ailment.profile().cures.contains(&Remedy::Replace))
            });
            (spec, inherits)
        }) else {
            return;
        };
        let index = self.place(spec, self.now);
        let (starts, boots, units) = (self.rng.i64(10..=30), self.rng.i64(20..=50), self.rng.i64(60..=150));
        let now = self.now;
        self.queue.push(now + starts, index, Due::PowerDone { boots: 0 });
        self.queue.push(now + starts + boots, index, Due::HostUp { boots: 0, stopped: false });
        self.queue.push(now + starts + boots + units, index, Due::UnitsUp { boots: 0 });
        if let Some(ailment) = inherits {
            self.queue.push(now + starts, index, Due::FallIll { ailment, lasts: None });
        }
        if self.flapping {
            self.plan_gap(index);
        }
    }

    /// Puts a machine into the account, launched but not yet running.
    fn place(&mut self, spec: MachineSpec, launched_at: Secs) -> usize {
        self.census.outdate();
        let index = self.machines.len();
        let id = spec.id.unwrap_or_else(|| self.fresh_id(spec.hybrid));
        let zone_index = self.zone(&spec);
        let cluster = self.cluster(&spec);
        let member =
            spec.group.clone().map(|name| Membership { group: self.fleet(name), lifecycle: Lifecycle::Pending });
        let ecs = cluster.and_then(|cluster| self.container_instance(cluster, &spec, launched_at));
        let zone = self.zones.get_mut(zone_index).and_then(|zone| {
            zone.size += 1;
            zone.name.clone()
        });
        if let Some(cluster) = cluster.and_then(|cluster| self.clusters.get_mut(cluster)) {
            cluster.size += 1;
        }
        if let Some(fleet) = member.as_ref().and_then(|member| self.fleets.get_mut(member.group)) {
            fleet.size += 1;
        }
        self.account_size += 1;
        let down = Link::new(false, launched_at);
        self.machines.push(Machine {
            id,
            tags: spec.tags,
            tag_times: tag_times(spec.tags, launched_at),
            sessions: spec.sessions,
            zone,
            zone_index,
            state: InstanceState::Pending,
            state_since: launched_at,
            boots: 0,
            launched_at,
            booted_at: launched_at,
            host_up: false,
            units_up: false,
            ssm_away_until: launched_at,
            ecs_away_until: launched_at,
            ssm_registered: false,
            ssm: down.clone(),
            last_ping: launched_at,
            instance_check: Link::new(true, launched_at),
            volumes_check: Link::new(true, launched_at),
            system_check: Link::new(true, launched_at),
            checks_from: launched_at + 90,
            ecs,
            member,
            illness: None,
            illnesses: 0,
            busy: Busy::Idle,
            busy_since: launched_at,
            busy_until: launched_at,
            well_since: None,
            cut_off_until: None,
            ill_since: Some(launched_at),
            waiting: Vec::new(),
            spec,
        });
        self.by_id.insert(id, index);
        self.forget_shares();
        index
    }

    /// An id that nobody has yet.
    fn fresh_id(&mut self, hybrid: bool) -> NodeId {
        loop {
            let id = NodeId::numbered(self.rng.u128(..));
            let id = if hybrid { format!("m{id}").parse().unwrap_or(id) } else { id };
            if !self.by_id.contains_key(&id) {
                return id;
            }
        }
    }

    fn zone(&mut self, spec: &MachineSpec) -> usize {
        let known = self.zones.iter().position(|zone| match &spec.zone_named {
            Some(name) => zone.name.as_ref() == Some(name),
            None => zone.letter == spec.zone,
        });
        known.unwrap_or_else(|| {
            let named = || format!("{}{}", self.home.region, spec.zone).parse::<AvailabilityZone>().ok();
            let name = spec.zone_named.clone().or_else(named);
            self.zones.push(Zone { letter: spec.zone, name, size: 0 });
            self.zones.len() - 1
        })
    }

    fn cluster(&mut self, spec: &MachineSpec) -> Option<usize> {
        let arn: ClusterArn = match (&spec.cluster_arn, &spec.cluster) {
            (Some(arn), _) => arn.clone(),
            (None, Some(name)) => {
                if let Some(known) = self.clusters.iter().position(|cluster| *cluster.name == **name) {
                    return Some(known);
                }
                let (region, account) = (&self.home.region, self.home.account);
                format!("arn:{}:ecs:{region}:{account}:cluster/{name}", region.partition()).parse().ok()?
            }
            (None, None) => return None,
        };
        let known = self.clusters.iter().position(|cluster| cluster.arn == arn);
        Some(known.unwrap_or_else(|| {
            self.clusters.push(Cluster {
                name: arn.name().into(),
                arn,
                size: 0,
                desired: 0,
                minimum_percent: MINIMUM_PERCENT,
                tags: OPTED_IN,
            });
            self.clusters.len() - 1
        }))
    }

    fn fleet(&mut self, name: AutoScalingGroupName) -> usize {
        let known = self.fleets.iter().position(|fleet| fleet.name == name);
        known.unwrap_or_else(|| {
            self.fleets.push(Fleet {
                label: name.as_str().into(),
                name,
                size: 0,
                desired: 0,
                min: 0,
                ec2_health_only: true,
                suspended: false,
                suspended_since: None,
                refreshing: false,
                refreshing_since: None,
                tags: OPTED_IN,
            });
            self.fleets.len() - 1
        })
    }

    fn container_instance(&mut self, cluster: usize, spec: &MachineSpec, since: Secs) -> Option<EcsSide> {
        let digits = self.rng.u128(..);
        let made_up = || -> Option<ContainerInstanceArn> {
            let prefix = self.clusters.get(cluster)?.arn.as_str().replacen(":cluster/", ":container-instance/", 1);
            format!("{prefix}/{digits:032x}").parse().ok()
        };
        let arn = spec.container_instance.clone().or_else(made_up)?;
        Some(EcsSide {
            cluster,
            arn,
            registered: false,
            known: false,
            inactive: false,
            listed_since: since,
            link: Link::new(false, since),
            status: EcsStatus::Active,
            tasks: 0,
            tasks_since: since,
            stopping: Stopping::default(),
            special: Special::default(),
            status_since: since,
            version: 1,
            impaired: false,
            runtime_bad_since: None,
            runtime_impaired: false,
            gap_until: since,
        })
    }
}

fn tag_times(tags: Tags, since: Secs) -> TagTimes {
    TagTimes {
        managed: tags.managed.then_some(since),
        unmanaged: (!tags.managed).then_some(since),
        opted_out: (tags.mode == Some(Mode::Off)).then_some(since),
        muted: tags.mute_until.is_some().then_some(since),
    }
}
