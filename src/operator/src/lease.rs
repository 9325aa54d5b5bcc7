//! Which replica works: a Lease, renewed; the others wait. Who cannot renew stops at once.
//!
//! A replica that comes back under its own name (a restarted container) takes its lease up again without waiting. The
//! record of every decision is guarded by its Change's resourceVersion as well, so two replicas that both believe to
//! hold the lease cannot both decide.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};

/// A lease that was not renewed for this long is free.
const LEASE_SECONDS: i32 = 8;
/// It is renewed this often.
const RENEW_EVERY: Duration = Duration::from_secs(2);
/// A renewal ends within this.
const RENEW_WITHIN: Duration = Duration::from_secs(3);
/// A replica that could not renew for this long stops working: before another may begin.
const STOP_AFTER: Duration = Duration::from_secs(6);
/// A lease held by someone else is looked at this often.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// A claim to one Lease.
pub(crate) struct Claim {
    api: Api<Lease>,
    name: String,
    identity: String,
}

impl Claim {
    /// A claim to the Lease of this name.
    pub(crate) fn new(client: Client, namespace: &str, name: &str, identity: &str) -> Self {
        Self { api: Api::namespaced(client, namespace), name: name.to_owned(), identity: identity.to_owned() }
    }

    /// Waits until the lease is ours.
    pub(crate) async fn win(&self) {
        let mut said = false;
        loop {
            match self.take().await {
                Ok(true) => return,
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

    /// Renews until that fails for too long; then returns, and the caller stops working.
    pub(crate) async fn keep(&self) {
        let mut last = tokio::time::Instant::now();
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            match self.take().await {
                Ok(true) => last = tokio::time::Instant::now(),
                Ok(false) => return,
                Err(error) => tracing::warn!(lease = self.name, %error, "lease not renewed"),
            }
            if last.elapsed() >= STOP_AFTER {
                return;
            }
        }
    }

    /// Takes or renews the lease; false where someone else holds it.
    async fn take(&self) -> Result<bool, kube::Error> {
        let call = async {
            let now = MicroTime(Timestamp::now());
            let Some(lease) = self.api.get_opt(&self.name).await? else {
                let lease = Lease {
                    metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
                    spec: Some(self.spec(&now, now.clone(), 0)),
                };
                return written(self.api.create(&PostParams::default(), &lease).await);
            };
            let spec = lease.spec.clone().unwrap_or_default();
            let mine = spec.holder_identity.as_deref() == Some(&self.identity);
            let renewed = spec.renew_time.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
            let age = now.0.duration_since(renewed).as_secs_f64();
            let seconds = f64::from(spec.lease_duration_seconds.unwrap_or(LEASE_SECONDS));
            if !mine && spec.holder_identity.as_deref().is_some_and(|holder| !holder.is_empty()) && age < seconds {
                return Ok(false);
            }
            let since = if mine { spec.acquire_time.unwrap_or_else(|| now.clone()) } else { now.clone() };
            let transitions = spec.lease_transitions.unwrap_or(0) + i32::from(!mine);
            let mut next = lease;
            next.spec = Some(self.spec(&now, since, transitions));
            written(self.api.replace(&self.name, &PostParams::default(), &next).await)
        };
        match tokio::time::timeout(RENEW_WITHIN, call).await {
            Ok(result) => result,
            Err(_) => Err(kube::Error::Service("no answer in time".into())),
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

/// A conflict means that someone else was faster.
fn written(result: kube::Result<Lease>) -> Result<bool, kube::Error> {
    match result {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => Ok(false),
        Err(error) => Err(error),
    }
}
