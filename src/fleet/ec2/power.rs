//! Reboot, stop and start.

use serde_json::{Value, json};

use super::{dry_run, state};
use crate::effect::{Effect, Target};
use crate::fleet::error::AwsError;
use crate::fleet::input::Form;
use crate::fleet::{Answered, Fleet};
use crate::node::NodeId;
use crate::observe::InstanceState;
use crate::sim::machine::Machine;

impl Fleet {
    /// `RebootInstances`: answers nothing, and ignores what is terminated (facts/aws.md §2.4).
    pub(super) fn reboot_instances(&mut self, form: &Form) -> Answered {
        let nodes = self.need_instance_ids(form)?;
        dry_run(form)?;
        self.check_each(&nodes, |machine| match machine.state {
            InstanceState::Running | InstanceState::ShuttingDown | InstanceState::Terminated => Ok(()),
            InstanceState::Pending | InstanceState::Stopping | InstanceState::Stopped => Err(AwsError::new(
                "IncorrectState",
                format!("The instance '{}' is not in a state from which it can be rebooted.", machine.id),
            )),
        })?;
        for node in nodes {
            self.land(node, Effect::Reboot);
        }
        Ok(json!({ "return": true }))
    }

    /// `StopInstances`. A hibernation is refused: no instance here is set up for one.
    pub(super) fn stop_instances(&mut self, form: &Form) -> Answered {
        let nodes = self.need_instance_ids(form)?;
        self.authorized(&nodes, |machine| machine.spec.stop.stop_denied, "StopInstances")?;
        dry_run(form)?;
        if form.flag("Hibernate")? {
            return Err(AwsError::new(
                "UnsupportedHibernationConfiguration",
                "the instance is not set up for hibernation",
            ));
        }
        self.check_each(&nodes, may_stop)?;
        let before = self.states(&nodes);
        for node in &nodes {
            if self.machine(*node).is_some_and(|machine| machine.state == InstanceState::Running) {
                self.land(*node, Effect::Stop);
            }
        }
        Ok(json!({ "instancesSet": self.changes(&before) }))
    }

    /// `StartInstances`.
    pub(super) fn start_instances(&mut self, form: &Form) -> Answered {
        let nodes = self.need_instance_ids(form)?;
        self.authorized(&nodes, |machine| machine.spec.stop.start_denied, "StartInstances")?;
        dry_run(form)?;
        self.check_each(&nodes, |machine| match machine.state {
            // AWS answers this with a 500, as a fault of its own.
            InstanceState::Stopped if self.world.is_sold_out() => Err(AwsError::new(
                "InsufficientInstanceCapacity",
                "We currently do not have sufficient capacity in the Availability Zone you requested.",
            )
            .with_status(500)),
            InstanceState::Stopped | InstanceState::Running | InstanceState::Pending => Ok(()),
            InstanceState::Stopping | InstanceState::ShuttingDown | InstanceState::Terminated => {
                Err(incorrect_state(machine, "started"))
            }
        })?;
        let before = self.states(&nodes);
        for node in &nodes {
            self.land(*node, Effect::Start);
        }
        Ok(json!({ "instancesSet": self.changes(&before) }))
    }

    /// IAM is asked before anything else, also by a `DryRun`.
    fn authorized(&self, nodes: &[NodeId], denied: fn(&Machine) -> bool, action: &str) -> Result<(), AwsError> {
        let denied = nodes.iter().filter_map(|node| self.machine(*node)).any(denied);
        if denied {
            let message = format!("You are not authorized to perform this operation. The action is ec2:{action}.");
            return Err(AwsError::new("UnauthorizedOperation", message).with_status(403));
        }
        Ok(())
    }

    fn check_each(&self, nodes: &[NodeId], check: impl Fn(&Machine) -> Result<(), AwsError>) -> Result<(), AwsError> {
        for machine in nodes.iter().filter_map(|node| self.machine(*node)) {
            if let Some(principal) = Self::operator(machine) {
                let message = format!("The instance '{}' is managed by {principal}.", machine.id);
                return Err(AwsError::new("OperationNotPermitted", message));
            }
            check(machine)?;
        }
        Ok(())
    }

    /// An effect lands in the world, which logs it. What it refuses was refused before with a better reason.
    fn land(&mut self, node: NodeId, effect: Effect) {
        let target = Target { node, container_instance: None, group: None };
        let now = self.world.now();
        self.world.perform(effect, &target, now);
    }

    fn states(&self, nodes: &[NodeId]) -> Vec<(NodeId, InstanceState)> {
        nodes.iter().filter_map(|node| self.machine(*node)).map(|machine| (machine.id, machine.state)).collect()
    }

    fn changes(&self, before: &[(NodeId, InstanceState)]) -> Vec<Value> {
        let change = |(node, was): &(NodeId, InstanceState)| {
            let is = self.machine(*node)?.state;
            Some(json!({ "instanceId": node, "currentState": state(is), "previousState": state(*was) }))
        };
        before.iter().filter_map(change).collect()
    }
}

fn may_stop(machine: &Machine) -> Result<(), AwsError> {
    let (id, gates) = (machine.id, machine.spec.stop);
    match machine.state {
        InstanceState::Stopping | InstanceState::Stopped => return Ok(()),
        InstanceState::Pending | InstanceState::ShuttingDown | InstanceState::Terminated => {
            return Err(incorrect_state(machine, "stopped"));
        }
        InstanceState::Running => {}
    }
    if gates.spot {
        return Err(AwsError::new(
            "UnsupportedOperation",
            format!(
                "You can't stop the Spot Instance '{id}' because it is associated with a one-time Spot Instance request. \
                 You can only stop Spot Instances associated with persistent Spot Instance requests."
            ),
        ));
    }
    if gates.instance_store_root {
        return Err(AwsError::new(
            "UnsupportedOperation",
            format!("The instance '{id}' does not have an 'ebs' root device type and cannot be stopped."),
        ));
    }
    if gates.stop_protected {
        return Err(AwsError::new(
            "OperationNotPermitted",
            format!(
                "The instance '{id}' may not be stopped. Modify its 'disableApiStop' instance attribute and try again."
            ),
        ));
    }
    Ok(())
}

fn incorrect_state(machine: &Machine, what: &str) -> AwsError {
    AwsError::new(
        "IncorrectInstanceState",
        format!("The instance '{}' is not in a state from which it can be {what}.", machine.id),
    )
}
