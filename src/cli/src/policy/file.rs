//! The one reader of policy files: `policy test`, `policy explain`, `simulate` and `replay` read them alike. Also what reads any
//! manifest as it is: within a bound, of one or more documents.

use std::{fs::File, io::Read as _, path::Path};

use firebreak_api::{
    ClusterRiskPolicy, ClusterRiskPolicySpec, RiskPolicy, RiskPolicySpec,
    in_force::{Effective, Named},
    policy,
};
use serde::{Deserialize as _, Serialize};
use serde_json::Value;

use crate::error::Error;

/// Bytes of a manifest that are read at most: the API server takes no larger one.
const MOST_BYTES: u64 = 2_000_000;

/// The policies of a file: a `ClusterRiskPolicy`, a `RiskPolicy`, or one of each.
///
/// # Errors
/// [`Error::Usage`] with what to write instead.
pub fn read(path: &Path) -> Result<Effective, Error> {
    policies(&documents(path)?).map_err(|why| of_file(path, &why))
}

/// The documents of a YAML or JSON file; empty ones are left out.
///
/// # Errors
/// [`Error::Usage`] with what to write instead.
pub fn documents(path: &Path) -> Result<Vec<Value>, Error> {
    let wrong = |why: String| of_file(path, &why);
    let mut text = String::new();
    let file = File::open(path).map_err(|error| wrong(format!("cannot be read ({error})")))?;
    file.take(MOST_BYTES + 1).read_to_string(&mut text).map_err(|error| wrong(format!("cannot be read ({error})")))?;
    if text.len() as u64 > MOST_BYTES {
        return Err(wrong("is larger than any manifest can be".to_owned()));
    }
    parsed(&text).map_err(wrong)
}

fn of_file(path: &Path, why: &str) -> Error {
    Error::Usage(format!("{}: {why}", path.display()))
}

fn parsed(text: &str) -> Result<Vec<Value>, String> {
    let documents = serde_yaml_ng::Deserializer::from_str(text).map(Value::deserialize);
    let all: Vec<Value> = documents.collect::<Result<_, _>>().map_err(|error| format!("is no YAML or JSON ({error})"))?;
    Ok(all.into_iter().filter(|document| !document.is_null()).collect())
}

fn policies(documents: &[Value]) -> Result<Effective, String> {
    let mut policy = Effective::default();
    for document in documents {
        match document.get("kind").and_then(Value::as_str) {
            Some("ClusterRiskPolicy") if policy.cluster.is_none() => policy.cluster = Some(of_cluster(document)?),
            Some("RiskPolicy") if policy.own.is_none() => policy.own = Some(of_namespace(document)?),
            Some("ClusterRiskPolicy" | "RiskPolicy") => {
                let why =
                    "holds two policies of one kind: name a file with one ClusterRiskPolicy, one RiskPolicy, or one of each";
                return Err(why.to_owned());
            }
            other => {
                let kind = other.unwrap_or("none");
                return Err(format!(
                    "has kind {kind}: write a ClusterRiskPolicy or a RiskPolicy (apiVersion firebreak.dev/v1alpha1)"
                ));
            }
        }
    }
    let Some(own) = &policy.own else {
        return if policy.cluster.is_some() { Ok(policy) } else { Err("holds no policy".to_owned()) };
    };
    match (&own.spec.cluster_policy, &policy.cluster) {
        (Some(tightens), there) if there.as_ref().is_none_or(|there| there.name != *tightens) => Err(format!(
            "tightens ClusterRiskPolicy {tightens}, which is not in the file: put both in one file, with --- between"
        )),
        (None, Some(there)) => Err(format!(
            "RiskPolicy {} has no spec.clusterPolicy, so it tightens the built-in policy and not ClusterRiskPolicy {} beside it: write \
             spec.clusterPolicy: {}, or name a file with one of the two",
            own.name, there.name, there.name
        )),
        _ => Ok(policy),
    }
}

/// A `ClusterRiskPolicy` manifest, checked as the API server would.
fn of_cluster(given: &Value) -> Result<Named<ClusterRiskPolicySpec>, String> {
    let policy = ClusterRiskPolicy::deserialize(given).map_err(|error| format!("is no ClusterRiskPolicy ({error})"))?;
    all_known(given, &policy.spec, "ClusterRiskPolicy")?;
    let levels = &policy.spec.levels;
    for (name, level) in
        [("low", &levels.low), ("medium", &levels.medium), ("high", &levels.high), ("critical", &levels.critical)]
    {
        check(level).map_err(|why| format!("spec.levels.{name}.{why}"))?;
    }
    Ok(Named { name: name(given), spec: policy.spec })
}

/// A `RiskPolicy` manifest, checked as the API server would.
fn of_namespace(given: &Value) -> Result<Named<RiskPolicySpec>, String> {
    let policy = RiskPolicy::deserialize(given).map_err(|error| format!("is no RiskPolicy ({error})"))?;
    all_known(given, &policy.spec, "RiskPolicy")?;
    Ok(Named { name: name(given), spec: policy.spec })
}

fn name(given: &Value) -> String {
    given.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("without a name").to_owned()
}

/// Whether everything in a manifest's spec is a field of its kind.
fn all_known(given: &Value, spec: &impl Serialize, kind: &str) -> Result<(), String> {
    let kept = serde_json::to_value(spec).map_err(|error| error.to_string())?;
    match given.get("spec").and_then(|given| unknown(given, &kept, "spec")) {
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

#[cfg(test)]
mod tests;
