//! Two arms under chance alone, looked at as the operator looks, judged by exactly what judges there. Nothing moves a weight
//! but a clock: what is measured is the judging.

use firebreak_engine::{
    counters::Present,
    judge::{Judgement, Standing},
    observation::{Arm, Look, Past, Pasts, Reading, SignalLook},
    plan::{Exposure, Inconclusive, NoData, Plan, Setup, SignalCounts, SignalSetup},
    units::{Millis, Weight},
};

use crate::{
    load::{Drawn, Fails, Load, Stream, at},
    opening::{Guards, Opening},
};

const BEGIN: Millis = Millis(1_800_000_000_000);
/// The operator reads stable's past again after so many seconds.
const LEARN_EVERY: f64 = 300.0;
/// The fast path's reason.
const FAST_PATH: &str = "MostRequestsFail";

/// What is true of two arms.
#[derive(Debug, Clone)]
pub struct Arms {
    /// The requests.
    pub load: Load,
    /// The candidate's share from each second on, thousandths.
    pub shares: Vec<(f64, u16)>,
    /// Seconds between two looks.
    pub look_seconds: f64,
    /// Seconds until it is over.
    pub seconds: f64,
    /// Probability of a false take-back that the judging is asked to keep.
    pub alpha: f64,
    /// Probability of a wrong step.
    pub beta: f64,
    /// Tolerated ratio.
    pub margin: f64,
    /// Share of all requests that the next stage may harm.
    pub budget: f64,
    /// The next stage, thousandths.
    pub next: u16,
    /// Whether nothing takes it back, for what only asks when the next stage opens.
    pub only_opens: bool,
    /// Other guards around stable's rate than the engine's.
    pub guards: Option<Guards>,
}

/// What came of one run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Run {
    /// When it was taken back, seconds.
    pub taken_back: Option<f64>,
    /// Whether the fast path took it back: most requests failed, which no statistics were asked about.
    pub fast: bool,
    /// When the next stage was first open, seconds.
    pub opened: Option<f64>,
    /// Failed requests of the candidate by then, or by the end.
    pub failures: u64,
    /// Failed requests of the candidate beyond those that stable would have failed of the same.
    pub excess: f64,
    /// Looks that were judged.
    pub looks: u64,
}

/// Two arms, judged.
struct Judged {
    setup: Setup,
    judgement: Judgement,
    look: Look,
    candidate: [String; 1],
    stable: Vec<String>,
    next: Weight,
}

impl Judged {
    fn new(arms: &Arms, past: Past) -> Self {
        let setup = arms.setup();
        let mut judgement = Judgement::new(&setup);
        judgement.learn(&setup, &pasts(past));
        let candidate = ["c".to_owned()];
        let stable: Vec<String> =
            ["s", "t"].iter().take(if arms.load.halves { 2 } else { 1 }).map(|&pod| pod.to_owned()).collect();
        let reading = |arm, pod: &String| Reading { pod: pod.clone(), arm, requests: 0, failures: 0, read_at: BEGIN };
        let of_candidate = candidate.iter().map(|pod| reading(Arm::Candidate, pod));
        let readings = of_candidate.chain(stable.iter().map(|pod| reading(Arm::Stable, pod))).collect();
        let look =
            Look { at: BEGIN, scrape_seconds: arms.look_seconds, signals: vec![SignalLook::Read(readings)], sampled: None };
        let mut judged = Self { setup, judgement, look, candidate, stable, next: Weight::permille(arms.next) };
        judged.enter(false);
        judged.judgement.begin_exposure(BEGIN);
        judged.judgement.begin_stage(BEGIN, arms.look_seconds);
        judged
    }

    fn look(&mut self, second: f64, drawn: &Drawn, share: u16) {
        self.look.at = BEGIN.plus_seconds(second);
        let (counts, (requests, failures)) = (drawn.counts, drawn.second_half);
        let first_half = (counts.n_s - requests, counts.x_s - failures);
        if let Some(SignalLook::Read(readings)) = self.look.signals.first_mut() {
            let came = [(counts.n_c, counts.x_c), first_half, (requests, failures)];
            for (reading, (requests, failures)) in readings.iter_mut().zip(came) {
                (reading.requests, reading.failures) = (reading.requests + requests, reading.failures + failures);
                reading.read_at = self.look.at;
            }
        }
        self.enter(share == Weight::FULL.as_permille());
    }

    fn enter(&mut self, full: bool) {
        // The split is what this world draws: its check is not what is measured. But where stable has no request, that is known.
        let in_effect = full.then_some(Weight::FULL);
        let present = Present { candidate: &self.candidate, stable: &self.stable, unready: &[] };
        self.judgement.enter(&self.setup, &self.look, &Standing { present, in_effect, next: self.next });
    }
}

fn pasts(past: Past) -> Pasts {
    Pasts::from([("errors".to_owned(), past)])
}

impl Arms {
    /// One signal of errors at 5 % of 100 requests a second for two hours, 1 % failing in both arms.
    #[must_use]
    pub fn even() -> Self {
        Self {
            load: Load::even(100.0, 0.01),
            shares: vec![(0.0, 50)],
            look_seconds: 1.0,
            seconds: 7200.0,
            alpha: 0.01,
            beta: 0.05,
            margin: 1.25,
            budget: 0.001,
            next: 200,
            only_opens: false,
            guards: None,
        }
    }

    /// The same with a candidate that fails so from the beginning.
    #[must_use]
    pub fn with_candidate(mut self, fails: Fails) -> Self {
        self.load.candidate = vec![(0.0, fails)];
        self
    }

    /// The candidate's share at a second, thousandths.
    pub(crate) fn share(&self, second: f64) -> u16 {
        at(&self.shares, second)
    }

    pub(crate) fn setup(&self) -> Setup {
        let plan = Plan {
            alpha: self.alpha,
            beta: self.beta,
            margin: self.margin,
            budget: self.budget,
            stages: vec![Weight::permille(50), Weight::FULL],
            min_bake_seconds: 0.0,
            max_bake_seconds: self.seconds / 2.0,
            final_bake_seconds: 0.0,
            holdback: Weight::ZERO,
            approval_at: Vec::new(),
            approval: firebreak_engine::people::Approval::default(),
            inconclusive: Inconclusive::Hold,
            no_data: NoData::Hold,
            no_data_after_seconds: 60.0,
        };
        Setup {
            plan,
            signals: vec![SignalSetup { name: "errors".into(), counts: SignalCounts::Failures, share: 1.0, opens: true }],
            checks: Vec::new(),
            dependents: Vec::new(),
            both_sources: false,
            exposure: Exposure::Routes,
            ready_deadline_seconds: 600.0,
            availability: None,
            makers: firebreak_engine::people::Makers { changed_by: Some("ci".to_owned()), author: None },
            restore_template: false,
            refused: None,
            taken_over: false,
            late: None,
        }
    }

    /// Runs until it is taken back or over. The same seed gives the same run.
    #[must_use]
    pub fn run(&self, seed: u64) -> Run {
        let mut stream = Stream::new(&self.load, seed);
        let past = stream.past();
        let mut judged = Judged::new(self, past);
        let mut opening = self.guards.map(|guards| Opening::new(guards, past));
        let mut run = Run { taken_back: None, fast: false, opened: None, failures: 0, excess: 0.0, looks: 0 };
        let (mut second, mut learns_at) = (0.0, LEARN_EVERY);
        while second < self.seconds {
            let share = self.share(second);
            let drawn = stream.draw(self.look_seconds, f64::from(share) / 1000.0);
            second += self.look_seconds;
            if second >= learns_at {
                learns_at += LEARN_EVERY;
                judged.judgement.learn_again(&judged.setup, &pasts(stream.past()));
            }
            judged.look(second, &drawn, share);
            let verdict = judged.judgement.verdict(&judged.setup, BEGIN.plus_seconds(second));
            run.failures += drawn.counts.x_c;
            run.excess += drawn.excess;
            run.looks += 1;
            let open = match &mut opening {
                None => verdict.open,
                Some(opening) => {
                    let phi = judged.judgement.signals.first().map_or(past.phi, |signal| signal.phi());
                    let frozen = verdict.stable_unhealthy.is_some();
                    opening.look(second, drawn.counts, &judged.setup.plan, judged.next.share(), phi, frozen);
                    opening.is_open(self.beta)
                }
            };
            run.opened = run.opened.or(open.then_some(second));
            if self.only_opens {
                if run.opened.is_some() {
                    break;
                }
            } else if let Some(harm) = verdict.harm {
                run.taken_back = Some(second);
                run.fast = harm.reason == FAST_PATH;
                break;
            }
        }
        run
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_the_engines_guards_when_computed_here_then_the_next_stage_opens_in_the_same_look() {
        let mut opened = 0;
        for (rate, bursts) in [(1000.0, 1.0), (1000.0, 4.0), (20.0, 1.0)] {
            for seed in 0..5 {
                let load = Load { bursts, ..Load::even(rate, 0.001) };
                let engine = Arms { load, seconds: 3000.0, budget: 0.002, only_opens: true, ..Arms::even() };
                let own = Arms { guards: Some(Guards::ENGINE), ..engine.clone() };
                assert_eq!(engine.run(seed), own.run(seed), "{rate} rps, v/m {bursts}, seed {seed}");
                opened += u32::from(engine.run(seed).opened.is_some());
            }
        }
        assert!(opened >= 10, "{opened} opened");
    }
}
