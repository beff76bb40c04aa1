//! Every environment variable that Defib reads, in one table: error texts and docs/CONFIGURATION.md are made from it.

use std::str::FromStr;

use super::resources;
use super::settings::{AccountKind, Settings};
use crate::incident::Remedy;
use crate::policy::{AddressRule, LeftRule, SessionsRule, TasksRule};

/// What the names of all settings begin with.
pub const PREFIX: &str = "DEFIB_";

/// One environment variable.
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it changes, in a sentence.
    pub meaning: &'static str,
    /// Its default, as one would write it; none when nothing that one could write means the same.
    pub default: Option<&'static str>,
    /// What follows without it, where there is no default.
    pub otherwise: &'static str,
    /// What it may hold.
    pub allowed: &'static str,
    /// Takes a value over; none when it is not allowed.
    pub(super) take: fn(&mut Settings, &str) -> Option<()>,
}

/// A row: name, meaning, default, what is allowed, and what it sets.
const fn row(
    name: &'static str,
    meaning: &'static str,
    default: &'static str,
    allowed: &'static str,
    take: fn(&mut Settings, &str) -> Option<()>,
) -> Variable {
    Variable { name, meaning, default: Some(default), otherwise: "", allowed, take }
}

/// A row without a default.
const fn open(
    name: &'static str,
    meaning: &'static str,
    otherwise: &'static str,
    allowed: &'static str,
    take: fn(&mut Settings, &str) -> Option<()>,
) -> Variable {
    Variable { name, meaning, default: None, otherwise, allowed, take }
}

/// A row of the table that holds a whole number between two limits.
macro_rules! number {
    ($name:literal, $meaning:literal, $default:literal, $low:literal ..= $high:literal, $($field:ident).+) => {
        row(
            $name,
            $meaning,
            stringify!($default),
            concat!("a whole number from ", stringify!($low), " to ", stringify!($high)),
            |settings, value| {
                settings.$($field).+ = value.parse().ok().filter(|number| ($low..=$high).contains(number))?;
                Some(())
            },
        )
    };
}

/// Every variable, in the order of the documentation.
#[allow(clippy::unreadable_literal, reason = "limits are shown to people as they stand here")]
pub const VARIABLES: &[Variable] = &[
    open(
        "DEFIB_ACCOUNT",
        "What Defib works on. `sim` is the embedded account: no AWS, virtual time, gone with the process.",
        "the AWS account that the function runs in",
        "sim",
        |settings, value| (value == "sim").then(|| settings.account = AccountKind::Embedded),
    ),
    open(
        "DEFIB_HOME_ACCOUNT",
        "The account that this deployment looks after. Events of others are turned away.",
        "on `sim` 111122223333; on AWS it must be set, the template does",
        "a twelve-digit account number",
        |settings, value| set(&mut settings.home_account, value),
    ),
    open(
        "DEFIB_HOME_REGION",
        "The region that this deployment looks after. Events of others are turned away.",
        "on `sim` us-east-1; on AWS the function's own (AWS_REGION)",
        "a region's code, as in us-east-1",
        |settings, value| set(&mut settings.home_region, value),
    ),
    open(
        "DEFIB_STACK",
        "The deployment's name in reports.",
        "defib",
        "1 to 255 characters, none of them a control character",
        |settings, value| set(&mut settings.stack, value),
    ),
    row(
        "DEFIB_LOG",
        "The lowest level that is logged.",
        "info",
        "error, warn, info, debug or trace",
        |settings, value| {
            // `LevelFilter` would also take numbers and `off`; a log without errors helps nobody.
            let known = ["error", "warn", "info", "debug", "trace"];
            let level = known.into_iter().find(|level| level.eq_ignore_ascii_case(value))?;
            settings.log = level.parse().ok()?;
            Some(())
        },
    ),
    row(
        "DEFIB_MODE",
        "How far Defib may go. A tag on a node, group or cluster can only lower it.",
        "observe",
        "off, observe, restart, cycle or replace",
        |settings, value| {
            settings.policy.mode = value.parse().ok()?;
            Some(())
        },
    ),
    row(
        "DEFIB_ALLOW_PROBES",
        "In mode `observe`, send the read-only probe to nodes all the same.",
        "false",
        "true or false",
        |settings, value| {
            settings.policy.allow_probes = value.parse().ok()?;
            Some(())
        },
    ),
    row(
        "DEFIB_SESSIONS",
        "What live Session Manager sessions mean for a remedy that would end them: wait until they have ended, go on and \
         say so, or go on.",
        "wait",
        "wait, warn or ignore",
        |settings, value| {
            settings.policy.sessions = match value {
                "wait" => SessionsRule::Wait,
                "warn" => SessionsRule::Warn,
                "ignore" => SessionsRule::Ignore,
                _ => return None,
            };
            Some(())
        },
    ),
    row(
        "DEFIB_ADDRESS_CHANGE",
        "A public address that is not an Elastic IP, of a node outside Auto Scaling groups: a stop and start may change it, or is \
         left out.",
        "allow",
        "allow or refuse",
        |settings, value| {
            settings.policy.address_change = match value {
                "allow" => AddressRule::Allow,
                "refuse" => AddressRule::Refuse,
                _ => return None,
            };
            Some(())
        },
    ),
    open(
        "DEFIB_APPROVE_FROM",
        "From this remedy on, a person must approve.",
        "nobody is asked",
        "free-disk, restart-ssm-agent, restart-ecs-agent, restart-runtime, reboot, stop-start or replace",
        |settings, value| {
            settings.policy.approve_from = Some(value.parse::<Remedy>().ok()?);
            Some(())
        },
    ),
    open(
        "DEFIB_CALENDAR",
        "The change calendar of Systems Manager that must be open for a remedy that stops workload.",
        "no calendar is asked",
        "the name or ARN of a document of Systems Manager",
        |settings, value| {
            settings.policy.calendar = Some(value.parse().ok()?);
            Some(())
        },
    ),
    number!(
        "DEFIB_RESTART_HOLD_DOWN_SECS",
        "Seconds from the first look to an agent restart.",
        300,
        60..=86400,
        policy.restart_hold_down_secs
    ),
    number!(
        "DEFIB_DISRUPTIVE_HOLD_DOWN_SECS",
        "Seconds from the first look to a remedy that stops workload.",
        600,
        120..=86400,
        policy.disruptive_hold_down_secs
    ),
    number!(
        "DEFIB_LAUNCH_GRACE_SECS",
        "Seconds after its launch during which a node is left alone.",
        600,
        60..=86400,
        policy.launch_grace_secs
    ),
    number!("DEFIB_COOLDOWN_SECS", "Seconds between two attempts on one node.", 300, 60..=86400, policy.cooldown_secs),
    number!(
        "DEFIB_AGENT_RESTARTS_MAX",
        "Agent restarts of one kind in one incident.",
        2,
        0..=10,
        policy.agent_restarts_max
    ),
    number!(
        "DEFIB_PARKED_MAX_SECS",
        "Seconds that an incident waits for a rail before it ends as deferred.",
        21600,
        300..=604800,
        policy.parked_max_secs
    ),
    number!(
        "DEFIB_INCIDENT_MAX_SECS",
        "Seconds that an incident may take, waiting for rails aside, before a person is asked.",
        18000,
        1800..=21600,
        policy.incident_max_secs
    ),
    number!(
        "DEFIB_QUIET_SECS",
        "Seconds for which a node whose incident ended without a repair is not told about again, while nothing changes.",
        86400,
        300..=604800,
        policy.quiet_secs
    ),
    number!(
        "DEFIB_ACCOUNT_AT_ONCE",
        "Disruptive remedies at the same time in the account.",
        5,
        0..=100,
        policy.budgets.account_at_once
    ),
    number!(
        "DEFIB_GROUP_AT_ONCE",
        "Disruptive remedies at the same time in a group or Availability Zone; one in those under ten nodes.",
        3,
        1..=100,
        policy.budgets.group_at_once
    ),
    number!(
        "DEFIB_GROUP_PERCENT",
        "The same as a share of the group or zone, in percent; the lower of the two holds.",
        10,
        1..=50,
        policy.budgets.group_percent
    ),
    number!(
        "DEFIB_UNHEALTHY_PERCENT",
        "No disruptive remedy while more than this share of a group of six or more is unhealthy, in percent, rounded up.",
        20,
        1..=100,
        policy.budgets.unhealthy_percent
    ),
    number!(
        "DEFIB_ZONE_FREEZE_PERCENT",
        "No disruptive remedy in an Availability Zone of four or more nodes of which this share is unhealthy, in percent.",
        50,
        1..=100,
        policy.budgets.zone_freeze_percent
    ),
    number!(
        "DEFIB_ACCOUNT_AN_HOUR",
        "Disruptive remedies in any hour in the account.",
        20,
        0..=1000,
        policy.budgets.account_an_hour
    ),
    number!(
        "DEFIB_ACCOUNT_A_DAY",
        "Disruptive remedies in any day in the account.",
        50,
        0..=10000,
        policy.budgets.account_a_day
    ),
    number!(
        "DEFIB_NODE_AN_HOUR",
        "Disruptive remedies in any hour on one node.",
        1,
        0..=10,
        policy.budgets.node_an_hour
    ),
    number!(
        "DEFIB_NODE_A_DAY",
        "Disruptive remedies in any day on one node; then it waits for a person.",
        3,
        0..=20,
        policy.budgets.node_a_day
    ),
    number!(
        "DEFIB_ACTIVE_INCIDENTS",
        "Incidents that are worked on at the same time; the rest wait their turn.",
        50,
        1..=1000,
        policy.budgets.active_incidents
    ),
    number!(
        "DEFIB_WATCHED_INCIDENTS",
        "Incidents in their hold-down at the same time; nodes beyond that are only noted.",
        1000,
        10..=20000,
        policy.budgets.watched_incidents
    ),
    number!(
        "DEFIB_BREAKER_NODES",
        "Distinct nodes in trouble within the breaker's window that open it, at least.",
        10,
        1..=10000,
        policy.breaker.nodes
    ),
    number!(
        "DEFIB_BREAKER_PERCENT",
        "The same as a share of the fleet, in percent; the larger of the two holds.",
        5,
        0..=100,
        policy.breaker.percent
    ),
    number!(
        "DEFIB_BREAKER_WINDOW_SECS",
        "Seconds of the breaker's window.",
        300,
        60..=3600,
        policy.breaker.window_secs
    ),
    number!(
        "DEFIB_BREAKER_COOL_DOWN_SECS",
        "Seconds that the breaker rests before one canary may try.",
        600,
        60..=86400,
        policy.breaker.cool_down_secs
    ),
    number!(
        "DEFIB_SHARED_CAUSE_NODES",
        "Nodes that share something and must fail together to have a shared cause, at least.",
        3,
        2..=1000,
        policy.shared_cause.nodes
    ),
    number!(
        "DEFIB_SHARED_CAUSE_PERCENT",
        "The same as a share of all that have it, in percent.",
        50,
        1..=100,
        policy.shared_cause.percent
    ),
    number!(
        "DEFIB_SHARED_CAUSE_WINDOW_SECS",
        "Seconds within which they fail together.",
        600,
        60..=3600,
        policy.shared_cause.window_secs
    ),
    number!(
        "DEFIB_SHARED_CAUSE_TIMES",
        "So many times as often as those without it.",
        3,
        1..=100,
        policy.shared_cause.times
    ),
    row(
        "DEFIB_WORKLOAD_STANDALONE",
        "Tasks on the node that no service started: a remedy that would end them is refused, or they are ignored.",
        "refuse",
        "refuse or ignore",
        |settings, value| {
            settings.policy.workload.standalone = tasks(value)?;
            Some(())
        },
    ),
    row(
        "DEFIB_WORKLOAD_PROTECTED",
        "Tasks on the node under scale-in protection: a remedy that would end them is refused, or they are ignored.",
        "refuse",
        "refuse or ignore",
        |settings, value| {
            settings.policy.workload.protected = tasks(value)?;
            Some(())
        },
    ),
    row(
        "DEFIB_WORKLOAD_LEFT",
        "Tasks that a drain did not end in its time: the remedy goes on, or the node is given back and tried again later.",
        "go-on",
        "go-on or give-back",
        |settings, value| {
            settings.policy.workload.left = match value {
                "go-on" => LeftRule::GoOn,
                "give-back" => LeftRule::GiveBack,
                _ => return None,
            };
            Some(())
        },
    ),
    open(
        "DEFIB_TABLE",
        "The DynamoDB table that the ledger lies in.",
        "none; needed on AWS",
        "the name of a table",
        |settings, value| {
            settings.resources.table = Some(resources::table(value)?);
            Some(())
        },
    ),
    open(
        "DEFIB_TOPIC",
        "The SNS topic that people are told on.",
        "none; needed on AWS",
        "the ARN of an SNS topic",
        |settings, value| {
            settings.resources.topic = Some(resources::arn(value, "sns", "")?);
            Some(())
        },
    ),
    open(
        "DEFIB_STATE_MACHINE",
        "The Step Functions state machine that wakes incidents.",
        "none; needed on AWS",
        "the ARN of a state machine",
        |settings, value| {
            settings.resources.state_machine = Some(resources::arn(value, "states", "stateMachine:")?);
            Some(())
        },
    ),
    open(
        "DEFIB_POLICY_PARAMETER",
        "The SSM parameter with the policy document.",
        "no document: the settings alone",
        "the name of a parameter",
        |settings, value| {
            settings.resources.policy_parameter = Some(resources::parameter(value)?);
            Some(())
        },
    ),
    open(
        "DEFIB_PROBE_DOCUMENT",
        "The SSM document of the read-only probe.",
        "none; needed on AWS",
        "the name of a document that begins with Defib-",
        |settings, value| {
            settings.resources.probe_document = Some(resources::document(value)?);
            Some(())
        },
    ),
    open(
        "DEFIB_REPAIR_DOCUMENT",
        "The SSM document of the repairs on the host.",
        "none; needed on AWS",
        "the name of a document that begins with Defib-",
        |settings, value| {
            settings.resources.repair_document = Some(resources::document(value)?);
            Some(())
        },
    ),
    open(
        "DEFIB_VOLUME_KEYS",
        "The KMS keys of encrypted volumes. A node with a volume under another key, the one that AWS manages included, is not stopped.",
        "none: nodes with encrypted volumes are not stopped",
        "ARNs of KMS keys with commas between them",
        |settings, value| {
            settings.resources.volume_keys = resources::keys(value)?;
            Some(())
        },
    ),
    number!(
        "DEFIB_TIMEOUT_SECS",
        "The function's own limit in seconds, as Lambda has it: a sweep leaves the rest to the next one in time.",
        60,
        10..=900,
        timeout_secs
    ),
    row(
        "DEFIB_SIM_SEED",
        "The seed of the embedded account.",
        "1",
        "a whole number from 0 to 18446744073709551615",
        |settings, value| {
            settings.sim_seed = value.parse().ok()?;
            Some(())
        },
    ),
    open(
        "DEFIB_SIM_FAULT",
        "What ails a node that an event names and that the embedded account does not have yet.",
        "a fault that fits the event",
        "the code of a cause that the embedded account knows, as in identity.no-instance-profile, or healthy",
        |settings, value| {
            let ailment = crate::sim::ailment::Ailment::from_cause(value.parse().ok()?)?;
            settings.sim_fault = Some(ailment.cause());
            Some(())
        },
    ),
    open(
        "DEFIB_SIM_POLICY",
        "The file with the policy document of the embedded account. It is read before every pass, so it may change meanwhile.",
        "no document: the settings alone",
        "an absolute path",
        |settings, value| {
            let fine = value.starts_with('/') && !value.contains(char::is_control);
            settings.sim_policy = Some(fine.then(|| value.into())?);
            Some(())
        },
    ),
];

fn tasks(value: &str) -> Option<TasksRule> {
    match value {
        "refuse" => Some(TasksRule::Refuse),
        "ignore" => Some(TasksRule::Ignore),
        _ => None,
    }
}

fn set<T: FromStr>(slot: &mut Option<T>, value: &str) -> Option<()> {
    *slot = Some(value.parse().ok()?);
    Some(())
}
