//! A world as JSON: what stands in the account, and what has been wrong with it for how long (docs/FLEET.md).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use super::machines::{Extra, understood};
use super::{Fleet, WorldSettings};
use crate::node::{AccountId, DocumentName, Home, NodeId, Region};
use crate::sim::ailment::Ailment;
use crate::sim::stage::documentation_home;
use crate::sim::world::GroupSettings;
use crate::time::after;
use entries::{Closed, ClusterEntry, FaultEntry, GroupEntry, InstanceEntry, TagEntry};

mod entries;

/// How long before the first fault the world begins, in seconds: long enough for agents that settle.
const LEAD_SECS: i64 = 120;
/// The longest that a fault may have lasted, and the oldest that a machine may be, in seconds.
const PAST_MAX_SECS: i64 = 3_650 * 86_400;
/// Machines of one file.
const MACHINES_MAX: usize = 10_000;

/// A world, or a change to one.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorldFile {
    account: Option<AccountId>,
    region: Option<Region>,
    seed: Option<u64>,
    flapping: bool,
    background_commands: bool,
    instances: Vec<InstanceEntry>,
    faults: Vec<FaultEntry>,
    groups: Vec<GroupEntry>,
    clusters: Vec<ClusterEntry>,
    tags: Vec<TagEntry>,
    sessions: BTreeMap<NodeId, u16>,
    parameters: BTreeMap<String, String>,
    calendars: BTreeMap<DocumentName, Vec<Closed>>,
}

/// Why a world cannot be as it is written.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// It is no JSON, or has a field or a value that does not belong there.
    #[error("the world cannot be read")]
    Unreadable(#[from] serde_json::Error),
    /// Something in it contradicts something else.
    #[error("{0}")]
    Impossible(String),
}

fn impossible(text: impl Into<String>) -> WorldError {
    WorldError::Impossible(text.into())
}

/// Something that happened before the present.
enum Past<'a> {
    Added(&'a InstanceEntry, usize),
    Ill(NodeId, Ailment, Option<i64>),
}

impl WorldFile {
    /// Reads a world.
    ///
    /// # Errors
    /// When it is no JSON, or holds what a world does not know.
    pub fn read(bytes: &[u8]) -> Result<Self, WorldError> {
        if bytes.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        // A list would be taken for the fields in their order.
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            return Err(impossible("a world is an object"));
        }
        Ok(serde_json::from_slice(bytes)?)
    }

    /// With this account and region, where the file names none.
    #[must_use]
    pub fn at_home(mut self, account: Option<AccountId>, region: Option<Region>) -> Self {
        self.account = self.account.or(account);
        self.region = self.region.or(region);
        self
    }

    fn home(&self) -> Result<Home, WorldError> {
        let documentation = documentation_home().map_err(|error| impossible(error.to_string()))?;
        Ok(Home {
            account: self.account.unwrap_or(documentation.account),
            region: self.region.clone().unwrap_or(documentation.region),
        })
    }

    /// How far back the oldest fault reaches.
    fn oldest(&self) -> Result<i64, WorldError> {
        let faults = self.faults.iter().map(|entry| entry.since_secs);
        let all = self.instances.iter().map(|entry| entry.since_secs).chain(faults);
        let oldest = all.clone().max().unwrap_or(0);
        if all.min().unwrap_or(0) < 0 || oldest > PAST_MAX_SECS {
            return Err(impossible("since_secs is from 0 to ten years"));
        }
        if self.instances.iter().any(|entry| entry.age_secs.is_some_and(|age| !(0..=PAST_MAX_SECS).contains(&age))) {
            return Err(impossible("age_secs is from 0 to ten years"));
        }
        Ok(oldest)
    }

    fn changes_the_whole(&self) -> bool {
        self.account.is_some()
            || self.region.is_some()
            || self.seed.is_some()
            || self.flapping
            || self.background_commands
    }
}

/// The fault with this name: the code of a cause, or one of its own.
fn ailment(code: &str) -> Result<Ailment, WorldError> {
    Ailment::named(code)
        .ok_or_else(|| impossible(format!("the simulated account has no fault {}", super::input::shown(code))))
}

impl Fleet {
    /// The account that a file describes, brought up to a moment: its machines have been there, and its faults have been at
    /// work, for as long as the file says.
    ///
    /// # Errors
    /// When the file contradicts itself.
    pub fn of(file: &WorldFile, now: Timestamp) -> Result<Self, WorldError> {
        let home = file.home()?;
        let lead = file.oldest()? + LEAD_SECS;
        let start = after(now, -lead);
        let mut fleet = Self::new(WorldSettings {
            home,
            start,
            seed: file.seed.unwrap_or(1),
            flapping: file.flapping,
            background_commands: file.background_commands,
        });
        fleet.take(file, lead, now)?;
        Ok(fleet)
    }

    /// A change to the account, now.
    pub(super) fn change(&mut self, file: &WorldFile) -> Result<(), WorldError> {
        if file.changes_the_whole() {
            return Err(impossible(
                "account, region, seed, flapping and background_commands belong to a whole world: ask with ?replace=1",
            ));
        }
        if file.oldest()? > 0 {
            return Err(impossible(
                "a fault begins now: since_secs belongs to a whole world (?replace=1), or advance the clock",
            ));
        }
        let now = self.world.now();
        self.take(file, 0, now)
    }

    fn take(&mut self, file: &WorldFile, lead: i64, now: Timestamp) -> Result<(), WorldError> {
        let mut past: Vec<(i64, Past<'_>)> = Vec::new();
        for entry in &file.instances {
            for number in 0..entry.count.unwrap_or(1) {
                let age = entry.age_secs.unwrap_or(7 * 86_400);
                past.push((age.min(lead), Past::Added(entry, number)));
                if past.len() > MACHINES_MAX {
                    return Err(impossible(format!("more than {MACHINES_MAX} machines")));
                }
            }
        }
        for entry in &file.faults {
            let Some(fault) = &entry.fault else { continue };
            past.push((entry.since_secs, Past::Ill(entry.instance, ailment(fault)?, entry.lasts_secs)));
        }
        // The oldest first; what stands first in the file comes first at the same moment, machines before faults.
        past.sort_by_key(|(ago, _)| std::cmp::Reverse(*ago));
        for (ago, what) in past {
            self.catch_up(after(now, -ago));
            match what {
                Past::Added(entry, number) => self.add(entry, number, ago, now)?,
                Past::Ill(node, ailment, lasts) => self.fall_ill(node, ailment, after(now, -ago), lasts)?,
            }
        }
        self.catch_up(now);
        for entry in file.faults.iter().filter(|entry| entry.fault.is_none()) {
            self.must_know(entry.instance)?;
            self.world.repair(entry.instance, now);
        }
        self.settings(file, now)
    }

    fn add(&mut self, entry: &InstanceEntry, number: usize, ago: i64, now: Timestamp) -> Result<(), WorldError> {
        let home = self.world.home().clone();
        let mut spec = entry.spec(number, entry.count.unwrap_or(1), &home)?;
        spec.age_secs = entry.age_secs.unwrap_or(7 * 86_400) - ago;
        if let Some(id) = spec.id.filter(|id| self.world.knows(*id)) {
            return Err(impossible(format!("{id} stands there twice")));
        }
        let node = self.world.add(spec);
        let extra = Extra {
            tags: entry.tags.clone(),
            instance_type: entry.instance_type.clone(),
            termination_protected: entry.termination_protected,
        };
        self.extras.insert(node, extra);
        match &entry.fault {
            Some(fault) => self.fall_ill(node, ailment(fault)?, after(now, -entry.since_secs), entry.lasts_secs),
            None => Ok(()),
        }
    }

    fn fall_ill(
        &mut self,
        node: NodeId,
        ailment: Ailment,
        at: Timestamp,
        lasts: Option<i64>,
    ) -> Result<(), WorldError> {
        self.must_know(node)?;
        self.world.afflict(node, ailment, at, lasts);
        self.listen();
        Ok(())
    }

    fn must_know(&self, node: NodeId) -> Result<(), WorldError> {
        if self.world.knows(node) { Ok(()) } else { Err(impossible(format!("there is no {node} in this account"))) }
    }

    /// What is as it is now: groups, clusters, tags, sessions, parameters, calendars.
    fn settings(&mut self, file: &WorldFile, now: Timestamp) -> Result<(), WorldError> {
        for entry in &file.groups {
            if !self.world.fleets.iter().any(|fleet| fleet.name == entry.name) {
                return Err(impossible(format!("no machine is in the group {}", entry.name)));
            }
            let settings = GroupSettings {
                desired: entry.desired,
                min: entry.min,
                ec2_health_only: entry.ec2_health_only,
                suspended: entry.suspended,
                refreshing: entry.refreshing,
                tags: entry.tags.as_ref().map(understood),
            };
            self.world.set_group(&entry.name, &settings);
            if let Some(tags) = &entry.tags {
                self.group_tags.insert(entry.name.to_string(), tags.clone());
            }
            if let Some(max) = entry.max {
                self.group_max.insert(entry.name.to_string(), max);
            }
        }
        for entry in &file.clusters {
            if !self.world.clusters.iter().any(|cluster| *cluster.name == *entry.name) {
                return Err(impossible(format!("no machine is in the cluster {}", entry.name)));
            }
            if let Some(percent) = entry.minimum_percent {
                self.world.set_minimum(&entry.name, percent);
            }
            if let Some(tags) = &entry.tags {
                self.world.set_cluster_tags(&entry.name, understood(tags));
                self.cluster_tags.insert(entry.name.clone(), tags.clone());
            }
        }
        for entry in &file.tags {
            self.must_know(entry.instance)?;
            self.world.set_tags(entry.instance, understood(&entry.tags), now);
            self.extras.entry(entry.instance).or_default().tags.clone_from(&entry.tags);
        }
        for (node, sessions) in &file.sessions {
            self.must_know(*node)?;
            self.world.set_sessions(*node, *sessions, now);
        }
        self.parameters.extend(file.parameters.clone());
        for (name, windows) in &file.calendars {
            self.world.calendars.entry(name.clone()).or_default();
            for window in windows {
                self.world.close_calendar(name, after(now, window.from_secs), window.secs);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-20T14:00:00Z";

    fn now() -> Timestamp {
        NOW.parse().unwrap()
    }

    fn fleet(text: &str) -> Result<Fleet, WorldError> {
        Fleet::of(&WorldFile::read(text.as_bytes())?, now())
    }

    #[test]
    fn a_fault_has_been_at_work_for_as_long_as_the_file_says() {
        let fleet = fleet(
            r#"{"instances":[{"id":"i-0a1b2c3d4e5f60718","tags":{"defib:managed":"true"},"age_secs":7200,
                "fault":"ssm-agent.hung","since_secs":1200}]}"#,
        )
        .unwrap();
        let truth = fleet.world().truth("i-0a1b2c3d4e5f60718".parse().unwrap()).unwrap();
        assert_eq!(truth.ailment_since, Some(after(now(), -1_200)));
        assert_eq!(truth.launched_at, after(now(), -7_200));
        assert!(truth.tags.managed);
    }

    #[test]
    fn a_machine_may_be_younger_than_the_oldest_fault() {
        let fleet = fleet(
            r#"{"instances":[{"name":"old","fault":"ecs-agent.stopped","since_secs":3600,"cluster":"blue"},
                {"id":"i-0a1b2c3d","age_secs":60}]}"#,
        )
        .unwrap();
        assert_eq!(fleet.world().truth("i-0a1b2c3d".parse().unwrap()).unwrap().launched_at, after(now(), -60));
    }

    #[test]
    fn what_a_world_cannot_be_is_said() {
        for (text, said) in [
            (r#"{"instances":[{"id":"i-0a1b2c3d"},{"id":"i-0a1b2c3d"}]}"#, "twice"),
            (r#"{"instances":[{"id":"i-0a1b2c3d","count":2}]}"#, "count"),
            (r#"{"instances":[{"zone":"mars-1a"}]}"#, "zone"),
            (r#"{"faults":[{"instance":"i-0a1b2c3d","fault":"clock.skew"}]}"#, "no i-0a1b2c3d"),
            (r#"{"groups":[{"name":"none"}]}"#, "no machine"),
            (r#"{"instances":[{"since_secs":-1}]}"#, "since_secs"),
            (r#"{"instances":[{"fault":"unknown"}]}"#, "no fault"),
        ] {
            let error = fleet(text).unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
        assert!(WorldFile::read(br#"{"instance":[]}"#).is_err(), "a misspelled field is no field");
    }
}
