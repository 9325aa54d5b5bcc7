//! From a policy's words to the engine's plan: what the operator begins a Change with, and what others ask "what if" with.

use firebreak_engine::{
    people::{Approval, Makers},
    plan::{self, Plan},
    risk::Level,
    units::Weight,
};

use crate::{
    ChangeSpec, ClusterRiskPolicy, ClusterRiskPolicySpec, Span,
    guard::Hold,
    names,
    policy::{self, Inconclusive, NoData},
};

/// What a level asks for, by a policy or the built-in one.
#[must_use]
pub fn level(policy: Option<&ClusterRiskPolicy>, level: Level) -> policy::Level {
    level_of(policy.map(|policy| &policy.spec), level)
}

/// What a level asks for, by what a policy says or the built-in one.
#[must_use]
pub fn level_of(policy: Option<&ClusterRiskPolicySpec>, level: Level) -> policy::Level {
    match policy {
        Some(policy) => {
            let levels = &policy.levels;
            match level {
                Level::Low => levels.low.clone(),
                Level::Medium => levels.medium.clone(),
                Level::High => levels.high.clone(),
                Level::Critical => levels.critical.clone(),
            }
        }
        None => built_in(level),
    }
}

fn built_in(level: Level) -> policy::Level {
    let (plan, slo_factor) = Plan::built_in(level);
    let span = |seconds: f64| Span(std::time::Duration::from_secs_f64(seconds));
    let percent = |weight: &Weight| i32::from(weight.as_permille() / 10);
    policy::Level {
        alpha: plan.alpha,
        beta: plan.beta,
        margin: plan.margin,
        budget_percent: plan.budget * 100.0,
        slo_factor,
        stages: plan.stages.iter().map(percent).collect(),
        min_bake: span(plan.min_bake_seconds),
        max_bake: span(plan.max_bake_seconds),
        final_bake: span(plan.final_bake_seconds),
        holdback_percent: percent(&plan.holdback),
        approval_at: plan.approval_at.iter().map(percent).collect(),
        approval: None,
        inconclusive: match plan.inconclusive {
            plan::Inconclusive::Promote => Inconclusive::Promote,
            plan::Inconclusive::Hold => Inconclusive::Hold,
            plan::Inconclusive::RollBack => Inconclusive::RollBack,
        },
        no_data: match plan.no_data {
            plan::NoData::Hold => NoData::Hold,
            plan::NoData::HoldAlert => NoData::HoldAlert,
            plan::NoData::RollBack => NoData::RollBack,
        },
        no_data_after: span(plan.no_data_after_seconds),
    }
}

/// Who made a change, as far as its Change knows.
#[must_use]
pub fn makers(spec: &ChangeSpec) -> Makers {
    Makers {
        // Without the policy anyone can write the mark, so it says nothing.
        changed_by: spec.claims.changed_by.clone().filter(|_| spec.hold == Hold::Admission),
        author: spec.claims.annotations.get(names::AUTHOR).cloned(),
    }
}

/// The engine's plan of what a level asks for; `availability` is a share in `0.5..1.0`, where there is an objective.
#[must_use]
pub fn plan(level: &policy::Level, availability: Option<f64>) -> Plan {
    let plan = Plan {
        alpha: level.alpha,
        beta: level.beta,
        margin: level.margin,
        budget: level.budget_percent / 100.0,
        stages: level.stages.iter().map(|&stage| Weight::percent(stage)).collect(),
        min_bake_seconds: level.min_bake.as_secs_f64(),
        max_bake_seconds: level.max_bake.as_secs_f64(),
        final_bake_seconds: level.final_bake.as_secs_f64(),
        holdback: Weight::percent(level.holdback_percent),
        approval_at: level.approval_stages().into_iter().map(Weight::percent).collect(),
        approval: level.approval.as_ref().map(approval).unwrap_or_default(),
        inconclusive: match level.inconclusive {
            Inconclusive::Promote => plan::Inconclusive::Promote,
            Inconclusive::Hold => plan::Inconclusive::Hold,
            Inconclusive::RollBack => plan::Inconclusive::RollBack,
        },
        no_data: match level.no_data {
            NoData::Hold => plan::NoData::Hold,
            NoData::HoldAlert => plan::NoData::HoldAlert,
            NoData::RollBack => plan::NoData::RollBack,
        },
        no_data_after_seconds: level.no_data_after.as_secs_f64(),
    };
    plan.with_objective(availability, level.slo_factor)
}

/// What a level asks of the humans that it asks, as the engine knows it.
pub(crate) fn approval(asked: &policy::Approval) -> Approval {
    Approval {
        count: asked.count.max(1),
        groups: asked.groups.clone(),
        expires_after_seconds: asked.expires_after.map(|span| span.as_secs_f64()),
    }
}
