//! Policies: which of them can be used, which is in force for a Guard, and what is said of those that cannot be used.
//!
//! A policy that cannot be used (a condition that is no CEL, asks of facts there are not, costs too much; a time zone there is
//! not) changes nothing: its last good spec, kept in its status, stays in force. Where there is none it is as if it did not exist.
//! What can be used is worked out once for each version of an object. Start at [`Policies::of`].

mod keep;
mod standing;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use firebreak_api::{
    ClusterRiskPolicy, ClusterRiskPolicySpec, Guard, RiskPolicy, RiskPolicySpec,
    guard::{PolicyKind, PolicyRef},
    in_force::{Effective, Named},
};
use kube::{Resource, ResourceExt as _};

pub(crate) use keep::keep;
pub(crate) use standing::Standing;

use crate::world::Cache;

/// Policies whose standing is remembered; beyond it all is worked out anew.
const MOST_REMEMBERED: usize = 1000;

/// The policies of the cluster and of all namespaces.
pub(crate) struct Policies {
    pub(crate) cluster: Cache<ClusterRiskPolicy>,
    pub(crate) own: Cache<RiskPolicy>,
    cluster_standing: Remembered<ClusterRiskPolicySpec>,
    own_standing: Remembered<RiskPolicySpec>,
}

/// The standing of each object, with the version it was worked out for.
type Remembered<S> = Mutex<HashMap<(String, String), (Option<String>, Arc<Standing<S>>)>>;

/// What is in force for a Guard.
#[derive(Debug)]
pub(crate) struct Held {
    /// What is in force.
    pub(crate) effective: Effective,
    /// Policies of which a former spec is in force, and why, in words.
    pub(crate) former: Vec<String>,
}

/// Why nothing is in force for a Guard.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Nothing {
    /// One word.
    pub(crate) reason: &'static str,
    /// What is wrong and what to do.
    pub(crate) message: String,
}

impl Policies {
    pub(crate) fn new(cluster: Cache<ClusterRiskPolicy>, own: Cache<RiskPolicy>) -> Self {
        Self { cluster, own, cluster_standing: Mutex::default(), own_standing: Mutex::default() }
    }

    /// What is in force for a Guard.
    pub(crate) fn of(&self, guard: &Guard) -> Result<Held, Nothing> {
        let mut held = Held { effective: Effective::default(), former: Vec::new() };
        let Some(PolicyRef { kind, name }) = &guard.spec.policy_ref else { return Ok(held) };
        match kind {
            PolicyKind::ClusterRiskPolicy => self.join_cluster(&mut held, name, "spec.policyRef")?,
            PolicyKind::RiskPolicy => {
                let namespace = guard.namespace().unwrap_or_default();
                let found = self.own.get(&namespace, name).ok_or_else(|| Nothing {
                    reason: "PolicyNotFound",
                    message: if !self.own.is_listed() {
                        format!("RiskPolicy {name} cannot be read yet; are the definitions installed, and may the operator list riskpolicies?")
                    } else { format!(
                        "RiskPolicy {name} does not exist in namespace {namespace}; create it, name another in spec.policyRef, or take \
                         spec.policyRef out for the built-in policy"
                    ) },
                })?;
                let standing = self.own_standing(&found);
                let spec = used(&standing, &format!("RiskPolicy {name}"), &mut held.former)?;
                if let Some(cluster) = &spec.cluster_policy {
                    self.join_cluster(&mut held, cluster, &format!("spec.clusterPolicy of RiskPolicy {name}"))?;
                }
                held.effective.own = Some(Named { name: name.clone(), spec });
            }
        }
        Ok(held)
    }

    fn join_cluster(&self, held: &mut Held, name: &str, named_by: &str) -> Result<(), Nothing> {
        let found = self.cluster.get_cluster(name).ok_or_else(|| Nothing {
            reason: "PolicyNotFound",
            message: format!(
                "ClusterRiskPolicy {name} does not exist; create it, or take {named_by} out for the built-in policy"
            ),
        })?;
        let standing = self.cluster_standing(&found);
        let spec = used(&standing, &format!("ClusterRiskPolicy {name}"), &mut held.former)?;
        held.effective.cluster = Some(Named { name: name.to_owned(), spec });
        Ok(())
    }

    pub(crate) fn cluster_standing(&self, policy: &ClusterRiskPolicy) -> Arc<Standing<ClusterRiskPolicySpec>> {
        let stand = || Standing::of(policy.metadata.generation, &policy.spec, policy.status.as_ref(), standing::check_cluster);
        remembered(&self.cluster_standing, policy, stand)
    }

    pub(crate) fn own_standing(&self, policy: &RiskPolicy) -> Arc<Standing<RiskPolicySpec>> {
        let stand = || Standing::of(policy.metadata.generation, &policy.spec, policy.status.as_ref(), standing::check_own);
        remembered(&self.own_standing, policy, stand)
    }
}

/// The spec that is in force; where it is a former one, that is said.
fn used<S: Clone>(standing: &Standing<S>, what: &str, former: &mut Vec<String>) -> Result<S, Nothing> {
    match standing {
        Standing::Current(spec) => Ok(spec.clone()),
        Standing::Former { spec, generation, trouble } => {
            former.push(format!(
                "{what} cannot be used as it is written now ({trouble}); its generation {generation} stays in force"
            ));
            Ok(spec.clone())
        }
        Standing::Unusable(trouble) => Err(Nothing {
            reason: "PolicyNotUsable",
            message: format!(
                "{what} cannot be used, and no former one of it could be: {trouble}. Until it can, no Change begins"
            ),
        }),
    }
}

fn remembered<S, K: Resource<DynamicType = ()>>(
    all: &Remembered<S>,
    object: &K,
    stand: impl FnOnce() -> Standing<S>,
) -> Arc<Standing<S>> {
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (object.namespace().unwrap_or_default(), object.name_any());
    let version = object.meta().resource_version.clone();
    if let Some((_, standing)) = all.get(&key).filter(|(known, _)| known.is_some() && *known == version) {
        return Arc::clone(standing);
    }
    if all.len() >= MOST_REMEMBERED {
        all.clear();
    }
    let standing = Arc::new(stand());
    all.insert(key, (version, Arc::clone(&standing)));
    standing
}

#[cfg(test)]
mod tests;
