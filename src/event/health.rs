//! ECS: a health check of a container instance changed.

use serde_json::Value;

use super::ecs::Names;
use super::envelope::{Claim, time};
use super::fields::{Fields, folded};
use super::{DropReason, HealthCheck, SignalKind};
use crate::node::Home;

/// `ECS Container Instance Health Change`.
///
/// Type and status are compared within one element of the list: an impaired accelerator beside a connected agent is not
/// a lost agent.
pub(super) fn health_change(detail: Fields<'_>, event: Fields<'_>, home: &Home) -> Result<Claim, DropReason> {
    let listed = detail.need_list("healthChecks")?;
    let ours: Vec<(HealthCheck, Fields<'_>)> = listed.iter().filter_map(check).collect();
    // A dead runtime takes the agent, which is a container, with it; never the other way round. So when both are impaired
    // the runtime is what the event is about.
    let impaired = |wanted| ours.iter().find(|(check, fields)| *check == wanted && status(*fields) == "impaired");
    let found = impaired(HealthCheck::ContainerRuntime).or_else(|| impaired(HealthCheck::AgentConnectivity));
    if let Some((check, fields)) = found {
        let names = Names::read(detail, event, home)?;
        return Ok((
            names.node,
            SignalKind::EcsHealthImpaired {
                check: *check,
                container_instance: names.container_instance()?,
                cluster: names.cluster,
                since: time(*fields, "lastStatusChange"),
            },
        ));
    }
    // Without an overall status the listed checks, those of others included, speak for it.
    let overall_ok = match detail.text("overallStatus")? {
        Some(overall) => folded(overall) == "ok",
        None => listed.iter().all(|value| value.as_object().is_some_and(|map| status(Fields(map)) == "ok")),
    };
    let ours_ok = !ours.is_empty() && ours.iter().all(|(_, fields)| status(*fields) == "ok");
    if overall_ok && ours_ok {
        let names = Names::read(detail, event, home)?;
        return Ok((names.node, SignalKind::EcsHealthRestored));
    }
    Err(DropReason::HealthUndecided { listed: listed.len(), ours: ours.len() })
}

/// A check that Defib acts on. `ACCELERATED_COMPUTE` and `DAEMON` exist on managed capacity only, which ECS repairs itself.
fn check(value: &Value) -> Option<(HealthCheck, Fields<'_>)> {
    let fields = Fields(value.as_object()?);
    let check = match folded(fields.value("type")?.as_str()?).as_str() {
        "agentconnectivity" => HealthCheck::AgentConnectivity,
        "containerruntime" => HealthCheck::ContainerRuntime,
        _ => return None,
    };
    Some((check, fields))
}

/// The status of a check; empty when there is none.
fn status(fields: Fields<'_>) -> String {
    fields.value("status").and_then(Value::as_str).map(folded).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Verdict;
    use serde_json::json;

    fn claim(overall: &Value, checks: &[(&str, &str)]) -> Result<Claim, DropReason> {
        let home = Home { account: "111122223333".parse().unwrap(), region: "us-east-1".parse().unwrap() };
        let checks: Vec<Value> = checks
            .iter()
            .map(|(check, status)| json!({ "type": check, "status": status, "lastStatusChange": "2026-11-20T14:00:00Z" }))
            .collect();
        let detail = json!({
            "ec2InstanceId": "i-0a1b2c3d4e5f60718", "overallStatus": overall, "healthChecks": checks,
            "containerInstanceArn": "arn:aws:ecs:us-east-1:111122223333:container-instance/prod-web/6f1d0b7c9a3e4d52"
        });
        let fields = Fields(detail.as_object().unwrap());
        health_change(fields, fields, &home)
    }

    #[test]
    fn an_impaired_check_of_ours_is_trouble_whatever_the_others_say() {
        let checks = [("DAEMON", "OK"), ("AGENT_CONNECTIVITY", "IMPAIRED"), ("CONTAINER_RUNTIME", "OK")];
        for overall in [json!("IMPAIRED"), json!("OK"), json!(null)] {
            let SignalKind::EcsHealthImpaired { check, since, .. } = claim(&overall, &checks).unwrap().1 else {
                panic!("not impaired")
            };
            assert_eq!(check, HealthCheck::AgentConnectivity);
            assert_eq!(since.unwrap().to_string(), "2026-11-20T14:00:00Z");
        }
    }

    #[test]
    fn a_dead_runtime_explains_a_lost_agent() {
        let checks = [("AGENT_CONNECTIVITY", "IMPAIRED"), ("CONTAINER_RUNTIME", "IMPAIRED")];
        let SignalKind::EcsHealthImpaired { check, .. } = claim(&json!("IMPAIRED"), &checks).unwrap().1 else {
            panic!("not impaired")
        };
        assert_eq!(check, HealthCheck::ContainerRuntime);
    }

    #[test]
    fn type_and_status_must_stand_on_one_element() {
        let checks = [("ACCELERATED_COMPUTE", "IMPAIRED"), ("AGENT_CONNECTIVITY", "OK")];
        for overall in [json!("IMPAIRED"), json!(null)] {
            assert_eq!(claim(&overall, &checks).unwrap_err().verdict(), Verdict::Ignored);
        }
    }

    #[test]
    fn all_well_again_is_recovered() {
        for overall in [json!("OK"), json!(null)] {
            let (_, kind) = claim(&overall, &[("AGENT_CONNECTIVITY", "OK"), ("CONTAINER_RUNTIME", "ok")]).unwrap();
            assert_eq!(kind, SignalKind::EcsHealthRestored);
        }
    }

    #[test]
    fn not_knowing_is_neither_trouble_nor_recovery() {
        for status in ["INSUFFICIENT_DATA", "INITIALIZING", ""] {
            let reason = claim(&json!(status), &[("AGENT_CONNECTIVITY", status)]).unwrap_err();
            assert_eq!(reason.verdict(), Verdict::Ignored, "{status}");
        }
        assert_eq!(claim(&json!("OK"), &[]).unwrap_err().verdict(), Verdict::Ignored);
    }
}
