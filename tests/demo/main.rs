//! `cargo demo`: a real cluster on this machine, a guarded service under load, three releases, and what became of them.
//!
//! It sets up what it needs, shows the live view while each release runs, ends with a table, and cleans up.

mod existing;
mod report;

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use firebreak_api::{Change, change::Phase, packed::unpack};
use firebreak_cli::live::{self, How, Until};
use firebreak_engine::Memory;
use firebreak_lab::{
    Lab, Options,
    cluster::ExistingOptions,
    load::{BUCKET, Load},
};
use firebreak_tests::{
    Scene, World,
    harm::Harm,
    manifests,
    record::{in_effect, phase_of, reasons},
    world::{OPERATOR_IMAGE, SERVICE_IMAGE},
};
use kube::ResourceExt as _;

use report::{Release, Report};

/// Namespace of the demo, and the lab's name.
const NAMESPACE: &str = "demo";
/// Pods of the demo's service.
const PODS: u32 = 5;
/// Requests per second through the gateway.
const RATE: u32 = 200;
/// A release that did not end by then is told as it stands.
const RELEASE_WITHIN: Duration = Duration::from_secs(300);
/// Window over which the highest exposure is measured.
const EXPOSURE_WINDOW: Duration = Duration::from_secs(1);

/// The releases: version, what it does, its environment.
const RELEASES: [(&str, &str, manifests::Env<'static>); 3] = [
    ("v2", "harmless", &[]),
    ("v3", "fails 20 % of requests", &[("ERROR_RATE", "0.2")]),
    ("v4", "slow: 400 ms instead of 5 ms", &[("LATENCY", "p50:400ms")]),
];

/// A guarded service on a real Kubernetes: three releases, one promoted, two taken back.
#[derive(Parser)]
#[command(name = "cargo demo")]
struct Demo {
    /// Write the figures to this file as well, as JSON.
    #[arg(long, value_name = "FILE.json")]
    report: Option<PathBuf>,
    /// Leave the lab running at the end, and print what to try.
    #[arg(long, conflicts_with = "kubeconfig")]
    keep: bool,
    #[command(flatten)]
    existing: ExistingOptions,
}

fn main() -> Result<()> {
    let demo = Demo::parse();
    // Another demo may have set up the TLS provider in this process; either one serves.
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Runtime::new()?.block_on(run(&demo))
}

async fn run(demo: &Demo) -> Result<()> {
    let existing = demo.existing.clone().cluster(OPERATOR_IMAGE, SERVICE_IMAGE);
    let there = existing.is_some();
    match &existing {
        Some(cluster) => {
            say("setting up on the cluster that is there");
            existing::must_be_free(cluster).await?;
        }
        None => say("setting up a Kubernetes cluster on this machine (the first time it is built, which takes 10 to 20 minutes)"),
    }
    let options = Options { name: NAMESPACE.to_owned(), keep: demo.keep, existing, ..Options::full() };
    let world = World::begin(options, 1).await?;
    let result = show(&world).await;
    if demo.keep {
        print_what_to_try(&world.lab)?;
    } else if there {
        say("removing what the demo has made");
        existing::clear(&world.lab).await?;
    } else {
        say("taking the cluster down");
        world.lab.down().await?;
    }
    let report = result?;
    println!("\n{report}");
    if let Some(path) = &demo.report {
        std::fs::write(path, serde_json::to_string_pretty(&report)?).with_context(|| format!("write {}", path.display()))?;
        say(&format!("figures written to {}", path.display()));
    }
    if report.as_expected() { Ok(()) } else { bail!("not every release ended as it should; see the table") }
}

async fn show(world: &World) -> Result<Report> {
    say("starting the service's first version behind a gateway, and putting it under guard");
    let scene = Scene::open_in_cluster(world, NAMESPACE).await?;
    scene.guarded_by(&manifests::guard_with_slow("300ms"), PODS, &[]).await?;
    let load = scene.load(RATE).await?;
    let mut releases = Vec::new();
    for (count, (version, what, env)) in RELEASES.into_iter().enumerate() {
        say(&format!("{RATE} requests per second run; shipping {version} ({what}) with kubectl apply"));
        releases.push(ship(&scene, &load, count + 1, (version, what, env)).await?);
    }
    let total = load.stop().await;
    Ok(Report { rate: RATE, requests: total.total_sent(), failed: total.total_failed(), releases })
}

async fn ship(scene: &Scene<'_>, load: &Load, count: usize, release: (&str, &str, manifests::Env<'_>)) -> Result<Release> {
    let (version, what, env) = release;
    let shipped = load.elapsed();
    scene.ship(version, PODS, env).await?;
    let change = scene.change(count).await?;
    let stable_before = scene.pods(&change.spec.stable.hash).await?;
    let view = live::run(scene.world.admin.clone(), &scene.namespace, manifests::APP, Until::Ended);
    // At its full size, and not handed over yet: these are the pods that must be the workload's own afterwards.
    let full = async {
        let name = change.name_any();
        let baking = |change: &Change| phase_of(change).ended() || (phase_of(change) == Phase::Baking && in_effect(change));
        scene.until_change(&name, "to be at its full size", RELEASE_WITHIN, baking).await?;
        scene.pods(&change.spec.candidate.hash).await
    };
    let view = tokio::time::timeout(RELEASE_WITHIN, view);
    tokio::pin!(view, full);
    let mut candidate_before = None;
    let shown = loop {
        tokio::select! {
            shown = &mut view => break shown,
            pods = &mut full, if candidate_before.is_none() => candidate_before = Some(pods),
        }
    };
    match shown {
        Ok(Ok(ending)) if ending.how == How::Quit => bail!("stopped"),
        Ok(Ok(_)) => {}
        Ok(Err(error)) => return Err(error.into()),
        Err(_) => say("the release did not end in time"),
    }
    let change = scene.api::<Change>().get(&change.name_any()).await?;
    // Who serves users now must be who served them before.
    let promoted = phase_of(&change) == Phase::Promoted;
    let (hash, before) = if promoted {
        (&change.spec.candidate.hash, candidate_before.context("the candidate was promoted before it was at its full size")??)
    } else {
        (&change.spec.stable.hash, stable_before)
    };
    let restarted = disturbed(&before, &scene.pods(hash).await?);
    Ok(figures(load, version, what, &change, shipped, restarted))
}

/// Pods that were replaced, and restarts of those that stayed.
fn disturbed(before: &[(String, String, i32)], after: &[(String, String, i32)]) -> i32 {
    let of = |(_, uid, restarts): &(String, String, i32)| {
        after.iter().find(|(_, now, _)| now == uid).map_or(1, |(_, _, now)| now - restarts)
    };
    before.iter().map(of).sum()
}

/// What the Change was taken back for, or the last thing that was decided on its way up.
fn reason(change: &Change) -> Option<String> {
    let memory = change.status.as_ref()?.memory.as_ref()?;
    let retreat = unpack::<Memory>("memory", memory).ok()?.retreat.map(|retreat| retreat.reason);
    retreat.or_else(|| reasons(change).last().map(|reason| (*reason).to_owned()))
}

fn figures(load: &Load, version: &str, what: &str, change: &Change, shipped: Duration, restarted: i32) -> Release {
    let report = load.snapshot();
    let series = report.by_version(version);
    let phase = phase_of(change);
    let span = series.map(|series| series.last_response().saturating_sub(series.first_response()).as_secs_f64());
    let blast = change.status.as_ref().and_then(|status| status.blast_radius.clone());
    Release {
        version: version.to_owned(),
        what: what.to_owned(),
        outcome: format!("{phase:?}"),
        reason: reason(change),
        seconds_until_decided: (report.elapsed_ms as f64 / 1000.0 - shipped.as_secs_f64()).max(0.0),
        seconds_exposed: span.filter(|_| phase != Phase::Promoted),
        // None of it where it never answered.
        failed_requests: Harm::of(&report, version, shipped, report.elapsed() + BUCKET).map_or(0, |harm| harm.failed()),
        harmed_requests: blast.and_then(|blast| blast.failed_requests).map(|harmed| harmed.max(0.0)),
        highest_exposure_percent: report.highest_share(version, EXPOSURE_WINDOW).map(|exposure| exposure.share * 100.0),
        pods_restarted: restarted,
    }
}

fn say(words: &str) {
    eprintln!("\n==> {words}");
}

fn print_what_to_try(lab: &Lab) -> Result<()> {
    let kubeconfig = lab.kubeconfig_path().display();
    println!(
        "\nThe cluster stays up. To look around:\n\
         \n  export KUBECONFIG={kubeconfig}\
         \n  cargo lab kubectl --name {NAMESPACE} -- get guards,changes -n {NAMESPACE}\
         \n  cargo run -q -p firebreak-cli -- status -w shop -n {NAMESPACE}     # the live view\
         \n  cargo run -q --release -p firebreak-lab --bin load -- --url {} --host {NAMESPACE}.test --rate 200 --for 600s &     # without requests nothing is judged\
         \n  cargo lab kubectl --name {NAMESPACE} -- set env deployment/shop ERROR_RATE=0.5 -n {NAMESPACE}     # ship a bad one\
         \n  cargo run -q -p firebreak-cli -- explain shop -n {NAMESPACE}\
         \n\nTo take it down:  cargo lab down --name {NAMESPACE}",
        lab.gateway_url()?
    );
    Ok(())
}
