//! The past of a target: what each pod counted, step by step, from the cumulative counters.
//!
//! Counters are read at the ends of the steps and differenced here: where requests fall, the process began anew, and what it has counted since is the
//! increment. Failures that fall alone are no new beginning (see `memory`).

use std::{collections::BTreeMap, time::Duration};

use super::{
    client::{Backend, Client},
    promql::{self, Part},
    reading::count,
    reply::{self, Series},
    shape::{Selectors, Target},
    trouble::Trouble,
};

/// Which part of the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// How long it is.
    pub window: Duration,
    /// Length of a step. Not shorter than the scrape interval, or steps without counts alternate with steps that hold several. Whole seconds;
    /// made longer where the window would have more than 720 steps or the answer would be too large.
    pub step: Duration,
    /// Where it ends, in milliseconds since 1970. Cut to the whole second.
    pub at_ms: i64,
}

/// What a pod counted in one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Requests.
    pub requests: u64,
    /// Failed or slow requests.
    pub failures: u64,
}

/// The past of a target's pods.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// Where the first step begins, in milliseconds.
    pub start_ms: i64,
    /// Length of a step in seconds.
    pub step_seconds: f64,
    /// Every step of each pod in order of time; `None` where it was not read at both ends, or its counters contradict each other.
    pub pods: BTreeMap<String, Vec<Option<Step>>>,
}

/// Most steps of a history: an hour every 5 s.
const MAX_STEPS: u64 = 720;
/// How much longer the steps become when the answer is too large.
const COARSER: u64 = 6;

/// What a history is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) backend: &'a Backend,
    pub(crate) selectors: &'a Selectors,
    pub(crate) target: &'a Target,
    pub(crate) span: Span,
}

pub(crate) async fn read(client: &Client, asked: Asked<'_>) -> Result<History, Trouble> {
    let step = asked.span.step.as_secs().max(asked.span.window.as_secs().div_ceil(MAX_STEPS)).max(1);
    match with_step(client, asked, step).await {
        Err(Trouble::TooLarge { .. }) => with_step(client, asked, step * COARSER).await,
        answer => answer,
    }
}

async fn with_step(client: &Client, asked: Asked<'_>, step_seconds: u64) -> Result<History, Trouble> {
    let Span { window, at_ms, .. } = asked.span;
    let end_seconds = at_ms.div_euclid(1000);
    let steps = (window.as_secs() / step_seconds).max(1);
    let start_seconds = end_seconds - i64::try_from(steps * step_seconds).unwrap_or(end_seconds);
    let start_ms = start_seconds * 1000;
    let query = promql::history(asked.selectors, asked.target);
    let body = client.query_range(asked.backend, &query, start_seconds, end_seconds, step_seconds).await?;
    let grid = Grid { start_ms, step_ms: step_seconds * 1000, points: usize::try_from(steps + 1).unwrap_or(usize::MAX) };
    let pods = pods(asked.selectors, asked.target, grid, reply::matrix(&body.bytes)?.rows)?;
    Ok(History { start_ms, step_seconds: step_seconds as f64, pods })
}

/// The instants of a range query.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grid {
    pub(crate) start_ms: i64,
    pub(crate) step_ms: u64,
    pub(crate) points: usize,
}

impl Grid {
    fn index(self, at_ms: i64) -> Option<usize> {
        let offset = u64::try_from(at_ms - self.start_ms).ok()?;
        usize::try_from((offset + self.step_ms / 2) / self.step_ms).ok()
    }
}

/// What was read at one instant.
#[derive(Debug, Clone, Copy, Default)]
struct Point {
    requests: Option<u64>,
    second: Option<u64>,
}

/// The increments of each pod of `target`.
pub(crate) fn pods(
    selectors: &Selectors,
    target: &Target,
    grid: Grid,
    rows: Vec<Series>,
) -> Result<BTreeMap<String, Vec<Option<Step>>>, Trouble> {
    let mut pods: BTreeMap<String, Vec<Point>> = BTreeMap::new();
    for row in rows.into_iter().filter(|row| target.owns(&row.labels.namespace, &row.labels.pod)) {
        let pod = row.labels.pod.as_str();
        let part =
            row.labels.part().ok_or_else(|| Trouble::Undecodable { detail: "a series that was not asked for".to_owned() })?;
        if row.histograms {
            // As in a look: what is wrong with one workload's pod is no other's trouble.
            if target.whole_namespace {
                continue;
            }
            return Err(Trouble::NativeHistogram { pod: pod.to_owned(), what: part.label() });
        }
        let points = pods.entry(pod.to_owned()).or_insert_with(|| vec![Point::default(); grid.points]);
        for (at_ms, number) in &row.points {
            let number = match count(pod, part.label(), *number) {
                Err(_) if target.whole_namespace => continue,
                number => number?,
            };
            if let Some(point) = grid.index(*at_ms).and_then(|i| points.get_mut(i)) {
                let place = if part == Part::Requests { &mut point.requests } else { &mut point.second };
                *place = Some(number);
            }
        }
    }
    let failures_of = |point: &Point, last: Option<Counted>| match selectors {
        Selectors::Requests { .. } => point.failures(last),
        Selectors::Histogram { .. } => point.slow(),
    };
    Ok(pods.into_iter().map(|(pod, points)| (pod, increments(&points, failures_of))).collect())
}

/// Counters at the end of a step.
#[derive(Debug, Clone, Copy)]
struct Counted {
    requests: u64,
    failures: u64,
    /// No one counted the failures any more: the number is the last one known.
    gone: bool,
}

impl Point {
    fn failures(&self, last: Option<Counted>) -> Option<Counted> {
        let requests = self.requests?;
        let known = last.filter(|last| requests >= last.requests).map_or(0, |last| last.failures);
        Some(Counted { requests, failures: self.second.unwrap_or(known), gone: self.second.is_none() })
    }

    fn slow(&self) -> Option<Counted> {
        let requests = self.requests?;
        Some(Counted { requests, failures: requests.checked_sub(self.second?)?, gone: false })
    }
}

fn increments(points: &[Point], failures_of: impl Fn(&Point, Option<Counted>) -> Option<Counted>) -> Vec<Option<Step>> {
    let mut last = None;
    let mut steps = points.iter().map(|point| {
        let now = failures_of(point, last);
        let step = last.zip(now).and_then(|(last, now)| increment(last, now));
        last = now;
        step
    });
    // Nothing ends at the first instant.
    steps.next();
    steps.collect()
}

fn increment(last: Counted, now: Counted) -> Option<Step> {
    let Some(requests) = now.requests.checked_sub(last.requests) else {
        return Some(Step { requests: now.requests, failures: now.failures });
    };
    let failures = match now.failures.checked_sub(last.failures) {
        Some(failures) => failures,
        None if last.gone => now.failures,
        None => return None,
    };
    Some(Step { requests, failures })
}
