//! What follows from the evidence: back, on, or a named hold.

use serde::{Deserialize, Serialize};

use super::{Judgement, SignalMemory, Trouble};
use crate::{
    observation::Sampled,
    plan::{Exposure, Setup, SignalCounts},
    stats::{Counts, Growth, Phi, portable::ln},
    units::{Millis, Weight},
};

/// Harm evidence from which a stage is not left: ln 5.
const SUSPICION: f64 = 1.609_437_912_434_100_3;
/// Fast path: requests of the candidate within this many seconds, of which more than half failed.
const FAST_PATH: (u64, f64) = (20, 10.0);
/// Fast path: where failures come in bursts so many more for each of the dispersion above what is assumed without a past, and so many in all
/// at most. With ten more, 1.2 % of releases at the margin were taken back at a dispersion of 4.
const FAST_PATH_BURSTS: (f64, f64) = (14.0, 100.0);
/// Fast path: stable fails less than this share.
const FAST_PATH_STABLE: f64 = 0.05;
/// Stable's recent past, seconds, in which its health is judged, and the requests and failures that takes.
const STABLE_WINDOW: (f64, u64, u64) = (30.0, 50, 5);
/// Stable is unhealthy above this multiple of its own past, or of its budget's even burn where there is an objective.
const STABLE_RISE: f64 = 5.0;
const STABLE_BURN: f64 = 14.4;
/// From so many seconds and so much evidence on, the pace of a stage tells when it will be over.
const PACE: (f64, f64) = (10.0, 0.3);
/// Harm is material from this share of all requests on, projected to full exposure.
const MATERIAL_SHARE: f64 = 0.0001;
/// No look for this many seconds, or scrape intervals if longer, is missing data like an answer that says so.
const SILENT_AFTER: (f64, f64) = (15.0, 2.5);

/// What follows from all that was seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Take it back: reason, words, and whether harm grows.
    pub harm: Option<Harm>,
    /// Harm is proved but immaterial and steady.
    pub immaterial: Option<String>,
    /// The next stage is open: every signal refuted that it would harm more than the budget.
    pub open: bool,
    /// Harm evidence is too high to go on.
    pub suspicion: bool,
    /// Why there is no complete look.
    pub trouble: Option<Trouble>,
    /// The split does not follow the weight.
    pub split_broken: Option<String>,
    /// Stable itself is in trouble.
    pub stable_unhealthy: Option<String>,
    /// Why there is no evidence at all: what the plan's rule about missing data is about.
    pub blind: Option<Trouble>,
    /// What else keeps it where it is.
    pub hold: Option<NamedHold>,
}

/// A reason to stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedHold {
    /// One word.
    pub reason: String,
    /// What was seen and what to do.
    pub message: String,
    /// Whether people are to be warned.
    pub warning: bool,
}

/// Why a candidate is taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Harm {
    /// One word.
    pub reason: String,
    /// What was seen.
    pub message: String,
    /// Whether it grows: then nothing is waited for.
    pub growing: bool,
}

impl Judgement {
    /// What follows from all that was seen.
    #[must_use]
    pub fn verdict(&self, setup: &Setup, now: Millis) -> Verdict {
        let (harm, immaterial) = match self.fast_path(setup, now) {
            Some(harm) => (Some(harm), None),
            None => self.proved_harm(setup, now),
        };
        let trouble = self.trouble(now);
        Verdict {
            harm,
            immaterial,
            open: self.open(setup),
            suspicion: self.harm_ln_e(setup) >= SUSPICION,
            blind: trouble.clone(),
            hold: None,
            trouble,
            split_broken: self.split_broken.map(|found| split_words(found, self.sampled.as_ref())),
            stable_unhealthy: if self.frozen_by_stable { self.stable_health(setup, now) } else { None },
        }
    }

    /// Whether every signal that can has refuted that the next stage would harm more than the budget, and there is one.
    fn open(&self, setup: &Setup) -> bool {
        let needed = Self::safety_needed(setup);
        let named = setup.signals.iter().zip(&self.signals);
        let mut opening = named.filter(|(signal, _)| signal.is_opening()).peekable();
        opening.peek().is_some() && opening.all(|(_, memory)| memory.promotion.ln_e() >= needed)
    }

    /// How long it will take until the next stage is open, in words, if evidence goes on coming as it did in the `baked` seconds
    /// of this stage; `None` where too little came to tell.
    pub(crate) fn open_after(&self, setup: &Setup, baked: f64) -> Option<String> {
        let (seconds, evidence) = PACE;
        let named = setup.signals.iter().zip(&self.signals).filter(|(signal, _)| signal.is_opening());
        let least = named.map(|(_, memory)| memory.promotion.ln_e()).reduce(f64::min)?;
        let left = baked * (Self::safety_needed(setup) / least - 1.0);
        let tells = baked >= seconds && least >= evidence && left > 0.0 && left.is_finite();
        tells.then(|| {
            if left < 90.0 { format!("{:.0} s", (left / 5.0).ceil() * 5.0) } else { format!("{:.0} min", (left / 60.0).ceil()) }
        })
    }

    /// Why there is no complete look now, and since when although the source was asked.
    fn trouble(&self, now: Millis) -> Option<Trouble> {
        let trouble = self.trouble.clone().or_else(|| self.silence(now))?;
        Some(Trouble { since: trouble.since.max(self.watching_since), ..trouble })
    }

    /// Looks came once, and none has come for long.
    fn silence(&self, now: Millis) -> Option<Trouble> {
        let since = self.last_at?.max(self.watching_since);
        let limit = SILENT_AFTER.0.max(SILENT_AFTER.1 * self.scrape_seconds);
        (now.seconds_since(since) >= limit).then(|| Trouble {
            reason: "MetricsSilent".to_owned(),
            message: format!(
                "no new answer of the metrics source for more than {limit:.0} s; check that the source of every signal can be reached"
            ),
            since,
        })
    }

    fn fast_path(&self, setup: &Setup, now: Millis) -> Option<Harm> {
        let (requests, seconds) = FAST_PATH;
        let last = self.last_at.unwrap_or(now);
        // Before it has a share only probes reach it, but where pods are the share a ready pod has one.
        if self.began.is_none() && setup.exposure == Exposure::Routes {
            return None;
        }
        setup.signals.iter().zip(&self.signals).find_map(|(signal, memory)| {
            let all = memory.within(last, seconds);
            let (seen, reason) = match signal.counts {
                SignalCounts::Failures => (all, "MostRequestsFail"),
                // No start of a workload makes most requests slow where hardly any is: of cold pods, which nothing else judges.
                SignalCounts::Slow => (memory.cold_within(last, seconds), "SlowerThanStable"),
                SignalCounts::Successes => return None,
            };
            let stable = all.stable_rate().or_else(|| self.stable_without_traffic(memory))?;
            // More failures than requests is a contradiction, not a rate.
            let most_fail = seen.x_c <= seen.n_c && seen.x_c.saturating_mul(2) > seen.n_c;
            // Where failures are known to come in larger bursts than is assumed without a past, one burst is not most requests.
            let (more, most) = FAST_PATH_BURSTS;
            let beyond = (memory.phi().get() - Phi::UNKNOWN.get()).max(0.0);
            let needed = more.mul_add(beyond, requests as f64).min(most);
            let failing = seen.n_c as f64 >= needed && most_fail && stable < FAST_PATH_STABLE;
            failing.then(|| Harm {
                reason: reason.to_owned(),
                message: format!(
                    "signal {}: {} of the candidate's last {} requests {}, {:.2} % of stable's{}",
                    signal.name,
                    seen.x_c,
                    seen.n_c,
                    signal.counts.verb(),
                    stable * 100.0,
                    if all.n_s > 0 { "" } else { " before it had none" }
                ),
                growing: true,
            })
        })
    }

    /// How stable failed before it had no requests any more: without a holdback it gets none at the last stage, and is whole all the same.
    fn stable_without_traffic(&self, memory: &SignalMemory) -> Option<f64> {
        memory.total.stable_rate().filter(|_| self.trouble.is_none())
    }

    fn proved_harm(&self, setup: &Setup, now: Millis) -> (Option<Harm>, Option<String>) {
        if !self.harm_proved {
            return (None, None);
        }
        let place = self.worst(setup);
        let Some((signal, memory)) = setup.signals.get(place).zip(self.signals.get(place)) else { return (None, None) };
        let blast = self.blast(setup, Weight::FULL);
        let projected = blast.and_then(|blast| blast.proj_lo).unwrap_or(0.0);
        let growth = self.growth(setup, now);
        let rates = |rate: Option<f64>| rate.map_or("no requests".to_owned(), |rate| format!("{:.2} %", rate * 100.0));
        let total = memory.total;
        let words = format!(
            "signal {}: {} of {} candidate requests ({}) against {} of {} stable ones ({}): {} by more than {:.2}x beyond chance (ln E {:.1}, {:.1} needed)",
            signal.name,
            total.x_c,
            total.n_c,
            rates(total.candidate_rate()),
            total.x_s,
            total.n_s,
            rates(total.stable_rate()),
            if signal.counts == SignalCounts::Successes { "fewer" } else { "worse" },
            self.proved_ratio.max(setup.plan.margin),
            self.harm_ln_e(setup),
            -ln(setup.plan.alpha),
        );
        let growing = !matches!(growth, Growth::None);
        if projected >= MATERIAL_SHARE || growing {
            let reason = match signal.counts {
                SignalCounts::Failures => "FailsMoreThanStable",
                SignalCounts::Slow => "SlowerThanStable",
                SignalCounts::Successes => "FewerThanStable",
            };
            let harm = Harm { reason: reason.to_owned(), message: words, growing };
            return (Some(harm), None);
        }
        (None, Some(words))
    }

    /// Why stable itself is in trouble, if it is.
    pub(super) fn stable_health(&self, setup: &Setup, now: Millis) -> Option<String> {
        let (seconds, requests, failures) = STABLE_WINDOW;
        let last = self.last_at.unwrap_or(now);
        let failing = setup.signals.iter().zip(&self.signals).filter(|(signal, _)| signal.is_opening());
        failing.into_iter().find_map(|(signal, memory)| {
            let seen = memory.within(last, seconds);
            let rate = seen.stable_rate().filter(|_| seen.n_s >= requests && seen.x_s >= failures)?;
            // The objective speaks of failures; a burn above every rate says nothing.
            let availability = setup.availability.filter(|_| signal.counts == SignalCounts::Failures);
            let budget = availability.map(|availability| STABLE_BURN * (1.0 - availability)).filter(|limit| *limit < 1.0);
            let limit = budget.or(memory.past_upper.map(|upper| STABLE_RISE * upper))?;
            (rate > limit).then(|| {
                format!(
                    "signal {}: {:.2} % of stable's requests {} in the last {seconds:.0} s, more than the {:.2} % at which Firebreak \
                     waits; nothing goes on until stable is healthy again, which it finds out by itself",
                    signal.name,
                    rate * 100.0,
                    signal.counts.verb(),
                    limit * 100.0
                )
            })
        })
    }
}

fn split_words(found: Counts, sampled: Option<&Sampled>) -> String {
    let whole = sampled.map_or(found, |sampled| sampled.whole(found));
    let measured = whole.rho().unwrap_or(0.0) * 100.0;
    let from = sampled.map_or(String::new(), |sampled| format!(" (worked out from {sampled})"));
    format!(
        "{measured:.1} % of {} requests{from} reached the candidate, which is not the weight in the routes; the Change is frozen and \
         goes on when a minute of requests follows it. Check that every route to the Service is named in spec.traffic.routes and that \
         the gateway follows its weights, or take it back: kubectl firebreak abort GUARD",
        whole.requests()
    )
}
