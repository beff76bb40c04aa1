//! Any bytes are a stored record or an error; what was read is written, read again, decided on and told.
#![no_main]

use defib::effect::Target;
use defib::guard::Scope;
use defib::guard::breaker::BreakerLimits;
use defib::incident::record::{self, BadRecord};
use defib::incident::{Incident, IncidentId, Remedy, SCHEMA};
use defib::observe::{Blind, Depth, Fact, Observation};
use defib::plan;
use defib::policy::standing::Remembered;
use defib::policy::{Mode, Policy};
use defib::ports::{KillSwitch, LastIncident, OutboxItem, Performed, Quarantine, Rails};
use defib::report::{self, StackInfo, digest_line, render, render_digest};
use defib::storm::{Bulletin, Digest};
use defib_fuzz::{assert_message, now};
use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Written and read again, a record is the same.
fn again<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(bytes: &[u8]) -> Option<T> {
    let first: T = serde_json::from_slice(bytes).ok()?;
    let written = serde_json::to_vec(&first).expect("what was read can be written");
    assert_eq!(serde_json::from_slice::<T>(&written).expect("what was written can be read"), first);
    Some(first)
}

/// Nothing is seen of its node, or nothing is there.
fn looks(incident: &Incident) -> [Observation; 2] {
    let blind = Fact::Unknown(Blind::Throttled);
    let unseen = Observation {
        node: incident.node,
        at: now(),
        depth: Depth::All,
        ec2: Fact::Unknown(Blind::Throttled),
        ssm: Fact::Unknown(Blind::Throttled),
        ecs: Fact::Unknown(Blind::Throttled),
        asg: Fact::Unknown(Blind::Throttled),
        group: Fact::Unknown(Blind::Throttled),
        factors: Fact::Unknown(Blind::Throttled),
        invocation: Fact::Unknown(Blind::Throttled),
        probe: Fact::Unknown(Blind::Throttled),
        repair: Fact::Unknown(Blind::Throttled),
        sessions: Fact::Unknown(Blind::Throttled),
        busy: Fact::Unknown(Blind::Throttled),
        workload: Fact::Unknown(Blind::Throttled),
        successor: Fact::Unknown(Blind::Throttled),
        calendar: Fact::Unknown(Blind::Throttled),
        identity: blind.clone(),
        network: blind.clone(),
        console: blind,
    };
    let absent = Observation {
        ec2: Fact::Absent,
        ssm: Fact::Absent,
        ecs: Fact::Absent,
        asg: Fact::Absent,
        group: Fact::Absent,
        probe: Fact::Absent,
        busy: Fact::Absent,
        workload: Fact::Absent,
        calendar: Fact::Absent,
        ..unseen.clone()
    };
    [unseen, absent]
}

fn decide_on(incident: &Incident) {
    let rails = Rails { switch: KillSwitch::Running, muted_until: None, quarantine: None, around: None };
    let policy = Policy::in_mode(Mode::Replace);
    let mut plans: Vec<plan::Plan> =
        looks(incident).iter().map(|seen| plan::decide(incident, seen, &rails, &policy, now())).collect();
    plans.push(plan::settle(incident, &Performed::Unknown, &policy, now()));
    plans.push(plan::settle(incident, &Performed::Done { command: None }, &policy, now()));
    for plan in plans {
        let written = record::write(&plan.next).expect("every incident can be written");
        assert_eq!(record::read(written.as_bytes()).as_ref(), Ok(&*plan.next));
        assert!(!plan.next.is_closed() || plan.perform.is_none(), "a closed incident acts: {plan:?}");
    }
    for entry in incident.history.iter() {
        let _ = report::line(entry, incident);
    }
}

/// Whatever a stored breaker says, it takes more of it, and a shut one closes.
fn shock(bulletin: Bulletin) {
    let limits = BreakerLimits::of(&Policy::default());
    let holder = IncidentId::new(now(), "i-0123456789abcdef0".parse().expect("a node"));
    let mut breaker = bulletin.breaker;
    breaker.troubled(holder.node(), now(), &limits, bulletin.fleet);
    if let Err(refusal) = breaker.check(Remedy::Reboot, &Scope::Account, holder, now()) {
        assert!(!refusal.to_string().is_empty());
    }
    breaker.take(Remedy::Reboot, &Scope::Account, holder, now());
    breaker.freed(holder);
    assert!(breaker.trips.iter().all(|trip| trip.canary.is_none_or(|(canary, _)| canary != holder)));
    breaker.tidy(jiff::Timestamp::MAX, &limits);
    assert!(breaker.troubled.is_empty());
}

fuzz_target!(|bytes: &[u8]| {
    match record::read(bytes) {
        Ok(incident) => {
            assert!(incident.schema == SCHEMA);
            let written = record::write(&incident).expect("every incident can be written");
            assert_eq!(record::read(written.as_bytes()), Ok(incident.clone()));
            // A newer version may change the form of everything but the number.
            let mut newer: serde_json::Value = serde_json::from_str(&written).expect("JSON");
            newer["schema"] = (SCHEMA + 1).into();
            newer["phase"] = serde_json::Value::Null;
            let found = SCHEMA + 1;
            assert_eq!(record::read(newer.to_string().as_bytes()), Err(BadRecord::Newer { found, known: SCHEMA }));
            decide_on(&incident);
        }
        Err(error) => assert!(error.to_string().len() < 200, "{error}"),
    }
    if let Some(item) = again::<OutboxItem>(bytes) {
        assert_message(&render(&item.report, &item.id, &StackInfo { name: "defib", version: "0.1.0" }));
    }
    if let Some(digest) = again::<Digest>(bytes) {
        assert_message(&render_digest(&digest, &StackInfo { name: "defib", version: "0.1.0" }));
        assert!(!digest_line(&digest).is_empty());
    }
    if let Some(bulletin) = again::<Bulletin>(bytes) {
        shock(bulletin);
    }
    again::<Remembered>(bytes);
    again::<Quarantine>(bytes);
    again::<LastIncident>(bytes);
    again::<Policy>(bytes);
    again::<Target>(bytes);
});
