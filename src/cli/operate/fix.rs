//! `defib fix`: what a repair would be, and on demand its beginning.

use std::process::ExitCode;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::super::{Global, Ui, exit, paint};
use super::{FixArgs, ask, desk};
use crate::report::redact;

pub(super) async fn run(args: &FixArgs, global: &Global, ui: &Ui) -> anyhow::Result<ExitCode> {
    let deployment = desk::deployment(&args.asker.which, global).await?;
    let by = desk::caller(&args.asker, &deployment).await;
    let mut request = json!({ "action": "plan", "node": args.node.to_string() });
    if let (Some(remedy), Some(fields)) = (args.remedy, request.as_object_mut()) {
        fields.insert("remedy".to_owned(), remedy.as_str().into());
    }
    ask::sign(&mut request, &by);
    let answer = deployment.ask(&request).await?;
    let Some(plan) = answer.get("plan").filter(|plan| plan.is_object()) else {
        if answer.get("ok").and_then(Value::as_bool) == Some(true) {
            bail!("the function's answer has no plan: it is of an older version");
        }
        return ask::told(&request, &answer, ui);
    };
    let standing = standing(plan);
    if !args.approve || standing != Standing::Ready {
        tell(plan, ui)?;
        return Ok(ExitCode::from(match standing {
            Standing::Well => 0,
            Standing::Ready if args.approve => exit::ERROR,
            Standing::Ready => 0,
            Standing::Refused => exit::REFUSED,
            Standing::NobodysRemedy => exit::NEEDS_HUMAN,
        }));
    }
    if !ui.is_json() {
        tell(plan, ui)?;
    }
    let hash = plan.get("hash").and_then(Value::as_str).context("the plan has no hash")?;
    let fields = request.as_object_mut().context("the request is no object")?;
    fields.insert("action".to_owned(), "fix".into());
    fields.insert("plan".to_owned(), hash.into());
    let answer = deployment.ask(&request).await?;
    ask::told(&request, &answer, ui)
}

/// What can be done with a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// There is nothing to repair.
    Well,
    /// It can begin.
    Ready,
    /// A rail stands in the way.
    Refused,
    /// Nothing that Defib does removes the cause.
    NobodysRemedy,
}

fn standing(plan: &Value) -> Standing {
    let has = |field: &str| plan.get(field).is_some_and(|value| !value.is_null());
    if plan.get("well").and_then(Value::as_bool) == Some(true) {
        Standing::Well
    } else if has("refusal") {
        Standing::Refused
    } else if has("next") || plan.get("probes_first").and_then(Value::as_bool) == Some(true) {
        Standing::Ready
    } else {
        Standing::NobodysRemedy
    }
}

fn tell(plan: &Value, ui: &Ui) -> anyhow::Result<()> {
    if ui.is_json() {
        return ui.object(plan);
    }
    let text = |field: &str| redact::excerpt(plan.get(field).and_then(Value::as_str).unwrap_or_default());
    let (head, faint) = (paint::HEAD, paint::FAINT);
    ui.line(&format!("{head}{}{head:#}: mode {}", text("node_id"), text("mode")))?;
    if standing(plan) == Standing::Well {
        ui.line(&format!("  {0}well{0:#}: there is nothing to repair", paint::GOOD))?;
        return Ok(());
    }
    let sure = plan.get("confidence").and_then(Value::as_f64).unwrap_or_default();
    ui.line(&format!("  cause: {}, {:.0} % sure", text("cause"), sure * 100.0))?;
    if plan.get("probes_first").and_then(Value::as_bool) == Some(true) {
        ui.line(
            "  first the host is asked, by the read-only probe: it may name another cause, and then other remedies",
        )?;
    }
    let rungs = plan.get("remedies").and_then(Value::as_array).cloned().unwrap_or_default();
    for rung in &rungs {
        let of = |field: &str| redact::excerpt(rung.get(field).and_then(Value::as_str).unwrap_or_default());
        let (style, turn) = match of("turn").as_str() {
            "next" => (paint::DID, "next"),
            "later" => (paint::FAINT, "if that does not help"),
            "skipped" => (paint::FAINT, "passed over"),
            "forbidden" => (paint::FAINT, "not in this mode, or not by the policy"),
            _ => (paint::FAINT, "not on this node, or tried already"),
        };
        ui.line(&format!("  {style}{:18}{style:#} {turn}", of("remedy")))?;
    }
    match standing(plan) {
        Standing::Refused => {
            ui.line(&format!("  {0}refused{0:#} {1}", paint::WARN, text("refusal")))?;
        }
        Standing::NobodysRemedy => {
            ui.line(&format!("  {0}needs a person{0:#}: please {1}", paint::WARN, text("advice")))?;
        }
        Standing::Ready => {
            ui.line(&format!("  {faint}plan {}; begin it with --approve{faint:#}", text("hash")))?;
        }
        Standing::Well => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_begins_only_where_something_can_be_done() {
        let plan = |fields: Value| standing(&fields);
        assert_eq!(plan(json!({"well": true})), Standing::Well);
        assert_eq!(plan(json!({"next": "reboot", "refusal": null})), Standing::Ready);
        assert_eq!(plan(json!({"next": null, "probes_first": true})), Standing::Ready);
        assert_eq!(plan(json!({"next": "reboot", "refusal": "the node is muted"})), Standing::Refused);
        assert_eq!(plan(json!({"next": null})), Standing::NobodysRemedy);
    }
}
