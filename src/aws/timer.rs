//! The timer: one Step Functions execution an open incident, started by name.
//!
//! Nothing rests on it: a wake that is lost is made up for by the sweep, and one that comes twice changes nothing.

use std::sync::Arc;

use aws_sdk_sfn::Client;
use aws_sdk_sfn::types::ExecutionStatus;
use jiff::Timestamp;
use serde_json::json;

use super::fault::Fault;
use super::ledger::Ledger;
use crate::incident::IncidentId;
use crate::ports::PortError;

/// The state machine that wakes incidents.
#[derive(Debug, Clone)]
pub struct Timer {
    sfn: Client,
    arn: Arc<str>,
}

impl Timer {
    /// The state machine of this ARN.
    #[must_use]
    pub fn new(sfn: Client, arn: Arc<str>) -> Self {
        Self { sfn, arn }
    }

    /// Makes sure that an incident has an execution. One that exists already, running or not, is left as it is.
    ///
    /// # Errors
    /// Step Functions or the table did not answer: an execution may have been started.
    pub async fn ensure(&self, ledger: &Ledger, id: IncidentId, wake_at: Timestamp) -> Result<(), PortError> {
        let generation = ledger.timer_generation(id).await?;
        self.start(id, generation, wake_at).await
    }

    /// Starts the next execution of an overdue incident when the present one has ended or never began.
    ///
    /// # Errors
    /// As for [`Timer::ensure`].
    pub async fn revive(
        &self,
        ledger: &Ledger,
        id: IncidentId,
        wake_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), PortError> {
        let generation = ledger.timer_generation(id).await?;
        let name = name(id, generation);
        let execution = format!("{}:{name}", self.arn.replacen(":stateMachine:", ":execution:", 1));
        let generation = match self.sfn.describe_execution().execution_arn(execution).send().await {
            // It waits, or is about to call; late because a look took long or came from elsewhere.
            Ok(answer) => match answer.status() {
                ExecutionStatus::Running | ExecutionStatus::PendingRedrive => return Ok(()),
                ExecutionStatus::Succeeded
                | ExecutionStatus::Failed
                | ExecutionStatus::TimedOut
                | ExecutionStatus::Aborted => ledger.next_timer(id, generation, now).await?,
                // Nobody knows whether it wakes its incident: the next sweep asks again.
                _ => return Err(PortError::Transient),
            },
            Err(error)
                if error.as_service_error().is_some_and(
                    aws_sdk_sfn::operation::describe_execution::DescribeExecutionError::is_execution_does_not_exist,
                ) =>
            {
                generation
            }
            Err(error) => {
                Fault::of("DescribeExecution", error).tell();
                return Err(PortError::Transient);
            }
        };
        tracing::warn!(incident.id = %id, generation, "{id} had lost its timer; it gets another one");
        self.start(id, generation, wake_at).await
    }

    /// It waits first: whoever starts it has just looked. A second start of the same name is harmless, also while the first one runs.
    async fn start(&self, id: IncidentId, generation: u32, wake_at: Timestamp) -> Result<(), PortError> {
        let wake = json!({ "incident_id": id.to_string() });
        let input = json!({ "wake": wake, "wake_at": wake_at.to_string() }).to_string();
        let ask = self.sfn.start_execution().state_machine_arn(&*self.arn).name(name(id, generation)).input(input);
        match ask.send().await {
            Ok(_) => Ok(()),
            Err(error)
                if error.as_service_error().is_some_and(
                    aws_sdk_sfn::operation::start_execution::StartExecutionError::is_execution_already_exists,
                ) =>
            {
                Ok(())
            }
            Err(error) => {
                Fault::of("StartExecution", error).tell();
                Err(PortError::Transient)
            }
        }
    }
}

/// The name of an execution: 80 characters at most (Step Functions), of which this takes about fifty.
fn name(id: IncidentId, generation: u32) -> String {
    format!("{id}-{generation}")
}
