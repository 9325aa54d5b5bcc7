//! `explain`: a Change in words, on one screen.
//!
//! [`build`] makes the explanation as data (what `-o json` prints), [`text`] lays it out with the [`course`] of the evidence drawn,
//! [`outcome`] and [`numbers`] find the words for what would change it and for what the numbers mean. All of it comes from the Change; nothing is decided here.

pub mod build;
pub mod checks;
pub mod course;
pub mod ended;
pub mod numbers;
pub mod outcome;
pub mod text;

use firebreak_api::{Change, Guard};
use jiff::Timestamp;

use crate::{
    args::{self, Global},
    cluster::{Cluster, Snapshot},
    error::Error,
    facts,
    look::Look,
    output,
    screen::ansi,
};

/// Runs `explain`.
///
/// # Errors
/// As the API server answers; a name that is neither a Change nor a Guard with one.
pub async fn run(global: &Global, args: &args::Explain) -> Result<(), Error> {
    let cluster = Cluster::connect(global).await?;
    let snapshot = cluster.snapshot(false).await?;
    output::notes(&snapshot.notes);
    let change = resolve(&snapshot, args.name.as_deref(), &cluster.namespace)?;
    // The snapshot leaves out the memory, which holds how the evidence went.
    let change = cluster.change(facts::name(change)).await?;
    let explanation = build::Explanation::new(&change, Timestamp::now());
    if let Some(format) = args.output {
        return output::print(&explanation, format);
    }
    let look = Look::of_stdout();
    output::write(&ansi::text(&text::lines(&explanation, output::width(), &look), look.color))
}

/// The Change that is meant.
///
/// # Errors
/// [`Error::Usage`] that names what there is.
pub fn resolve<'a>(snapshot: &'a Snapshot, name: Option<&str>, namespace: &str) -> Result<&'a Change, Error> {
    let Some(name) = name else { return only(snapshot, namespace) };
    let (kind, bare) = name.split_once('/').unwrap_or(("", name));
    let guard = matches!(kind, "" | "guard" | "guards" | "gd");
    let change = matches!(kind, "" | "change" | "changes" | "chg");
    if !guard && !change {
        return Err(Error::Usage(format!("`{kind}/` is no kind that can be explained: write guard/{bare} or change/{bare}")));
    }
    let named = |guard: &&Guard| guard.metadata.name.as_deref() == Some(bare);
    if let Some(found) = snapshot.guards.iter().find(|candidate| guard && named(candidate)) {
        return of_guard(snapshot, found);
    }
    if let Some(found) = snapshot.changes.iter().find(|candidate| change && facts::name(candidate) == bare) {
        return Ok(found);
    }
    let recent: Vec<&str> = snapshot.changes.iter().map(facts::name).take(5).collect();
    let changes = if recent.is_empty() { "No Changes there".to_owned() } else { format!("Changes there: {}", recent.join(", ")) };
    Err(Error::Usage(format!(
        "no Guard and no Change {bare} in namespace {namespace}. {}. {changes}",
        snapshot.known_guards(namespace)
    )))
}

fn of_guard<'a>(snapshot: &'a Snapshot, guard: &Guard) -> Result<&'a Change, Error> {
    facts::shown(&snapshot.changes_of(guard), Some(guard)).ok_or_else(|| {
        let name = guard.metadata.name.as_deref().unwrap_or_default();
        Error::Usage(format!(
            "Guard {name} has had no Change yet: the next change of the pod template of {} starts one. Its state: kubectl firebreak status {}",
            facts::target(&guard.spec.target_ref),
            facts::in_command(name, guard.metadata.namespace.as_deref())
        ))
    })
}

fn only<'a>(snapshot: &'a Snapshot, namespace: &str) -> Result<&'a Change, Error> {
    if let [guard] = snapshot.guards.as_slice() {
        return of_guard(snapshot, guard);
    }
    let running: Vec<&Change> = snapshot.changes.iter().filter(|change| !facts::status(change).phase.ended()).collect();
    match running.as_slice() {
        [only] => Ok(only),
        _ => Err(Error::Usage(format!(
            "{} Changes run in namespace {namespace}: say which to explain: kubectl firebreak explain {}. {}",
            running.len(),
            facts::in_command("GUARD", Some(namespace)),
            snapshot.known_guards(namespace)
        ))),
    }
}

#[cfg(test)]
mod tests;
