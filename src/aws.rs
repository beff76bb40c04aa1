//! The ports on the AWS SDK: one small file a service, own types in, own types out.
pub mod clients;
pub mod fault;
pub mod ledger;
pub mod parameter;
pub mod publish;
pub mod table;
pub mod timer;
