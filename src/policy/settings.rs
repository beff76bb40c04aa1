//! Every setting of a policy, in one table: the reader, the JSON schema, the example and `policy explain` are made from it.

use super::{AddressRule, LeftRule, Mode, Policy, SessionsRule, TasksRule};
use crate::incident::Remedy;
use crate::node::DocumentName;

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Its name in a document.
    pub name: &'static str,
    /// What it changes, in a sentence.
    pub meaning: &'static str,
    /// What it may hold.
    pub kind: Kind,
    /// The section that it stands under; none: at the top.
    pub section: Option<Section>,
    /// Whether blocks of clusters and groups may change it; what holds for the whole account stands at the top only.
    pub in_blocks: bool,
    get: fn(&Policy) -> Value,
    set: fn(&mut Policy, &Value),
}

/// A section of a document, and of its blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// Limits on disruptive remedies.
    Budgets,
    /// Tasks that a disruptive remedy would end.
    Workload,
    /// Many nodes at once.
    Storms,
}

impl Section {
    /// Every section.
    pub const ALL: [Self; 3] = [Self::Budgets, Self::Workload, Self::Storms];

    /// Its key in a document.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Budgets => "budgets",
            Self::Workload => "workload",
            Self::Storms => "storms",
        }
    }

    /// What it is for, in a sentence.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Budgets => "Limits on disruptive remedies.",
            Self::Workload => {
                "Tasks that a disruptive remedy would end, and that nobody starts again elsewhere by itself."
            }
            Self::Storms => {
                "Many nodes at once: how many are worked on, when the breaker opens, what a shared cause is."
            }
        }
    }
}

/// What a setting may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Flag,
    /// A whole number between two limits.
    Number {
        /// The least.
        low: i64,
        /// The most.
        high: i64,
    },
    /// One of these words.
    Word(&'static [&'static str]),
    /// The name or ARN of a document of Systems Manager, or `none`.
    Document,
}

/// What a setting holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// `true` or `false`.
    Flag(bool),
    /// A whole number.
    Number(i64),
    /// A word.
    Word(&'static str),
    /// A document of Systems Manager.
    Document(DocumentName),
}

impl Setting {
    /// What a policy holds here.
    #[must_use]
    pub fn get(&self, policy: &Policy) -> Value {
        (self.get)(policy)
    }

    /// Changes a policy.
    pub fn set(&self, policy: &mut Policy, value: &Value) {
        (self.set)(policy, value);
    }

    /// Its name with the section that it stands in.
    #[must_use]
    pub fn path(&self) -> String {
        match self.section {
            Some(section) => format!("{}.{}", section.as_str(), self.name),
            None => self.name.to_owned(),
        }
    }
}

impl Kind {
    /// What it may hold, in words; the same as in the table of environment variables.
    #[must_use]
    pub fn allowed(self) -> String {
        match self {
            Self::Flag => "true or false".to_owned(),
            Self::Number { low, high } => format!("a whole number from {low} to {high}"),
            Self::Word(words) => match words.split_last() {
                Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
                Some((last, _)) => (*last).to_owned(),
                None => String::new(),
            },
            Self::Document => "none, or the name or ARN of a document of Systems Manager".to_owned(),
        }
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag(flag) => f.pad(if *flag { "true" } else { "false" }),
            Self::Number(number) => f.pad(&number.to_string()),
            Self::Word(word) => f.pad(word),
            Self::Document(name) => f.pad(name.as_str()),
        }
    }
}

impl serde::Serialize for Value {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Flag(flag) => serializer.serialize_bool(*flag),
            Self::Number(number) => serializer.serialize_i64(*number),
            Self::Word(word) => serializer.serialize_str(word),
            Self::Document(name) => serializer.serialize_str(name.as_str()),
        }
    }
}

/// The words for [`SessionsRule`].
const SESSIONS: [(&str, SessionsRule); 3] =
    [("wait", SessionsRule::Wait), ("warn", SessionsRule::Warn), ("ignore", SessionsRule::Ignore)];

/// The words for [`AddressRule`].
const ADDRESSES: [(&str, AddressRule); 2] = [("allow", AddressRule::Allow), ("refuse", AddressRule::Refuse)];

/// The words for [`LeftRule`].
const LEFT: [(&str, LeftRule); 2] = [("go-on", LeftRule::GoOn), ("give-back", LeftRule::GiveBack)];

/// Where a person's approval begins; `nobody` is asked unless a remedy is named.
const APPROVE_FROM: &[&str] = &[
    "nobody",
    "free-disk",
    "restart-ssm-agent",
    "restart-ecs-agent",
    "restart-runtime",
    "reboot",
    "stop-start",
    "replace",
];

/// A row that holds a number.
macro_rules! number {
    ($name:literal, $meaning:literal, $low:literal ..= $high:literal, $section:expr, $blocks:literal, $($field:ident).+) => {
        Setting {
            name: $name,
            meaning: $meaning,
            kind: Kind::Number { low: $low, high: $high },
            section: $section,
            in_blocks: $blocks,
            get: |policy| number(policy.$($field).+),
            set: |policy, value| put(&mut policy.$($field).+, value),
        }
    };
}

/// A row of the policy's own, which blocks may change.
macro_rules! own {
    ($name:literal, $meaning:literal, $low:literal ..= $high:literal, $field:ident) => {
        number!($name, $meaning, $low..=$high, None, true, $field)
    };
}

/// A row about many nodes at once, which holds for the whole account.
macro_rules! storms {
    ($name:literal, $meaning:literal, $low:literal ..= $high:literal, $($field:ident).+) => {
        number!($name, $meaning, $low..=$high, Some(Section::Storms), false, $($field).+)
    };
}

/// A row of the budgets.
macro_rules! budget {
    ($name:literal, $meaning:literal, $low:literal ..= $high:literal, $blocks:literal, $field:ident) => {
        number!($name, $meaning, $low..=$high, Some(Section::Budgets), $blocks, budgets.$field)
    };
}

/// The words for [`TasksRule`].
const TASKS: [(&str, TasksRule); 2] = [("refuse", TasksRule::Refuse), ("ignore", TasksRule::Ignore)];

/// A row about tasks.
macro_rules! tasks {
    ($name:literal, $meaning:literal, $field:ident) => {
        Setting {
            name: $name,
            meaning: $meaning,
            kind: Kind::Word(&["refuse", "ignore"]),
            section: Some(Section::Workload),
            in_blocks: true,
            get: |policy| {
                let known = TASKS.iter().find(|(_, rule)| *rule == policy.workload.$field);
                Value::Word(known.map_or("refuse", |(word, _)| word))
            },
            set: |policy, value| {
                if let Some((_, rule)) = TASKS.iter().find(|(known, _)| word(value) == Some(known)) {
                    policy.workload.$field = *rule;
                }
            },
        }
    };
}

/// Every setting, in the order of the example.
pub const SETTINGS: &[Setting] = &[
    Setting {
        name: "mode",
        meaning: "How far Defib may go. Never beyond the stack's own mode; a tag can lower it further.",
        kind: Kind::Word(&["off", "observe", "restart", "cycle", "replace"]),
        section: None,
        in_blocks: true,
        get: |policy| Value::Word(policy.mode.as_str()),
        set: |policy, value| {
            if let Some(mode) = word(value).and_then(|word| word.parse::<Mode>().ok()) {
                policy.mode = mode;
            }
        },
    },
    Setting {
        name: "allow-probes",
        meaning: "In mode observe, send the read-only probe to nodes all the same.",
        kind: Kind::Flag,
        section: None,
        in_blocks: true,
        get: |policy| Value::Flag(policy.allow_probes),
        set: |policy, value| {
            if let Value::Flag(flag) = value {
                policy.allow_probes = *flag;
            }
        },
    },
    Setting {
        name: "sessions",
        meaning: "What live Session Manager sessions mean for a remedy that would end them: wait until they have ended, \
                  go on and say so (warn), or go on (ignore).",
        kind: Kind::Word(&["wait", "warn", "ignore"]),
        section: None,
        in_blocks: true,
        get: |policy| {
            let known = SESSIONS.iter().find(|(_, rule)| *rule == policy.sessions);
            Value::Word(known.map_or("wait", |(word, _)| word))
        },
        set: |policy, value| {
            if let Some((_, rule)) = SESSIONS.iter().find(|(known, _)| word(value) == Some(known)) {
                policy.sessions = *rule;
            }
        },
    },
    Setting {
        name: "address-change",
        meaning: "A public address that is not an Elastic IP, of a node outside Auto Scaling groups: a stop and start may change it \
                  (allow), or is left out (refuse).",
        kind: Kind::Word(&["allow", "refuse"]),
        section: None,
        in_blocks: true,
        get: |policy| {
            let known = ADDRESSES.iter().find(|(_, rule)| *rule == policy.address_change);
            Value::Word(known.map_or("allow", |(word, _)| word))
        },
        set: |policy, value| {
            if let Some((_, rule)) = ADDRESSES.iter().find(|(known, _)| word(value) == Some(known)) {
                policy.address_change = *rule;
            }
        },
    },
    Setting {
        name: "approve-from",
        meaning: "From this remedy on, a person must approve.",
        kind: Kind::Word(APPROVE_FROM),
        section: None,
        in_blocks: true,
        get: |policy| Value::Word(policy.approve_from.map_or("nobody", Remedy::as_str)),
        set: |policy, value| {
            if let Some(word) = word(value) {
                policy.approve_from = word.parse().ok();
            }
        },
    },
    Setting {
        name: "calendar",
        meaning: "The change calendar of Systems Manager that must be open for a remedy that stops workload.",
        kind: Kind::Document,
        section: None,
        in_blocks: true,
        get: |policy| policy.calendar.clone().map_or(Value::Word("none"), Value::Document),
        set: |policy, value| match value {
            Value::Document(name) => policy.calendar = Some(name.clone()),
            Value::Word("none") => policy.calendar = None,
            Value::Word(_) | Value::Flag(_) | Value::Number(_) => {}
        },
    },
    own!(
        "restart-hold-down-secs",
        "Seconds from the first look to an agent restart.",
        60..=86_400,
        restart_hold_down_secs
    ),
    own!(
        "disruptive-hold-down-secs",
        "Seconds from the first look to a remedy that stops workload.",
        120..=86_400,
        disruptive_hold_down_secs
    ),
    own!(
        "launch-grace-secs",
        "Seconds after its launch during which a node is left alone.",
        60..=86_400,
        launch_grace_secs
    ),
    own!("cooldown-secs", "Seconds between two attempts on one node.", 60..=86_400, cooldown_secs),
    own!("agent-restarts-max", "Agent restarts of one kind in one incident.", 0..=10, agent_restarts_max),
    own!(
        "parked-max-secs",
        "Seconds that an incident waits for a rail before it ends as deferred.",
        300..=604_800,
        parked_max_secs
    ),
    own!(
        "incident-max-secs",
        "Seconds that an incident may take, waiting for rails aside, before a person is asked.",
        1_800..=21_600,
        incident_max_secs
    ),
    number!(
        "quiet-secs",
        "Seconds for which a node whose incident ended without a repair is not told about again, while nothing changes.",
        300..=604_800,
        None,
        false,
        quiet_secs
    ),
    budget!("account-at-once", "Disruptive remedies at the same time in the account.", 0..=100, false, account_at_once),
    budget!(
        "group-at-once",
        "Disruptive remedies at the same time in a group or Availability Zone; one in those under ten nodes.",
        1..=100,
        true,
        group_at_once
    ),
    budget!(
        "group-percent",
        "The same as a share of the group or zone, in percent; the lower of the two holds.",
        1..=50,
        true,
        group_percent
    ),
    budget!(
        "unhealthy-percent",
        "No disruptive remedy while more than this share of a group of six or more is unhealthy, in percent, rounded up.",
        1..=100,
        true,
        unhealthy_percent
    ),
    budget!(
        "zone-freeze-percent",
        "No disruptive remedy in an Availability Zone of four or more nodes of which this share is unhealthy, in percent.",
        1..=100,
        true,
        zone_freeze_percent
    ),
    budget!("account-an-hour", "Disruptive remedies in any hour in the account.", 0..=1_000, false, account_an_hour),
    budget!("account-a-day", "Disruptive remedies in any day in the account.", 0..=10_000, false, account_a_day),
    budget!("node-an-hour", "Disruptive remedies in any hour on one node.", 0..=10, true, node_an_hour),
    budget!(
        "node-a-day",
        "Disruptive remedies in any day on one node; then it waits for a person.",
        0..=20,
        true,
        node_a_day
    ),
    tasks!(
        "standalone",
        "Tasks on the node that no service started: a remedy that would end them is refused, or they are ignored.",
        standalone
    ),
    tasks!(
        "protected",
        "Tasks on the node under scale-in protection: a remedy that would end them is refused, or they are ignored.",
        protected
    ),
    Setting {
        name: "left",
        meaning: "Tasks that a drain did not end in its time, on a node whose ECS agent is connected: the remedy goes on (go-on), or the \
                  node is given back and tried again later (give-back).",
        kind: Kind::Word(&["go-on", "give-back"]),
        section: Some(Section::Workload),
        in_blocks: true,
        get: |policy| {
            let known = LEFT.iter().find(|(_, rule)| *rule == policy.workload.left);
            Value::Word(known.map_or("go-on", |(word, _)| word))
        },
        set: |policy, value| {
            if let Some((_, rule)) = LEFT.iter().find(|(known, _)| word(value) == Some(known)) {
                policy.workload.left = *rule;
            }
        },
    },
    storms!(
        "active-incidents",
        "Incidents that are worked on at the same time; the rest wait their turn.",
        1..=1_000,
        budgets.active_incidents
    ),
    storms!(
        "watched-incidents",
        "Incidents in their hold-down at the same time; nodes beyond that are only noted.",
        10..=20_000,
        budgets.watched_incidents
    ),
    storms!(
        "breaker-nodes",
        "Distinct nodes in trouble within the breaker's window that open it, at least.",
        1..=10_000,
        breaker.nodes
    ),
    storms!(
        "breaker-percent",
        "The same as a share of the fleet, in percent; the larger of the two holds.",
        0..=100,
        breaker.percent
    ),
    storms!("breaker-window-secs", "Seconds of the breaker's window.", 60..=3_600, breaker.window_secs),
    storms!(
        "breaker-cool-down-secs",
        "Seconds that the breaker rests before one canary may try.",
        60..=86_400,
        breaker.cool_down_secs
    ),
    storms!(
        "shared-cause-nodes",
        "Nodes that share something and must fail together to have a shared cause, at least.",
        2..=1_000,
        shared_cause.nodes
    ),
    storms!(
        "shared-cause-percent",
        "The same as a share of all that have it, in percent.",
        1..=100,
        shared_cause.percent
    ),
    storms!(
        "shared-cause-window-secs",
        "Seconds within which they fail together.",
        60..=3_600,
        shared_cause.window_secs
    ),
    storms!("shared-cause-times", "So many times as often as those without it.", 1..=100, shared_cause.times),
];

fn word(value: &Value) -> Option<&'static str> {
    match value {
        Value::Word(word) => Some(word),
        Value::Flag(_) | Value::Number(_) | Value::Document(_) => None,
    }
}

fn number(number: impl Into<i64>) -> Value {
    Value::Number(number.into())
}

fn put<T: TryFrom<i64>>(slot: &mut T, value: &Value) {
    if let Value::Number(number) = value
        && let Ok(number) = (*number).try_into()
    {
        *slot = number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_that_are_allowed_are_listed() {
        let listed = |words| Kind::Word(words).allowed();
        assert_eq!((listed(&["a", "b", "c"]), listed(&["a"])), ("a, b or c".to_owned(), "a".to_owned()));
    }

    #[test]
    fn every_setting_takes_everything_that_it_allows() {
        for setting in SETTINGS {
            let values = match setting.kind {
                Kind::Flag => vec![Value::Flag(true), Value::Flag(false)],
                Kind::Number { low, high } => vec![Value::Number(low), Value::Number(high)],
                Kind::Word(words) => words.iter().map(|word| Value::Word(word)).collect(),
                Kind::Document => vec![Value::Document("freeze".parse().unwrap()), Value::Word("none")],
            };
            for value in values {
                let mut policy = Policy::default();
                setting.set(&mut policy, &value);
                assert_eq!(setting.get(&policy), value, "{}", setting.name);
            }
        }
    }

    #[test]
    fn a_value_of_another_kind_changes_nothing() {
        for setting in SETTINGS {
            let mut policy = Policy::default();
            let other = match setting.kind {
                Kind::Flag | Kind::Word(_) | Kind::Document => Value::Number(7),
                Kind::Number { .. } => Value::Flag(true),
            };
            setting.set(&mut policy, &other);
            assert_eq!(policy, Policy::default(), "{}", setting.name);
        }
    }

    #[test]
    fn a_setting_is_named_with_its_section_and_everything_else_alone() {
        for setting in SETTINGS {
            let (section, name) = setting
                .path()
                .rsplit_once('.')
                .map_or((None, setting.path()), |(section, name)| (Some(section.to_owned()), name.to_owned()));
            assert_eq!(section.as_deref(), setting.section.map(Section::as_str), "{name}");
            assert_eq!(name, setting.name);
        }
    }

    #[test]
    fn every_remedy_can_be_where_approval_begins() {
        let words: Vec<&str> = std::iter::once("nobody").chain(Remedy::ALL.map(Remedy::as_str)).collect();
        assert_eq!(words, APPROVE_FROM);
    }

    #[cfg(any(feature = "cli", feature = "lambda"))]
    #[test]
    fn a_document_allows_what_the_environment_allows() {
        for setting in SETTINGS {
            let name = match setting.section {
                Some(Section::Workload) => setting.path().replace('.', "_"),
                Some(Section::Budgets | Section::Storms) | None => setting.name.to_owned(),
            };
            let name = format!("DEFIB_{}", name.replace('-', "_").to_uppercase());
            let variable = crate::config::VARIABLES.iter().find(|variable| variable.name == name);
            let variable = variable.unwrap_or_else(|| panic!("{name} is missing"));
            // Nothing to say in the environment means nobody, or none; a document says so in a word.
            let allowed = setting.kind.allowed().replace("nobody, ", "").replace("none, or ", "");
            assert_eq!(allowed, variable.allowed, "{name}");
        }
    }
}
