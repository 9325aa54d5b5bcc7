//! Reach: the workloads that must not be hurt by a Change, and which of them it has hurt.
//!
//! Where the callers' own counters tell which version called ([`Measured::ByCallers`]) a dependent is judged arm against
//! arm, as the candidate itself is. Else ([`Measured::ByItself`]) it is judged against its own past, which cannot tell who
//! is to blame. So a dependent whose trouble began before the candidate had a share is left out until it is over, and while
//! its bystanders, workloads of its namespace that are neither dependents nor the guarded one, suffer as well, the
//! platform is to blame and nothing is held against the Change.
//!
//! Which of them are harmed is decided for all together, with a false discovery rate of at most alpha under any
//! dependence between them: the e-BH procedure (Wang & Ramdas, JRSS-B 2022).

use serde::{Deserialize, Serialize};

use crate::{
    counters::{CounterBook, Present},
    judge::{NamedHold, Trouble, combined},
    observation::{Arm, Past, Reading, SignalLook},
    plan::{Setup, SignalCounts, SignalSetup},
    stats::{Counts, Factor, HarmProcess, Margin, PastProcess, Phi, StableRates, StartMass, portable::ln},
    units::Millis,
};

/// Evidence of trouble from which somebody's own is not ruled out: ln 5.
const SUSPICION: f64 = 1.609_437_912_434_100_3;
/// Trouble is over when a window of this many seconds with so many requests is back at the former rate.
const OVER_WINDOW: (f64, u64) = (30.0, 50);
/// An interval closes with so many requests, or after so many seconds.
const CLOSE: (u64, f64) = (5, 30.0);

/// A workload that must not be hurt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DependentSetup {
    /// Its name, with its namespace where that is another than the guarded workload's: `payments` or `payments.bank`.
    pub name: String,
    /// Where it is measured.
    pub measured: Measured,
    /// What is counted of it; the shares sum to 1.
    pub signals: Vec<SignalSetup>,
}

/// Where a dependent is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Measured {
    /// By its callers: counters of the guarded workload's pods, so that each arm's calls are known.
    ByCallers,
    /// By itself: its own pods' counters, against its own past.
    ByItself,
}

/// One answer of the metrics source about all dependents at one instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DependentsLook {
    /// The instant that was asked for.
    pub at: Millis,
    /// Seconds between two readings of one pod.
    pub scrape_seconds: f64,
    /// One entry a dependent and signal, in the order of the setup. Of a dependent measured by itself its pods' readings stand
    /// as [`Arm::Candidate`], those of the bystanders as [`Arm::Stable`].
    pub dependents: Vec<Vec<SignalLook>>,
}

/// What was counted of one signal of a dependent before the Change. Where its callers measure it, only how their failures came is of
/// use: `before` is that of stable's pods, and the rest is empty.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DependentPast {
    /// In the last 45 minutes but the newest few.
    pub before: Past,
    /// In the newest few minutes: trouble that shows there began before the Change.
    pub lately: Past,
    /// Of the bystanders, all together.
    pub bystanders: Past,
}

/// What was seen of all dependents.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Reach {
    dependents: Vec<Dependent>,
    began: Option<Millis>,
    last_at: Option<Millis>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Dependent {
    signals: Vec<Seen>,
    /// Its trouble began before the candidate had a share.
    sick_before: bool,
    /// Its bystanders are in trouble as well.
    platform: bool,
    harmed: bool,
    trouble: Option<Trouble>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Seen {
    book: CounterBook,
    open: Counts,
    open_since: Option<Millis>,
    total: Counts,
    /// The newest intervals, for what is over.
    window: Vec<(Millis, Counts)>,
    evidence: Evidence,
    /// How the failures of the callers' requests come, once their past was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    callers_phi: Option<Phi>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Evidence {
    Arms(Box<HarmProcess>),
    Past(Box<AgainstPast>),
}

/// A dependent and its bystanders, each against its own past.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct AgainstPast {
    own: PastProcess,
    bystanders: PastProcess,
    rates: Option<Rates>,
}

/// Upper bounds of the former rates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Rates {
    own: f64,
    bystanders: f64,
    phi: (Phi, Phi),
}

/// What is known of one dependent, for people.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// Its name.
    pub name: String,
    /// ln E of "it is not hurt".
    pub ln_e: f64,
    /// How it stands.
    pub state: State,
    /// Its first signal's counts since the candidate had a share: of a dependent measured by itself first its own, then the
    /// bystanders'.
    pub counts: Counts,
}

/// How a dependent stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not seen to be hurt.
    Unharmed,
    /// Hurt by the candidate.
    Harmed,
    /// In trouble since before the candidate had a share: not held against it.
    SickBefore,
    /// In trouble together with workloads that have nothing to do with it.
    PlatformTrouble,
    /// Its past is not known, so that it cannot be judged.
    PastUnknown,
}

impl Reach {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(setup: &Setup) -> Self {
        let of = |dependent: &DependentSetup| Dependent {
            signals: dependent.signals.iter().map(|_| Seen::new(setup, dependent.measured)).collect(),
            sick_before: false,
            platform: false,
            harmed: false,
            trouble: None,
        };
        Self { dependents: setup.dependents.iter().map(of).collect(), began: None, last_at: None }
    }

    /// Takes in what was counted before the Change, dependent by dependent and signal by signal, where it was read.
    pub fn learn(&mut self, setup: &Setup, pasts: &[Vec<Option<DependentPast>>]) {
        let margin = Margin::new(setup.plan.margin);
        for (dependent, pasts) in self.dependents.iter_mut().zip(pasts) {
            for (seen, past) in dependent.signals.iter_mut().zip(pasts) {
                let Some(past) = past else { continue };
                if seen.knows_past() {
                    continue;
                }
                let Evidence::Past(against) = &mut seen.evidence else {
                    // Once they are judged what was assumed is not lowered.
                    let phi = past.before.phi;
                    seen.callers_phi = Some(if self.began.is_some() { phi.raised_to(Phi::UNKNOWN) } else { phi });
                    continue;
                };
                let upper = |past: &Past| {
                    StableRates::from_history(past.failures.min(past.requests), past.requests, setup.plan.alpha, past.phi).upper
                };
                let found = Rates {
                    own: upper(&past.before),
                    bystanders: upper(&past.bystanders),
                    phi: (past.before.phi, past.bystanders.phi),
                };
                if past.before.requests == 0 {
                    continue;
                }
                let mut lately = PastProcess::new(margin, StartMass::AllAtOnce);
                let (requests, failures) = (past.lately.requests, past.lately.failures);
                lately.update(requests, failures, found.own, Factor::BurstExact(past.before.phi), 0.0);
                dependent.sick_before |= self.began.is_none() && lately.ln_e() >= SUSPICION;
                against.rates = Some(found);
            }
        }
    }

    /// Whether the past of every dependent was taken in.
    #[must_use]
    pub fn knows_past(&self) -> bool {
        self.dependents.iter().all(|dependent| dependent.signals.iter().all(Seen::knows_past))
    }

    /// The candidate gets its first share, or again: what was counted before says nothing about it, but who was in trouble.
    pub fn begin_exposure(&mut self, setup: &Setup, now: Millis) {
        self.began.get_or_insert(now);
        for (named, dependent) in setup.dependents.iter().zip(&mut self.dependents) {
            dependent.sick_before |= dependent.ln_e(named) >= SUSPICION;
            dependent.signals.iter_mut().for_each(|seen| seen.begin_anew(setup));
        }
    }

    /// Judges one look. One no newer than the last is ignored.
    pub fn enter(&mut self, setup: &Setup, look: &DependentsLook, present: Present<'_>) {
        if self.last_at.is_some_and(|last| look.at <= last && last.seconds_since(look.at) < 5.0) {
            return;
        }
        self.last_at = Some(look.at);
        let elapsed = self.began.map_or(0.0, |began| look.at.seconds_since(began));
        for ((named, dependent), looks) in setup.dependents.iter().zip(&mut self.dependents).zip(&look.dependents) {
            dependent.enter(setup, named, looks, &Looked { look, present, elapsed });
        }
        if self.began.is_some() {
            self.find_harmed(setup);
        }
    }

    /// The e-BH procedure over all dependents; who is harmed stays so.
    fn find_harmed(&mut self, setup: &Setup) {
        let judged = setup.dependents.iter().zip(&self.dependents);
        let evidence: Vec<f64> = judged
            .map(|(named, dependent)| if dependent.is_judged() { dependent.ln_e(named) } else { f64::NEG_INFINITY })
            .collect();
        for place in rejected(&evidence, setup.plan.alpha) {
            if let Some(dependent) = self.dependents.get_mut(place) {
                dependent.harmed = true;
            }
        }
    }

    /// Places of the dependents that are harmed.
    pub fn harmed(&self) -> impl Iterator<Item = usize> {
        self.dependents.iter().enumerate().filter(|(_, dependent)| dependent.harmed).map(|(place, _)| place)
    }

    /// Why a dependent cannot be seen: what cannot be seen is not known to be unhurt.
    #[must_use]
    pub fn trouble(&self) -> Option<&Trouble> {
        self.dependents.iter().find_map(|dependent| dependent.trouble.as_ref())
    }

    /// Whether every dependent has a first look to count from.
    #[must_use]
    pub fn can_see(&self) -> bool {
        self.dependents.iter().all(|dependent| dependent.signals.iter().all(|seen| seen.book.is_open()))
    }

    /// Whether a dependent that is judged shows too much to go on.
    #[must_use]
    pub fn is_suspicious(&self, setup: &Setup) -> bool {
        let mut judged = setup.dependents.iter().zip(&self.dependents).filter(|(_, dependent)| dependent.is_judged());
        self.began.is_some() && judged.any(|(named, dependent)| dependent.ln_e(named) >= SUSPICION)
    }

    /// What was seen of the harmed dependents, in words; `None` where none is.
    pub(crate) fn harm_words(&self, setup: &Setup) -> Option<String> {
        let harmed: Vec<&str> = self.harmed().filter_map(|place| Some(setup.dependents.get(place)?.name.as_str())).collect();
        let (named, dependent) = self.harmed().find_map(|place| setup.dependents.get(place).zip(self.dependents.get(place)))?;
        let seen = dependent.signals.first()?;
        let evidence = format!("ln E {:.1} at alpha {}", dependent.ln_e(named), setup.plan.alpha);
        Some(format!("harms {}: {} ({evidence})", harmed.join(", "), seen.words(named)))
    }

    /// That dependents suffer together with workloads that have nothing to do with the Change.
    pub(crate) fn platform_trouble(&self, setup: &Setup) -> Option<NamedHold> {
        let mut suffering = setup.dependents.iter().zip(&self.dependents);
        let (named, dependent) = suffering.find(|(named, dependent)| dependent.platform && dependent.ln_e(named) >= SUSPICION)?;
        let words = dependent.signals.first()?.words(named);
        let message = format!(
            "the platform is in trouble, not the Change: {words}, and that is more than before of both. It goes on by itself when \
             they are as they were; look at what they share (nodes, network, database)"
        );
        Some(NamedHold { reason: "PlatformTrouble".to_owned(), message, warning: false })
    }

    /// How each dependent stands, in the order of the setup.
    #[must_use]
    pub fn standings(&self, setup: &Setup) -> Vec<Standing> {
        let of = |(named, dependent): (&DependentSetup, &Dependent)| Standing {
            name: named.name.clone(),
            ln_e: dependent.ln_e(named),
            state: dependent.state(),
            counts: dependent.signals.first().map(|seen| seen.total).unwrap_or_default(),
        };
        setup.dependents.iter().zip(&self.dependents).map(of).collect()
    }
}

/// Places of the hypotheses that the e-BH procedure rejects at `alpha`: the k with the most evidence, for the largest k of
/// which each has E >= K/(alpha k).
fn rejected(ln_e: &[f64], alpha: f64) -> Vec<usize> {
    let mut ranked: Vec<usize> = (0..ln_e.len()).collect();
    let of = |place: &usize| ln_e.get(*place).copied().unwrap_or(f64::NEG_INFINITY);
    ranked.sort_by(|left, right| of(right).total_cmp(&of(left)));
    let needed = |k: usize| ln(ln_e.len() as f64 / k as f64) - ln(alpha);
    let most = ranked.iter().zip(1..).filter(|(place, k)| of(place) >= needed(*k)).map(|(_, k)| k).last().unwrap_or(0);
    ranked.truncate(most);
    ranked
}

/// One look as it is judged.
struct Looked<'a> {
    look: &'a DependentsLook,
    present: Present<'a>,
    /// Seconds since exposure began.
    elapsed: f64,
}

impl Dependent {
    fn ln_e(&self, named: &DependentSetup) -> f64 {
        combined(named.signals.iter().zip(&self.signals).map(|(signal, seen)| (signal.share, seen.ln_e())))
    }

    fn is_judged(&self) -> bool {
        !self.sick_before && !self.platform && self.trouble.is_none()
    }

    fn state(&self) -> State {
        match self {
            Self { harmed: true, .. } => State::Harmed,
            Self { platform: true, .. } => State::PlatformTrouble,
            Self { sick_before: true, .. } => State::SickBefore,
            Self { signals, .. } if signals.iter().any(Seen::is_blind) => State::PastUnknown,
            Self { .. } => State::Unharmed,
        }
    }

    fn enter(&mut self, setup: &Setup, named: &DependentSetup, looks: &[SignalLook], looked: &Looked<'_>) {
        let mut trouble = None;
        let mut closed = false;
        for ((signal, seen), look) in named.signals.iter().zip(&mut self.signals).zip(looks) {
            match look {
                SignalLook::Trouble { reason, message } => {
                    let message = format!("dependent {}, signal {}: {message}", named.name, signal.name);
                    trouble.get_or_insert((reason.clone(), message));
                }
                SignalLook::Read(readings) => {
                    let names = Names::of(named.measured, readings, looked.present);
                    let stale = seen.read(readings, &names, looked);
                    if let Some(pod) = stale {
                        let message = format!(
                            "dependent {}, signal {}: pod {pod} was last read more than 2.5 scrape intervals ago",
                            named.name, signal.name
                        );
                        trouble.get_or_insert(("MetricsStale".to_owned(), message));
                    } else {
                        closed |= seen.close(looked);
                    }
                }
            }
        }
        let since = self.trouble.as_ref().map_or(looked.look.at, |old| old.since);
        self.trouble = trouble.map(|(reason, message)| Trouble { reason, message, since });
        if closed && named.measured == Measured::ByItself {
            self.find_blame(setup, named);
        }
    }

    /// Whose trouble it is. What is nobody's any more begins anew, so that nothing of it is held against the Change later.
    fn find_blame(&mut self, setup: &Setup, named: &DependentSetup) {
        let bystanders =
            combined(named.signals.iter().zip(&self.signals).map(|(signal, seen)| (signal.share, seen.bystanders_ln_e())));
        self.platform |= bystanders >= SUSPICION;
        if (self.platform || self.sick_before) && self.signals.iter().all(Seen::is_over) {
            (self.platform, self.sick_before) = (false, false);
            self.signals.iter_mut().for_each(|seen| seen.begin_anew(setup));
        }
    }
}

/// Names of the pods that are expected to be there.
struct Names {
    candidate: Vec<String>,
    stable: Vec<String>,
    unready: Vec<String>,
}

impl Names {
    /// Callers are the arms' pods; whose own pods are there is known by their readings alone.
    fn of(measured: Measured, readings: &[Reading], present: Present<'_>) -> Self {
        match measured {
            Measured::ByCallers => {
                Self { candidate: present.candidate.to_vec(), stable: present.stable.to_vec(), unready: present.unready.to_vec() }
            }
            Measured::ByItself => {
                let of = |arm: Arm| readings.iter().filter(|r| r.arm == arm).map(|r| r.pod.clone()).collect();
                Self { candidate: of(Arm::Candidate), stable: of(Arm::Stable), unready: Vec::new() }
            }
        }
    }
}

impl Seen {
    fn new(setup: &Setup, measured: Measured) -> Self {
        Self {
            book: CounterBook::default(),
            open: Counts::default(),
            open_since: None,
            total: Counts::default(),
            window: Vec::new(),
            evidence: Evidence::new(setup, measured),
            callers_phi: None,
        }
    }

    fn begin_anew(&mut self, setup: &Setup) {
        self.open = Counts::default();
        self.open_since = None;
        self.total = Counts::default();
        self.window.clear();
        self.evidence.begin_anew(setup);
    }

    fn knows_past(&self) -> bool {
        match &self.evidence {
            Evidence::Arms(_) => self.callers_phi.is_some(),
            Evidence::Past(against) => against.rates.is_some(),
        }
    }

    /// Whether it cannot be judged without the past that is missing.
    fn is_blind(&self) -> bool {
        matches!(&self.evidence, Evidence::Past(_)) && !self.knows_past()
    }

    fn ln_e(&self) -> f64 {
        match &self.evidence {
            Evidence::Arms(harm) => harm.ln_e(),
            Evidence::Past(against) => against.own.ln_e(),
        }
    }

    fn bystanders_ln_e(&self) -> f64 {
        match &self.evidence {
            Evidence::Arms(_) => 0.0,
            Evidence::Past(against) => against.bystanders.ln_e(),
        }
    }

    /// Enters readings; the pod that was read too long ago, if one was.
    fn read(&mut self, readings: &[Reading], names: &Names, looked: &Looked<'_>) -> Option<String> {
        let first = !self.book.is_open();
        let present = Present { candidate: &names.candidate, stable: &names.stable, unready: &names.unready };
        let step = self.book.enter(readings, present, looked.look.at, looked.look.scrape_seconds);
        if !first {
            self.open = self.open.plus(step.counts);
            self.open_since.get_or_insert(looked.look.at);
        }
        step.incomplete.map(|(_, pod)| pod)
    }

    /// Closes and judges the open interval if it is due.
    fn close(&mut self, looked: &Looked<'_>) -> bool {
        let at = looked.look.at;
        let age = self.open_since.map_or(0.0, |since| at.seconds_since(since));
        let due = self.open.n_c >= CLOSE.0 || (age >= CLOSE.1 && self.open.requests() > 0);
        if !due {
            return false;
        }
        let counts = std::mem::take(&mut self.open);
        self.open_since = None;
        self.total = self.total.plus(counts);
        self.window.retain(|(when, _)| at.seconds_since(*when) < OVER_WINDOW.0);
        self.window.push((at, counts));
        self.evidence.judge(counts, looked.elapsed, self.callers_phi.unwrap_or(Phi::UNKNOWN));
        true
    }

    /// What was counted, in words.
    fn words(&self, named: &DependentSetup) -> String {
        let (signal, total) = (named.signals.first().map_or(SignalCounts::Failures, |signal| signal.counts), self.total);
        let (of_own, of_other) = match named.measured {
            Measured::ByCallers => (format!("of the candidate's requests to {}", named.name), "of stable's".to_owned()),
            Measured::ByItself => {
                (format!("of the requests of {}", named.name), "of those of other workloads beside it".to_owned())
            }
        };
        let verb = signal.verb();
        format!("{} of {} {of_own} {verb}, {} of {} {of_other}", total.x_c, total.n_c, total.x_s, total.n_s)
    }

    /// Whether the newest requests fail no more often than before, the bystanders' neither.
    fn is_over(&self) -> bool {
        let Evidence::Past(against) = &self.evidence else { return false };
        let Some(rates) = &against.rates else { return false };
        let seen = self.window.iter().fold(Counts::default(), |sum, (_, counts)| sum.plus(*counts));
        let fine = |rate: Option<f64>, upper: f64| rate.is_none_or(|rate| rate <= upper);
        seen.n_c >= OVER_WINDOW.1 && fine(seen.candidate_rate(), rates.own) && fine(seen.stable_rate(), rates.bystanders)
    }
}

impl Evidence {
    fn new(setup: &Setup, measured: Measured) -> Self {
        let (margin, start) = (Margin::new(setup.plan.margin), start(setup));
        match measured {
            Measured::ByCallers => Self::Arms(Box::new(HarmProcess::new(margin, start))),
            Measured::ByItself => {
                let process = PastProcess::new(margin, start);
                Self::Past(Box::new(AgainstPast { own: process.clone(), bystanders: process, rates: None }))
            }
        }
    }

    fn begin_anew(&mut self, setup: &Setup) {
        let (margin, start) = (Margin::new(setup.plan.margin), start(setup));
        match self {
            Self::Arms(harm) => **harm = HarmProcess::new(margin, start),
            Self::Past(against) => {
                against.own = PastProcess::new(margin, start);
                against.bystanders.clone_from(&against.own);
            }
        }
    }

    fn judge(&mut self, counts: Counts, elapsed: f64, callers_phi: Phi) {
        match self {
            Self::Arms(harm) => {
                harm.update(counts, Factor::BurstExact(callers_phi), elapsed);
            }
            Self::Past(against) => {
                let Some(rates) = against.rates else { return };
                let (own, other) = (Factor::BurstExact(rates.phi.0), Factor::BurstExact(rates.phi.1));
                against.own.update(counts.n_c, counts.x_c, rates.own, own, elapsed);
                against.bystanders.update(counts.n_s, counts.x_s, rates.bystanders, other, elapsed);
            }
        }
    }
}

fn start(setup: &Setup) -> StartMass {
    StartMass::Hazard { tau_seconds: setup.plan.planned_seconds() }
}

#[cfg(test)]
pub(crate) mod tests;
