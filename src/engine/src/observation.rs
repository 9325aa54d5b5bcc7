//! What was seen: everything [`crate::decide`] may know. A missing source is a value here, never a zero.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{
    checks::CheckLook,
    dependents::{DependentPast, DependentsLook},
    gates::{Frozen, Queued},
    risk::Level,
    stats::{Counts, Phi},
    units::Millis,
};

/// Everything seen at one instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// Now.
    pub now: Millis,
    /// What the workload asks for.
    pub workload: Workload,
    /// Pods of stable.
    pub stable: Pods,
    /// Pods of the candidate.
    pub candidate: Pods,
    /// Routes and Services; `None` where exposure follows the pods.
    pub traffic: Option<Traffic>,
    /// The newest answer of the metrics source, if there is one that was not judged before.
    pub look: Option<Look>,
    /// The newest answer of the second source, where both are asked.
    #[serde(default)]
    pub second: Option<Look>,
    /// New answers to absolute checks.
    #[serde(default)]
    pub checks: Vec<CheckLook>,
    /// The newest answer about the dependents.
    #[serde(default)]
    pub dependents: Option<DependentsLook>,
    /// Stable's past, once it was found.
    pub pasts: Option<Pasts>,
    /// The dependents' past, once it was found; one entry a dependent and signal.
    #[serde(default)]
    pub dependent_pasts: Option<Vec<Vec<Option<DependentPast>>>>,
    /// Which candidate pods every signal's source has seen; pods by name.
    pub seen: Vec<String>,
    /// What humans asked for and was not handled before, oldest first.
    pub acts: Vec<Act>,
    /// Since when the metrics source has been asked without a break; before, nobody looked, and that nothing was seen says
    /// nothing of the source.
    #[serde(default)]
    pub watching_since: Millis,
    /// Freeze windows that are open now and hold for its level.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub freezes: Vec<Frozen>,
    /// Its place in the queue, where it would take a place of a limit that is full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued: Option<Queued>,
}

/// What the workload asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// Which template it carries.
    pub template: Template,
    /// How many pods it wants.
    pub replicas: u32,
    /// Whether it is held (paused).
    pub held: bool,
    /// Whether the native controller has rolled it out: every pod is of its template and available.
    pub rolled_out: bool,
    /// Whether the API server let it through, unheld, for someone who may bypass.
    #[serde(default)]
    pub bypassed: bool,
    /// Whether its Guard, or the Change itself, is being deleted.
    pub guard_leaves: bool,
    /// The level that its claims mean now, where that is above the Change's: they were edited since it began.
    #[serde(default)]
    pub raised: Option<Level>,
    /// Whether its Guard asks for other metrics, checks, dependents or routes than the Change began with.
    #[serde(default)]
    pub guard_changed: bool,
}

/// Which template the workload carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Template {
    /// The candidate's.
    Candidate,
    /// Stable's again.
    Stable,
    /// Another one.
    Newer,
    /// The workload is gone.
    Missing,
}

/// Pods of one arm.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pods {
    /// Whether its ReplicaSet exists.
    pub exists: bool,
    /// Whether its ReplicaSet belongs to the Change (candidate) rather than to the workload.
    pub owned_by_change: bool,
    /// What its ReplicaSet asks for.
    pub wanted: u32,
    /// Names of the pods that run and are not going away.
    pub names: Vec<String>,
    /// How many are ready.
    pub ready: u32,
    /// Names of those that are not.
    #[serde(default)]
    pub unready: Vec<String>,
    /// How many are ready endpoints of the arm's Service, draining ones not counted.
    pub endpoints: u32,
    /// How many still answer or finish requests: ready or going away.
    pub lingering: u32,
    /// How many crash and are restarted again and again.
    pub crash_looping: u32,
    /// Why a pod cannot start, in Kubernetes' words.
    pub broken: Option<String>,
}

/// Routes and Services.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    /// Whether the Service is pinned to stable.
    pub pinned: bool,
    /// Whether the candidate's Service exists.
    pub candidate_service: bool,
    /// Largest share of the Service's own traffic, over all rules of all routes, that goes to the candidate, in thousandths.
    pub largest_share: f64,
    /// Smallest such share: all routes say at least this.
    pub smallest_share: f64,
    /// Whether any route still carries the candidate.
    pub carries_candidate: bool,
    /// Whether a named route, or the Service, could not be looked at: then what is said of shares may be too little.
    #[serde(default)]
    pub unreadable: bool,
    /// Who else wrote the named routes or the Service last, where these do not say what was asked of them.
    pub contention: Option<String>,
    /// Why the routes or Services cannot be used (missing, refused), with what to do.
    pub problem: Option<String>,
}

/// One answer of the metrics source: all signals at one instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// The instant that was asked for.
    pub at: Millis,
    /// Seconds between two readings of one pod, as learned.
    pub scrape_seconds: f64,
    /// One entry a signal, in the order of the setup.
    pub signals: Vec<SignalLook>,
    /// How many pods were read, where not all were.
    #[serde(default)]
    pub sampled: Option<Sampled>,
}

/// How many pods of each arm were read, where not all were: what they counted is not the arms' count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sampled {
    /// Of the candidate.
    pub candidate: Part,
    /// Of stable.
    pub stable: Part,
    /// Pods that were there, uncounted, before they were first read: counting begins with what they say then.
    pub late: Vec<String>,
}

/// How many ready pods of an arm were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// So many were read.
    pub read: u32,
    /// Of these.
    pub of: u32,
}

impl Part {
    /// The share that was read, in `0..=1`; 1 where there is no pod.
    #[must_use]
    pub fn share(self) -> f64 {
        if self.of == 0 { 1.0 } else { f64::from(self.read.min(self.of)) / f64::from(self.of) }
    }

    /// What the whole arm counted, if its other pods counted as those that were read.
    fn whole(self, counted: u64) -> u64 {
        if self.read == 0 || self.read >= self.of { counted } else { (counted as f64 / self.share()).round() as u64 }
    }
}

impl Sampled {
    /// What both arms counted, if their other pods counted as those that were read.
    #[must_use]
    pub fn whole(&self, read: Counts) -> Counts {
        let (candidate, stable) = (self.candidate, self.stable);
        Counts::new(candidate.whole(read.n_c), stable.whole(read.n_s), candidate.whole(read.x_c), stable.whole(read.x_s))
    }

    /// Whether these are the same parts of both arms.
    #[must_use]
    pub fn same_parts(&self, other: &Self) -> bool {
        (self.candidate, self.stable) == (other.candidate, other.stable)
    }
}

impl fmt::Display for Sampled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (candidate, stable) = (self.candidate, self.stable);
        write!(f, "{} of {} stable pods", stable.read, stable.of)?;
        if candidate.of > 0 { write!(f, " and {} of {} of the candidate's", candidate.read, candidate.of) } else { Ok(()) }
    }
}

/// What one look says of one signal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum SignalLook {
    /// Readings of the pods that were found.
    Read(Vec<Reading>),
    /// No usable answer: one word, and what happened with what to do.
    Trouble {
        /// One word.
        reason: String,
        /// What happened and what to do.
        message: String,
    },
}

/// Cumulative counters of one pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// The pod.
    pub pod: String,
    /// Its arm.
    pub arm: Arm,
    /// Requests since the process began.
    pub requests: u64,
    /// Failed (or slow) requests since the process began.
    pub failures: u64,
    /// When the pod was read.
    pub read_at: Millis,
}

/// The two arms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Arm {
    /// The revision under judgement.
    Candidate,
    /// The revision serving users.
    Stable,
}

/// Stable's past, signal by signal: what was counted in the last 30 to 60 minutes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Past {
    /// Requests.
    pub requests: u64,
    /// Failed (or slow) requests.
    pub failures: u64,
    /// Dispersion between pods.
    pub phi: Phi,
}

/// A human's act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// Name of the Intervention.
    pub name: String,
    /// The act.
    pub action: Action,
    /// Who, as the API server knows them; `None` where it cannot attest it.
    pub by: Option<String>,
    /// The groups they are in, as the API server knows them.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Why.
    pub reason: Option<String>,
    /// The stage at which they asked for it, from 1 and 0 while held; `None` where they did not say.
    #[serde(default)]
    pub stage: Option<usize>,
    /// When they asked, as the API server knows it; `None` where that is now.
    #[serde(default)]
    pub at: Option<Millis>,
}

/// What a human can do to a Change that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Answer yes to what the policy asks a human before the next stage.
    Approve,
    /// Go to the next stage now, without waiting for the evidence.
    Promote,
    /// Stay at this stage.
    Pause,
    /// Go on after a pause.
    Resume,
    /// Take the candidate back.
    Abort,
}

impl Action {
    /// Whether it only makes safer: then nobody need vouch for who asked.
    #[must_use]
    pub const fn only_makes_safer(self) -> bool {
        matches!(self, Self::Pause | Self::Abort)
    }

    /// The act as a verb.
    #[must_use]
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Promote => "promote",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Abort => "abort",
        }
    }
}

/// Stable's past by signal name, as the operator found it when the Change was prepared.
pub type Pasts = BTreeMap<String, Past>;
