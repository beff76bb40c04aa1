//! Wire JSON becomes a typed [`Signal`], or a named reason to drop it.

mod signal;

pub use signal::{CoarseStatus, GoneKind, HealthCheck, Signal, SignalKind, SweptAgent};
