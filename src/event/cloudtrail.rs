//! CloudTrail: somebody called the Systems Manager API.

use super::envelope::Claim;
use super::fields::Fields;
use super::{DropReason, Excerpt, SignalKind};
use crate::node::Home;

/// `AWS API Call via CloudTrail` from Systems Manager: a session that was refused because its target is not connected.
///
/// Whether CloudTrail writes the error with the suffix `Exception` is documented nowhere, hence the prefix.
pub(super) fn api_call(detail: Fields<'_>, _event: Fields<'_>, _home: &Home) -> Result<Claim, DropReason> {
    let call = detail.need_text("eventName")?;
    let error = detail.text("errorCode")?.unwrap_or_default();
    let service = detail.text("eventSource")?.unwrap_or("ssm.amazonaws.com");
    let refused = call.trim() == "StartSession"
        && service.trim() == "ssm.amazonaws.com"
        && error.trim().starts_with("TargetNotConnected");
    if !refused {
        return Err(DropReason::OtherApiCall { call: Excerpt::of(call.trim()) });
    }
    let node = detail.need_object("requestParameters")?.node("target")?;
    Ok((node, SignalKind::SessionRefused))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Verdict;
    use serde_json::{Value, json};

    fn claim(detail: &Value) -> Result<Claim, DropReason> {
        let home = Home { account: "111122223333".parse().unwrap(), region: "us-east-1".parse().unwrap() };
        let fields = Fields(detail.as_object().unwrap());
        api_call(fields, fields, &home)
    }

    #[test]
    fn a_session_to_a_silent_node_is_trouble_with_either_name_of_the_error() {
        for error in ["TargetNotConnected", "TargetNotConnectedException"] {
            let event = json!({
                "eventName": "StartSession", "errorCode": error, "requestParameters": { "target": "i-0a1b2c3d4e5f60718" }
            });
            assert_eq!(claim(&event).unwrap().1, SignalKind::SessionRefused);
        }
    }

    #[test]
    fn a_session_that_began_or_was_denied_is_ignored() {
        for error in [json!(null), json!("AccessDenied")] {
            let event = json!({ "eventName": "StartSession", "errorCode": error, "requestParameters": null });
            assert_eq!(claim(&event).unwrap_err().verdict(), Verdict::Ignored);
        }
    }

    #[test]
    fn a_refused_session_without_a_node_is_rejected() {
        for parameters in [json!(null), json!({}), json!({ "target": "ecs:prod-web_task_runtime" })] {
            let event = json!({
                "eventName": "StartSession", "errorCode": "TargetNotConnected", "requestParameters": parameters
            });
            assert_eq!(claim(&event).unwrap_err().verdict(), Verdict::Rejected);
        }
    }
}
