//! The simulated account's HTTP door: the AWS calls that Defib makes, answered over AWS's own wire protocols.
//!
//! The account behind it is [`World`]; the door only translates. A request comes in, the world is brought up to the present,
//! one operation answers one JSON value, and the protocol of its service writes that down: awsJson 1.1 for Systems Manager
//! and ECS, XML for EC2, Auto Scaling and IAM. Nothing in here reads a clock: every request is handed its `now`.
//!
//! What the answers look like follows the service models and `facts/aws.md`; moto is the second opinion
//! (`tests/fleet_moto.py`). Not verified on a real account.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use crate::node::NodeId;
use crate::sim::world::{World, WorldSettings};
use crate::time::after;

mod auto_scaling;
mod calls;
mod console;
mod control;
mod ec2;
mod ecs;
mod error;
mod events;
mod files;
mod iam;
mod input;
mod machines;
mod page;
mod protocol;
mod role;
mod serve;
mod ssm;
mod xml;

pub use files::WorldFile;
pub use protocol::{Answer, Pause, Request};
pub use serve::{ServeError, loopback, serve};

use calls::{Calls, Faults};
use error::AwsError;
use machines::Extra;
use role::Role;
use ssm::Sent;

/// The simulated account, with everything that its world does not know of itself: tags in full, names of resources, the
/// commands as they were sent, the calls received.
#[derive(Debug)]
pub struct Fleet {
    world: World,
    /// How far the account's clock goes ahead of the real one, in seconds.
    ahead_secs: i64,
    /// The account's clock stands still, unless somebody moves it.
    held: bool,
    extras: BTreeMap<NodeId, Extra>,
    group_tags: BTreeMap<String, BTreeMap<String, String>>,
    group_max: BTreeMap<String, u32>,
    cluster_tags: BTreeMap<String, BTreeMap<String, String>>,
    parameters: BTreeMap<String, String>,
    sent: BTreeMap<String, Sent>,
    events: events::Told,
    calls: Calls,
    faults: Faults,
    /// Who asks; none: nobody is refused.
    role: Option<Role>,
    /// Counts requests, for their ids.
    requests: u64,
    seed: u64,
}

impl Fleet {
    /// An empty account.
    #[must_use]
    pub fn new(settings: WorldSettings) -> Self {
        let seed = settings.seed;
        Self {
            world: World::new(settings),
            ahead_secs: 0,
            held: false,
            extras: BTreeMap::new(),
            group_tags: BTreeMap::new(),
            group_max: BTreeMap::new(),
            cluster_tags: BTreeMap::new(),
            parameters: BTreeMap::new(),
            sent: BTreeMap::new(),
            events: events::Told::default(),
            calls: Calls::default(),
            faults: Faults::default(),
            role: None,
            requests: 0,
            seed,
        }
    }

    /// The account behind the door.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Answers one request, at a moment of the real clock. Any bytes get an answer.
    pub fn answer(&mut self, request: &Request<'_>, now: Timestamp) -> Answer {
        self.requests += 1;
        self.catch_up(if self.held { self.world.now() } else { after(now, self.ahead_secs) });
        let is_control = request.path.starts_with("/_fleet");
        let answer = if is_control { control::answer(self, request) } else { protocol::answer(self, request) };
        // What the request itself changed is told before anything else happens.
        self.listen();
        answer
    }

    /// Lets everything happen that is due, one moment after the other, and writes down what AWS tells of each.
    fn catch_up(&mut self, now: Timestamp) {
        while let Some(at) = self.world.next_event_at().filter(|at| *at <= now) {
            self.world.advance(at.max(self.world.now()));
            self.listen();
        }
        self.world.advance(now);
        self.listen();
    }

    /// A request's id, in the form that AWS gives it.
    fn request_id(&self) -> String {
        uuid(mixed(u128::from(self.seed), u128::from(self.requests)))
    }
}

/// Two numbers as one that looks like none of them: the finalizer of `SplitMix64`, once for each half.
fn mixed(value: u128, salt: u128) -> u128 {
    let half = |mut z: u64| {
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let low = |number: u128| u64::try_from(number & u128::from(u64::MAX)).unwrap_or(0);
    let folded = low(value ^ (value >> 64)).wrapping_add(half(low(salt).wrapping_add(0x9e37_79b9_7f4a_7c15)));
    let first = half(folded);
    u128::from(first) << 64 | u128::from(half(first.wrapping_add(0x9e37_79b9_7f4a_7c15)))
}

/// Digits as a UUID of version 4.
fn uuid(value: u128) -> String {
    let text = format!("{value:032x}");
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    format!("{}-{}-4{}-a{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
}

/// What an operation answers.
type Answered = Result<Value, AwsError>;
