//! Another policy than the one that holds: from a file, a level, or single settings, checked as the API server would.

use std::{fs::File, io::Read as _, path::Path};

use firebreak_api::{ClusterRiskPolicy, plan as convert, policy};
use firebreak_engine::{
    Plan,
    people::Approval,
    plan::{Inconclusive, NoData},
    risk::Level,
    units::Weight,
};
use serde_json::Value;

use crate::{
    args::Policy,
    error::Error,
    words::{self, percent},
};

/// Bytes of a policy that are read at most: a policy is a few kilobytes.
const MOST_BYTES: u64 = 1_000_000;

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
    pub fn file(&self) -> Result<Option<ClusterRiskPolicy>, Error> {
        self.policy.as_deref().map(read).transpose()
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

/// A level of a policy (or of the built-in one) as the engine takes it; `availability` in percent, where there is an objective.
#[must_use]
pub fn plan(policy: Option<&ClusterRiskPolicy>, level: Level, availability: Option<f64>) -> Plan {
    convert::plan(&convert::level(policy, level), availability.map(|percent| percent / 100.0))
}

/// A policy in words: `policy payments, level high`.
#[must_use]
pub fn name(policy: Option<&ClusterRiskPolicy>, level: Level) -> String {
    let name = policy.map_or("built-in", |policy| policy.metadata.name.as_deref().unwrap_or("without a name"));
    format!("policy {}, level {level}", words::plain(name))
}

/// Reads a `ClusterRiskPolicy` manifest.
///
/// # Errors
/// [`Error::Usage`] with what to write instead.
pub fn read(path: &Path) -> Result<ClusterRiskPolicy, Error> {
    let wrong = |why: String| Error::Usage(format!("{}: {why}", path.display()));
    let mut text = String::new();
    let file = File::open(path).map_err(|error| wrong(format!("cannot be read ({error})")))?;
    file.take(MOST_BYTES + 1).read_to_string(&mut text).map_err(|error| wrong(format!("cannot be read ({error})")))?;
    if text.len() as u64 > MOST_BYTES {
        return Err(wrong("is larger than a policy can be: name a file with one ClusterRiskPolicy".to_owned()));
    }
    parse(&text).map_err(wrong)
}

fn parse(text: &str) -> Result<ClusterRiskPolicy, String> {
    let given: Value = serde_yaml_ng::from_str(text).map_err(|error| format!("is not one YAML or JSON document ({error})"))?;
    checked(&given)
}

/// A `ClusterRiskPolicy` manifest, checked as the API server would.
pub(crate) fn checked(given: &Value) -> Result<ClusterRiskPolicy, String> {
    let kind = given.get("kind").and_then(Value::as_str).unwrap_or("none");
    if kind != "ClusterRiskPolicy" {
        return Err(format!("has kind {kind}: write a ClusterRiskPolicy (apiVersion firebreak.dev/v1alpha1)"));
    }
    let policy: ClusterRiskPolicy =
        serde_json::from_value(given.clone()).map_err(|error| format!("is no ClusterRiskPolicy ({error})"))?;
    let kept = serde_json::to_value(&policy.spec).map_err(|error| error.to_string())?;
    all_known(given, &kept, kind)?;
    let levels = &policy.spec.levels;
    for (name, level) in
        [("low", &levels.low), ("medium", &levels.medium), ("high", &levels.high), ("critical", &levels.critical)]
    {
        check(level).map_err(|why| format!("spec.levels.{name}.{why}"))?;
    }
    Ok(policy)
}

/// Whether everything in a manifest's spec is a field of its kind.
pub(crate) fn all_known(given: &Value, kept: &Value, kind: &str) -> Result<(), String> {
    match given.get("spec").and_then(|given| unknown(given, kept, "spec")) {
        Some(field) => Err(format!("{field} is no field of a {kind}: take it out, or write it as the definition does")),
        None => Ok(()),
    }
}

/// The first field that was given and is not known; an empty value may be left out.
fn unknown(given: &Value, kept: &Value, place: &str) -> Option<String> {
    if let (Some(given), Some(kept)) = (given.as_array(), kept.as_array()) {
        return given
            .iter()
            .zip(kept)
            .enumerate()
            .find_map(|(at, (given, kept))| unknown(given, kept, &format!("{place}[{at}]")));
    }
    given.as_object()?.iter().find_map(|(name, value)| {
        let place = format!("{place}.{name}");
        match kept.get(name) {
            Some(kept) => unknown(value, kept, &place),
            None => (value.as_array().is_none_or(|list| !list.is_empty()) && !value.is_null()).then_some(place),
        }
    })
}

/// What the API server checks of a level.
fn check(level: &policy::Level) -> Result<(), &'static str> {
    let within = |value: f64, most: f64| value > 0.0 && value <= most;
    let rises = level.stages.windows(2).all(|two| matches!(two, [one, next] if one < next));
    let stages = rises && level.stages.first().is_some_and(|first| *first >= 1) && level.stages.last() == Some(&100);
    let known = |stages: &[i32]| stages.iter().all(|stage| level.stages.contains(stage));
    let named = level.approval.as_ref().is_none_or(|approval| known(&approval.at));
    let once = level.approval.as_ref().is_none_or(|approval| approval.at.is_empty() != level.approval_at.is_empty());
    let people = level.approval.as_ref().is_none_or(|approval| (1..=10).contains(&approval.count));
    let rules = [
        (within(level.alpha, 0.5), "alpha: a probability above 0 and up to 0.5, for example 0.01"),
        (within(level.beta, 0.5), "beta: a probability above 0 and up to 0.5, for example 0.05"),
        ((1.0..=10.0).contains(&level.margin), "margin: a ratio from 1 to 10, for example 1.25"),
        (within(level.budget_percent, 49.999_999), "budgetPercent: a percentage above 0 and below 50, for example 0.1"),
        (within(level.slo_factor, 1.0), "sloFactor: a factor above 0 and up to 1, for example 0.1"),
        (stages, "stages: whole percentages, rising, ending at 100, for example [5, 20, 50, 100]"),
        (level.min_bake.0 <= level.max_bake.0, "minBake must not be longer than maxBake"),
        ((0..=20).contains(&level.holdback_percent), "holdbackPercent: from 0 to 20, for example 5"),
        (known(&level.approval_at), "approvalAt: name stages of this level, for example [100]"),
        (named, "approval.at: name stages of this level, for example [100]"),
        (once, "write the stages once: in approval.at, or in approvalAt"),
        (people, "approval.count: from 1 to 10, for example 2"),
    ];
    rules.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, rule)| Err(rule))
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
