//! Whether a Service is the workload's own: a pin that leaves it without pods, or takes pods of others from it, is an outage.

use firebreak_api::{Change, names};
use k8s_openapi::api::core::v1::Pod;
use kube::{ResourceExt as _, api::DynamicObject};
use serde_json::{Value, json};

use crate::{observe::is_serving, raw, traffic::service, world::View};

/// Pods that a message names; of more it says how many.
const MOST_NAMED: usize = 3;

/// Whose Service it is to be.
pub(crate) struct Workload<'a> {
    pub(crate) guard: &'a str,
    pub(crate) name: &'a str,
    pub(crate) uid: &'a str,
}

impl<'a> Workload<'a> {
    pub(crate) fn of(change: &'a Change) -> Self {
        Self { guard: &change.spec.guard, name: &change.spec.target.name, uid: &change.spec.target_uid }
    }

    /// Why a pin to stable would leave the Service without the workload's pods. `carriers` carry their templates.
    pub(crate) fn selected_by<'o>(
        &self,
        service: &Value,
        carriers: impl Iterator<Item = (&'static str, &'o DynamicObject)>,
    ) -> Option<String> {
        for (arm, carrier) in carriers {
            let labels = raw::at(carrier, "/spec/template/metadata/labels").cloned().unwrap_or_default();
            if !service::reaches(service, &labels) {
                let (of, name, guard) = (title(service), self.name, self.guard);
                let (selects, carry) = (service::selector_words(service), words(&labels));
                return Some(format!(
                    "{of} selects {selects}, but the {arm} pods of Deployment {name} carry {carry}: pinned to the workload it would \
                     reach none of them, so it is left alone. Name the Service that selects them in spec.traffic.service of Guard \
                     {guard}, or correct the selector"
                ));
            }
        }
        None
    }

    /// Why a pin would take pods from the Service: those it reaches that are not the workload's.
    pub(crate) fn shared_with(&self, view: &View, service: &Value) -> Option<String> {
        let others = view.pods.all();
        let reached = |pod: &&std::sync::Arc<Pod>| is_serving(pod) && service::reaches(service, &json!(pod.labels()));
        let mut names: Vec<String> =
            others.iter().filter(reached).filter(|pod| self.is_anothers(view, pod)).map(|pod| pod.name_any()).collect();
        names.sort_unstable();
        let more = names.len().saturating_sub(MOST_NAMED);
        names.truncate(MOST_NAMED);
        let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
        let (of, name, guard) = (title(service), self.name, self.guard);
        (!names.is_empty()).then(|| {
            format!(
                "{of} reaches pods that are not Deployment {name}'s ({}{tail}): pinned to stable it would leave them out, so it is \
                 left alone. Narrow its selector to the workload's pods, or name another Service in spec.traffic.service of Guard {guard}",
                names.join(", ")
            )
        })
    }

    /// A pod whose ReplicaSet is not known (yet) is nobody else's.
    fn is_anothers(&self, view: &View, pod: &Pod) -> bool {
        let Some(owner) = pod.owner_references().iter().find(|owner| owner.controller == Some(true)) else { return true };
        if owner.kind != "ReplicaSet" {
            return true;
        }
        let Some(set) = view.replica_sets.get(view.namespace(), &owner.name) else { return false };
        let Some(owner) = raw::controller(&set) else { return true };
        let of_guard = || set.labels().get(names::GUARD_LABEL).is_some_and(|name| *name == names::bounded_name(self.guard, 63));
        owner.uid != self.uid && !(owner.kind == "Change" && of_guard())
    }
}

fn title(service: &Value) -> String {
    format!("Service {}", service.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default())
}

fn words(labels: &Value) -> String {
    let pairs = labels.as_object().into_iter().flatten().filter(|(key, _)| *key != names::POD_TEMPLATE_HASH);
    let pairs: Vec<_> = pairs.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    if pairs.is_empty() { "no labels".to_owned() } else { pairs.join(", ") }
}
