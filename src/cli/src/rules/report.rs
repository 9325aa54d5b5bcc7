//! What a policy makes of a change, and what its levels ask for, as data.

use std::collections::BTreeMap;

use firebreak_api::{
    change::{Factor, Refused},
    freezes,
    in_force::{Effective, InForce},
    policy::Level as Plan,
    windows::State,
};
use firebreak_engine::{
    policy::{Facts, RuleError, Went},
    risk::Level,
};
use jiff::Timestamp;
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
    /// The freezes that hold for the level, as they stand at the moment that is asked about.
    pub freezes: Vec<FreezeReport>,
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
    pub fn new(policy: Effective, facts: &Facts, of: String, recorded: Option<Recorded>, at: Timestamp) -> Result<Self, Error> {
        let in_force = compile(policy)?;
        let judged = in_force.judge(facts);
        let freezes = FreezeReport::all(in_force.effective(), Some(judged.outcome.level), at)?;
        let (shown, assessment) = facts.shown();
        let shown = serde_json::to_value(&shown).map_err(|error| Error::Format(error.to_string()))?;
        let risk = judged.risk();
        let fact = |path: &String| {
            let pointer = format!("/{}", path.replace('.', "/"));
            (path.clone(), shown.pointer(&pointer).cloned().unwrap_or(Value::Null))
        };
        let rule = |rule: &firebreak_engine::policy::RuleOutcome| RuleReport {
            name: rule.rule.clone(),
            when: rule.when.clone(),
            went: rule.went.clone(),
            effect: rule.effect.clone(),
            inputs: rule.inputs.iter().map(fact).collect(),
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
            freezes,
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
    /// Its freezes, each with its window that is open, or its next.
    pub freezes: Vec<FreezeReport>,
    /// How many Changes may be under way at once, in words.
    pub limits: Vec<String>,
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
    pub fn new(policy: Effective, slo: Option<f64>, now: Timestamp) -> Result<Self, Error> {
        let in_force = compile(policy)?;
        let freezes = FreezeReport::all(in_force.effective(), None, now)?;
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
            freezes,
            limits: in_force.effective().limits().words(),
            ignored: in_force.effective().ignored(),
        })
    }
}

/// A freeze, as it stands at a moment.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FreezeReport {
    /// Its name; of a namespace's policy with the policy's before it.
    pub name: String,
    /// Whether it is in force at that moment.
    pub in_force: bool,
    /// When its window began, or begins next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// When that window ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// All of it in words.
    pub words: String,
}

impl FreezeReport {
    /// The freezes of a policy; of one level, where it is given.
    fn all(policy: &Effective, level: Option<Level>, at: Timestamp) -> Result<Vec<Self>, Error> {
        let holds = |freeze: &freezes::NamedFreeze<'_>| level.is_none_or(|level| freeze.holds_for(level.into()));
        let report = |freeze: freezes::NamedFreeze<'_>| {
            let wrong = |why: String| Error::Usage(format!("policy {}: freeze {}: {why}", policy.name(), freeze.name));
            let calendar = freeze.calendar().map_err(wrong)?;
            calendar.check().map_err(wrong)?;
            let (in_force, window) = match calendar.at(at) {
                State::Open(window) => (true, Some(window)),
                State::Closed(next) => (false, next),
            };
            let when = match window {
                Some(window) if in_force => format!("in force until {}", calendar.words(window.until)),
                Some(next) => format!("next from {} until {}", calendar.words(next.since), calendar.words(next.until)),
                None => "over for good".to_owned(),
            };
            let running = match freeze.freeze.running {
                freezes::Running::Hold => "what runs stays at its stage",
                freezes::Running::Finish => "what runs goes on",
            };
            let exception = match freeze.freeze.exception {
                freezes::Exception::None => "no exception",
                freezes::Exception::Approval => "an approval lets a Change through",
            };
            let levels: Vec<String> = freeze.freeze.levels.iter().map(|level| Level::from(*level).to_string()).collect();
            let levels = if levels.is_empty() { "all levels".to_owned() } else { format!("level {}", levels.join(", ")) };
            let words = format!("{}: {when}; {levels}; {running}; {exception}", freeze.name);
            let (since, until) = (window.map(|window| window.since), window.map(|window| window.until));
            Ok(Self { name: freeze.name, in_force, since, until, words })
        };
        policy.freezes().filter(holds).map(report).collect()
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
