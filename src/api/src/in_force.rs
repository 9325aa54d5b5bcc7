//! The policy that holds for one workload: a cluster's (or the built-in one), and where a namespace has its own, the stricter of
//! both in everything.
//!
//! Holds: what is in force as one value ([`Effective`]), compiled ([`InForce`]), asked of facts ([`InForce::judge`]), and stored
//! with a Change ([`Basis`]), from which the same comes out again.

use firebreak_engine::{
    policy::{Effects, Facts, Outcome, Policy, Rule, RuleError},
    risk::{Factor, Level},
};
use serde::{Deserialize, Serialize};

use crate::{
    ClusterRiskPolicySpec, RiskPolicySpec,
    packed::{self, PackError},
    plan,
    policy::{self, RiskLevel},
    stricter,
};

/// Name of the built-in policy.
pub const BUILT_IN: &str = "built-in";
/// Name of the time zone where a policy names none.
pub const UTC: &str = "UTC";
/// Sentences of what is different that are stored with a Change.
pub const MOST_DIFFERENCES: usize = 40;

/// Rules and levels that hold for a workload.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Effective {
    /// The cluster's policy; the built-in one where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Named<ClusterRiskPolicySpec>>,
    /// The namespace's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own: Option<Named<RiskPolicySpec>>,
}

/// A policy with its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Named<T> {
    /// Its name.
    pub name: String,
    /// What it says.
    pub spec: T,
}

impl Effective {
    /// Its name: `built-in`, `standard`, or `standard + team`.
    #[must_use]
    pub fn name(&self) -> String {
        let cluster = self.cluster.as_ref().map_or(BUILT_IN, |policy| &policy.name);
        match &self.own {
            None => cluster.to_owned(),
            Some(own) => format!("{cluster} + {}", own.name),
        }
    }

    /// The time zone of its rules.
    #[must_use]
    pub fn time_zone(&self) -> &str {
        self.cluster.as_ref().and_then(|policy| policy.spec.time_zone.as_deref()).unwrap_or(UTC)
    }

    /// What a level asks for.
    #[must_use]
    pub fn level(&self, level: Level) -> policy::Level {
        let cluster = plan::level_of(self.cluster.as_ref().map(|policy| &policy.spec), level);
        match self.own.as_ref().and_then(|own| own.spec.levels.get(&level.into())) {
            Some(own) => stricter::both(&cluster, own).0,
            None => cluster,
        }
    }

    /// What of the namespace's own is no stricter than the cluster's, and so changes nothing, in words.
    #[must_use]
    pub fn ignored(&self) -> Vec<String> {
        let Some(own) = &self.own else { return Vec::new() };
        let cluster = |level: RiskLevel| plan::level_of(self.cluster.as_ref().map(|policy| &policy.spec), level.into());
        let words = |(level, tightening): (&RiskLevel, &policy::Tightening)| {
            let ignored = stricter::both(&cluster(*level), tightening).1;
            ignored.into_iter().map(move |what| format!("levels.{}: {what}", Level::from(*level))).collect::<Vec<_>>()
        };
        own.spec.levels.iter().flat_map(words).chain(self.looser_limits()).collect()
    }

    /// Whether any rule is in it: without, the claims alone make the level.
    #[must_use]
    pub fn has_rules(&self) -> bool {
        self.cluster.as_ref().is_some_and(|policy| !policy.spec.rules.is_empty())
            || self.own.as_ref().is_some_and(|own| !own.spec.rules.is_empty() || own.spec.at_least.is_some())
    }

    /// Compiles its rules.
    ///
    /// # Errors
    /// Every rule that cannot be used.
    pub fn compile(self) -> Result<InForce, Vec<RuleError>> {
        let cluster = self.cluster.iter().flat_map(|policy| &policy.spec.rules).map(|rule| engine_rule(rule, None));
        let own = self.own.iter().flat_map(|policy| own_rules(Some(&policy.name), &policy.spec));
        let compile = |rules: Vec<Rule>| Policy::compile(&rules);
        let (cluster, own) = (compile(cluster.collect())?, compile(own.collect())?);
        Ok(InForce { effective: self, cluster, own })
    }
}

/// The rules of a namespace's policy, its least level as the first of them; each with the policy's name before its own, if that is
/// given.
fn own_rules(of: Option<&str>, spec: &RiskPolicySpec) -> Vec<Rule> {
    let floor = spec.at_least.map(|level| Rule {
        name: rule_name("atLeast", of),
        when: "true".to_owned(),
        effects: Effects { at_least: Some(level.into()), ..Effects::default() },
    });
    floor.into_iter().chain(spec.rules.iter().map(|rule| engine_rule(rule, of))).collect()
}

fn rule_name(name: &str, of: Option<&str>) -> String {
    of.map_or_else(|| name.to_owned(), |policy| format!("{policy}/{name}"))
}

fn engine_rule(rule: &policy::RiskRule, of: Option<&str>) -> Rule {
    let percent = |percent: &i32| u8::try_from(*percent).ok().filter(|percent| *percent <= 100);
    Rule {
        name: rule_name(&rule.name, of),
        when: rule.when.clone(),
        effects: Effects {
            raise: rule.raise.unwrap_or(0),
            at_least: rule.at_least.map(Level::from),
            approval_at: rule.approval_at.iter().filter_map(percent).collect(),
            refuse: rule.refuse.clone(),
            factor: rule.factor.clone(),
        },
    }
}

/// Whether the rules of a cluster's policy can be used.
///
/// # Errors
/// Every rule that cannot.
pub fn check_cluster(spec: &ClusterRiskPolicySpec) -> Result<(), Vec<RuleError>> {
    let rules: Vec<Rule> = spec.rules.iter().map(|rule| engine_rule(rule, None)).collect();
    Policy::compile(&rules).map(|_| ())
}

/// Whether the rules of a namespace's policy can be used.
///
/// # Errors
/// Every rule that cannot.
pub fn check_own(spec: &RiskPolicySpec) -> Result<(), Vec<RuleError>> {
    Policy::compile(&own_rules(None, spec)).map(|_| ())
}

/// A policy that can be asked.
#[derive(Debug)]
pub struct InForce {
    effective: Effective,
    cluster: Policy,
    own: Policy,
}

/// What a policy makes of a change.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Judged {
    /// Level, factors, refusals, and each rule's part.
    pub outcome: Outcome,
    /// The plan: what the level asks for, with those asked whom the rules name.
    pub plan: policy::Level,
}

impl InForce {
    /// What is in force.
    #[must_use]
    pub fn effective(&self) -> &Effective {
        &self.effective
    }

    /// Its rules, the cluster's first.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.cluster.rules().chain(self.own.rules())
    }

    /// What follows for a change. The same facts give the same.
    #[must_use]
    pub fn judge(&self, facts: &Facts) -> Judged {
        let outcome = self.cluster.and(&self.own, facts);
        let level = self.effective.level(outcome.level);
        let plan = stricter::with_approvals(&level, outcome.approval_at.iter().map(|percent| i32::from(*percent)));
        Judged { outcome, plan }
    }
}

impl Judged {
    /// What led to the level, as it is stored.
    #[must_use]
    pub fn risk(&self) -> crate::change::Risk {
        let factor = |factor: &Factor| crate::change::Factor { name: factor.name.to_string(), effect: factor.effect.clone() };
        let refused = self.outcome.refused.iter();
        crate::change::Risk {
            level: self.outcome.level.as_str().to_owned(),
            factors: self.outcome.factors.iter().map(factor).collect(),
            refused: refused.map(|why| crate::change::Refused { rule: why.rule.clone(), text: why.text.clone() }).collect(),
        }
    }
}

/// What a Change's risk and plan were worked out from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Basis {
    /// The facts.
    pub facts: Facts,
    /// The policy.
    pub policy: Effective,
}

/// Name of a stored basis in errors.
const BASIS: &str = "basis of the risk";

impl Basis {
    /// The basis as it is stored with a Change. It is as large as facts and policies can be, both bounded: some 100 kB at the very
    /// most, usually 1 or 2.
    ///
    /// # Errors
    /// Where it cannot be written as JSON.
    pub fn pack(&self) -> Result<String, PackError> {
        packed::pack(BASIS, self)
    }

    /// A stored basis.
    ///
    /// # Errors
    /// Where it was not made by [`Basis::pack`].
    pub fn unpack(text: &str) -> Result<Self, PackError> {
        packed::unpack(BASIS, text)
    }

    /// Works it out again.
    ///
    /// # Errors
    /// Every rule that this version cannot use.
    pub fn judge(&self) -> Result<Judged, Vec<RuleError>> {
        Ok(self.policy.clone().compile()?.judge(&self.facts))
    }
}

impl From<RiskLevel> for Level {
    fn from(level: RiskLevel) -> Self {
        match level {
            RiskLevel::Low => Self::Low,
            RiskLevel::Medium => Self::Medium,
            RiskLevel::High => Self::High,
            RiskLevel::Critical => Self::Critical,
        }
    }
}

impl From<Level> for RiskLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::Low => Self::Low,
            Level::Medium => Self::Medium,
            Level::High => Self::High,
            Level::Critical => Self::Critical,
        }
    }
}
