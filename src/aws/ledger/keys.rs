//! Where everything lies in the table.

use crate::aws::table::Key;
use crate::effect::IntentId;
use crate::guard::Scope;
use crate::incident::IncidentId;
use crate::node::NodeId;
use crate::ports::ReportId;
use crate::storm::DigestId;

/// Open incidents, in short, one a node.
pub(super) const OPEN: &str = "open";
/// Reports on their way out.
pub(super) const OUTBOX: &str = "outbox";
/// Reports that are told together with others.
pub(super) const GATHERED: &str = "gathered";
/// Digests on their way out.
pub(super) const DIGESTS: &str = "digest";
/// Nodes that wait for a place.
pub(super) const SHELF: &str = "shelf";
/// What there was to tell of the policy document.
pub(super) const POLICY_NEWS: &str = "policy-news";
const ACCOUNT: &str = "account";
const CELL: &str = "cell";

fn key(pk: impl Into<String>, sk: impl Into<String>) -> Key {
    Key { pk: pk.into(), sk: sk.into() }
}

/// The record of an incident.
pub(super) fn incident(id: IncidentId) -> Key {
    key(format!("incident#{id}"), "record")
}

/// The scopes that an incident has taken permits in.
pub(super) fn held(id: IncidentId) -> Key {
    key(format!("incident#{id}"), "held")
}

/// Which execution of the timer drives an incident.
pub(super) fn timer(id: IncidentId) -> Key {
    key(format!("incident#{id}"), "timer")
}

/// What a node showed before an effect of an incident was sent.
pub(super) fn evidence(id: IncidentId, intent: IntentId) -> Key {
    key(format!("incident#{id}"), format!("evidence#{intent}"))
}

/// What is kept of a node.
pub(super) fn node(node: NodeId) -> Key {
    key(format!("node#{node}"), CELL)
}

/// The permits and rates of a scope.
pub(super) fn scope(scope: &Scope) -> Key {
    let name = match scope {
        Scope::Node(node) => format!("node/{node}"),
        Scope::Group(group) => format!("group/{group}"),
        Scope::ScalingGroup(group) => format!("scaling-group/{group}"),
        Scope::Zone(zone) => format!("zone/{zone}"),
        Scope::Account => "account".to_owned(),
    };
    key(format!("scope#{name}"), CELL)
}

/// The kill switch.
pub(super) fn switch() -> Key {
    key(ACCOUNT, "switch")
}

/// The account's record: the breaker, episodes, the baseline.
pub(super) fn bulletin() -> Key {
    key(ACCOUNT, "bulletin")
}

/// Incidents that are worked on.
pub(super) fn driven() -> Key {
    key(ACCOUNT, "driven")
}

/// What is remembered of the policy document.
pub(super) fn policy() -> Key {
    key(ACCOUNT, "policy")
}

/// An open incident in the list.
pub(super) fn open(node: NodeId) -> Key {
    key(OPEN, node.to_string())
}

/// A report on its way out.
pub(super) fn outbox(id: ReportId) -> Key {
    key(OUTBOX, id.to_string())
}

/// A report that is told together with others.
pub(super) fn gathered(id: ReportId) -> Key {
    key(GATHERED, id.to_string())
}

/// A digest on its way out.
pub(super) fn digest(id: DigestId) -> Key {
    key(DIGESTS, id.to_string())
}

/// A node that waits for a place.
pub(super) fn shelf(node: NodeId) -> Key {
    key(SHELF, node.to_string())
}

/// Something to tell of the policy document, in the order of the versions that brought it.
pub(super) fn policy_news(version: u64) -> Key {
    key(POLICY_NEWS, format!("{version:020}"))
}
