//! Faults that are none of the node's: nothing that is done to the node could help.

use super::profile::{Profile, chatter, shows};
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
    leaves: &[shows(
        Channel::Probe,
        Cause::SessionClientGaveUp,
        "amazon-ssm-agent.log: CreateDataChannel failed: Session is already terminated",
    )],
    ..UNTOUCHED
};

pub(super) const SERVICE_UNAVAILABLE: Profile = UNTOUCHED;
