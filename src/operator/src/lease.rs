//! Which replica works: a Lease, renewed; the others wait. Who cannot renew stops at once.
//!
//! The holder stops by its own clock, counted from the renewal that it wrote last; the others count from when they last saw
//! the lease change. So their clocks need not agree. Who is told to stop ends its work, then gives the lease back.
//!
//! A replica that comes back under its own name (a restarted container) takes its lease up again without waiting. The
//! record of every decision is guarded by its Change's resourceVersion as well, so two replicas that both believe to
//! hold the lease cannot both decide.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use tokio::time::Instant;

/// A lease that was not renewed for this long is free.
const LEASE_SECONDS: i32 = 8;
/// It is renewed this often.
const RENEW_EVERY: Duration = Duration::from_secs(2);
/// One attempt to renew, or to give back, ends within this.
const RENEW_WITHIN: Duration = Duration::from_secs(3);
/// A replica stops working this long after the last renewal was written, in the middle of an attempt too: two seconds
/// before another may begin.
const STOP_AFTER: Duration = Duration::from_secs(6);
/// After a failed renewal, and where someone else holds the lease, the next attempt comes this soon.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// A claim to one Lease.
pub(crate) struct Claim {
    api: Api<Lease>,
    name: String,
    identity: String,
    others: Mutex<Option<Others>>,
    /// Whether the API server has answered since the start.
    pub(crate) reached: Arc<AtomicBool>,
}

/// Someone else's hold, as it was first seen.
///
/// How old it is, is measured here since it last changed: their clock and ours may differ by more than the lease lasts.
struct Others {
    holder: String,
    renewed: Option<Timestamp>,
    since: Instant,
}

impl Claim {
    /// A claim to the Lease of this name.
    pub(crate) fn new(client: Client, namespace: &str, name: &str, identity: &str) -> Self {
        let api = Api::namespaced(client, namespace);
        let (name, identity) = (name.to_owned(), identity.to_owned());
        Self { api, name, identity, others: Mutex::new(None), reached: Arc::default() }
    }

    /// Waits until the lease is ours; since when it is.
    pub(crate) async fn win(&self) -> Instant {
        let mut said = false;
        loop {
            let begun = Instant::now();
            match self.take().await {
                Ok(true) => return begun,
                Ok(false) if !said => {
                    said = true;
                    tracing::info!(lease = self.name, "another replica works; waiting");
                }
                Ok(false) => {}
                Err(error) => tracing::warn!(lease = self.name, %error, "lease cannot be read or written; tried again"),
            }
            tokio::time::sleep(RETRY_EVERY).await;
        }
    }

    /// Renews a lease that was won at `renewed` until that fails for too long; then returns, and the caller stops working.
    pub(crate) async fn keep(&self, mut renewed: Instant) {
        let mut pause = RENEW_EVERY;
        loop {
            let stop = renewed + STOP_AFTER;
            tokio::time::sleep_until(stop.min(Instant::now() + pause)).await;
            // The time that is written is taken when the attempt begins, not when its answer comes.
            let begun = Instant::now();
            match tokio::time::timeout_at(stop, self.take()).await {
                Ok(Ok(true)) => (renewed, pause) = (begun, RENEW_EVERY),
                Ok(Ok(false)) | Err(_) => return,
                Ok(Err(error)) => {
                    pause = RETRY_EVERY;
                    tracing::warn!(lease = self.name, %error, "lease not renewed");
                }
            }
        }
    }

    /// Gives the lease back, if it is ours: another replica then need not wait until it runs out. The work has ended before.
    pub(crate) async fn give_back(&self) {
        let call = async {
            let Some(mut lease) = self.api.get_opt(&self.name).await? else { return Ok(false) };
            let Some(spec) = lease.spec.as_mut().filter(|spec| spec.holder_identity.as_deref() == Some(&self.identity)) else {
                return Ok(false);
            };
            spec.holder_identity = Some(String::new());
            written(self.api.replace(&self.name, &PostParams::default(), &lease).await)
        };
        match limited(call).await {
            Ok(true) => tracing::info!(lease = self.name, "lease given back"),
            Ok(false) => {}
            Err(error) => tracing::warn!(lease = self.name, %error, "lease not given back; it runs out in {LEASE_SECONDS} s"),
        }
    }

    /// Takes or renews the lease; false where someone else holds it.
    async fn take(&self) -> Result<bool, kube::Error> {
        limited(async {
            let now = MicroTime(Timestamp::now());
            let found = self.api.get_opt(&self.name).await?;
            self.reached.store(true, Ordering::Relaxed);
            let Some(lease) = found else {
                let lease = Lease {
                    metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
                    spec: Some(self.spec(&now, now.clone(), 0)),
                };
                return written(self.api.create(&PostParams::default(), &lease).await);
            };
            let spec = lease.spec.clone().unwrap_or_default();
            let mine = spec.holder_identity.as_deref() == Some(&self.identity);
            if !mine && self.is_held(&spec) {
                return Ok(false);
            }
            let since = if mine { spec.acquire_time.unwrap_or_else(|| now.clone()) } else { now.clone() };
            let transitions = spec.lease_transitions.unwrap_or(0) + i32::from(!mine);
            let mut next = lease;
            next.spec = Some(self.spec(&now, since, transitions));
            written(self.api.replace(&self.name, &PostParams::default(), &next).await)
        })
        .await
    }

    /// Whether someone else holds the lease: it names them, and it changed within the time that it lasts.
    fn is_held(&self, spec: &LeaseSpec) -> bool {
        let Some(holder) = spec.holder_identity.clone().filter(|holder| !holder.is_empty()) else { return false };
        let renewed = spec.renew_time.as_ref().map(|time| time.0);
        let lasts = u64::try_from(spec.lease_duration_seconds.unwrap_or(LEASE_SECONDS)).unwrap_or_default();
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        match others.as_ref().filter(|seen| seen.holder == holder && seen.renewed == renewed) {
            Some(seen) => seen.since.elapsed() < Duration::from_secs(lasts),
            None => {
                *others = Some(Others { holder, renewed, since: Instant::now() });
                true
            }
        }
    }

    fn spec(&self, now: &MicroTime, since: MicroTime, transitions: i32) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            acquire_time: Some(since),
            renew_time: Some(now.clone()),
            lease_duration_seconds: Some(LEASE_SECONDS),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }
}

async fn limited<T>(call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, kube::Error> {
    match tokio::time::timeout(RENEW_WITHIN, call).await {
        Ok(result) => result,
        Err(_) => Err(kube::Error::Service(format!("no answer within {} s", RENEW_WITHIN.as_secs()).into())),
    }
}

/// A conflict means that someone else was faster.
fn written(result: kube::Result<Lease>) -> Result<bool, kube::Error> {
    match result {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use serde_json::{Value, json};

    use super::*;
    use crate::fake::{self, Asked, Log};

    /// How the API server is: how long its answers take, `None` where none come.
    type Manner = Arc<Mutex<Option<Duration>>>;

    fn lease(holder: &str, renewed: &str) -> Value {
        json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": "firebreak", "namespace": "shop", "resourceVersion": "1"},
            "spec": {"holderIdentity": holder, "renewTime": renewed, "leaseDurationSeconds": 8}})
    }

    fn claim(held: Value, manner: &Manner) -> (Claim, Log, Arc<Mutex<Value>>) {
        let held = Arc::new(Mutex::new(held));
        let (state, manner) = (Arc::clone(&held), Arc::clone(manner));
        let (client, log) = fake::client(move |asked: Asked| {
            let (state, manner) = (Arc::clone(&state), *manner.lock().unwrap());
            async move {
                match manner {
                    Some(takes) => tokio::time::sleep(takes).await,
                    None => std::future::pending().await,
                }
                let mut state = state.lock().unwrap();
                if asked.method == "PUT" {
                    *state = asked.body;
                }
                (200, state.clone())
            }
        });
        (Claim::new(client, "shop", "firebreak", "me"), log, held)
    }

    const PROMPT: Option<Duration> = Some(Duration::ZERO);

    #[tokio::test(start_paused = true)]
    async fn given_an_api_server_that_falls_silent_when_a_lease_is_kept_then_work_stops_before_it_is_free() {
        let manner: Manner = Arc::new(Mutex::new(PROMPT));
        let (claim, ..) = claim(lease("", "2026-07-01T12:00:00.000000Z"), &manner);
        assert!(!claim.reached.load(Ordering::Relaxed));
        let renewed = claim.win().await;
        assert!(claim.reached.load(Ordering::Relaxed));
        *manner.lock().unwrap() = None;
        claim.keep(renewed).await;
        assert_eq!(renewed.elapsed().as_secs(), STOP_AFTER.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn given_a_slow_renewal_when_the_next_fails_then_time_counts_from_when_it_was_written_not_answered() {
        let manner: Manner = Arc::new(Mutex::new(PROMPT));
        let (claim, log, _) = claim(lease("", "2026-07-01T12:00:00.000000Z"), &manner);
        let renewed = claim.win().await;
        *manner.lock().unwrap() = Some(Duration::from_millis(1400));
        let silent = {
            let (manner, log) = (Arc::clone(&manner), Arc::clone(&log));
            async move {
                while fake::asked(&log).iter().filter(|asked| asked.method == "PUT").count() < 2 {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                *manner.lock().unwrap() = None;
            }
        };
        tokio::join!(claim.keep(renewed), silent);
        let (attempt, slack) = (RENEW_EVERY, Duration::from_millis(100));
        assert!(renewed.elapsed() <= attempt + STOP_AFTER + slack, "{:?}", renewed.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn given_another_replica_whose_clock_is_hours_behind_when_it_renews_then_its_lease_is_not_taken() {
        let manner: Manner = Arc::new(Mutex::new(PROMPT));
        let (claim, _, held) = claim(lease("other", "2020-01-01T00:00:00.000000Z"), &manner);
        for second in 1..30 {
            assert!(!claim.take().await.unwrap(), "taken after {second} s");
            tokio::time::sleep(Duration::from_secs(1)).await;
            *held.lock().unwrap() = lease("other", &format!("2020-01-01T00:00:{second:02}.000000Z"));
        }
        let silent = Instant::now();
        claim.win().await;
        assert!(silent.elapsed() >= Duration::from_secs(8) && silent.elapsed() < Duration::from_secs(11));
    }

    #[tokio::test(start_paused = true)]
    async fn given_a_lease_of_ours_when_it_is_given_back_then_another_takes_it_at_once() {
        let manner: Manner = Arc::new(Mutex::new(PROMPT));
        let (ours, _, held) = claim(lease("me", "2026-07-01T12:00:00.000000Z"), &manner);
        ours.give_back().await;
        assert_eq!(held.lock().unwrap()["spec"]["holderIdentity"], "");
        let given = held.lock().unwrap().clone();
        let (mut other, ..) = claim(given, &manner);
        other.identity = "other".to_owned();
        assert!(other.take().await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn given_a_lease_of_another_when_it_is_given_back_then_it_stays_theirs() {
        let manner: Manner = Arc::new(Mutex::new(PROMPT));
        let (claim, log, _) = claim(lease("other", "2026-07-01T12:00:00.000000Z"), &manner);
        claim.give_back().await;
        assert!(fake::asked(&log).iter().all(|asked| asked.method == "GET"));
    }
}
