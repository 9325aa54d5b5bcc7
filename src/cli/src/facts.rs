//! What follows from a Change for a reader: where it is in its plan, how far the evidence is, what it needs next.
//! Pure: the time is handed in.

use std::{
    cmp::Reverse,
    sync::{LazyLock, OnceLock},
};

use firebreak_api::{
    Change, ChangeStatus, Guard, brief,
    change::{Counted, Evidence, Phase, Waiting},
    guard::{TargetKind, TargetRef},
    intervention::Action,
};
use firebreak_engine::plan::SignalCounts;
use jiff::{SignedDuration, Timestamp};

use crate::{args::Global, words};

static NOT_YET: LazyLock<ChangeStatus> = LazyLock::new(ChangeStatus::default);

/// Harm evidence below which nothing is suspected: ln 5, as in the rules for going up a stage.
pub const SUSPICION: f64 = 1.609_437_912_434_100_3;

/// Seconds of a stage after which an arm without any request is told of: the engine closes an interval with few after 30 s, and
/// metrics that are scraped once a minute hold it a minute later.
const NO_REQUEST_AFTER: i64 = 95;
/// What a Change waits for that only requests can bring.
const WAITS_FOR_REQUESTS: [&str; 4] = ["CollectingEvidence", "MinimumBake", "Inconclusive", "Baking"];

/// Signals named in a sentence; the others are counted.
const SIGNALS_IN_WORDS: usize = 3;

/// A Change as a reader sees it at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The Change.
    pub change: &'a Change,
    /// Its status; that of a Change just made, where the operator has not written one yet.
    pub status: &'a ChangeStatus,
    /// The moment.
    pub now: Timestamp,
}

/// Place in the plan: stage `index` of `of`, from 1; 0 before the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The stage, from 1.
    pub index: usize,
    /// How many there are.
    pub of: usize,
}

/// One stage of the plan as a reader sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stage {
    /// Share of traffic in percent.
    pub percent: i32,
    /// Whether a human must approve it before it begins.
    pub approval: bool,
    /// Where the Change stands to it.
    pub mark: Mark,
}

/// Where a Change stands to a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Mark {
    /// Passed.
    Done,
    /// Here now.
    Current,
    /// Ended here without a promotion.
    Stopped,
    /// To come.
    Ahead,
}

impl<'a> Facts<'a> {
    /// The Change as it is seen at `now`.
    #[must_use]
    pub fn new(change: &'a Change, now: Timestamp) -> Self {
        Self { change, status: status(change), now }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'a str {
        name(self.change)
    }

    /// Its Guard as it is written in a command: `checkout -n shop`.
    #[must_use]
    pub fn in_command(&self) -> String {
        in_command(&self.change.spec.guard, self.change.metadata.namespace.as_deref())
    }

    /// A message of the operator with the Guard in its commands, which the engine does not know: each can be pasted.
    #[must_use]
    pub fn said(&self, message: &str) -> String {
        brief::with_guard(message, &self.in_command())
    }

    /// Where it is on its way.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.status.phase
    }

    /// Why it goes or went back; none of one that goes forward or was promoted.
    #[must_use]
    pub fn way_back(&self) -> Option<&'a Waiting> {
        let back = matches!(self.phase(), Phase::RollingBack | Phase::RolledBack | Phase::Superseded | Phase::Withdrawn);
        self.status.way_back.as_ref().filter(|_| back)
    }

    /// That an arm got no request since this stage began, and what to look at; none where both got some, or it is too early to say,
    /// or the Change waits for something else.
    #[must_use]
    pub fn no_request(&self) -> Option<String> {
        let for_requests = |waiting: &Waiting| WAITS_FOR_REQUESTS.contains(&waiting.reason.as_str());
        let time = self.stage_for().filter(|time| time.as_secs() >= NO_REQUEST_AFTER)?;
        if !self.judged() || !self.status.waiting.as_ref().is_none_or(for_requests) {
            return None;
        }
        let arm = match self.status.exposure_percent {
            None | Some(0.0) => "the candidate",
            // At the last stage stable gets none, where nothing is held back.
            Some(exposure) if exposure >= 100.0 && self.next_stage().is_some() => "stable",
            Some(_) => return None,
        };
        let time = words::span(time);
        Some(format!("no request arrives: none was counted at {arm} in the {time} of this stage. {}", self.look_at()))
    }

    /// What decides whether requests arrive.
    fn look_at(&self) -> String {
        let traffic = self.change.spec.traffic.as_ref();
        let service = traffic.map(|traffic| &traffic.service);
        let service = service.map_or_else(|| "its Service".to_owned(), |service| format!("Service {service}"));
        let way = if self.change.spec.is_routed() {
            format!("does the route, by its host and its path, lead to {service}")
        } else {
            format!("does it go through {service}")
        };
        format!("Look whether there is load, and {way}")
    }

    /// Why it does not go on, in the words of the operator; where no request arrives, in those.
    #[must_use]
    pub fn waits_for(&self, waiting: &Waiting) -> String {
        self.no_request().unwrap_or_else(|| self.said(&waiting.message))
    }

    /// Which step of the way back it is at, in words; none where it does not go back.
    #[must_use]
    pub fn step_back(&self) -> Option<String> {
        if self.phase() != Phase::RollingBack {
            return None;
        }
        let pods = self.status.arms.map_or(0, |arms| arms.candidate_pods);
        // The weight is 0 from the first moment on; the pods stay until the gateway has followed and they are drained.
        let step = if pods > 0 {
            let pods = if pods == 1 { "its pod finishes".to_owned() } else { format!("its {pods} pods finish") };
            let routed = self.change.spec.is_routed() && self.status.weight_percent == 0.0;
            let whom = if routed { "stable gets all requests and " } else { "" };
            format!("step 1 of 2, {whom}{pods} what is under way")
        } else {
            "step 2 of 2, its pods go; then the Service and the routes are put back as they were".to_owned()
        };
        let time = self.way_back().map(|back| format!(" for {}", words::span(words::since(back.since, self.now))));
        Some(format!("on its way back{}: {step}", time.unwrap_or_default()))
    }

    /// Whether it goes back since the two arms, or what dependents do, were compared.
    ///
    /// Too many slow requests at once have the word of slow ones beyond chance, and words of their own.
    #[must_use]
    pub fn is_back_by_evidence(&self) -> bool {
        self.way_back().is_some_and(|back| match back.reason.as_str() {
            "FailsMoreThanStable" | "FewerThanStable" | "DependentHarmed" => true,
            "SlowerThanStable" => !back.message.contains("of the candidate's last"),
            _ => false,
        })
    }

    /// Its place in the plan, as the operator wrote it (`2/4`), else by its weight.
    #[must_use]
    pub fn position(&self) -> Position {
        let stages = &self.change.spec.plan.stages;
        let written = self.status.stage.as_deref().and_then(|stage| stage.split_once('/'));
        let written = written.and_then(|(index, of)| Some((index.trim().parse().ok()?, of.trim().parse().ok()?)));
        written.map_or_else(
            || {
                let reached = stages.iter().filter(|&&stage| self.change.spec.share_percent(stage) <= self.status.weight_percent);
                Position { index: reached.count(), of: stages.len() }
            },
            |(index, of)| Position { index, of },
        )
    }

    /// Whether the candidate is past its first exposure and the Change still runs forward.
    #[must_use]
    pub fn judged(&self) -> bool {
        matches!(self.phase(), Phase::Progressing | Phase::Baking)
    }

    /// The stage that would come next, in percent; none at the last one and when nothing comes any more.
    #[must_use]
    pub fn next_stage(&self) -> Option<i32> {
        let stages = &self.change.spec.plan.stages;
        match self.phase() {
            Phase::Held | Phase::Preparing => stages.first().copied(),
            Phase::Progressing => stages.get(self.position().index).copied(),
            _ => None,
        }
    }

    /// Whether a human must approve the next stage.
    #[must_use]
    pub fn next_needs_approval(&self) -> bool {
        self.next_stage().is_some_and(|next| self.change.spec.plan.approval_stages().contains(&next))
    }

    /// The plan's stages, each with where the Change stands to it.
    #[must_use]
    pub fn stages(&self) -> Vec<Stage> {
        let plan = &self.change.spec.plan;
        let index = self.position().index;
        let highest = self.status.highest_weight_percent;
        let asked = plan.approval_stages();
        let mark = |at: usize, percent: i32| match self.phase() {
            Phase::Promoted | Phase::Promoting => Mark::Done,
            Phase::Held | Phase::Preparing => Mark::Ahead,
            Phase::Progressing | Phase::Baking if at + 1 < index => Mark::Done,
            Phase::Progressing | Phase::Baking if at + 1 == index => Mark::Current,
            Phase::Progressing | Phase::Baking => Mark::Ahead,
            // Taken back or overtaken: the highest weight says how far it came.
            _ if self.change.spec.share_percent(percent) > highest => Mark::Ahead,
            _ if plan.stages.get(at + 1).is_none_or(|&after| self.change.spec.share_percent(after) > highest) => Mark::Stopped,
            _ => Mark::Done,
        };
        plan.stages
            .iter()
            .enumerate()
            .map(|(at, &percent)| Stage { percent, approval: asked.contains(&percent), mark: mark(at, percent) })
            .collect()
    }

    /// Harm evidence as a share of what is needed to take back, from 0 to 1.
    #[must_use]
    pub fn harm_share(&self) -> Option<f64> {
        self.status.harm.map(|harm| share(harm.evidence, harm.needed))
    }

    /// Safety evidence of the signal that has least, as a share of what opens the next stage, from 0 to 1.
    ///
    /// Each signal must prove it on its own, so the least is what counts.
    #[must_use]
    pub fn safety_share(&self) -> Option<f64> {
        self.next_stage()?;
        self.status.evidence.iter().map(safety_share).reduce(f64::min)
    }

    /// Probability that the bounds of stable's rate do not hold, on which safety evidence rests: a tenth of beta
    /// (statistics, section 3), so that a stage opens wrongly with probability at most beta in all.
    #[must_use]
    pub fn unsure(&self) -> f64 {
        self.change.spec.plan.beta / 10.0
    }

    /// Time since this stage began.
    #[must_use]
    pub fn stage_for(&self) -> Option<SignedDuration> {
        self.status.stage_began_at.map(|began| words::since(began, self.now))
    }

    /// Time that the plan still asks for at this stage at least; none once it has passed.
    #[must_use]
    pub fn bake_left(&self) -> Option<SignedDuration> {
        let plan = &self.change.spec.plan;
        let asked = match self.phase() {
            Phase::Progressing if self.next_stage().is_some() => plan.min_bake,
            Phase::Progressing | Phase::Baking => plan.final_bake,
            _ => return None,
        };
        left(asked, self.stage_for()?)
    }

    /// Time until this stage counts as inconclusive; none once it has passed.
    #[must_use]
    pub fn inconclusive_in(&self) -> Option<SignedDuration> {
        if self.phase() != Phase::Progressing {
            return None;
        }
        left(self.change.spec.plan.max_bake, self.stage_for()?)
    }

    /// Time to the promotion if nothing but the plan's times held it up: it cannot be sooner.
    #[must_use]
    pub fn earliest_promotion(&self) -> Option<SignedDuration> {
        if !self.judged() || self.no_request().is_some() {
            return None;
        }
        let plan = &self.change.spec.plan;
        let position = self.position();
        let after = position.of.saturating_sub(position.index);
        let here = self.bake_left().unwrap_or_default();
        let between = seconds(plan.min_bake) * i64::try_from(after.saturating_sub(1)).unwrap_or(0);
        let last = if after == 0 { 0 } else { seconds(plan.final_bake) };
        Some(here + SignedDuration::from_secs(between + last))
    }

    /// What must come true before it goes on, in words; empty when nothing is missing or nothing comes any more.
    #[must_use]
    pub fn needs(&self) -> Vec<String> {
        let mut needs = Vec::new();
        if self.status.paused && !self.phase().ended() {
            needs.push("someone to resume it".to_owned());
        }
        if self.phase() == Phase::Preparing {
            needs.push("candidate pods that are ready and seen by the metrics source".to_owned());
        }
        if self.judged() {
            if let Some(harm) = self.status.harm.filter(|harm| harm.evidence >= SUSPICION && self.next_stage().is_some()) {
                needs.push(format!("harm evidence below {} (now {})", words::ln_e(SUSPICION), words::ln_e(harm.evidence)));
            }
            if self.next_stage().is_some() {
                if self.status.evidence.is_empty() {
                    needs.push("the first evidence".to_owned());
                }
                needs.extend(self.safety_needed());
            }
            if let Some(left) = self.bake_left() {
                needs.push(format!("{} more at this stage", words::span(left)));
            }
        }
        if let Some(next) = self.next_stage().filter(|_| self.next_needs_approval()) {
            needs.push(format!("a human's word for {next} %"));
        }
        needs
    }

    /// The signals whose safety evidence is short, in words; those with the least, where there are many.
    fn safety_needed(&self) -> Option<String> {
        let mut short: Vec<&Evidence> =
            self.status.evidence.iter().filter(|evidence| evidence.safety < evidence.safety_needed).collect();
        if short.len() > SIGNALS_IN_WORDS {
            short.sort_by(|left, right| safety_share(left).total_cmp(&safety_share(right)));
        }
        let more = short.len().saturating_sub(SIGNALS_IN_WORDS);
        let mut signals: Vec<String> = short
            .iter()
            .take(SIGNALS_IN_WORDS)
            .map(|evidence| {
                let (have, needed) = (words::ln_e(evidence.safety), words::ln_e(evidence.safety_needed));
                format!("{} {have} of {needed}", evidence.signal)
            })
            .collect();
        if more > 0 {
            signals.push(format!("{more} more"));
        }
        (!signals.is_empty()).then(|| format!("safety evidence ({})", signals.join(", ")))
    }
}

/// A signal's safety evidence as a share of what opens the next stage, from 0 to 1.
#[must_use]
pub fn safety_share(evidence: &Evidence) -> f64 {
    // A signal of successes opens no stage, so it needs nothing.
    if evidence.safety_needed > 0.0 { share(evidence.safety, evidence.safety_needed) } else { 1.0 }
}

/// Seconds of a pod's life of which slow requests are not judged.
pub const COLD_SECONDS: f64 = SignalCounts::Slow.warm_up_seconds();

/// What was not judged of a signal, since candidate pods were cold; none where nothing was.
#[must_use]
pub fn left_out(evidence: &Evidence) -> Option<Counted> {
    evidence.left_out.filter(|counted| counted.requests > 0)
}

fn share(have: f64, needed: f64) -> f64 {
    if needed > 0.0 && have.is_finite() { (have / needed).clamp(0.0, 1.0) } else { 0.0 }
}

fn seconds(span: firebreak_api::Span) -> i64 {
    i64::try_from(span.0.as_secs()).unwrap_or(i64::MAX / 4)
}

fn left(asked: firebreak_api::Span, passed: SignedDuration) -> Option<SignedDuration> {
    let left = SignedDuration::from_secs(seconds(asked)) - passed;
    // Rounded up: "0s more" would say that it is there.
    let whole = left.as_secs() + i64::from(left.subsec_nanos() > 0);
    left.is_positive().then_some(SignedDuration::from_secs(whole))
}

/// The status of a Change; that of one just made, where the operator has not written one yet.
#[must_use]
pub fn status(change: &Change) -> &ChangeStatus {
    change.status.as_ref().unwrap_or_else(|| &*NOT_YET)
}

/// The name of a Change.
#[must_use]
pub fn name(change: &Change) -> &str {
    change.metadata.name.as_deref().unwrap_or_default()
}

/// Whether a Change is one of this Guard.
#[must_use]
pub fn belongs(change: &Change, guard: &Guard) -> bool {
    Some(change.spec.guard.as_str()) == guard.metadata.name.as_deref() && change.metadata.namespace == guard.metadata.namespace
}

/// The Change that runs: the one the Guard names, else the newest that has not ended.
///
/// `changes` are those of the Guard, the newest first.
#[must_use]
pub fn active<'a>(changes: &[&'a Change], guard: Option<&Guard>) -> Option<&'a Change> {
    let named = guard.and_then(|guard| guard.status.as_ref()).and_then(|status| status.active_change.as_deref());
    let runs = |change: &&&Change| !status(change).phase.ended();
    changes.iter().filter(runs).find(|change| Some(name(change)) == named).or_else(|| changes.iter().find(runs)).copied()
}

/// The Change to show: the one that runs, else the newest.
#[must_use]
pub fn shown<'a>(changes: &[&'a Change], guard: Option<&Guard>) -> Option<&'a Change> {
    active(changes, guard).or_else(|| changes.first().copied())
}

/// Orders Changes by age.
pub trait ByAge {
    /// The newest first; of two of the same moment, the later attempt.
    fn newest_first(&mut self);
}

impl ByAge for Vec<&Change> {
    fn newest_first(&mut self) {
        self.sort_by_key(|change| Reverse((change.spec.detected_at, change.spec.attempt, name(change))));
    }
}

/// The Change without what only the operator reads (its memory and the bases of decisions), which can be large.
#[must_use]
pub fn slim(mut change: Change) -> Change {
    change.metadata.managed_fields = None;
    if let Some(status) = &mut change.status {
        status.memory = None;
        for decision in &mut status.decisions {
            decision.basis = None;
        }
    }
    change
}

/// The Guard as it is written in a command: `checkout -n shop`, and which cluster, where the user named one.
#[must_use]
pub fn in_command(guard: &str, namespace: Option<&str>) -> String {
    let namespace = namespace.map_or_else(String::new, |namespace| format!(" -n {namespace}"));
    format!("{guard}{namespace}{}", on_cluster())
}

/// The reason that a command needs for an act that takes one, for its end; else nothing.
#[must_use]
pub fn why(action: Action) -> &'static str {
    if action.needs_reason() { " --reason '...'" } else { "" }
}

/// The user's own words for the cluster, said once a process.
static CLUSTER: OnceLock<String> = OnceLock::new();

/// Keeps the options by which the user named the cluster: every command that is suggested repeats them. Without, a command
/// that is pasted would act on another cluster.
pub fn name_cluster(global: &Global) {
    let _ = CLUSTER.set(cluster_words(global));
}

/// ` --kubeconfig FILE --context NAME` as far as the user gave them; else nothing.
#[must_use]
pub fn on_cluster() -> &'static str {
    CLUSTER.get().map_or("", String::as_str)
}

fn cluster_words(global: &Global) -> String {
    let file = global.kubeconfig.as_ref().map(|path| format!(" --kubeconfig {}", quoted(&path.display().to_string())));
    let context = global.context.as_ref().map(|name| format!(" --context {}", quoted(name)));
    file.into_iter().chain(context).collect()
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-:@+=,~".contains(letter);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// A workload in words: `Deployment checkout`.
#[must_use]
pub fn target(target: &TargetRef) -> String {
    let kind = match target.kind {
        TargetKind::Deployment => "Deployment",
    };
    format!("{kind} {}", target.name)
}

#[cfg(test)]
mod tests;
