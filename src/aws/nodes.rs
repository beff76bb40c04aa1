//! The side of the nodes: looking at them, finding those in trouble, and acting on one.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::cache::Cache;
use super::clients::Clients;
use crate::node::{DocumentName, Home};

/// Our own documents of Systems Manager, by their names in this account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Documents {
    /// The read-only probe. It takes no parameters.
    pub probe: DocumentName,
    /// The repairs. Its one parameter `Action` is one of an enumeration.
    pub repair: DocumentName,
}

/// The nodes of one account and region, over the network.
#[derive(Debug)]
pub struct Nodes {
    pub(super) clients: Clients,
    pub(super) home: Home,
    pub(super) documents: Documents,
    pub(super) cache: Cache,
    /// ARNs of the keys of volumes for which EC2 gets a grant when an instance starts.
    pub(super) volume_keys: BTreeSet<Arc<str>>,
    /// The present, read once more right before an effect is sent.
    pub(super) clock: fn() -> Timestamp,
}

impl Nodes {
    /// The nodes that these clients reach. `clock` tells the present: [`crate::config::now`], but for tests.
    #[must_use]
    pub fn new(clients: Clients, home: Home, documents: Documents, clock: fn() -> Timestamp) -> Self {
        Self { clients, home, documents, cache: Cache::default(), volume_keys: BTreeSet::new(), clock }
    }

    /// The same, with the keys of encrypted volumes that the stack names.
    #[must_use]
    pub fn with_volume_keys(mut self, keys: BTreeSet<Arc<str>>) -> Self {
        self.volume_keys = keys;
        self
    }
}
