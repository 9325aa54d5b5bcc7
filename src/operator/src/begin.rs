//! The beginning of a Change: what is under judgement, what it claims, what follows. Pure.

use std::{collections::BTreeMap, sync::Arc};

use firebreak_api::{
    Change, ChangeSpec, Guard,
    change::{Candidate, Claims},
    diff, facts,
    guard::{Hold, Revision, Signal},
    in_force::{Basis, InForce, MOST_DIFFERENCES},
    names, template,
};
use firebreak_engine::policy::{
    Facts,
    facts::{Changer, MOST_LABELS, Workload},
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{Resource as _, ResourceExt as _, api::DynamicObject};
use serde_json::{Value, json};

use crate::{guard::bounded, raw};

/// Names of ReplicaSets stay short enough for the names of their pods to begin with the whole of them.
const LONGEST_REPLICA_SET: usize = 57;
/// Characters of the name of who asked that rules see.
const LONGEST_CHANGER: usize = 512;

/// All that a Change begins from.
pub(crate) struct Beginning<'a> {
    pub(crate) guard: &'a Guard,
    pub(crate) deployment: &'a DynamicObject,
    pub(crate) stable: Revision,
    pub(crate) policy: &'a InForce,
    /// Labels of the namespace, where they can be read.
    pub(crate) namespace_labels: Option<BTreeMap<String, String>>,
    pub(crate) hold: Hold,
    pub(crate) changes: &'a [Arc<Change>],
    pub(crate) replica_sets: &'a [Arc<DynamicObject>],
    pub(crate) pods: &'a [Arc<Pod>],
    /// Attempts whose names are taken.
    pub(crate) above: u32,
}

impl Beginning<'_> {
    /// Pods that a ReplicaSet has or is about to have: its controller may not have made them all yet.
    fn late_pods(&self, set: &DynamicObject) -> u32 {
        raw::number(set, "/status/replicas").unwrap_or(0).max(raw::replicas(set))
    }

    fn stable_template(&self) -> Option<&Value> {
        let stable = self.replica_sets.iter().find(|set| set.name_any() == self.stable.replica_set);
        stable.and_then(|set| raw::pod_template(set))
    }

    fn forgotten_until(&self) -> Option<Timestamp> {
        self.guard.status.as_ref().and_then(|status| status.forgotten_until)
    }

    /// When the first of its pods was made; where none is seen yet, they are about to be.
    fn late_since(&self, set: &DynamicObject) -> Option<Timestamp> {
        let mine = |pod: &&Arc<Pod>| pod.owner_references().iter().any(|owner| Some(&owner.uid) == set.metadata.uid.as_ref());
        let made = self.pods.iter().filter(mine).filter_map(|pod| pod.metadata.creation_timestamp.as_ref());
        made.map(|time| time.0).min().filter(|_| self.late_pods(set) > 0)
    }
}

/// The ReplicaSets that belong to a Deployment.
pub(crate) fn own_replica_sets(deployment: &DynamicObject, all: &[Arc<DynamicObject>]) -> Vec<Arc<DynamicObject>> {
    let uid = deployment.metadata.uid.as_ref();
    all.iter().filter(|set| raw::controller(set).is_some_and(|owner| Some(&owner.uid) == uid)).cloned().collect()
}

/// The Change for the template that the workload carries now. The same beginning gives the same name.
pub(crate) fn change(from: &Beginning<'_>, now: Timestamp) -> Change {
    let pod_template = raw::pod_template(from.deployment).cloned().unwrap_or(Value::Null);
    let digest = template::hash(&pod_template);
    let attempts = from.changes.iter().filter(|change| change.spec.candidate.template == digest);
    let attempt =
        attempts.map(|change| change.spec.attempt).chain(remembered(from.guard, &digest)).fold(from.above, u32::max) + 1;
    let claims = claims(from.deployment, &pod_template);
    let facts = facts_of(from, &claims, &pod_template, now);
    let judged = from.policy.judge(&facts);
    let differences = facts.diff.words().into_iter().take(MOST_DIFFERENCES).collect();
    let basis = Basis { facts, policy: from.policy.effective().clone() };
    let spec = ChangeSpec {
        guard: from.guard.name_any(),
        target: from.guard.spec.target_ref.clone(),
        target_uid: from.deployment.uid().unwrap_or_default(),
        stable: from.stable.clone(),
        stable_images: from.stable_template().map(raw::images).unwrap_or_default(),
        candidate: candidate(from, &pod_template, &digest),
        attempt,
        cleared: None,
        detected_at: now,
        hold: from.hold,
        risk: judged.risk(),
        claims: Claims { problems: judged.outcome.problems, ..claims },
        plan: judged.plan,
        policy: basis.policy.name(),
        differences,
        risk_basis: basis.pack().ok(),
        availability: from.guard.spec.slo.as_ref().map(|slo| slo.availability),
        traffic: from.guard.spec.traffic.clone(),
        // Written out: another version's presets change nothing of a Change that runs.
        signals: from.guard.spec.metrics.signals.iter().map(Signal::expanded).collect(),
        checks: from.guard.spec.metrics.checks.clone(),
        dependents: from.guard.spec.dependents.clone(),
        both_sources: from.guard.spec.metrics.both_sources,
        pod_pages: from.guard.spec.metrics.pods.clone(),
        prometheus_url: from.guard.spec.metrics.prometheus.url.clone(),
        restore_template: from.guard.spec.rollback.as_ref().is_some_and(|rollback| rollback.restore_template),
        guard_generation: from.guard.metadata.generation,
        guard_asks: Some(asks(from.guard)),
    };
    let mut change = Change::new(&format!("{}{attempt}", all_but_attempt(from.guard, &digest)), spec);
    change.metadata.namespace = from.guard.namespace();
    change.metadata.owner_references = from.guard.controller_owner_ref(&()).map(|owner| vec![owner]);
    // Deleting the Change is a way back: it stays until its candidate is out of the routes and gone.
    change.metadata.finalizers = Some(vec![names::FINALIZER.to_owned()]);
    change.metadata.labels = Some(BTreeMap::from([(names::GUARD_LABEL.to_owned(), from.guard.name_any())]));
    change
}

/// What a Guard asks for, as it is written: another version of Firebreak makes other selectors of the same preset.
fn asks(guard: &Guard) -> String {
    let spec = &guard.spec;
    template::hash(&json!([spec.metrics, spec.dependents, spec.slo, spec.traffic]))
}

/// Whether the Guard was changed since the Change began, and asks for other metrics, checks, dependents or routes now.
pub(crate) fn asks_otherwise(change: &ChangeSpec, guard: &Guard) -> bool {
    change.guard_generation != guard.metadata.generation && change.guard_asks.as_ref().is_some_and(|asked| *asked != asks(guard))
}

/// What the rules of a policy can ask of the change.
fn facts_of(from: &Beginning<'_>, claims: &Claims, pod_template: &Value, now: Timestamp) -> Facts {
    // Without the policy anyone can write the mark, so it says nothing.
    let attested = claims.changed_by.as_ref().filter(|_| from.hold == Hold::Admission);
    let changer = attested.map(|name| name.chars().take(LONGEST_CHANGER).collect());
    Facts {
        annotations: claims.annotations.clone(),
        workload: Workload {
            name: from.deployment.name_any(),
            in_namespace: from.guard.namespace().unwrap_or_default(),
            replicas: i64::from(raw::replicas(from.deployment)),
            labels: seen_by_rules(from.deployment.labels()),
            namespace_labels: from.namespace_labels.as_ref().map(seen_by_rules),
        },
        diff: diff::between(from.stable_template().unwrap_or(&Value::Null), pod_template),
        time: facts::clock(now, from.policy.effective().time_zone()).unwrap_or_default(),
        history: facts::history(from.changes.iter().map(|change| &**change), from.forgotten_until(), now),
        changer: Changer { name: changer },
    }
}

/// The labels that rules see are the ones that are recorded.
fn seen_by_rules(labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    labels.iter().take(MOST_LABELS).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// What the names of all attempts at a template begin with.
fn all_but_attempt(guard: &Guard, digest: &str) -> String {
    format!("{}-{digest}-", guard.name_any())
}

/// Attempts that the Guard's status names; their Changes may be gone. What was said and asked of one is not of another.
fn remembered(guard: &Guard, digest: &str) -> impl Iterator<Item = u32> {
    let begins = all_but_attempt(guard, digest);
    let names = guard
        .status
        .iter()
        .flat_map(|status| status.condemned.iter().map(|condemned| &condemned.change).chain(&status.last_change));
    names.filter_map(move |name| name.strip_prefix(&begins)?.parse().ok())
}

/// The claims on the workload and on its template; the template's win.
pub(crate) fn claims(deployment: &DynamicObject, pod_template: &Value) -> Claims {
    let in_template = |name: &str| {
        let annotations = pod_template.pointer("/metadata/annotations")?;
        annotations.get(name).and_then(Value::as_str).map(str::to_owned)
    };
    let claim = |name: &&str| {
        let value = in_template(name).or_else(|| raw::annotation(deployment, name).map(str::to_owned))?;
        Some(((*name).to_owned(), value))
    };
    let mut claims = Claims {
        annotations: names::CLAIMS.iter().filter_map(claim).collect(),
        changed_by: raw::annotation(deployment, names::CHANGED_BY).map(str::to_owned),
        problems: Vec::new(),
    };
    bounded::bound_claims(&mut claims);
    claims
}

fn candidate(from: &Beginning<'_>, pod_template: &Value, digest: &str) -> Candidate {
    let known = from.replica_sets.iter().find(|set| {
        set.name_any() != from.stable.replica_set
            && set.metadata.deletion_timestamp.is_none()
            && raw::pod_template(set).is_some_and(|other| template::same(other, pod_template))
            && belongs(from, set)
    });
    let images = raw::images(pod_template);
    match known {
        Some(set) => Candidate {
            hash: raw::hash_label(set).unwrap_or_default().to_owned(),
            replica_set: set.name_any(),
            template: digest.to_owned(),
            images,
            taken_over: owned_by_workload(from, set),
            late_pods: from.late_pods(set),
            late_since: from.late_since(set),
        },
        None => Candidate {
            hash: digest.to_owned(),
            replica_set: names::bounded_name(&format!("{}-{digest}", from.deployment.name_any()), LONGEST_REPLICA_SET),
            template: digest.to_owned(),
            images,
            taken_over: false,
            late_pods: 0,
            late_since: None,
        },
    }
}

fn owned_by_workload(from: &Beginning<'_>, set: &DynamicObject) -> bool {
    raw::controller(set).is_some_and(|owner| Some(&owner.uid) == from.deployment.metadata.uid.as_ref())
}

/// The workload's own, or left by an ended Change of this guard.
fn belongs(from: &Beginning<'_>, set: &DynamicObject) -> bool {
    let uid = raw::controller(set).map(|owner| owner.uid.clone());
    owned_by_workload(from, set) || from.changes.iter().any(|change| change.metadata.uid == uid)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use firebreak_api::{GuardStatus, guard::Condemned};

    use super::*;
    use crate::fake;

    /// The name of the Change for one template, begun with this status of the Guard.
    fn name(status: GuardStatus) -> String {
        begun(status, Hold::Admission).name_any()
    }

    fn begun(status: GuardStatus, hold: Hold) -> Change {
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "shop", "namespace": "shop", "annotations": {(names::CHANGED_BY): "ann"}},
            "spec": {"template": {"spec": {"containers": []}}}});
        let deployment: DynamicObject = serde_json::from_value(object).unwrap();
        let mut guard = fake::guard("shop");
        guard.status = Some(status);
        let from = Beginning {
            guard: &guard,
            deployment: &deployment,
            stable: Revision { hash: "old".to_owned(), replica_set: "shop-old".to_owned() },
            policy: &firebreak_api::in_force::Effective::default().compile().unwrap(),
            namespace_labels: None,
            hold,
            changes: &[],
            replica_sets: &[],
            pods: &[],
            above: 0,
        };
        change(&from, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn given_a_guard_when_it_is_the_same_then_nothing_else_is_asked_and_when_its_metrics_are_others_it_is() {
        // As it comes back from the API server, with the edges that were found for it.
        let mut begun = begun(GuardStatus::default(), Hold::Admission);
        begun.spec.signals.push(Signal { weight: Some(0.1), ..begun.spec.signals.first().unwrap().clone() });
        let stored: Change = serde_json::from_value(serde_json::to_value(begun).unwrap()).unwrap();
        let edited = |generation: i64, edit: fn(&mut Guard)| {
            let mut guard = fake::guard("shop");
            guard.metadata.generation = Some(generation);
            edit(&mut guard);
            asks_otherwise(&stored.spec, &guard)
        };
        let signals =
            |guard: &mut Guard| guard.spec.metrics.signals.first_mut().unwrap().requests = Some("requests_total".to_owned());
        let pods = |guard: &mut Guard| guard.spec.metrics.pods = Some(serde_json::from_value(json!({"port": 9091})).unwrap());
        assert!(!edited(1, |_| {}) && !edited(2, |_| {}), "nothing of it is another");
        assert!(edited(2, signals) && edited(2, pods));
        assert!(!edited(1, signals), "another version writes the same Guard otherwise");
        let before = ChangeSpec { guard_asks: None, ..stored.spec.clone() };
        assert!(!asks_otherwise(&before, &fake::guard("shop")), "not known of what began before this was recorded");
    }

    #[test]
    fn given_a_name_that_nobody_vouches_for_when_a_change_begins_then_rules_know_no_changer() {
        let changer = |hold| {
            let packed = begun(GuardStatus::default(), hold).spec.risk_basis.unwrap();
            firebreak_api::in_force::Basis::unpack(&packed).unwrap().facts.changer.name
        };
        assert_eq!((changer(Hold::Admission).as_deref(), changer(Hold::Late)), (Some("ann"), None));
    }

    #[test]
    fn given_attempts_that_are_gone_when_a_change_begins_then_it_has_a_name_of_its_own() {
        let first = name(GuardStatus::default());
        let begins = first.strip_suffix("-1").unwrap();
        let second = name(GuardStatus { last_change: Some(first.clone()), ..GuardStatus::default() });
        assert_eq!(second, format!("{begins}-2"));
        let condemned = vec![Condemned { template: "x".to_owned(), change: format!("{begins}-4"), cleared: false }];
        assert_eq!(
            name(GuardStatus { condemned, last_change: Some(first.clone()), ..GuardStatus::default() }),
            format!("{begins}-5")
        );
        assert_eq!(
            name(GuardStatus { last_change: Some("shop-other-7".to_owned()), ..GuardStatus::default() }),
            format!("{begins}-1")
        );
    }
}
