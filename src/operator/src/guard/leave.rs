//! What is still to be done when a Change is over, or goes, or its Guard goes: nothing of ours stays in a route or a Service.

use std::{sync::Arc, time::Duration};

use firebreak_api::{Change, Guard, names};
use kube::{
    Api, ResourceExt as _,
    api::{DynamicObject, Patch},
};
use serde_json::json;

use super::{Next, TURN_EVERY, TURN_SOON, Worker, ended, patch_params, say::Word, within};
use crate::{
    act::{ActError, Hand},
    raw,
    traffic::{Backends, route, service},
    world::Looked,
};

/// What stands in the way of a Guard that goes is for someone else to put right: it is tried again this often.
const LEAVE_AGAIN: Duration = Duration::from_secs(5);

/// Whether a Change stays until the operator lets it go.
pub(super) fn is_held(change: &Change) -> bool {
    change.finalizers().iter().any(|name| name == names::FINALIZER)
}

/// Whether a Change is this Guard's; a Guard that was made again under the same name has none of its forerunner's.
pub(super) fn owns(guard: &Guard, change: &Change) -> bool {
    change.owner_references().iter().any(|owner| Some(&owner.uid) == guard.metadata.uid.as_ref())
}

impl Worker {
    /// A Change that ended: the Guard takes in what that means, then the Change may go.
    pub(super) async fn finish(&self, guard: Option<&Guard>, change: &Arc<Change>) -> Next {
        if let Some(guard) = guard {
            match self.account(guard, std::slice::from_ref(change)).await {
                Err(kube::Error::Api(status)) if status.is_not_found() => {}
                Err(error) => {
                    tracing::warn!(guard = self.name, %error, "the Guard does not say yet how the Change ended; it is tried again");
                    return Next::Within(TURN_EVERY);
                }
                // It goes when the Guard is seen to have it: until then what is said next would be said on the status before.
                Ok(Some(_)) if is_held(change) => return Next::Within(TURN_EVERY),
                Ok(_) => {}
            }
        }
        self.release(change).await;
        Next::Within(TURN_SOON)
    }

    async fn release(&self, change: &Change) {
        if !is_held(change) {
            return;
        }
        let kept: Vec<&String> = change.finalizers().iter().filter(|name| *name != names::FINALIZER).collect();
        let api: Api<Change> = Api::namespaced(self.client.clone(), self.view.namespace());
        let patch = json!({"metadata": {"resourceVersion": change.resource_version(), "finalizers": kept}});
        match within(api.patch(&change.name_any(), &patch_params(), &Patch::Merge(patch))).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            Err(error) => tracing::debug!(change = %change.name_any(), %error, "finalizer not taken off yet; it is tried again"),
        }
    }

    /// A Guard that goes takes its marks off the workload; what is paused stays paused, for its owner to resume.
    pub(super) async fn leave(&self, guard: &Guard) -> Next {
        let blocked = match self.clean(guard).await {
            Ok(()) => self.unmark(guard).await.err().map(|error| format!("Deployment {}: {error}", guard.spec.target_ref.name)),
            // Someone else wrote it just now: what is there is read again.
            Err(ActError::Api { source: kube::Error::Api(status), .. }) if status.is_conflict() => {
                return Next::Within(TURN_EVERY);
            }
            Err(error) => Some(error.to_string()),
        };
        let Some(why) = blocked else {
            self.finalizer(guard, false).await;
            return Next::Within(TURN_EVERY);
        };
        tracing::warn!(guard = self.name, why, "the Guard stays until all is as it was; it is tried again");
        if let Err(error) = self.say(guard, |_| {}, &Word::stalled("CleanupBlocked", way_past(guard, &why))).await {
            tracing::warn!(guard = self.name, %error, "what is in its way is not said on the Guard yet");
        }
        Next::Within(LEAVE_AGAIN)
    }

    /// Takes the Guard's marks off its workload.
    async fn unmark(&self, guard: &Guard) -> Result<(), kube::Error> {
        let target = &guard.spec.target_ref.name;
        if let Some(deployment) = self.view.deployments.get(self.view.namespace(), target)
            && raw::annotation(&deployment, names::HELD) == Some(&self.name)
        {
            let api =
                Api::<DynamicObject>::namespaced_with(self.client.clone(), self.view.namespace(), &crate::world::deployment());
            let patch = json!({"metadata": {"annotations": {(names::HELD): null, (names::CHANGED_BY): null}}});
            match within(api.patch(target, &patch_params(), &Patch::Merge(patch))).await {
                Err(kube::Error::Api(status)) if status.is_not_found() => {}
                other => return other.map(|_| ()),
            }
        }
        Ok(())
    }

    /// Takes out what a Change left that vanished before it was brought to its end (its finalizer was taken off by hand):
    /// the candidate in the named routes, the pin of the Service. Costs no call where nothing is left.
    pub(super) async fn clean(&self, guard: &Guard) -> Result<(), ActError> {
        let Some(traffic) = guard.spec.traffic.as_ref().filter(|traffic| !traffic.routes.is_empty()) else { return Ok(()) };
        let namespace = self.view.namespace();
        let divided = |change: &Change| change.spec.traffic.as_ref().is_some_and(|other| other.service == traffic.service);
        if self.view.changes.all().iter().any(|change| !ended(change) && divided(change)) {
            // Another Guard's Change divides the same Service: what is there is its.
            return Ok(());
        }
        let candidate = names::candidate_service(&traffic.service);
        let backends = Backends { service: &traffic.service, candidate: &candidate };
        let hand = Hand { client: &self.client, namespace };
        // A Service of that name which no Change made is its owner's, and so is its share of the routes.
        let foreign = self.view.services.get(namespace, &candidate).is_some_and(|service| !made_by_a_change(&service));
        for named in traffic.routes.iter().filter(|_| !foreign) {
            let object = match self.view.routes(named.kind).cache.look(namespace, &named.name) {
                Looked::Found(object) => Some(DynamicObject::clone(&object)),
                Looked::Absent => None,
                Looked::Unknown => hand.live(named).await?,
            };
            let left = object.filter(|object| route::candidate_share(&raw::whole(object), backends).is_some());
            if let Some(object) = left {
                tracing::warn!(guard = self.name, route = named.name, "the candidate was left in the route; it is taken out");
                hand.restore(named, &object, backends, &[]).await?;
            }
        }
        let pinned = self.view.services.get(namespace, &traffic.service);
        if let Some(object) = pinned.filter(|object| service::pinned_to(&raw::whole(object)).is_some()) {
            tracing::warn!(guard = self.name, service = traffic.service, "a pin was left on the Service; it is taken off");
            hand.unpin(&object).await?;
        }
        Ok(())
    }
}

/// What a Guard says that cannot go, with the way out.
fn way_past(guard: &Guard, why: &str) -> String {
    let (name, namespace) = (guard.name_any(), guard.namespace().unwrap_or_default());
    let by_hand = guard.spec.traffic.as_ref().filter(|traffic| !traffic.routes.is_empty()).map_or(String::new(), |traffic| {
        let routes: Vec<String> = traffic.routes.iter().map(|named| format!("{:?} {}", named.kind, named.name)).collect();
        format!(
            " or take it out by hand: backend {} in {}, and {} in the selector of Service {}",
            names::candidate_service(&traffic.service),
            routes.join(", "),
            names::POD_TEMPLATE_HASH,
            traffic.service
        )
    });
    format!(
        "this Guard is being deleted and stays while something of it cannot be taken out ({why}): put that right{by_hand}. It is \
         tried again every {} s. To let the Guard go and leave all as it is: kubectl patch guard {name} -n {namespace} \
         --type=merge -p '{{\"metadata\":{{\"finalizers\":null}}}}'",
        LEAVE_AGAIN.as_secs()
    )
}

/// Whether a Service is the second one of some Change.
pub(super) fn made_by_a_change(service: &DynamicObject) -> bool {
    raw::controller(service).is_some_and(|owner| owner.kind == "Change" && owner.api_version.starts_with(names::GROUP))
}
