//! One task a Guard, one view a namespace that holds a Guard: begun when a Guard appears, ended when it goes.
//!
//! A Guard that is gone has a task too while a Change of its is not let go.

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    sync::{Arc, Weak},
    time::Duration,
};

use firebreak_api::{ClusterRiskPolicy, Guard, RiskPolicy};
use firebreak_engine::Note;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Api, Client, Resource as _, ResourceExt as _, core::error_boundary::InvalidObject};
use tokio::{sync::watch, task::JoinSet};

use crate::{
    events::Teller,
    gates::Gates,
    guard::Worker,
    metrics::Hub,
    policies::{self, Policies},
    world::{Bell, Cache, Held, View, logged, watch_own},
};

/// Guards of one operator; more are refused in the log. Each costs a task and its namespace's caches.
const MOST_GUARDS: usize = 10_000;
/// Tasks that ended (their Guard went, or they failed) are looked for this often.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// Tasks that are told to end are waited for this long: each ends where it next waits for something.
const END_WITHIN: Duration = Duration::from_secs(2);

/// What is watched once for all guards.
pub(crate) struct Shared {
    pub(crate) guards: Cache<Guard>,
    pub(crate) policies: Arc<Policies>,
    pub(crate) held: Held,
    pub(crate) gates: Arc<Gates>,
    pub(crate) bell: Bell,
}

impl Shared {
    /// Namespace and name of every Guard that needs a task: those that are there, and those whose Change outlives them.
    fn wanted(&self) -> HashSet<(String, String)> {
        let guards = self.guards.all();
        let there = guards.iter().map(|guard| (guard.namespace().unwrap_or_default(), guard.name_any()));
        there.chain(self.held.guards()).collect()
    }
}

/// Works on all Guards until `until` comes; then ends every task and watch, and returns what came.
pub(crate) async fn run<T>(
    client: Client,
    hub: Arc<Hub>,
    gates: Arc<Gates>,
    teller: Teller,
    namespace: Option<String>,
    until: impl Future<Output = T>,
) -> T {
    let mut tasks = JoinSet::new();
    gates.forget();
    let came = tokio::select! {
        came = until => came,
        never = work(client, (hub, gates), teller, namespace, &mut tasks) => match never {},
    };
    end(tasks).await;
    came
}

/// Ends all tasks and waits until they have: what is not ended may still write.
async fn end(mut tasks: JoinSet<()>) {
    if tokio::time::timeout(END_WITHIN, tasks.shutdown()).await.is_err() {
        tracing::error!("tasks of guards have not ended within {} s", END_WITHIN.as_secs());
    }
}

/// Says in the log and in an Event on the Guard that it cannot be read.
fn unreadable(teller: Teller) -> impl Fn(&InvalidObject) + Send + 'static {
    let log = logged("Guard");
    move |invalid| {
        log(invalid);
        let message = format!(
            "this Guard is not worked on, because this build of Firebreak cannot read it: {}; correct that field, or delete the Guard",
            invalid.error
        );
        let note = Note { reason: "Unreadable".to_owned(), message, warning: true };
        let metadata = invalid.metadata.clone();
        let reference = ObjectReference {
            api_version: Some(Guard::api_version(&()).into_owned()),
            kind: Some(Guard::kind(&()).into_owned()),
            name: metadata.name,
            namespace: metadata.namespace,
            uid: metadata.uid,
            ..ObjectReference::default()
        };
        teller.send(&note, reference);
    }
}

async fn work(
    client: Client,
    (hub, gates): (Arc<Hub>, Arc<Gates>),
    teller: Teller,
    namespace: Option<String>,
    tasks: &mut JoinSet<()>,
) -> Infallible {
    let mut watches = JoinSet::new();
    let bell: Bell = Arc::new(watch::Sender::new(0));
    let (guards, changes, own) = match &namespace {
        Some(namespace) => (
            Api::namespaced(client.clone(), namespace),
            Api::namespaced(client.clone(), namespace),
            Api::namespaced(client.clone(), namespace),
        ),
        None => (Api::all(client.clone()), Api::all(client.clone()), Api::all(client.clone())),
    };
    let trim_guard = |guard: &mut Guard| guard.metadata.managed_fields = None;
    let guards = watch_own(&mut watches, guards, trim_guard, bell.clone(), unreadable(teller.clone()));
    let trim_policy = |policy: &mut ClusterRiskPolicy| policy.metadata.managed_fields = None;
    let cluster = Api::all(client.clone());
    let cluster = watch_own(&mut watches, cluster, trim_policy, bell.clone(), logged("ClusterRiskPolicy"));
    let trim_own = |policy: &mut RiskPolicy| policy.metadata.managed_fields = None;
    let own = watch_own(&mut watches, own, trim_own, bell.clone(), logged("RiskPolicy"));
    let policies = Arc::new(Policies::new(cluster, own));
    watches.spawn(policies::keep(client.clone(), Arc::clone(&policies), bell.subscribe()));
    let held = Held::watch(&mut watches, changes, bell.clone());
    let shared = Arc::new(Shared { guards, policies, held, gates, bell });
    let mut changed = shared.bell.subscribe();
    while !(shared.guards.ready().await && shared.policies.cluster.ready().await) {
        tracing::warn!("Guards or ClusterRiskPolicies cannot be listed yet; are the definitions installed and readable?");
    }
    let mut views: HashMap<String, Weak<View>> = HashMap::new();
    let mut crowded: HashSet<String> = HashSet::new();
    let mut running: HashMap<(String, String), tokio::task::AbortHandle> = HashMap::new();
    loop {
        running.retain(|_, task| !task.is_finished());
        for key in shared.wanted() {
            if running.contains_key(&key) {
                continue;
            }
            if running.len() >= MOST_GUARDS {
                tracing::error!(
                    guard = key.1,
                    namespace = key.0,
                    "more than {MOST_GUARDS} Guards: this one is not worked on; run a second operator with --namespace"
                );
                continue;
            }
            let view = views.get(&key.0).and_then(Weak::upgrade).unwrap_or_else(|| {
                let view = Arc::new(View::open(client.clone(), &key.0));
                views.insert(key.0.clone(), Arc::downgrade(&view));
                view
            });
            let worker = Worker::new(client.clone(), Arc::clone(&hub), teller.clone(), Arc::clone(&shared), view, key.1.clone());
            running.insert(key, tasks.spawn(worker.run()));
        }
        views.retain(|_, view| view.strong_count() > 0);
        crowded.retain(|namespace| views.contains_key(namespace));
        for (namespace, view) in views.iter().filter_map(|(namespace, view)| Some((namespace, view.upgrade()?))) {
            let kinds = view.crowded();
            if !kinds.is_empty() && crowded.insert(namespace.clone()) {
                tracing::error!(
                    namespace,
                    ?kinds,
                    "more objects than one operator is made for: run one of its own for this namespace (--namespace)"
                );
            }
        }
        tokio::select! {
            _ = changed.changed() => {}
            Some(ended) = tasks.join_next() => if let Err(error) = ended {
                tracing::error!(%error, "a guard's task failed; it is begun again");
            },
            () = tokio::time::sleep(SWEEP_EVERY) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// Says when it is dropped.
    struct Mark(Arc<AtomicBool>);

    impl Drop for Mark {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    /// Killed in the middle of a way back, and the Guard is gone when it starts again.
    #[tokio::test]
    async fn given_a_held_change_whose_guard_is_gone_when_the_operator_starts_then_it_is_taken_back() {
        let (server, _) = crate::tests::rollout::rollout();
        server.delete("changes/checkout-1");
        let hub = Arc::new(Hub::new(None, crate::metrics::Limits::default()));
        let teller = Teller::start(server.client(), "test");
        let taken_back = async {
            while crate::tests::rollout::weights(&server)[1].1 > 0 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let until = tokio::time::timeout(Duration::from_secs(20), taken_back);
        run(server.client(), hub, Arc::default(), teller, Some("shop".to_owned()), until).await.unwrap();
    }

    #[tokio::test]
    async fn given_a_task_at_work_when_all_are_ended_then_it_has_ended_before_the_lease_is_given_back() {
        let gone = Arc::new(AtomicBool::new(false));
        let mark = Mark(Arc::clone(&gone));
        let (begun, begins) = tokio::sync::oneshot::channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let _mark = mark;
            begun.send(()).unwrap();
            std::future::pending::<()>().await;
        });
        begins.await.unwrap();
        end(tasks).await;
        assert!(gone.load(Ordering::SeqCst));
    }
}
