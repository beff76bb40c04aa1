//! Faults that are none of the node's: nothing that is done to the node could help.

use super::profile::{Profile, chatter};
use crate::diagnose::{Cause, Channel};
use crate::incident::Remedy;

const UNTOUCHED: Profile = Profile { forbids: &Remedy::ALL, ..Profile::QUIET };

pub(super) const HEALTHY: Profile = UNTOUCHED;

pub(super) const PERIODIC_RECONNECT: Profile = Profile {
    leaves: &[chatter(
        Channel::Probe,
        Cause::NoisePeriodicReconnect,
        "ecs-agent.log: level=info msg=\"ACS WebSocket connection closed for a valid reason\"",
    )],
    ..UNTOUCHED
};

pub(super) const SCRIPT_TIMEOUT: Profile = UNTOUCHED;

pub(super) const REJECTED: Profile = UNTOUCHED;

pub(super) const CLIENT_GAVE_UP: Profile = Profile {
    leaves: &[chatter(
        Channel::Probe,
        Cause::SessionClientGaveUp,
        "amazon-ssm-agent.log: session is already terminated; websocket: close 1000 (normal)",
    )],
    ..UNTOUCHED
};

pub(super) const SERVICE_UNAVAILABLE: Profile = UNTOUCHED;
