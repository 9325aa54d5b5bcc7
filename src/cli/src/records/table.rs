//! Histories as text: a line a Change, or the record of one.

use firebreak_api::record::{Actor, Entry, What};
use jiff::{SignedDuration, Timestamp};

use super::row::{Row, Side};
use crate::{
    facts,
    look::Look,
    words::{self, plain},
};

const NONE: &str = "-";
/// Who it was is not known: nobody vouches for them.
const UNATTESTED: &str = "not attested";
/// Cells of the time, the word and the name before what is said.
const TIME: usize = 14;
const WORD: usize = 15;
const NAME: usize = 22;
/// Cells that what is said has at least.
const SAID: usize = 30;

/// A line a Change, the newest first.
#[must_use]
pub fn text(rows: &[Row], namespaces: bool, wide: bool, now: Timestamp, look: &Look) -> String {
    let head =
        ["WHEN", "NAMESPACE", "GUARD", "CHANGE", "VERSION", "RISK", "ENDED", "CHANGED BY", "APPROVED BY", "TOOK", "FAILED"];
    let more = ["FROM", "TO", "WHY"];
    let shown = |cells: Vec<String>| -> Vec<String> {
        let place = cells.into_iter().enumerate().filter(|(place, _)| namespaces || *place != 1);
        place.map(|(_, cell)| cell).take(if wide { usize::MAX } else { head.len() - usize::from(!namespaces) }).collect()
    };
    let mut table = vec![shown(head.iter().chain(&more).map(|&title| title.to_owned()).collect())];
    table.extend(rows.iter().map(|row| shown(cells(row, now, look))));
    words::columns(&table, look.glyphs.ellipsis)
}

fn cells(row: &Row, now: Timestamp, look: &Look) -> Vec<String> {
    let some = |value: Option<String>| value.map_or_else(|| NONE.to_owned(), |value| plain(&value));
    let approved = if row.approved_by.is_empty() { None } else { Some(row.approved_by.join(", ")) };
    let took = row.took_seconds.map_or_else(|| words::since(row.at, now), SignedDuration::from_secs);
    let took = row.change.as_ref().map(|_| words::span(took));
    let why =
        row.entries.iter().find(|entry| matches!(entry.what, What::Held | What::Bypassed)).and_then(|entry| entry.why.clone());
    vec![
        words::day(row.at, &look.zone),
        plain(&row.namespace),
        plain(&row.guard),
        some(row.change.clone()),
        some(row.version()),
        some(row.risk.clone()),
        plain(&row.how()),
        plain(actor(&row.changed_by)),
        some(approved),
        some(took),
        some(row.failed_requests.map(words::about)),
        some(images(&row.from)),
        some(images(&row.to)),
        some(why),
    ]
}

fn actor(actor: &Actor) -> &str {
    match actor {
        Actor::Person { name } => name,
        Actor::Unattested => UNATTESTED,
        Actor::Firebreak => "firebreak",
    }
}

fn images(side: &Side) -> Option<String> {
    if side.images.is_empty() { side.hash.clone() } else { Some(side.images.join(", ")) }
}

/// The record of a Change, a line an entry.
#[must_use]
pub fn record(row: &Row, width: usize, now: Timestamp, look: &Look) -> String {
    let dot = look.glyphs.dot;
    let risk = row.risk.as_ref().map_or_else(String::new, |risk| format!(" {dot} {risk} risk"));
    let name = row.change.as_deref().unwrap_or("a template without a Change");
    let mut text = plain(&format!("{name} {dot} Guard {} in {}{risk} {dot} {}", row.guard, row.namespace, row.how())) + "\n";
    let unknown = || "?".to_owned();
    let sides = format!("from {} to {}", images(&row.from).unwrap_or_else(unknown), images(&row.to).unwrap_or_else(unknown));
    for line in words::wrap(&plain(&sides), width) {
        text.push_str(&format!("{line}\n"));
    }
    let failed = row.failed_requests.map(|failed| format!("; {} requests failed because of it", words::about(failed)));
    if let Some(took) = row.took_seconds.filter(|_| row.change.is_some()) {
        text.push_str(&format!("took {}{}\n", words::span(SignedDuration::from_secs(took)), failed.unwrap_or_default()));
    }
    let at = facts::in_command(&row.guard, Some(&row.namespace));
    for entry in &row.entries {
        let message = firebreak_api::brief::with_guard(&entry.message, &at);
        text.push_str(&line(&Entry { message, ..entry.clone() }, width, now, look));
    }
    if row.dropped > 0 {
        text.push_str(&format!("{} entries of the middle are not kept\n", row.dropped));
    }
    text
}

fn line(entry: &Entry, width: usize, now: Timestamp, look: &Look) -> String {
    let head = [
        words::pad(&words::clock(entry.at, now, &look.zone), TIME, look.glyphs.ellipsis),
        words::pad(&format!("{:?}", entry.what), WORD, look.glyphs.ellipsis),
        words::pad(&plain(actor(&entry.actor)), NAME, look.glyphs.ellipsis),
    ];
    let named = if entry.what == What::Noted { format!("{}: ", entry.reason) } else { String::new() };
    let mut said = plain(&format!("{named}{}", entry.message));
    if let Some(why) = entry.why.as_ref().map(|why| plain(why)).filter(|why| !said.contains(why.as_str())) {
        said = format!("{said}: {why}");
    }
    let indent = head.iter().map(|cell| words::width(cell) + 1).sum::<usize>();
    let mut text = String::new();
    for (place, part) in words::wrap(&said, width.saturating_sub(indent).max(SAID)).into_iter().enumerate() {
        let before = if place == 0 { format!("{} ", head.join(" ")) } else { " ".repeat(indent) };
        text.push_str(&format!("{before}{part}\n"));
    }
    text
}
