//! Why the Service or the routes that a Guard names cannot be divided, said before a Change needs them.

use firebreak_api::{Guard, names};
use kube::ResourceExt as _;

use super::{Worker, leave};
use crate::{
    fit, observe, raw,
    traffic::{Backends, route, service},
};

impl Worker {
    /// Why the Service or a route that the Guard names cannot be divided, before a Change needs it.
    pub(super) async fn traffic_problem(&self, guard: &Guard) -> Option<String> {
        let traffic = guard.spec.traffic.as_ref()?;
        let namespace = self.view.namespace();
        for named in &traffic.routes {
            if !self.view.routes(named.kind).cache.ready().await {
                return Some(observe::no_route_kind(named));
            }
        }
        if let Err(error) = self.clean(guard).await {
            tracing::warn!(guard = self.name, %error, "what a Change left is not taken out yet; it is tried again");
        }
        let Some(object) = self.view.services.get(namespace, &traffic.service) else {
            return Some(observe::no_service(&traffic.service));
        };
        if let Some(problem) = self.rival(guard, &traffic.service).filter(|_| !traffic.routes.is_empty()) {
            return Some(problem);
        }
        let candidate = names::candidate_service(&traffic.service);
        let second = self.view.services.get(namespace, &candidate).filter(|_| !traffic.routes.is_empty());
        if let Some(foreign) = second.filter(|service| !leave::made_by_a_change(service)) {
            return Some(observe::not_ours(&foreign));
        }
        let backends = Backends { service: &traffic.service, candidate: &candidate };
        for named in &traffic.routes {
            let Some(divided) = self.view.routes(named.kind).cache.get(namespace, &named.name) else {
                return Some(observe::no_route(named));
            };
            if let Err(error) = route::record(&raw::whole(&divided), backends, &[]) {
                return Some(error.to_string());
            }
        }
        if traffic.routes.is_empty() {
            return None;
        }
        let json = raw::whole(&object);
        let stable = guard.status.as_ref()?.stable.as_ref()?;
        if let Err(error) = service::pin(&json, &stable.hash) {
            return Some(error.to_string());
        }
        let target = &guard.spec.target_ref.name;
        let deployment = self.view.deployments.get(namespace, target)?;
        let uid = deployment.uid().unwrap_or_default();
        let workload = fit::Workload { guard: &self.name, name: target, uid: &uid };
        workload.selected_by(&json, std::iter::once(("stable", &*deployment))).or_else(|| workload.shared_with(&self.view, &json))
    }

    /// Another Guard that divides the same Service and was there first.
    fn rival(&self, guard: &Guard, service: &str) -> Option<String> {
        let came = |guard: &Guard| (guard.metadata.creation_timestamp.clone(), guard.name_any());
        let guards = self.shared.guards.all();
        let older = guards.iter().find(|other| {
            let same =
                other.spec.traffic.as_ref().is_some_and(|traffic| traffic.service == service && !traffic.routes.is_empty());
            same && other.namespace() == guard.namespace() && came(other) < came(guard)
        })?;
        Some(format!(
            "Service {service} is divided by Guard {} already, which was there first: name another Service in spec.traffic.service",
            older.name_any()
        ))
    }
}
