//! `queue`: who waits for a place where a limit of a policy is full, in order, and which Changes are under way.
//!
//! Each Change records its own place; this only lays them side by side. Nothing is worked out here that the operator did not.

use firebreak_api::{Change, change::QueuePlace};
use jiff::Timestamp;
use kube::ResourceExt as _;
use serde::Serialize;

use crate::{
    args::{self, Global},
    cluster::Cluster,
    error::Error,
    facts::{self, Facts},
    look::Look,
    output,
    words::{self, plain, span, width},
};

/// Runs `queue`.
///
/// # Errors
/// As the API server answers.
pub async fn run(global: &Global, args: &args::Queue) -> Result<(), Error> {
    let snapshot = Cluster::connect(global).await?.snapshot(true).await?;
    output::notes(&snapshot.notes);
    let queue = Queue::new(&snapshot.changes);
    match args.output {
        Some(format) => output::print(&queue, format),
        None => output::write(&queue.text(Timestamp::now(), &Look::of_stdout())),
    }
}

/// Who waits and who does not have to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Queue {
    /// Those that wait, by policy and place.
    pub waiting: Vec<Entry>,
    /// Those that are under way, by policy and name.
    pub under_way: Vec<Entry>,
}

/// One Change.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The policy that it began with.
    pub policy: String,
    /// Its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<QueuePlace>,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub change: String,
    /// Its level.
    pub level: String,
    /// Its stage, and the share of traffic that it may receive, in percent.
    pub stage: String,
    /// The same share.
    pub weight_percent: f64,
    /// Since when it waits, or is known.
    pub since: Timestamp,
    /// Why it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Entry {
    fn new(change: &Change) -> Self {
        let status = facts::status(change);
        let waiting = status.waiting.as_ref().filter(|_| status.queue.is_some());
        Self {
            policy: change.spec.policy.clone(),
            place: status.queue,
            namespace: change.namespace().unwrap_or_default(),
            change: change.name_any(),
            level: change.spec.risk.level.clone(),
            stage: status.stage.clone().unwrap_or_default(),
            weight_percent: status.weight_percent,
            since: waiting.map_or(change.spec.detected_at, |waiting| waiting.since),
            message: waiting.map(|waiting| Facts::new(change, change.spec.detected_at).said(&waiting.message)),
        }
    }
}

impl Queue {
    /// By what the Changes record.
    #[must_use]
    pub fn new(changes: &[Change]) -> Self {
        let entries = |fits: &dyn Fn(&Change) -> bool| {
            let mut entries: Vec<Entry> = changes.iter().filter(|change| fits(change)).map(Entry::new).collect();
            let key = |one: &Entry| (one.policy.clone(), one.place.map(|place| place.position), one.since, one.change.clone());
            entries.sort_by_key(key);
            entries
        };
        Self {
            waiting: entries(&|change| facts::status(change).queue.is_some()),
            under_way: entries(&|change| facts::status(change).is_under_way()),
        }
    }

    /// As a table.
    #[must_use]
    pub fn text(&self, now: Timestamp, look: &Look) -> String {
        if self.waiting.is_empty() && self.under_way.is_empty() {
            return "Nothing is under way, and nothing waits for a place.\n".to_owned();
        }
        let head = ["PLACE", "POLICY", "NAMESPACE", "CHANGE", "LEVEL", "STAGE", "WEIGHT", "SINCE"];
        let mut table: Vec<Vec<String>> = vec![head.map(str::to_owned).to_vec()];
        for one in self.under_way.iter().chain(&self.waiting) {
            let place = one.place.map_or("under way".to_owned(), |place| format!("{} of {}", place.position, place.of));
            let stage = if one.place.is_some() { "-".to_owned() } else { one.stage.clone() };
            let since = span(words::since(one.since, now));
            let weight = words::percent(one.weight_percent);
            let cells =
                [place, one.policy.clone(), one.namespace.clone(), one.change.clone(), one.level.clone(), stage, weight, since];
            table.push(cells.map(|cell| plain(&cell)).to_vec());
        }
        let widths: Vec<usize> = (0..head.len())
            .map(|column| table.iter().filter_map(|row| row.get(column)).map(|cell| width(cell)).max().unwrap_or(0))
            .collect();
        let mut text = String::new();
        for row in &table {
            let line: Vec<String> =
                row.iter().zip(&widths).map(|(cell, &to)| words::pad(cell, to, look.glyphs.ellipsis)).collect();
            text.push_str(line.join("  ").trim_end());
            text.push('\n');
        }
        for one in &self.waiting {
            if let Some(message) = &one.message {
                text.push_str(&look.text(&plain(&format!("\n{}/{}: {message}\n", one.namespace, one.change))));
                text.push('\n');
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use firebreak_api::change::{Phase, Waiting};

    use super::*;
    use crate::fixtures;

    fn change(name: &str, phase: Phase, reason: Option<(&str, QueuePlace)>, minutes: i64) -> Change {
        let mut change = fixtures::held();
        change.metadata.name = Some(name.to_owned());
        let status = change.status.get_or_insert_default();
        status.phase = phase;
        status.queue = reason.map(|(_, place)| place);
        let since = fixtures::now().checked_sub(jiff::SignedDuration::from_mins(minutes)).unwrap();
        status.waiting =
            reason.map(|(reason, _)| Waiting { reason: reason.to_owned(), message: "2 under way".to_owned(), since });
        change
    }

    #[test]
    fn given_changes_when_listed_then_those_under_way_and_those_that_wait_in_their_order() {
        let place = |position| Some(("Queued", QueuePlace { position, of: 2 }));
        let changes = [
            change("third", Phase::Held, place(2), 1),
            change("first", Phase::Progressing, None, 0),
            change("second", Phase::Preparing, place(1), 3),
            change("over", Phase::Promoted, None, 0),
            change("held", Phase::Held, None, 0),
        ];
        let queue = Queue::new(&changes);
        let names = |entries: &[Entry]| entries.iter().map(|one| one.change.clone()).collect::<Vec<_>>();
        assert_eq!(
            (names(&queue.under_way), names(&queue.waiting)),
            (vec!["first".into()], vec!["second".into(), "third".into()])
        );
        let text = queue.text(fixtures::now(), &fixtures::look());
        assert!(text.contains("1 of 2") && text.contains("under way") && text.contains("shop/second: 2 under way"), "{text}");
    }

    #[test]
    fn given_no_change_when_listed_then_it_says_so() {
        assert!(Queue::new(&[]).text(fixtures::now(), &fixtures::look()).starts_with("Nothing is under way"));
    }
}
