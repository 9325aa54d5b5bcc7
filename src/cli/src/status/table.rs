//! The table of guards, in columns that are as wide as what stands in them.

use firebreak_api::guard::Hold;
use jiff::Timestamp;

use super::row::{ChangeRow, Row};
use crate::{
    facts,
    look::Look,
    words::{self, percent, plain, share, span},
};

const NONE: &str = "-";

/// The table; with a column for the namespace where rows come from several.
#[must_use]
pub fn text(rows: &[Row<'_>], namespaces: bool, now: Timestamp, look: &Look) -> String {
    let head = [
        "NAMESPACE",
        "GUARD",
        "TARGET",
        "HOLD",
        "PHASE",
        "STAGE",
        "WEIGHT",
        "EXPOSED",
        "ROLL BACK",
        "NEXT STAGE",
        "WAITING",
        "AGE",
    ];
    let skip = usize::from(!namespaces);
    let mut table: Vec<Vec<String>> = vec![head.iter().skip(skip).map(|&title| title.to_owned()).collect()];
    table.extend(rows.iter().map(|row| cells(row, now).into_iter().skip(skip).collect()));
    words::columns(&table, look.glyphs.ellipsis)
}

fn cells(row: &Row<'_>, now: Timestamp) -> Vec<String> {
    let hold = match row.hold {
        Some(Hold::Admission) => "admission",
        Some(Hold::Late) => "late",
        None => NONE,
    };
    let mut cells = vec![row.namespace.to_owned(), row.guard.to_owned(), facts::target(row.target), hold.to_owned()];
    match &row.change {
        Some(change) => cells.extend(of_change(row, change, now)),
        None => {
            cells.push("no Change yet".to_owned());
            cells.extend(std::iter::repeat_n(NONE.to_owned(), 5));
            cells.push(not_ready(row).unwrap_or_else(|| NONE.to_owned()));
            cells.push(NONE.to_owned());
        }
    }
    cells
}

fn of_change(row: &Row<'_>, change: &ChangeRow<'_>, now: Timestamp) -> Vec<String> {
    let ended = change.phase.ended();
    let some = |value: Option<String>| value.unwrap_or_else(|| NONE.to_owned());
    let waiting = if change.paused && !ended {
        Some("paused".to_owned())
    } else {
        change.waiting.filter(|_| !ended).map(|waiting| plain(&waiting.reason)).or_else(|| not_ready(row))
    };
    vec![
        words::phase(change.phase).to_owned(),
        format!("{}/{}", change.stage, change.stages),
        percent(change.weight_percent),
        some(change.exposure_percent.map(percent)),
        some(change.roll_back_share.map(share)),
        some(change.next_stage_share.map(share)),
        some(waiting),
        span(words::since(change.ended_at.unwrap_or(change.detected_at), now)),
    ]
}

fn not_ready(row: &Row<'_>) -> Option<String> {
    match row.ready {
        Some(true) => None,
        Some(false) => Some(format!("guard: {}", plain(row.ready_reason.unwrap_or("NotReady")))),
        None => Some("guard: not seen by an operator".to_owned()),
    }
}
