//! Why an event led to nothing.

use super::{Excerpt, Verdict};
use crate::node::{AccountId, Region};

/// Why an event led to nothing: counted by [`DropReason::name`], logged by its text.
///
/// The text never repeats more than 40 harmless characters of the event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DropReason {
    /// Larger than any event can be.
    #[error("longer than the {most} bytes that an event can have")]
    TooLarge {
        /// The most that is read.
        most: usize,
    },
    /// Nothing but white space.
    #[error("empty")]
    Empty,
    /// Not UTF-8.
    #[error("not UTF-8 text from byte {at} on")]
    NotUtf8 {
        /// How many bytes were fine.
        at: usize,
    },
    /// Not JSON, or deeper than 128 levels.
    #[error("{why} at line {line}, column {column}")]
    NotJson {
        /// In which way.
        why: &'static str,
        /// Where, counted from 1.
        line: usize,
        /// Where, counted from 1.
        column: usize,
    },
    /// JSON, but no event.
    #[error("an event is an object, this is {found}")]
    NotAnObject {
        /// What it is, with its article.
        found: &'static str,
    },
    /// A field that every event of this kind has.
    #[error("the field {field} is missing")]
    Missing {
        /// Its name.
        field: &'static str,
    },
    /// A field holds another type of value than AWS sends.
    #[error("the field {field} should be {expected}, it is {found}")]
    WrongType {
        /// Its name.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// A field is not the name that it should be.
    #[error("the field {field} is not {expected}: \"{given}\"")]
    BadName {
        /// Its name.
        field: &'static str,
        /// What it should be, with its article.
        expected: &'static str,
        /// What it is.
        given: Excerpt,
    },
    /// The field that names the node is missing.
    #[error("no usable id: the field {field} is missing")]
    NoId {
        /// Its name.
        field: &'static str,
    },
    /// The field that names the node does not hold an id.
    #[error("no usable id: the field {field} is neither i- nor mi- with 8 or 17 hexadecimal digits: \"{given}\"")]
    BadId {
        /// Its name.
        field: &'static str,
        /// What it is.
        given: Excerpt,
    },
    /// From, or about, another account.
    #[error("the field {field} names account {given}, home is {home}")]
    ForeignAccount {
        /// Which field says so.
        field: &'static str,
        /// The account.
        given: AccountId,
        /// Ours.
        home: AccountId,
    },
    /// From, or about, another region.
    #[error("the field {field} names region {given}, home is {home}", given = Excerpt::of(given.as_str()))]
    ForeignRegion {
        /// Which field says so.
        field: &'static str,
        /// The region.
        given: Region,
        /// Ours.
        home: Region,
    },
    /// Sent with `PutEvents` by somebody; AWS keeps sources that begin with `aws.` to itself.
    #[error("sent by the custom source \"{given}\"; only AWS itself is heard")]
    CustomSource {
        /// The source.
        given: Excerpt,
    },
    /// A detail-type of ours from a service that does not send it.
    #[error("sent by \"{given}\"; events of this type come from {expected}")]
    WrongSource {
        /// The source.
        given: Excerpt,
        /// Who sends it.
        expected: &'static str,
    },

    /// A service or a detail-type that Defib does not act on.
    #[error("events of type \"{detail_type}\" from \"{source_name}\" mean nothing to Defib")]
    OtherEvent {
        /// The source.
        source_name: Excerpt,
        /// The detail-type.
        detail_type: Excerpt,
    },
    /// The event about a whole command; each node has one of its own.
    #[error("about a whole command; each of its invocations has an event of its own")]
    CommandLevel,
    /// The invocation of one of our own documents.
    #[error("about Defib's own document \"{document}\"")]
    OwnDocument {
        /// The document.
        document: Excerpt,
    },
    /// An invocation that says nothing about its node.
    #[error("an invocation that is \"{status}\" says nothing about its node")]
    CommandStatus {
        /// The status.
        status: Excerpt,
    },
    /// An EC2 state on the way to another one.
    #[error("an instance that is \"{state}\" needs no look")]
    InstanceState {
        /// The state.
        state: Excerpt,
    },
    /// A container instance that is not in service.
    #[error("a container instance that is \"{status}\" is not in service")]
    ContainerInstanceStatus {
        /// The status.
        status: Excerpt,
    },
    /// Neither a check of ours that is impaired nor all of them well.
    #[error(
        "of {listed} health checks listed Defib acts on {ours}; none of these is IMPAIRED, and not everything is OK"
    )]
    HealthUndecided {
        /// How many the event lists.
        listed: usize,
        /// How many of them Defib acts on.
        ours: usize,
    },
    /// A call to the SSM API that is not a refused session.
    #[error("the API call \"{call}\" is not a session refused because its target is not connected")]
    OtherApiCall {
        /// The call.
        call: Excerpt,
    },
}

impl DropReason {
    /// Whether the event was proper but not for us, or not proper.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::TooLarge { .. }
            | Self::Empty
            | Self::NotUtf8 { .. }
            | Self::NotJson { .. }
            | Self::NotAnObject { .. }
            | Self::Missing { .. }
            | Self::WrongType { .. }
            | Self::BadName { .. }
            | Self::NoId { .. }
            | Self::BadId { .. }
            | Self::ForeignAccount { .. }
            | Self::ForeignRegion { .. }
            | Self::CustomSource { .. }
            | Self::WrongSource { .. } => Verdict::Rejected,
            Self::OtherEvent { .. }
            | Self::CommandLevel
            | Self::OwnDocument { .. }
            | Self::CommandStatus { .. }
            | Self::InstanceState { .. }
            | Self::ContainerInstanceStatus { .. }
            | Self::HealthUndecided { .. }
            | Self::OtherApiCall { .. } => Verdict::Ignored,
        }
    }

    /// The name that the counter uses.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too-large",
            Self::Empty => "empty",
            Self::NotUtf8 { .. } => "not-utf8",
            Self::NotJson { .. } => "not-json",
            Self::NotAnObject { .. } => "not-an-object",
            Self::Missing { .. } => "missing-field",
            Self::WrongType { .. } => "wrong-type",
            Self::BadName { .. } => "bad-name",
            Self::NoId { .. } => "no-id",
            Self::BadId { .. } => "bad-id",
            Self::ForeignAccount { .. } => "foreign-account",
            Self::ForeignRegion { .. } => "foreign-region",
            Self::CustomSource { .. } => "custom-source",
            Self::WrongSource { .. } => "wrong-source",
            Self::OtherEvent { .. } => "other-event",
            Self::CommandLevel => "command-level",
            Self::OwnDocument { .. } => "own-document",
            Self::CommandStatus { .. } => "command-status",
            Self::InstanceState { .. } => "instance-state",
            Self::ContainerInstanceStatus { .. } => "container-instance-status",
            Self::HealthUndecided { .. } => "health-undecided",
            Self::OtherApiCall { .. } => "other-api-call",
        }
    }
}
