//! What is true of a world: seconds since its beginning, probabilities, and curves over time.

use firebreak_engine::{Setup, observation::Action};

use super::Curve;

/// What is true of a world.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The Change's setup; every signal of it sees the same requests.
    pub setup: Setup,
    /// Pods that the workload wants.
    pub replicas: u32,
    /// Who asks.
    pub traffic: Traffic,
    /// How the candidate answers.
    pub candidate: Behaviour,
    /// How stable answers.
    pub stable: Behaviour,
    /// A request slower than this counts in signals of slow requests, seconds.
    pub slow_after: f64,
    /// Requests a second that a pod can answer; more fail.
    pub capacity: f64,
    /// Requests take longer in a pod that has more to do: by this part of themselves at its capacity.
    pub crowding: f64,
    /// How the routes are followed.
    pub gateway: Gateway,
    /// How pods are read.
    pub source: Source,
    /// How effects are carried out.
    pub hands: Hands,
    /// How the operator runs.
    pub operator: Operator,
    /// What humans do, and when.
    pub acts: Vec<(f64, Action)>,
}

/// Who asks: requests come one by one at a rate.
#[derive(Debug, Clone)]
pub struct Traffic {
    /// Requests a second.
    pub rate: Curve,
    /// Times in which more come.
    pub surges: Option<Surges>,
    /// How many requests are sent a second later for one that failed.
    pub retries: f64,
    /// No more than this part of the rate is sent again.
    pub retry_budget: f64,
    /// Whether what is sent again goes to the arm that failed it; else it is divided like any other.
    pub sticky: bool,
}

/// Times in which more requests come, by chance.
#[derive(Debug, Clone, Copy)]
pub struct Surges {
    /// Mean seconds from one's end to the next.
    pub every: f64,
    /// How long one lasts, seconds.
    pub lasting: f64,
    /// By how much the rate rises.
    pub times: f64,
}

/// How the pods of an arm answer, and how they live.
#[derive(Debug, Clone)]
pub struct Behaviour {
    /// Probability that a request fails.
    pub failing: Curve,
    /// variance/mean of the failures of a pod: 1 one by one, more in bursts.
    pub bursts: Curve,
    /// Half of the requests take longer than this, seconds: latency is log-normal.
    pub latency: Curve,
    /// Standard deviation of the logarithm of a request's latency.
    pub spread: f64,
    /// Probability that a request that did not fail brings what users came for.
    pub orders: Curve,
    /// Probability that a request is dropped before the pod counts it: it failed, and only the gateway knows.
    pub dropped: Curve,
    /// Pods that are worse than the others.
    pub noisy: Option<Noisy>,
    /// How its pods live.
    pub life: Life,
}

/// Some pods are worse than the others, as on a noisy node.
#[derive(Debug, Clone, Copy)]
pub struct Noisy {
    /// The first of so many pods, and of the next so many.
    pub one_in: u64,
    /// How it is worse.
    pub worse: Worse,
}

/// By how much something is worse.
#[derive(Debug, Clone, Copy)]
pub struct Worse {
    /// How many times more requests fail.
    pub failing: f64,
    /// How many times longer requests take.
    pub latency: f64,
}

/// How pods live.
#[derive(Debug, Clone, Copy)]
pub struct Life {
    /// Seconds until a pod is ready.
    pub ready_after: f64,
    /// Probability that a new pod never is.
    pub stuck: f64,
    /// After it has started, a pod is worse for so many seconds.
    pub warm_up: Option<(f64, Worse)>,
    /// Mean seconds until a pod's process restarts; its counters then begin anew.
    pub restarts_every: Option<f64>,
    /// Seconds that a restart takes.
    pub restart_takes: f64,
    /// Mean seconds until a pod is gone and another is made.
    pub vanishes_every: Option<f64>,
}

/// How the routes are followed.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// Seconds until the gateway follows what was written.
    pub lag: f64,
    /// The share that it gives is so many times what was written.
    pub gives: Curve,
    /// Mean seconds until someone else writes the routes as they were.
    pub reverted_every: Option<f64>,
}

/// How pods are read.
#[derive(Debug, Clone)]
pub struct Source {
    /// Seconds between two readings of a pod.
    pub scrape_seconds: f64,
    /// Seconds until a new pod is found.
    pub finds_after: f64,
    /// Seconds until a reading can be asked for.
    pub lag: f64,
    /// Probability that a reading is lost.
    pub lost: f64,
    /// When it is away, from and to: it neither reads nor answers.
    pub outages: Vec<(f64, f64)>,
    /// Whether it knows stable's past.
    pub past: bool,
}

/// How effects are carried out.
#[derive(Debug, Clone, Copy)]
pub struct Hands {
    /// Seconds until an effect is there.
    pub delay: f64,
    /// Probability that an effect fails; those after it in its turn are then not tried.
    pub failure: f64,
}

/// How the operator runs.
#[derive(Debug, Clone)]
pub struct Operator {
    /// Probability, each turn, that another process goes on at once from all that the one before knew.
    pub restart: f64,
    /// When none runs, from and to. What was on its way is lost; who comes after goes on from what was stored last.
    pub down: Vec<(f64, f64)>,
    /// When the clocks of the operator and of what it reads are set, and by how many seconds.
    pub clock_set: Vec<(f64, f64)>,
}

impl Behaviour {
    /// One in a thousand requests fails, one in 700 is slow, one in ten brings an order; pods start in three seconds and stay.
    #[must_use]
    pub fn usual() -> Self {
        Self {
            failing: Curve::constant(0.001),
            bursts: Curve::constant(1.0),
            latency: Curve::constant(0.05),
            spread: 0.6,
            orders: Curve::constant(0.1),
            dropped: Curve::constant(0.0),
            noisy: None,
            life: Life {
                ready_after: 3.0,
                stuck: 0.0,
                warm_up: None,
                restarts_every: None,
                restart_takes: 5.0,
                vanishes_every: None,
            },
        }
    }

    /// The same with another failure probability.
    #[must_use]
    pub fn failing(self, failing: Curve) -> Self {
        Self { failing, ..self }
    }
}

impl Scenario {
    /// A harmless candidate in a world where everything takes a little time and nothing fails.
    #[must_use]
    pub fn harmless(setup: Setup) -> Self {
        Self {
            setup,
            replicas: 10,
            traffic: Traffic { rate: Curve::constant(200.0), surges: None, retries: 0.0, retry_budget: 1.0, sticky: false },
            candidate: Behaviour::usual(),
            stable: Behaviour::usual(),
            slow_after: 0.3,
            capacity: f64::INFINITY,
            crowding: 0.0,
            gateway: Gateway { lag: 1.0, gives: Curve::constant(1.0), reverted_every: None },
            source: Source { scrape_seconds: 1.0, finds_after: 0.0, lag: 0.0, lost: 0.0, outages: Vec::new(), past: true },
            hands: Hands { delay: 0.0, failure: 0.0 },
            operator: Operator { restart: 0.0, down: Vec::new(), clock_set: Vec::new() },
            acts: Vec::new(),
        }
    }
}
