//! The eyes of one Change: what its metrics sources say of both arms, of its dependents, and of its absolute checks.
//!
//! `source` makes looks of the signals, `dependents` and `checks` of the rest; `past` reads what was counted before.

mod checks;
mod dependents;
mod failures;
mod past;
mod source;

use std::{sync::Arc, time::Duration};

use firebreak_api::{
    Change,
    guard::{KeyRef, PodPages, Scheme},
};
use firebreak_engine::{
    checks::CheckLook,
    dependents::{DependentPast, DependentsLook},
    judge::Judgement,
    observation::{Look, Pasts},
    units::Millis,
};
use futures::future::{BoxFuture, select_all};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use tokio::{task::JoinHandle, time::Instant};

use self::{checks::Checks, dependents::Dependents, past::Stable, source::Source};
use crate::{
    metrics::{Access, Address, Addresses, Before, Hub, Kept, Key, Page, ReadKey, Trust},
    observe,
    world::{Cache, View},
};

/// The past is read again this often.
const PAST_AGAIN: Duration = Duration::from_secs(5 * 60);

/// All eyes of one Change.
pub(crate) struct Eyes {
    hub: Arc<Hub>,
    /// The source that may take back.
    first: Source,
    /// The one that must agree to go on, where both are asked.
    second: Option<Source>,
    dependents: Option<Dependents>,
    checks: Checks,
    of_pods: bool,
    stable: Stable,
    pasts: Option<JoinHandle<Found>>,
    past_due: Instant,
}

/// What it takes to read pods directly.
pub(crate) struct Directly {
    addresses: Addresses,
    read_key: ReadKey,
    before: Before,
    /// Whether the candidate ever had a share: then all that has to be seen at first was seen.
    exposed: bool,
}

impl Directly {
    /// Of the pods that are there; what was `judged` of them goes on.
    pub(crate) fn of(view: &View, judged: &Judgement) -> Self {
        let pods = judged.pods().map(str::to_owned).collect();
        let before = Before { pods, sampled: judged.sampled().is_some() };
        Self { addresses: addresses(&view.pods), read_key: view.read_key(), before, exposed: judged.has_begun() }
    }
}

/// What was counted before, as it was found.
#[derive(Clone, Default)]
pub(crate) struct Found {
    /// Of stable.
    pub(crate) stable: Option<Pasts>,
    /// Of the dependents, one entry a dependent and signal.
    pub(crate) dependents: Option<Vec<Vec<Option<DependentPast>>>>,
}

impl Found {
    /// This, or what was found before and is not in this.
    pub(crate) fn or(self, earlier: Self) -> Self {
        Self { stable: self.stable.or(earlier.stable), dependents: self.dependents.or(earlier.dependents) }
    }
}

/// The newest answers that were not judged before.
#[derive(Clone, Default)]
pub(crate) struct Looks {
    /// Of the first source.
    pub(crate) first: Option<Look>,
    /// Of the second.
    pub(crate) second: Option<Look>,
    /// About the dependents.
    pub(crate) dependents: Option<DependentsLook>,
    /// To absolute checks.
    pub(crate) checks: Vec<CheckLook>,
}

impl Looks {
    /// These, or those that came before and have no newer one here.
    pub(crate) fn or(self, mut earlier: Self) -> Self {
        earlier.checks.extend(self.checks);
        Self {
            first: self.first.or(earlier.first),
            second: self.second.or(earlier.second),
            dependents: self.dependents.or(earlier.dependents),
            checks: earlier.checks,
        }
    }
}

impl Eyes {
    /// Opens the eyes of a Change; a backend that is missing shows in the looks.
    pub(crate) fn open(hub: &Arc<Hub>, change: &Change, namespace: &str, directly: Directly) -> Self {
        let exposed = directly.exposed;
        let prometheus = || Source::of_prometheus(hub, change, namespace, exposed);
        let (first, second) = match &change.spec.pod_pages {
            None => (prometheus(), None),
            Some(pages) => {
                let first = Source::of_pods(hub, change, namespace, page(pages), directly);
                (first, change.spec.both_sources.then(prometheus))
            }
        };
        Self {
            hub: Arc::clone(hub),
            first,
            second,
            dependents: Dependents::open(hub, change, namespace, exposed),
            checks: Checks::open(hub, change, namespace),
            of_pods: change.spec.pod_pages.is_some(),
            stable: Stable::of(change, namespace),
            pasts: None,
            past_due: Instant::now(),
        }
    }

    /// Resolves when there is a new answer; never where nobody is asked.
    pub(crate) async fn changed(&mut self) {
        let mut waits: Vec<BoxFuture<'_, ()>> = vec![Box::pin(self.first.changed()), Box::pin(self.checks.changed())];
        if let Some(second) = self.second.as_mut() {
            waits.push(Box::pin(second.changed()));
        }
        if let Some(dependents) = self.dependents.as_mut() {
            waits.push(Box::pin(dependents.changed()));
        }
        select_all(waits).await;
    }

    /// What came since the last time.
    pub(crate) fn looks(&mut self, now: Millis) -> Looks {
        Looks {
            first: self.first.look(now),
            second: self.second.as_mut().and_then(|second| second.look(now)),
            dependents: self.dependents.as_mut().and_then(|dependents| dependents.look(now)),
            checks: self.checks.looks(),
        }
    }

    /// What was counted before, once it was read: at first up to where the Change began, and again from time to time up to
    /// `now`, since how failures come may change.
    pub(crate) async fn pasts(&mut self, now: Millis, known: bool, knows_dependents: bool) -> Option<Found> {
        // Pods are read first: their counts may be all that is known.
        let seen = !self.of_pods || self.first.has_looked();
        if self.pasts.is_none() && seen && Instant::now() >= self.past_due {
            self.past_due = Instant::now() + PAST_AGAIN;
            let until = if known { now } else { self.stable.until };
            let (hub, stable) = (Arc::clone(&self.hub), self.stable.clone());
            let dependents =
                self.dependents.as_ref().filter(|_| !knows_dependents).map(|dependents| dependents.past(self.stable.until));
            self.pasts = Some(tokio::spawn(async move {
                let stable = past::pasts(Arc::clone(&hub), stable, until, known).await;
                let dependents = match dependents {
                    Some(dependents) => Some(dependents.read(&hub).await),
                    None => None,
                };
                Found { stable: Some(stable), dependents }
            }));
        }
        if !self.pasts.as_ref()?.is_finished() {
            return None;
        }
        let mut found = self.pasts.take()?.await.ok()?;
        match found.stable.as_mut().filter(|_| self.of_pods) {
            Some(pasts) if known => self.first.lived(pasts),
            Some(pasts) => self.first.lifetimes(pasts),
            None => {}
        }
        Some(found)
    }

    /// Candidate pods that every source of every signal has seen.
    pub(crate) fn seen(&self) -> Vec<String> {
        let first = self.first.seen();
        match &self.second {
            None => first,
            Some(second) => {
                let seen = second.seen();
                first.into_iter().filter(|pod| seen.contains(pod)).collect()
            }
        }
    }

    /// Names of the signals, for logs.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.first.names()
    }
}

fn page(pages: &PodPages) -> Page {
    let kept = |kept: Kept, key: &KeyRef| Key { kept, name: key.name.clone(), key: key.key.clone() };
    let access = match pages.scheme {
        Scheme::HTTP => Access::Plain,
        Scheme::HTTPS => {
            let tls = pages.tls.clone().unwrap_or_default();
            let trust = match (&tls.ca_secret, &tls.ca_config_map) {
                _ if tls.insecure_skip_verify => Trust::Anyone,
                (Some(secret), _) => Trust::Authorities(kept(Kept::Secret, secret)),
                (None, Some(map)) => Trust::Authorities(kept(Kept::ConfigMap, map)),
                (None, None) => Trust::Image,
            };
            let token = pages.bearer_token_secret.as_ref().map(|secret| kept(Kept::Secret, secret));
            Access::Tls { trust, server_name: tls.server_name, token }
        }
    };
    Page { port: pages.port, path: pages.path.clone(), access, most_per_arm: pages.max_per_arm.into() }
}

fn is_link_local(ip: std::net::IpAddr) -> bool {
    match ip {
        std::net::IpAddr::V4(ip) => ip.is_link_local(),
        std::net::IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

/// The pods that can be asked for their pages now.
fn addresses(pods: &Cache<Pod>) -> Addresses {
    let pods = pods.clone();
    Arc::new(move || {
        let address = |pod: &Arc<Pod>| {
            let status = pod.status.as_ref()?;
            let ip: std::net::IpAddr = status.pod_ip.as_ref()?.parse().ok()?;
            // A pod on its node's own network, or none at all, would lead to what is no pod's.
            let of_node = status.host_ip == status.pod_ip || ip.is_loopback() || ip.is_unspecified() || is_link_local(ip);
            (!observe::finished(pod) && !of_node).then(|| Address { pod: pod.name_any(), ip, ready: observe::is_serving(pod) })
        };
        pods.all().iter().filter_map(address).collect()
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[rstest::rstest]
    #[case::plain(serde_json::json!({"port": 9090}), Access::Plain)]
    #[case::of_an_authority_that_the_image_knows(
        serde_json::json!({"port": 9090, "scheme": "HTTPS"}),
        Access::Tls { trust: Trust::Image, server_name: None, token: None },
    )]
    #[case::all_of_it(
        serde_json::json!({"port": 9090, "scheme": "HTTPS", "bearerTokenSecret": {"name": "scrape", "key": "token"},
            "tls": {"caConfigMap": {"name": "ca", "key": "ca.crt"}, "serverName": "metrics.shop"}}),
        Access::Tls {
            trust: Trust::Authorities(Key { kept: Kept::ConfigMap, name: "ca".to_owned(), key: "ca.crt".to_owned() }),
            server_name: Some("metrics.shop".to_owned()),
            token: Some(Key { kept: Kept::Secret, name: "scrape".to_owned(), key: "token".to_owned() }),
        },
    )]
    #[case::anyone(
        serde_json::json!({"port": 9090, "scheme": "HTTPS", "tls": {"insecureSkipVerify": true}}),
        Access::Tls { trust: Trust::Anyone, server_name: None, token: None },
    )]
    fn given_how_pages_are_asked_for_when_read_from_the_guard_then_so(#[case] pages: serde_json::Value, #[case] access: Access) {
        let read = page(&serde_json::from_value(pages).unwrap());
        assert_eq!((read.port, read.path.as_str(), read.most_per_arm, read.access), (9090, "/metrics", 50, access));
    }
}
