//! All that outlives a look. It is stored with the Change, so that any replica goes on where another stopped.

use serde::{Deserialize, Serialize};

use crate::{
    checks::CheckMemory,
    curve::Curve,
    decide::Answer,
    dependents::Reach,
    gates::Excepted,
    judge::Judgement,
    people::Approved,
    plan::Setup,
    retreat::Retreat,
    units::{Millis, Weight},
};

/// A turn is noted again after so many seconds.
const NOTED_AFTER_SECONDS: f64 = 15.0;
/// Between two turns no more time goes by than this, seconds: a replica that takes over is there sooner.
const LONGEST_GAP_SECONDS: f64 = 60.0;

/// Where a Change is, what it has seen, what it waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Where it is on its way.
    pub phase: Phase,
    /// The stage it is at or enters, from 0.
    pub stage: usize,
    /// The share that the candidate may have now.
    pub granted: Weight,
    /// The highest share it ever had.
    pub highest: Weight,
    /// When this phase, or the entry into this stage, began: deadlines count from here.
    pub entered: Millis,
    /// When this stage's share was seen in effect; `None` until then.
    pub in_effect: Option<Millis>,
    /// Since when it is in effect no more, because someone took it back: that time is not baked.
    #[serde(default)]
    pub taken_back_since: Option<Millis>,
    /// Since when this stage's pods have all been ready.
    #[serde(default)]
    pub ready_since: Option<Millis>,
    /// When a turn was last noted: more often than every few seconds it is not.
    #[serde(default)]
    pub turned_at: Option<Millis>,
    /// When the candidate first had a share.
    pub exposed_at: Option<Millis>,
    /// Since when no candidate pod has been ready although it has a share and stable has ready pods.
    #[serde(default)]
    pub unready_since: Option<Millis>,
    /// How many times its share was taken because no candidate pod was ready any more.
    #[serde(default)]
    pub lost_ready: u32,
    /// Whether a human paused it.
    pub paused: bool,
    /// The stage that a human let through.
    pub let_through: Option<usize>,
    /// Who approved stages that have not begun.
    #[serde(default)]
    pub approvals: Vec<Approved>,
    /// Who let it through a freeze window.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excepted: Vec<Excepted>,
    /// Since when it waits for a place, whatever else it waited for meanwhile; until its first share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued_since: Option<Millis>,
    /// Why it does not go on.
    pub waiting: Option<Waiting>,
    /// What is known of the time before the workload was held.
    #[serde(default)]
    pub late: LateWindow,
    /// The way back, once it was decided.
    pub retreat: Option<Retreat>,
    /// When the routes were seen without the candidate after the hand-over or retreat.
    pub routes_clean_at: Option<Millis>,
    /// Who else was last seen to write the routes.
    pub contention: Option<String>,
    /// Interventions that were handled, and what became of each: said again while they are open.
    pub heard: Vec<Answer>,
    /// What the traffic shows.
    pub judgement: Judgement,
    /// What it shows by the second source, where both are asked.
    #[serde(default)]
    pub second: Option<Judgement>,
    /// What became of each absolute check.
    #[serde(default)]
    pub checks: Vec<CheckMemory>,
    /// What the dependents show.
    #[serde(default)]
    pub reach: Reach,
    /// How the evidence went, for people.
    #[serde(default, skip_serializing_if = "Curve::is_empty")]
    pub curve: Curve,
}

/// The time in which candidate pods, started before the workload was held, had traffic that nobody granted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LateWindow {
    /// There was none, or all is said.
    #[default]
    None,
    /// It is not reported yet that there is one.
    Untold,
    /// Such pods may still have traffic.
    Open,
    /// None has had since then; what they served is still to be counted.
    Closed(Millis),
}

/// Where a Change is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Held; nothing runs from the candidate.
    Held,
    /// Pinning, pods coming up, waiting to be seen.
    Preparing,
    /// At a stage below full.
    Progressing,
    /// At the last stage, stable still warm.
    Baking,
    /// Hand-over to the native controller.
    Promoting,
    /// On the way back.
    Retreating,
    /// Over.
    Ended(Outcome),
}

/// How a Change ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The candidate is the new stable.
    Promoted,
    /// Taken back; the candidate is condemned.
    RolledBack,
    /// A newer template came, its claims rose, or its Guard was changed before it began: another Change follows.
    Superseded,
    /// The stable template came back, or the guard or workload left.
    Withdrawn,
}

/// Why a Change does not go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// One word.
    pub reason: String,
    /// What happened and what to do.
    pub message: String,
    /// Since when.
    pub since: Millis,
    /// Whether people were warned of it.
    #[serde(default)]
    pub warned: bool,
}

impl Memory {
    /// Time goes by turn after turn. A gap between two that is longer than `LONGEST_GAP_SECONDS` counts for no more than that,
    /// and none where the clock went back: whether nobody looked or the clock was set, what waits for pods or bakes has not been
    /// seen to wait or to bake.
    pub(crate) fn pass_time(&mut self, now: Millis) {
        let runs = matches!(self.phase, Phase::Preparing | Phase::Progressing | Phase::Baking | Phase::Promoting);
        let Some(turned_at) = self.turned_at.filter(|_| runs) else {
            self.turned_at = runs.then_some(now);
            return;
        };
        let gap = now.0.saturating_sub(turned_at.0) as f64 / 1000.0;
        if (0.0..NOTED_AFTER_SECONDS).contains(&gap) {
            return;
        }
        self.turned_at = Some(now);
        let beyond = gap - gap.clamp(0.0, LONGEST_GAP_SECONDS);
        self.entered = self.entered.plus_seconds(beyond);
        for since in [&mut self.in_effect, &mut self.taken_back_since, &mut self.unready_since, &mut self.ready_since] {
            *since = since.map(|since| since.plus_seconds(beyond));
        }
    }

    /// The memory of a Change that begins now.
    #[must_use]
    pub fn new(setup: &Setup, now: Millis) -> Self {
        Self {
            phase: Phase::Held,
            stage: 0,
            granted: Weight::ZERO,
            highest: Weight::ZERO,
            entered: now,
            in_effect: None,
            taken_back_since: None,
            ready_since: None,
            turned_at: None,
            exposed_at: None,
            unready_since: None,
            lost_ready: 0,
            paused: false,
            let_through: None,
            approvals: Vec::new(),
            excepted: Vec::new(),
            queued_since: None,
            waiting: None,
            late: if setup.late.is_some() { LateWindow::Untold } else { LateWindow::None },
            retreat: None,
            routes_clean_at: None,
            contention: None,
            heard: Vec::new(),
            judgement: Judgement::new(setup),
            second: setup.both_sources.then(|| Judgement::new(setup)),
            checks: setup.checks.iter().map(|_| CheckMemory::default()).collect(),
            reach: Reach::new(setup),
            curve: Curve::default(),
        }
    }
}
