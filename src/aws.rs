//! The ports on the AWS SDK: one small file a service, own types in, own types out.
//!
//! Nothing outside this module knows a type of the SDK. Reads are retried within a budget that all of them share; what changes
//! something is sent once.

pub mod black_box;
mod cache;
pub mod clients;
#[cfg(feature = "operate")]
pub mod deployment;
mod driver;
pub mod fault;
pub mod ledger;
pub mod nodes;
mod observe;
pub mod operations;
pub mod parameter;
mod perform;
pub mod publish;
mod survey;
pub mod table;
pub mod timer;
mod translate;

pub use clients::Clients;
pub use driver::Account;
pub use nodes::{Documents, Nodes};
pub use observe::Checked;
pub use survey::Swept;
