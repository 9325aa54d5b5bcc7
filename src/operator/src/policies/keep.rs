//! What is said of policies, in their status: whether they can be used, what is ignored of them, and the last good spec, which
//! stays in force while a newer one cannot be used, whichever replica works and however often it starts.

use std::{collections::HashMap, fmt::Debug, sync::Arc, time::Duration};

use firebreak_api::{
    ClusterRiskPolicy, RiskPolicy,
    conditions::{self, Set, kind},
    in_force::{Effective, Named},
    names,
    policy::PolicyStatus,
};
use jiff::Timestamp;
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{Patch, PatchParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use tokio::sync::watch;

use super::{
    Policies,
    standing::{self, Standing},
};

/// Each write ends within this.
const WRITE_WITHIN: Duration = Duration::from_secs(5);
/// What could not be written is tried again after this, and all is looked at as often without an event.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// Events of one burst are taken together.
const SETTLE: Duration = Duration::from_millis(100);

/// Keeps the status of every policy true, for as long as it is polled.
pub(crate) async fn keep(client: Client, policies: Arc<Policies>, mut bell: watch::Receiver<u64>) {
    let mut written = HashMap::new();
    loop {
        bell.mark_unchanged();
        // A cluster without the definition of one kind has policies of the other.
        if policies.cluster.ready().await {
            look(&client, &policies, &mut written).await;
        }
        let quiet = tokio::time::timeout(LOOK_AGAIN, bell.changed()).await;
        if matches!(quiet, Ok(Err(_))) {
            return;
        }
        tokio::time::sleep(SETTLE).await;
    }
}

/// What was written last, by kind, namespace and name: the cache may not have it yet.
pub(super) type Written = HashMap<(&'static str, String, String), (Option<i64>, PolicyStatus)>;

/// Looks at every policy once and writes what is not said yet.
pub(super) async fn look(client: &Client, policies: &Policies, written: &mut Written) {
    let cluster = policies.cluster.all();
    let own = policies.own.all();
    written.retain(|(kind, namespace, name), _| match *kind {
        "ClusterRiskPolicy" => cluster.iter().any(|policy| policy.name_any() == *name),
        _ => own.iter().any(|policy| policy.name_any() == *name && policy.namespace().as_ref() == Some(namespace)),
    });
    for policy in cluster {
        let status = status(&*policy, policy.status.as_ref(), &policy.spec, &policies.cluster_standing(&policy));
        let key = ("ClusterRiskPolicy", String::new(), policy.name_any());
        write(Api::<ClusterRiskPolicy>::all(client.clone()), &*policy, policy.status.as_ref(), status, written, key).await;
    }
    for policy in own {
        let namespace = policy.namespace().unwrap_or_default();
        let standing = policies.own_standing(&policy);
        let mut status = status(&*policy, policy.status.as_ref(), &policy.spec, &standing);
        tightens(&mut status, &policy, policies);
        let key = ("RiskPolicy", namespace.clone(), policy.name_any());
        write(Api::<RiskPolicy>::namespaced(client.clone(), &namespace), &*policy, policy.status.as_ref(), status, written, key)
            .await;
    }
}

/// The status that a policy is to have.
fn status<K, S>(policy: &K, old: Option<&PolicyStatus>, spec: &S, standing: &Standing<S>) -> PolicyStatus
where
    K: Resource<DynamicType = ()>,
    S: Clone + PartialEq + Serialize + DeserializeOwned,
{
    let generation = policy.meta().generation;
    let mut status = old.cloned().unwrap_or_default();
    status.observed_generation = generation;
    let (ready, reason, message) = match standing {
        Standing::Current(_) => (true, "InForce", "every rule can be used".to_owned()),
        Standing::Former { generation, trouble, .. } => (
            false,
            "FormerInForce",
            format!(
                "{trouble}. Generation {generation} stays in force until this is corrected; try it with kubectl firebreak policy test"
            ),
        ),
        Standing::Unusable(trouble) => (
            false,
            "NotUsable",
            format!(
                "{trouble}. No former spec could be used, so Guards that name this policy begin no Change until this is corrected; try \
                 it with kubectl firebreak policy test"
            ),
        ),
    };
    if let (Standing::Current(_), Some(generation)) = (standing, generation)
        && status.last_good.as_ref().is_none_or(|kept| kept.generation != generation)
    {
        status.last_good = standing::pack(generation, spec);
    }
    for (kind, value) in [(kind::READY, ready), (kind::STALLED, !ready)] {
        let set = Set { kind, status: value, reason, message: &message };
        conditions::set(&mut status.conditions, generation, Timestamp::now(), &set);
    }
    status
}

/// Says whether all that a namespace asks for is stricter than what it tightens.
fn tightens(status: &mut PolicyStatus, policy: &RiskPolicy, policies: &Policies) {
    let cluster = match &policy.spec.cluster_policy {
        None => None,
        Some(name) => match policies.cluster.get_cluster(name).map(|cluster| policies.cluster_standing(&cluster)) {
            Some(standing) => match &*standing {
                Standing::Current(spec) | Standing::Former { spec, .. } => Some(Named { name: name.clone(), spec: spec.clone() }),
                Standing::Unusable(_) => {
                    return say(status, policy, false, "NotUsable", &format!("ClusterRiskPolicy {name} cannot be used"));
                }
            },
            None => {
                let message =
                    format!("ClusterRiskPolicy {name} does not exist; create it, or name another in spec.clusterPolicy");
                return say(status, policy, false, "PolicyNotFound", &message);
            }
        },
    };
    let own = Some(Named { name: policy.name_any(), spec: policy.spec.clone() });
    let ignored = Effective { cluster, own }.ignored();
    match ignored.is_empty() {
        true => say(status, policy, true, "Stricter", "everything in it is at least as strict as the cluster's policy"),
        false => say(
            status,
            policy,
            false,
            "LooserIgnored",
            &format!("ignored, since a namespace can only tighten: {}", ignored.join("; ")),
        ),
    }
}

fn say(status: &mut PolicyStatus, policy: &RiskPolicy, value: bool, reason: &str, message: &str) {
    let set = Set { kind: kind::TIGHTENS, status: value, reason, message };
    conditions::set(&mut status.conditions, policy.metadata.generation, Timestamp::now(), &set);
}

async fn write<K>(
    api: Api<K>,
    policy: &K,
    old: Option<&PolicyStatus>,
    status: PolicyStatus,
    written: &mut Written,
    key: (&'static str, String, String),
) where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let generation = policy.meta().generation;
    if old.is_some_and(|old| alike(old, &status)) {
        // The cache has it: whoever takes it away is answered.
        written.remove(&key);
        return;
    }
    if written.get(&key).is_some_and(|(of, last)| *of == generation && alike(last, &status)) {
        return;
    }
    let params = PatchParams { field_manager: Some(names::FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    // Of the generation that was judged: a newer one is judged by itself.
    let patch = json!({"metadata": {"resourceVersion": policy.meta().resource_version}, "status": status});
    let name = policy.name_any();
    match tokio::time::timeout(WRITE_WITHIN, api.patch_status(&name, &params, &Patch::Merge(patch))).await {
        Ok(Ok(_)) => {
            written.insert(key, (generation, status));
        }
        Ok(Err(error)) => tracing::warn!(policy = name, %error, "status of the policy not written yet; it is tried again"),
        Err(_) => tracing::warn!(policy = name, "status of the policy not written yet: no answer in time; it is tried again"),
    }
}

/// Whether two statuses say the same, whenever they said it.
fn alike(left: &PolicyStatus, right: &PolicyStatus) -> bool {
    let words = |status: &PolicyStatus| -> Vec<(String, String, String, String)> {
        let conditions = status.conditions.iter();
        conditions.map(|one| (one.type_.clone(), one.status.clone(), one.reason.clone(), one.message.clone())).collect()
    };
    left.observed_generation == right.observed_generation && left.last_good == right.last_good && words(left) == words(right)
}
