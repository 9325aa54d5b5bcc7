//! How the evidence went, drawn: harm toward taking back, and beside or below it safety toward the next stage.

use jiff::Timestamp;
use ratatui::text::{Line, Span};

use crate::{
    curve::{Evidence, Point},
    look::Look,
    screen::chart::Chart,
    words::{clock, percent, since, span},
};

/// Width from which on both curves stand beside each other.
const BESIDE: usize = 80;
/// Cells between them.
const BETWEEN: usize = 3;
/// Lines of a curve.
const ROWS: usize = 6;

/// The curves as lines of a width.
#[must_use]
pub fn lines(evidence: &Evidence, now: Timestamp, to: usize, look: &Look) -> Vec<Line<'static>> {
    let beside = to >= BESIDE;
    let cells = if beside { (to - BETWEEN) / 2 } else { to };
    let marks = stages(evidence);
    let later = |begin, end| format!("{} later", span(since(begin, end)));
    let ends = evidence.span().map(|(begin, end)| (clock(begin, now, &look.zone), later(begin, end)));
    let ends = ends.unwrap_or_default();
    let highest = evidence.points.iter().map(|point| point.harm).fold(f64::MIN, f64::max);
    let harm = Chart {
        title: "harm, ln E of all signals together".to_owned(),
        runs: runs(evidence, false, |point| Some(point.harm)),
        threshold: evidence.roll_back_at,
        effect: "roll back",
        style: look.harm(highest / evidence.roll_back_at),
        marks: &marks,
        ends: ends.clone(),
    };
    let mut drawn = harm.lines(cells, ROWS, look);
    let safety = Chart {
        title: "safety, ln E of the signal with least".to_owned(),
        runs: runs(evidence, true, |point| point.safety),
        threshold: evidence.next_stage_at,
        effect: "next stage",
        style: look.command(),
        marks: &marks,
        ends,
    };
    if safety.runs.is_empty() {
        return drawn;
    }
    let safety = safety.lines(cells, ROWS, look);
    if !beside {
        drawn.extend(safety);
        return drawn;
    }
    drawn.into_iter().zip(safety).map(|(left, right)| joined(left, right, cells)).collect()
}

/// Two lines beside each other.
fn joined(left: Line<'static>, right: Line<'static>, cells: usize) -> Line<'static> {
    let gap = cells.saturating_sub(left.width()) + BETWEEN;
    let styled = |line: Line<'static>| {
        let style = line.style;
        line.spans.into_iter().map(move |span| span.patch_style(style))
    };
    let between = std::iter::once(Span::raw(" ".repeat(gap)));
    Line::from(styled(left).chain(between).chain(styled(right)).collect::<Vec<_>>())
}

/// The unbroken runs of a value; with `by_stage` each stage has its own, since safety is proved anew there.
fn runs(evidence: &Evidence, by_stage: bool, value: impl Fn(&Point) -> Option<f64>) -> Vec<Vec<(f64, f64)>> {
    let mut runs: Vec<Vec<(f64, f64)>> = Vec::new();
    let mut before: Option<&Point> = None;
    for point in &evidence.points {
        let Some(now) = value(point) else {
            before = None;
            continue;
        };
        if before.is_none_or(|before| by_stage && share_differs(before, point)) {
            runs.push(Vec::new());
        }
        if let Some(run) = runs.last_mut() {
            run.push((evidence.place(point.at), now));
        }
        before = Some(point);
    }
    runs
}

/// Where which share was in effect.
fn stages(evidence: &Evidence) -> Vec<(f64, String)> {
    let mut stages: Vec<(f64, String)> = Vec::new();
    let mut before: Option<&Point> = None;
    for point in &evidence.points {
        if before.is_none_or(|before| share_differs(before, point)) {
            stages.push((evidence.place(point.at), percent(point.share_percent)));
        }
        before = Some(point);
    }
    stages
}

fn share_differs(one: &Point, other: &Point) -> bool {
    (one.share_percent - other.share_percent).abs() > 0.05
}
