//! `history` and `export`: what became of the Changes that are kept, and the record of each, for people and for auditors.
//!
//! [`gather`] reads a cluster page by page; [`row`] makes the line of a Change, [`table`] lays lines and records out; [`line`] makes an
//! entry an auditor's, [`cdevents`] an event. All but the reading is pure: the time is handed in.

pub mod args;
pub mod cdevents;
pub mod gather;
pub mod line;
pub mod row;
pub mod table;

use jiff::Timestamp;
use serde::Serialize;

use self::{
    args::{Export, ExportFormat, History, HistoryFormat},
    gather::Acts,
    line::Line,
    row::Row,
};
use crate::{
    args::{Format, Global},
    cluster::Cluster,
    error::Error,
    facts,
    look::Look,
    output,
};

/// Bytes of an export: more than the records of some 50,000 Changes.
const MOST_BYTES: usize = 256 << 20;
/// Changes of a history that are read.
const MOST_ROWS: usize = 20_000;

/// Rows for machines.
#[derive(Serialize)]
struct Rows<'a> {
    items: &'a [Row],
}

/// Runs `history`.
///
/// # Errors
/// As the API server answers; a name that is neither a Guard with Changes nor a Change; more than a history can hold.
pub async fn history(global: &Global, args: &History) -> Result<(), Error> {
    let cluster = Cluster::connect(global).await?;
    let (kind, name) = args.name.as_deref().map_or((None, None), |name| match name.split_once('/') {
        Some((kind, bare)) => (Some(kind), Some(bare)),
        None => (None, Some(name)),
    });
    let is = |kinds: [&str; 3]| kind.is_none_or(|kind| kinds.contains(&kind));
    let (guard, change) = (is(["guard", "guards", "gd"]), is(["change", "changes", "chg"]));
    if let (Some(kind), Some(name), false) = (kind, name, guard || change) {
        return Err(Error::Usage(format!("`{kind}/` has no history: write guard/{name} or change/{name}")));
    }
    let mut rows = Vec::new();
    let acts = Acts::read(&cluster, args.all_namespaces).await?;
    cluster
        .each_change(args.all_namespaces, |read| {
            let named = |of: &str| name.is_none_or(|name| name == of);
            let asked = guard && named(&read.spec.guard) || change && name.is_some() && named(facts::name(&read));
            if asked && rows.len() >= MOST_ROWS {
                return Err(Error::Usage(format!("more than {MOST_ROWS} Changes: name a Guard, or a namespace with -n")));
            }
            if asked {
                rows.push(Row::of(&read, &acts));
            }
            Ok(())
        })
        .await?;
    for guarded in cluster.guards(args.all_namespaces).await? {
        if guard && name.is_none_or(|name| guarded.metadata.name.as_deref() == Some(name)) {
            rows.extend(Row::bypasses(&guarded));
        }
    }
    let there = !rows.is_empty();
    rows.retain(|row| args.since.is_none_or(|since| row.ended_at.is_none_or(|ended| ended >= since)));
    rows.sort_by(|one, other| (other.at, &other.change).cmp(&(one.at, &one.change)));
    let one = change && name.is_some() && rows.iter().all(|row| row.change.as_deref() == name);
    match args.output {
        Some(HistoryFormat::Json) => return output::print(&Rows { items: &rows }, Format::Json),
        Some(HistoryFormat::Yaml) => return output::print(&Rows { items: &rows }, Format::Yaml),
        Some(HistoryFormat::Wide) | None => {}
    }
    if rows.is_empty() {
        return nothing(&cluster, args, name, there);
    }
    let (look, now) = (Look::of_stdout(), Timestamp::now());
    let wide = args.output == Some(HistoryFormat::Wide);
    if one || args.full {
        let records: Vec<String> = rows.iter().map(|row| table::record(row, output::width(), now, &look)).collect();
        return output::write(&records.join("\n"));
    }
    output::write(&table::text(&rows, args.all_namespaces, wide, now, &look))
}

/// Says why there is nothing to show; a name that nothing has is an error.
fn nothing(cluster: &Cluster, args: &History, name: Option<&str>, there: bool) -> Result<(), Error> {
    let place = if args.all_namespaces { "in this cluster".to_owned() } else { format!("in namespace {}", cluster.namespace) };
    match name.filter(|_| !there) {
        Some(name) => Err(Error::Usage(format!(
            "no Change {name} is kept {place}, and none of a Guard {name}. Those that are kept: kubectl firebreak history -n {}{}",
            cluster.namespace,
            facts::on_cluster()
        ))),
        None => {
            eprintln!("No Changes {place}{}.", if there { " since then" } else { "" });
            Ok(())
        }
    }
}

/// Runs `export`.
///
/// # Errors
/// As the API server answers; more than an export can hold.
pub async fn export(global: &Global, args: &Export) -> Result<(), Error> {
    let cluster = Cluster::connect(global).await?;
    let acts = Acts::read(&cluster, args.all_namespaces).await?;
    let mut sorted = Sorted::default();
    let asked = |guard: &str| args.guard.as_deref().is_none_or(|name| name == guard);
    cluster
        .each_change(args.all_namespaces, |change| {
            if asked(&change.spec.guard) { sorted.add(line::of_change(&change, acts.of(&change)), args) } else { Ok(()) }
        })
        .await?;
    for guard in cluster.guards(args.all_namespaces).await? {
        if asked(guard.metadata.name.as_deref().unwrap_or_default()) {
            sorted.add(line::of_guard(&guard), args)?;
        }
    }
    output::write(&sorted.into_text())
}

/// Lines of an export by time, and by id where the time is the same.
#[derive(Default)]
struct Sorted {
    lines: Vec<(Timestamp, String, String)>,
    bytes: usize,
}

impl Sorted {
    fn add(&mut self, lines: Vec<Line>, args: &Export) -> Result<(), Error> {
        let events = cdevents::events(&lines, &args.source);
        for (line, event) in lines.iter().zip(events) {
            let at = line.entry.at;
            if args.since.is_some_and(|since| at < since) || args.until.is_some_and(|until| at >= until) {
                continue;
            }
            let text = match args.format {
                ExportFormat::Jsonl => serde_json::to_string(line),
                ExportFormat::Cdevents => match event {
                    Some(event) => serde_json::to_string(&event),
                    None => continue,
                },
            };
            let text = text.map_err(|error| Error::Format(error.to_string()))?;
            self.bytes += text.len() + 1;
            if self.bytes > MOST_BYTES {
                let mib = MOST_BYTES >> 20;
                return Err(Error::Usage(format!(
                    "the export is larger than {mib} MiB: take a part of it with --since and --until, -n or --guard"
                )));
            }
            self.lines.push((at, line.id.clone(), text));
        }
        Ok(())
    }

    fn into_text(mut self) -> String {
        self.lines.sort();
        // The Change that was condemned and the one that follows both tell of the act between them.
        self.lines.dedup_by(|one, other| one.1 == other.1);
        let mut text = String::with_capacity(self.bytes);
        for (_, _, line) in self.lines {
            text.push_str(&line);
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests;
