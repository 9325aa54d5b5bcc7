//! Two arms under chance alone: requests that come at random, failures that come one by one or in bursts, looked at as the
//! operator looks, judged by exactly what judges there. Nothing moves a weight: what is measured is the judging.

use firebreak_engine::{
    counters::Present,
    judge::{Judgement, Standing},
    observation::{Arm, Look, Past, Pasts, Reading, SignalLook},
    plan::{Exposure, Inconclusive, NoData, Plan, Setup, SignalCounts, SignalSetup},
    stats::dispersion::{Phi, PodCounts, PodStep},
    units::{Millis, Weight},
};

use crate::random::Random;

const BEGIN: Millis = Millis(1_800_000_000_000);
/// Stable's past: so many pods, so many steps of so many seconds.
const PAST: (usize, u32, f64) = (10, 180, 10.0);

/// What is true of two arms.
#[derive(Debug, Clone)]
pub struct Arms {
    /// Requests a second, both arms together.
    pub rate: f64,
    /// The candidate's share from each second on, thousandths.
    pub shares: Vec<(f64, u16)>,
    /// Stable's failure probability from each second on; its past has the first.
    pub stable: Vec<(f64, f64)>,
    /// The candidate's failure probability from each second on.
    pub candidate: Vec<(f64, f64)>,
    /// variance/mean of failures, of each arm by itself: 1 one by one, more in bursts.
    pub bursts: f64,
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
}

/// What came of one run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Run {
    /// When it was taken back, seconds.
    pub taken_back: Option<f64>,
    /// When the next stage was first open, seconds.
    pub opened: Option<f64>,
    /// Failed requests of the candidate by then, or by the end.
    pub failures: u64,
    /// Failed requests of the candidate beyond those that stable would have failed of the same.
    pub excess: f64,
    /// Looks that were judged.
    pub looks: u64,
}

impl Arms {
    /// One signal of errors at 5 % of 100 requests a second for two hours, 1 % failing in both arms.
    #[must_use]
    pub fn even() -> Self {
        Self {
            rate: 100.0,
            shares: vec![(0.0, 50)],
            stable: vec![(0.0, 0.01)],
            candidate: vec![(0.0, 0.01)],
            bursts: 1.0,
            look_seconds: 1.0,
            seconds: 7200.0,
            alpha: 0.01,
            beta: 0.05,
            margin: 1.25,
            budget: 0.001,
            next: 200,
        }
    }

    fn setup(&self) -> Setup {
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
            inconclusive: Inconclusive::Hold,
            no_data: NoData::Hold,
            no_data_after_seconds: 60.0,
        };
        Setup {
            plan,
            signals: vec![SignalSetup { name: "errors".into(), counts: SignalCounts::Failures, share: 1.0 }],
            exposure: Exposure::Routes,
            ready_deadline_seconds: 600.0,
            availability: None,
            restore_template: false,
            taken_over: false,
            late: None,
        }
    }

    /// Stable's last half hour, pod by pod, and what the operator would learn of it.
    fn past(&self, random: &mut Random) -> Past {
        let (pods, steps, seconds) = PAST;
        let mean = self.rate * seconds / pods as f64;
        let failing = at(&self.stable, 0.0);
        let mut pod = || {
            let requests = random.poisson(mean);
            PodCounts { requests, failures: random.bursty(mean * failing, self.bursts).min(requests) }
        };
        let history: Vec<PodStep> = (0..steps).map(|_| PodStep { seconds, pods: (0..pods).map(|_| pod()).collect() }).collect();
        let sum = |of: fn(&PodCounts) -> u64| history.iter().flat_map(|step| &step.pods).map(of).sum();
        Past { requests: sum(|pod| pod.requests), failures: sum(|pod| pod.failures), phi: Phi::between_pods(&history) }
    }

    /// Runs until it is taken back or over. The same seed gives the same run.
    #[must_use]
    pub fn run(&self, seed: u64) -> Run {
        let mut random = Random::new(seed, 7);
        let setup = self.setup();
        let mut judgement = Judgement::new(&setup);
        judgement.learn(&setup, &Pasts::from([("errors".to_owned(), self.past(&mut random))]));
        let names = [["c".to_owned()], ["s".to_owned()]];
        let reading = |arm, pod: &[String; 1]| Reading { pod: pod[0].clone(), arm, requests: 0, failures: 0, read_at: BEGIN };
        let readings = vec![reading(Arm::Candidate, &names[0]), reading(Arm::Stable, &names[1])];
        let mut look =
            Look { at: BEGIN, scrape_seconds: self.look_seconds, signals: vec![SignalLook::Read(readings)], sampled: None };
        let present = Present { candidate: &names[0], stable: &names[1], unready: &[] };
        let next = Weight::permille(self.next);
        judgement.enter(&setup, &look, &Standing { present, in_effect: None, next });
        judgement.begin_exposure(BEGIN);
        judgement.begin_stage(BEGIN, self.look_seconds);
        let mut run = Run { taken_back: None, opened: None, failures: 0, excess: 0.0, looks: 0 };
        let mut second = 0.0;
        while second < self.seconds && run.taken_back.is_none() {
            let share = f64::from(at(&self.shares, second)) / 1000.0;
            let (p_c, p_s) = (at(&self.candidate, second), at(&self.stable, second));
            second += self.look_seconds;
            let requests = self.rate * self.look_seconds;
            let drawn = [(share * requests, p_c), ((1.0 - share) * requests, p_s)].map(|(mean, failing)| {
                let requests = random.poisson(mean);
                (requests, random.bursty(mean * failing, self.bursts).min(requests))
            });
            look.at = BEGIN.plus_seconds(second);
            if let Some(SignalLook::Read(readings)) = look.signals.first_mut() {
                for (reading, (requests, failures)) in readings.iter_mut().zip(drawn) {
                    (reading.requests, reading.failures) = (reading.requests + requests, reading.failures + failures);
                    reading.read_at = look.at;
                }
            }
            // The split is what this world draws: its check is not what is measured.
            judgement.enter(&setup, &look, &Standing { present, in_effect: None, next });
            let verdict = judgement.verdict(&setup, look.at);
            let (of_candidate, failed) = drawn[0];
            run.failures += failed;
            run.excess += failed as f64 - of_candidate as f64 * p_s;
            run.looks += 1;
            run.taken_back = verdict.harm.map(|_| second);
            run.opened = run.opened.or(verdict.open.then_some(second));
        }
        run
    }
}

/// What holds at a second.
fn at<T: Copy + Default>(from: &[(f64, T)], second: f64) -> T {
    from.iter().rev().find(|(since, _)| *since <= second).map(|(_, value)| *value).unwrap_or_default()
}
