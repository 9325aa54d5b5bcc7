//! Act: carries out effects, one after another, each idempotent and with a time limit of its own.
//!
//! The first that fails ends the turn; the next turn sees what is and decides what is still to be done. Taking shares
//! from a candidate is different: all routes at once, tried again on the live object, with no test but identity.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use firebreak_api::{
    Change,
    change::{RouteRecord, RuleRecord},
    guard::RouteRef,
    names, template,
};
use firebreak_engine::{Effect, Note, units::Weight};
use futures::future::join_all;
use kube::{
    Api, Client, Resource as _, ResourceExt as _,
    api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::{
    observe::{Live, Objects, is_of, records_of},
    raw,
    traffic::{self, Backends, route, service},
    world::{self, Looked},
};

/// Each write to the API server ends within this.
const WRITE_WITHIN: Duration = Duration::from_secs(5);
/// Times a route is read and its candidate's weight zeroed before the turn is given up (the next begins at once).
const ZERO_TRIES: u32 = 3;

/// An effect that did not work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ActError {
    /// The API server said no, or nothing.
    #[error("{what}: {source}")]
    Api {
        /// What was tried.
        what: String,
        /// What it said.
        source: kube::Error,
    },
    /// No answer in time.
    #[error("{0}: the API server did not answer within 5 s; it is tried again")]
    TimedOut(String),
    /// An object that the effect is about is not there (yet).
    #[error("{0} is not there (yet); it is looked for again")]
    Missing(String),
    /// The traffic functions refuse, with the remedy.
    #[error("{0}")]
    Traffic(String),
}

impl ActError {
    /// Whether the write rested on a reading that no longer holds: a conflict, or a test of a JSON patch that failed.
    fn is_stale(&self) -> bool {
        matches!(self, Self::Api { source: kube::Error::Api(status), .. } if status.is_conflict() || status.is_invalid())
    }
}

/// Carries out effects of one Change.
pub(crate) struct Actor<'a> {
    pub(crate) client: &'a Client,
    pub(crate) change: &'a Change,
    pub(crate) objects: &'a Objects,
    pub(crate) records: &'a [RouteRecord],
    going_back: bool,
    /// What people should know of what did not work, each with the object that it is about.
    notes: Mutex<Vec<(String, Note)>>,
}

impl<'a> Actor<'a> {
    pub(crate) fn new(client: &'a Client, change: &'a Change, objects: &'a Objects, records: &'a [RouteRecord]) -> Self {
        Self { client, change, objects, records, going_back: false, notes: Mutex::default() }
    }

    /// The Change is on its way back: its candidate gets no request any more, whatever that takes.
    pub(crate) fn going_back(self, going_back: bool) -> Self {
        Self { going_back, ..self }
    }

    /// What people should know, each with the object that it is about.
    pub(crate) fn into_notes(self) -> Vec<(String, Note)> {
        self.notes.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Actor<'_> {
    /// Carries out effects in order, up to the first that fails.
    pub(crate) async fn run(&self, effects: &[Effect]) -> Result<(), ActError> {
        for effect in effects {
            tracing::info!(change = %self.change.name_any(), ?effect, "acting");
            self.one(effect).await?;
        }
        Ok(())
    }

    async fn one(&self, effect: &Effect) -> Result<(), ActError> {
        match effect {
            Effect::Hold => self.hold().await,
            Effect::Pin => self.pin().await,
            Effect::MakeCandidateService => self.make_candidate_service().await,
            Effect::MakeCandidate { replicas } => self.make_candidate(*replicas).await,
            Effect::ScaleCandidate { replicas } => self.scale(*replicas).await,
            Effect::SetWeight(weight) => self.set_weight(*weight).await,
            Effect::ZeroWeight => self.zero_weight().await,
            Effect::Unpin => self.unpin().await,
            Effect::HandOver { replicas } => self.hand_over(*replicas).await,
            Effect::GiveBack => self.give_back().await,
            Effect::Resume => self.resume().await,
            Effect::RestoreRoutes => self.restore_routes().await,
            Effect::RemoveCandidateService => self.remove_candidate_service().await,
            Effect::RestoreTemplate => self.restore_template().await,
        }
    }

    fn api(&self, kind: ApiResource) -> Api<DynamicObject> {
        self.hand().api(kind)
    }

    fn backends<'n>(&'n self, candidate: &'n str) -> Option<Backends<'n>> {
        let traffic = self.change.spec.traffic.as_ref()?;
        Some(Backends { service: &traffic.service, candidate })
    }

    fn candidate_service_name(&self) -> String {
        self.change.spec.traffic.as_ref().map(|traffic| names::candidate_service(&traffic.service)).unwrap_or_default()
    }

    async fn merge(&self, kind: ApiResource, name: &str, patch: Value) -> Result<(), ActError> {
        let what = format!("patch {} {name}", kind.kind);
        let api = self.api(kind);
        within(what, api.patch(name, &patch_params(), &Patch::Merge(patch))).await?;
        Ok(())
    }

    async fn json(&self, kind: ApiResource, name: &str, patch: Value) -> Result<(), ActError> {
        self.hand().json(kind, name, patch).await
    }

    fn hand(&self) -> Hand<'_> {
        Hand { client: self.client, namespace: self.change.metadata.namespace.as_deref().unwrap_or_default() }
    }

    async fn hold(&self) -> Result<(), ActError> {
        hold(
            self.client,
            self.change.namespace().as_deref().unwrap_or_default(),
            &self.change.spec.target.name,
            &self.change.spec.guard,
        )
        .await
    }

    /// Writes the pin's annotation; the admission policy makes the selector follow, owned by nobody, so that the user's own
    /// server-side apply does not conflict. Where there is no policy the selector is written here.
    async fn pin(&self) -> Result<(), ActError> {
        let Some(object) = self.objects.service.found() else { return Err(ActError::Missing("the Service to pin".to_owned())) };
        let hash = &self.change.spec.stable.hash;
        // Refuses what cannot be pinned, before anything is written.
        service::pin(&raw::whole(object), hash).map_err(|error| ActError::Traffic(error.to_string()))?;
        let answer = self.hand().annotate_pin(&object.name_any(), json!(hash), false).await?;
        match service::pin(&raw::whole(&answer), hash).map_err(|error| ActError::Traffic(error.to_string()))? {
            Some(patch) => self.json(world::service(), &object.name_any(), patch.into_value()).await,
            None => Ok(()),
        }
    }

    async fn unpin(&self) -> Result<(), ActError> {
        let object = match &self.objects.service {
            Looked::Found(object) => object,
            Looked::Absent => return Ok(()),
            Looked::Unknown => return Err(ActError::Missing("the Service to unpin".to_owned())),
        };
        self.hand().unpin(object).await
    }

    fn labels(&self) -> BTreeMap<String, String> {
        let change = self.change.name_any();
        BTreeMap::from([
            (names::GUARD_LABEL.to_owned(), names::bounded_name(&self.change.spec.guard, 63)),
            (names::CHANGE_LABEL.to_owned(), names::bounded_name(&change, 63)),
        ])
    }

    fn owner(&self) -> Value {
        self.change.controller_owner_ref(&()).and_then(|owner| serde_json::to_value(owner).ok()).unwrap_or(Value::Null)
    }

    async fn make_candidate_service(&self) -> Result<(), ActError> {
        let Some(object) = self.objects.service.found() else {
            return Err(ActError::Missing("the Service to divide".to_owned()));
        };
        let name = self.candidate_service_name();
        let hash = &self.change.spec.candidate.hash;
        let built = service::candidate_service(&raw::whole(object), &name, hash, &self.owner(), &self.labels())
            .map_err(|error| ActError::Traffic(error.to_string()))?;
        self.create(world::service(), built).await
    }

    async fn remove_candidate_service(&self) -> Result<(), ActError> {
        let name = self.candidate_service_name();
        let ours = self.objects.candidate_service.as_ref().filter(|service| {
            service.owner_references().iter().any(|owner| Some(&owner.uid) == self.change.metadata.uid.as_ref())
        });
        if ours.is_none() {
            return Err(ActError::Traffic(format!(
                "Service {name} was not made by this Change and is left alone; rename or delete it"
            )));
        }
        let api = self.api(world::service());
        let gone = within(format!("delete Service {name}"), api.delete(&name, &DeleteParams::default())).await;
        absent_is_fine(gone.map(|_| ()))
    }

    async fn create(&self, kind: ApiResource, object: Value) -> Result<(), ActError> {
        let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let what = format!("create {} {name}", kind.kind);
        let object: DynamicObject =
            serde_json::from_value(object).map_err(|error| ActError::Traffic(format!("{what}: {error}")))?;
        let params = PostParams { field_manager: Some(names::FIELD_MANAGER.to_owned()), ..PostParams::default() };
        match within(what, self.api(kind).create(&params, &object)).await {
            Err(ActError::Api { source: kube::Error::Api(status), .. }) if status.is_already_exists() => Ok(()),
            other => other.map(|_| ()),
        }
    }

    /// Makes the candidate's ReplicaSet, takes over the one that is there, or changes its size.
    async fn make_candidate(&self, replicas: u32) -> Result<(), ActError> {
        match &self.objects.candidate {
            Some(object)
                if raw::controller(object).is_some_and(|owner| Some(&owner.uid) == self.change.metadata.uid.as_ref()) =>
            {
                self.scale(replicas).await
            }
            Some(object) => self.take_over(object, replicas).await,
            None => {
                let built = self.candidate_replica_set(replicas)?;
                self.create(world::replica_set(), built).await
            }
        }
    }

    async fn scale(&self, replicas: u32) -> Result<(), ActError> {
        let name = &self.change.spec.candidate.replica_set;
        let patched = self.merge(world::replica_set(), name, json!({"spec": {"replicas": replicas}})).await;
        absent_is_fine(patched)
    }

    async fn take_over(&self, object: &DynamicObject, replicas: u32) -> Result<(), ActError> {
        let labels = self.labels();
        let patch = json!({
            "metadata": {"uid": object.uid(), "resourceVersion": object.resource_version(), "labels": labels, "ownerReferences": [self.owner()]},
            "spec": {"replicas": replicas},
        });
        self.merge(world::replica_set(), &object.name_any(), patch).await
    }

    fn candidate_replica_set(&self, replicas: u32) -> Result<Value, ActError> {
        let deployment = self.deployment()?;
        let template = raw::pod_template(deployment)
            .filter(|template| template::hash(template) == self.change.spec.candidate.template)
            .ok_or_else(|| ActError::Missing("the candidate's template".to_owned()))?;
        let hash = &self.change.spec.candidate.hash;
        let template = template::with_hash(template, hash);
        let mut selector = object_at(raw::at(deployment, "/spec/selector"));
        let mut match_labels = object_at(selector.get("matchLabels"));
        match_labels.insert(names::POD_TEMPLATE_HASH.to_owned(), Value::from(hash.as_str()));
        selector.insert("matchLabels".to_owned(), Value::Object(match_labels));
        let mut labels = object_at(template.pointer("/metadata/labels"));
        labels.extend(self.labels().into_iter().map(|(key, value)| (key, Value::from(value))));
        Ok(json!({
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": self.change.spec.candidate.replica_set,
                "namespace": self.change.namespace(),
                "labels": labels,
                "ownerReferences": [self.owner()],
            },
            "spec": {
                "replicas": replicas,
                "minReadySeconds": raw::number(deployment, "/spec/minReadySeconds").unwrap_or(0),
                "selector": selector,
                "template": template,
            },
        }))
    }

    fn deployment(&self) -> Result<&DynamicObject, ActError> {
        self.objects
            .deployment
            .as_deref()
            .ok_or_else(|| ActError::Missing(format!("Deployment {}", self.change.spec.target.name)))
    }

    fn named_routes(&self) -> impl Iterator<Item = (&RouteRef, &Looked<DynamicObject>)> {
        let routes = self.change.spec.traffic.iter().flat_map(|traffic| &traffic.routes);
        routes.zip(&self.objects.routes)
    }

    async fn set_weight(&self, weight: Weight) -> Result<(), ActError> {
        let candidate = self.candidate_service_name();
        let Some(backends) = self.backends(&candidate) else { return Ok(()) };
        for (named, object) in self.named_routes() {
            let Some(object) = object.found() else {
                return Err(ActError::Missing(format!("{:?} {}", named.kind, named.name)));
            };
            let weight = traffic::Weight::from_permille(u32::from(weight.as_permille()));
            let patch = route::split(&raw::whole(object), backends, records_of(self.records, named, object), weight)
                .map_err(|error| ActError::Traffic(error.to_string()))?;
            if let Some(patch) = patch {
                self.json(world::route(named.kind), &named.name, patch.into_value()).await?;
            }
        }
        Ok(())
    }

    async fn zero_weight(&self) -> Result<(), ActError> {
        let candidate = self.candidate_service_name();
        let Some(backends) = self.backends(&candidate) else { return Ok(()) };
        let all = self.named_routes();
        let zeroed = all.map(|(named, looked)| async move {
            let zeroed = self.zero_route(named, looked.found(), backends).await;
            // Only then: the candidate's Service does not come back from there.
            if let (Err(error), true) = (&zeroed, self.going_back) {
                self.land_on_stable(named, looked.found(), backends, error).await;
            }
            zeroed
        });
        join_all(zeroed).await.into_iter().collect()
    }

    /// Where a route cannot be written, its share is made to land on stable: the candidate's Service is our own, and it is
    /// pointed at stable's pods.
    async fn land_on_stable(&self, named: &RouteRef, known: Option<&DynamicObject>, backends: Backends<'_>, error: &ActError) {
        let share = known.and_then(|object| route::candidate_share(&raw::whole(object), backends));
        let share = share.map_or_else(|| "its share".to_owned(), |share| format!("{:.1} %", share.permille() / 10.0));
        let (service, hash) = (backends.candidate, &self.change.spec.stable.hash);
        let namespace = self.change.namespace().unwrap_or_default();
        let title = format!("{:?} {namespace}/{}", named.kind, named.name);
        let advice = format!("Let the operator's service account patch {title}; it is tried again every turn");
        let own = self.objects.candidate_service.as_deref().filter(|service| is_of(service, self.change));
        let follows = match own {
            None => format!("There is no Service {service} of this Change to point at stable. {advice}"),
            Some(object) => {
                let selector = json!({(names::POD_TEMPLATE_HASH): hash});
                let patch = json!({"metadata": {"uid": object.uid()}, "spec": {"selector": selector}});
                let landed = raw::at(object, &format!("/spec/selector/{}", names::POD_TEMPLATE_HASH));
                let landed = landed.and_then(Value::as_str) == Some(hash.as_str());
                let done = if landed { Ok(()) } else { self.merge(world::service(), service, patch).await };
                match done {
                    Ok(()) => format!(
                        "Service {service} now selects stable's pods ({}={hash}), so stable answers that share. {advice}",
                        names::POD_TEMPLATE_HASH
                    ),
                    Err(other) => format!(
                        "Service {service} could not be pointed at stable's pods either ({other}). Take {service} out of the route's \
                         backendRefs by hand. {advice}"
                    ),
                }
            }
        };
        let message = format!("{title} cannot be written, so it still gives {share} to the candidate ({error}). {follows}");
        tracing::warn!(change = %self.change.name_any(), "{message}");
        let note = Note { reason: "RouteNotWritable".to_owned(), message, warning: true };
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).push((title, note));
    }

    /// Pods that the native controller started from the candidate's template serve nobody: a `kubectl rollout resume` where
    /// no policy keeps the hold lets it make a ReplicaSet of its own beside the candidate's.
    pub(crate) async fn put_away(&self) {
        for set in &self.objects.strays {
            let (name, target) = (set.name_any(), &self.change.spec.target.name);
            let patch = json!({"metadata": {"uid": set.uid()}, "spec": {"replicas": 0}});
            let done = match self.merge(world::replica_set(), &name, patch).await {
                Ok(()) => "Firebreak scaled it to 0".to_owned(),
                Err(error) => format!("Firebreak could not scale it to 0 yet ({error}) and tries again every turn"),
            };
            let pods = raw::number(set, "/status/replicas").unwrap_or(0).max(raw::replicas(set));
            let stable = self.objects.stable.as_deref().map_or(0, raw::replicas);
            let pinned = self.objects.service.found().and_then(|service| service::pinned_to(&raw::whole(service)));
            let served = if pinned.as_ref() == Some(&self.change.spec.stable.hash) {
                "the Service is pinned to stable and sent them nothing".to_owned()
            } else {
                format!(
                    "nothing keeps them out of the Services, so they may have had {pods} pods' share beside stable's {stable}"
                )
            };
            let guard = format!("{} -n {}", self.change.spec.guard, self.change.namespace().unwrap_or_default());
            let message = format!(
                "Deployment {target} was resumed while its template is under judgement, and the native controller started ReplicaSet \
                 {name} ({pods} pods) from it, which nobody judges: {served}. {done}; the Deployment is paused again. To let the \
                 template through: kubectl firebreak promote {guard} --reason '...'; to drop it: kubectl firebreak abort {guard}"
            );
            tracing::warn!(change = %self.change.name_any(), "{message}");
            let note = Note { reason: "StartedUnheld".to_owned(), message, warning: true };
            self.notes.lock().unwrap_or_else(PoisonError::into_inner).push((format!("ReplicaSet {name}"), note));
        }
    }

    /// A route that no cache has is asked for by name: what was not seen may carry the candidate all the same.
    async fn zero_route(&self, named: &RouteRef, known: Option<&DynamicObject>, backends: Backends<'_>) -> Result<(), ActError> {
        let mut object = match known {
            Some(object) => object.clone(),
            None => match self.hand().live(named).await? {
                Some(object) => object,
                None => return Ok(()),
            },
        };
        let mut last = Ok(());
        for _ in 0..ZERO_TRIES {
            let Some(patch) = route::zero(&raw::whole(&object), backends, records_of(self.records, named, &object)) else {
                return Ok(());
            };
            last = self.json(world::route(named.kind), &named.name, patch.into_value()).await;
            match &last {
                Ok(()) => return Ok(()),
                // Not for what was read: reading it again does not help, and the next turn comes at once.
                Err(error) if !error.is_stale() => return last,
                Err(error) => {
                    tracing::warn!(%error, route = named.name, "the candidate's share is not 0 yet; reading the route again")
                }
            }
            object = match self.hand().live(named).await? {
                Some(object) => object,
                None => return Ok(()),
            };
        }
        last
    }

    /// The named routes that no cache can tell of, one by one from the API server, all at once.
    pub(crate) async fn look(&self) -> Live {
        let all = self.named_routes().map(|(named, _)| async {
            match self.hand().live(named).await {
                Ok(Some(object)) => Looked::Found(Arc::new(object)),
                Ok(None) => Looked::Absent,
                Err(error) => {
                    tracing::warn!(change = %self.change.name_any(), %error, "a route cannot be looked at; it counts as carrying the candidate");
                    Looked::Unknown
                }
            }
        });
        join_all(all).await
    }

    async fn restore_routes(&self) -> Result<(), ActError> {
        let candidate = self.candidate_service_name();
        let Some(backends) = self.backends(&candidate) else { return Ok(()) };
        for (named, object) in self.named_routes() {
            let object = match object {
                Looked::Found(object) => object,
                Looked::Absent => continue,
                Looked::Unknown => return Err(ActError::Missing(format!("{:?} {}", named.kind, named.name))),
            };
            self.hand().restore(named, object, backends, records_of(self.records, named, object)).await?;
        }
        Ok(())
    }

    /// One guarded patch: the ReplicaSet's controller becomes the Deployment, and it already carries the annotations by
    /// which the native controller sees it at full size.
    async fn hand_over(&self, replicas: u32) -> Result<(), ActError> {
        let deployment = self.deployment()?;
        let Some(object) = &self.objects.candidate else {
            return Err(ActError::Missing("the candidate's ReplicaSet".to_owned()));
        };
        let largest = replicas.saturating_add(raw::max_surge(deployment));
        let patch = json!({
            "metadata": {
                "uid": object.uid(),
                "resourceVersion": object.resource_version(),
                "annotations": {
                    (names::DESIRED_REPLICAS): replicas.to_string(),
                    (names::MAX_REPLICAS): largest.to_string(),
                },
                "labels": {(names::GUARD_LABEL): null, (names::CHANGE_LABEL): null},
                "ownerReferences": [workload_owner(deployment)],
            },
        });
        self.merge(world::replica_set(), &object.name_any(), patch).await
    }

    async fn give_back(&self) -> Result<(), ActError> {
        let Some(object) = &self.objects.candidate else { return Ok(()) };
        let Some(deployment) = self.objects.deployment.as_deref() else { return Ok(()) };
        let patch = json!({
            "metadata": {
                "uid": object.uid(),
                "resourceVersion": object.resource_version(),
                "labels": {(names::GUARD_LABEL): null, (names::CHANGE_LABEL): null},
                "ownerReferences": [workload_owner(deployment)],
            },
            "spec": {"replicas": 0},
        });
        self.merge(world::replica_set(), &object.name_any(), patch).await
    }

    async fn resume(&self) -> Result<(), ActError> {
        let deployment = self.deployment()?;
        let patch = json!({
            "metadata": {
                "uid": deployment.uid(),
                "resourceVersion": deployment.resource_version(),
                "annotations": {(names::HELD): null, (names::CHANGED_BY): null},
            },
            "spec": {"paused": null},
        });
        self.merge(world::deployment(), &deployment.name_any(), patch).await
    }

    async fn restore_template(&self) -> Result<(), ActError> {
        let deployment = self.deployment()?;
        let Some(stable) = self.objects.stable.as_deref() else {
            return Err(ActError::Missing("stable's ReplicaSet".to_owned()));
        };
        let Some(template) = raw::pod_template(stable) else { return Err(ActError::Missing("stable's template".to_owned())) };
        let patch = json!([
            {"op": "test", "path": "/metadata/resourceVersion", "value": deployment.resource_version()},
            {"op": "replace", "path": "/spec/template", "value": template::normalized(template)},
        ]);
        self.json(world::deployment(), &deployment.name_any(), patch).await
    }
}

/// Writes in one namespace, for whoever has no Change to act for.
pub(crate) struct Hand<'a> {
    pub(crate) client: &'a Client,
    pub(crate) namespace: &'a str,
}

impl Hand<'_> {
    fn api(&self, kind: ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), self.namespace, &kind)
    }

    async fn json(&self, kind: ApiResource, name: &str, patch: Value) -> Result<(), ActError> {
        let what = format!("patch {} {name}", kind.kind);
        let patch: json_patch::Patch =
            serde_json::from_value(patch).map_err(|error| ActError::Traffic(format!("{what}: {error}")))?;
        let api = self.api(kind);
        within(what, api.patch(name, &patch_params(), &Patch::Json::<()>(patch))).await?;
        Ok(())
    }

    /// A route as the API server has it now; `None` where there is none, or no such kind.
    pub(crate) async fn live(&self, named: &RouteRef) -> Result<Option<DynamicObject>, ActError> {
        let api = self.api(world::route(named.kind));
        match within(format!("get {:?} {}", named.kind, named.name), api.get(&named.name)).await {
            Ok(object) => Ok(Some(object)),
            Err(ActError::Api { source: kube::Error::Api(status), .. }) if status.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a route as it was, by its records.
    pub(crate) async fn restore(
        &self,
        named: &RouteRef,
        object: &DynamicObject,
        backends: Backends<'_>,
        records: &[RuleRecord],
    ) -> Result<(), ActError> {
        let patch =
            route::restore(&raw::whole(object), backends, records).map_err(|error| ActError::Traffic(error.to_string()))?;
        match patch {
            Some(patch) => self.json(world::route(named.kind), &named.name, patch.into_value()).await,
            None => Ok(()),
        }
    }

    /// Takes our pin off a Service.
    pub(crate) async fn unpin(&self, object: &DynamicObject) -> Result<(), ActError> {
        let Some(patch) = service::unpin(&raw::whole(object)) else { return Ok(()) };
        let name = object.name_any();
        // Whether the policy takes the hash out with the annotation is tried first: the annotation must not go alone.
        let tried = self.annotate_pin(&name, Value::Null, true).await?;
        if raw::at(&tried, &format!("/spec/selector/{}", names::POD_TEMPLATE_HASH)).is_none() {
            return self.annotate_pin(&name, Value::Null, false).await.map(|_| ());
        }
        self.json(world::service(), &name, patch.into_value()).await
    }

    async fn annotate_pin(&self, service: &str, hash: Value, dry_run: bool) -> Result<DynamicObject, ActError> {
        let patch = json!({"metadata": {"annotations": {(names::PIN): hash}}});
        let params = PatchParams { dry_run, ..patch_params() };
        let api = self.api(world::service());
        within(format!("patch Service {service}"), api.patch(service, &params, &Patch::Merge(patch))).await
    }
}

/// Pauses a workload and marks it held (late hold). Who asked for a former template did not ask for this one.
pub(crate) async fn hold(client: &Client, namespace: &str, workload: &str, guard: &str) -> Result<(), ActError> {
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &world::deployment());
    let patch = json!({"metadata": {"annotations": {(names::HELD): guard, (names::CHANGED_BY): null}}, "spec": {"paused": true}});
    let params = patch_params();
    within(format!("pause Deployment {workload}"), api.patch(workload, &params, &Patch::Merge(patch))).await?;
    Ok(())
}

/// A copy of an object, empty where there is none.
fn object_at(value: Option<&Value>) -> serde_json::Map<String, Value> {
    value.and_then(Value::as_object).cloned().unwrap_or_default()
}

fn patch_params() -> PatchParams {
    PatchParams { field_manager: Some(names::FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}

fn workload_owner(deployment: &DynamicObject) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": deployment.name_any(),
        "uid": deployment.uid(),
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

fn absent_is_fine(result: Result<(), ActError>) -> Result<(), ActError> {
    match result {
        Err(ActError::Api { source: kube::Error::Api(status), .. }) if status.is_not_found() => Ok(()),
        other => other,
    }
}

async fn within<T>(what: String, call: impl Future<Output = kube::Result<T>>) -> Result<T, ActError> {
    match tokio::time::timeout(WRITE_WITHIN, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(source)) => Err(ActError::Api { what, source }),
        Err(_) => Err(ActError::TimedOut(what)),
    }
}
