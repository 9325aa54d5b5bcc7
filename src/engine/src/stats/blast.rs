//! Blast radius: failed requests the candidate caused, as a count, a share of all requests, and a forecast.
//!
//! Every estimate has a lower bound beside it, made from `th_lo`, a proved lower bound of th = p_c/p_s: of the
//! candidate's failures at least the part f = 1 - 1/th_lo would not have happened on stable. For the count that
//! bounds the expectation at whatever moment one stops; for the shares it is a plug-in, which takes p_c as known.

use serde::{Deserialize, Serialize};

use super::interval::Counts;

/// What the candidate caused; `None` where the requests to say so are missing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct BlastRadius {
    /// Failed requests caused: x_c - n_c p_s; may be negative.
    pub ef: Option<f64>,
    /// At least that many failed requests caused: x_c f.
    pub ef_lo: f64,
    /// Caused failures as a share of all requests: rho (p_c - p_s).
    pub br: Option<f64>,
    /// At least that share: (x_c/N) f.
    pub br_lo: Option<f64>,
    /// The share to expect at the next weight: w (p_c - p_s).
    pub proj: Option<f64>,
    /// At least that share at the next weight: w p_c f.
    pub proj_lo: Option<f64>,
    /// How many times faster than allowed the candidate burns the error budget: br/(1 - SLO).
    pub burn: Option<f64>,
    /// At least that many times: br_lo/(1 - SLO).
    pub burn_lo: Option<f64>,
}

impl BlastRadius {
    /// From all counts of one window. `th_lo` is a proved lower bound of p_c/p_s (0: none, +inf: stable never fails),
    /// `w_next` the candidate's share of traffic at the next stage, `slo` the share of requests promised to succeed,
    /// below 1; `None` leaves the burn unknown.
    #[must_use]
    pub fn of(counts: Counts, th_lo: f64, w_next: f64, slo: Option<f64>) -> Self {
        let f = attributable(th_lo);
        let (p_c, x_c) = (counts.candidate_rate(), counts.x_c as f64);
        let excess = p_c.zip(counts.stable_rate()).map(|(p_c, p_s)| p_c - p_s);
        let br = counts.rho().zip(excess).map(|(rho, excess)| rho * excess);
        let br_lo = (counts.requests() > 0).then(|| x_c / counts.requests() as f64 * f);
        let allowed = slo.map(|slo| 1.0 - slo).filter(|allowed| *allowed > 0.0);
        let burn = |share: Option<f64>| share.zip(allowed).map(|(share, allowed)| share / allowed);
        Self {
            ef: excess.and(counts.stable_rate()).map(|p_s| x_c - counts.n_c as f64 * p_s),
            ef_lo: x_c * f,
            br,
            br_lo,
            proj: excess.map(|excess| w_next * excess),
            proj_lo: p_c.map(|p_c| w_next * p_c * f),
            burn: burn(br),
            burn_lo: burn(br_lo),
        }
    }

    /// The same where successes are counted and fewer is worse: what is lost instead of what fails. `th_lo` is a proved
    /// lower bound of p_s/p_c, so that of what would have come at stable's rate at least the part f is lost; the bounds
    /// take p_s as known.
    #[must_use]
    pub fn lost(successes: Counts, th_lo: f64, w_next: f64) -> Self {
        let f = attributable(th_lo);
        let (p_s, n_c, rho) = (successes.stable_rate(), successes.n_c as f64, successes.rho());
        let fall = p_s.zip(successes.candidate_rate()).map(|(p_s, p_c)| p_s - p_c);
        Self {
            ef: fall.map(|fall| n_c * fall),
            ef_lo: p_s.map_or(0.0, |p_s| n_c * p_s * f),
            br: rho.zip(fall).map(|(rho, fall)| rho * fall),
            br_lo: rho.zip(p_s).map(|(rho, p_s)| rho * p_s * f),
            proj: fall.map(|fall| w_next * fall),
            proj_lo: p_s.map(|p_s| w_next * p_s * f),
            burn: None,
            burn_lo: None,
        }
    }
}

/// f = max(0, 1 - 1/th_lo): the part of the candidate's failures that it caused; 0 where no ratio above 1 is proved.
#[must_use]
pub fn attributable(th_lo: f64) -> f64 {
    if th_lo > 1.0 { 1.0 - 1.0 / th_lo } else { 0.0 }
}
