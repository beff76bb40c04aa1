//! Whose words they are. "Connection refused" is a matter of the node where an agent says it, and of the one who says it where an
//! application does; most raw lines bear no name.
//!
//! A line speaks for an agent where a program's name or the kind of the text says so, or its own words do: a host of AWS, a module
//! of an agent, a call that only agents make. The form alone proves nothing, since applications print logfmt and JSON as well: it is
//! believed where a line of that form has shown in the same text whose it is. A bare line is believed beside one that has.

use super::cut::cut;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::OnceLock;

use super::super::{Cause, Family};
use super::books::Sighting;
use super::keys::Keys;
use super::place::{Place, Stamp};
use super::signature::{Component, Library, Signature, Weight};

/// A bare line belongs to what was said so many lines before or after it.
const BESIDE: u64 = 10;
/// At most so many lines wait for a later one that tells whose they are.
const WAITING_MAX: usize = 64;

/// Words that an agent's lines hold, and what people type to look at one; the first three are looked at closely.
const MARKS: &[&str] = &[
    "amazonaws.com",
    "module=",
    ".go.",
    ".api.aws",
    "169.254.169.254",
    "169.254.170.2",
    "fd00:ec2::254",
    "ec2imds",
    "imds",
    "ec2 metadata",
    "ec2 instance role",
    "ec2rolerequesterror",
    "get valid credentials",
    "instance profile",
    "security-credentials",
    "ec2metadata",
    "ec2messages",
    "ssmmessages",
    "ecs:poll",
    "ecs:createcluster",
    "updateinstanceinformation",
    "requestmanagedinstanceroletoken",
    "registermanagedinstance",
    "listinstanceassociations",
    "listassociations",
    "createcontrolchannel",
    "opencontrolchannel",
    "createdatachannel",
    "opendatachannel",
    "controlchannel",
    "/v1/control-channel",
    "/v1/data-channel",
    "data channel with id",
    "seelog",
    "error response from daemon",
    "when calling the sendcommand",
    "when calling the startsession",
    "when calling the getcommandinvocation",
    "when calling the describe",
    "when calling the list",
    "registercontainerinstance",
    "discoverpollendpoint",
    "poll endpoint",
    "starttelemetrysession",
    "submittaskstatechange",
    "submitcontainerstatechange",
    "container instance",
    "getmessages error",
    "amazon-ssm",
    "amazonssm",
    "amazon ssm",
    "amazon/ssm",
    "amazon\\ssm",
    "ssm-agent",
    "ssm agent",
    "ssm-document-worker",
    "ssm-session-worker",
    "ssm-cli",
    "[ssm-",
    "messageservice]",
    "messagingdeliveryservice",
    "messaginggatewayservice",
    "[mgsinteractor",
    "[mdsinteractor",
    "[healthcheck]",
    "[registrar]",
    "[credentialrefresher]",
    "[ec2identity]",
    "[onpremidentity]",
    "[agentidentity]",
    "[longrunningworker",
    "[runcommandservice]",
    "[associationprocessor]",
    "[association]",
    "[fingerprint]",
    "onboarding module",
    "agent identity",
    "default host management",
    "amazon-ecs",
    "amazon ecs",
    "amazon ec2 container service",
    "amazon elastic container service",
    "ecs-agent",
    "ecs agent",
    "ecs-init",
    "ecs.service",
    "/etc/ecs/",
    "/var/lib/ecs",
    "ecs instance",
    "ecs telemetry",
    "ecs_cluster",
    "ecs_instance_attributes",
    "ecs_reserved",
    "ecs_available",
    "ecs_agent_",
    "ecs_datadir",
    "ecs_engine_",
    "for ecs_",
    "agent exited with code",
    "instance registration attempt",
    "instance re-registration attempt",
    "error re-registering",
    "from ws backend",
    "reconnecting to acs",
    "[instanceid=",
    "failed to dial websocket",
    "resume session failed",
    "connect to acs",
    "connecting to acs",
    "connecting to tcs",
    "acs_handler",
    "from acs",
    "from tcs",
    "agent.db",
];

/// Parts of the names of what customers run at AWS: a data base of theirs is not a service that an agent calls.
const CUSTOMERS: [&str; 14] = [
    ".rds.",
    ".cache.",
    ".elb.",
    ".compute.",
    ".compute-1.",
    ".redshift.",
    ".docdb.",
    ".neptune.",
    ".es.",
    ".aoss.",
    ".kafka.",
    ".mq.",
    ".execute-api.",
    ".elasticbeanstalk.",
];

/// Ports that an agent connects to: HTTPS, metadata, proxies, names, and the ECS agent's own.
const PORTS: [&str; 9] = ["443", "80", "53", "3128", "8080", "8888", "51678", "51679", "51680"];

/// Services that only agents call, and the one that says who is calling.
const SERVICES: [&str; 5] = ["ssmmessages", "ec2messages", "ec2imds", "imds", "sts"];

/// Calls that only agents make (service authorization reference of Systems Manager and ECS).
const CALLS: [&str; 36] = [
    "updateinstanceinformation",
    "listassociations",
    "listinstanceassociations",
    "describeassociation",
    "describeinstanceproperties",
    "getdocument",
    "describedocument",
    "getmanifest",
    "getdeployablepatchsnapshotforinstance",
    "putinventory",
    "putcomplianceitems",
    "putconfigurepackageresult",
    "updateassociationstatus",
    "updateinstanceassociationstatus",
    "registermanagedinstance",
    "requestmanagedinstanceroletoken",
    "updatemanagedinstancepublickey",
    "createcontrolchannel",
    "opencontrolchannel",
    "createdatachannel",
    "opendatachannel",
    "getmessages",
    "acknowledgemessage",
    "sendreply",
    "getendpoint",
    "registercontainerinstance",
    "deregistercontainerinstance",
    "discoverpollendpoint",
    "poll",
    "starttelemetrysession",
    "submittaskstatechange",
    "submitcontainerstatechange",
    "submitattachmentstatechanges",
    "updatecontainerinstancesstate",
    "createcluster",
    "assumerole",
];

/// How libraries of AWS name what they throw in a program (botocore, the SDKs for Java and JavaScript).
const EXCEPTIONS: [&str; 4] =
    ["botocore.exceptions", "boto3.exceptions", "clienterror: an error occurred", "awssdk.services"];

/// Calls of people, and of what they wrote, that look after nodes; `describe` and `list` stand for every call that begins so.
const OPERATORS: [&str; 8] = [
    "describe",
    "list",
    "sendcommand",
    "startsession",
    "getcommandinvocation",
    "getconnectionstatus",
    "updatecontainer",
    "getcalleridentity",
];

/// Fields in which applications name themselves, and none of the agents does.
const SIGNED: [&str; 9] =
    [" logger=", " caller=", " service=", " app=", " component=", " pod=", " trace_id=", " request_id=", " span_id="];

/// Whether a line speaks for an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Voice {
    /// It speaks for the program that it seems to be of.
    Own,
    /// Nothing but perhaps its form says whose it is.
    Nameless,
    /// It is an application's.
    Foreign,
}

/// What is known of voices, and which findings wait for one.
#[derive(Debug, Default)]
pub(super) struct Owners {
    /// The agents of which a line in their form has shown that they speak in this text.
    known: BTreeSet<Place>,
    /// The last bare line that spoke of an agent.
    marked: Option<u64>,
    /// Findings in bare lines that wait for such a line: which, where they would stand, and the number of the line.
    bare: VecDeque<(String, Place, u64)>,
    /// Findings in lines of some agent's form that wait for its voice, and where they would stand.
    formed: BTreeMap<(String, Place), Place>,
    /// Findings that are an agent's after all.
    claimed: BTreeMap<String, Place>,
}

impl Owners {
    /// Listens to a line in lower case, with its stamp, and with the place that the kind of the text gives it.
    pub(super) fn hear(&mut self, line: &str, stamp: Stamp, kind: Place, number: u64) -> Voice {
        if stamp.sure || !matches!(kind, Place::Unknown | Place::Application) {
            return Voice::Own;
        }
        if foreign_port(line) {
            return Voice::Foreign;
        }
        if !is_marked(line) {
            let signed = stamp.place.is_some() && SIGNED.iter().any(|field| line.contains(field));
            return if signed || foreign_host(line) || kind == Place::Application {
                Voice::Foreign
            } else {
                Voice::Nameless
            };
        }
        if let Some(form) = stamp.place {
            self.known.insert(form);
            return Voice::Own;
        }
        self.marked = Some(number);
        // What an agent prints before its log is open speaks for the log.
        for (word, form) in [("ssm", Place::Ssm), ("ecs", Place::Ecs), ("docker", Place::Docker)] {
            if line.contains(word) {
                self.known.insert(form);
            }
        }
        for (id, place, at) in self.bare.drain(..) {
            if at + BESIDE >= number {
                self.claimed.entry(id).or_insert(place);
            }
        }
        Voice::Own
    }

    /// Where a finding stands that would stand at `place`. One that nobody is known to have said stands among those of
    /// applications until [`Self::weigh`]; `None` is no finding.
    pub(super) fn place(
        &mut self,
        signature: &Signature,
        line: &str,
        stamp: Stamp,
        voice: Voice,
        (place, number): (Place, u64),
    ) -> Option<Place> {
        let agents = signature.asks_for_agent();
        // An exception of a program, or its own line in a journal: whoever types a command at a node gets neither.
        let programs = stamp.place == Some(Place::Application) || EXCEPTIONS.iter().any(|word| line.contains(word));
        if signature.cause.family() == Family::Identity && (agents || programs) && foreign_call(line) {
            return None;
        }
        if !agents {
            return Some(place);
        }
        if voice == Voice::Own || (stamp.place.is_none() && self.marked.is_some_and(|at| at + BESIDE >= number)) {
            return Some(place);
        }
        if let Some(form) = stamp.place {
            self.formed.entry((signature.id.clone(), form)).or_insert(place);
        } else {
            if self.bare.len() >= WAITING_MAX {
                self.bare.pop_front();
            }
            self.bare.push_back((signature.id.clone(), place, number));
        }
        Some(Place::Application)
    }

    /// At the end: what nobody is known to have said weighs nothing.
    pub(super) fn weigh(mut self, library: &Library, sightings: &mut [Sighting]) {
        for ((id, form), place) in std::mem::take(&mut self.formed) {
            if self.known.contains(&form) {
                self.claimed.insert(id, place);
            }
        }
        for sighting in sightings.iter_mut().filter(|sighting| sighting.place == Place::Application) {
            let signature = library.signatures().iter().find(|signature| signature.id == sighting.id);
            if !signature.is_some_and(Signature::asks_for_agent) {
                continue;
            }
            match self.claimed.get(&sighting.id) {
                Some(&place) => sighting.place = place,
                None => sighting.weight = Weight::Noise,
            }
        }
    }
}

/// Programs that pass on what the kernel of their own machine says.
const WATCHERS: [&str; 12] = [
    "node-problem",
    "kdump",
    "abrt",
    "rasdaemon",
    "mcelog",
    "smartd",
    "syslog",
    "klogd",
    "netconsole",
    "journal",
    "kernel",
    "dmesg",
];

/// Whether an application, by its name in a journal, speaks of what only the kernel itself can say: of the machine of a guest, or of a text
/// that somebody sent.
pub(super) fn is_passed_on(signature: &Signature, line: &str, stamp: Stamp) -> bool {
    let causes = [Cause::HostKernelHang, Cause::HostBootFailure, Cause::PlatformHardware];
    // What runs before the system is up prints the words of a boot by itself; a panic is the kernel's.
    let of_kernel = causes.contains(&signature.cause)
        && (signature.component == Component::Kernel
            || (signature.component == Component::Boot && line.contains("kernel panic")));
    let head = line.split("]: ").next().unwrap_or_default();
    of_kernel
        && stamp.sure
        && stamp.place == Some(Place::Application)
        && !WATCHERS.iter().any(|program| head.contains(program))
}

fn is_marked(line: &str) -> bool {
    static AUTOMATON: OnceLock<Option<Keys>> = OnceLock::new();
    let automaton = AUTOMATON.get_or_init(|| Keys::new(MARKS));
    automaton.iter().flat_map(|automaton| automaton.hits(line)).any(|hit| {
        match hit.pattern().as_usize() {
            0 => !is_customers(line.get(..hit.start()).unwrap_or_default()),
            // The ECS agent names the file of its source.
            1 => line
                .get(hit.end()..)
                .and_then(|rest| rest.split_whitespace().next())
                .is_some_and(|name| name.trim_matches('"').rsplit_once('.').is_some_and(|(_, kind)| kind == "go")),
            // The SSM agent names the line of its source: `coremanager.go.250`.
            2 => line.as_bytes().get(hit.end()).is_some_and(u8::is_ascii_digit),
            _ => true,
        }
    })
}

/// Whether the host of which the first part is the end of a text is one of a customer.
fn is_customers(before: &str) -> bool {
    let start = before.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '-').map_or(0, |at| at + 1);
    let host = before.get(start..).unwrap_or_default();
    CUSTOMERS.iter().any(|part| host.contains(part))
}

/// Whether a line tells of a connection to a port that no agent connects to.
fn foreign_port(line: &str) -> bool {
    let Some((before, rest)) = cut(line, "dial tcp ") else { return false };
    let address = rest.split_whitespace().next().unwrap_or_default().trim_end_matches([':', '"', ',']);
    let port = address.rsplit(':').next().unwrap_or_default();
    let numeric = !port.is_empty() && port.len() < address.len() && port.bytes().all(|byte| byte.is_ascii_digit());
    numeric && !before.contains("proxyconnect") && !PORTS.contains(&port)
}

/// Whether a line names the host of somebody else in an address of HTTPS.
pub(super) fn foreign_host(line: &str) -> bool {
    let Some((_, rest)) = cut(line, "https://").or_else(|| cut(line, "wss://")) else { return false };
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '-').unwrap_or(rest.len());
    let host = rest.get(..end).unwrap_or_default();
    host.contains('.') && host.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// Whether a line names a call to AWS that no agent depends on: whoever was denied it, it was not an agent's link.
fn foreign_call(line: &str) -> bool {
    let word = |text: &str| {
        let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(text.len());
        text.get(..end).unwrap_or_default().to_owned()
    };
    let known = |service: &str, call: &str| SERVICES.contains(&service) || CALLS.contains(&call);
    if let Some((service, call)) = cut(line, "perform: ").and_then(|(_, rest)| rest.split_once(':')) {
        return !service.contains(' ') && !known(service, &word(call));
    }
    if let Some((_, call)) = cut(line, "when calling the ") {
        return !known("", &word(call)) && !OPERATORS.iter().any(|theirs| call.starts_with(theirs));
    }
    if let Some((service, call)) = cut(line, "operation error ").and_then(|(_, rest)| cut(rest, ": ")) {
        return !known(service, &word(call));
    }
    false
}

#[cfg(test)]
mod tests {
    use super::super::place::stamp;
    use super::*;

    #[test]
    fn hosts_ports_and_calls_tell_agents_from_others() {
        for line in [
            "lookup ssm.eu-west-1.amazonaws.com: no such host",
            "lookup vpce-1.ssmmessages.eu-west-1.vpce.amazonaws.com: no such host",
            "get \"http://169.254.170.2/v2\": dial tcp 169.254.170.2:80: i/o timeout",
            "level=error msg=\"x\" module=acs_handler.go",
            "error [func1 @ coremanager.go.250] x",
        ] {
            assert!(is_marked(line), "{line}");
        }
        for line in [
            "lookup orders.abc.eu-west-1.rds.amazonaws.com: no such host",
            "level=error msg=\"x\" module=billing",
            "get \"https://x.go.jp/\": i/o timeout",
            "dial tcp 10.0.9.9:443: i/o timeout",
        ] {
            assert!(!is_marked(line), "{line}");
        }
        assert!(foreign_port("dial tcp 10.0.9.9:6379: connect: connection refused"));
        assert!(foreign_port("dial tcp 10.0.0.5:51324->10.0.9.9:5432: i/o timeout"));
        assert!(!foreign_port("dial tcp [2600::1]:443: i/o timeout"));
        assert!(!foreign_port("dial tcp: lookup x on 10.0.0.2:53: no such host"));
        assert!(!foreign_port("proxyconnect tcp: dial tcp 10.0.0.9:9999: i/o timeout"));
        assert!(foreign_call("x is not authorized to perform: dynamodb:putitem on resource: y"));
        assert!(foreign_call("x is not authorized to perform: ssm:getparameter on resource: y"));
        assert!(foreign_call("operation error dynamodb: putitem, api error accessdenied"));
        assert!(foreign_call("when calling the putitem operation"));
        assert!(!foreign_call("when calling the sendcommand operation"));
        assert!(!foreign_call("when calling the describeinstanceinformation operation"));
        assert!(!foreign_call("x is not authorized to perform: ssmmessages:opendatachannel"));
        assert!(!foreign_call("x is not authorized to perform: ssm:updateinstanceinformation on resource: y"));
        assert!(!foreign_call("operation error ecs: registercontainerinstance, api error accessdenied"));
    }

    #[test]
    fn a_form_is_believed_where_its_voice_is_known() {
        let mut owners = Owners::default();
        let mut hear = |line: &str, kind| owners.hear(line, stamp(line), kind, 1);
        let line = "level=error msg=\"dial tcp 10.0.9.9:443: i/o timeout\"";
        assert_eq!(hear(line, Place::Unknown), Voice::Nameless);
        assert_eq!(hear(line, Place::Ecs), Voice::Own);
        assert_eq!(hear(line, Place::Application), Voice::Foreign);
        assert_eq!(hear("level=error msg=\"x\" logger=shop", Place::Unknown), Voice::Foreign);
        assert_eq!(hear("level=info msg=\"starting amazon ecs agent\"", Place::Unknown), Voice::Own);
        assert!(owners.known.contains(&Place::Ecs));
    }
}
