//! A server that knows nothing of Firebreak, guarded by what it says of itself: Caddy, as it is published, read through its
//! preset and the pods' own pages. What it does to its users is counted by the load; nobody else speaks.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use firebreak_api::{
    Change,
    change::{Counted, Phase},
    template::digest,
};
use firebreak_lab::{
    load::{BUCKET, Load},
    parts::{Part, Parts},
};
use firebreak_tests::{
    MINUTE, Scene, World,
    chronicle::Seen,
    harm::{Harm, serves_not_after},
    manifests,
    record::{HARM, reasons},
};
use kube::ResourceExt as _;
use serde_json::{Value, json};

/// The server's image in the lab.
const IMAGE: &str = "localhost/caddy:lab";
/// Nobody listens there.
const NO_PROMETHEUS: &str = "http://127.0.0.1:9";
/// Pods of each version.
const REPLICAS: u32 = 3;
/// Requests per second.
const RATE: u32 = 200;

/// Releases that answer a part of the requests with an error of the server, each in another way: one as an answer, and one as
/// what Caddy makes of an upstream that is not there. The letters of a request's random identifier choose one in four.
const HARMFUL: [(&str, &str); 2] = [
    ("v3", "@some vars_regexp {http.request.uuid} ^[0-3]\n\thandle @some {\n\t\trespond 500\n\t}\n\trespond \"good day\""),
    (
        "v4",
        "@some vars_regexp {http.request.uuid} ^[0-3]\n\thandle @some {\n\t\treverse_proxy 127.0.0.1:1\n\t}\n\trespond \"good day\"",
    ),
];

pub(crate) async fn caddy_is_judged_by_its_own_page(world: &World) -> Result<()> {
    has_image(world).await?;
    let scene = Scene::open_with(world, "third-party", NO_PROMETHEUS).await?;
    ship(&scene, "v1", "respond \"hello\"").await?;
    scene.apply(&[manifests::service(), manifests::route(&scene.host()), guard()]).await?;
    scene.rolled_out().await?;
    scene.guard_is("Guarding").await?;
    let load = scene.load(RATE).await?;
    let route = scene.route().await?;
    harmless(&scene, &load).await?;
    let mut taken_back = Vec::new();
    for (place, (version, answers)) in HARMFUL.into_iter().enumerate() {
        harmful(&scene, &load, place + 2, (version, answers)).await?;
        taken_back.push((version, load.elapsed() + BUCKET));
    }
    let report = scene.finish(load).await?;
    for (version, ended) in taken_back {
        serves_not_after(&report, version, ended)?;
    }
    scene.close(Some(&route)).await
}

/// Another answer is a change like any other: it goes up by proof, without a failed request, and its pods are not touched.
async fn harmless(scene: &Scene<'_>, load: &Load) -> Result<()> {
    ship(scene, "v2", "respond \"good day\"").await?;
    let change = scene.exposed(1).await?;
    let pods = scene.pods(&change.spec.candidate.hash).await?;
    let ended = scene.ends(&change.name_any(), Phase::Promoted, 4 * MINUTE).await?;
    let after = scene.pods(&change.spec.candidate.hash).await?;
    let report = load.snapshot();
    let (sent, counted) = (report.by_version("v2").map_or(0, |series| series.count()), counted(&ended)?);
    println!(
        "third-party: v2 promoted, {} of {} requests failed; {} of its {sent} counted",
        report.total_failed(),
        report.total_sent(),
        counted.requests
    );
    ensure!(report.total_failed() == 0, "{} of {} requests failed", report.total_failed(), report.total_sent());
    ensure!(counted.requests > 0 && counted.requests <= sent && counted.failures == 0, "counted {counted:?} of {sent} requests");
    ensure!(pods.iter().all(|pod| after.contains(pod)), "candidate pods changed at the hand-over: {pods:?}, then {after:?}");
    scene.guard_is("Guarding").await
}

/// What the server counts of its own failures takes it back, and stable serves again.
async fn harmful(scene: &Scene<'_>, load: &Load, number: usize, (version, answers): (&str, &str)) -> Result<()> {
    let from = load.elapsed();
    ship(scene, version, answers).await?;
    let change = scene.change(number).await?;
    let ended = scene.ends(&change.name_any(), Phase::RolledBack, 3 * MINUTE).await?;
    let to = load.elapsed() + BUCKET;
    let harm = Harm::of(&load.snapshot(), version, from, to)?;
    let (counted, exposed) = (counted(&ended)?, exposed_for(scene).context("the route never gave it a share")?);
    println!(
        "third-party: {version} taken back, {:.1} s from its first weight to weight 0, {:.1} s from its first answer to its last; \
         {} failed, {} of them without an answer; {counted:?}",
        exposed.as_secs_f64(),
        harm.seconds,
        harm.failed(),
        harm.unanswered,
    );
    let found = reasons(&ended);
    ensure!(found.iter().any(|reason| HARM.contains(reason)), "{version}: taken back, but not for its failures: {found:?}");
    ensure!(counted.failures > 0 && counted.failures <= harm.answered, "{version}: counted {counted:?}, users saw {harm:?}");
    ensure!(harm.unanswered == 0, "{version}: {} requests had no answer", harm.unanswered);
    let stable = load.snapshot().by_version("v2").map_or(0, |series| series.between(from, to).failed());
    ensure!(stable == 0, "stable failed {stable} requests meanwhile");
    Ok(())
}

/// What the preset counted of the candidate's requests.
fn counted(change: &Change) -> Result<Counted> {
    let mut evidence = change.status.iter().flat_map(|status| &status.evidence);
    let errors = evidence.find(|evidence| evidence.signal == "errors");
    Ok(errors.context("no evidence of the signal errors")?.candidate)
}

/// How long the route last gave a candidate a share.
fn exposed_for(scene: &Scene<'_>) -> Option<Duration> {
    let entries = scene.chronicle.entries();
    let shares = entries.iter().filter_map(|(at, seen)| if let Seen::Route(share) = seen { Some((*at, *share)) } else { None });
    let shares: Vec<_> = shares.collect();
    let last = shares.iter().rposition(|(_, share)| *share > 0.0)?;
    let first = shares[..last].iter().rposition(|(_, share)| *share <= 0.0)? + 1;
    Some(shares.get(last + 1)?.0 - shares[first].0)
}

/// Fetches the server, where this machine does not have it, and loads it as an image.
async fn has_image(world: &World) -> Result<()> {
    let parts = tokio::task::spawn_blocking(|| Parts::fetch(&[Part::Caddy])).await??;
    world.lab.load_image(IMAGE, &parts.folder(Part::Caddy).join(Part::Caddy.name())).await
}

/// Applies a version as Kustomize would: its configuration in a ConfigMap that is named by its content.
async fn ship(scene: &Scene<'_>, version: &str, answers: &str) -> Result<()> {
    let text = caddyfile(&scene.host(), answers);
    let name = format!("caddyfile-{}", digest(text.as_bytes()));
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"Caddyfile": text}});
    scene.apply(&[config, deployment(version, &name)]).await
}

/// Users' requests on a site with a host name, as the preset asks; the page and the probe on a site of their own, which has no
/// `handle`: its first handlers are called `metrics` and `static_response`. The admin endpoint serves the page as well, but
/// whoever reaches it may change everything.
fn caddyfile(host: &str, answers: &str) -> String {
    format!(
        "{{\n\tadmin off\n\tpersist_config off\n\tmetrics\n\tshutdown_delay 3s\n\tgrace_period 5s\n}}\n\
         http://{host}:8080 {{\n\theader x-version {{$VERSION}}\n\t{answers}\n}}\n\
         http://:9090 {{\n\tmetrics /metrics\n\trespond /ready 200\n}}\n"
    )
}

fn deployment(version: &str, config: &str) -> Value {
    let mut deployment = manifests::deployment(version, REPLICAS, &[]);
    let pod = &mut deployment["spec"]["template"]["spec"];
    pod["volumes"] = json!([{"name": "config", "configMap": {"name": config}}]);
    let container = &mut pod["containers"][0];
    container["image"] = json!(IMAGE);
    container["args"] = json!(["run", "--config", "/etc/caddy/Caddyfile"]);
    container["env"] = json!([{"name": "VERSION", "value": version}]);
    container["volumeMounts"] = json!([{"name": "config", "mountPath": "/etc/caddy"}]);
    container["readinessProbe"]["httpGet"]["port"] = json!("metrics");
    deployment
}

/// Both signals by the preset, read from the pods alone.
fn guard() -> Value {
    let mut guard = manifests::guard();
    guard["spec"]["metrics"] = json!({
        "pods": {"port": 9090},
        "signals": [
            {"name": "errors", "preset": "Caddy"},
            {"name": "slow", "preset": "Caddy", "slowerThan": "1s"},
        ],
    });
    guard
}
