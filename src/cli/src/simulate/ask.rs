//! What is asked: which plan, and which traffic.

use firebreak_api::{
    Guard,
    guard::{PolicyKind, PolicyRef, Signal},
    in_force::Effective,
};
use firebreak_engine::{Plan, risk::Level};

use super::traffic::{self, Traffic};
use crate::{
    args::{self, Global},
    cluster::Cluster,
    error::Error,
    facts, output, policy,
    rules::source,
};

/// Seconds until metrics hold what happened: of pods that are read every second, and of a Prometheus that scrapes them.
const METRICS_DELAY: (f64, f64) = (1.0, 5.0);

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// The service, in words.
    pub service: String,
    /// Its traffic.
    pub traffic: Traffic,
    /// Variance over mean of its failures: 1 one by one, more in bursts.
    pub bursts: f64,
    /// The plan.
    pub plan: Plan,
    /// The policy, in words.
    pub policy: String,
    /// Seconds until metrics hold what happened.
    pub metrics_delay: f64,
    /// Runs of each kind of release under each rule.
    pub runs: u32,
    /// Which chance.
    pub seed: u64,
}

/// Finds out what is asked. A cluster is only needed where a Guard is named.
///
/// # Errors
/// As [`super::run`].
pub async fn of(global: &Global, args: &args::Simulate) -> Result<Asked, Error> {
    let (service, guard, cluster) = match &args.guard {
        None => ("a service".to_owned(), None, None),
        Some(name) => {
            let cluster = Cluster::connect(global).await?;
            let snapshot = cluster.snapshot(false).await?;
            output::notes(&snapshot.notes);
            let guard = snapshot.guard(name, &cluster.namespace)?.clone();
            (format!("{}/{name}", cluster.namespace), Some(guard), Some(cluster))
        }
    };
    let named = match (args.policy.file()?, &guard, &cluster) {
        (Some(file), ..) => Some(file),
        (None, Some(guard), Some(cluster)) => match &guard.spec.policy_ref {
            Some(named) => in_cluster(named, cluster).await?,
            None => None,
        },
        _ => None,
    };
    let (plan, policy) = plan(args, guard.as_ref(), &named.unwrap_or_default());
    let traffic = match (args.rps, args.failing) {
        (Some(requests), Some(failing)) => Traffic { requests, failing, from: "as given".to_owned() },
        _ => read(args, guard.as_ref()).await?,
    };
    let pods_are_read = guard.is_some_and(|guard| guard.spec.metrics.pods.is_some());
    let usual = if pods_are_read { METRICS_DELAY.0 } else { METRICS_DELAY.1 };
    Ok(Asked {
        service,
        traffic,
        bursts: args.bursts,
        plan,
        policy,
        metrics_delay: args.metrics_delay.unwrap_or(usual),
        runs: args.runs,
        seed: args.seed,
    })
}

/// The policy that a Guard names; a namespace's own with what it tightens.
async fn in_cluster(named: &PolicyRef, cluster: &Cluster) -> Result<Option<Effective>, Error> {
    let kind = match named.kind {
        PolicyKind::ClusterRiskPolicy => "clusterriskpolicy",
        PolicyKind::RiskPolicy => "riskpolicy",
    };
    source::policy(Some(&format!("{kind}/{}", named.name)), Some(cluster)).await
}

/// The plan that is asked for, and its policy in words.
fn plan(args: &args::Simulate, guard: Option<&Guard>, policy: &Effective) -> (Plan, String) {
    let level = args.policy.level.unwrap_or(Level::Medium);
    let availability = args.slo.or_else(|| Some(guard?.spec.slo.as_ref()?.availability));
    let whole = policy::plan(policy, level, availability);
    let plan = args.policy.settings(whole.clone());
    let own = policy::differences(&whole, &plan);
    let with = if own.is_empty() { String::new() } else { format!(" with {}", own.join(", ")) };
    let objective = availability.map_or_else(String::new, |percent| format!(", objective {percent} %"));
    (plan, format!("{}{objective}{with}", policy::name(policy, level)))
}

/// What the command line does not say of the traffic is read.
async fn read(args: &args::Simulate, guard: Option<&Guard>) -> Result<Traffic, Error> {
    let missing = |why: &str| {
        Error::Usage(format!(
            "{why}. Say how much traffic there is: --rps 200 --failing 0.1% (requests a second, and which part of them fails now)"
        ))
    };
    let guard = guard.ok_or_else(|| missing("no Guard is named and the traffic is not given"))?;
    let name = guard.metadata.name.as_deref().unwrap_or_default();
    let url = args.prometheus_url.as_ref().or(guard.spec.metrics.prometheus.url.as_ref()).ok_or_else(|| {
        missing(&format!(
            "Guard {name} names no Prometheus: name it with --prometheus-url http://HOST:PORT (a port-forward to it will do)"
        ))
    })?;
    let signal = guard.spec.metrics.signals.iter().map(Signal::expanded).find(|signal| signal.failures.is_some());
    let (signal, requests, failures) = signal
        .as_ref()
        .and_then(|signal| Some((&signal.name, signal.requests.as_ref()?, signal.failures.as_ref()?)))
        .ok_or_else(|| missing(&format!("Guard {name} has no signal of failures to read")))?;
    let namespace = guard.metadata.namespace.as_deref().unwrap_or_default();
    let found = traffic::read(url, requests, failures, namespace, &guard.spec.target_ref.name).await.map_err(|why| {
        Error::Traffic(format!(
            "cannot read signal {signal} of Guard {} from Prometheus: {why}. Name another address with --prometheus-url, or say \
             how much traffic there is: --rps 200 --failing 0.1%",
            facts::in_command(name, guard.metadata.namespace.as_deref())
        ))
    })?;
    Ok(Traffic { requests: args.rps.unwrap_or(found.requests), failing: args.failing.unwrap_or(found.failing), ..found })
}

#[cfg(test)]
mod tests;
