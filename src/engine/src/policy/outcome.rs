//! What follows from facts and rules: the level, who is asked when, whether it is refused, and every rule's part in it.
//!
//! Rules only ever make stricter, and their order says nothing: first the level is no lower than the least of any rule that
//! holds, then it rises by what all rules that hold raise it.

use serde::{Deserialize, Serialize};

use super::{
    facts::Facts,
    rule::{Effects, Policy},
    run::{Asked, Said},
};
use crate::risk::{Factor, Level};

/// What follows for one change.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The level.
    pub level: Level,
    /// What led to it, in order: the claims first, then the rules.
    pub factors: Vec<Factor>,
    /// Claims that could not be read.
    pub problems: Vec<String>,
    /// Percentages before which a human is asked, rising; 0 before any exposure.
    pub approval_at: Vec<u8>,
    /// Why it is refused.
    pub refused: Vec<Refusal>,
    /// What became of every rule, in the policy's order.
    pub rules: Vec<RuleOutcome>,
}

/// Why a change is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The rule.
    pub rule: String,
    /// Its text.
    pub text: String,
}

/// What became of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleOutcome {
    /// Its name.
    pub rule: String,
    /// Its condition.
    pub when: String,
    /// Paths of the facts that it asks of.
    pub inputs: Vec<String>,
    /// What it said.
    pub went: Went,
    /// What it does, in words.
    pub effect: String,
}

/// What a rule said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Went {
    /// It holds.
    Held,
    /// It does not hold.
    NotHeld,
    /// It cannot be told, so it counts as if it held.
    #[serde(rename_all = "camelCase")]
    Failed {
        /// Why.
        reason: String,
        /// What to write instead.
        remedy: String,
    },
}

/// The level below which a change is not judged whose facts were too many to show to the rules.
const LEAST_WHERE_CUT: Level = Level::High;

impl Policy {
    /// What follows for a change. The same facts give the same outcome.
    #[must_use]
    pub fn evaluate(&self, facts: &Facts) -> Outcome {
        outcome(&[self], facts)
    }

    /// What follows for a change by the rules of two policies together.
    #[must_use]
    pub fn and(&self, other: &Self, facts: &Facts) -> Outcome {
        outcome(&[self, other], facts)
    }
}

fn outcome(policies: &[&Policy], facts: &Facts) -> Outcome {
    let (shown, assessment) = facts.shown();
    let mut so_far =
        SoFar { least: assessment.level, raise: 0, factors: Vec::new(), approval_at: Vec::new(), refused: Vec::new() };
    // Without rules nothing was hidden from any.
    if facts.diff.cut > 0 && policies.iter().any(|policy| !policy.rules.is_empty()) {
        let effect = format!(
            "{} differences are more than rules are shown, so some may have missed them: at least {LEAST_WHERE_CUT}",
            facts.diff.cut
        );
        so_far.least = so_far.least.max(LEAST_WHERE_CUT);
        so_far.factors.push(Factor { name: "too-many-differences".into(), effect });
    }
    let mut rules = Vec::new();
    for policy in policies {
        let asked = Asked::new(&policy.env, &shown);
        for compiled in &policy.rules {
            let rule = &compiled.rule;
            let went = match asked.of(&compiled.program, &compiled.checked.inputs) {
                Said::Yes => Went::Held,
                Said::No => Went::NotHeld,
                Said::Unknown(reason, remedy) => Went::Failed { reason, remedy },
            };
            if went != Went::NotHeld {
                so_far.apply(&rule.name, &rule.effects, &went);
            }
            rules.push(RuleOutcome {
                rule: rule.name.clone(),
                when: rule.when.clone(),
                inputs: compiled.checked.inputs.clone(),
                went,
                effect: rule.effects.words(),
            });
        }
    }
    let level = (0..so_far.raise).fold(so_far.least, |level, _| level.raised());
    so_far.approval_at.sort_unstable();
    so_far.approval_at.dedup();
    let factors = assessment.factors.into_iter().chain(so_far.factors).collect();
    let (approval_at, refused) = (so_far.approval_at, so_far.refused);
    Outcome { level, factors, problems: assessment.problems, approval_at, refused, rules }
}

/// What the rules have done so far.
struct SoFar {
    least: Level,
    raise: u32,
    factors: Vec<Factor>,
    approval_at: Vec<u8>,
    refused: Vec<Refusal>,
}

impl SoFar {
    fn apply(&mut self, name: &str, effects: &Effects, went: &Went) {
        self.least = self.least.max(effects.at_least.unwrap_or(Level::Low));
        self.raise = self.raise.saturating_add(u32::from(effects.raise)).min(3);
        self.approval_at.extend(effects.approval_at.iter().copied().filter(|percent| *percent <= 100));
        if let Some(text) = &effects.refuse {
            self.refused.push(Refusal { rule: name.to_owned(), text: text.clone() });
        }
        let words = effects.words();
        let effect = match (went, &effects.factor) {
            (Went::Failed { reason, remedy }, _) => {
                format!(
                    "it cannot be told whether it holds ({reason}), so it counts as if it did: {words}. In the policy, {remedy}"
                )
            }
            (_, Some(text)) => format!("{text}: {words}"),
            (_, None) => words,
        };
        self.factors.push(Factor { name: format!("rule {name}").into(), effect });
    }
}
