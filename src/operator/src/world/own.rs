//! Watches of Firebreak's own kinds: one object that this build cannot read is told and left out, the others are watched on.
//!
//! A typed list is all or nothing: without this, one such object would stop every guard of the cluster.

use std::fmt::Debug;

use futures::{StreamExt as _, future};
use kube::{
    Api, Resource,
    core::{DeserializeGuard, error_boundary::InvalidObject},
    runtime::{
        WatchStreamExt as _,
        reflector::{self, ObjectRef, Store},
        watcher::{self, watcher},
    },
};
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;

use super::{Bell, Cache, PAGE, View, ring};

/// Begins to watch one of our own kinds; `bad` hears of every object that cannot be read.
pub(crate) fn watch_own<K>(
    tasks: &mut JoinSet<()>,
    api: Api<DeserializeGuard<K>>,
    trim: fn(&mut K),
    bell: Bell,
    bad: impl Fn(&InvalidObject) + Send + 'static,
) -> Cache<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let writer = reflector::store::Writer::<K>::new(());
    let (store, known) = (writer.as_reader(), writer.as_reader());
    let kind = K::kind(&()).into_owned();
    let config = watcher::Config::default().page_size(PAGE);
    let read = watcher(api, config).filter_map(move |event| {
        future::ready(match event {
            Ok(event) => readable(event, &known, &bad).map(Ok),
            Err(error) => Some(Err(error)),
        })
    });
    tasks.spawn(ring(read.modify(trim).default_backoff().reflect(writer), bell, kind));
    Cache { store, dynamic: () }
}

/// What an event means for the objects that can be read. One that became unreadable stays as it was last read.
fn readable<K>(
    event: watcher::Event<DeserializeGuard<K>>,
    known: &Store<K>,
    bad: &impl Fn(&InvalidObject),
) -> Option<watcher::Event<K>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let told = |object: DeserializeGuard<K>| object.0.map_err(|invalid| bad(&invalid)).ok();
    match event {
        watcher::Event::Init => Some(watcher::Event::Init),
        watcher::Event::InitDone => Some(watcher::Event::InitDone),
        watcher::Event::InitApply(object) => told(object).map(watcher::Event::InitApply),
        watcher::Event::Apply(object) => told(object).map(watcher::Event::Apply),
        watcher::Event::Delete(DeserializeGuard(Ok(object))) => Some(watcher::Event::Delete(object)),
        watcher::Event::Delete(DeserializeGuard(Err(invalid))) => {
            let name = invalid.metadata.name.unwrap_or_default();
            let named = ObjectRef::new(&name);
            let named = invalid.metadata.namespace.iter().fold(named, |named, namespace| named.within(namespace));
            known.get(&named).map(|object| watcher::Event::Delete(K::clone(&object)))
        }
    }
}

/// Objects of one kind in one namespace that this operator is made for: some 100 MB of ReplicaSets, and scans that a turn can
/// afford. Nothing is dropped beyond it, because a pod that is not seen is a pod that is not judged; it is said.
const MOST_OBJECTS: usize = 20_000;

impl View {
    /// The kinds of which the namespace holds more than this operator is made for, with how many.
    pub(crate) fn crowded(&self) -> Vec<(&'static str, usize)> {
        beyond(
            [
                ("Deployments", self.deployments.len()),
                ("ReplicaSets", self.replica_sets.len()),
                ("Services", self.services.len()),
                ("pods", self.pods.len()),
                ("EndpointSlices", self.slices.len()),
                ("Changes", self.changes.len()),
                ("Interventions", self.interventions.len()),
            ],
            MOST_OBJECTS,
        )
    }
}

fn beyond(sizes: impl IntoIterator<Item = (&'static str, usize)>, limit: usize) -> Vec<(&'static str, usize)> {
    sizes.into_iter().filter(|(_, size)| *size > limit).collect()
}

/// Says in the log that an object is left out.
pub(crate) fn logged(kind: &'static str) -> impl Fn(&InvalidObject) + Send + 'static {
    move |invalid| {
        let (name, namespace) = (invalid.metadata.name.as_deref(), invalid.metadata.namespace.as_deref());
        tracing::error!(kind, name, namespace, error = %invalid.error, "this build cannot read the object; it is left out, correct or delete it");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use firebreak_api::Guard;
    use serde_json::{Value, json};

    use super::*;
    use crate::fake;

    fn guard(name: &str, slower_than: &str) -> Value {
        let mut guard = serde_json::to_value(fake::guard(name)).unwrap();
        guard["spec"]["metrics"]["signals"] = json!([{"name": "slow", "histogram": "h", "slowerThan": slower_than}]);
        guard
    }

    fn listed(guards: &[Value]) -> Value {
        json!({"apiVersion": "firebreak.dev/v1alpha1", "kind": "GuardList", "metadata": {"resourceVersion": "1"}, "items": guards})
    }

    #[tokio::test]
    async fn given_one_guard_that_cannot_be_read_when_listed_then_the_others_are_there_and_it_is_told() {
        let (client, _) = fake::client(|asked: fake::Asked| async move {
            if asked.path.contains("watch=true") {
                std::future::pending::<()>().await;
            }
            (200, listed(&[guard("good", "300ms"), guard("bad", "99999999999999999999h")]))
        });
        let (mut tasks, told) = (JoinSet::new(), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&told);
        let bad = move |invalid: &InvalidObject| {
            assert_eq!(invalid.metadata.name.as_deref(), Some("bad"));
            count.fetch_add(1, Ordering::SeqCst);
        };
        let cache = watch_own::<Guard>(&mut tasks, Api::all(client), |_| {}, Bell::default(), bad);
        assert!(cache.ready().await);
        assert!(cache.get("shop", "good").is_some() && cache.get("shop", "bad").is_none());
        assert_eq!(told.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn given_more_objects_than_the_limit_when_asked_then_their_kind_is_named() {
        assert_eq!(beyond([("pods", 21), ("Services", 20)], 20), [("pods", 21)]);
    }

    #[test]
    fn given_a_guard_that_became_unreadable_when_it_is_deleted_then_it_is_gone_from_the_cache() {
        let mut writer = reflector::store::Writer::<Guard>::new(());
        writer.apply_watcher_event(&watcher::Event::Apply(fake::guard("shop")));
        let store = writer.as_reader();
        let bad = || serde_json::from_value::<DeserializeGuard<Guard>>(guard("shop", "99999999999999999999h")).unwrap();
        assert!(readable(watcher::Event::Apply(bad()), &store, &|_| {}).is_none());
        let gone = readable(watcher::Event::Delete(bad()), &store, &|_| {});
        assert!(matches!(gone, Some(watcher::Event::Delete(guard)) if guard.metadata.name.as_deref() == Some("shop")));
    }
}
