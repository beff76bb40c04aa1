//! The settings of one process, read once at its start.

use std::path::PathBuf;

use tracing::level_filters::LevelFilter;

use super::resources::Resources;
use super::variables::{PREFIX, VARIABLES};
use crate::diagnose::Cause;
use crate::event::Excerpt;
use crate::node::{AccountId, DisplayName, Home, Region};
use crate::policy::Policy;

/// The account and region of the embedded account: those of the sample events.
const EMBEDDED_HOME: (&str, &str) = ("111122223333", "us-east-1");

/// What Defib works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountKind {
    /// The AWS account whose role the function runs under.
    Aws,
    /// The simulated account, in this process.
    Embedded,
}

/// The settings of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What Defib works on.
    pub account: AccountKind,
    /// The rules.
    pub policy: Policy,
    /// The account that this deployment looks after.
    pub home_account: Option<AccountId>,
    /// The region that this deployment looks after.
    pub home_region: Option<Region>,
    /// The deployment's name in reports.
    pub stack: Option<DisplayName>,
    /// The lowest level that is logged.
    pub log: LevelFilter,
    /// The seed of the embedded account.
    pub sim_seed: u64,
    /// What ails a node that an event names and that the embedded account does not have yet.
    pub sim_fault: Option<Cause>,
    /// The file with the policy document of the embedded account.
    pub sim_policy: Option<PathBuf>,
    /// What a deployment on AWS works with.
    pub resources: Resources,
    /// The longest that one invocation may take, in seconds.
    pub timeout_secs: u32,
    /// Variables with our prefix that mean nothing.
    pub unknown: Vec<UnknownVariable>,
    /// The region that AWS's own variables name.
    aws_region: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            account: AccountKind::Aws,
            policy: Policy::default(),
            home_account: None,
            home_region: None,
            stack: None,
            log: LevelFilter::INFO,
            sim_seed: 1,
            sim_fault: None,
            sim_policy: None,
            resources: Resources::default(),
            timeout_secs: 60,
            unknown: Vec::new(),
            aws_region: None,
        }
    }
}

/// A variable holds something that it may not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSetting {
    /// It has a value, and not an allowed one.
    #[error("the setting {name} is \"{given}\"; allowed: {allowed}")]
    NotAllowed {
        /// The variable.
        name: &'static str,
        /// What it holds: short, and plain text.
        given: Excerpt,
        /// What it may hold.
        allowed: &'static str,
    },
    /// It has no value, and there is no default.
    #[error("the setting {name} is not set; allowed: {allowed}")]
    Missing {
        /// The variable.
        name: &'static str,
        /// What it may hold.
        allowed: &'static str,
    },
}

/// A variable with our prefix that means nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownVariable {
    /// Its name: short, and plain text.
    pub name: Excerpt,
    /// The known name that is most like it.
    pub nearest: &'static str,
}

impl Settings {
    /// Reads the environment of this process.
    ///
    /// # Errors
    /// A variable holds something that it may not hold.
    pub fn from_env() -> Result<Self, BadSetting> {
        Self::from_pairs(super::variables())
    }

    /// Reads settings from names and values. Blank values count as absent, because a template parameter that was left
    /// empty arrives as an empty text.
    ///
    /// # Errors
    /// A variable holds something that it may not hold.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Self, BadSetting> {
        let mut settings = Self::default();
        let mut region = [None, None];
        for (name, value) in pairs {
            let value = value.trim();
            if let Some((_, slot)) = region_names().zip(&mut region).find(|(known, _)| *known == name) {
                *slot = Some(value.to_owned()).filter(|value| !value.is_empty());
            }
            if !name.starts_with(PREFIX) {
                continue;
            }
            match VARIABLES.iter().find(|variable| variable.name == name) {
                None => settings.unknown.push(UnknownVariable { name: Excerpt::of(&name), nearest: nearest(&name) }),
                Some(_) if value.is_empty() => {}
                Some(variable) => (variable.take)(&mut settings, value).ok_or_else(|| BadSetting::NotAllowed {
                    name: variable.name,
                    given: Excerpt::of(value),
                    allowed: variable.allowed,
                })?,
            }
        }
        settings.aws_region = region.into_iter().flatten().next();
        settings.unknown.sort_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
        Ok(settings)
    }

    /// The account and region that this deployment looks after.
    ///
    /// # Errors
    /// On AWS they must be set; only the region has a default there, from Lambda itself.
    pub fn home(&self) -> Result<Home, BadSetting> {
        let (account, region) = match self.account {
            AccountKind::Embedded => EMBEDDED_HOME,
            AccountKind::Aws => ("", self.aws_region.as_deref().unwrap_or_default()),
        };
        Ok(Home {
            account: self.home_account.or_else(|| account.parse().ok()).ok_or_else(|| missing("DEFIB_HOME_ACCOUNT"))?,
            region: self
                .home_region
                .clone()
                .or_else(|| region.parse().ok())
                .ok_or_else(|| missing("DEFIB_HOME_REGION"))?,
        })
    }
}

/// The variables of AWS's own that name a region, the stronger first.
pub(super) fn region_names() -> impl Iterator<Item = &'static str> {
    ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter()
}

pub(super) fn missing(name: &'static str) -> BadSetting {
    let allowed = VARIABLES.iter().find(|variable| variable.name == name).map_or("", |variable| variable.allowed);
    BadSetting::Missing { name, allowed }
}

/// The known name with the fewest letters to change.
fn nearest(name: &str) -> &'static str {
    let known = VARIABLES.iter().map(|variable| variable.name);
    known.min_by_key(|known| crate::policy::distance(known, name)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incident::Remedy;
    use crate::policy::{Mode, SessionsRule};

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, BadSetting> {
        Settings::from_pairs(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn without_variables_defib_observes_the_account_it_runs_in() {
        let settings = read(&[("PATH", "/bin"), ("DEFIB_MODE", " ")]).unwrap();
        assert_eq!(settings, Settings::default());
        assert_eq!(settings.policy.mode, Mode::Observe);
        assert_eq!(
            settings.home().unwrap_err().to_string(),
            "the setting DEFIB_HOME_ACCOUNT is not set; allowed: a twelve-digit account number"
        );
    }

    #[test]
    fn the_embedded_account_is_at_home_where_the_sample_events_are() {
        let settings = read(&[("DEFIB_ACCOUNT", "sim"), ("AWS_REGION", "eu-west-1")]).unwrap();
        let home = settings.home().unwrap();
        assert_eq!((home.account.to_string().as_str(), home.region.as_str()), ("111122223333", "us-east-1"));
    }

    #[test]
    fn on_aws_the_region_is_the_function_s_own_unless_set() {
        let pairs = [("DEFIB_HOME_ACCOUNT", "444455556666"), ("AWS_DEFAULT_REGION", "x"), ("AWS_REGION", "eu-west-1")];
        let home = read(&pairs).unwrap().home().unwrap();
        assert_eq!((home.account.to_string().as_str(), home.region.as_str()), ("444455556666", "eu-west-1"));
        let mut pairs = pairs.to_vec();
        pairs.push(("DEFIB_HOME_REGION", "us-gov-west-1"));
        assert_eq!(read(&pairs).unwrap().home().unwrap().region.as_str(), "us-gov-west-1");
    }

    #[test]
    fn every_rule_can_be_set() {
        let settings = read(&[
            ("DEFIB_MODE", "Cycle"),
            ("DEFIB_SESSIONS", "warn"),
            ("DEFIB_ALLOW_PROBES", "true"),
            ("DEFIB_APPROVE_FROM", "reboot"),
            ("DEFIB_RESTART_HOLD_DOWN_SECS", "60"),
            ("DEFIB_NODE_A_DAY", "1"),
            ("DEFIB_LOG", "debug"),
            ("DEFIB_SIM_FAULT", "identity.no-instance-profile"),
        ])
        .unwrap();
        assert_eq!((settings.policy.mode, settings.policy.sessions), (Mode::Cycle, SessionsRule::Warn));
        assert!(settings.policy.allow_probes);
        assert_eq!(settings.policy.approve_from, Some(Remedy::Reboot));
        assert_eq!((settings.policy.restart_hold_down_secs, settings.policy.budgets.node_a_day), (60, 1));
        assert_eq!(settings.log, LevelFilter::DEBUG);
        assert_eq!(settings.sim_fault, Some(Cause::IdentityNoInstanceProfile));
    }

    #[test]
    fn a_bad_value_is_named_with_its_variable_and_what_is_allowed() {
        let told = |name: &str, value: &str| read(&[(name, value)]).unwrap_err().to_string();
        assert_eq!(
            told("DEFIB_MODE", "reboot\u{1b}[31m everything, and do it as soon as ever you can"),
            "the setting DEFIB_MODE is \"reboot??31m everything, and do it as ...\"; \
             allowed: off, observe, restart, cycle or replace"
        );
        assert_eq!(
            told("DEFIB_COOLDOWN_SECS", "5m"),
            "the setting DEFIB_COOLDOWN_SECS is \"5m\"; allowed: a whole number from 60 to 86400"
        );
    }

    #[test]
    fn every_variable_turns_nonsense_away() {
        // Almost any text is a name.
        let names = ["DEFIB_STACK", "DEFIB_CALENDAR", "DEFIB_TABLE", "DEFIB_POLICY_PARAMETER"];
        for variable in VARIABLES.iter().filter(|variable| !names.contains(&variable.name)) {
            for nonsense in ["\u{fffd}", "no!", "1e9", "99999999999999999999999"] {
                let outcome = read(&[(variable.name, nonsense)]);
                assert!(outcome.is_err(), "{} takes {nonsense:?}", variable.name);
            }
        }
    }

    #[test]
    fn every_default_in_the_table_is_the_default() {
        for variable in VARIABLES {
            if let Some(default) = variable.default {
                assert_eq!(read(&[(variable.name, default)]), Ok(Settings::default()), "{}", variable.name);
            }
        }
    }

    #[test]
    fn an_unknown_variable_is_told_with_the_nearest_known_one() {
        let settings = read(&[("DEFIB_MODUS", "cycle"), ("DEFIB_SIMSEED", "4"), ("DEFIBRILLATOR", "x")]).unwrap();
        let told: Vec<_> = settings.unknown.iter().map(|unknown| (unknown.name.as_str(), unknown.nearest)).collect();
        assert_eq!(told, [("DEFIB_MODUS", "DEFIB_MODE"), ("DEFIB_SIMSEED", "DEFIB_SIM_SEED")]);
    }
}
