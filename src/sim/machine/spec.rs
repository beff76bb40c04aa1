//! What a machine of the simulated account is made of, written like a sentence.

use crate::incident::Remedy;
use crate::node::{AutoScalingGroupName, AvailabilityZone, ClusterArn, ContainerInstanceArn, DisplayName, NodeId};
use crate::observe::{Factor, Manager, Platform, StopGates, Tags};

/// What a machine is made of. Built by chaining: `MachineSpec::new().named("web-1").in_cluster("blue")`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineSpec {
    /// Its id; numbered from the seed when none is given.
    pub id: Option<NodeId>,
    /// A managed node outside EC2, when the id does not say so.
    pub hybrid: bool,
    /// The `Name` tag.
    pub name: Option<DisplayName>,
    /// The letter of its Availability Zone.
    pub zone: char,
    /// A zone by its whole name; outranks the letter.
    pub zone_named: Option<AvailabilityZone>,
    /// The name of its ECS cluster.
    pub cluster: Option<String>,
    /// The ECS cluster by its whole ARN; outranks the name.
    pub cluster_arn: Option<ClusterArn>,
    /// Its container instance's ARN; made up when none is given.
    pub container_instance: Option<ContainerInstanceArn>,
    /// Its Auto Scaling group.
    pub group: Option<AutoScalingGroupName>,
    /// What runs there.
    pub platform: Platform,
    /// Defib's tags on it.
    pub tags: Tags,
    /// Who else repairs it.
    pub manager: Option<Manager>,
    /// What stands in the way of a stop and start.
    pub stop: StopGates,
    /// Tasks that ECS places on it.
    pub tasks: u32,
    /// Tasks on it that no service started.
    pub standalone: u32,
    /// How long its tasks take to stop, in seconds; none: as long as the world says.
    pub tasks_stop_secs: Option<i64>,
    /// Those of its tasks that are under scale-in protection, for the first two hours.
    pub protected: u32,
    /// How old it is when it is added.
    pub age_secs: i64,
    /// For how long its SSM agent has hung when it is added; 0: it is well.
    pub dead_secs: i64,
    /// Live Session Manager sessions.
    pub sessions: u16,
    /// What it shares with others, its zone aside.
    pub shares: Vec<Factor>,
    /// Remedies of which it is known whether they help against its next fault, whatever the table says.
    pub cured_by: Vec<(Remedy, bool)>,
}

impl Default for MachineSpec {
    fn default() -> Self {
        Self::new()
    }
}

impl MachineSpec {
    /// A Linux instance, a week old, opted in, in no cluster and no group.
    #[must_use]
    pub fn new() -> Self {
        Self {
            id: None,
            hybrid: false,
            name: None,
            zone: 'a',
            zone_named: None,
            cluster: None,
            cluster_arn: None,
            container_instance: None,
            group: None,
            platform: Platform::Linux,
            tags: Tags { managed: true, mode: None, mute_until: None },
            manager: None,
            stop: StopGates::default(),
            tasks: 0,
            tasks_stop_secs: None,
            standalone: 0,
            protected: 0,
            age_secs: 7 * 86_400,
            dead_secs: 0,
            sessions: 0,
            shares: Vec::new(),
            cured_by: Vec::new(),
        }
    }

    /// With this id.
    #[must_use]
    pub fn with_id(mut self, id: NodeId) -> Self {
        self.id = Some(id);
        self
    }

    /// A managed node outside EC2.
    #[must_use]
    pub fn hybrid(mut self) -> Self {
        self.hybrid = true;
        self
    }

    /// With this `Name` tag; a text that is no name is left out.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = name.parse().ok();
        self
    }

    /// In the zone with this letter.
    #[must_use]
    pub fn in_zone(mut self, letter: char) -> Self {
        self.zone = letter;
        self
    }

    /// In this ECS cluster, with four tasks unless [`Self::with_tasks`] says otherwise.
    #[must_use]
    pub fn in_cluster(mut self, name: &str) -> Self {
        self.cluster = Some(name.to_owned());
        self.tasks = if self.tasks == 0 { 4 } else { self.tasks };
        self
    }

    /// Registered in ECS under the names that an event gives. Without a cluster, the one that the ARN names, else `default`.
    #[must_use]
    pub fn registered_as(mut self, arn: ContainerInstanceArn, cluster: Option<ClusterArn>) -> Self {
        let name = arn.as_str().rsplit('/').nth(1).filter(|part| !part.contains(':')).unwrap_or("default").to_owned();
        self = self.in_cluster(&name);
        self.cluster_arn = cluster;
        self.container_instance = Some(arn);
        self
    }

    /// In this Auto Scaling group, which appears with its first member.
    #[must_use]
    pub fn in_group(mut self, name: &str) -> Self {
        self.group = name.parse().ok();
        self
    }

    /// On this platform.
    #[must_use]
    pub fn on(mut self, platform: Platform) -> Self {
        self.platform = platform;
        self
    }

    /// With these tags.
    #[must_use]
    pub fn tagged(mut self, tags: Tags) -> Self {
        self.tags = tags;
        self
    }

    /// Repaired by somebody else.
    #[must_use]
    pub fn managed_by(mut self, manager: Manager) -> Self {
        self.manager = Some(manager);
        self
    }

    /// A Spot instance.
    #[must_use]
    pub fn spot(mut self) -> Self {
        self.stop.spot = true;
        self
    }

    /// With its root on an instance store.
    #[must_use]
    pub fn on_instance_store(mut self) -> Self {
        self.stop.instance_store_root = true;
        self
    }

    /// With one more thing in the way of a stop and start.
    #[must_use]
    pub fn barred(mut self, bar: impl FnOnce(&mut StopGates)) -> Self {
        bar(&mut self.stop);
        self
    }

    /// With this many tasks.
    #[must_use]
    pub fn with_tasks(mut self, tasks: u32) -> Self {
        self.tasks = tasks;
        self
    }

    /// With tasks that take this long to stop, in seconds.
    #[must_use]
    pub fn with_slow_tasks(mut self, secs: i64) -> Self {
        self.tasks_stop_secs = Some(secs);
        self
    }

    /// With this many tasks that no service started.
    #[must_use]
    pub fn with_standalone(mut self, standalone: u32) -> Self {
        self.standalone = standalone;
        self
    }

    /// With this many of its tasks under scale-in protection.
    #[must_use]
    pub fn with_protected(mut self, protected: u32) -> Self {
        self.protected = protected;
        self
    }

    /// Launched this long ago.
    #[must_use]
    pub fn aged(mut self, secs: i64) -> Self {
        self.age_secs = secs;
        self
    }

    /// Sharing this with others.
    #[must_use]
    pub fn sharing(mut self, factor: Factor) -> Self {
        self.shares.push(factor);
        self
    }

    /// Its SSM agent has hung for this long.
    #[must_use]
    pub fn dead_for(mut self, secs: i64) -> Self {
        self.dead_secs = secs;
        self
    }

    /// With this many live sessions.
    #[must_use]
    pub fn with_sessions(mut self, sessions: u16) -> Self {
        self.sessions = sessions;
        self
    }

    /// A remedy helps against its next fault, or does not, whatever the table says.
    #[must_use]
    pub fn cured_by(mut self, remedy: Remedy, helps: bool) -> Self {
        self.cured_by.push((remedy, helps));
        self
    }

    /// Whether a remedy is known to help, or not to. One that failed first and helped later helps.
    #[must_use]
    pub fn is_cured_by(&self, remedy: Remedy) -> Option<bool> {
        self.cured_by.iter().filter(|(known, _)| *known == remedy).map(|(_, helps)| *helps).max()
    }
}
