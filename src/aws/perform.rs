//! Sends an effect: once, in time, and to one node.

use aws_sdk_ecs::types::ContainerInstanceStatus;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use jiff::Timestamp;

use super::clients::{once_autoscaling, once_ec2, once_ecs, once_ssm};
use super::fault::Fault;
use super::nodes::Nodes;
use crate::effect::{Effect, Target};
use crate::node::{AutoScalingGroupName, ClusterArn, ContainerInstanceArn};
use crate::ports::{Perform, Performed};

/// A command that an agent has not taken after so many seconds does not run any more: the least that AWS allows is 30.
const DELIVERED_SECS: i32 = 60;
/// AWS's own limit of a comment.
const COMMENT_MAX: usize = 100;
/// The one parameter of the repair document.
const ACTION: &str = "Action";

const DONE: Performed = Performed::Done { command: None };

impl Nodes {
    /// Sends an effect.
    ///
    /// `now` is the moment of the decision; the clock is read once more right before the single send, because whoever stood still
    /// in between must not send any more.
    pub async fn perform(&self, perform: &Perform, now: Timestamp) -> Performed {
        let at = (self.clock)().max(now);
        if at > perform.not_after {
            return Performed::TooLate;
        }
        let target = &perform.target;
        let performed = match perform.effect {
            Effect::Probe
            | Effect::FreeDisk
            | Effect::RestartSsmAgent
            | Effect::RestartEcsAgent
            | Effect::RestartRuntime => self.send_command(perform, at).await,
            Effect::Drain => self.set_state(target, ContainerInstanceStatus::Draining).await,
            Effect::Activate => self.set_state(target, ContainerInstanceStatus::Active).await,
            Effect::Deregister => self.deregister(target).await,
            Effect::EnterStandby => self.enter_standby(target).await,
            Effect::ExitStandby => self.exit_standby(target).await,
            Effect::Terminate => self.terminate(target).await,
            Effect::Reboot => self.reboot(target).await,
            Effect::Stop => self.stop(target).await,
            Effect::Start => self.start(target).await,
        };
        // The probe changes nothing.
        if perform.effect != Effect::Probe {
            self.cache.touched(perform.effect, target);
        }
        performed
    }

    async fn send_command(&self, perform: &Perform, at: Timestamp) -> Performed {
        let request = self.clients.ssm.send_command().instance_ids(perform.target.node.to_string());
        let request = match action(perform.effect) {
            Some(action) => {
                let document = self.documents.repair.as_str();
                request.document_name(document).parameters(ACTION, vec![action.to_owned()])
            }
            None => request.document_name(self.documents.probe.as_str()),
        };
        let request = request.timeout_seconds(DELIVERED_SECS).comment(comment(perform));
        let answer = request.customize().config_override(once_ssm()).send().await;
        match outcome("SendCommand", answer) {
            Ok(output) => {
                let command = output.command.and_then(|command| command.command_id?.parse().ok());
                if let Some(command) = &command {
                    self.cache.sent.put(crate::node::CommandId::clone(command), at, at);
                }
                // Accepted, and its id is lost: nobody will ever read what became of it.
                if command.is_none() { Performed::Unknown } else { Performed::Done { command } }
            }
            Err(performed) => performed,
        }
    }

    async fn set_state(&self, target: &Target, state: ContainerInstanceStatus) -> Performed {
        let Some((cluster, arn)) = container_instance(target) else { return Performed::Refused };
        let request = self.clients.ecs.update_container_instances_state().cluster(cluster.as_str());
        let request = request.container_instances(arn.as_str()).status(state);
        match outcome("UpdateContainerInstancesState", request.customize().config_override(once_ecs()).send().await) {
            // It answers 200 also where it did nothing, and says so in its failures.
            Ok(output) if !output.container_instances().is_empty() => DONE,
            Ok(output) if !output.failures().is_empty() => {
                let reason = output.failures().first().and_then(|failure| failure.reason()).unwrap_or_default();
                tracing::warn!(node.id = %target.node, reason, "UpdateContainerInstancesState changed nothing");
                Performed::Refused
            }
            Ok(_) => Performed::Unknown,
            Err(performed) => performed,
        }
    }

    async fn deregister(&self, target: &Target) -> Performed {
        let Some((cluster, arn)) = container_instance(target) else { return Performed::Refused };
        let request = self.clients.ecs.deregister_container_instance().cluster(cluster.as_str());
        let request = request.container_instance(arn.as_str()).force(true);
        done(outcome("DeregisterContainerInstance", request.customize().config_override(once_ecs()).send().await))
    }

    async fn enter_standby(&self, target: &Target) -> Performed {
        let Some(group) = group(target) else { return Performed::Refused };
        let request = self.clients.autoscaling.enter_standby().auto_scaling_group_name(group.as_str());
        let request = request.instance_ids(target.node.to_string()).should_decrement_desired_capacity(true);
        done(outcome("EnterStandby", request.customize().config_override(once_autoscaling()).send().await))
    }

    async fn exit_standby(&self, target: &Target) -> Performed {
        let Some(group) = group(target) else { return Performed::Refused };
        let request = self.clients.autoscaling.exit_standby().auto_scaling_group_name(group.as_str());
        let request = request.instance_ids(target.node.to_string());
        done(outcome("ExitStandby", request.customize().config_override(once_autoscaling()).send().await))
    }

    async fn terminate(&self, target: &Target) -> Performed {
        // Without its group nobody would launch another one.
        if group(target).is_none() {
            return Performed::Refused;
        }
        let request = self.clients.autoscaling.terminate_instance_in_auto_scaling_group();
        let request = request.instance_id(target.node.to_string()).should_decrement_desired_capacity(false);
        let answer = request.customize().config_override(once_autoscaling()).send().await;
        done(outcome("TerminateInstanceInAutoScalingGroup", answer))
    }

    async fn reboot(&self, target: &Target) -> Performed {
        if !target.node.is_instance() {
            return Performed::Refused;
        }
        let request = self.clients.ec2.reboot_instances().instance_ids(target.node.to_string());
        done(outcome("RebootInstances", request.customize().config_override(once_ec2()).send().await))
    }

    async fn stop(&self, target: &Target) -> Performed {
        if !target.node.is_instance() {
            return Performed::Refused;
        }
        let request = self.clients.ec2.stop_instances().instance_ids(target.node.to_string());
        done(outcome("StopInstances", request.customize().config_override(once_ec2()).send().await))
    }

    async fn start(&self, target: &Target) -> Performed {
        if !target.node.is_instance() {
            return Performed::Refused;
        }
        let request = self.clients.ec2.start_instances().instance_ids(target.node.to_string());
        done(outcome("StartInstances", request.customize().config_override(once_ec2()).send().await))
    }
}

/// The value of `Action` in the repair document; none: the probe's document, which takes no parameters.
fn action(effect: Effect) -> Option<&'static str> {
    match effect {
        Effect::FreeDisk => Some("free-disk"),
        Effect::RestartSsmAgent => Some("restart-ssm-agent"),
        Effect::RestartEcsAgent => Some("restart-ecs-agent"),
        Effect::RestartRuntime => Some("restart-runtime"),
        Effect::Probe
        | Effect::Drain
        | Effect::Activate
        | Effect::EnterStandby
        | Effect::ExitStandby
        | Effect::Reboot
        | Effect::Stop
        | Effect::Start
        | Effect::Terminate
        | Effect::Deregister => None,
    }
}

/// Whose command it is, for people who read the list of commands.
fn comment(perform: &Perform) -> String {
    let mut comment = format!("{} intent {}", perform.incident, perform.intent);
    comment.truncate(comment.floor_char_boundary(COMMENT_MAX));
    comment
}

fn container_instance(target: &Target) -> Option<&(ClusterArn, ContainerInstanceArn)> {
    target.container_instance.as_ref()
}

fn group(target: &Target) -> Option<&AutoScalingGroupName> {
    target.group.as_ref()
}

/// The answer, or what its absence means: only AWS's own refusal proves that nothing happened.
fn outcome<T, E>(operation: &'static str, answer: Result<T, SdkError<E, HttpResponse>>) -> Result<T, Performed>
where
    E: ProvideErrorMetadata,
{
    answer.map_err(|error| {
        let fault = Fault::of(operation, error);
        fault.tell();
        if fault.refused { Performed::Refused } else { Performed::Unknown }
    })
}

fn done<T>(outcome: Result<T, Performed>) -> Performed {
    match outcome {
        Ok(_) => DONE,
        Err(performed) => performed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_but_the_probe_is_an_action_of_the_repair_document() {
        for effect in Effect::ALL {
            assert_eq!(action(effect).is_some(), effect.needs_ssm() && effect != Effect::Probe, "{effect:?}");
        }
    }
}
