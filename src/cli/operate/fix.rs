//! `defib fix`: what a repair would be, and on demand its beginning.

use std::process::ExitCode;

use anyhow::bail;

use super::super::{Global, Ui, exit, paint};
use super::{FixArgs, ask, desk};
use crate::operator::{Asked, Planned, Verb};
use crate::plan::preview::Turn;
use crate::report::redact;

pub(super) async fn run(args: &FixArgs, global: &Global, ui: &Ui) -> anyhow::Result<ExitCode> {
    let deployment = desk::deployment(&args.asker.which, global).await?;
    let by = desk::caller(&args.asker, &deployment).await;
    let remedy = args.remedy.map(|remedy| remedy.to_string());
    let asked = Asked { remedy, ..Asked::new(Verb::Plan, by).about_node(args.node) };
    let answer = deployment.ask(&asked).await?;
    let Some(plan) = &answer.plan else {
        if answer.ok {
            bail!("the function's answer has no plan: it is of an older version");
        }
        return ask::told(&asked, &answer, ui);
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
    let approved = Asked { action: Verb::Fix, plan: Some(plan.hash.clone()), ..asked };
    let answer = deployment.ask(&approved).await?;
    ask::told(&approved, &answer, ui)
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

fn standing(plan: &Planned) -> Standing {
    if plan.well {
        Standing::Well
    } else if plan.refusal.is_some() {
        Standing::Refused
    } else if plan.next.is_some() || plan.probes_first {
        Standing::Ready
    } else {
        Standing::NobodysRemedy
    }
}

fn tell(plan: &Planned, ui: &Ui) -> anyhow::Result<()> {
    if ui.is_json() {
        return ui.object(plan);
    }
    let text = |text: &Option<String>| redact::excerpt(text.as_deref().unwrap_or_default());
    let (head, faint) = (paint::HEAD, paint::FAINT);
    ui.line(&format!("{head}{}{head:#}: mode {}", plan.node_id, plan.mode))?;
    if standing(plan) == Standing::Well {
        ui.line(&format!("  {0}well{0:#}: there is nothing to repair", paint::GOOD))?;
        return Ok(());
    }
    ui.line(&format!("  cause: {}, {:.0} % sure", redact::excerpt(&plan.cause), plan.confidence * 100.0))?;
    if plan.probes_first {
        ui.line(
            "  first the host is asked, by the read-only probe: it may name another cause, and then other remedies",
        )?;
    }
    for rung in &plan.remedies {
        let (style, turn) = match rung.turn {
            Turn::Next => (paint::DID, "next"),
            Turn::Later => (paint::FAINT, "if that does not help"),
            Turn::Skipped => (paint::FAINT, "passed over"),
            Turn::Forbidden => (paint::FAINT, "not in this mode, or not by the policy"),
            Turn::Never => (paint::FAINT, "not on this node, or tried already"),
        };
        ui.line(&format!("  {style}{:18}{style:#} {turn}", rung.remedy))?;
    }
    match standing(plan) {
        Standing::Refused => {
            ui.line(&format!("  {0}refused{0:#} {1}", paint::WARN, text(&plan.refusal)))?;
        }
        Standing::NobodysRemedy => {
            ui.line(&format!("  {0}needs a person{0:#}: please {1}", paint::WARN, text(&plan.advice)))?;
        }
        Standing::Ready => {
            ui.line(&format!("  {faint}plan {}; begin it with --approve{faint:#}", redact::excerpt(&plan.hash)))?;
        }
        Standing::Well => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incident::Remedy;
    use crate::policy::Mode;

    #[test]
    fn a_plan_begins_only_where_something_can_be_done() {
        let plan = |well: bool, next: Option<Remedy>, probes_first: bool, refusal: Option<&str>| {
            standing(&Planned {
                hash: "0123456789abcdef".to_owned(),
                node_id: "i-0a1b2c3d4e5f60718".parse().unwrap(),
                incident_id: None,
                well,
                mode: Mode::Cycle,
                cause: "unknown".to_owned(),
                confidence: 0.5,
                also: Vec::new(),
                advice: None,
                probes_first,
                next,
                remedies: Vec::new(),
                refusal: refusal.map(ToOwned::to_owned),
            })
        };
        assert_eq!(plan(true, None, false, None), Standing::Well);
        assert_eq!(plan(false, Some(Remedy::Reboot), false, None), Standing::Ready);
        assert_eq!(plan(false, None, true, None), Standing::Ready);
        assert_eq!(plan(false, Some(Remedy::Reboot), false, Some("the node is muted")), Standing::Refused);
        assert_eq!(plan(false, None, false, None), Standing::NobodysRemedy);
    }
}
