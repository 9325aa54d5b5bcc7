//! Watch caches: all reads of Kubernetes objects come from here, so an idle guard costs no API call.
//!
//! Guards and policies are watched once; everything else only in namespaces that hold a Guard ([`View`]), and routes
//! only where a Guard names one. Objects are cut down to what is read. Raw kinds (workloads, ReplicaSets, Services,
//! routes) stay JSON, so that fields this build does not know survive.

mod held;
mod own;

use std::{
    fmt::Debug,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

pub(crate) use held::Held;
pub(crate) use own::{logged, watch_own};

use firebreak_api::{Change, Intervention};
use futures::{FutureExt as _, Stream, StreamExt as _};
use k8s_openapi::api::{core::v1::Pod, discovery::v1::EndpointSlice};
use kube::{
    Api, Client, Resource,
    api::{ApiResource, DynamicObject, GroupVersionKind},
    runtime::{
        WatchStreamExt as _,
        reflector::{self, ObjectRef, Store},
        watcher,
    },
};
use serde::de::DeserializeOwned;
use tokio::{sync::watch, task::JoinSet, time::Instant};

use crate::{keys, metrics::ReadKey};

/// Objects of one page of a first list.
const PAGE: u32 = 500;
/// A watch whose first list takes longer is reported as not usable.
const FIRST_LIST_WITHIN: Duration = Duration::from_secs(10);

/// First lists that no way back needs may take this long before work begins without them.
const REST_WITHIN: Duration = Duration::from_secs(2);

/// Tells that something in a view changed.
pub(crate) type Bell = Arc<watch::Sender<u64>>;

/// `apps/v1` Deployment as raw JSON.
pub(crate) fn deployment() -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("apps", "v1", "Deployment"), "deployments")
}
/// `apps/v1` ReplicaSet as raw JSON.
pub(crate) fn replica_set() -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("apps", "v1", "ReplicaSet"), "replicasets")
}
/// `v1` Service as raw JSON.
pub(crate) fn service() -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("", "v1", "Service"), "services")
}
/// A Gateway API route as raw JSON.
pub(crate) fn route(kind: firebreak_api::guard::RouteKind) -> ApiResource {
    let (kind, plural) = match kind {
        firebreak_api::guard::RouteKind::HTTPRoute => ("HTTPRoute", "httproutes"),
        firebreak_api::guard::RouteKind::GRPCRoute => ("GRPCRoute", "grpcroutes"),
    };
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", kind), plural)
}

/// What a look at one object gave.
#[derive(Debug)]
pub(crate) enum Looked<K> {
    /// It is there.
    Found(Arc<K>),
    /// It does not exist.
    Absent,
    /// It could not be looked at: it may exist.
    Unknown,
}

impl<K> Looked<K> {
    pub(crate) fn found(&self) -> Option<&K> {
        match self {
            Self::Found(object) => Some(object),
            Self::Absent | Self::Unknown => None,
        }
    }
}

impl<K> Clone for Looked<K> {
    fn clone(&self) -> Self {
        match self {
            Self::Found(object) => Self::Found(Arc::clone(object)),
            Self::Absent => Self::Absent,
            Self::Unknown => Self::Unknown,
        }
    }
}

/// One cached kind.
#[derive(Clone)]
pub(crate) struct Cache<K: reflector::Lookup + Clone + 'static>
where
    K::DynamicType: Eq + Hash + Clone,
{
    store: Store<K>,
    dynamic: K::DynamicType,
}

impl<K> Cache<K>
where
    K: reflector::Lookup + Clone + 'static,
    K::DynamicType: Eq + Hash + Clone,
{
    /// For tests: a cache of what is written.
    #[cfg(test)]
    pub(crate) fn of(writer: &reflector::store::Writer<K>) -> Self
    where
        K::DynamicType: Default,
    {
        Self { store: writer.as_reader(), dynamic: K::DynamicType::default() }
    }

    pub(crate) fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.store.get(&ObjectRef::new_with(name, self.dynamic.clone()).within(namespace))
    }

    /// A cluster-wide object.
    pub(crate) fn get_cluster(&self, name: &str) -> Option<Arc<K>> {
        self.store.get(&ObjectRef::new_with(name, self.dynamic.clone()))
    }

    /// How many objects there are.
    pub(crate) fn len(&self) -> usize {
        self.store.len()
    }

    pub(crate) fn all(&self) -> Vec<Arc<K>> {
        self.store.state()
    }

    /// Waits for the first list; false where it did not come in time.
    pub(crate) async fn ready(&self) -> bool {
        matches!(tokio::time::timeout(FIRST_LIST_WITHIN, self.store.wait_until_ready()).await, Ok(Ok(())))
    }

    /// Whether the first list has come: before, an object that is not here may exist all the same.
    pub(crate) fn is_listed(&self) -> bool {
        self.store.wait_until_ready().now_or_never().is_some_and(|listed| listed.is_ok())
    }

    /// An object by name, told apart from one that cannot be looked at.
    pub(crate) fn look(&self, namespace: &str, name: &str) -> Looked<K> {
        match self.get(namespace, name) {
            Some(object) => Looked::Found(object),
            None if self.is_listed() => Looked::Absent,
            None => Looked::Unknown,
        }
    }
}

/// Begins to watch a kind; the watch ends with the task set, and the bell rings for every object that was touched.
pub(crate) fn watch_kind<K>(
    tasks: &mut JoinSet<()>,
    api: Api<K>,
    dynamic: K::DynamicType,
    trim: fn(&mut K),
    bell: Bell,
) -> Cache<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    K::DynamicType: Eq + Hash + Clone + Unpin + Send + Sync + 'static,
{
    let writer = reflector::store::Writer::<K>::new(dynamic.clone());
    let store = writer.as_reader();
    let config = watcher::Config::default().page_size(PAGE);
    let kind = K::kind(&dynamic).into_owned();
    let stream = watcher(api, config).modify(trim).default_backoff().reflect(writer);
    tasks.spawn(ring(stream, bell, kind));
    Cache { store, dynamic }
}

/// Follows a watch, and rings for every object that was touched.
async fn ring<K>(stream: impl Stream<Item = watcher::Result<watcher::Event<K>>>, bell: Bell, kind: String) {
    let mut stream = std::pin::pin!(stream);
    while let Some(event) = stream.next().await {
        match event {
            Ok(watcher::Event::Init | watcher::Event::InitApply(_)) => {}
            Ok(_) => {
                bell.send_modify(|count| *count = count.wrapping_add(1));
            }
            Err(error) => tracing::warn!(kind, %error, "watch interrupted; it is begun again"),
        }
    }
}

/// Everything in one namespace that guards of it may need.
pub(crate) struct View {
    pub(crate) deployments: Cache<DynamicObject>,
    pub(crate) replica_sets: Cache<DynamicObject>,
    pub(crate) services: Cache<DynamicObject>,
    pub(crate) pods: Cache<Pod>,
    pub(crate) slices: Cache<EndpointSlice>,
    pub(crate) changes: Cache<Change>,
    pub(crate) interventions: Cache<Intervention>,
    routes: Mutex<Routes>,
    bell: Bell,
    namespace: String,
    client: Client,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Routes {
    http: Option<RouteKind>,
    grpc: Option<RouteKind>,
    tasks: JoinSet<()>,
}

/// One kind of route in a namespace.
#[derive(Clone)]
pub(crate) struct RouteKind {
    pub(crate) cache: Cache<DynamicObject>,
    begun: Instant,
}

impl RouteKind {
    /// Whether the first list should have come by now and has not.
    pub(crate) fn is_overdue(&self) -> bool {
        !self.cache.is_listed() && self.begun.elapsed() >= FIRST_LIST_WITHIN
    }
}

impl View {
    /// Begins to watch a namespace.
    pub(crate) fn open(client: Client, namespace: &str) -> Self {
        let mut tasks = JoinSet::new();
        let bell: Bell = Arc::new(watch::Sender::new(0));
        let raw = |tasks: &mut JoinSet<()>, kind: ApiResource, trim: fn(&mut DynamicObject)| {
            let api = Api::namespaced_with(client.clone(), namespace, &kind);
            watch_kind(tasks, api, kind, trim, bell.clone())
        };
        let deployments = raw(&mut tasks, deployment(), without_managers);
        let replica_sets = raw(&mut tasks, replica_set(), without_managers);
        let services = raw(&mut tasks, service(), managers_in_brief);
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let pods = watch_kind(&mut tasks, pods, (), trim_pod, bell.clone());
        let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), namespace);
        let slices = watch_kind(&mut tasks, slices, (), |slice| slice.metadata.managed_fields = None, bell.clone());
        let changes = Api::namespaced(client.clone(), namespace);
        let changes = watch_own::<Change>(&mut tasks, changes, trim_change, bell.clone(), logged("Change"));
        let acts = Api::namespaced(client.clone(), namespace);
        let trim_act = |act: &mut Intervention| act.metadata.managed_fields = None;
        let interventions = watch_own(&mut tasks, acts, trim_act, bell.clone(), logged("Intervention"));
        Self {
            deployments,
            replica_sets,
            services,
            pods,
            slices,
            changes,
            interventions,
            routes: Mutex::default(),
            bell,
            namespace: namespace.to_owned(),
            client,
            _tasks: tasks,
        }
    }

    /// The namespace.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Reads the keys that a Guard of the namespace names.
    pub(crate) fn read_key(&self) -> ReadKey {
        keys::of(&self.client, &self.namespace)
    }

    /// Rings when anything in the namespace changed.
    pub(crate) fn bell(&self) -> watch::Receiver<u64> {
        self.bell.subscribe()
    }

    /// Waits for the first list of the kinds without which nothing can be told of a Change; the kind that did not come in
    /// time. Those that only lead on get a moment, and are missed by what needs them.
    pub(crate) async fn ready(&self) -> Result<(), &'static str> {
        let rest = async { tokio::join!(self.slices.ready(), self.interventions.ready()) };
        let (deployments, replica_sets, services, pods, changes, _) = tokio::join!(
            self.deployments.ready(),
            self.replica_sets.ready(),
            self.services.ready(),
            self.pods.ready(),
            self.changes.ready(),
            tokio::time::timeout(REST_WITHIN, rest),
        );
        let lists = [
            ("deployments", deployments),
            ("replicasets", replica_sets),
            ("services", services),
            ("pods", pods),
            ("changes", changes),
        ];
        lists.into_iter().find(|(_, ready)| !ready).map_or(Ok(()), |(kind, _)| Err(kind))
    }

    /// A kind of route, begun to be watched on first use. It does not wait for the first list.
    pub(crate) fn routes(&self, kind: firebreak_api::guard::RouteKind) -> RouteKind {
        let mut guarded = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let routes = &mut *guarded;
        let known = match kind {
            firebreak_api::guard::RouteKind::HTTPRoute => &mut routes.http,
            firebreak_api::guard::RouteKind::GRPCRoute => &mut routes.grpc,
        };
        let begin = || {
            let resource = route(kind);
            let api = Api::namespaced_with(self.client.clone(), &self.namespace, &resource);
            let cache = watch_kind(&mut routes.tasks, api, resource, managers_in_brief, self.bell.clone());
            RouteKind { cache, begun: Instant::now() }
        };
        known.get_or_insert_with(begin).clone()
    }
}

fn without_managers(object: &mut DynamicObject) {
    object.metadata.managed_fields = None;
}

/// What of a manager's fields is kept: whether it wrote a route's rules or a Service's selector.
const CONTENDED: [&str; 2] = ["f:rules", "f:selector"];

/// Managers stay (they are named in reports of contention), with which of the contended fields they wrote; the rest goes.
fn managers_in_brief(object: &mut DynamicObject) {
    for entry in object.metadata.managed_fields.iter_mut().flatten() {
        let spec = entry.fields_v1.as_ref().and_then(|fields| fields.0.get("f:spec"));
        let written = CONTENDED.iter().filter(|field| spec.is_some_and(|spec| spec.get(*field).is_some()));
        let kept: serde_json::Map<String, serde_json::Value> =
            written.map(|field| ((*field).to_owned(), serde_json::json!({}))).collect();
        entry.fields_v1 = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::FieldsV1(serde_json::json!({"f:spec": kept})));
    }
}

fn trim_pod(pod: &mut Pod) {
    pod.metadata.managed_fields = None;
    pod.metadata.annotations = None;
    pod.spec = None;
}

/// Ended Changes are read for their outcome only; what a running one remembers is read from its status once.
fn trim_change(change: &mut Change) {
    change.metadata.managed_fields = None;
    if let Some(status) = change.status.as_mut().filter(|status| status.phase.ended()) {
        status.memory = None;
        status.decisions.clear();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use serde_json::json;

    use super::*;

    #[test]
    fn given_a_manager_of_hostnames_alone_when_trimmed_then_it_is_not_said_to_write_the_rules() {
        let mut route: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": "shop", "managedFields": [
                {"manager": "gitops", "time": "2026-01-01T00:00:00Z",
                 "fieldsV1": {"f:spec": {"f:rules": {"k": {}}, "f:hostnames": {}}}},
                {"manager": "dns", "time": "2026-01-01T00:00:05Z", "fieldsV1": {"f:spec": {"f:hostnames": {}}}},
                {"manager": "traefik", "time": "2026-01-01T00:00:09Z", "fieldsV1": {"f:status": {}}},
            ]},
        }))
        .unwrap();
        managers_in_brief(&mut route);
        let route = serde_json::to_value(&route).unwrap();
        assert_eq!(
            crate::traffic::route::other_manager(&route, crate::traffic::route::Contended::Rules).as_deref(),
            Some("gitops")
        );
        assert_eq!(route["metadata"]["managedFields"][0]["fieldsV1"], json!({"f:spec": {"f:rules": {}}}));
    }
}
