//! The simulated account: every port in memory, in virtual time, on one thread. It ships; it is not test code.

pub mod account;
pub mod driver;
pub mod fault;
pub mod ledger;
pub mod world;
