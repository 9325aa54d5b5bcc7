//! How the evidence of a Change went, as its memory keeps it.

use firebreak_api::{Change, packed::unpack};
use firebreak_engine::{curve::Curve, stats::promotion::opening_ln_e, units::Millis};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::facts;

/// How the evidence went.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// Seconds between two points at least, but for the last.
    pub spacing_seconds: u32,
    /// ln E of harm that takes the candidate back.
    pub roll_back_at: f64,
    /// ln E of safety that opens the next stage.
    pub next_stage_at: f64,
    /// The points, the oldest first: two at least.
    pub points: Vec<Point>,
}

/// The evidence of one moment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Point {
    /// When.
    pub at: Timestamp,
    /// Share of traffic in effect, in percent.
    pub share_percent: f64,
    /// Share of the stage's requests that reached it, in percent.
    pub exposure_percent: Option<f64>,
    /// The largest ln E of harm of all signals together since the point before.
    pub harm: f64,
    /// The smallest ln E of safety of the signals that open a stage.
    pub safety: Option<f64>,
}

/// What is read of the memory: its other parts are the operator's own.
#[derive(Deserialize)]
struct Remembered {
    #[serde(default)]
    curve: Curve,
}

impl Evidence {
    /// The curve of a Change; none before there are two points, and where its memory is not at hand or of another version.
    #[must_use]
    pub fn of(change: &Change) -> Option<Self> {
        let memory = facts::status(change).memory.as_ref()?;
        let curve = unpack::<Remembered>("memory", memory).ok()?.curve;
        let since = timestamp(curve.since()?)?;
        let points: Vec<Point> = curve
            .points()
            .iter()
            .map(|point| Point {
                at: since + SignedDuration::from_secs(i64::from(point.seconds)),
                share_percent: f64::from(point.share.as_permille()) / 10.0,
                exposure_percent: point.exposure().map(|share| (share * 10_000.0).round() / 100.0),
                harm: point.harm(),
                safety: point.safety(),
            })
            .collect();
        let plan = &change.spec.plan;
        (points.len() > 1).then(|| Self {
            spacing_seconds: curve.spacing_seconds(),
            roll_back_at: -plan.alpha.ln(),
            next_stage_at: opening_ln_e(plan.beta),
            points,
        })
    }

    /// When it begins and ends.
    #[must_use]
    pub fn span(&self) -> Option<(Timestamp, Timestamp)> {
        Some((self.points.first()?.at, self.points.last()?.at))
    }

    /// Harm, the oldest first.
    #[must_use]
    pub fn harm(&self) -> Vec<(Timestamp, f64)> {
        self.points.iter().map(|point| (point.at, point.harm)).collect()
    }

    /// Where on the way from begin to end a moment is, from 0 to 1.
    #[must_use]
    pub fn place(&self, at: Timestamp) -> f64 {
        let Some((begin, end)) = self.span() else { return 0.0 };
        let whole = end.duration_since(begin).as_secs_f64();
        if whole > 0.0 { (at.duration_since(begin).as_secs_f64() / whole).clamp(0.0, 1.0) } else { 0.0 }
    }
}

/// An engine's instant; none beyond the calendar.
pub(crate) fn timestamp(at: Millis) -> Option<Timestamp> {
    Timestamp::from_millisecond(at.0).ok()
}
