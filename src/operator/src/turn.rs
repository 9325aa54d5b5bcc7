//! One Change at work: observe, decide, record intent, act, record outcome.
//!
//! The intent is recorded before it is acted on, guarded by the resourceVersion: a replica that lost the lease cannot
//! write it, and a replica that comes after goes on from it. The one exception is the way back: it is recorded first as
//! well, but a record that fails does not hold it up, and is made up for with the next.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use firebreak_api::{Change, ChangeStatus, change::RouteRecord, intervention::Outcome, names, packed::unpack};
use firebreak_engine::{Basis, Decision, Effect, Memory, Note, Observation, Setup, memory::Phase, units::Millis};
use kube::{Api, Client, Resource as _, ResourceExt as _, api::PostParams};

use crate::{
    act::Actor,
    answers::Reply,
    attest::Vouched,
    convert,
    events::Teller,
    eyes::{Directly, Eyes, Found, Looks},
    gates::Gate,
    metrics::Hub,
    observe::{self, Given, Live, Objects},
    raised::{self, Raised},
    raw,
    record::{self, Turned, Unrecorded},
    traffic::{Backends, route},
    unreadable,
    world::View,
};

/// Without a decision, the memory is stored this often: a restart then has little to catch up with.
const CHECKPOINT: Duration = Duration::from_secs(2);
/// While a Change is held, for days it may be, this often.
const CHECKPOINT_HELD: Duration = Duration::from_secs(30);
/// A record of the way back may take this long before it is acted on anyway.
const RECORD_WITHIN: Duration = Duration::from_secs(1);
/// Every other record.
const WRITE_WITHIN: Duration = Duration::from_secs(5);

/// Turns of a way back kept for the next record: more than the few that decide anything.
const MOST_UNRECORDED: usize = 20;

/// A Change that this replica works on.
pub(crate) struct Work {
    change: Change,
    setup: Setup,
    memory: Memory,
    routes: Vec<RouteRecord>,
    eyes: Eyes,
    stored_at: Millis,
    /// When this process took it up: before, it asked nobody.
    began: Millis,
    /// Looks whose turn could not be recorded: they are judged with the next.
    unjudged: Looks,
    /// A past whose turn could not be recorded.
    unlearned: Found,
    /// What the API server gave in the last turn of routes that no cache can tell of.
    live: Live,
    /// What people should know of how it was taken up.
    untold: Vec<Note>,
    /// What was told and is not in the record yet, oldest first.
    unrecorded: Vec<Unrecorded>,
    /// Objects whose trouble was told and is not over.
    troubled: BTreeSet<String>,
    raised: Raised,
}

/// Whether what was stored then is to be stored again; after a clock was set back, at once.
fn is_due(stored_at: Millis, now: Millis, every: Duration) -> bool {
    now < stored_at || now.seconds_since(stored_at) >= every.as_secs_f64()
}

/// The instants from which waits count: a process that dies before they are stored would begin each wait anew.
fn since_when(memory: &Memory) -> (Option<Millis>, Option<Millis>, Option<Millis>, Option<Millis>) {
    let share_zero_at = memory.retreat.as_ref().and_then(|retreat| retreat.share_zero_at);
    (memory.in_effect, memory.taken_back_since, memory.routes_clean_at, share_zero_at)
}

/// What a turn begins with.
pub(crate) struct Beginning<'a> {
    pub(crate) now: Millis,
    /// Whether the Guard, or the Change itself, is being deleted.
    pub(crate) guard_leaves: bool,
    /// Whether the Guard asks for other things than the Change began with.
    pub(crate) guard_changed: bool,
    /// Whether the API server vouches for who made an Intervention.
    pub(crate) vouched: Vouched,
    /// Freezes and limits.
    pub(crate) gate: Gate<'a>,
}

/// When effects are carried out, and whether on the way back.
struct Moment {
    now: Millis,
    back: bool,
}

/// How a turn went.
pub(crate) enum Went {
    /// Nothing was to be done.
    Quiet,
    /// Something was done: what it led to is to be looked at soon.
    Busy,
    /// The Change is over.
    Ended,
    /// Someone else wrote the Change: it has to be read again.
    Lost,
}

impl Work {
    /// Takes up a Change where its status says it stands.
    pub(crate) fn take_up(hub: &Arc<Hub>, change: Change, view: &View, now: Millis) -> Self {
        let namespace = view.namespace();
        let deployment = view.deployments.get(namespace, &change.spec.target.name);
        let setup = convert::setup(&change, deployment.as_deref().map_or(600.0, raw::progress_deadline));
        let status = change.status.clone().unwrap_or_default();
        let stored = status.memory.as_ref().map(|text| unpack("memory", text));
        let (mut memory, untold) = match stored {
            None => (Memory::new(&setup, now), Vec::new()),
            Some(Ok(memory)) => (memory, Vec::new()),
            Some(Err(why)) => {
                tracing::error!(change = %change.name_any(), %why, "the memory cannot be read");
                let candidate = view.replica_sets.get(namespace, &change.spec.candidate.replica_set);
                let owner = candidate.as_deref().and_then(raw::controller).map(|owner| owner.uid.as_str());
                let handed_over = owner == Some(&change.spec.target_uid);
                let (memory, note) = unreadable::instead(&setup, &change, handed_over, &why, now);
                (memory, vec![note])
            }
        };
        let eyes = Eyes::open(hub, &change, namespace, Directly::of(view, &memory.judgement));
        // Told now, so that nothing has changed before the first look: what that look showed is then what is stored first.
        memory.judgement.watch_since(now);
        tracing::info!(change = %change.name_any(), phase = ?memory.phase, signals = ?eyes.names().collect::<Vec<_>>(), "working on");
        Self {
            setup,
            memory,
            routes: status.routes,
            eyes,
            stored_at: Millis(0),
            live: Live::new(),
            unrecorded: untold.iter().map(|note| Unrecorded { at: now, notes: vec![note.clone()], basis: None }).collect(),
            untold,
            began: now,
            unjudged: Looks::default(),
            unlearned: Found::default(),
            troubled: BTreeSet::new(),
            raised: Raised::default(),
            change,
        }
    }

    /// The Change.
    pub(crate) fn change(&self) -> &Change {
        &self.change
    }

    /// How long the memory may go unstored: before the candidate has users there is no evidence to lose, but what people are told
    /// of its wait stays true.
    fn checkpoint(&self, memory: &Memory) -> Duration {
        let told = self.change.status.as_ref().and_then(|status| status.waiting.as_ref()).map(|waiting| &waiting.message);
        let same = told == memory.waiting.as_ref().map(|waiting| &waiting.message);
        if memory.phase == Phase::Held && same { CHECKPOINT_HELD } else { CHECKPOINT }
    }

    /// Resolves when there is a new answer of the metrics source.
    pub(crate) async fn new_answer(&mut self) {
        self.eyes.changed().await;
    }

    /// One turn.
    pub(crate) async fn turn(&mut self, client: &Client, view: &View, teller: &Teller, moment: Beginning<'_>) -> Went {
        let Beginning { now, guard_leaves, guard_changed, vouched, gate } = moment;
        let objects = Objects::find(view, &self.change, &self.live);
        if let Some(deployment) = &objects.deployment {
            self.setup.ready_deadline_seconds = raw::progress_deadline(deployment);
        }
        let (judgement, reach) = (&self.memory.judgement, &self.memory.reach);
        let pasts = self.eyes.pasts(now, judgement.knows_past(), reach.knows_past()).await;
        let goes_back = self.memory.phase == Phase::Retreating;
        let guard_changed = guard_changed && raised::as_it_began(objects.deployment.as_deref(), &self.change);
        let raised = if goes_back { None } else { self.raised.level(objects.deployment.as_deref(), &self.change) };
        let given = Given {
            now,
            raised,
            looks: self.eyes.looks(now).or(std::mem::take(&mut self.unjudged)),
            seen: self.eyes.seen(),
            pasts: pasts.unwrap_or_default().or(std::mem::take(&mut self.unlearned)),
            guard_leaves,
            guard_changed,
            watching_since: self.began,
            vouched,
        };
        let mut seen = observe::observe(view, &self.change, &objects, &self.routes, given);
        let decision = gate.decide(&self.setup, &self.memory, &mut seen);
        self.keep_routes(&objects, &decision);
        let due = is_due(self.stored_at, now, self.checkpoint(&decision.memory));
        let decided = !decision.notes.is_empty()
            || decision.memory.phase != self.memory.phase
            || decision.memory.granted != self.memory.granted
            // What humans asked is on record before it is answered, whatever became of it.
            || decision.memory.heard != self.memory.heard
            || since_when(&decision.memory) != since_when(&self.memory)
            || decision.memory.waiting.as_ref().map(|w| &w.reason) != self.memory.waiting.as_ref().map(|w| &w.reason);
        if decided || !self.unrecorded.is_empty() || (due && decision.memory != self.memory) {
            let back = decision.memory.phase == Phase::Retreating;
            match self.store(client, &decision, &seen, if back { RECORD_WITHIN } else { WRITE_WITHIN }).await {
                Ok(()) => {}
                Err(StoreError::Lost) => {
                    // Whoever wrote it goes on from there; the candidate's share does not wait for that.
                    let safe: Vec<Effect> = decision.effects.into_iter().filter(|effect| *effect == Effect::ZeroWeight).collect();
                    self.act(client, &objects, if back { &safe } else { &[] }, teller, Moment { now, back }).await;
                    return Went::Lost;
                }
                Err(StoreError::Failed(error)) if back => {
                    tracing::error!(%error, "the way back is not recorded yet; it is gone all the same");
                    self.keep(&decision, &seen);
                }
                Err(StoreError::Failed(error)) => {
                    tracing::warn!(%error, "the decision is not recorded, so it is not acted on; it is made again");
                    self.unjudged =
                        Looks { first: seen.look, second: seen.second, dependents: seen.dependents, checks: seen.checks };
                    self.unlearned = Found { stable: seen.pasts, dependents: seen.dependent_pasts };
                    return Went::Busy;
                }
            }
        }
        let untold = std::mem::take(&mut self.untold);
        for note in untold.iter().chain(&decision.notes) {
            teller.tell(&self.change, objects.deployment.as_deref(), note);
        }
        let back = decision.memory.phase == Phase::Retreating;
        let acted = self.act(client, &objects, &decision.effects, teller, Moment { now, back }).await;
        self.answer(teller, &decision);
        self.memory = decision.memory;
        self.live = self.look(client, view).await;
        match self.memory.phase {
            Phase::Ended(_) => Went::Ended,
            _ if acted || decided => Went::Busy,
            _ => Went::Quiet,
        }
    }

    async fn act(&mut self, client: &Client, objects: &Objects, effects: &[Effect], teller: &Teller, moment: Moment) -> bool {
        let Moment { now, back } = moment;
        if effects.is_empty() && objects.strays.is_empty() {
            return false;
        }
        let actor = Actor::new(client, &self.change, objects, &self.routes).going_back(back);
        let done = actor.run(effects).await;
        // After the hold: before, the native controller would only start them again.
        actor.put_away().await;
        let notes = actor.into_notes();
        if let Err(error) = &done {
            tracing::warn!(change = %self.change.name_any(), %error, "not done yet; it is tried again");
        }
        // Each trouble is told once, until it is over.
        self.troubled.retain(|about| notes.iter().any(|(other, _)| other == about));
        for (about, note) in notes {
            if self.troubled.insert(about) {
                teller.tell(&self.change, objects.deployment.as_deref(), &note);
                self.unrecorded.push(Unrecorded { at: now, notes: vec![note], basis: None });
            }
        }
        true
    }

    /// Where the way back or the hand-over rests on routes that no cache can tell of, the API server is asked for each.
    async fn look(&self, client: &Client, view: &View) -> Live {
        let rests_on_them = matches!(self.memory.phase, Phase::Retreating | Phase::Promoting);
        let objects = Objects::find(view, &self.change, &Live::new());
        if !rests_on_them || !objects.unreadable() {
            return Live::new();
        }
        Actor::new(client, &self.change, &objects, &self.routes).look().await
    }

    /// Follows what the routes say without us, while the candidate is in them or is about to be.
    fn keep_routes(&mut self, objects: &Objects, decision: &Decision) {
        if !decision.effects.iter().any(|effect| matches!(effect, Effect::SetWeight(_) | Effect::RestoreRoutes)) {
            return;
        }
        let Some(traffic) = &self.change.spec.traffic else { return };
        let candidate = names::candidate_service(&traffic.service);
        let backends = Backends { service: &traffic.service, candidate: &candidate };
        let records = traffic.routes.iter().zip(&objects.routes).filter_map(|(named, object)| {
            let object = object.found()?;
            let former = observe::records_of(&self.routes, named, object);
            let rules = route::record(&raw::whole(object), backends, former).ok()?;
            Some(RouteRecord { kind: named.kind, name: named.name.clone(), uid: object.uid().unwrap_or_default(), rules })
        });
        let records: Vec<RouteRecord> = records.collect();
        if records.len() == traffic.routes.len() {
            self.routes = records;
        }
    }

    async fn store(
        &mut self,
        client: &Client,
        decision: &Decision,
        seen: &Observation,
        limit: Duration,
    ) -> Result<(), StoreError> {
        let old = self.change.status.clone().unwrap_or_default();
        let turned = Turned {
            setup: &self.setup,
            before: &self.memory,
            memory: &decision.memory,
            seen,
            notes: &decision.notes,
            earlier: &self.unrecorded,
            routes: self.routes.clone(),
        };
        let status = record::status(&self.change, &old, &turned).map_err(|error| StoreError::Failed(error.to_string()))?;
        self.write(client, status, limit).await?;
        self.stored_at = seen.now;
        self.unrecorded.clear();
        Ok(())
    }

    async fn write(&mut self, client: &Client, status: ChangeStatus, limit: Duration) -> Result<(), StoreError> {
        let api: Api<Change> = Api::namespaced(client.clone(), &self.change.namespace().unwrap_or_default());
        let mut next = self.change.clone();
        next.metadata.managed_fields = None;
        next.status = Some(status);
        match tokio::time::timeout(limit, self.replace(&api, next)).await {
            Ok(Ok(stored)) => {
                self.change = stored;
                Ok(())
            }
            Ok(Err(kube::Error::Api(status))) if status.is_conflict() || status.is_not_found() => Err(StoreError::Lost),
            Ok(Err(error)) => Err(StoreError::Failed(error.to_string())),
            Err(_) => Err(StoreError::Failed(format!("no answer within {} s", limit.as_secs()))),
        }
    }

    /// Tells the humans what became of their acts, beside the turn.
    fn answer(&self, teller: &Teller, decision: &Decision) {
        for answer in &decision.answers {
            teller.answer(Reply {
                namespace: self.change.namespace().unwrap_or_default(),
                act: answer.act.clone(),
                outcome: if answer.applied { Outcome::Applied } else { Outcome::Refused },
                message: answer.message.clone(),
                owner: self.change.owner_ref(&()),
            });
        }
    }

    /// Replaces the status. A conflict with someone who wrote nothing of it (a label, a deletion) is none of ours: the turn
    /// still stands on what is stored, so it is written on top.
    async fn replace(&self, api: &Api<Change>, mut next: Change) -> kube::Result<Change> {
        let params = PostParams { field_manager: Some(names::FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let name = next.name_any();
        match api.replace_status(&name, &params, &next).await {
            Err(kube::Error::Api(status)) if status.is_conflict() => {
                let stored = api.get(&name).await?;
                if stored.metadata.uid != self.change.metadata.uid || stored.status != self.change.status {
                    return Err(kube::Error::Api(status));
                }
                next.metadata = stored.metadata;
                next.metadata.managed_fields = None;
                api.replace_status(&name, &params, &next).await
            }
            other => other,
        }
    }

    /// Keeps a decision whose record failed for the next record.
    fn keep(&mut self, decision: &Decision, seen: &Observation) {
        if decision.notes.is_empty() && decision.memory.heard == self.memory.heard {
            return;
        }
        let basis = Basis { setup: self.setup.clone(), memory: self.memory.clone(), observation: seen.clone() };
        self.unrecorded.push(Unrecorded { at: seen.now, notes: decision.notes.clone(), basis: Some(basis) });
        let surplus = self.unrecorded.len().saturating_sub(MOST_UNRECORDED);
        self.unrecorded.drain(..surplus);
    }
}

enum StoreError {
    Lost,
    Failed(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case::just_stored(100_000, false)]
    #[case::soon(101_999, false)]
    #[case::as_long_as_that(102_000, true)]
    #[case::a_clock_set_back_by_an_hour(100_000 - 3_600_000, true)]
    fn given_a_time_since_the_last_record_when_asked_then_it_is_due_or_not(#[case] now: i64, #[case] due: bool) {
        assert_eq!(is_due(Millis(100_000), Millis(now), CHECKPOINT), due);
    }
}
