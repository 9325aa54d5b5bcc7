//! What happened in a namespace, in order: every version of its Changes, routes and ReplicaSets that a watch gave. The
//! invariants of the design are checked against it, and against what the load saw.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use anyhow::Context as _;
use firebreak_api::{Change, change::Phase, guard::Hold};
use firebreak_lab::load::{BUCKET, Report};
use futures::StreamExt as _;
use kube::{
    Api, Client, ResourceExt as _,
    api::{ApiResource, DynamicObject, GroupVersionKind},
    runtime::{WatchStreamExt as _, watcher},
};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::grounds::{MOST_DECISIONS, check_grounds, decided_again};

/// One thing seen.
#[derive(Clone, Debug)]
pub enum Seen {
    /// A Change.
    Change {
        /// Its name.
        name: String,
        /// Where it is.
        phase: Phase,
        /// Share of traffic that it grants the candidate, percent.
        weight: f64,
        /// Whether that share was seen in effect.
        in_effect: bool,
    },
    /// A route: largest share of the guarded Service's traffic that its rules give the candidate, in percent.
    Route(f64),
    /// A ReplicaSet: name, size.
    ReplicaSet(String, u64),
    /// The workload: size that it asks for.
    Workload(u64),
    /// The workload: a template was let through by someone who may, past every judgement.
    Bypassed,
    /// The workload: whether its rollout is paused.
    Held(bool),
    /// The guarded Service: whether it carries the pin and selects by it.
    Pinned(bool),
}

/// One state, as it was seen.
#[derive(Clone)]
struct Noted {
    /// When it was seen, since the beginning.
    at: Duration,
    /// The API server's revision of the object in that state: of all kinds and namespaces one order, as one store gives them.
    revision: Option<u64>,
    seen: Seen,
}

/// Everything seen so far, with the time since the beginning.
#[derive(Clone)]
pub struct Chronicle {
    began: Instant,
    began_at: SystemTime,
    seen: Arc<Mutex<Vec<Noted>>>,
    changes: Arc<Mutex<BTreeMap<String, Change>>>,
    versions: Arc<Mutex<BTreeMap<String, String>>>,
    _watches: Arc<JoinSet<()>>,
}

/// Watches come one after another: what happens within this time has no certain order.
pub const TOGETHER: Duration = Duration::from_millis(700);
/// The native controller gives stable the size that the workload asks for within this, on a busy machine.
const FOLLOWS: Duration = Duration::from_secs(5);
/// Pods of stable that the native controller had taken away before a late hold are back within this.
const MENDED: Duration = Duration::from_secs(15);

impl Chronicle {
    /// Begins to watch a namespace, whose workload and Service have one name.
    #[must_use]
    pub fn begin(client: &Client, namespace: &str, service: &str) -> Self {
        let mut watches = JoinSet::new();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (began, began_at) = (Instant::now(), SystemTime::now());
        let note = {
            let seen = Arc::clone(&seen);
            move |version: Option<String>, entry: Seen| {
                let revision = version.and_then(|version| version.parse().ok());
                let noted = Noted { at: began.elapsed(), revision, seen: entry };
                seen.lock().unwrap_or_else(PoisonError::into_inner).push(noted);
            }
        };
        let api: Api<Change> = Api::namespaced(client.clone(), namespace);
        let told = note.clone();
        let changes = Arc::new(Mutex::new(BTreeMap::new()));
        let newest = Arc::clone(&changes);
        let versions = Arc::new(Mutex::new(BTreeMap::new()));
        watches.spawn(async move {
            let mut stream = std::pin::pin!(watcher(api, watcher::Config::default()).default_backoff().applied_objects());
            while let Some(event) = stream.next().await {
                if let Ok(change) = event {
                    let status = change.status.clone().unwrap_or_default();
                    let (name, revision) = (change.name_any(), change.resource_version());
                    let (phase, weight, in_effect) = (status.phase, status.weight_percent, status.stage_began_at.is_some());
                    newest.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), change);
                    told(revision, Seen::Change { name, phase, weight, in_effect });
                }
            }
        });
        let candidate = firebreak_api::names::candidate_service(service);
        let service = service.to_owned();
        let raw = |group: &str, kind: &str, plural: &str| {
            let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, "v1", kind), plural);
            let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
            (watcher(api, watcher::Config::default()), note.clone())
        };
        for (group, kind, plural) in [
            ("gateway.networking.k8s.io", "HTTPRoute", "httproutes"),
            ("gateway.networking.k8s.io", "GRPCRoute", "grpcroutes"),
            ("apps", "ReplicaSet", "replicasets"),
            ("apps", "Deployment", "deployments"),
            ("", "Service", "services"),
        ] {
            let (stream, told) = raw(group, kind, plural);
            let (service, candidate, versions) = (service.clone(), candidate.clone(), Arc::clone(&versions));
            watches.spawn(async move {
                let mut stream = std::pin::pin!(stream.default_backoff().applied_objects());
                while let Some(event) = stream.next().await {
                    let Ok(object) = event else { continue };
                    let replicas = object.data.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(0);
                    let told = |entry: Seen| told(object.resource_version(), entry);
                    told(match kind {
                        "Service" | "Deployment" if object.name_any() != service => continue,
                        "Service" => Seen::Pinned(pinned(&object)),
                        "ReplicaSet" => {
                            let name = object.name_any();
                            versions.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), version(&object));
                            Seen::ReplicaSet(name, replicas)
                        }
                        "Deployment" => {
                            let held = object.data.pointer("/spec/paused") == Some(&Value::Bool(true));
                            told(Seen::Held(held));
                            if object.annotations().contains_key(firebreak_api::names::BYPASSED) {
                                told(Seen::Bypassed);
                            }
                            Seen::Workload(replicas)
                        }
                        _ => Seen::Route(share(&object.data, &service, &candidate)),
                    });
                }
            });
        }
        Self { began, began_at, seen, changes, versions, _watches: Arc::new(watches) }
    }

    /// Everything seen so far, in the order in which it was written.
    #[must_use]
    pub fn entries(&self) -> Vec<(Duration, Seen)> {
        in_order(self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Time since the beginning.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// The newest version of every Change that was seen, the oldest first.
    #[must_use]
    pub fn changes(&self) -> Vec<Change> {
        let mut changes: Vec<_> = self.changes.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        changes.sort_by_key(|change| change.spec.detected_at);
        changes
    }

    /// I1, I2, I4, I6, I10 and the hold, over everything that was seen of every Change.
    ///
    /// # Errors
    /// The first breach, in words.
    pub fn check(&self) -> anyhow::Result<()> {
        let entries = self.entries();
        check_shares(&entries)?;
        for change in self.changes() {
            let name = change.name_any();
            let checked = check_steps(&entries, &change)
                .and_then(|()| check_stable(&entries, &change, self.elapsed()))
                .and_then(|()| if exposed_and_held(&entries, &change) { self.check_held(&name) } else { Ok(()) })
                .and_then(|()| check_grounds(&change))
                .and_then(|()| decided_again(&change));
            checked.with_context(|| format!("Change {name}"))?;
        }
        Ok(())
    }

    /// I1 and I3 by what the users saw: at each stage the candidate answered no more than its share of all requests, none
    /// before the first, and none after it was taken back or superseded.
    ///
    /// # Errors
    /// The first breach, in words.
    pub fn check_exposure(&self, report: &Report) -> anyhow::Result<()> {
        let entries = self.entries();
        let offset = |at: Duration| report.offset_of(self.began_at + at);
        let versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let version_of = |set: &str| versions.get(set).cloned().unwrap_or_default();
        let changes = self.changes();
        for (place, change) in changes.iter().enumerate() {
            let (name, version) = (change.name_any(), version_of(&change.spec.candidate.replica_set));
            let divided = change.spec.traffic.as_ref().is_some_and(|traffic| !traffic.routes.is_empty());
            if version == version_of(&change.spec.stable.replica_set) || bypassed(&entries).is_some() {
                continue;
            }
            let answered =
                |from: Duration, to: Duration| report.by_version(&version).map_or(0, |series| series.between(from, to).sent());
            for (from, to, weight) in granted(&entries, &name) {
                // Before the first weight there is nothing of it, but what ran before a late hold.
                let compared = if weight > 0.0 { divided } else { divided && change.spec.hold == Hold::Admission };
                let (from, to) = (offset(from), offset(to.saturating_sub(TOGETHER)));
                let (own, all) = (answered(from, to), report.between(from, to).sent());
                anyhow::ensure!(
                    !compared || own as f64 <= most(weight, all),
                    "I1: Change {name}: {version} answered {own} of {all} requests while {weight} % were granted"
                );
            }
            if let Some(ended) = first(&entries, &name, |phase, _| matches!(phase, Phase::RolledBack | Phase::Superseded)) {
                let again = changes.iter().skip(place + 1).find(|later| version_of(&later.spec.candidate.replica_set) == version);
                let to = again.and_then(|later| first(&entries, &later.name_any(), |_, _| true)).map_or(Duration::MAX, offset);
                let own = answered(offset(ended) + BUCKET, to);
                anyhow::ensure!(own == 0, "I3: Change {name}: {version} answered {own} requests after its end");
            }
        }
        Ok(())
    }

    /// The hold, over every version of the workload that was seen since then: it was paused in no later than the next
    /// moment, and it is still.
    ///
    /// # Errors
    /// The first breach.
    pub fn check_paused_since(&self, from: Duration) -> anyhow::Result<()> {
        let held = |entry: &Seen| if let Seen::Held(held) = entry { Some(*held) } else { None };
        steady(&self.entries(), from, self.elapsed(), held).context("the workload is paused")
    }

    /// The hold and the pin, over every version of workload and Service that was seen: from the Change's beginning until it
    /// is handed over or goes back, the workload is paused; from the first weight on, the Service is pinned.
    ///
    /// # Errors
    /// The first breach, or that the Change never had a weight.
    pub fn check_held(&self, change: &str) -> anyhow::Result<()> {
        let entries = self.entries();
        let over = first(&entries, change, |phase, _| phase.ended() || matches!(phase, Phase::Promoting | Phase::RollingBack));
        let over = over.into_iter().chain(bypassed(&entries)).min().unwrap_or_else(|| self.elapsed());
        let began = first(&entries, change, |_, _| true).with_context(|| format!("Change {change} was not seen"))?;
        let exposed =
            first(&entries, change, |_, weight| weight > 0.0).with_context(|| format!("Change {change} was never exposed"))?;
        let held = |entry: &Seen| if let Seen::Held(held) = entry { Some(*held) } else { None };
        let pinned = |entry: &Seen| if let Seen::Pinned(pinned) = entry { Some(*pinned) } else { None };
        steady(&entries, began, over, held).context("the workload is paused")?;
        let divided = self.changes().iter().any(|seen| seen.name_any() == change && seen.spec.traffic.is_some());
        if divided { steady(&entries, exposed, over, pinned).context("the Service is pinned") } else { Ok(()) }
    }
}

/// Each state with the earliest time by which it, or one that was written after it, was seen: on a busy machine one watch can be
/// behind another by seconds. As they came, where the API server's revisions have no order.
fn in_order(mut noted: Vec<Noted>) -> Vec<(Duration, Seen)> {
    if noted.iter().all(|one| one.revision.is_some()) {
        noted.sort_by_key(|one| one.revision);
        let mut earliest = Duration::MAX;
        for one in noted.iter_mut().rev() {
            earliest = earliest.min(one.at);
            one.at = earliest;
        }
    }
    noted.into_iter().map(|one| (one.at, one.seen)).collect()
}

/// When a Change was first seen to fit.
fn first(entries: &[(Duration, Seen)], change: &str, fits: impl Fn(Phase, f64) -> bool) -> Option<Duration> {
    entries.iter().find_map(|(at, entry)| match entry {
        Seen::Change { name, phase, weight, .. } if name == change && fits(*phase, *weight) => Some(*at),
        _ => None,
    })
}

/// From when to when a Change granted which weight on its way up: from its beginning to its promotion or its way back.
fn granted(entries: &[(Duration, Seen)], change: &str) -> Vec<(Duration, Duration, f64)> {
    let mut spans: Vec<(Duration, Duration, f64)> = Vec::new();
    for (at, entry) in entries {
        let Seen::Change { name, phase, weight, .. } = entry else { continue };
        if name != change {
            continue;
        }
        if let Some(last) = spans.last_mut() {
            last.1 = *at;
        }
        if phase.ended() || matches!(phase, Phase::Promoting | Phase::RollingBack) {
            break;
        }
        if spans.last().is_none_or(|last| (last.2 - weight).abs() > 0.01) {
            spans.push((*at, *at, *weight));
        }
    }
    spans
}

/// The most requests of so many that a share may have: gateways count exactly, but each of their instances and each new
/// configuration begins to count anew; beyond chance by three deviations and a handful.
#[expect(clippy::cast_precision_loss, reason = "counts of requests are far below 2^53")]
fn most(percent: f64, requests: u64) -> f64 {
    let (share, requests) = (percent / 100.0, requests as f64);
    if share > 0.0 { share * requests + 3.0 * (share * (1.0 - share) * requests).sqrt() + 5.0 } else { 0.0 }
}

/// When a template was first let through past every judgement.
fn bypassed(entries: &[(Duration, Seen)]) -> Option<Duration> {
    entries.iter().find_map(|(at, entry)| matches!(entry, Seen::Bypassed).then_some(*at))
}

/// Whether hold and pin can be asked of it: a late hold begins after the Change's template is there.
fn exposed_and_held(entries: &[(Duration, Seen)], change: &Change) -> bool {
    change.spec.hold == Hold::Admission && first(entries, &change.name_any(), |_, weight| weight > 0.0).is_some()
}

/// I1 and I2: no route gives the candidate more than a recorded weight that holds at the time, and once a Change goes back,
/// its share never rises.
fn check_shares(entries: &[(Duration, Seen)]) -> anyhow::Result<()> {
    let recorded: Vec<(Duration, f64, Phase)> = entries
        .iter()
        .filter_map(
            |(at, entry)| if let Seen::Change { phase, weight, .. } = entry { Some((*at, *weight, *phase)) } else { None },
        )
        .collect();
    let mut last_share = 0.0;
    for (at, entry) in entries {
        let Seen::Route(share) = entry else { continue };
        let near = |(when, _, _): &&(Duration, f64, Phase)| *when <= *at + TOGETHER;
        let granted = recorded.iter().filter(near).rev();
        // The weight that held when this was written: the last recorded ones that were seen close to it, and the one before.
        let mut allowed: f64 = 0.0;
        for (when, weight, _) in granted {
            allowed = allowed.max(*weight);
            if *when + TOGETHER < *at {
                break;
            }
        }
        anyhow::ensure!(
            *share <= allowed + 0.05,
            "I1: at {at:?} a route gave the candidate {share:.1} %, {allowed:.1} % were granted"
        );
        let going_back = recorded.iter().rfind(|(when, ..)| *when + TOGETHER < *at);
        if let Some((_, _, Phase::RollingBack)) = going_back {
            anyhow::ensure!(
                *share <= last_share,
                "I2: at {at:?}, after the way back was decided, the share rose from {last_share:.1} to {share:.1} %"
            );
        }
        last_share = *share;
    }
    Ok(())
}

/// I1 against the plan, not against the operator's own word: what it grants are the plan's stages, one after another, each
/// with a decision; on the way back it never grants more. And what it says is in effect was seen in a route.
fn check_steps(entries: &[(Duration, Seen)], change: &Change) -> anyhow::Result<()> {
    let mut stages = vec![0.0];
    stages.extend(change.spec.plan.stages.iter().map(|stage| change.spec.share_percent(*stage)));
    let (mut stage, mut highest, mut goes_back, mut effective) = (0, 0, false, false);
    for (at, entry) in entries {
        let Seen::Change { name, phase, weight, in_effect } = entry else { continue };
        if *name != change.name_any() {
            continue;
        }
        let now = stages.iter().position(|stage| (stage - weight).abs() < 0.01);
        let now = now.with_context(|| format!("I1: at {at:?} it granted {weight} %, the plan's stages are {stages:?}"))?;
        goes_back |= *phase == Phase::RollingBack;
        effective |= *in_effect && *weight > 0.0;
        anyhow::ensure!(now <= stage + 1, "I1: at {at:?} it went from {} % to {weight} %, past a stage", stages[stage]);
        anyhow::ensure!(!goes_back || now <= stage, "I2: at {at:?}, on the way back, it granted {weight} %");
        (stage, highest) = (now, highest.max(now));
    }
    let decisions = change.status.iter().flat_map(|status| &status.decisions);
    let told = decisions.clone().filter(|decision| decision.reason == "StageStarted").count();
    let kept = decisions.count() < MOST_DECISIONS;
    anyhow::ensure!(!kept || told >= highest, "I1: it went up {highest} stages, and {told} decisions speak of it");
    let routes = change.spec.traffic.as_ref().is_some_and(|traffic| !traffic.routes.is_empty());
    let shared = entries.iter().any(|(_, entry)| matches!(entry, Seen::Route(share) if *share > 0.0));
    anyhow::ensure!(!effective || !routes || shared, "a weight is in effect, and no route was seen to give a share");
    Ok(())
}

/// I4: until it is promoted, or someone lets a template through, stable has the pods that the workload asks for.
fn check_stable(entries: &[(Duration, Seen)], change: &Change, now: Duration) -> anyhow::Result<()> {
    let (name, stable) = (change.name_any(), &change.spec.stable.replica_set);
    let began = first(entries, &name, |_, _| true).context("it was not seen")?;
    let over = first(entries, &name, |phase, _| phase.ended() || phase == Phase::Promoting);
    let over = over.into_iter().chain(bypassed(entries)).min().unwrap_or(now).saturating_sub(TOGETHER);
    let mut from = began + TOGETHER;
    let (mut size, mut mended) = (None, change.spec.hold == Hold::Admission);
    for (at, entry) in entries {
        if let Seen::ReplicaSet(name, wanted) = entry
            && name == stable
        {
            size = Some(*wanted);
        }
        let (Some(size), Some(least)) = (size, asked(entries, *at)) else { continue };
        if !mended && *at >= began {
            mended = size >= least;
            from = *at;
            anyhow::ensure!(
                mended || *at <= began + MENDED,
                "I4: stable has {size} of {least} pods {MENDED:?} after a late hold"
            );
        }
        if mended && *at > from && *at < over {
            anyhow::ensure!(size >= least, "I4: at {at:?} stable's ReplicaSet wanted {size} pods, the workload at least {least}");
        }
    }
    Ok(())
}

/// The smallest size that the workload asked for lately: the native controller follows it, and watches have no certain order.
fn asked(entries: &[(Duration, Seen)], at: Duration) -> Option<u64> {
    let sizes =
        || entries.iter().filter_map(|(when, entry)| if let Seen::Workload(size) = entry { Some((*when, *size)) } else { None });
    let before = sizes().take_while(|(when, _)| *when + FOLLOWS <= at).last();
    let lately = sizes().filter(|(when, _)| *when + FOLLOWS > at && *when <= at + TOGETHER);
    before.into_iter().chain(lately).map(|(_, size)| size).min()
}

/// Whether something held all along: a watch tells only what changes, so what was seen last before the time counts as well.
/// Of a time too short for a certain order within it nothing is asked.
fn steady(entries: &[(Duration, Seen)], from: Duration, to: Duration, of: impl Fn(&Seen) -> Option<bool>) -> anyhow::Result<()> {
    let states = || entries.iter().filter_map(|(at, entry)| Some((*at, of(entry)?)));
    let (from, to) = (from + TOGETHER, to.saturating_sub(TOGETHER));
    if from >= to {
        return Ok(());
    }
    let at_first = states().take_while(|(at, _)| *at <= from).last().context("nothing was seen of it")?;
    let later = states().filter(|(at, _)| *at > from && *at < to);
    match std::iter::once(at_first).chain(later).find(|(_, holds)| !holds) {
        Some((at, _)) => anyhow::bail!("not so at {at:?}, between {from:?} and {to:?}"),
        None => Ok(()),
    }
}

/// The version of the demo service that a ReplicaSet runs.
fn version(set: &DynamicObject) -> String {
    let variables = set.data.pointer("/spec/template/spec/containers/0/env").and_then(Value::as_array);
    let mut named = variables.into_iter().flatten().filter(|variable| variable["name"] == "VERSION");
    named.find_map(|variable| variable["value"].as_str()).unwrap_or_default().to_owned()
}

/// Whether a Service carries the pin's annotation and selects by it.
fn pinned(service: &DynamicObject) -> bool {
    let hash = service.annotations().get(firebreak_api::names::PIN);
    let selected = service.data.pointer("/spec/selector/pod-template-hash").and_then(Value::as_str);
    hash.is_some() && hash.map(String::as_str) == selected
}

/// Largest share over the rules, in percent.
fn share(route: &Value, service: &str, candidate: &str) -> f64 {
    let rules = route.pointer("/spec/rules").and_then(Value::as_array);
    let of_rule = |rule: &Value| {
        let weight = |name: &str| -> f64 {
            let refs = rule.get("backendRefs").and_then(Value::as_array);
            let named = refs.into_iter().flatten().filter(|entry| entry.get("name").and_then(Value::as_str) == Some(name));
            named.map(|entry| entry.get("weight").and_then(Value::as_f64).unwrap_or(1.0)).sum()
        };
        let (one, other) = (weight(candidate), weight(service));
        if one > 0.0 { one / (one + other) * 100.0 } else { 0.0 }
    };
    rules.into_iter().flatten().map(of_rule).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests;
