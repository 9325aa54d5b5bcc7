//! What the traffic shows: looks become intervals, intervals become evidence, evidence becomes a [`Verdict`].
//!
//! Harm is one e-process over all signals (a weighted mean of e-values is an e-value under any dependence). Safety is
//! proved signal by signal and anew at every stage. Everything here is known before the look it judges.

mod again;
mod beside_past;
mod placebo;
mod signal;
mod verdict;

use serde::{Deserialize, Serialize};

use self::signal::Judged;
pub use self::{
    signal::SignalMemory,
    verdict::{Harm, NamedHold, Verdict},
};
use crate::{
    counters::Present,
    observation::{Arm, Look, Past, Pasts, Sampled, SignalLook},
    plan::{Exposure, Setup, SignalCounts, SignalSetup},
    stats::{
        BlastRadius, Counts, Growth, Phi,
        dispersion::ENOUGH_FAILURES,
        exposure::{split_ln_e, split_ln_e_within},
        portable::ln,
        promotion::opening_ln_e,
        special::log_sum_exp,
    },
    units::{Millis, Weight},
};

/// Evidence against the expected split from which the Change is frozen: ln 1000.
const SPLIT_BROKEN: f64 = 6.907_755_278_982_137;
/// Dispersion of the request counts in the split check: pods are read at different moments of a second.
const SPLIT_PHI: f64 = 4.0;
/// Where only some pods are read, a split whose odds are off by at most this factor counts as followed: requests fall unevenly on
/// the pods of an arm, and which of them are read does not change.
const SPLIT_OF_SAMPLE: f64 = 1.5;
/// Pods that are read more seldom than this bring the requests of many seconds at once, each pod at a moment of its own: then
/// what one look adds is the size of a clump.
const CLUMPS_FROM_SECONDS: f64 = 2.0;
/// A split that did not follow is asked again over windows of this many seconds, with as many requests expected of the
/// candidate; below this evidence against it, ln 5, it follows again.
const SPLIT_AGAIN: (f64, f64, f64) = (60.0, 20.0, 1.609_437_912_434_100_3);
/// After a weight was written, seconds plus scrape intervals until the split is checked.
const SPLIT_SETTLE: (f64, f64) = (3.0, 3.0);
/// A look this much older than the last, seconds, comes from a clock that was set back or another replica's, not from a
/// late answer.
const CLOCK_WENT_BACK_SECONDS: f64 = 5.0;

/// A pod has more to do than another from so many times its requests on.
const BUSIER: f64 = 1.1;

/// The source answered, but without what is expected.
const MISSING: &str = "MetricsMissing";
/// The source answered, but has not read a pod for a while.
const STALE: &str = "MetricsStale";

/// What was seen of all signals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// Signal by signal, in the order of the setup.
    pub signals: Vec<SignalMemory>,
    /// When exposure began: the harm test's clock.
    began: Option<Millis>,
    last_at: Option<Millis>,
    /// Between two readings of one pod, as the last look said.
    #[serde(default)]
    scrape_seconds: f64,
    /// Since when the source has been asked without a break.
    #[serde(default)]
    watching_since: Millis,
    /// Since when there was no complete look, and why.
    trouble: Option<Trouble>,
    split_since: Option<Millis>,
    split: Counts,
    /// Requests since the last whole look: they count once both arms have been read over the same time.
    split_open: Counts,
    /// Most requests that one look added to the split, the candidate's and stable's in the candidate's proportion.
    #[serde(default)]
    split_clump: f64,
    /// The requests that showed that the split does not follow, until it does again.
    split_broken: Option<Counts>,
    /// How many pods the last look read, where not all.
    #[serde(default)]
    sampled: Option<Sampled>,
    /// Largest ratio of failure rates that all signals together have proved.
    proved_ratio: f64,
    harm_proved: bool,
    frozen_by_stable: bool,
    /// Whether a pod of the candidate had more to do than one of stable's when a share was last in effect.
    #[serde(default)]
    busier: bool,
}

/// Why there is no complete look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// One word.
    pub reason: String,
    /// What happened and what to do.
    pub message: String,
    /// Since when.
    pub since: Millis,
}

impl Trouble {
    /// Whether the source itself gave no usable answer; else it answered, and some pods were not in it.
    #[must_use]
    pub fn is_the_sources(&self) -> bool {
        ![MISSING, STALE].contains(&self.reason.as_str())
    }
}

/// Where the candidate stands while a look is judged.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    /// The pods that are there.
    pub present: Present<'a>,
    /// The share in effect, once it is.
    pub in_effect: Option<Weight>,
    /// The share of the next stage; full at the last.
    pub next: Weight,
}

impl Standing<'_> {
    /// Whether routes leave stable no request to compare with.
    fn alone(&self, setup: &Setup) -> bool {
        self.in_effect == Some(Weight::FULL) && setup.exposure == Exposure::Routes
    }

    /// Whether the share in effect gives a pod of the candidate more requests than one of stable's, which keeps all its pods
    /// while it loses requests; `None` while no share is in effect.
    fn busier(&self, setup: &Setup) -> Option<bool> {
        let share = self.in_effect?.share();
        let ready = |pods: &[String]| pods.iter().filter(|pod| !self.present.unready.contains(pod)).count() as f64;
        let (candidate, stable) = (ready(self.present.candidate), ready(self.present.stable));
        Some(setup.exposure == Exposure::Routes && share * stable > BUSIER * (1.0 - share) * candidate)
    }
}

impl Judgement {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(setup: &Setup) -> Self {
        Self {
            signals: setup.signals.iter().map(|_| SignalMemory::new(setup)).collect(),
            began: None,
            last_at: None,
            scrape_seconds: 0.0,
            watching_since: Millis::default(),
            trouble: None,
            split_since: None,
            split: Counts::default(),
            split_open: Counts::default(),
            split_clump: 0.0,
            split_broken: None,
            sampled: None,
            proved_ratio: 0.0,
            harm_proved: false,
            frozen_by_stable: false,
            busier: false,
        }
    }

    /// The source has been asked without a break since then: while nobody asks, nothing is missing.
    pub fn watch_since(&mut self, since: Millis) {
        self.watching_since = since;
    }

    /// Seconds between two readings of one pod, as the last look said; `None` before the first.
    pub(crate) fn scrape_seconds(&self) -> Option<f64> {
        (self.scrape_seconds > 0.0).then_some(self.scrape_seconds)
    }

    pub(crate) fn watching_since(&self) -> Millis {
        self.watching_since
    }

    /// What the first signal counted since the candidate was first exposed.
    pub(crate) fn counted(&self) -> Counts {
        self.signals.first().map(|signal| signal.total.plus(signal.left_out.total)).unwrap_or_default()
    }

    /// Takes in stable's past, before the first exposure.
    pub fn learn(&mut self, setup: &Setup, pasts: &Pasts) {
        for (signal, memory) in setup.signals.iter().zip(&mut self.signals) {
            if let Some(past) = pasts.get(&signal.name) {
                memory.learn(setup, *past);
            }
        }
    }

    /// Takes in how stable's failures came of late, where there were enough of them to tell. A dispersion is never lowered
    /// while a Change runs: what looked like chance would be harm in retrospect. A past that could not be read before is
    /// taken whole.
    pub fn learn_again(&mut self, setup: &Setup, pasts: &Pasts) {
        for (signal, memory) in setup.signals.iter().zip(&mut self.signals) {
            let (Some(past), known) = (pasts.get(&signal.name), memory.phi()) else { continue };
            let unread = memory.past.is_none_or(|past| past.requests == 0);
            let phi = if past.failures >= ENOUGH_FAILURES { known.raised_to(past.phi) } else { known };
            let past = memory.past.filter(|_| !unread).unwrap_or(*past);
            if unread || phi != known {
                memory.learn(setup, Past { phi, ..past });
            }
        }
    }

    /// Whether the candidate ever had a share.
    #[must_use]
    pub const fn has_begun(&self) -> bool {
        self.began.is_some()
    }

    /// Whether stable's past was taken in.
    #[must_use]
    pub fn has_past(&self) -> bool {
        self.signals.iter().all(|signal| signal.past.is_some())
    }

    /// Whether stable's past was taken in and had requests, of every signal.
    #[must_use]
    pub fn knows_past(&self) -> bool {
        self.signals.iter().all(|signal| signal.past.is_some_and(|past| past.requests > 0))
    }

    /// Whether every signal has a first look to count from, and nothing is missing now.
    #[must_use]
    pub fn can_see(&self) -> bool {
        self.trouble.is_none() && self.signals.iter().all(|signal| signal.book.is_open())
    }

    /// Share of requests that reached the candidate since this stage began, of both arms as a whole; `None` without requests.
    #[must_use]
    pub fn exposure(&self) -> Option<f64> {
        self.signals.first().and_then(|signal| self.whole(signal.stage.plus(signal.left_out.stage)).rho())
    }

    /// How many pods the last look read, where not all.
    #[must_use]
    pub fn sampled(&self) -> Option<&Sampled> {
        self.sampled.as_ref()
    }

    /// The signals whose noise turned out larger than stable's past said, with how often that was found and what is assumed now.
    pub fn doubted(&self) -> impl Iterator<Item = (usize, u32, Phi)> {
        let doubted = |(place, signal): (usize, &SignalMemory)| (place, signal.placebo.doubled(), signal.phi());
        self.signals.iter().enumerate().map(doubted).filter(|(_, times, _)| *times > 0)
    }

    /// Names of the pods that were counted.
    pub fn pods(&self) -> impl Iterator<Item = &str> {
        self.signals.iter().flat_map(|signal| signal.book.pods())
    }

    /// What both arms counted, worked out from what was read of them.
    fn whole(&self, read: Counts) -> Counts {
        self.sampled.as_ref().map_or(read, |sampled| sampled.whole(read))
    }

    /// Largest ratio of failure rates that was proved; 0 while none was.
    #[must_use]
    pub fn proved_ratio(&self) -> f64 {
        self.proved_ratio
    }

    /// The candidate gets its first share, or again after it had none: what was counted before is no evidence about it.
    /// The harm test's clock goes on from the first time.
    pub fn begin_exposure(&mut self, now: Millis) {
        self.began.get_or_insert(now);
        self.signals.iter_mut().for_each(|signal| signal.begin_exposure(now));
    }

    /// A stage's share is in effect: safety is proved anew, and the split is watched from when it has settled.
    pub fn begin_stage(&mut self, now: Millis, scrape_seconds: f64) {
        self.signals.iter_mut().for_each(SignalMemory::begin_stage);
        self.settle_split(now, scrape_seconds);
    }

    /// A weight was written: the split is watched anew, from when it has settled.
    pub fn settle_split(&mut self, now: Millis, scrape_seconds: f64) {
        self.split = Counts::default();
        self.split_open = Counts::default();
        self.split_clump = 0.0;
        self.split_broken = None;
        self.split_since = Some(now.plus_seconds(SPLIT_SETTLE.1.mul_add(scrape_seconds, SPLIT_SETTLE.0)));
    }

    /// Judges one look. A look no newer than the last is ignored, unless the clock went back: to be blind until it has
    /// caught up would be worse than to judge a few seconds twice as long.
    pub fn enter(&mut self, setup: &Setup, look: &Look, standing: &Standing<'_>) {
        if let Some(last) = self.last_at.filter(|last| look.at <= *last) {
            if last.seconds_since(look.at) < CLOCK_WENT_BACK_SECONDS {
                return;
            }
            for signal in &mut self.signals {
                signal.looks.retain(|(at, _)| *at <= look.at);
                signal.cold_looks.retain(|(at, _)| *at <= look.at);
                signal.recent.retain(|(at, _)| *at <= look.at);
            }
        }
        self.last_at = Some(look.at);
        self.scrape_seconds = look.scrape_seconds;
        let troubles = self.read(setup, look, standing.present);
        self.note_sample(look);
        let whole: Vec<bool> = troubles.iter().map(Option::is_none).collect();
        self.check_split(setup, look, standing.in_effect, whole.first() == Some(&true));
        self.trouble = troubles.into_iter().flatten().next().map(|(reason, message)| {
            let since = self.trouble.as_ref().map_or(look.at, |old| old.since);
            Trouble { reason, message, since }
        });
        let frozen = self.stable_health(setup, look.at).is_some();
        if self.frozen_by_stable && !frozen {
            self.signals.iter_mut().for_each(SignalMemory::begin_stage);
        }
        self.frozen_by_stable = frozen;
        self.judge(setup, look.at, standing, &whole);
    }

    /// Takes in what was read, and what is missing of each signal: one word and a message.
    fn read(&mut self, setup: &Setup, look: &Look, present: Present<'_>) -> Vec<Option<(String, String)>> {
        let named = setup.signals.iter().zip(&mut self.signals);
        let seen = look.signals.iter().map(Some).chain(std::iter::repeat(None));
        let troubles = named.zip(seen).map(|((signal, memory), seen)| {
            memory.book.leave_out_cold(signal.counts.warm_up_seconds());
            let found = match seen {
                None => Some((MISSING.to_owned(), format!("signal {}: the look holds no answer", signal.name))),
                Some(SignalLook::Trouble { reason, message }) => {
                    Some((reason.clone(), format!("signal {}: {message}", signal.name)))
                }
                Some(SignalLook::Read(readings)) => memory.enter(readings, present, look).err().map(|(arm, pod)| {
                    let arm = if arm == Arm::Candidate { "candidate" } else { "stable" };
                    let message = format!(
                        "signal {}: {arm} pod {pod} was last read more than 2.5 scrape intervals ago; check that its metrics port answers and that Prometheus scrapes it",
                        signal.name
                    );
                    (STALE.to_owned(), message)
                }),
            };
            found.or_else(|| {
                let none_read = !present.stable.is_empty() && !present.stable.iter().any(|pod| memory.book.knows(pod));
                none_read.then(|| {
                    let message = format!(
                        "signal {}: no series of any stable pod; check the metric that the Guard names for it and, where Prometheus is asked, that its series carry the labels namespace and pod",
                        signal.name
                    );
                    (MISSING.to_owned(), message)
                })
            })
        });
        troubles.collect()
    }

    /// Of other parts of the arms another share is expected: what was counted of the split before says nothing of it.
    fn note_sample(&mut self, look: &Look) {
        let same = match (&self.sampled, &look.sampled) {
            (Some(before), Some(now)) => before.same_parts(now),
            (before, now) => before.is_none() && now.is_none(),
        };
        if !same {
            self.split = Counts::default();
            self.split_open = Counts::default();
            self.split_since = self.split_since.map(|since| since.max(look.at));
        }
        self.sampled.clone_from(&look.sampled);
    }

    /// Whether the requests follow the share in effect. What came while a pod could not be read counts once it can: then both
    /// arms were counted over the same time.
    fn check_split(&mut self, setup: &Setup, look: &Look, in_effect: Option<Weight>, whole: bool) {
        let Some(since) = self.split_since.filter(|since| look.at >= *since) else { return };
        let below_full = |weight: &Weight| *weight < Weight::FULL && setup.exposure == Exposure::Routes;
        let Some(weight) = in_effect.filter(below_full) else { return };
        let newest = self.signals.first().and_then(|signal| signal.looks.back()).filter(|(at, _)| *at == look.at);
        self.split_open = newest.map_or(self.split_open, |(_, counts)| self.split_open.plus(*counts));
        if !whole {
            return;
        }
        let added = std::mem::take(&mut self.split_open);
        self.split = self.split.plus(added);
        let clump = weight.share().mul_add(added.n_s as f64, added.n_c as f64);
        self.split_clump = if look.scrape_seconds > CLUMPS_FROM_SECONDS { self.split_clump.max(clump) } else { 0.0 };
        let ln_e = self.split_evidence(weight);
        let (seconds, requests, follows) = SPLIT_AGAIN;
        let asked_again = self.split_broken.is_some()
            && look.at.seconds_since(since) >= seconds
            && self.split.requests() as f64 * weight.share() >= requests;
        if asked_again && ln_e < follows {
            self.split_broken = None;
        } else if ln_e >= SPLIT_BROKEN {
            self.split_broken = Some(self.split);
        }
        if asked_again || ln_e >= SPLIT_BROKEN {
            self.split = Counts::default();
            self.split_since = Some(look.at);
        }
    }

    /// ln E of "the requests do not follow this share".
    fn split_evidence(&self, weight: Weight) -> f64 {
        let (n_c, n_s, phi) = (self.split.n_c, self.split.n_s, Phi::new(SPLIT_PHI.max(self.split_clump)));
        match &self.sampled {
            None => split_ln_e(n_c, n_s, weight.share(), phi),
            Some(sampled) => {
                let (candidate, stable) =
                    (weight.share() * sampled.candidate.share(), (1.0 - weight.share()) * sampled.stable.share());
                split_ln_e_within(n_c, n_s, candidate / (candidate + stable).max(f64::MIN_POSITIVE), SPLIT_OF_SAMPLE, phi)
            }
        }
    }

    /// Closes what is due of each signal that is `whole` and weighs it. A signal in trouble waits alone: what is missing of one
    /// does not stop another from showing harm.
    fn judge(&mut self, setup: &Setup, at: Millis, standing: &Standing<'_>, whole: &[bool]) {
        let Some(began) = self.began else { return };
        let elapsed = at.seconds_since(began);
        self.busier = standing.busier(setup).unwrap_or(self.busier);
        let (frozen, next, alone, busier) = (self.frozen_by_stable, standing.next, standing.alone(setup), self.busier);
        for ((named, signal), _) in setup.signals.iter().zip(&mut self.signals).zip(whole).filter(|(_, whole)| **whole) {
            signal.leave_out();
            if let Some(counts) = signal.close(at, alone) {
                signal.judge(setup, named, counts, &Judged { at, elapsed, next, frozen, alone, busier });
            }
        }
        let (needed, harm) = (-ln(setup.plan.alpha), self.harm_ln_e(setup));
        self.harm_proved |= harm >= needed;
        if self.harm_proved || self.proved_ratio > 0.0 || harm > 0.0 {
            self.proved_ratio = self.proved_ratio.max(self.crossed_margin(setup, needed));
        }
    }

    /// ln E of harm of all signals together.
    #[must_use]
    pub fn harm_ln_e(&self, setup: &Setup) -> f64 {
        combined(setup.signals.iter().zip(&self.signals).map(|(signal, memory)| (signal.share, memory.harm_ln_e())))
    }

    /// The largest margin at which all signals together prove harm now; 0 if none.
    fn crossed_margin(&mut self, setup: &Setup, needed: f64) -> f64 {
        self.signals.iter_mut().for_each(|memory| memory.harm.catch_up());
        let ladders: Vec<Vec<(f64, f64)>> = self
            .signals
            .iter()
            .map(|memory| {
                let most = memory.most_ln_e();
                memory.harm.ln_e_by_margin().map(|(margin, ln_e)| (margin.get(), ln_e.min(most))).collect()
            })
            .collect();
        let Some(first) = ladders.first() else { return 0.0 };
        let proved = first.iter().enumerate().filter(|(rung, _)| {
            let at_rung = |ladder: &Vec<(f64, f64)>| ladder.get(*rung).map_or(f64::NEG_INFINITY, |(_, ln_e)| *ln_e);
            combined(setup.signals.iter().zip(&ladders).map(|(signal, ladder)| (signal.share, at_rung(ladder)))) >= needed
        });
        proved.map(|(_, (margin, _))| *margin).fold(0.0, f64::max)
    }

    /// The signal that shows most of the harm: its place.
    #[must_use]
    pub fn worst(&self, setup: &Setup) -> usize {
        let weighed = |(signal, memory): (&SignalSetup, &SignalMemory)| ln(signal.share) + memory.harm_ln_e();
        let ranked = setup.signals.iter().zip(&self.signals).map(weighed).enumerate();
        ranked.max_by(|left, right| left.1.total_cmp(&right.1)).map_or(0, |(place, _)| place)
    }

    /// The blast radius of the worst signal, projected to a share.
    #[must_use]
    pub fn blast(&self, setup: &Setup, projected: Weight) -> Option<BlastRadius> {
        let worst = self.worst(setup);
        let (signal, memory) = setup.signals.get(worst).zip(self.signals.get(worst))?;
        if signal.counts == SignalCounts::Successes {
            return Some(BlastRadius::lost(self.whole(memory.total), self.proved_ratio, projected.share()));
        }
        Some(BlastRadius::of(self.whole(memory.total), self.proved_ratio, projected.share(), setup.availability))
    }

    /// How the harm of the worst signal grows; of lost successes that is not asked.
    #[must_use]
    pub fn growth(&self, setup: &Setup, now: Millis) -> Growth {
        let worst = self.worst(setup);
        let fails = setup.signals.get(worst).is_some_and(|signal| signal.counts != SignalCounts::Successes);
        self.signals.get(worst).filter(|_| fails).map_or(Growth::None, |signal| signal.growth(now, self.proved_ratio))
    }

    /// Where safety opens the next stage.
    #[must_use]
    pub fn safety_needed(setup: &Setup) -> f64 {
        opening_ln_e(setup.plan.beta)
    }
}

/// ln of the weighted mean of e-values; of one with all the weight, itself.
pub(crate) fn combined(mut parts: impl Iterator<Item = (f64, f64)>) -> f64 {
    let term = |(share, ln_e): (f64, f64)| if share == 1.0 { ln_e } else { ln(share) + ln_e };
    let first = parts.next().map_or(f64::NEG_INFINITY, term);
    let Some(second) = parts.next() else { return first };
    let terms: Vec<f64> = [first, term(second)].into_iter().chain(parts.map(term)).collect();
    log_sum_exp(&terms)
}
