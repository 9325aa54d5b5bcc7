//! Observe: everything one turn of a Change may know, from the watch caches and the newest look. No call is made here.

use std::{collections::BTreeSet, sync::Arc};

use firebreak_api::intervention::Action as Asked;
use firebreak_api::{
    Change, Intervention,
    change::RouteRecord,
    guard::{Hold, RouteRef},
    names, template,
};
use firebreak_engine::{
    observation::{Act, Action, Observation, Pods, Template, Traffic, Workload},
    risk::Level,
    units::Millis,
};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::{ResourceExt as _, api::DynamicObject};

use crate::{
    attest::Vouched,
    eyes::{Found, Looks},
    fit, raw,
    traffic::{
        self, Backends,
        route::{self, Contended},
        service,
    },
    world::{Looked, View},
};

/// Restarts of a container from which a waiting or restarting pod counts as crashing again and again.
const CRASHES: i32 = 2;

/// Words for endpoints that cannot be read.
const NO_SLICES: &str = "EndpointSlices cannot be listed, so it is not known which pods get requests and nothing is exposed; give the \
                         operator's service account list and watch on endpointslices.discovery.k8s.io";

/// The objects that a Change is about, as they are in the caches now.
#[derive(Clone)]
pub(crate) struct Objects {
    pub(crate) deployment: Option<Arc<DynamicObject>>,
    pub(crate) stable: Option<Arc<DynamicObject>>,
    pub(crate) candidate: Option<Arc<DynamicObject>>,
    pub(crate) service: Looked<DynamicObject>,
    pub(crate) candidate_service: Option<Arc<DynamicObject>>,
    /// Routes in the order of the Change's spec.
    pub(crate) routes: Vec<Looked<DynamicObject>>,
    /// Why routes cannot be read.
    pub(crate) trouble: Option<String>,
    /// ReplicaSets with pods that the native controller made from the candidate's template: in neither arm, judged by nobody.
    pub(crate) strays: Vec<Arc<DynamicObject>>,
}

/// Routes whose kind is not listed, as the API server gave them one by one, in the order of the Change's spec.
pub(crate) type Live = Vec<Looked<DynamicObject>>;

impl Objects {
    /// Finds the objects of a Change. What a cache cannot say of a route yet is taken from `live`.
    pub(crate) fn find(view: &View, change: &Change, live: &Live) -> Self {
        let namespace = view.namespace();
        let spec = &change.spec;
        let mut found = Self {
            deployment: view
                .deployments
                .get(namespace, &spec.target.name)
                .filter(|d| d.uid().as_deref() == Some(&spec.target_uid)),
            stable: view.replica_sets.get(namespace, &spec.stable.replica_set),
            candidate: view.replica_sets.get(namespace, &spec.candidate.replica_set),
            service: Looked::Absent,
            candidate_service: None,
            routes: Vec::new(),
            trouble: None,
            strays: Vec::new(),
        };
        found.strays = strays(view, change, &found);
        let Some(traffic) = spec.traffic.as_ref().filter(|traffic| !traffic.routes.is_empty()) else { return found };
        found.service = view.services.look(namespace, &traffic.service);
        found.candidate_service = view.services.get(namespace, &names::candidate_service(&traffic.service));
        for (place, named) in traffic.routes.iter().enumerate() {
            let kind = view.routes(named.kind);
            let looked = match (kind.cache.look(namespace, &named.name), live.get(place)) {
                (Looked::Unknown, Some(live)) => live.clone(),
                (looked, _) => looked,
            };
            if matches!(looked, Looked::Unknown) && kind.is_overdue() {
                found.trouble = Some(no_route_kind(named));
            }
            found.routes.push(looked);
        }
        found
    }

    /// Whether a route, or the Service, could not be looked at.
    pub(crate) fn unreadable(&self) -> bool {
        self.routes.iter().chain([&self.service]).any(|looked| matches!(looked, Looked::Unknown))
    }
}

/// None once the candidate is the workload's own, or someone who may let the template through did: then these are its pods.
fn strays(view: &View, change: &Change, found: &Objects) -> Vec<Arc<DynamicObject>> {
    let spec = &change.spec;
    let is_workloads = |set: &DynamicObject| raw::controller(set).is_some_and(|owner| owner.uid == spec.target_uid);
    let Some(deployment) = &found.deployment else { return Vec::new() };
    if found.candidate.as_deref().is_some_and(is_workloads) || let_through(deployment) {
        return Vec::new();
    }
    let of_candidate = |set: &Arc<DynamicObject>| {
        let name = set.name_any();
        raw::replicas(set) > 0
            && is_workloads(set)
            && name != spec.candidate.replica_set
            && name != spec.stable.replica_set
            && raw::pod_template(set).is_some_and(|template| template::hash(template) == spec.candidate.template)
    };
    view.replica_sets.all().into_iter().filter(of_candidate).collect()
}

fn let_through(deployment: &DynamicObject) -> bool {
    let bypassed = raw::annotation(deployment, names::BYPASSED).is_some_and(|reason| !reason.trim().is_empty());
    bypassed && !raw::paused(deployment)
}

/// What one turn is given beside the caches.
pub(crate) struct Given {
    pub(crate) now: Millis,
    pub(crate) looks: Looks,
    pub(crate) seen: Vec<String>,
    pub(crate) pasts: Found,
    pub(crate) guard_leaves: bool,
    /// Since when the metrics source has been asked for this Change without a break.
    pub(crate) watching_since: Millis,
    /// Whether the API server vouches for who made an Intervention.
    pub(crate) vouched: Vouched,
    /// The level that the claims mean now, where they were raised.
    pub(crate) raised: Option<Level>,
    /// Whether its Guard asks for other things now.
    pub(crate) guard_changed: bool,
}

/// One observation of a Change.
pub(crate) fn observe(view: &View, change: &Change, objects: &Objects, records: &[RouteRecord], given: Given) -> Observation {
    let stable = arm(view, objects.stable.as_deref(), &change.spec.stable.hash, None, change);
    let service = objects.candidate_service.as_deref().filter(|service| is_of(service, change)).map(DynamicObject::name_any);
    let routed = change.spec.is_routed();
    let candidate = arm(view, objects.candidate.as_deref(), &change.spec.candidate.hash, service.filter(|_| routed), change);
    Observation {
        now: given.now,
        workload: workload(objects, change, &given),
        stable,
        candidate,
        traffic: routed.then(|| traffic(view, objects, change, records)),
        look: given.looks.first,
        second: given.looks.second,
        checks: given.looks.checks,
        dependents: given.looks.dependents,
        pasts: given.pasts.stable,
        dependent_pasts: given.pasts.dependents,
        seen: given.seen,
        acts: acts(view, change, given.vouched),
        watching_since: given.watching_since,
        freezes: Vec::new(),
        queued: None,
    }
}

fn workload(objects: &Objects, change: &Change, given: &Given) -> Workload {
    let Given { guard_leaves, guard_changed, raised, .. } = *given;
    let Some(deployment) = objects.deployment.as_deref() else {
        return Workload {
            template: Template::Missing,
            replicas: 0,
            held: false,
            rolled_out: false,
            bypassed: false,
            guard_leaves,
            raised: None,
            guard_changed: false,
        };
    };
    let hash = raw::pod_template(deployment).map(template::hash).unwrap_or_default();
    let is_stable = objects.stable.as_deref().is_some_and(|stable| raw::same_template(deployment, stable));
    let carried = if hash == change.spec.candidate.template {
        Template::Candidate
    } else if is_stable {
        Template::Stable
    } else {
        Template::Newer
    };
    let old_gone = objects
        .stable
        .as_deref()
        .is_none_or(|stable| raw::replicas(stable) == 0 && raw::number(stable, "/status/replicas").unwrap_or(0) == 0);
    Workload {
        replicas: raw::replicas(deployment),
        held: raw::paused(deployment),
        bypassed: bypassed(deployment, change),
        rolled_out: raw::rolled_out(deployment) && old_gone,
        guard_leaves,
        raised: raised.filter(|_| carried == Template::Candidate),
        guard_changed,
        template: carried,
    }
}

/// Whether someone who may bypass let the template through. Where no policy acts, anyone can write the mark, so it proves nothing.
pub(crate) fn bypassed(deployment: &DynamicObject, change: &Change) -> bool {
    change.spec.hold == Hold::Admission
        && raw::annotation(deployment, names::BYPASSED).is_some_and(|reason| !reason.trim().is_empty())
}

fn arm(view: &View, replica_set: Option<&DynamicObject>, hash: &str, service: Option<String>, change: &Change) -> Pods {
    let Some(replica_set) = replica_set else { return Pods::default() };
    let namespace = view.namespace();
    let mine = |pod: &&Arc<Pod>| {
        pod.labels().get(names::POD_TEMPLATE_HASH).is_some_and(|label| label == hash)
            && pod.owner_references().iter().any(|owner| owner.name == replica_set.name_any())
    };
    let all = view.pods.all();
    let pods: Vec<&Arc<Pod>> = all.iter().filter(mine).collect();
    let here: Vec<&&Arc<Pod>> = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none() && !finished(pod)).collect();
    let mut names: Vec<String> = here.iter().map(|pod| pod.name_any()).collect();
    names.sort_unstable();
    let ready = here.iter().filter(|pod| is_ready(pod)).count();
    let leaving = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_some() && !finished(pod)).count();
    let owned_by_change = is_of(replica_set, change);
    let endpoints = match service {
        // Not listed: its pods may all be endpoints, and nothing that needs to know better is done meanwhile.
        Some(service) if view.slices.is_listed() => ready_endpoints(view, namespace, &service, &pods),
        Some(_) => u32::try_from(ready).unwrap_or(u32::MAX),
        None => u32::try_from(ready).unwrap_or(u32::MAX),
    };
    let mut unready: Vec<String> = here.iter().filter(|pod| !is_ready(pod)).map(|pod| pod.name_any()).collect();
    unready.sort_unstable();
    Pods {
        exists: true,
        owned_by_change,
        wanted: raw::replicas(replica_set),
        ready: u32::try_from(ready).unwrap_or(u32::MAX),
        unready,
        endpoints,
        lingering: u32::try_from(ready + leaving).unwrap_or(u32::MAX),
        crash_looping: u32::try_from(here.iter().filter(|pod| crash_loops(pod)).count()).unwrap_or(u32::MAX),
        broken: here.iter().find_map(|pod| why_broken(pod)),
        names,
    }
}

pub(crate) fn finished(pod: &Pod) -> bool {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).is_some_and(|phase| matches!(phase, "Succeeded" | "Failed"))
}

/// Whether a pod is to get requests: ready, and neither finished nor going away.
pub(crate) fn is_serving(pod: &Pod) -> bool {
    is_ready(pod) && !finished(pod) && pod.metadata.deletion_timestamp.is_none()
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.iter();
    status.flat_map(|status| status.container_statuses.iter().chain(status.init_container_statuses.iter()).flatten())
}

fn waiting_reason(container: &ContainerStatus) -> Option<&str> {
    container.state.as_ref()?.waiting.as_ref()?.reason.as_deref()
}

fn crash_loops(pod: &Pod) -> bool {
    let unready = !is_ready(pod);
    containers(pod).any(|container| {
        let backing_off = waiting_reason(container) == Some("CrashLoopBackOff");
        container.restart_count >= CRASHES && (backing_off || unready)
    })
}

/// Why a pod does not start, in Kubernetes' words.
fn why_broken(pod: &Pod) -> Option<String> {
    let name = pod.name_any();
    let container = containers(pod).find_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        let reason = waiting.reason.as_deref().filter(|reason| !matches!(*reason, "ContainerCreating" | "PodInitializing"))?;
        let message = waiting.message.as_deref().map_or(String::new(), |message| format!(" ({})", brief(message)));
        Some(format!("pod {name}, container {}: {reason}{message}", container.name))
    });
    container.or_else(|| {
        let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let unscheduled = conditions.into_iter().find(|c| c.type_ == "PodScheduled" && c.status == "False")?;
        let message = unscheduled.message.as_deref().map_or(String::new(), |message| format!(" ({})", brief(message)));
        Some(format!("pod {name}: {}{message}", unscheduled.reason.as_deref().unwrap_or("Unschedulable")))
    })
}

fn brief(message: &str) -> String {
    message.chars().take(200).collect()
}

/// Of these pods, how many the Service sends requests to: one that was pointed at stable's has none of the candidate's.
fn ready_endpoints(view: &View, namespace: &str, service: &str, of: &[&Arc<Pod>]) -> u32 {
    let slices = view.slices.all();
    let of_service = slices.iter().filter(|slice| {
        slice.namespace().as_deref() == Some(namespace)
            && slice.labels().get("kubernetes.io/service-name").is_some_and(|name| name == service)
    });
    let mut pods = BTreeSet::new();
    for endpoint in of_service.flat_map(|slice| &slice.endpoints) {
        let ready = endpoint.conditions.as_ref().is_some_and(|conditions| conditions.ready.unwrap_or(true));
        if ready {
            let target = endpoint.target_ref.as_ref().and_then(|target| target.name.clone());
            pods.extend(target.filter(|name| of.iter().any(|pod| pod.metadata.name.as_ref() == Some(name))));
        }
    }
    u32::try_from(pods.len()).unwrap_or(u32::MAX)
}

/// What the Services and the routes say. The shares are read from the routes alone, whatever became of the Service.
fn traffic(view: &View, objects: &Objects, change: &Change, records: &[RouteRecord]) -> Traffic {
    let Some(named) = &change.spec.traffic else { return nothing(None) };
    let candidate = names::candidate_service(&named.service);
    let backends = Backends { service: &named.service, candidate: &candidate };
    let mut state = nothing(objects.trouble.clone());
    state.unreadable = objects.unreadable();
    state.problem = state.problem.or_else(|| rival(view, change, &named.service));
    if !view.slices.is_listed() {
        state.problem = Some(NO_SLICES.to_owned());
    }
    let second = objects.candidate_service.as_deref();
    state.candidate_service = second.is_some_and(|service| is_of(service, change));
    let foreign = second.filter(|service| !is_of(service, change));
    state.problem = state.problem.or_else(|| foreign.map(not_ours));
    service_state(view, objects, change, &named.service, &mut state);
    let mut shares = Vec::new();
    let granted = change.status.as_ref().map_or(0.0, |status| status.weight_percent * 10.0);
    for (named_route, looked) in named.routes.iter().zip(&objects.routes) {
        let object = match looked {
            Looked::Found(object) => object,
            Looked::Absent => {
                state.problem = state.problem.or(Some(no_route(named_route)));
                continue;
            }
            Looked::Unknown => {
                // It may carry the candidate: nothing that rests on its not doing so may be done.
                state.carries_candidate = true;
                shares.push(0.0);
                continue;
            }
        };
        let json = raw::whole(object);
        let rules = records_of(records, named_route, object);
        // What the route sends to a Service of someone else's, before we wrote it, is theirs.
        let theirs = foreign.is_some() && rules.is_empty();
        let share = route::candidate_share(&json, backends).filter(|_| !theirs);
        state.carries_candidate |= share.is_some();
        shares.push(share.map_or(0.0, route::Share::permille));
        let usable =
            route::record(&json, backends, rules).and_then(|rules| route::split(&json, backends, &rules, traffic::Weight::ZERO));
        if let Err(error) = usable {
            state.problem = state.problem.or(Some(error.to_string()));
        }
        let says_so = share.as_ref().is_some_and(|share| (share.permille() - granted).abs() < 1.0);
        if !says_so && !rules.is_empty() {
            state.contention = state.contention.or(route::other_manager(&json, Contended::Rules));
        }
    }
    state.largest_share = shares.iter().copied().fold(0.0, f64::max);
    state.smallest_share = shares.iter().copied().reduce(f64::min).unwrap_or(0.0);
    state
}

/// Whether an object is the Change's own.
pub(crate) fn is_of(object: &DynamicObject, change: &Change) -> bool {
    raw::controller(object).is_some_and(|owner| Some(&owner.uid) == change.metadata.uid.as_ref())
}

/// Words for a second Service that the Change did not make.
pub(crate) fn not_ours(service: &DynamicObject) -> String {
    let name = service.name_any();
    let whose = match raw::controller(service) {
        Some(owner) => format!("{} {}", owner.kind, owner.name),
        None => "someone else".to_owned(),
    };
    format!(
        "Service {name} is {whose}'s, and Firebreak needs that name for the candidate: it is left alone and nothing is exposed. \
         Rename or delete it; the Change goes on then"
    )
}

/// Why the Service is another Change's to divide: two that pin it take each other's pods out of it.
fn rival(view: &View, change: &Change, service: &str) -> Option<String> {
    let came = |change: &Change| (change.spec.detected_at, change.name_any());
    let divides = |other: &&Arc<Change>| {
        let running = !other.status.as_ref().is_some_and(|status| status.phase.ended());
        let same = other.spec.traffic.as_ref().is_some_and(|traffic| traffic.service == service && !traffic.routes.is_empty());
        running && same && other.metadata.uid != change.metadata.uid && came(other) < came(change)
    };
    let changes = view.changes.all();
    let other = changes.iter().find(divides)?;
    Some(format!(
        "Service {service} is divided by Change {} of Guard {} already: name another Service in spec.traffic.service of Guard {}, \
         or wait until that Change has ended",
        other.name_any(),
        other.spec.guard,
        change.spec.guard
    ))
}

/// What the Service whose traffic is divided says: whether it is pinned, and what stands against a pin.
fn service_state(view: &View, objects: &Objects, change: &Change, name: &str, state: &mut Traffic) {
    let object = match &objects.service {
        Looked::Found(object) => object,
        Looked::Absent => {
            state.problem = state.problem.take().or(Some(no_service(name)));
            return;
        }
        Looked::Unknown => return,
    };
    let json = raw::whole(object);
    state.pinned = service::pinned_to(&json).as_deref() == Some(&change.spec.stable.hash);
    if !state.pinned {
        state.contention = route::other_manager(&json, Contended::Selector);
    }
    if !state.pinned
        && let Err(error) = service::pin(&json, &change.spec.stable.hash)
    {
        state.problem = Some(error.to_string());
        return;
    }
    let workload = fit::Workload::of(change);
    let of_candidate = |object: &&Arc<DynamicObject>| {
        raw::pod_template(object).is_some_and(|template| template::hash(template) == change.spec.candidate.template)
    };
    let candidate = objects.deployment.as_ref().filter(of_candidate).or(objects.candidate.as_ref());
    let carriers = [("stable", objects.stable.as_deref()), ("candidate", candidate.map(|object| &**object))];
    let carriers = carriers.into_iter().filter_map(|(arm, object)| Some((arm, object?)));
    let misfit = workload.selected_by(&json, carriers);
    // Once it is pinned, pods of others are out of it already.
    let misfit = misfit.or_else(|| if state.pinned { None } else { workload.shared_with(view, &json) });
    state.problem = state.problem.take().or(misfit);
}

/// Words for a Service that is missing.
pub(crate) fn no_service(name: &str) -> String {
    format!("Service {name} does not exist; create it or correct spec.traffic.service")
}

/// Words for a route that is missing.
pub(crate) fn no_route(named: &RouteRef) -> String {
    format!("{:?} {} does not exist; create it or correct spec.traffic.routes", named.kind, named.name)
}

/// Words for a kind of route that cannot be read.
pub(crate) fn no_route_kind(named: &RouteRef) -> String {
    format!(
        "{:?} objects cannot be read; install the Gateway API's definitions or take the route out of spec.traffic.routes",
        named.kind
    )
}

fn nothing(problem: Option<String>) -> Traffic {
    Traffic {
        pinned: false,
        candidate_service: false,
        largest_share: 0.0,
        smallest_share: 0.0,
        carries_candidate: false,
        unreadable: false,
        contention: None,
        problem,
    }
}

/// The recorded rules of a route; none where it is another object of the same name.
pub(crate) fn records_of<'a>(
    records: &'a [RouteRecord],
    named: &RouteRef,
    object: &DynamicObject,
) -> &'a [firebreak_api::change::RuleRecord] {
    let same = |record: &&RouteRecord| {
        record.kind == named.kind && record.name == named.name && Some(&record.uid) == object.metadata.uid.as_ref()
    };
    records.iter().find(same).map_or(&[], |record| &record.rules)
}

/// What humans asked for this Change and was not answered, oldest first.
fn acts(view: &View, change: &Change, vouched: Vouched) -> Vec<Act> {
    let mut asked: Vec<_> =
        open_acts(view, &change.spec.guard).into_iter().filter(|act| act.spec.change == change.name_any()).collect();
    asked.sort_by_key(|act| (act.metadata.creation_timestamp.clone(), act.name_any()));
    asked.iter().filter_map(|act| heard(act, vouched)).collect()
}

/// What a running Change hears of an act. While it is not known whether the API server vouches for who made it, only what makes
/// safer is heard, in nobody's name.
fn heard(act: &Intervention, vouched: Vouched) -> Option<Act> {
    if vouched == Vouched::NotKnown && act.spec.needs_attesting() {
        return None;
    }
    let action = match act.spec.action {
        Asked::Approve => Action::Approve,
        Asked::Promote => Action::Promote,
        Asked::Pause => Action::Pause,
        Asked::Resume => Action::Resume,
        Asked::Abort => Action::Abort,
        Asked::Retry | Asked::Clear => return None,
    };
    let by = act.spec.by.clone().filter(|_| vouched == Vouched::Yes);
    // Who else asks need be in no group, and the record grows by none.
    let groups = if by.is_some() && action == Action::Approve { act.spec.groups.clone() } else { Vec::new() };
    Some(Act {
        name: act.name_any(),
        action,
        by,
        groups,
        reason: act.spec.reason.clone(),
        stage: act.spec.stage.and_then(|stage| usize::try_from(stage).ok()),
        at: act.metadata.creation_timestamp.as_ref().map(|time| Millis(time.0.as_millisecond())),
    })
}

/// What humans asked of a Guard and was not answered.
pub(crate) fn open_acts(view: &View, guard: &str) -> Vec<Arc<Intervention>> {
    let open = |act: &Intervention| act.status.as_ref().is_none_or(|status| status.outcome.is_none());
    view.interventions.all().into_iter().filter(|act| act.spec.guard == guard && open(act)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[rstest::rstest]
    #[case(Hold::Admission, "hotfix", true)]
    #[case(Hold::Admission, " ", false)]
    #[case(Hold::Late, "hotfix", false)]
    fn given_the_mark_of_a_bypass_when_read_then_it_is_believed_only_where_the_policy_holds(
        #[case] hold: Hold,
        #[case] reason: &str,
        #[case] believed: bool,
    ) {
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "shop", "annotations": {"firebreak.dev/bypassed": reason}}, "spec": {}});
        let deployment: DynamicObject = serde_json::from_value(object).unwrap();
        let mut change = crate::fake::change("shop-x-1");
        change.spec.hold = hold;
        assert_eq!(bypassed(&deployment, &change), believed);
    }

    #[rstest::rstest]
    #[case::approve(Asked::Approve, [Some((true, true)), Some((false, false)), None])]
    #[case::promote(Asked::Promote, [Some((true, false)), Some((false, false)), None])]
    #[case::resume(Asked::Resume, [Some((true, false)), Some((false, false)), None])]
    #[case::pause(Asked::Pause, [Some((true, false)), Some((false, false)), Some((false, false))])]
    #[case::abort(Asked::Abort, [Some((true, false)), Some((false, false)), Some((false, false))])]
    #[case::retry(Asked::Retry, [None, None, None])]
    #[case::clear(Asked::Clear, [None, None, None])]
    fn given_an_act_when_heard_then_a_name_is_believed_where_it_is_vouched_for_and_what_makes_safer_is_heard_at_once(
        #[case] action: Asked,
        #[case] expected: [Option<(bool, bool)>; 3],
    ) {
        let spec = firebreak_api::InterventionSpec {
            guard: "shop".to_owned(),
            change: "shop-x-1".to_owned(),
            action,
            stage: None,
            reason: None,
            by: Some("ann".to_owned()),
            groups: vec!["sre".to_owned()],
        };
        let act = Intervention::new("act", spec);
        for (vouched, expected) in [Vouched::Yes, Vouched::No, Vouched::NotKnown].into_iter().zip(expected) {
            let act = heard(&act, vouched);
            assert_eq!(act.map(|act| (act.by.is_some(), !act.groups.is_empty())), expected, "{vouched:?}");
        }
    }
}
