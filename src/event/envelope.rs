//! The part that all EventBridge events share, and the door that each kind of event goes through.

use jiff::Timestamp;
use serde_json::error::Category;
use serde_json::{Map, Value};

use super::fields::Fields;
use super::{DropReason, Excerpt, Signal, SignalKind, cloudtrail, command, ecs, health, instance};
use crate::json;
use crate::node::{AccountId, Home, NodeId, Region};

/// More than this is not read: EventBridge takes entries of 256 KiB and SQS messages end at 1 MiB.
pub const MAX_BYTES: usize = 1 << 20;

/// The JSON in `bytes`. Its depth is limited to 128 levels by `serde_json`, so no input exhausts the stack.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, DropReason> {
    if bytes.len() > MAX_BYTES {
        return Err(DropReason::TooLarge { most: MAX_BYTES });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| DropReason::NotUtf8 { at: error.valid_up_to() })?;
    // Editors on Windows put a byte order mark before files that people then hand to the command line.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        return Err(DropReason::Empty);
    }
    json::read(text).map_err(|error| {
        let why = match error.classify() {
            Category::Eof => "the JSON ends too early",
            Category::Syntax if error.to_string().starts_with("recursion limit") => "nested more than 128 levels deep",
            Category::Io | Category::Syntax | Category::Data => "not JSON that can be read",
        };
        DropReason::NotJson { why, line: error.line(), column: error.column() }
    })
}

/// What an event says besides where it comes from: the node and the claim about it.
pub(super) type Claim = (NodeId, SignalKind);

/// The fields at the top of an event.
pub(super) struct Envelope<'a> {
    fields: Fields<'a>,
}

impl<'a> Envelope<'a> {
    pub(super) fn new(map: &'a Map<String, Value>) -> Self {
        Self { fields: Fields(map) }
    }

    /// A field of the envelope for the log.
    pub(super) fn excerpt(&self, field: &'static str) -> Option<Excerpt> {
        self.fields.text(field).ok().flatten().map(Excerpt::long)
    }

    /// When the event says that it was sent.
    pub(super) fn sent_at(&self) -> Option<Timestamp> {
        time(self.fields, "time")
    }

    /// The account and region that the event says it comes from. Every event has them, so one without is no event.
    pub(super) fn home(&self) -> Result<Home, DropReason> {
        Ok(Home {
            account: self.fields.need_name::<AccountId>("account")?,
            region: self.fields.need_name::<Region>("region")?,
        })
    }

    /// The signal in the event, or why there is none.
    pub(super) fn signal(&self, home: Option<&Home>, received_at: Timestamp) -> Result<Signal, DropReason> {
        let source = self.fields.need_text("source")?;
        let detail_type = self.fields.need_text("detail-type")?;
        if !source.starts_with("aws.") {
            return Err(DropReason::CustomSource { given: Excerpt::of(source) });
        }
        let own = self.home()?;
        #[cfg(feature = "plants")]
        let home = home.filter(|_| !crate::plants::on(crate::plants::Plant::BelieveElsewhere));
        if let Some(home) = home {
            same_place(("account", own.account), ("region", &own.region), home)?;
        }
        let read = reader(source, detail_type)?;
        let detail = self.fields.need_object("detail")?;
        let (node, kind) = read(detail, self.fields, &own)?;
        Ok(Signal { node, at: self.happened_at(detail, received_at), kind })
    }

    /// When it happened: the event's time, else a time in its detail, else now. Nothing was received before it happened, so
    /// a time ahead of now is somebody's wrong clock.
    fn happened_at(&self, detail: Fields<'_>, received_at: Timestamp) -> Timestamp {
        self.sent_at()
            .or_else(|| ["updatedAt", "requested-date-time", "eventTime"].iter().find_map(|field| time(detail, field)))
            .map_or(received_at, |at| at.min(received_at))
    }
}

/// Reads the detail of one kind of event; the whole event and its account and region are at hand.
type Reader = fn(Fields<'_>, Fields<'_>, &Home) -> Result<Claim, DropReason>;

/// Who reads events of this type. Types of ours that come from a service that does not send them are turned away.
fn reader(source: &str, detail_type: &str) -> Result<Reader, DropReason> {
    let (expected, read): (&'static str, Reader) = match detail_type {
        "EC2 Command Invocation Status-change Notification" => ("aws.ssm", command::invocation),
        "EC2 Command Status-change Notification" => ("aws.ssm", command::whole),
        "EC2 Instance State-change Notification" => ("aws.ec2", instance::state_change),
        "ECS Container Instance State Change" => ("aws.ecs", ecs::state_change),
        "ECS Container Instance Health Change" => ("aws.ecs", health::health_change),
        // Every service sends this type; only the calls to Systems Manager are of interest.
        "AWS API Call via CloudTrail" if source == "aws.ssm" => ("aws.ssm", cloudtrail::api_call),
        _ => {
            return Err(DropReason::OtherEvent {
                source_name: Excerpt::of(source),
                detail_type: Excerpt::of(detail_type),
            });
        }
    };
    if source == expected { Ok(read) } else { Err(DropReason::WrongSource { given: Excerpt::of(source), expected }) }
}

/// Whether an account and region, each with the field that names it, are home.
pub(super) fn same_place(
    account: (&'static str, AccountId),
    region: (&'static str, &Region),
    home: &Home,
) -> Result<(), DropReason> {
    if account.1 != home.account {
        return Err(DropReason::ForeignAccount { field: account.0, given: account.1, home: home.account });
    }
    if *region.1 != home.region {
        return Err(DropReason::ForeignRegion { field: region.0, given: region.1.clone(), home: home.region.clone() });
    }
    Ok(())
}

/// A time in RFC 3339; anything else is no time.
pub(super) fn time(fields: Fields<'_>, field: &str) -> Option<Timestamp> {
    fields.value(field)?.as_str()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_json_is_named_with_its_place() {
        let told = |bytes: &[u8]| parse(bytes).unwrap_err().to_string();
        assert_eq!(told(b" \n"), "empty");
        assert_eq!(told(b"{\n\"a\": tru}"), "not JSON that can be read at line 2, column 9");
        assert_eq!(told(b"{\"a\":"), "the JSON ends too early at line 1, column 5");
        assert_eq!(told(b"{\"a\":\"\xff\"}"), "not UTF-8 text from byte 6 on");
        assert_eq!(told("[".repeat(100_000).as_bytes()), "nested more than 128 levels deep at line 1, column 128");
    }

    #[test]
    fn ten_megabytes_are_not_even_looked_at() {
        let reason = parse(&vec![b'['; 10 << 20]).unwrap_err();
        assert_eq!(reason.to_string(), "longer than the 1048576 bytes that an event can have");
    }
}
