//! Who is on a node through Session Manager.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::node::ResourceName;

/// Session Manager's sessions on a node, as far as they have not ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Sessions {
    /// How many, those included whose client is away: it may come back.
    pub live: u16,
    /// Their ids, which begin with who opened them; the first few.
    pub who: Arc<[ResourceName]>,
    /// Those of them whose client is away (`Disconnected`).
    pub left: Arc<[ResourceName]>,
}

impl Sessions {
    /// Ids that are kept.
    pub const KEPT: usize = 8;
}
