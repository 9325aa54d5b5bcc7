//! One Guard at work: which revision is stable, whether there is a change, and the Change that runs.
//!
//! Everything is read from the caches; an idle guard writes nothing. What ended Changes mean for the Guard (new stable,
//! condemned templates) is derived from them, so a crash between the two loses nothing.

pub(crate) mod account;
mod acts;
pub(crate) mod bounded;
mod bypass;
mod edges;
mod forget;
mod hold;
mod leave;
mod made;
mod refusal;
mod say;
mod traffic;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use firebreak_api::{
    Change, Guard, GuardStatus,
    change::Phase,
    guard::{Hold, Revision},
    in_force::InForce,
    names, template,
};
use firebreak_engine::units::Millis;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, ResourceExt as _,
    api::{DynamicObject, ListParams, Patch, PatchParams},
};
use serde_json::json;
use tokio::sync::watch;

use self::{made::Made, say::Word};
use crate::{
    act,
    attest::Attest,
    begin::{self, Beginning},
    events::Teller,
    gates::Gate,
    metrics::Hub,
    raw,
    supervisor::Shared,
    turn::{self, Went, Work},
    world::View,
};

/// While a Change runs, a turn is taken at least this often: deadlines and bakes end without an event.
const TURN_EVERY: Duration = Duration::from_millis(500);
/// After a turn that did something, the next comes this soon, or with the watch event of what was done.
const TURN_SOON: Duration = Duration::from_millis(150);
/// Turns are not taken faster than this, whatever the watches say.
const TURN_NOT_BEFORE: Duration = Duration::from_millis(20);
/// A guard whose trouble needs someone else looks again this often without an event.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// While a Change runs, the Guard's finalizer may hold up its next turn no longer than this.
const FINALIZER_WITHIN: Duration = Duration::from_millis(500);
/// Ended Changes are deleted no longer than this in one turn; the next goes on.
const FORGET_WITHIN: Duration = Duration::from_secs(1);
/// Names that are tried for a Change in one turn: more than the ended Changes that a Guard keeps and leaves behind.
const MOST_NAMES: usize = 20;
/// Each write ends within this.
const WRITE_WITHIN: Duration = Duration::from_secs(5);

/// What every guard's task shares.
pub(crate) struct Worker {
    pub(crate) client: Client,
    pub(crate) hub: Arc<Hub>,
    pub(crate) teller: Teller,
    pub(crate) shared: Arc<Shared>,
    pub(crate) view: Arc<View>,
    pub(crate) name: String,
    attest: Attest,
    tried: Option<hold::Tried>,
    put_away: Option<i64>,
}

/// What comes after a turn.
enum Next {
    /// Nothing until something changes.
    Wait,
    /// Something within this time.
    Within(Duration),
    /// The Guard is gone.
    Gone,
}

impl Worker {
    /// A worker for the Guard of this name.
    pub(crate) fn new(client: Client, hub: Arc<Hub>, teller: Teller, shared: Arc<Shared>, view: Arc<View>, name: String) -> Self {
        let attest = Attest::new(client.clone(), view.namespace());
        Self { client, hub, teller, shared, view, name, attest, tried: None, put_away: None }
    }

    /// Works until the Guard is gone.
    pub(crate) async fn run(mut self) {
        let mut bell = self.view.bell();
        let mut guards = self.shared.bell.subscribe();
        while let Err(kind) = self.view.ready().await {
            tracing::warn!(guard = self.name, kind, "first list not complete yet; nothing is decided before");
        }
        let mut work: Option<Work> = None;
        loop {
            bell.mark_unchanged();
            guards.mark_unchanged();
            let next = self.turn(&mut work).await;
            tokio::time::sleep(TURN_NOT_BEFORE).await;
            let pause = match next {
                Next::Gone => return,
                Next::Wait => None,
                Next::Within(pause) => Some(pause),
            };
            self.wait(&mut bell, &mut guards, work.as_mut(), pause).await;
        }
    }

    async fn wait(
        &self,
        bell: &mut watch::Receiver<u64>,
        guards: &mut watch::Receiver<u64>,
        work: Option<&mut Work>,
        pause: Option<Duration>,
    ) {
        let timer = async {
            match pause {
                Some(pause) => tokio::time::sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        let answer = async {
            match work {
                Some(work) => work.new_answer().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = bell.changed() => {}
            _ = guards.changed() => {}
            () = timer => {}
            () = answer => {}
        }
    }

    /// One turn, without what it says of the next.
    #[cfg(test)]
    pub(crate) async fn one_turn(&mut self, work: &mut Option<Work>) {
        self.turn(work).await;
    }

    async fn turn(&mut self, work: &mut Option<Work>) -> Next {
        let namespace = self.view.namespace().to_owned();
        let guard = self.shared.guards.get(&namespace, &self.name);
        if let Some(change) = self.active() {
            return self.work_on(work, &change, guard.as_deref()).await;
        }
        *work = None;
        let Some(guard) = guard else {
            // A Change that was just made may not be in this view yet, or cannot be read.
            return if self.shared.held.may_have(&namespace, &self.name) { Next::Within(LOOK_AGAIN) } else { Next::Gone };
        };
        if guard.metadata.deletion_timestamp.is_some() {
            return self.leave(&guard).await;
        }
        match self.idle(&guard).await {
            Ok(_) if self.waits_for_vouching() => Next::Within(TURN_SOON),
            Ok(next) => next,
            Err(error) => {
                tracing::warn!(guard = self.name, %error, "not done yet; it is tried again");
                Next::Within(TURN_EVERY * 4)
            }
        }
    }

    fn changes(&self, guard: &Guard) -> Vec<Arc<Change>> {
        let mut changes: Vec<_> = self
            .view
            .changes
            .all()
            .into_iter()
            .filter(|change| change.owner_references().iter().any(|owner| Some(&owner.uid) == guard.metadata.uid.as_ref()))
            .collect();
        changes.sort_by_key(|change| (change.spec.detected_at, change.name_any()));
        changes
    }

    /// The oldest Change that is not brought to its end: it runs, or it ended and is still held by its finalizer. One whose
    /// Guard went without it is taken back all the same.
    fn active(&self) -> Option<Arc<Change>> {
        let mut changes = self.view.changes.all();
        changes.retain(|change| change.spec.guard == self.name && (!ended(change) || leave::is_held(change)));
        changes.into_iter().min_by_key(|change| (ended(change), change.spec.detected_at, change.name_any()))
    }

    async fn work_on(&self, work: &mut Option<Work>, change: &Arc<Change>, guard: Option<&Guard>) -> Next {
        let guard = guard.filter(|guard| leave::owns(guard, change));
        if ended(change) {
            *work = None;
            self.shared.gates.ended(change);
            return self.finish(guard, change).await;
        }
        let leaves = guard.is_none_or(|guard| guard.metadata.deletion_timestamp.is_some());
        let now = Millis(Timestamp::now().as_millisecond());
        let same = work.take().filter(|work| work.change().metadata.uid == change.metadata.uid);
        let at_work = work.insert(same.unwrap_or_else(|| {
            // So that the first who acts is known by name.
            self.attest.fresh();
            Work::take_up(&self.hub, Change::clone(change), &self.view, now)
        }));
        // Once a deleted Change is on its way back, its Guard holds what comes next as ever.
        let called_off = change.metadata.deletion_timestamp.is_some() && phase(at_work.change()) != Some(Phase::RollingBack);
        let ends = leaves || called_off;
        self.refuse_stale_acts(guard, change);
        let vouched = self.vouched(|act| act.spec.change == change.name_any());
        let gate = Gate::of(&self.shared, guard, change);
        let guard_changed = guard.is_some_and(|guard| begin::asks_otherwise(&change.spec, guard));
        let moment = turn::Beginning { now, guard_leaves: ends, guard_changed, vouched, gate };
        let went = at_work.turn(&self.client, &self.view, &self.teller, moment).await;
        if let Some(guard) = guard.filter(|_| !leaves) {
            // It may not be on the Guard yet: the write before the Change began can have met a conflict, or a crash.
            let put = tokio::time::timeout(FINALIZER_WITHIN, self.finalizer(guard, true)).await;
            if put.is_err() {
                tracing::debug!(guard = self.name, "finalizer not written yet: no answer in time");
            }
        }
        match went {
            Went::Quiet => Next::Within(TURN_EVERY),
            Went::Busy => Next::Within(TURN_SOON),
            Went::Lost => {
                *work = None;
                Next::Within(TURN_SOON)
            }
            Went::Ended => {
                let ended = Arc::new(at_work.change().clone());
                *work = None;
                self.shared.gates.ended(&ended);
                self.finish(guard, &ended).await
            }
        }
    }

    /// A guard without a running Change: account for what ended, adopt, detect, begin.
    async fn idle(&mut self, guard: &Guard) -> Result<Next, kube::Error> {
        let changes = self.changes(guard);
        if let Some(status) = self.account(guard, &changes).await? {
            let mut guard = guard.clone();
            guard.status = Some(status);
            return Box::pin(self.detect(&guard, &changes)).await;
        }
        self.detect(guard, &changes).await
    }

    /// Whether the workload carries another template than stable's, and nothing holds it.
    fn is_to_be_held(&self, guard: &Guard, deployment: &DynamicObject) -> bool {
        let stable = guard.status.as_ref().and_then(|status| status.stable.as_ref());
        let stable = stable.and_then(|stable| self.view.replica_sets.get(self.view.namespace(), &stable.replica_set));
        !is_held(deployment) && stable.is_some_and(|stable| !raw::same_template(deployment, &stable))
    }

    async fn detect(&mut self, guard: &Guard, changes: &[Arc<Change>]) -> Result<Next, kube::Error> {
        let namespace = self.view.namespace().to_owned();
        let namespace = namespace.as_str();
        let target = &guard.spec.target_ref.name;
        let deployment = self.view.deployments.get(namespace, target);
        let digest = deployment.as_deref().and_then(raw::pod_template).map(template::hash);
        // Whatever is said next is said on a status that was just written. What is to be held waits for no record.
        if !deployment.as_deref().is_some_and(|deployment| self.is_to_be_held(guard, deployment)) {
            match tokio::time::timeout(FORGET_WITHIN, self.forget(guard, changes, digest.as_deref())).await {
                Ok(Ok(Some(guard))) => return Box::pin(self.detect(&guard, changes)).await,
                Ok(Ok(None)) => {}
                Ok(Err(error)) => {
                    tracing::warn!(guard = self.name, %error, "ended Changes are not deleted yet; it is tried again")
                }
                Err(_) => tracing::debug!(guard = self.name, "ended Changes are not all deleted yet: no answer in time"),
            }
        }
        match self.clear(guard, digest.as_deref()).await {
            Ok(Some(guard)) => return Box::pin(self.detect(&guard, changes)).await,
            Ok(None) => {}
            Err(error) => tracing::warn!(guard = self.name, %error, "condemned templates are not cleared yet; it is tried again"),
        }
        self.refuse_late_acts(guard, digest.as_deref());
        if let Some(mut refusal) = self.refusal(guard).await {
            if let Some(deployment) = deployment.as_deref().filter(|deployment| hold::is_ours(deployment, &self.name)) {
                self.finalizer(guard, true).await;
                refusal.and_say(&hold::way_out(deployment, &self.name, namespace));
            }
            self.say(guard, |_| {}, &refusal).await?;
            return Ok(Next::Within(LOOK_AGAIN));
        }
        let Some(deployment) = deployment else {
            let message = format!(
                "spec.targetRef names Deployment {target}, which does not exist: create it, or make a Guard that names another (a target is for good); the guard takes effect when it exists"
            );
            self.say(guard, |_| {}, &Word::works("TargetNotFound", message)).await?;
            return Ok(Next::Wait);
        };
        let status = guard.status.clone().unwrap_or_default();
        let known = status.stable.as_ref().and_then(|stable| self.view.replica_sets.get(namespace, &stable.replica_set));
        let Some((stable, revision)) = known.zip(status.stable.clone()) else {
            return self.adopt(guard, &deployment).await;
        };
        if raw::same_template(&deployment, &stable) {
            return self.at_rest(guard, &deployment).await;
        }
        let hold = status.hold.unwrap_or(Hold::Late);
        // Only the policy can write this mark; the annotation that asks for it anyone can, so it proves nothing.
        let bypassed = raw::annotation(&deployment, names::BYPASSED).is_some_and(|reason| !reason.trim().is_empty());
        if hold == Hold::Admission && bypassed && !raw::paused(&deployment) {
            return self.adopt(guard, &deployment).await;
        }
        if !is_held(&deployment) {
            if let Err(error) = act::hold(&self.client, namespace, target, &self.name).await {
                tracing::warn!(guard = self.name, %error, "not held yet; it is tried again");
            }
            return Ok(Next::Within(TURN_SOON));
        }
        // The policy stamps who asked; a hold without that stamp came from here, after the fact.
        let in_time = hold == Hold::Admission && raw::annotation(&deployment, names::CHANGED_BY).is_some();
        let hold = if in_time { Hold::Admission } else { Hold::Late };
        if !in_time && !raw::observed(&deployment) {
            // Until the native controller has seen the pause it may still make a ReplicaSet of this template.
            return Ok(Next::Within(TURN_SOON));
        }
        let digest = digest.unwrap_or_default();
        if let Some(condemned) = status.condemned.iter().find(|condemned| condemned.template == digest) {
            // A retry waits for a policy by which its Change can begin.
            let policy = self.policy(guard).err();
            let cleared = if policy.is_none() { self.retried(guard, condemned).await? } else { None };
            let Some(cleared) = cleared else {
                // Its marks are to be taken off when the Guard goes.
                self.finalizer(guard, true).await;
                self.put_away(&deployment, in_time).await?;
                let mut word = say::condemned(condemned, &self.name, namespace);
                if let Some(refusal) = policy {
                    word.and(&refusal);
                    self.say(guard, |_| {}, &word).await?;
                    return Ok(Next::Within(LOOK_AGAIN));
                }
                self.say(guard, |_| {}, &word).await?;
                return Ok(Next::Wait);
            };
            // From here on the Guard is the cleared one: whatever is said next writes its whole status. The Change that condemned it
            // may be gone, and its name is not given again.
            let above = condemned.change.rsplit('-').next().and_then(|attempt| attempt.parse().ok()).unwrap_or(0);
            return Box::pin(self.begin(&cleared, &deployment, revision, (hold, above), changes)).await;
        }
        self.begin(guard, &deployment, revision, (hold, 0), changes).await
    }

    /// Begins a Change for the template that the workload carries; its attempt is above the given one.
    async fn begin(
        &mut self,
        guard: &Guard,
        deployment: &DynamicObject,
        stable: Revision,
        (hold, above): (Hold, u32),
        changes: &[Arc<Change>],
    ) -> Result<Next, kube::Error> {
        let namespace = self.view.namespace().to_owned();
        let namespace = namespace.as_str();
        let late = hold == Hold::Late;
        let replica_sets = if late { self.listed_replica_sets().await? } else { self.view.replica_sets.all() };
        self.finalizer(guard, true).await;
        let policy = match self.policy(guard) {
            Ok(policy) => policy,
            Err(mut refusal) => {
                // Until a Change can begin it serves nobody.
                if late {
                    self.put_away(deployment, false).await?;
                }
                refusal.and_say(&hold::way_out(deployment, &self.name, namespace));
                self.say(guard, |_| {}, &refusal).await?;
                return Ok(Next::Within(LOOK_AGAIN));
            }
        };
        let namespace_labels = self.namespace_labels().await;
        let mut beginning = Beginning {
            guard,
            deployment,
            stable,
            policy: &policy,
            namespace_labels,
            hold,
            changes,
            replica_sets: &replica_sets,
            pods: &self.view.pods.all(),
            above,
        };
        for _ in 0..MOST_NAMES {
            let mut change = begin::change(&beginning, Timestamp::now());
            change.spec.cleared = self.clearing_act(&change);
            bounded::bound(&mut change.spec);
            edges::widen(&self.hub, namespace, &mut change.spec).await;
            let name = change.name_any();
            match self.make(&change).await? {
                Made::Runs => {
                    let message = format!("Change {name} runs");
                    let runs = |status: &mut GuardStatus| status.active_change = Some(name.clone());
                    self.say(guard, runs, &Word::works("Changing", message)).await?;
                    return Ok(Next::Within(TURN_SOON));
                }
                Made::NameTaken => beginning.above = change.spec.attempt,
                Made::Unreadable(why) => {
                    let message = made::unreadable(&name, namespace, &why);
                    self.say(guard, |_| {}, &Word::stalled("ChangeUnreadable", message)).await?;
                    return Ok(Next::Within(LOOK_AGAIN));
                }
            }
        }
        let message = format!(
            "Changes of a Guard that had this name are in the way, up to attempt {}, so no Change can begin and the template stays \
             held; delete them: kubectl delete change -n {namespace} -l {}={}",
            beginning.above,
            names::GUARD_LABEL,
            self.name
        );
        self.say(guard, |_| {}, &Word::stalled("NamesTaken", message)).await?;
        Ok(Next::Within(LOOK_AGAIN))
    }

    /// The policy that is in force for the Guard.
    fn policy(&self, guard: &Guard) -> Result<InForce, Word> {
        let held = self.shared.policies.of(guard).map_err(|nothing| Word::stalled(nothing.reason, nothing.message))?;
        held.effective.compile().map_err(|errors| {
            let words: Vec<String> = errors.iter().map(ToString::to_string).collect();
            Word::stalled("PolicyNotUsable", words.join("; "))
        })
    }

    /// Labels of the namespace, for the rules; absent where it cannot be read.
    async fn namespace_labels(&self) -> Option<BTreeMap<String, String>> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        match within(namespaces.get_metadata(self.view.namespace())).await {
            Ok(namespace) => Some(namespace.metadata.labels.unwrap_or_default()),
            Err(error) => {
                tracing::warn!(guard = self.name, %error, "labels of the namespace cannot be read; rules that ask for them count as if they held");
                None
            }
        }
    }

    /// The ReplicaSets as the API server has them now: after a late hold the caches may not have the one that was just made.
    async fn listed_replica_sets(&self) -> Result<Vec<Arc<DynamicObject>>, kube::Error> {
        let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), self.view.namespace(), &crate::world::replica_set());
        let listed = within(api.list(&ListParams::default())).await?;
        Ok(listed.items.into_iter().map(Arc::new).collect())
    }

    /// A condemned template that was held late: what the native controller has started of it serves nobody (I3).
    ///
    /// After a late hold they are listed, once for each state of the workload; after that the caches have what there is.
    async fn put_away(&mut self, deployment: &DynamicObject, in_time: bool) -> Result<(), kube::Error> {
        let listed = deployment.metadata.generation.is_some() && self.put_away == deployment.metadata.generation;
        let replica_sets = if in_time || listed { self.view.replica_sets.all() } else { self.listed_replica_sets().await? };
        let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), self.view.namespace(), &crate::world::replica_set());
        let own = begin::own_replica_sets(deployment, &replica_sets);
        for set in own.iter().filter(|set| raw::same_template(deployment, set) && raw::replicas(set) > 0) {
            let patch = json!({"metadata": {"uid": set.uid()}, "spec": {"replicas": 0}});
            within(api.patch(&set.name_any(), &patch_params(), &Patch::Merge(patch))).await?;
        }
        self.put_away = deployment.metadata.generation;
        Ok(())
    }

    /// The workload carries stable's template: nothing is to be judged. A hold that is left is taken off.
    async fn at_rest(&mut self, guard: &Guard, deployment: &DynamicObject) -> Result<Next, kube::Error> {
        let held = is_held(deployment);
        if held || raw::annotation(deployment, names::BYPASSED).is_some() {
            let api =
                Api::<DynamicObject>::namespaced_with(self.client.clone(), self.view.namespace(), &crate::world::deployment());
            let marks = json!({(names::HELD): null, (names::CHANGED_BY): null, (names::BYPASSED): null});
            let metadata = json!({"resourceVersion": deployment.resource_version(), "annotations": marks});
            // Whoever paused it without a hold has it paused still.
            let spec = if held { json!({"paused": null}) } else { json!({}) };
            let patch = json!({"metadata": metadata, "spec": spec});
            within(api.patch(&deployment.name_any(), &patch_params(), &Patch::Merge(patch))).await?;
        }
        self.finalizer(guard, false).await;
        let hold = self.hold_of(guard, deployment).await;
        let traffic = self.traffic_problem(guard).await;
        if let Err(refusal) = self.policy(guard) {
            // Said before a change comes, which would be held and could not begin.
            self.say(guard, |status| status.hold = Some(hold), &refusal).await?;
            return Ok(Next::Within(LOOK_AGAIN));
        }
        if let Some(problem) = traffic {
            // What is held stays held: a Change says the same and waits.
            self.say(guard, |status| status.hold = Some(hold), &Word::stalled("TrafficNotUsable", problem)).await?;
            return Ok(Next::Within(LOOK_AGAIN));
        }
        let message = match hold {
            Hold::Admission => "the next template change is held in the API server".to_owned(),
            Hold::Late => "no admission policy holds template changes here, so the operator holds them when it sees them; \
                           Kubernetes 1.36 and the chart's policy hold them in the API server"
                .to_owned(),
        };
        self.say(
            guard,
            |status| {
                status.active_change = None;
                status.hold = Some(hold);
            },
            &Word::ready("Guarding", message),
        )
        .await?;
        // The check of the hold is repeated: it is the one call that an idle guard costs.
        Ok(Next::Within(self.tried_again_after()))
    }

    /// Takes the revision that serves users as stable.
    async fn adopt(&mut self, guard: &Guard, deployment: &DynamicObject) -> Result<Next, kube::Error> {
        let own = begin::own_replica_sets(deployment, &self.view.replica_sets.all());
        if !raw::paused(deployment) && !raw::rolled_out(deployment) {
            let message = "a native rollout is under way; its revision becomes stable when it is complete".to_owned();
            self.say(guard, |_| {}, &Word::works("RolloutUnderWay", message)).await?;
            return Ok(Next::Wait);
        }
        let serving = |set: &&Arc<DynamicObject>| {
            let ready = raw::number(set, "/status/readyReplicas").unwrap_or(0);
            (ready, raw::same_template(deployment, set), raw::replicas(set))
        };
        let Some(stable) = own.iter().max_by_key(serving) else {
            let message = format!("Deployment {} has no ReplicaSet yet", deployment.name_any());
            self.say(guard, |_| {}, &Word::works("NoRevisionYet", message)).await?;
            return Ok(Next::Wait);
        };
        let revision = Revision { hash: raw::hash_label(stable).unwrap_or_default().to_owned(), replica_set: stable.name_any() };
        let message = format!("ReplicaSet {} is stable", revision.replica_set);
        let hold = self.hold_of(guard, deployment).await;
        let digest = raw::pod_template(stable).map(template::hash).unwrap_or_default();
        self.say(
            guard,
            |status| {
                account::clear(status, &digest);
                // Where the policy holds nobody else can have written the mark, nor the name beside it.
                let holds = |hold: Option<Hold>| hold == Some(Hold::Admission);
                if status.stable.is_some() && holds(status.hold) && holds(Some(hold)) {
                    bypass::keep(status, deployment, &revision, Timestamp::now());
                }
                status.stable = Some(revision.clone());
                status.hold = Some(hold);
            },
            &Word::works("Adopted", message),
        )
        .await?;
        Ok(Next::Within(TURN_SOON))
    }

    async fn finalizer(&self, guard: &Guard, wanted: bool) {
        let has = guard.finalizers().iter().any(|name| name == names::FINALIZER);
        if has == wanted {
            return;
        }
        let mut finalizers: Vec<String> = guard.finalizers().iter().filter(|name| *name != names::FINALIZER).cloned().collect();
        if wanted {
            finalizers.push(names::FINALIZER.to_owned());
        }
        let api: Api<Guard> = Api::namespaced(self.client.clone(), self.view.namespace());
        let patch = json!({"metadata": {"resourceVersion": guard.resource_version(), "finalizers": finalizers}});
        if let Err(error) = within(api.patch(&self.name, &patch_params(), &Patch::Merge(patch))).await {
            tracing::debug!(guard = self.name, %error, "finalizer not written yet");
        }
    }
}

fn is_held(deployment: &DynamicObject) -> bool {
    raw::paused(deployment) && raw::annotation(deployment, names::HELD).is_some()
}

fn phase(change: &Change) -> Option<Phase> {
    change.status.as_ref().map(|status| status.phase)
}

fn ended(change: &Change) -> bool {
    phase(change).is_some_and(Phase::ended)
}

fn patch_params() -> PatchParams {
    PatchParams { field_manager: Some(names::FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}

async fn within<T>(call: impl Future<Output = kube::Result<T>>) -> kube::Result<T> {
    match tokio::time::timeout(WRITE_WITHIN, call).await {
        Ok(result) => result,
        Err(_) => Err(kube::Error::Service("the API server did not answer within 5 s".into())),
    }
}
