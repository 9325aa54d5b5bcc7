//! What one Change has to prove, in which stages: the policy's level, fixed when the Change begins.

use serde::{Deserialize, Serialize};

use crate::{
    checks::CheckSetup,
    dependents::DependentSetup,
    people::{Approval, Makers},
    risk::Level,
    units::{Millis, Weight},
};

/// What does not change while a Change runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// The plan.
    pub plan: Plan,
    /// The signals, in the order in which every look gives them.
    pub signals: Vec<SignalSetup>,
    /// Absolute checks, in the order in which their answers name them.
    #[serde(default)]
    pub checks: Vec<CheckSetup>,
    /// Workloads that must not be hurt.
    #[serde(default)]
    pub dependents: Vec<DependentSetup>,
    /// Whether a second, slower source is asked for the same signals: the first may take back, both must agree to go on.
    #[serde(default)]
    pub both_sources: bool,
    /// How traffic is divided.
    pub exposure: Exposure,
    /// Seconds that pods may take to become ready: the workload's own `progressDeadlineSeconds`.
    pub ready_deadline_seconds: f64,
    /// Share of requests that must not fail, `0.5..1.0`, where there is an objective.
    pub availability: Option<f64>,
    /// Who made the change.
    #[serde(default)]
    pub makers: Makers,
    /// Whether the stable template is written back after a rollback.
    pub restore_template: bool,
    /// Why the policy refuses the change: nothing runs from it.
    #[serde(default)]
    pub refused: Option<String>,
    /// Whether the candidate's ReplicaSet was there before and is given back when the Change fails.
    pub taken_over: bool,
    /// What ran of the candidate before the workload was held.
    #[serde(default)]
    pub late: Option<Late>,
}

/// Pods of the candidate that the native controller had started before the workload was held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Late {
    /// How many.
    pub pods: u32,
    /// Since when, rounded down to the second.
    pub since: Millis,
}

/// One signal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignalSetup {
    /// Its name.
    pub name: String,
    /// What it counts.
    pub counts: SignalCounts,
    /// Its share of the harm evidence; the shares of all signals sum to 1.
    pub share: f64,
    /// Whether it has to prove each next stage safe, too. One of successes cannot: what is counted says how few are lost, not
    /// how few fail.
    #[serde(default = "SignalSetup::proves")]
    pub opens: bool,
}

impl SignalSetup {
    const fn proves() -> bool {
        true
    }

    /// Whether it opens stages.
    #[must_use]
    pub fn is_opening(&self) -> bool {
        self.opens && self.counts != SignalCounts::Successes
    }
}

/// What a signal counts among requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SignalCounts {
    /// Failed requests.
    Failures,
    /// Slow requests.
    Slow,
    /// What users came for (orders, logins): fewer of them is the harm. It can take back and hold, but opens no stage.
    Successes,
}

impl SignalCounts {
    /// Seconds from a pod's first requests in which they are not judged, of either arm: cold pods are slow, as at every start
    /// of a workload, and stable's have long been warm; only where most of their requests are slow is that harm. Failures and
    /// successes are judged from the first request on.
    #[must_use]
    pub const fn warm_up_seconds(self) -> f64 {
        match self {
            Self::Slow => 30.0,
            Self::Failures | Self::Successes => 0.0,
        }
    }

    /// What the counted requests did, in words.
    #[must_use]
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Failures => "failed",
            Self::Slow => "were slow",
            Self::Successes => "succeeded",
        }
    }
}

/// How traffic is divided between the arms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exposure {
    /// By weights in routes.
    Routes,
    /// By the pods' share behind the workload's Services.
    PodShare,
}

/// What one level asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Probability, ever, of taking back a harmless candidate, `0..0.5`.
    pub alpha: f64,
    /// Probability, per stage, of going on although the next stage harms more than the budget, `0..0.5`.
    pub beta: f64,
    /// Tolerated ratio of failure rates, 1 or more.
    pub margin: f64,
    /// Largest share of all requests that the next stage may harm, `0..0.5`.
    pub budget: f64,
    /// Exposure of each stage, rising, ending at [`Weight::FULL`].
    pub stages: Vec<Weight>,
    /// Shortest time at a stage, seconds.
    pub min_bake_seconds: f64,
    /// Time at a stage after which the evidence counts as inconclusive, seconds.
    pub max_bake_seconds: f64,
    /// Time at the last stage with stable still warm, seconds.
    pub final_bake_seconds: f64,
    /// Share of the requests that stays with stable where routes divide them, at every stage that would leave it less, to
    /// compare with.
    #[serde(default)]
    pub holdback: Weight,
    /// Stages that wait for a human before they begin.
    pub approval_at: Vec<Weight>,
    /// Who is asked there, and how many of them.
    #[serde(default)]
    pub approval: Approval,
    /// What happens when a stage is still inconclusive at the end of its longest bake.
    pub inconclusive: Inconclusive,
    /// What happens when metrics are missing for `no_data_after_seconds`.
    pub no_data: NoData,
    /// How long metrics may be missing, seconds.
    pub no_data_after_seconds: f64,
}

/// What happens when a stage stays inconclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Inconclusive {
    /// Go on, and say so.
    Promote,
    /// Stay, and tell a human.
    Hold,
    /// Take it back.
    RollBack,
}

/// What happens when metrics are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoData {
    /// Stay.
    Hold,
    /// Stay, with a warning.
    HoldAlert,
    /// Take it back.
    RollBack,
}

impl Plan {
    /// Share that stays with stable at the last stage, if the policy does not say otherwise.
    pub const HOLDBACK: Weight = Weight::permille(50);

    /// The built-in policy's plan for a level, and the factor k by which an objective becomes a budget.
    #[must_use]
    pub fn built_in(level: Level) -> (Self, f64) {
        const MINUTE: f64 = 60.0;
        const HOUR: f64 = 3600.0;
        let row = |alpha, beta, margin, budget_percent: f64, stages: &[i32], bakes: (f64, f64, f64)| Self {
            alpha,
            beta,
            margin,
            budget: budget_percent / 100.0,
            stages: stages.iter().map(|&stage| Weight::percent(stage)).collect(),
            min_bake_seconds: bakes.0,
            max_bake_seconds: bakes.1,
            final_bake_seconds: bakes.2,
            holdback: Self::HOLDBACK,
            approval_at: Vec::new(),
            approval: Approval::default(),
            inconclusive: Inconclusive::Hold,
            no_data: NoData::Hold,
            no_data_after_seconds: 60.0,
        };
        match level {
            Level::Low => {
                let plan = row(0.005, 0.10, 1.5, 0.20, &[10, 50, 100], (MINUTE, 10.0 * MINUTE, 0.0));
                (Self { inconclusive: Inconclusive::Promote, ..plan }, 0.2)
            }
            Level::Medium => (row(0.01, 0.05, 1.25, 0.10, &[5, 20, 50, 100], (2.0 * MINUTE, 30.0 * MINUTE, 5.0 * MINUTE)), 0.1),
            Level::High => {
                let bakes = (5.0 * MINUTE, HOUR, 30.0 * MINUTE);
                let plan = row(0.02, 0.05, 1.25, 0.05, &[1, 5, 20, 50, 100], bakes);
                (Self { approval_at: vec![Weight::FULL], no_data: NoData::HoldAlert, ..plan }, 0.05)
            }
            Level::Critical => {
                let bakes = (15.0 * MINUTE, 4.0 * HOUR, 2.0 * HOUR);
                let plan = row(0.05, 0.01, 1.1, 0.02, &[1, 2, 5, 10, 25, 50, 100], bakes);
                let plan = Self {
                    approval_at: vec![Weight::percent(10), Weight::FULL],
                    inconclusive: Inconclusive::RollBack,
                    no_data: NoData::RollBack,
                    ..plan
                };
                (plan, 0.02)
            }
        }
    }

    /// The budget with an objective: the smaller of the level's own and k (1 - availability).
    #[must_use]
    pub fn with_objective(mut self, availability: Option<f64>, k: f64) -> Self {
        if let Some(availability) = availability {
            self.budget = self.budget.min(k * (1.0 - availability)).max(f64::MIN_POSITIVE);
        }
        self
    }

    /// Planned duration of the whole Change in seconds: the harm test spreads its restarts over it.
    #[must_use]
    pub fn planned_seconds(&self) -> f64 {
        let stages = self.stages.len() as f64;
        (stages * self.max_bake_seconds + self.final_bake_seconds).max(60.0)
    }

    /// The weight of a stage (from 0), full beyond the last.
    #[must_use]
    pub fn weight(&self, stage: usize) -> Weight {
        self.stages.get(stage).copied().unwrap_or(Weight::FULL)
    }
}

impl Setup {
    /// The share that a stage (from 0) gives the candidate: its weight, but no more than leaves stable the holdback.
    #[must_use]
    pub fn share(&self, stage: usize) -> Weight {
        let weight = self.plan.weight(stage);
        match self.exposure {
            Exposure::Routes => weight.min(Weight::FULL.less(self.plan.holdback)),
            Exposure::PodShare => weight,
        }
    }
}
