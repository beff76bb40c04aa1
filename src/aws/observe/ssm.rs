//! Systems Manager's view of a node: its row, its connection, live sessions, and the change calendar.

use aws_sdk_ssm::types::{
    CalendarState, ConnectionStatus, InstanceInformation, InstanceInformationStringFilter, PingStatus, PlatformType,
    ResourceTypeForTagging, Session, SessionFilter, SessionFilterKey, SessionState, SessionStatus,
};
use jiff::Timestamp;

use crate::aws::cache::{AROUND_SECS, CENSUS_SECS};
use crate::aws::fault::Fault;
use crate::aws::nodes::Nodes;
use crate::aws::translate::{moment, tags};
use crate::diagnose::identity::AgentVersion;
use crate::node::{DocumentName, NodeId};
use crate::observe::{
    Blind, Calendar, Connection, Fact, InstanceState, Look, Observation, PING_STALE_SECS, Ping, Platform, Sessions,
    Ssm, Tags,
};
use crate::time::secs_between;

/// The row of an agent that is not connected holds for so long, in seconds: it pings no more.
const AWAY_SECS: i64 = 1_800;
/// Pages that a look reads at most.
const PAGES_MAX: usize = 20;

impl Nodes {
    /// Systems Manager's view. A row that is missing says "not registered" only of a node that runs: those that are stopped are
    /// not listed (facts/aws.md §2.1).
    pub(super) async fn ssm(
        &self,
        seen: &Observation,
        state: Option<InstanceState>,
        look: &Look,
        now: Timestamp,
    ) -> Fact<Ssm> {
        let node = seen.node;
        // A row changes with each ping, every five minutes; only the proof of a remedy waits for the very next one.
        let held = if look.pinged_after.is_some() { PING_STALE_SECS } else { AROUND_SECS };
        let mut kept = self.cache.rows.get(&node, now, held);
        if !look.close && look.pinged_after.is_none() {
            // An agent that was silent for long at the last census: who opens an incident on that looks again before anything is done.
            kept = kept.or_else(|| self.cache.rows.get(&node, now, CENSUS_SECS).filter(|row| !row.answers(now)));
        }
        let kept = kept.filter(|row| look.pinged_after.is_none_or(|since| row.last_ping > since));
        if let Some(row) = kept {
            if seen.may_spare_connection(row.answers(now), look, now) {
                return row.seen(not_asked(), self.managed_tags(node, now).await);
            }
            let (connection, tags) = tokio::join!(self.connection(node, now), self.managed_tags(node, now));
            if connection != Fact::Known(Connection::Connected) || row.answers(now) {
                return row.seen(connection, tags);
            }
            // It is connected again, so that its row is no more what it was.
            return self.listed(node, state, connection, tags, now).await;
        }
        let (row, connection, tags) =
            tokio::join!(self.information(node, now), self.connection(node, now), self.managed_tags(node, now));
        view(row, node, state, connection, tags)
    }

    /// What is known of an agent without asking; none: nobody has heard of it.
    pub(super) async fn heard_of(&self, node: NodeId, now: Timestamp) -> Option<Fact<Ssm>> {
        let row = self.cache.rows.get(&node, now, AWAY_SECS)?;
        Some(row.seen(not_asked(), self.managed_tags(node, now).await))
    }

    /// An agent that was heard before and is not connected now; none: it is, or nobody knows.
    pub(super) async fn away(&self, node: NodeId, now: Timestamp) -> Option<Fact<Ssm>> {
        let row = self.cache.rows.get(&node, now, AWAY_SECS)?;
        let (connection, tags) = tokio::join!(self.connection(node, now), self.managed_tags(node, now));
        (connection == Fact::Known(Connection::NotConnected)).then(|| row.seen(connection, tags))
    }

    async fn listed(
        &self,
        node: NodeId,
        state: Option<InstanceState>,
        connection: Fact<Connection>,
        tags: Fact<Tags>,
        now: Timestamp,
    ) -> Fact<Ssm> {
        view(self.information(node, now).await, node, state, connection, tags)
    }

    /// The row of a node; none: not listed.
    async fn information(&self, node: NodeId, now: Timestamp) -> Result<Option<Row>, Blind> {
        let id = node.to_string();
        // As a filter: an unknown id in `InstanceIds` itself is an error.
        let filter = InstanceInformationStringFilter::builder().key("InstanceIds").values(&id).build();
        let filter = filter.map_err(|_| Blind::NotRead)?;
        let answer = self.clients.ssm.describe_instance_information().filters(filter).send().await;
        let output = answer.map_err(|error| Fault::of("DescribeInstanceInformation", error).blind())?;
        let rows = output.instance_information_list.ok_or(Blind::Empty)?;
        let Some(row) = rows.iter().find(|row| row.instance_id() == Some(id.as_str())) else { return Ok(None) };
        let row = Row::of(row).ok_or(Blind::Empty)?;
        self.cache.rows.put(node, now, row);
        Ok(Some(row))
    }

    pub(super) async fn connection(&self, node: NodeId, now: Timestamp) -> Fact<Connection> {
        if let Some(known) = self.cache.connections.get(&node, now, 0) {
            return Fact::Known(known);
        }
        let answer = self.clients.ssm.get_connection_status().target(node.to_string()).send().await;
        match answer.map_err(|error| Fault::of("GetConnectionStatus", error)) {
            Ok(output) => {
                let seen = connection(output.status());
                seen.known().into_iter().for_each(|seen| self.cache.connections.put(node, now, *seen));
                seen
            }
            Err(fault) => Fact::Unknown(fault.blind()),
        }
    }

    /// Defib's tags on a managed node. Absent for an instance: EC2 has them.
    async fn managed_tags(&self, node: NodeId, now: Timestamp) -> Fact<Tags> {
        if node.is_instance() {
            return Fact::Absent;
        }
        if let Some(known) = self.cache.managed.get(&node, now, AROUND_SECS) {
            return Fact::Known(known);
        }
        let request = self.clients.ssm.list_tags_for_resource();
        let request = request.resource_type(ResourceTypeForTagging::ManagedInstance).resource_id(node.to_string());
        match request.send().await.map_err(|error| Fault::of("ListTagsForResource", error)) {
            Ok(output) if output.tag_list.is_none() => Fact::Unknown(Blind::Empty),
            Ok(output) => {
                let read = tags(output.tag_list().iter().map(|tag| (Some(tag.key()), Some(tag.value()))));
                self.cache.managed.put(node, now, read);
                Fact::Known(read)
            }
            Err(fault) => Fact::Unknown(fault.blind()),
        }
    }

    /// Live sessions to the node.
    pub(super) async fn sessions(&self, node: NodeId, now: Timestamp) -> Fact<Sessions> {
        if let Some(known) = self.cache.sessions.get(&node, now, AROUND_SECS) {
            return Fact::Known(known);
        }
        let filter = SessionFilter::builder().key(SessionFilterKey::TargetId).value(node.to_string()).build();
        let Ok(filter) = filter else { return Fact::Unknown(Blind::NotRead) };
        let (mut rows, mut token) = (Vec::new(), None);
        for _ in 0..PAGES_MAX {
            let request = self.clients.ssm.describe_sessions().state(SessionState::Active).filters(filter.clone());
            let answer = request.set_next_token(token.take()).send().await;
            let output = match answer.map_err(|error| Fault::of("DescribeSessions", error)) {
                Ok(output) => output,
                Err(fault) => return Fact::Unknown(fault.blind()),
            };
            let Some(sessions) = output.sessions else { return Fact::Unknown(Blind::Empty) };
            rows.extend(sessions);
            token = output.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                let sessions = sessions_of(&rows);
                self.cache.sessions.put(node, now, sessions.clone());
                return Fact::Known(sessions);
            }
        }
        // The rest of the list may hold one.
        Fact::Unknown(Blind::Empty)
    }

    /// The change calendar that the look named.
    pub(super) async fn calendar(&self, name: Option<&DocumentName>, now: Timestamp) -> Fact<Calendar> {
        let Some(name) = name else { return Fact::Absent };
        if let Some(known) = self.cache.calendars.get(name, now, AROUND_SECS) {
            return known;
        }
        let answer = self.clients.ssm.get_calendar_state().calendar_names(name.as_str()).send().await;
        let fact = match answer.map_err(|error| Fault::of("GetCalendarState", error)) {
            Ok(output) => calendar(name, output.state(), output.next_transition_time()),
            Err(fault) => Fact::Unknown(fault.blind()),
        };
        if fact.known().is_some() {
            self.cache.calendars.put(name.clone(), now, fact.clone());
        }
        fact
    }
}

/// Sessions as they are listed. One whose client is away may be resumed, so it counts as live.
fn sessions_of(rows: &[Session]) -> Sessions {
    let id = |row: &Session| row.session_id().and_then(|id| id.parse().ok());
    let is_left = |row: &&Session| row.status() == Some(&SessionStatus::Disconnected);
    Sessions {
        live: u16::try_from(rows.len()).unwrap_or(u16::MAX),
        who: rows.iter().filter_map(id).take(Sessions::KEPT).collect(),
        left: rows.iter().filter(is_left).filter_map(id).take(Sessions::KEPT).collect(),
    }
}

/// The connection is not asked for: something else decides.
fn not_asked() -> Fact<Connection> {
    Fact::Unknown(Blind::NotRead)
}

/// A node's row, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::aws) struct Row {
    pub ping: Ping,
    pub last_ping: Timestamp,
    pub platform: Platform,
    /// `AgentVersion`; none: not said, or not understood.
    pub version: Option<AgentVersion>,
}

impl Row {
    /// A row of the list; none: half a row, from which nothing follows.
    pub(super) fn of(row: &InstanceInformation) -> Option<Self> {
        let last_ping = row.last_ping_date_time().and_then(moment)?;
        let version = row.agent_version().and_then(|version| version.parse().ok());
        Some(Self { ping: ping(row)?, last_ping, platform: platform(row), version })
    }

    fn answers(self, now: Timestamp) -> bool {
        self.ping == Ping::Online && secs_between(self.last_ping, now) <= PING_STALE_SECS
    }

    fn seen(self, connection: Fact<Connection>, tags: Fact<Tags>) -> Fact<Ssm> {
        let Self { ping, last_ping, platform, .. } = self;
        Fact::Known(Ssm { ping, last_ping, connection, platform, tags })
    }
}

fn view(
    row: Result<Option<Row>, Blind>,
    node: NodeId,
    state: Option<InstanceState>,
    connection: Fact<Connection>,
    tags: Fact<Tags>,
) -> Fact<Ssm> {
    match row {
        Err(blind) => Fact::Unknown(blind),
        Ok(Some(row)) => row.seen(connection, tags),
        Ok(None) => not_listed(node, state),
    }
}

/// A node without a row.
fn not_listed(node: NodeId, state: Option<InstanceState>) -> Fact<Ssm> {
    match state {
        None if !node.is_instance() => Fact::Absent,
        Some(InstanceState::Pending | InstanceState::Running) => Fact::Absent,
        // Nobody can tell, for what does not run is not listed.
        Some(
            InstanceState::Stopping | InstanceState::Stopped | InstanceState::ShuttingDown | InstanceState::Terminated,
        )
        | None => Fact::Unknown(Blind::Empty),
    }
}

/// `PingStatus`. `Inactive` is deprecated, and was what `ConnectionLost` is now.
fn ping(row: &InstanceInformation) -> Option<Ping> {
    match row.ping_status()? {
        PingStatus::Online => Some(Ping::Online),
        PingStatus::ConnectionLost | PingStatus::Inactive => Some(Ping::ConnectionLost),
        _ => None,
    }
}

fn connection(status: Option<&ConnectionStatus>) -> Fact<Connection> {
    match status {
        Some(ConnectionStatus::Connected) => Fact::Known(Connection::Connected),
        Some(ConnectionStatus::NotConnected) => Fact::Known(Connection::NotConnected),
        Some(_) | None => Fact::Unknown(Blind::Empty),
    }
}

/// What runs there. Ubuntu's images bring the agent as a snap; the repair on the host tries both ways.
fn platform(row: &InstanceInformation) -> Platform {
    let name = row.platform_name().unwrap_or_default().to_lowercase();
    if row.platform_type() == Some(&PlatformType::Windows) {
        Platform::Windows
    } else if name.contains("bottlerocket") {
        Platform::Bottlerocket
    } else if name.contains("ubuntu") {
        Platform::Snap
    } else {
        Platform::Linux
    }
}

fn calendar(name: &DocumentName, state: Option<&CalendarState>, next: Option<&str>) -> Fact<Calendar> {
    let open = match state {
        Some(CalendarState::Open) => true,
        Some(CalendarState::Closed) => false,
        Some(_) | None => return Fact::Unknown(Blind::Empty),
    };
    let changes_at = next.and_then(|next| next.parse().ok());
    Fact::Known(Calendar { name: name.clone(), open, changes_at })
}

#[cfg(test)]
mod tests {
    use aws_smithy_types::DateTime;

    use super::*;

    fn row() -> aws_sdk_ssm::types::builders::InstanceInformationBuilder {
        InstanceInformation::builder()
            .instance_id("i-0a1b2c3d4e5f60718")
            .ping_status(PingStatus::Online)
            .last_ping_date_time(DateTime::from_secs(1_800_000_000))
            .platform_type(PlatformType::Linux)
            .platform_name("Amazon Linux")
    }

    #[test]
    fn a_row_that_is_missing_says_something_only_of_a_node_that_runs() {
        let instance: NodeId = "i-0a1b2c3d4e5f60718".parse().unwrap();
        let hybrid: NodeId = "mi-0a1b2c3d4e5f60718".parse().unwrap();
        assert_eq!(not_listed(instance, Some(InstanceState::Running)), Fact::Absent);
        assert_eq!(not_listed(instance, Some(InstanceState::Stopped)), Fact::Unknown(Blind::Empty));
        assert_eq!(not_listed(instance, None), Fact::Unknown(Blind::Empty), "EC2 did not answer");
        assert_eq!(not_listed(hybrid, None), Fact::Absent);
    }

    #[test]
    fn half_a_row_is_unknown_and_never_lost() {
        assert!(Row::of(&row().build()).is_some());
        assert_eq!(Row::of(&row().set_last_ping_date_time(None).build()), None);
        assert_eq!(Row::of(&row().set_ping_status(None).build()), None);
        assert_eq!(Row::of(&row().ping_status(PingStatus::from("Asleep")).build()), None);
        assert_eq!(connection(None), Fact::Unknown(Blind::Empty));
    }

    #[test]
    fn a_session_whose_client_is_away_is_live_and_named() {
        let row = |id: &str, status: SessionStatus| Session::builder().session_id(id).status(status).build();
        let rows = [row("ann-0a1b2c3d", SessionStatus::Connected), row("bob-0a1b2c3e", SessionStatus::Disconnected)];
        let sessions = sessions_of(&rows);
        assert_eq!((sessions.live, sessions.who.len(), sessions.left.len()), (2, 2, 1));
        assert_eq!(sessions.left[0].as_str(), "bob-0a1b2c3e");
    }

    #[test]
    fn platforms_are_told_apart_by_type_and_name() {
        let of = |kind: PlatformType, name: &str| platform(&row().platform_type(kind).platform_name(name).build());
        assert_eq!(of(PlatformType::Windows, "Microsoft Windows Server 2022"), Platform::Windows);
        assert_eq!(of(PlatformType::Linux, "Bottlerocket"), Platform::Bottlerocket);
        assert_eq!(of(PlatformType::Linux, "Ubuntu"), Platform::Snap);
        assert_eq!(of(PlatformType::Linux, "Amazon Linux"), Platform::Linux);
    }

    #[test]
    fn a_calendar_without_a_state_is_unknown() {
        let name: DocumentName = "freeze".parse().unwrap();
        let closed = calendar(&name, Some(&CalendarState::Closed), Some("2026-11-20T12:00:00Z"));
        let closed = closed.known().unwrap();
        assert!(!closed.open && closed.changes_at.is_some());
        assert_eq!(calendar(&name, None, None), Fact::Unknown(Blind::Empty));
    }
}
