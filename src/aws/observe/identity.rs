//! Who a silent instance is to AWS: its profile, the profile's role, what that role may do, and Default Host Management.

use aws_sdk_ec2::types::Instance;
use aws_sdk_iam::types::{
    EvaluationResult, OrganizationsDecisionDetail, PermissionsBoundaryDecisionDetail, PolicyEvaluationDecisionType,
};
use jiff::Timestamp;

use super::ec2;
use crate::aws::cache::PLACE_SECS;
use crate::aws::fault::{Fault, FaultKind};
use crate::aws::nodes::Nodes;
use crate::diagnose::Agents;
use crate::diagnose::identity::{
    Decision, Effect, HostManagement, InstanceIdentity, Metadata, Profile, Role, instance,
};
use crate::diagnose::path::Service;
use crate::node::NodeId;
use crate::observe::{Blind, Fact, Findings};

/// The setting that turns Default Host Management on: the name of its role, or `$None`.
const HOST_MANAGEMENT: &str = "/ssm/managed-instance/default-ec2-instance-management-role";
const OFF: &str = "$None";

impl Nodes {
    /// Findings about who the instance is to AWS. Only of one with a silent agent: one that is heard has what it needs.
    pub(super) async fn identity(&self, row: &Instance, silent: Agents, now: Timestamp) -> Fact<Findings> {
        if !silent.ssm && !silent.ecs {
            return Fact::Known(Findings::default());
        }
        instance(&self.who(row, silent, now).await, silent).channel(silent)
    }

    /// What the evaluators judge.
    pub(super) async fn who(&self, row: &Instance, silent: Agents, now: Timestamp) -> InstanceIdentity {
        let profile = match ec2::profile(row) {
            Some(name) => self.profile(name, now).await,
            None => Fact::Absent,
        };
        // The ECS agent has the profile alone.
        let host_management = if silent.ssm { self.host_management(now).await } else { Fact::Unknown(Blind::NotRead) };
        InstanceIdentity { profile, host_management, metadata: metadata(row), agent: self.agent_version(row) }
    }

    async fn profile(&self, name: &str, now: Timestamp) -> Fact<Profile> {
        let known = |profile: Option<Profile>| profile.map_or(Fact::Absent, Fact::Known);
        if let Some(profile) = self.cache.profiles.get(&name.to_owned(), now, PLACE_SECS) {
            return known(profile);
        }
        let answer = self.clients.iam.get_instance_profile().instance_profile_name(name).send().await;
        let row = match answer.map_err(|error| Fault::of("GetInstanceProfile", error)) {
            Ok(output) => output.instance_profile.filter(|row| row.instance_profile_name() == name),
            Err(fault) if fault.kind == FaultKind::Absent => {
                // The instance names a profile that is gone: as good as one without a role.
                let gone = name.parse().ok().map(|name| Profile { name, role: Fact::Absent });
                self.cache.profiles.put(name.to_owned(), now, gone.clone());
                return known(gone);
            }
            Err(fault) => return Fact::Unknown(fault.blind()),
        };
        let (Some(row), Ok(parsed)) = (row, name.parse()) else { return Fact::Unknown(Blind::Empty) };
        let role = match row.roles().first() {
            Some(role) => self.role(role.role_name(), now).await,
            None => Fact::Absent,
        };
        let profile = Profile { name: parsed, role };
        if is_read(&profile.role) {
            self.cache.profiles.put(name.to_owned(), now, Some(profile.clone()));
        }
        Fact::Known(profile)
    }

    /// A role, with what IAM's simulation says that it may do. Absent: there is no such role.
    async fn role(&self, name: &str, now: Timestamp) -> Fact<Role> {
        let key = name.to_owned();
        if let Some(known) = self.cache.roles.get(&key, now, PLACE_SECS) {
            return Fact::Known(known);
        }
        let answer = self.clients.iam.get_role().role_name(name).send().await;
        let row = match answer.map_err(|error| Fault::of("GetRole", error)) {
            Ok(output) => output.role.filter(|row| row.role_name() == name),
            Err(fault) if fault.kind == FaultKind::Absent => return Fact::Absent,
            Err(fault) => return Fact::Unknown(fault.blind()),
        };
        let (Some(row), Ok(parsed)) = (row, name.parse()) else { return Fact::Unknown(Blind::Empty) };
        let trust =
            row.assume_role_policy_document().map_or(Fact::Unknown(Blind::Empty), |text| Fact::Known(text.into()));
        let boundary = row.permissions_boundary().and_then(|boundary| boundary.permissions_boundary_arn());
        let boundary = match boundary.map(|arn| arn.rsplit('/').next().unwrap_or(arn).parse()) {
            Some(Ok(name)) => Fact::Known(name),
            Some(Err(_)) => Fact::Unknown(Blind::Empty),
            None => Fact::Absent,
        };
        let role = Fact::Known(Role { name: parsed, trust, boundary, decisions: self.decisions(row.arn()).await });
        if let Some(read) = role.known().filter(|_| is_read(&role)) {
            self.cache.roles.put(key, now, read.clone());
        }
        role
    }

    async fn decisions(&self, role: &str) -> Fact<Vec<Decision>> {
        let mut actions: Vec<String> = Vec::new();
        for action in Service::ALL.into_iter().flat_map(Service::actions) {
            if !actions.iter().any(|known| known == action) {
                actions.push((*action).to_owned());
            }
        }
        let request = self.clients.iam.simulate_principal_policy().policy_source_arn(role);
        let answer = request.set_action_names(Some(actions)).max_items(1_000).send().await;
        match answer.map_err(|error| Fault::of("SimulatePrincipalPolicy", error)) {
            Ok(output) if output.is_truncated() => Fact::Unknown(Blind::Empty),
            Ok(output) => {
                let read: Option<Vec<_>> = output.evaluation_results().iter().map(decision).collect();
                read.filter(|read| !read.is_empty()).map_or(Fact::Unknown(Blind::Empty), Fact::Known)
            }
            Err(fault) => Fact::Unknown(fault.blind()),
        }
    }

    /// Default Host Management of the account and region. Absent: never set, which is off.
    async fn host_management(&self, now: Timestamp) -> Fact<HostManagement> {
        if let Some(known) = self.cache.host_management.get(&(), now, PLACE_SECS) {
            return known;
        }
        let answer = self.clients.ssm.get_service_setting().setting_id(HOST_MANAGEMENT).send().await;
        let fact = match answer.map_err(|error| Fault::of("GetServiceSetting", error)) {
            Ok(output) => {
                match output.service_setting.as_ref().and_then(|setting| setting.setting_value()) {
                    None => Fact::Unknown(Blind::Empty),
                    Some(OFF) => Fact::Known(HostManagement::Off),
                    // With a path, the role's name comes last.
                    Some(role) => self.host_management_by(role.rsplit('/').next().unwrap_or(role), now).await,
                }
            }
            Err(fault) if fault.kind == FaultKind::Absent => Fact::Absent,
            Err(fault) => Fact::Unknown(fault.blind()),
        };
        let whole = match &fact {
            Fact::Known(HostManagement::Role(_, role)) => is_read(role),
            Fact::Known(HostManagement::Off) | Fact::Absent => true,
            Fact::Unknown(_) => false,
        };
        if whole {
            self.cache.host_management.put((), now, fact.clone());
        }
        fact
    }

    async fn host_management_by(&self, name: &str, now: Timestamp) -> Fact<HostManagement> {
        let Ok(parsed) = name.parse() else { return Fact::Unknown(Blind::Empty) };
        Fact::Known(HostManagement::Role(parsed, self.role(name, now).await))
    }

    /// The SSM agent's version, as the last row said. Absent: nobody has heard of it.
    fn agent_version(&self, row: &Instance) -> Fact<crate::diagnose::identity::AgentVersion> {
        let node: Option<NodeId> = row.instance_id().and_then(|id| id.parse().ok());
        let known = node.and_then(|node| self.cache.rows.ever(&node));
        match known.map(|row| row.version) {
            Some(Some(version)) => Fact::Known(version),
            Some(None) => Fact::Unknown(Blind::Empty),
            None => Fact::Unknown(Blind::NotRead),
        }
    }
}

/// Whether a role, if there is one, was read with what it may do.
fn is_read(role: &Fact<Role>) -> bool {
    match role {
        Fact::Known(role) => role.decisions.blind().is_none() && role.trust.blind().is_none(),
        Fact::Absent => true,
        Fact::Unknown(_) => false,
    }
}

fn decision(row: &EvaluationResult) -> Option<Decision> {
    let effect = match row.eval_decision() {
        PolicyEvaluationDecisionType::Allowed => Effect::Allowed,
        PolicyEvaluationDecisionType::ExplicitDeny => Effect::ExplicitDeny,
        PolicyEvaluationDecisionType::ImplicitDeny => Effect::ImplicitDeny,
        _ => return None,
    };
    Some(Decision {
        action: row.eval_action_name().to_owned(),
        effect,
        by_boundary: row
            .permissions_boundary_decision_detail()
            .map(PermissionsBoundaryDecisionDetail::allowed_by_permissions_boundary),
        by_organizations: row
            .organizations_decision_detail()
            .map(OrganizationsDecisionDetail::allowed_by_organizations),
        missing_context: !row.missing_context_values().is_empty(),
    })
}

fn metadata(row: &Instance) -> Fact<Metadata> {
    let Some(options) = row.metadata_options() else { return Fact::Unknown(Blind::Empty) };
    let words = (options.http_endpoint(), options.http_tokens(), options.http_put_response_hop_limit());
    let (Some(endpoint), Some(tokens), Some(hops)) = words else { return Fact::Unknown(Blind::Empty) };
    Fact::Known(Metadata {
        enabled: endpoint.as_str() == "enabled",
        tokens_required: tokens.as_str() == "required",
        hop_limit: u8::try_from(hops).unwrap_or(u8::MAX),
        pending: options.state().is_some_and(|state| state.as_str() == "pending"),
    })
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::InstanceMetadataOptionsResponse;

    use super::*;

    #[test]
    fn a_decision_that_nobody_knows_yet_is_none() {
        let row = |decision: &str| {
            let decision = PolicyEvaluationDecisionType::from(decision);
            EvaluationResult::builder()
                .eval_action_name("ssm:UpdateInstanceInformation")
                .eval_decision(decision)
                .build()
        };
        let effect = |word: &str| decision(&row(word).unwrap()).map(|decision| decision.effect);
        assert_eq!(effect("allowed"), Some(Effect::Allowed));
        assert_eq!(effect("implicitDeny"), Some(Effect::ImplicitDeny));
        assert_eq!(effect("explicitDeny"), Some(Effect::ExplicitDeny));
        assert_eq!(effect("perhaps"), None);
    }

    #[test]
    fn half_an_answer_about_metadata_is_none() {
        let options = InstanceMetadataOptionsResponse::builder().http_endpoint("disabled".into());
        let fact =
            |options: InstanceMetadataOptionsResponse| metadata(&Instance::builder().metadata_options(options).build());
        assert_eq!(fact(options.clone().build()), Fact::Unknown(Blind::Empty));
        let whole = options.http_tokens("required".into()).http_put_response_hop_limit(1).build();
        let known = Metadata { enabled: false, tokens_required: true, hop_limit: 1, pending: false };
        assert_eq!(fact(whole), Fact::Known(known));
        assert_eq!(metadata(&Instance::builder().build()), Fact::Unknown(Blind::Empty));
    }
}
