//! The simulated account: every port in memory, in virtual time, on one thread. It ships; it is not test code.

pub mod account;
pub mod ailment;
pub mod chance;
pub mod coverage;
pub mod driver;
pub mod duel;
pub mod fault;
pub mod invariants;
pub mod machine;
pub mod people;
pub mod rehearsal;
pub mod scenario;
pub mod soak;
pub mod stage;
pub mod traffic;
pub mod transcript;
pub mod world;
