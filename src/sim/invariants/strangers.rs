//! S13: ids of another account or region cause no call; an id that AWS does not know costs one read.

use super::Inspector;
use crate::engine::Request;
use crate::node::NodeId;
use crate::ports::Key;
use crate::sim::account::Account;
use crate::sim::driver::Happened;

impl Inspector {
    /// An event about this node comes from elsewhere.
    pub fn foreign(&mut self, node: NodeId) {
        self.foreign.push(node);
    }

    /// S13, at each request.
    pub(super) fn nothing_for_strangers(&mut self, account: &Account, what: &Happened<'_>, request: &Request) {
        let (node, asked) = match request {
            Request::Observe(node, _) => (*node, "a look"),
            Request::Load(Key::Node(node)) => (*node, "a read of the ledger"),
            Request::Commit(commit) => (commit.next.node, "a record"),
            Request::Perform(perform) => (perform.target.node, "an effect"),
            Request::Shelve(shelve) => (shelve.signal.node, "a place on the shelf"),
            Request::Load(Key::Incident(_))
            | Request::Publish(_)
            | Request::MarkSent(_)
            | Request::Survey
            | Request::Post(_)
            | Request::PublishDigest(_)
            | Request::MarkDigestSent(_)
            | Request::Switch(_)
            | Request::Done(_) => return,
        };
        if account.world.knows(node) {
            return;
        }
        if self.foreign.contains(&node) {
            self.broken("S13", what.at, Some(node), || format!("{asked} for a node of another account or region"));
        }
        match request {
            // The ledger is ours: only AWS is asked once. A pass that is tried again asks again.
            Request::Observe(..) => {
                if self.strangers.contains(&(what.pass, node)) {
                    self.broken("S13", what.at, Some(node), || "a second look at an unknown node".to_owned());
                }
                self.strangers.push((what.pass, node));
            }
            Request::Commit(_) | Request::Perform(_) => {
                self.broken("S13", what.at, Some(node), || format!("{asked} for a node that AWS does not know"));
            }
            // Nobody looks at what is on the shelf until its turn comes.
            Request::Load(_)
            | Request::Shelve(_)
            | Request::Publish(_)
            | Request::MarkSent(_)
            | Request::Survey
            | Request::Post(_)
            | Request::PublishDigest(_)
            | Request::MarkDigestSent(_)
            | Request::Switch(_)
            | Request::Done(_) => {}
        }
    }
}
