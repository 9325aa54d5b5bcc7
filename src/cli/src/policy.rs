//! Another policy than the one that holds: from a file ([`file`]), a level, or single settings, checked as the API server would.

pub mod file;

use firebreak_api::{in_force::Effective, plan as convert};
use firebreak_engine::{
    Plan,
    people::Approval,
    plan::{Inconclusive, NoData},
    risk::Level,
    units::Weight,
};

use crate::{
    args::Policy,
    error::Error,
    words::{self, percent},
};

/// A level by its name.
///
/// # Errors
/// In words what to write instead.
pub fn level(text: &str) -> Result<Level, String> {
    Level::read(text).ok_or_else(|| "write low, medium, high or critical".to_owned())
}

/// A probability as people write it: `0.02` or `2%`.
///
/// # Errors
/// In words what to write instead.
pub fn probability(text: &str) -> Result<f64, String> {
    let value = share(text).or_else(|_| number(text))?;
    if value > 0.0 && value <= 0.5 {
        Ok(value)
    } else {
        Err("write a probability above 0 and up to 0.5, for example 0.01".to_owned())
    }
}

/// A share of requests as a percentage: `0.1%`. Without its sign it would be anybody's guess.
///
/// # Errors
/// In words what to write instead.
pub fn share(text: &str) -> Result<f64, String> {
    let wrong = "write a percentage with its sign, for example 0.1%";
    let percent = text.trim().strip_suffix('%').ok_or(wrong)?;
    let value = number(percent).map_err(|_| wrong)?;
    if (0.0..=100.0).contains(&value) { Ok(value / 100.0) } else { Err("write a percentage from 0% to 100%".to_owned()) }
}

/// A budget: a percentage above 0 and below 50.
///
/// # Errors
/// In words what to write instead.
pub fn budget(text: &str) -> Result<f64, String> {
    let value = share(text)?;
    if value > 0.0 && value < 0.5 {
        Ok(value)
    } else {
        Err("write a percentage above 0% and below 50%, for example 0.1%".to_owned())
    }
}

/// A tolerated ratio of failure rates.
///
/// # Errors
/// In words what to write instead.
pub fn margin(text: &str) -> Result<f64, String> {
    let value = number(text)?;
    if (1.0..=10.0).contains(&value) { Ok(value) } else { Err("write a ratio from 1 to 10, for example 1.25".to_owned()) }
}

/// Requests a second.
///
/// # Errors
/// In words what to write instead.
pub fn requests(text: &str) -> Result<f64, String> {
    within(text, 0.01..=100_000.0, "write requests a second, from 0.01 to 100000, for example 200")
}

/// A share of requests that fails.
///
/// # Errors
/// In words what to write instead.
pub fn failing(text: &str) -> Result<f64, String> {
    let value = share(text)?;
    if value <= 0.5 { Ok(value) } else { Err("write a percentage up to 50%, for example 0.1%".to_owned()) }
}

/// How bursty failures are.
///
/// # Errors
/// In words what to write instead.
pub fn bursts(text: &str) -> Result<f64, String> {
    within(text, 1.0..=100.0, "write a ratio from 1 to 100, for example 2")
}

/// A short time.
///
/// # Errors
/// In words what to write instead.
pub fn seconds(text: &str) -> Result<f64, String> {
    within(text, 0.0..=300.0, "write seconds from 0 to 300, for example 5")
}

/// An objective, in percent; a Guard's is from 50 to below 100.
///
/// # Errors
/// In words what to write instead.
pub fn objective(text: &str) -> Result<f64, String> {
    let percent = text.trim().strip_suffix('%').unwrap_or(text);
    within(percent, 50.0..=99.999_99, "write a percentage from 50 to below 100, for example 99.9")
}

fn within(text: &str, range: std::ops::RangeInclusive<f64>, otherwise: &str) -> Result<f64, String> {
    number(text).ok().filter(|value| range.contains(value)).ok_or_else(|| otherwise.to_owned())
}

fn number(text: &str) -> Result<f64, String> {
    let value: f64 = text.trim().parse().map_err(|_| format!("`{text}` is no number"))?;
    if value.is_finite() { Ok(value) } else { Err(format!("`{text}` is no number")) }
}

impl Policy {
    /// Whether nothing else than what holds is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.names_plan() && [self.alpha, self.beta, self.margin, self.budget].iter().all(Option::is_none)
    }

    /// Whether a whole plan is asked for, not only single settings of another.
    #[must_use]
    pub fn names_plan(&self) -> bool {
        self.level.is_some() || self.policy.is_some()
    }

    /// The policy of the file that was named.
    ///
    /// # Errors
    /// [`Error::Usage`] with what to write instead.
    pub fn file(&self) -> Result<Option<Effective>, Error> {
        self.policy.as_deref().map(file::read).transpose()
    }

    /// The plan with the single settings that were asked for in place of its own.
    #[must_use]
    pub fn settings(&self, plan: Plan) -> Plan {
        Plan {
            alpha: self.alpha.unwrap_or(plan.alpha),
            beta: self.beta.unwrap_or(plan.beta),
            margin: self.margin.unwrap_or(plan.margin),
            budget: self.budget.unwrap_or(plan.budget),
            ..plan
        }
    }
}

/// A level of a policy as the engine takes it; `availability` in percent, where there is an objective.
#[must_use]
pub fn plan(policy: &Effective, level: Level, availability: Option<f64>) -> Plan {
    convert::plan(&policy.level(level), availability.map(|percent| percent / 100.0))
}

/// A policy in words: `policy payments, level high`.
#[must_use]
pub fn name(policy: &Effective, level: Level) -> String {
    format!("policy {}, level {level}", words::plain(&policy.name()))
}

/// What is different in a plan, in words: `alpha 0.02 (was 0.01)`.
#[must_use]
pub fn differences(was: &Plan, now: &Plan) -> Vec<String> {
    let time = |seconds: f64| words::span(jiff::SignedDuration::from_secs_f64(seconds));
    let list = |weights: &[Weight]| {
        let weights: Vec<String> = weights.iter().map(|weight| format!("{weight}")).collect();
        if weights.is_empty() { "nowhere".to_owned() } else { weights.join(", ") }
    };
    let number = |value: f64| value.to_string();
    let share = |value: f64| percent(value * 100.0);
    let rows = [
        ("alpha", number(was.alpha), number(now.alpha)),
        ("beta", number(was.beta), number(now.beta)),
        ("margin", number(was.margin), number(now.margin)),
        ("budget", share(was.budget), share(now.budget)),
        ("stages", list(&was.stages), list(&now.stages)),
        ("shortest time at a stage", time(was.min_bake_seconds), time(now.min_bake_seconds)),
        ("longest time at a stage", time(was.max_bake_seconds), time(now.max_bake_seconds)),
        ("time at the last stage", time(was.final_bake_seconds), time(now.final_bake_seconds)),
        ("holdback", was.holdback.to_string(), now.holdback.to_string()),
        ("a human asked before", list(&was.approval_at), list(&now.approval_at)),
        ("who is asked", people(&was.approval), people(&now.approval)),
        ("when inconclusive", inconclusive(was.inconclusive), inconclusive(now.inconclusive)),
        ("without metrics", no_data(was.no_data), no_data(now.no_data)),
        ("metrics missing for", time(was.no_data_after_seconds), time(now.no_data_after_seconds)),
    ];
    rows.into_iter().filter(|(_, was, now)| was != now).map(|(name, was, now)| format!("{name} {now} (was {was})")).collect()
}

/// Who is asked, in words.
fn people(approval: &Approval) -> String {
    let count = if approval.count == 1 { "1 human".to_owned() } else { format!("{} humans", approval.count) };
    let groups = if approval.groups.is_empty() { String::new() } else { format!(" of {}", approval.groups.join(" or ")) };
    let time = |seconds: f64| words::span(jiff::SignedDuration::from_secs_f64(seconds));
    let until = approval.expires_after_seconds.map_or(String::new(), |seconds| format!(", for {}", time(seconds)));
    format!("{count}{groups}{until}")
}

fn inconclusive(what: Inconclusive) -> String {
    match what {
        Inconclusive::Promote => "go on",
        Inconclusive::Hold => "hold",
        Inconclusive::RollBack => "roll back",
    }
    .to_owned()
}

fn no_data(what: NoData) -> String {
    match what {
        NoData::Hold => "hold",
        NoData::HoldAlert => "hold and warn",
        NoData::RollBack => "roll back",
    }
    .to_owned()
}

#[cfg(test)]
mod tests;
