//! Whether a policy can be used as it is written now, or a former spec of it. Pure.

use firebreak_api::{
    ClusterRiskPolicySpec, RiskPolicySpec,
    facts::time_zone,
    freezes, in_force,
    packed::{self, PackError},
    policy::{LastGood, PolicyStatus},
};
use firebreak_engine::policy::RuleError;
use serde::{Serialize, de::DeserializeOwned};

/// Rules named in one sentence; the others are counted.
const MOST_TOLD: usize = 3;
/// Longest packed spec that is kept, in bytes: 64 rules of the longest texts in every level are about 100 kB before packing.
const LONGEST_KEPT: usize = 256 * 1024;
/// What a kept spec is called in errors.
const SPEC: &str = "last good spec";

/// What of a policy can be used.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Standing<S> {
    /// It, as it is written now.
    Current(S),
    /// A former spec, since what is written now cannot be.
    Former {
        /// The spec.
        spec: S,
        /// Its generation.
        generation: i64,
        /// What is wrong with what is written now.
        trouble: String,
    },
    /// Nothing.
    Unusable(String),
}

impl<S: Clone + DeserializeOwned + Serialize> Standing<S> {
    /// The standing of a policy, by what it says and what its status kept.
    pub(crate) fn of(
        generation: Option<i64>,
        spec: &S,
        status: Option<&PolicyStatus>,
        check: impl Fn(&S) -> Result<(), String>,
    ) -> Self {
        let Err(trouble) = check(spec) else { return Self::Current(spec.clone()) };
        let kept = status.and_then(|status| status.last_good.as_ref()).filter(|kept| Some(kept.generation) != generation);
        // What this version cannot use any more is not in force either.
        let former = kept.and_then(|kept| Some((kept.generation, unpack::<S>(kept).ok().filter(|spec| check(spec).is_ok())?)));
        match former {
            Some((generation, spec)) => Self::Former { spec, generation, trouble },
            None => Self::Unusable(trouble),
        }
    }
}

/// A spec as it is kept in the status.
pub(super) fn pack<S: Serialize>(generation: i64, spec: &S) -> Option<LastGood> {
    let spec = packed::pack(SPEC, spec).ok().filter(|packed| packed.len() <= LONGEST_KEPT)?;
    Some(LastGood { generation, spec })
}

fn unpack<S: DeserializeOwned>(kept: &LastGood) -> Result<S, PackError> {
    packed::unpack(SPEC, &kept.spec)
}

/// What is wrong with a cluster's policy.
pub(super) fn check_cluster(spec: &ClusterRiskPolicySpec) -> Result<(), String> {
    if let Some(zone) = spec.time_zone.as_deref().filter(|zone| time_zone(zone).is_none()) {
        return Err(format!(
            "spec.timeZone: there is no time zone {zone}; write one of the IANA database, for example Europe/Zurich"
        ));
    }
    freezes::check(&spec.freezes, spec.time_zone.as_deref())?;
    in_force::check_cluster(spec).map_err(|errors| words(&errors))
}

/// What is wrong with a namespace's policy.
pub(super) fn check_own(spec: &RiskPolicySpec) -> Result<(), String> {
    // Of a zone that the cluster's policy gives, that policy is told.
    freezes::check(&spec.freezes, None)?;
    in_force::check_own(spec).map_err(|errors| words(&errors))
}

fn words(errors: &[RuleError]) -> String {
    let mut words: Vec<String> = errors.iter().take(MOST_TOLD).map(ToString::to_string).collect();
    if errors.len() > MOST_TOLD {
        words.push(format!("and {} more", errors.len() - MOST_TOLD));
    }
    words.join("; ")
}
