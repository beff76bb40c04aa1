//! The role that asks: with one set, the door refuses what its statements do not allow, as IAM would.
//!
//! Only what the template of `infra/` uses of IAM's language is understood; anything else in a statement is an error when the role
//! is set, so that nothing is allowed by a condition that nobody looked at. Which resources and keys an operation has follows the
//! Service Authorization Reference. Not verified on a real account.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Fleet;
use super::ec2::filter::fits;
use super::protocol::{Call, Input, Service};
use crate::node::NodeId;

/// What a role may do.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Role {
    statements: Vec<Statement>,
}

/// A statement of a policy, with every function of CloudFormation worked out.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Statement {
    #[serde(default)]
    sid: String,
    effect: Effect,
    action: Texts,
    resource: Texts,
    #[serde(default)]
    condition: BTreeMap<Operator, BTreeMap<String, Texts>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Effect {
    Allow,
    Deny,
}

/// How a condition compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
enum Operator {
    StringEquals,
    StringEqualsIgnoreCase,
    Bool,
    ArnLike,
    Null,
}

/// One text, or several of which one must fit.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Texts {
    One(String),
    Any(Vec<String>),
}

impl Texts {
    fn any(&self, fits: impl Fn(&str) -> bool) -> bool {
        match self {
            Self::One(text) => fits(text),
            Self::Any(texts) => texts.iter().any(|text| fits(text)),
        }
    }
}

/// What a request touches: an ARN, and what IAM knows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Resource {
    arn: String,
    keys: BTreeMap<String, String>,
}

impl Resource {
    fn plain(arn: impl Into<String>) -> Self {
        Self { arn: arn.into(), keys: BTreeMap::new() }
    }
}

impl Statement {
    fn speaks_of(&self, action: &str, resource: &Resource) -> bool {
        self.action.any(|pattern| like(pattern, action))
            && self.resource.any(|pattern| like(pattern, &resource.arn))
            && self.condition.iter().all(|(operator, wanted)| {
                wanted.iter().all(|(key, values)| operator.holds(resource.keys.get(key).map(String::as_str), values))
            })
    }
}

impl Operator {
    /// Whether a key's value fits. One that is not there fits nothing but `Null`.
    fn holds(self, have: Option<&str>, wanted: &Texts) -> bool {
        let Some(have) = have else {
            return self == Self::Null && wanted.any(|value| value == "true");
        };
        wanted.any(|value| match self {
            Self::StringEquals => value == have,
            Self::StringEqualsIgnoreCase | Self::Bool => value.eq_ignore_ascii_case(have),
            Self::ArnLike => like(value, have),
            Self::Null => value == "false",
        })
    }
}

impl Role {
    /// Whether each resource of a request is allowed by some statement and denied by none.
    fn allows(&self, action: &str, resources: &[Resource]) -> bool {
        let says = |effect: Effect, resource: &Resource| {
            let mut statements = self.statements.iter().filter(|statement| statement.effect == effect);
            statements.any(|statement| statement.speaks_of(action, resource))
        };
        resources.iter().all(|resource| says(Effect::Allow, resource) && !says(Effect::Deny, resource))
    }

    /// The names of its statements, for whoever set it.
    fn told(&self) -> Value {
        json!({ "statements": self.statements.iter().map(|statement| &statement.sid).collect::<Vec<_>>() })
    }
}

/// Whether a text fits a pattern with `*` and `?`.
fn like(pattern: &str, text: &str) -> bool {
    fits(pattern.as_bytes(), text.as_bytes())
}

impl Fleet {
    /// Sets the role that asks; an answer says what is wrong with it.
    pub(super) fn set_role(&mut self, body: &[u8]) -> Result<Value, String> {
        let role: Role = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let told = role.told();
        self.role = Some(role);
        Ok(told)
    }

    /// Whether the role that asks may make a call; without a role everybody may everything.
    pub(super) fn may(&self, call: &Call) -> bool {
        let Some(role) = &self.role else { return true };
        let action = format!("{}:{}", call.service.prefix(), call.operation);
        let mut resources = self.resources_of(call);
        if resources.is_empty() {
            resources.push(Resource::plain("*"));
        }
        role.allows(&action, &resources)
    }

    /// What a call touches; nothing: an operation that knows no resource, or a request that names none.
    fn resources_of(&self, call: &Call) -> Vec<Resource> {
        let texts = |field: &str| call.input.texts(field);
        let of_iam = |field: &str, kind: &str| -> Vec<Resource> {
            texts(field).iter().map(|name| Resource::plain(self.global_arn("iam", &format!("{kind}/{name}")))).collect()
        };
        match (call.service, call.operation.as_str()) {
            (Service::Ssm, "SendCommand") => {
                let documents = texts("DocumentName").into_iter().map(|name| Resource::plain(self.document_arn(&name)));
                documents.chain(texts("InstanceIds").iter().filter_map(|id| self.node_resource(id))).collect()
            }
            (Service::Ssm, "GetParameter") => {
                let parameter = |name: &String| {
                    Resource::plain(self.arn("ssm", &format!("parameter/{}", name.trim_start_matches('/'))))
                };
                texts("Name").iter().map(parameter).collect()
            }
            (Service::Ec2, "RebootInstances" | "StopInstances" | "StartInstances") => {
                texts("InstanceId").iter().filter_map(|id| self.node_resource(id)).collect()
            }
            (Service::AutoScaling, "EnterStandby" | "ExitStandby") => {
                texts("AutoScalingGroupName").iter().map(|name| self.group_resource(name)).collect()
            }
            (Service::AutoScaling, "TerminateInstanceInAutoScalingGroup") => {
                let group = |id: &String| {
                    let member = self.machine(id.parse().ok()?)?.member.as_ref()?;
                    Some(self.group_resource(self.world.fleets.get(member.group)?.name.as_str()))
                };
                texts("InstanceId").iter().filter_map(group).collect()
            }
            (Service::Ecs, "UpdateContainerInstancesState") => {
                let clusters = texts("cluster");
                let cluster = clusters.first().map(|cluster| self.cluster_resource(cluster));
                let of = |arn: &String| {
                    let keys = cluster.iter().map(|cluster| ("ecs:cluster".to_owned(), cluster.arn.clone())).collect();
                    Resource { arn: arn.clone(), keys }
                };
                texts("containerInstances").iter().map(of).collect()
            }
            (Service::Ecs, "DeregisterContainerInstance") => {
                texts("cluster").iter().map(|cluster| self.cluster_resource(cluster)).collect()
            }
            (Service::Iam, "GetInstanceProfile") => of_iam("InstanceProfileName", "instance-profile"),
            (Service::Iam, "GetRole") => of_iam("RoleName", "role"),
            (Service::Iam, "SimulatePrincipalPolicy") => {
                texts("PolicySourceArn").into_iter().map(Resource::plain).collect()
            }
            _ => Vec::new(),
        }
    }

    /// AWS's own documents belong to no account.
    fn document_arn(&self, name: &str) -> String {
        if name.starts_with("arn:") {
            name.to_owned()
        } else if name.starts_with("AWS-") {
            let region = &self.world.home().region;
            format!("arn:{}:ssm:{region}::document/{name}", region.partition())
        } else {
            self.arn("ssm", &format!("document/{name}"))
        }
    }

    /// A node with its tags, under both keys by which Systems Manager knows them.
    fn node_resource(&self, id: &str) -> Option<Resource> {
        let node: NodeId = id.parse().ok()?;
        let arn = if node.is_instance() {
            self.arn("ec2", &format!("instance/{node}"))
        } else {
            self.arn("ssm", &format!("managed-instance/{node}"))
        };
        let mut keys = BTreeMap::new();
        if let Some(machine) = self.machine(node) {
            for (tag, value) in self.tags_of(machine) {
                keys.insert(format!("ssm:resourceTag/{tag}"), value.clone());
                keys.insert(format!("aws:ResourceTag/{tag}"), value);
            }
            if let Some(operator) = Self::operator(machine) {
                keys.insert("ec2:ManagedResourceOperator".to_owned(), operator.to_owned());
            }
        }
        Some(Resource { arn, keys })
    }

    fn group_resource(&self, name: &str) -> Resource {
        let tags = self.group_named(name).map(|group| self.tags_of_group(group)).unwrap_or_default();
        let keys = tags.into_iter().map(|(tag, value)| (format!("aws:ResourceTag/{tag}"), value)).collect();
        let id = "0d5b11c0-de00-4000-8000-000000000001";
        Resource { arn: self.arn("autoscaling", &format!("autoScalingGroup:{id}:autoScalingGroupName/{name}")), keys }
    }

    fn cluster_resource(&self, named: &str) -> Resource {
        let known = self.cluster_named(named).and_then(|place| self.world.clusters.get(place));
        Resource::plain(
            known.map_or_else(|| self.arn("ecs", &format!("cluster/{named}")), |known| known.arn.to_string()),
        )
    }
}

impl Input {
    /// The texts of a field: a text, or a list of them, as each protocol writes it.
    fn texts(&self, field: &str) -> Vec<String> {
        match self {
            Self::Json(map) => match map.get(field) {
                Some(Value::String(text)) => vec![text.clone()],
                Some(Value::Array(list)) => list.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect(),
                _ => Vec::new(),
            },
            Self::Form(form) => match form.text(field) {
                Some(text) => vec![text.to_owned()],
                None => form.list(field).into_iter().map(str::to_owned).collect(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(statements: &Value) -> Role {
        serde_json::from_value(json!({ "statements": statements })).unwrap()
    }

    fn instance(tags: &[(&str, &str)]) -> Resource {
        let keys = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Resource { arn: "arn:aws:ec2:us-east-1:111122223333:instance/i-0a1b2c3d4e5f60718".to_owned(), keys }
    }

    #[test]
    fn a_pattern_fits_as_iam_reads_it() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("*", "anything", true),
            ("arn:aws:ec2:*:instance/*", "arn:aws:ec2:us-east-1:1:instance/i-1", true),
            ("ec2:Describe*", "ec2:DescribeInstances", true),
            ("ec2:Describe*", "ec2:RebootInstances", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("abc", "abcd", false),
            ("arn:aws:ec2:us-east-1:1:instance/*", "*", false),
        ] {
            assert_eq!(like(pattern, text), fits, "{pattern} and {text}");
        }
    }

    #[test]
    fn a_deny_goes_before_every_allow_and_an_absent_key_fits_nothing() {
        let role = role(&json!([
            {"Effect": "Allow", "Action": ["ec2:RebootInstances"], "Resource": "arn:aws:ec2:*:*:instance/*",
             "Condition": {"StringEquals": {"aws:ResourceTag/defib:managed": "true"}}},
            {"Effect": "Deny", "Action": "ec2:*", "Resource": "*",
             "Condition": {"StringEqualsIgnoreCase": {"aws:ResourceTag/defib:mode": "off"}}},
            {"Effect": "Deny", "Action": "ec2:*", "Resource": "*", "Condition": {"Null": {"ec2:ManagedResourceOperator": "false"}}},
        ]));
        let may = |tags: &[(&str, &str)]| role.allows("ec2:RebootInstances", &[instance(tags)]);
        let managed = ("aws:ResourceTag/defib:managed", "true");
        assert!(may(&[managed]));
        assert!(!may(&[]), "not opted in");
        assert!(!may(&[managed, ("aws:ResourceTag/defib:mode", "OFF")]));
        assert!(!may(&[managed, ("ec2:ManagedResourceOperator", "ecs.amazonaws.com")]));
        assert!(!role.allows("ec2:RebootInstances", &[instance(&[managed]), instance(&[])]), "each must be allowed");
        assert!(!role.allows("ec2:StopInstances", &[instance(&[managed])]));
    }

    #[test]
    fn what_is_not_understood_is_no_role() {
        for statement in [
            json!({"Effect": "Allow", "NotAction": "ec2:*", "Resource": "*"}),
            json!({"Effect": "Allow", "Action": "ec2:*", "Resource": "*", "Condition": {"NumericEquals": {"a": "1"}}}),
            json!({"Effect": "Perhaps", "Action": "ec2:*", "Resource": "*"}),
        ] {
            assert!(serde_json::from_value::<Role>(json!({ "statements": [statement] })).is_err());
        }
    }
}
