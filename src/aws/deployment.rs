//! A deployment as people meet it from outside: its function is found and asked, its ledger read, its parts looked over.
//!
//! Only the command line has this. It goes by the rights of whoever runs it, so its calls stand beside those that the role of the
//! function allows ([`super::operations`]).

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_lambda::config::retry::RetryConfig;
use aws_sdk_lambda::config::timeout::TimeoutConfig;
use aws_sdk_lambda::primitives::Blob;
use serde_json::{Value, json};

use super::clients::Clients;
use super::fault::{Fault, FaultKind};
use super::ledger::Ledger;
use super::table::Table;
use crate::config::{BadSetting, Settings};
use crate::operator::{Answer, Asked};
use crate::report::redact;

mod parts;

pub use parts::{Depth, Dug, Feed, Rights};

/// By this variable a function is known as one of Defib's.
const TABLE: &str = "DEFIB_TABLE";
/// The function answers within its own time-out, which the template keeps at most this long, in seconds.
const ANSWER_SECS: u64 = 300;
/// An error of the function is cut to so many characters.
const ERROR_MAX: usize = 300;

/// A deployment, found.
#[derive(Debug)]
pub struct Deployment {
    /// Its function.
    pub function: Function,
    /// The clients of the services that the function works with.
    pub clients: Clients,
    lambda: aws_sdk_lambda::Client,
    sqs: aws_sdk_sqs::Client,
    sts: aws_sdk_sts::Client,
}

/// The function of a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The ARN of the role that it works under.
    pub role: String,
    /// Whether it can run: `Active`, or what Lambda says instead; none where Lambda does not say.
    pub state: Option<String>,
    /// How its last update went: `Successful`, or what Lambda says instead; none where Lambda does not say.
    pub last_update: Option<String>,
    /// Its settings.
    pub variables: BTreeMap<String, String>,
}

impl Function {
    /// One of its settings; none where it is not set, or empty.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Its settings, as it reads them itself at its start.
    ///
    /// # Errors
    /// One of them holds what it may not hold: then the function does not start.
    pub fn settings(&self) -> Result<Settings, BadSetting> {
        Settings::from_pairs(self.variables.clone())
    }

    fn is_ours(&self) -> bool {
        self.setting(TABLE).is_some()
    }
}

/// Why there is no deployment to talk to.
#[derive(Debug, thiserror::Error)]
pub enum NoDeployment {
    /// No function looks like one.
    #[error("there is no function of defib in this account and region; deploy the stack, or name it with --function")]
    None,
    /// Several do.
    #[error("there are {} functions of defib here ({}); name one with --function", .0.len(), .0.join(", "))]
    Several(Vec<String>),
    /// The named one does not.
    #[error("the function {0} is none of defib's: it has no {TABLE}")]
    NotOurs(String),
    /// AWS did not answer.
    #[error(transparent)]
    Failed(#[from] Failed),
}

/// A call that failed, in words.
#[derive(Debug, thiserror::Error)]
pub struct Failed(Fault);

impl Failed {
    /// Whether AWS denied it.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        self.0.kind == FaultKind::Denied
    }

    /// Whether AWS answered that there is no such thing.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        self.0.kind == FaultKind::Absent
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fault = &self.0;
        write!(f, "{} failed: {}", fault.operation, fault.code.as_deref().unwrap_or(fault.kind.as_str()))?;
        if fault.message.is_empty() { Ok(()) } else { write!(f, ": {}", fault.message) }
    }
}

/// Why the function gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// It could not be asked.
    #[error(transparent)]
    Failed(#[from] Failed),
    /// It ended with an error.
    #[error("the function failed: {0}")]
    Function(String),
    /// What it said is no answer of Defib's.
    #[error("the function's answer cannot be read")]
    Unreadable,
}

impl Deployment {
    /// The deployment whose function has this name, or the only one that there is.
    ///
    /// # Errors
    /// There is none, or more than one, or AWS did not answer.
    pub async fn find(shared: &SdkConfig, name: Option<&str>) -> Result<Self, NoDeployment> {
        let lambda = aws_sdk_lambda::Client::new(shared);
        let function = match name {
            Some(name) => named(&lambda, name).await?,
            None => only(&lambda).await?,
        };
        let within = Duration::from_secs(ANSWER_SECS);
        let patient = TimeoutConfig::builder().operation_timeout(within).operation_attempt_timeout(within);
        // Once: whoever asks for a repair twice asks for two.
        let once = aws_sdk_lambda::config::Builder::from(shared)
            .retry_config(RetryConfig::disabled())
            .timeout_config(patient.read_timeout(within).connect_timeout(Duration::from_secs(5)).build());
        Ok(Self {
            function,
            clients: Clients::of(shared),
            lambda: aws_sdk_lambda::Client::from_conf(once.build()),
            sqs: aws_sdk_sqs::Client::new(shared),
            sts: aws_sdk_sts::Client::new(shared),
        })
    }

    /// What it remembers.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        let table = self.function.setting(TABLE).unwrap_or_default();
        Ledger::new(Table::new(self.clients.dynamodb.clone(), table.into()))
    }

    /// Who runs this, as AWS knows him.
    ///
    /// # Errors
    /// AWS did not say.
    pub async fn caller(&self) -> Result<String, Failed> {
        let answer = self.sts.get_caller_identity().send().await;
        let answer = answer.map_err(|error| Failed(Fault::of("GetCallerIdentity", error)))?;
        Ok(answer.arn().unwrap_or("unknown").to_owned())
    }

    /// Hands an operator's request to the function, and brings its answer.
    ///
    /// # Errors
    /// The function could not be asked, or failed.
    pub async fn ask(&self, request: &Asked) -> Result<Answer, NoAnswer> {
        let payload = json!({ "operator": request }).to_string();
        let ask = self.lambda.invoke().function_name(&self.function.name).payload(Blob::new(payload));
        let answer = ask.send().await.map_err(|error| Failed(Fault::of("Invoke", error)))?;
        let body = answer.payload().map(AsRef::as_ref).unwrap_or_default();
        let body: Value = serde_json::from_slice(body).map_err(|_| NoAnswer::Unreadable)?;
        if answer.function_error().is_some() || body.get("errorMessage").is_some() {
            let message = body.get("errorMessage").and_then(Value::as_str).unwrap_or("it did not say why");
            return Err(NoAnswer::Function(redact::cut(&redact::excerpt(message), ERROR_MAX)));
        }
        serde_json::from_value(body).map_err(|_| NoAnswer::Unreadable)
    }
}

async fn named(lambda: &aws_sdk_lambda::Client, name: &str) -> Result<Function, NoDeployment> {
    let answer = lambda.get_function_configuration().function_name(name).send().await;
    let answer = answer.map_err(|error| Failed(Fault::of("GetFunctionConfiguration", error)))?;
    let variables = answer.environment().and_then(|environment| environment.variables());
    let function = Function {
        name: answer.function_name().unwrap_or(name).to_owned(),
        role: answer.role().unwrap_or_default().to_owned(),
        state: answer.state().map(|state| state.as_str().to_owned()),
        last_update: answer.last_update_status().map(|status| status.as_str().to_owned()),
        variables: variables.map(|all| all.clone().into_iter().collect()).unwrap_or_default(),
    };
    if function.is_ours() { Ok(function) } else { Err(NoDeployment::NotOurs(name.to_owned())) }
}

/// The only function with the variables of one of Defib's.
async fn only(lambda: &aws_sdk_lambda::Client) -> Result<Function, NoDeployment> {
    let (mut found, mut pages) = (Vec::new(), lambda.list_functions().into_paginator().send());
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| Failed(Fault::of("ListFunctions", error)))?;
        for one in page.functions() {
            let variables = one.environment().and_then(|environment| environment.variables());
            let is_ours = variables.is_some_and(|all| all.get(TABLE).is_some_and(|table| !table.is_empty()));
            if is_ours {
                found.extend(one.function_name().map(ToOwned::to_owned));
            }
        }
    }
    match found.as_slice() {
        // A list says nothing of the state.
        [one] => named(lambda, one).await,
        [] => Err(NoDeployment::None),
        _ => Err(NoDeployment::Several(found)),
    }
}
