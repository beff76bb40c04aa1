//! The simulated account: every port in memory, in virtual time, on one thread. It ships; it is not test code.

pub mod ailment;
pub mod machine;
pub mod traffic;
pub mod world;
