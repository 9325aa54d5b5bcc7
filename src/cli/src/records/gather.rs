//! Reading what is kept, page by page: a cluster can hold more Changes than fit into memory with all of their record.

use std::{
    collections::BTreeMap,
    io::{IsTerminal as _, Write as _},
};

use firebreak_api::{Change, Guard, Intervention};

use crate::{cluster::Cluster, error::Error, facts, output};

/// Changes in one answer: each with its record can hold 700 kB.
const PAGE: u32 = 25;
/// Other objects in one answer.
const SMALL_PAGE: u32 = 500;
/// Interventions that are read: what is beyond says nothing that the Changes do not say themselves.
const MOST_ACTS: usize = 100_000;

/// Interventions by the Change that they name.
#[derive(Default)]
pub struct Acts {
    by_change: BTreeMap<(String, String), Vec<Intervention>>,
}

impl Acts {
    /// Reads those of the namespace, or of all.
    ///
    /// # Errors
    /// As the API server answers.
    pub async fn read(cluster: &Cluster, all_namespaces: bool) -> Result<Self, Error> {
        let (mut acts, mut count) = (Self::default(), 0_usize);
        let keep = |mut act: Intervention| {
            count += 1;
            if count <= MOST_ACTS {
                act.metadata.managed_fields = None;
                acts.add(act);
            }
            Ok(())
        };
        let mut notes = cluster.each(all_namespaces, "Interventions", SMALL_PAGE, keep, |_| {}).await?;
        if count > MOST_ACTS {
            notes.push(format!("{count} Interventions are there, the first {MOST_ACTS} are looked at; a Change has in its own record what was done to it"));
        }
        output::notes(&notes);
        Ok(acts)
    }

    /// Adds one.
    pub fn add(&mut self, act: Intervention) {
        let key = (act.metadata.namespace.clone().unwrap_or_default(), act.spec.change.clone());
        self.by_change.entry(key).or_default().push(act);
    }

    /// Those that name a Change.
    #[must_use]
    pub fn of(&self, change: &Change) -> &[Intervention] {
        let key = (change.metadata.namespace.clone().unwrap_or_default(), facts::name(change).to_owned());
        self.by_change.get(&key).map_or(&[], Vec::as_slice)
    }
}

impl Cluster {
    /// Hands on every Change of the namespace, or of all, without what only the operator reads.
    ///
    /// # Errors
    /// As the API server answers, and as `take` does.
    pub async fn each_change(
        &self,
        all_namespaces: bool,
        mut take: impl FnMut(Change) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let notes = self.each(all_namespaces, "Changes", PAGE, |change| take(facts::slim(change)), progress).await?;
        if std::io::stderr().is_terminal() {
            eprint!("\r\x1b[K");
        }
        output::notes(&notes);
        Ok(())
    }

    /// The Guards of the namespace, or of all.
    ///
    /// # Errors
    /// As the API server answers.
    pub async fn guards(&self, all_namespaces: bool) -> Result<Vec<Guard>, Error> {
        let mut guards = Vec::new();
        let keep = |guard| {
            guards.push(guard);
            Ok(())
        };
        let notes = self.each(all_namespaces, "Guards", SMALL_PAGE, keep, |_| {}).await?;
        output::notes(&notes);
        Ok(guards)
    }
}

/// Says on a terminal how far it is.
fn progress(read: usize) {
    let mut out = std::io::stderr();
    if out.is_terminal() {
        let _ = write!(out, "\r{read} Changes read");
        let _ = out.flush();
    }
}
