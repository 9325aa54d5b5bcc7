//! `status`: the guards with their Changes as a table, one Guard in detail, or one Guard live.

pub mod row;
pub mod table;

use firebreak_api::Guard;
use jiff::Timestamp;
use serde::Serialize;

use crate::{
    args::{self, Global, When},
    cluster::{Cluster, Snapshot},
    curve::Evidence,
    error::Error,
    facts::{self, Facts},
    live::{self, Until},
    look::Look,
    output,
    screen::{self, Shown, Trend, ansi},
};

/// Rows for machines.
#[derive(Serialize)]
struct Rows<'a> {
    items: Vec<row::Row<'a>>,
}

/// Runs `status`.
///
/// # Errors
/// As the API server answers; a Guard that does not exist; with `--until ended` a Change that was not promoted.
pub async fn run(global: &Global, args: &args::Status) -> Result<(), Error> {
    let cluster = Cluster::connect(global).await?;
    let snapshot = cluster.snapshot(args.all_namespaces).await?;
    output::notes(&snapshot.notes);
    if args.watch {
        let guard = to_watch(&snapshot, args.guard.as_deref(), &cluster.namespace)?;
        return watch(&cluster, &guard, args.until).await;
    }
    let now = Timestamp::now();
    if let Some(name) = &args.guard {
        let guard = snapshot.guard(name, &cluster.namespace)?;
        return match args.output {
            Some(format) => output::print(&row::Row::new(&snapshot, guard, now), format),
            None => output::write(&detail(&snapshot, guard, &past(&cluster, &snapshot, guard).await, now)),
        };
    }
    let mut guards: Vec<&Guard> = snapshot.guards.iter().collect();
    guards.sort_by_key(|guard| (guard.metadata.namespace.as_deref(), guard.metadata.name.as_deref()));
    let rows: Vec<row::Row<'_>> = guards.iter().map(|guard| row::Row::new(&snapshot, guard, now)).collect();
    if let Some(format) = args.output {
        return output::print(&Rows { items: rows }, format);
    }
    if rows.is_empty() {
        let place = if args.all_namespaces {
            "No Guards in this cluster: make one for a Deployment (kind Guard, group firebreak.dev).".to_owned()
        } else {
            snapshot.known_guards(&cluster.namespace)
        };
        eprintln!("{place}");
        return Ok(());
    }
    output::write(&table::text(&rows, args.all_namespaces, now, &Look::of_stdout()))
}

/// Harm evidence so far, which the snapshot leaves out; without it the picture is whole but for its curve.
async fn past(cluster: &Cluster, snapshot: &Snapshot, guard: &Guard) -> Vec<f64> {
    let Some(shown) = facts::shown(&snapshot.changes_of(guard), Some(guard)) else { return Vec::new() };
    let evidence = cluster.change(facts::name(shown)).await.ok().and_then(|change| Evidence::of(&change));
    evidence.map_or_else(Vec::new, |evidence| evidence.points.iter().map(|point| point.harm).collect())
}

fn detail(snapshot: &Snapshot, guard: &Guard, history: &[f64], now: Timestamp) -> String {
    let changes = snapshot.changes_of(guard);
    let look = Look::of_stdout();
    let shown = Shown {
        namespace: guard.metadata.namespace.as_deref().unwrap_or_default(),
        guard_name: guard.metadata.name.as_deref().unwrap_or_default(),
        guard: Some(guard),
        facts: facts::shown(&changes, Some(guard)).map(|change| Facts::new(change, now)),
        history,
        trend: Trend::Steady,
        look: &look,
    };
    ansi::text(&screen::whole(&shown, output::width()), look.color)
}

/// The Guard to watch: the named one, the only one, or the only one with a Change that runs.
fn to_watch(snapshot: &Snapshot, name: Option<&str>, namespace: &str) -> Result<String, Error> {
    let name_of = |guard: &Guard| guard.metadata.name.clone().unwrap_or_default();
    if let Some(name) = name {
        return snapshot.guard(name, namespace).map(name_of);
    }
    let running: Vec<&Guard> =
        snapshot.guards.iter().filter(|guard| facts::active(&snapshot.changes_of(guard), Some(guard)).is_some()).collect();
    match (running.as_slice(), snapshot.guards.as_slice()) {
        ([only], _) => Ok(name_of(only)),
        (_, [only]) => Ok(name_of(only)),
        _ => Err(Error::Usage(format!(
            "say which Guard to watch: kubectl firebreak status {} -w. {}",
            facts::in_command("GUARD", Some(namespace)),
            snapshot.known_guards(namespace)
        ))),
    }
}

async fn watch(cluster: &Cluster, guard: &str, until: When) -> Result<(), Error> {
    let until = match until {
        When::Quit => Until::Quit,
        When::Ended => Until::Ended,
    };
    let ending = live::run(cluster.client.clone(), &cluster.namespace, guard, until).await?;
    if until == Until::Ended && !ending.promoted() {
        return Err(Error::NotPromoted(format!(
            "{}. The whole story: kubectl firebreak explain {}",
            ending.sentence().trim_end_matches('.'),
            facts::in_command(guard, Some(&cluster.namespace))
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
