//! Defib revives AWS instances whose agents stopped answering.
//!
//! The way through the house: an event becomes a [`event::Signal`], a signal opens an [`incident::Incident`], the node is
//! looked at ([`observe::Observation`]), [`plan::decide`] says what follows, the [`engine`] saves that and performs it
//! through the [`ports`], and a [`report::Report`] tells people. Everything above `engine` is pure: no clock, no I/O.

#[cfg(feature = "plants")]
#[macro_use]
pub mod plants;

// Without the feature a planted bug is not even compiled.
#[cfg(not(feature = "plants"))]
macro_rules! planted {
    ($($bug:tt)*) => {};
}

pub mod diagnose;
pub mod effect;
pub mod engine;
pub mod event;
pub mod guard;
mod hash;
pub mod incident;
mod json;
pub mod ledger;
pub mod node;
pub mod observe;
pub mod operator;
pub mod plan;
pub mod policy;
pub mod ports;
pub mod report;
pub mod sim;
pub mod storm;
pub mod time;

#[cfg(feature = "aws")]
pub mod aws;
#[cfg(any(feature = "cli", feature = "lambda"))]
pub mod config;
#[cfg(feature = "lambda")]
pub mod lambda;
#[cfg(feature = "lambda")]
pub mod telemetry;

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "cli")]
pub mod fleet;
