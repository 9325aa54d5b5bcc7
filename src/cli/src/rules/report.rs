//! What a policy makes of a change, and what its levels ask for, as data.

use std::collections::BTreeMap;

use firebreak_api::{
    change::{Factor, Refused},
    in_force::{Effective, InForce},
    policy::Level as Plan,
};
use firebreak_engine::{
    policy::{Facts, RuleError, Went},
    risk::Level,
};
use serde::Serialize;
use serde_json::Value;

use super::source::Recorded;
use crate::{error::Error, explain::outcome};

/// The levels, the lowest first.
const LEVELS: [Level; 4] = [Level::Low, Level::Medium, Level::High, Level::Critical];

/// What a policy makes of a change.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The policy.
    pub policy: String,
    /// What it was asked of.
    pub of: String,
    /// What is different, a sentence each.
    pub differences: Vec<String>,
    /// Every rule.
    pub rules: Vec<RuleReport>,
    /// The level that the claims alone give.
    pub claimed: String,
    /// The level.
    pub level: String,
    /// What led to it.
    pub factors: Vec<Factor>,
    /// Claims that cannot be read.
    pub problems: Vec<String>,
    /// Why it is refused.
    pub refused: Vec<Refused>,
    /// The plan.
    pub plan: Plan,
    /// The plan in words.
    pub plan_words: Vec<String>,
    /// What of a namespace's policy is ignored, since it is looser.
    pub ignored: Vec<String>,
    /// Of a recorded Change, by the policy that it was judged by: whether the same comes out again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same_as_recorded: Option<bool>,
    /// All facts, as rules see them.
    pub facts: Value,
}

/// What became of a rule.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleReport {
    /// Its name.
    pub name: String,
    /// Its condition.
    pub when: String,
    /// What it said.
    pub went: Went,
    /// What it does when it holds.
    pub effect: String,
    /// The facts it asked of, by their paths; `null` for what is absent.
    pub inputs: BTreeMap<String, Value>,
}

impl Report {
    /// Asks a policy.
    ///
    /// # Errors
    /// [`Error::Usage`] with every rule that cannot be used.
    pub fn new(policy: Effective, facts: &Facts, of: String, recorded: Option<Recorded>) -> Result<Self, Error> {
        let in_force = compile(policy)?;
        let judged = in_force.judge(facts);
        let (shown, assessment) = facts.shown();
        let shown = serde_json::to_value(&shown).map_err(|error| Error::Format(error.to_string()))?;
        let risk = judged.risk();
        let at = |path: &String| {
            let pointer = format!("/{}", path.replace('.', "/"));
            (path.clone(), shown.pointer(&pointer).cloned().unwrap_or(Value::Null))
        };
        let rule = |rule: &firebreak_engine::policy::RuleOutcome| RuleReport {
            name: rule.rule.clone(),
            when: rule.when.clone(),
            went: rule.went.clone(),
            effect: rule.effect.clone(),
            inputs: rule.inputs.iter().map(at).collect(),
        };
        Ok(Self {
            policy: in_force.effective().name(),
            of,
            differences: facts.diff.words(),
            rules: judged.outcome.rules.iter().map(rule).collect(),
            claimed: assessment.level.as_str().to_owned(),
            same_as_recorded: recorded.map(|recorded| recorded.risk == risk && recorded.plan == judged.plan),
            level: risk.level,
            factors: risk.factors,
            problems: judged.outcome.problems,
            refused: risk.refused,
            plan_words: outcome::plan(&judged.plan, None, true),
            plan: judged.plan,
            ignored: in_force.effective().ignored(),
            facts: shown,
        })
    }
}

/// What the levels of a policy ask for.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Levels {
    /// The policy.
    pub policy: String,
    /// Each level, the lowest first.
    pub levels: Vec<LevelReport>,
    /// Its rules.
    pub rules: Vec<RuleWords>,
    /// What of a namespace's policy is ignored, since it is looser.
    pub ignored: Vec<String>,
}

/// What a level asks for.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LevelReport {
    /// The level.
    pub level: String,
    /// The plan.
    pub plan: Plan,
    /// The plan in words.
    pub words: Vec<String>,
}

/// A rule in words.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleWords {
    /// Its name.
    pub name: String,
    /// Its condition.
    pub when: String,
    /// What it does.
    pub effect: String,
}

impl Levels {
    /// Explains a policy; `slo` in percent, where there is an objective.
    ///
    /// # Errors
    /// [`Error::Usage`] with every rule that cannot be used.
    pub fn new(policy: Effective, slo: Option<f64>) -> Result<Self, Error> {
        let in_force = compile(policy)?;
        let level = |level: Level| {
            let plan = in_force.effective().level(level);
            LevelReport { level: level.as_str().to_owned(), words: outcome::plan(&plan, slo, true), plan }
        };
        let rules = in_force.rules().map(|rule| RuleWords {
            name: rule.name.clone(),
            when: rule.when.clone(),
            effect: rule.effects.words(),
        });
        Ok(Self {
            policy: in_force.effective().name(),
            levels: LEVELS.into_iter().map(level).collect(),
            rules: rules.collect(),
            ignored: in_force.effective().ignored(),
        })
    }
}

fn compile(policy: Effective) -> Result<InForce, Error> {
    let name = policy.name();
    if firebreak_api::facts::time_zone(policy.time_zone()).is_none() {
        return Err(Error::Usage(format!("policy {name}: spec.timeZone: there is no time zone {}", policy.time_zone())));
    }
    policy.compile().map_err(|errors| {
        let words: Vec<String> = errors.iter().map(RuleError::to_string).collect();
        Error::Usage(format!("policy {name} cannot be used:\n  {}", words.join("\n  ")))
    })
}
