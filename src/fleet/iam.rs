//! IAM: the instance profiles and roles of the account's machines.

use serde_json::{Value, json};

use super::error::AwsError;
use super::input::{Form, shown};
use super::{Answered, Fleet};
use crate::sim::ailment::Ailment;
use crate::sim::machine::{Machine, Secs, moment};

/// Answers an operation; none when the door does not know it.
pub(super) fn call(fleet: &Fleet, operation: &str, form: &Form) -> Option<Answered> {
    Some(match operation {
        "GetInstanceProfile" => fleet.get_instance_profile(form),
        "GetRole" => fleet.get_role(form),
        "SimulatePrincipalPolicy" => fleet.simulate_principal_policy(form),
        _ => return None,
    })
}

/// The role of Default Host Management.
const DEFAULT_HOST_ROLE: &str = "AWSSystemsManagerDefaultEC2InstanceManagementRole";
/// Roles are older than everything else, in seconds.
const ROLE_AGE_SECS: Secs = 365 * 86_400;

impl Fleet {
    /// `GetInstanceProfile`. Profile and role have the same name here.
    fn get_instance_profile(&self, form: &Form) -> Answered {
        let name = form.need_text("InstanceProfileName")?;
        let role = self
            .role_named(name)
            .ok_or_else(|| no_such_entity(&format!("Instance Profile {} cannot be found.", shown(name))))?;
        Ok(json!({
            "InstanceProfile": {
                "Path": "/",
                "InstanceProfileName": name,
                "InstanceProfileId": "AIPAD5B11C0DE0000001",
                "Arn": self.global_arn("iam", &format!("instance-profile/{name}")),
                "CreateDate": moment(self.world.now - ROLE_AGE_SECS).to_string(),
                "Roles": [role],
                "Tags": [],
            }
        }))
    }

    /// `GetRole`.
    fn get_role(&self, form: &Form) -> Answered {
        let name = form.need_text("RoleName")?;
        let missing = || no_such_entity(&format!("The role with name {} cannot be found.", shown(name)));
        Ok(json!({ "Role": self.role_named(name).ok_or_else(missing)? }))
    }

    /// `SimulatePrincipalPolicy`: everything is allowed, unless the fault is that the agents' actions are not.
    fn simulate_principal_policy(&self, form: &Form) -> Answered {
        let source = form.need_text("PolicySourceArn")?;
        let name = source.rsplit('/').next().unwrap_or_default();
        if self.role_named(name).is_none() {
            return Err(no_such_entity(&format!("The role with name {} cannot be found.", shown(name))));
        }
        let denied = self.holds(name, Ailment::IdentityAccessDenied);
        let results: Vec<Value> = form
            .list("ActionNames.member")
            .into_iter()
            .map(|action| {
                json!({
                    "EvalActionName": action, "EvalResourceName": "*", "MatchedStatements": [], "MissingContextValues": [],
                    "EvalDecision": if denied { "implicitDeny" } else { "allowed" },
                })
            })
            .collect();
        Ok(json!({ "EvaluationResults": results, "IsTruncated": false }))
    }

    /// Whether some machine that has the role suffers from this.
    fn holds(&self, role: &str, wanted: Ailment) -> bool {
        let machines = self.world.machines.iter().filter(|machine| machine.exists());
        machines
            .filter(|machine| Self::role(machine).as_deref() == Some(role))
            .any(|machine| Self::ailment(machine) == Some(wanted))
    }

    /// The role of Default Host Management, where it is on.
    pub(super) fn host_management_role(&self) -> Option<&'static str> {
        let broken = |machine: &Machine| Self::ailment(machine) == Some(Ailment::IdentityDefaultHostManagement);
        self.world.machines.iter().any(|machine| machine.exists() && broken(machine)).then_some(DEFAULT_HOST_ROLE)
    }

    /// A role that some machine has; what the machines' fault is shows on it.
    fn role_named(&self, name: &str) -> Option<Value> {
        let ailing = |wanted: Ailment| {
            let is = |machine: &&Machine| Self::ailment(machine) == Some(wanted);
            self.world.machines.iter().filter(|machine| machine.exists()).find(is)
        };
        if name == DEFAULT_HOST_ROLE {
            // The fault is that Systems Manager may not assume it.
            ailing(Ailment::IdentityDefaultHostManagement)?;
            return Some(self.role_value(name, "ec2.amazonaws.com", self.world.now - ROLE_AGE_SECS));
        }
        let holders = || {
            self.world
                .machines
                .iter()
                .filter(|machine| machine.exists() && Self::role(machine).as_deref() == Some(name))
        };
        holders().next()?;
        let sick = |wanted: Ailment| holders().find(|machine| Self::ailment(machine) == Some(wanted));
        let created = sick(Ailment::IdentityCredentialsExpired)
            .and_then(|machine| machine.illness.as_ref())
            .map_or(self.world.now - ROLE_AGE_SECS, |ill| ill.began);
        Some(self.role_value(name, "ec2.amazonaws.com", created))
    }

    fn role_value(&self, name: &str, trusted: &str, created: Secs) -> Value {
        let policy = json!({
            "Version": "2012-10-17",
            "Statement": [{ "Effect": "Allow", "Principal": { "Service": trusted }, "Action": "sts:AssumeRole" }],
        });
        // IAM writes the document URL-encoded.
        let document: String = form_urlencoded::byte_serialize(policy.to_string().as_bytes()).collect();
        json!({
            "Path": "/",
            "RoleName": name,
            "RoleId": format!("AROA{created:017}"),
            "Arn": self.global_arn("iam", &format!("role/{name}")),
            "CreateDate": moment(created).to_string(),
            "AssumeRolePolicyDocument": document.replace('+', "%20"),
            "Description": "",
            "MaxSessionDuration": 3_600,
            "Tags": [],
        })
    }
}

fn no_such_entity(message: &str) -> AwsError {
    AwsError::new("NoSuchEntity", message).with_status(404)
}
