//! What happened in a namespace, in order: every version of its Changes, routes and ReplicaSets that a watch gave. The
//! invariants of the design are checked against it, and against what the load saw.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use firebreak_api::{Change, change::Phase};
use futures::StreamExt as _;
use kube::{
    Api, Client, ResourceExt as _,
    api::{ApiResource, DynamicObject, GroupVersionKind},
    runtime::{WatchStreamExt as _, watcher},
};
use serde_json::Value;
use tokio::task::JoinSet;

/// One thing seen.
#[derive(Clone, Debug)]
pub enum Seen {
    /// A Change: name, phase, weight in percent.
    Change(String, Phase, f64),
    /// A route: largest share of the guarded Service's traffic that its rules give the candidate, in percent.
    Route(f64),
    /// A ReplicaSet: name, size.
    ReplicaSet(String, u64),
    /// The workload: size.
    Workload(u64),
    /// The workload: whether its rollout is paused.
    Held(bool),
    /// The guarded Service: whether it carries the pin and selects by it.
    Pinned(bool),
}

/// Everything seen so far, with the time since the beginning.
#[derive(Clone)]
pub struct Chronicle {
    began: Instant,
    seen: Arc<Mutex<Vec<(Duration, Seen)>>>,
    _watches: Arc<JoinSet<()>>,
}

/// Watches come one after another: what happens within this time has no certain order.
const TOGETHER: Duration = Duration::from_millis(700);

impl Chronicle {
    /// Begins to watch a namespace.
    #[must_use]
    pub fn begin(client: &Client, namespace: &str, service: &str) -> Self {
        let mut watches = JoinSet::new();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let began = Instant::now();
        let note = {
            let seen = Arc::clone(&seen);
            move |entry: Seen| seen.lock().unwrap_or_else(PoisonError::into_inner).push((began.elapsed(), entry))
        };
        let changes: Api<Change> = Api::namespaced(client.clone(), namespace);
        let told = note.clone();
        watches.spawn(async move {
            let mut stream = std::pin::pin!(watcher(changes, watcher::Config::default()).default_backoff().applied_objects());
            while let Some(event) = stream.next().await {
                if let Ok(change) = event {
                    let status = change.status.clone().unwrap_or_default();
                    told(Seen::Change(change.name_any(), status.phase, status.weight_percent));
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
            let (service, candidate) = (service.clone(), candidate.clone());
            watches.spawn(async move {
                let mut stream = std::pin::pin!(stream.default_backoff().applied_objects());
                while let Some(event) = stream.next().await {
                    let Ok(object) = event else { continue };
                    let replicas = object.data.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(0);
                    told(match kind {
                        "Service" if object.name_any() != service => continue,
                        "Service" => Seen::Pinned(pinned(&object)),
                        "ReplicaSet" => Seen::ReplicaSet(object.name_any(), replicas),
                        "Deployment" => {
                            let held = object.data.pointer("/spec/paused") == Some(&Value::Bool(true));
                            told(Seen::Held(held));
                            Seen::Workload(replicas)
                        }
                        _ => Seen::Route(share(&object.data, &service, &candidate)),
                    });
                }
            });
        }
        Self { began, seen, _watches: Arc::new(watches) }
    }

    /// Everything seen so far.
    #[must_use]
    pub fn entries(&self) -> Vec<(Duration, Seen)> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Time since the beginning.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// I1 and I2, over everything that was seen: no route gives the candidate more than a recorded weight that holds at the
    /// time, and once a Change goes back, its share never rises and comes to 0. I4: stable is never smaller than the workload asks.
    ///
    /// # Errors
    /// The first breach, in words.
    pub fn check(&self, stable: &str) -> anyhow::Result<()> {
        let entries = self.entries();
        let mut recorded: Vec<(Duration, f64, Phase)> = Vec::new();
        for (at, entry) in &entries {
            if let Seen::Change(_, phase, weight) = entry {
                recorded.push((*at, *weight, *phase));
            }
        }
        let mut last_share = 0.0;
        for (at, entry) in &entries {
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
        self.check_stable(stable, &entries)
    }

    /// The hold and the pin, over every version of workload and Service that was seen: from the Change's beginning until it
    /// is handed over or goes back, the workload is paused; from the first weight on, the Service is pinned.
    ///
    /// # Errors
    /// The first breach, or that the Change never had a weight.
    pub fn check_held(&self, change: &str) -> anyhow::Result<()> {
        let entries = self.entries();
        let first = |fits: &dyn Fn(Phase, f64) -> bool| {
            entries.iter().find_map(|(at, entry)| match entry {
                Seen::Change(name, phase, weight) if name == change && fits(*phase, *weight) => Some(*at),
                _ => None,
            })
        };
        let over = first(&|phase, _| phase.ended() || matches!(phase, Phase::Promoting | Phase::RollingBack));
        let over = over.unwrap_or_else(|| self.elapsed());
        let began = first(&|_, _| true).with_context(|| format!("Change {change} was not seen"))?;
        let exposed = first(&|_, weight| weight > 0.0).with_context(|| format!("Change {change} was never exposed"))?;
        let held = |entry: &Seen| if let Seen::Held(held) = entry { Some(*held) } else { None };
        let pinned = |entry: &Seen| if let Seen::Pinned(pinned) = entry { Some(*pinned) } else { None };
        steady(&entries, began, over, held).context("the workload is paused")?;
        steady(&entries, exposed, over, pinned).context("the Service is pinned")
    }

    fn check_stable(&self, stable: &str, entries: &[(Duration, Seen)]) -> anyhow::Result<()> {
        let mut asked: Vec<(Duration, u64)> = Vec::new();
        // Before the newest Change began, this ReplicaSet was a candidate itself, or the native controller's.
        let newest = entries.iter().rev().find_map(|(_, entry)| match entry {
            Seen::Change(name, ..) => Some(name),
            _ => None,
        });
        let began = entries.iter().find_map(|(at, entry)| match entry {
            Seen::Change(name, ..) if Some(name) == newest => Some(*at),
            _ => None,
        });
        let promoting = entries.iter().find_map(|(at, entry)| match entry {
            Seen::Change(name, Phase::Promoting | Phase::Promoted, _) if Some(name) == newest => Some(*at),
            _ => None,
        });
        for (at, entry) in entries {
            if promoting.is_some_and(|promoting| *at + TOGETHER >= promoting) {
                break;
            }
            match entry {
                Seen::Workload(size) => asked.push((*at, *size)),
                Seen::ReplicaSet(name, size) if name == stable && began.is_some_and(|began| *at >= began) => {
                    let holds = asked.iter().filter(|(when, _)| *when + TOGETHER >= *at || *when <= *at).map(|(_, size)| *size);
                    let least = holds.min().unwrap_or(0);
                    anyhow::ensure!(
                        *size >= least,
                        "I4: at {at:?} stable's ReplicaSet wanted {size} pods, the workload at least {least}"
                    );
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Whether something held all along: a watch tells only what changes, so what was seen last before the time counts as well.
fn steady(entries: &[(Duration, Seen)], from: Duration, to: Duration, of: impl Fn(&Seen) -> Option<bool>) -> anyhow::Result<()> {
    let states = || entries.iter().filter_map(|(at, entry)| Some((*at, of(entry)?)));
    let (from, to) = (from + TOGETHER, to.saturating_sub(TOGETHER));
    let at_first = states().take_while(|(at, _)| *at <= from).last().context("nothing was seen of it")?;
    let later = states().filter(|(at, _)| *at > from && *at < to);
    match std::iter::once(at_first).chain(later).find(|(_, holds)| !holds) {
        Some((at, _)) => anyhow::bail!("not so at {at:?}, between {from:?} and {to:?}"),
        None => Ok(()),
    }
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
mod tests {
    use super::*;

    fn pinned(entry: &Seen) -> Option<bool> {
        if let Seen::Pinned(pinned) = entry { Some(*pinned) } else { None }
    }

    fn over(states: &[(u64, bool)]) -> bool {
        let entries: Vec<_> = states.iter().map(|(at, is)| (Duration::from_secs(*at), Seen::Pinned(*is))).collect();
        steady(&entries, Duration::from_secs(10), Duration::from_secs(20), pinned).is_ok()
    }

    #[test]
    fn given_states_before_and_within_a_time_when_checked_then_the_last_before_counts_and_every_one_within() {
        assert!(over(&[(1, false), (5, true)]));
        assert!(over(&[(5, true), (15, true), (25, false)]));
        assert!(!over(&[(5, false)]), "never so");
        assert!(!over(&[(5, true), (15, false), (16, true)]), "lost for a moment");
        assert!(!over(&[(15, true)]), "nothing is known of the beginning");
        assert!(!over(&[]), "nothing was seen");
    }
}
