//! The ports on the AWS SDK: one small file a service, own types in, own types out.
//!
//! Nothing outside this module knows a type of the SDK. Reads are retried within a budget that all of them share; what changes
//! something is sent once.

mod cache;
pub mod clients;
pub mod fault;
pub mod nodes;
mod observe;
pub mod operations;
mod perform;
mod survey;
mod translate;

pub use clients::Clients;
pub use nodes::{Documents, Nodes};
pub use survey::Swept;
