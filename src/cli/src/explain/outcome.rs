//! Why the plan is as it is, what would change the outcome, and the commands that fit.

use firebreak_api::{
    change::Phase,
    intervention::Action,
    names,
    policy::{Inconclusive, Level, NoData},
};

use firebreak_engine::gates::{FROZEN, FROZEN_UNLESS_APPROVED, is_frozen};

use super::build::Command;
use crate::{
    facts::{Facts, why},
    words::{self, ln_e, percent, span},
};

/// A plan in words; `routed` where routes divide the requests.
#[must_use]
pub fn plan(plan: &Level, availability: Option<f64>, routed: bool) -> Vec<String> {
    let stages: Vec<String> = plan.stages.iter().map(ToString::to_string).collect();
    let kept = if plan.holdback_percent > 0 && routed { format!(" at {} %", plan.holdback_percent) } else { String::new() };
    let bake = if plan.final_bake.0.is_zero() {
        String::new()
    } else {
        format!(", then {} with stable kept warm{kept}", plan.final_bake)
    };
    let at: Vec<String> = plan.approval_stages().iter().map(|stage| format!("{stage} %")).collect();
    let human = if at.is_empty() { String::new() } else { format!("; {} before {}", must_agree(plan), words::list(&at)) };
    let slo = availability.map(|availability| (plan.slo_factor * (100.0 - availability), availability));
    let (budget, because) = match slo {
        Some((budget, availability)) if budget < plan.budget_percent => {
            let share = percent(plan.slo_factor * 100.0);
            (budget, format!(", {share} of what the objective of {availability} % lets fail"))
        }
        _ => (plan.budget_percent, String::new()),
    };
    vec![
        format!("stages {} %; {} to {} at each{bake}{human}", stages.join(", "), plan.min_bake, plan.max_bake),
        format!("budget: the next stage may harm at most {} of all requests{because}", percent(budget)),
        format!(
            "wrong in at most {} of harmless releases (taken back) and in at most {} of stages that harm more than the budget (opened); up to {} times stable's failure rate is tolerated",
            percent(plan.alpha * 100.0),
            percent(plan.beta * 100.0),
            plan.margin
        ),
        format!(
            "still inconclusive after {} at a stage: {}; metrics missing: {}",
            plan.max_bake,
            when_inconclusive(plan.inconclusive),
            when_missing(plan)
        ),
    ]
}

/// Who must agree.
fn must_agree(plan: &Level) -> String {
    let rule = plan.approval.clone().unwrap_or_default();
    let people = match rule.count {
        0 | 1 => "a human".to_owned(),
        count => format!("{count} different humans"),
    };
    let groups = if rule.groups.is_empty() { String::new() } else { format!(" of {}", rule.groups.join(" or ")) };
    let expires = rule.expires_after.map_or(String::new(), |after| format!(" (which holds for {after})"));
    format!("{people}{groups} must agree{expires}")
}

const fn when_inconclusive(what: Inconclusive) -> &'static str {
    match what {
        Inconclusive::Promote => "it goes on, and the record says so",
        Inconclusive::Hold => "it stays and tells a human",
        Inconclusive::RollBack => "it is taken back",
    }
}

fn when_missing(plan: &Level) -> String {
    match plan.no_data {
        NoData::Hold => "it stays".to_owned(),
        NoData::HoldAlert => format!("it stays, and warns after {}", plan.no_data_after),
        NoData::RollBack => format!("it stays, and is taken back after {}", plan.no_data_after),
    }
}

/// What would change the outcome.
#[must_use]
pub fn of(facts: &Facts<'_>) -> Vec<String> {
    match facts.phase() {
        Phase::Promoted => {
            vec!["nothing: it is the new stable. To go back, ship the older template; it is judged like any other".to_owned()]
        }
        Phase::RolledBack => vec![
            "another template begins another Change; this one is condemned and never runs again by itself".to_owned(),
            format!(
                "if the candidate was not to blame, clear it and begin again: kubectl firebreak retry {}{}",
                facts.in_command(),
                why(Action::Retry)
            ),
        ],
        Phase::Superseded => vec!["nothing: a newer Change took its place".to_owned()],
        Phase::Withdrawn => vec!["nothing: the stable template came back, or the Guard was deleted".to_owned()],
        Phase::RollingBack => vec!["nothing: once decided, the way back is not stopped".to_owned()],
        Phase::Promoting if frozen(facts) => {
            vec!["a freeze stands before the hand-over: it goes on when that is over, and an abort takes it back".to_owned()]
        }
        Phase::Promoting => vec![
            "nothing: the hand-over is under way. To go back, ship the older template; it is judged like any other".to_owned(),
        ],
        Phase::Held | Phase::Preparing | Phase::Progressing | Phase::Baking => running(facts),
    }
}

fn waits_for<'a>(facts: &'a Facts<'_>) -> Option<&'a str> {
    facts.status.waiting.as_ref().map(|waiting| waiting.reason.as_str())
}

fn frozen(facts: &Facts<'_>) -> bool {
    waits_for(facts).is_some_and(is_frozen)
}

fn running(facts: &Facts<'_>) -> Vec<String> {
    let plan = &facts.change.spec.plan;
    let mut lines = Vec::new();
    let needed = facts.status.harm.map_or_else(|| ln_e((1.0 / plan.alpha).ln()), |harm| ln_e(harm.needed));
    lines.push(format!(
        "taken back when harm evidence reaches {needed} and the harm is material or grows; at once when all its pods crash, or when more than half of at least 20 requests fail while stable fails under 5 %"
    ));
    if let Some(left) = facts.inconclusive_in() {
        lines.push(format!("still inconclusive in {}: {}", span(left), when_inconclusive(plan.inconclusive)));
    }
    lines.push(format!("metrics missing: {}", when_missing(plan)));
    lines.push(
        "a newer template supersedes it; a claim of more risk ends it and begins one of that level, one of less changes nothing"
            .to_owned(),
    );
    let claims = &facts.change.spec.claims.annotations;
    if !claims.contains_key(names::RISK) {
        lines.push(format!("next time: the annotation {} on the workload says its risk (low to critical)", names::RISK));
    }
    let machine = claims.get(names::AI_CONTRIBUTION).is_some_and(|value| matches!(value.as_str(), "ai" | "mixed"));
    if machine && !claims.contains_key(names::REVIEWED_BY) {
        lines.push(format!(
            "next time: a human reviewer named in {} keeps machine-written code from raising the level",
            names::REVIEWED_BY
        ));
    }
    lines
}

/// The commands that fit now.
#[must_use]
pub fn commands(facts: &Facts<'_>) -> Vec<Command> {
    let at = facts.in_command();
    let command = |does: &str, act: Action| Command {
        does: does.to_owned(),
        command: format!("kubectl firebreak {} {at}{}", act.verb(), why(act)),
    };
    let goes_on = match (facts.next_stage().filter(|_| facts.next_needs_approval()), waits_for(facts)) {
        (Some(next), Some(FROZEN_UNLESS_APPROVED)) => {
            Some(command(&format!("let it pass the freeze, and approve {next} %"), Action::Approve))
        }
        (None, Some(FROZEN_UNLESS_APPROVED)) => Some(command("let it pass the freeze", Action::Approve)),
        (None, Some(FROZEN)) => None,
        (Some(next), _) => Some(command(&format!("approve {next} %"), Action::Approve)),
        (None, _) => Some(command(
            &facts.next_stage().map_or_else(|| "promote it now".to_owned(), |next| format!("go to {next} % now")),
            Action::Promote,
        )),
    };
    match facts.phase() {
        Phase::Held | Phase::Preparing | Phase::Progressing | Phase::Baking => goes_on
            .into_iter()
            .chain([
                if facts.status.paused { command("go on", Action::Resume) } else { command("stay at this stage", Action::Pause) },
                command("take it back", Action::Abort),
            ])
            .collect(),
        // A freeze can stand before the hand-over, too.
        Phase::Promoting if frozen(facts) => goes_on.into_iter().chain([command("take it back", Action::Abort)]).collect(),
        Phase::RolledBack => vec![command("clear it and begin again", Action::Retry)],
        // The way back is not stopped, and what is handed over is not taken back: no act would do anything.
        Phase::Promoting | Phase::RollingBack => {
            vec![Command { does: "watch it".to_owned(), command: format!("kubectl firebreak status {at} -w") }]
        }
        Phase::Promoted | Phase::Superseded | Phase::Withdrawn => Vec::new(),
    }
}
