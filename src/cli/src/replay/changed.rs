//! The recorded decisions of a Change under another policy: where it would have decided differently.
//!
//! Each decision is computed again in the situation that was recorded, with nothing changed but the plan. Between two
//! decisions the evidence is asked: since when it would have sufficed to go on, and when harm would have counted as proved.
//! What another decision would have led to is not known, and it is said so.

use firebreak_api::{Change, change::DecisionRecord, packed::unpack};
use firebreak_engine::{
    Basis, Decision, Plan,
    memory::{Outcome, Phase},
    stats::margins::LADDER,
    units::{Millis, Weight},
};
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;

use super::INDENT;
use crate::{
    curve::{Evidence, timestamp},
    error::Error,
    facts::{self, Facts, SUSPICION},
    policy,
    words::{clock, ln_e, percent, plain, since, span, wrap},
};

/// Earlier by less than this, seconds, is not worth a word: the operator looks every second or two.
const EARLIER_BY: f64 = 3.0;

/// What became of a recorded decision under the changed policy.
#[derive(Serialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", tag = "outcome")]
pub enum Then {
    /// The same.
    Same,
    /// Something else.
    Different {
        /// What the changed policy decides in this situation.
        changed: String,
    },
    /// What it was computed from is not kept, or was never decided but met.
    NotKept,
    /// What it was computed from cannot be read.
    Unreadable {
        /// Why.
        why: String,
    },
}

/// One recorded decision under the changed policy.
#[derive(Serialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Compared {
    /// When it was decided.
    pub at: Timestamp,
    /// Its reason.
    pub reason: String,
    /// Its words.
    pub message: String,
    /// What the changed policy makes of it.
    pub then: Then,
    /// Since when the changed policy could have gone on, where that is earlier.
    pub could_go_on_since: Option<Timestamp>,
}

/// The recorded decisions under a changed policy.
#[derive(Serialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    /// The Change.
    pub change: String,
    /// Version of this program.
    pub version: &'static str,
    /// The changed policy in words.
    pub policy: String,
    /// What is different in it; empty where nothing is.
    pub differences: Vec<String>,
    /// The decisions, the oldest first.
    pub decisions: Vec<Compared>,
    /// The first decision that would have been different.
    pub first_difference: Option<Timestamp>,
    /// When harm would have counted as proved, where that is earlier than it was taken back.
    pub harm_proved: Option<Proved>,
    /// What cannot be told, and why.
    pub not_known: Option<String>,
}

/// Harm that would have counted as proved.
#[derive(Serialize, Clone, Copy, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Proved {
    /// When, at the latest.
    pub at: Timestamp,
    /// Its ln E then.
    pub evidence: f64,
    /// What the changed policy needs.
    pub needed: f64,
    /// Share of traffic in effect then, in percent.
    pub share_percent: f64,
    /// When it was taken back, if it was.
    pub taken_back_at: Option<Timestamp>,
}

/// Refuses a margin that harm was not tested at.
///
/// # Errors
/// [`Error::Usage`] with the margins that can be asked for.
pub fn check_margin(recorded: f64, asked: f64) -> Result<(), Error> {
    if recorded.to_bits() == asked.to_bits() || LADDER.contains(&asked) {
        return Ok(());
    }
    let known: Vec<String> = LADDER.iter().filter(|margin| **margin <= 10.0).map(ToString::to_string).collect();
    let nearest =
        LADDER.into_iter().min_by(|one, other| (one - asked).abs().total_cmp(&(other - asked).abs())).unwrap_or(recorded);
    Err(Error::Usage(format!(
        "margin {asked} cannot be replayed: the evidence of a Change is kept at the margins {} and at its own, {recorded}. Write one \
         of them, for example --margin {nearest}",
        known.join(", ")
    )))
}

/// What one turn does, as far as two policies can differ in it.
#[derive(Clone, Debug)]
enum Course {
    TakesBack(String, String),
    HandsOver,
    Ends(Outcome),
    Begins(Weight, String),
    WithdrawsShare,
    Prepares,
    Waits(String, String),
    GoesOn,
}

impl Course {
    fn of(basis: &Basis, decision: &Decision) -> Self {
        let (before, after) = (&basis.memory, &decision.memory);
        let entered = |is: fn(&Phase) -> bool| is(&after.phase) && !is(&before.phase);
        let running = |phase: &Phase| matches!(phase, Phase::Progressing | Phase::Baking);
        if let Some(retreat) = after.retreat.as_ref().filter(|_| before.retreat.is_none()) {
            return Self::TakesBack(retreat.reason.clone(), retreat.message.clone());
        }
        if let Phase::Ended(outcome) = after.phase
            && before.phase != after.phase
        {
            return Self::Ends(outcome);
        }
        if entered(|phase| *phase == Phase::Promoting) {
            return Self::HandsOver;
        }
        if after.stage > before.stage || entered(|phase| matches!(phase, Phase::Progressing | Phase::Baking)) {
            let share = basis.setup.share(after.stage);
            let of = basis.setup.plan.stages.len();
            return Self::Begins(share, format!("begins stage {} of {of}: {share} of the traffic", after.stage + 1));
        }
        if running(&before.phase) && matches!(after.phase, Phase::Preparing | Phase::Held) {
            return Self::WithdrawsShare;
        }
        if entered(|phase| *phase == Phase::Preparing) {
            return Self::Prepares;
        }
        match &after.waiting {
            Some(waiting) => Self::Waits(waiting.reason.clone(), waiting.message.clone()),
            None => Self::GoesOn,
        }
    }

    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::TakesBack(..), Self::TakesBack(..)) => true,
            (Self::Begins(one, _), Self::Begins(other, _)) => one == other,
            (Self::Waits(one, _), Self::Waits(other, _)) => one == other,
            (Self::Ends(one), Self::Ends(other)) => one == other,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }

    fn words(&self, granted: Weight) -> String {
        let stays = if granted == Weight::ZERO { "waits without traffic".to_owned() } else { format!("stays at {granted}") };
        match self {
            Self::TakesBack(reason, message) => format!("takes it back ({reason}): {message}"),
            Self::HandsOver => "hands it over to the native controller: it is promoted".to_owned(),
            Self::Ends(outcome) => format!("ends: {outcome:?}"),
            Self::Begins(_, words) => words.clone(),
            Self::WithdrawsShare => "gives its share back to stable and starts again".to_owned(),
            Self::Prepares => "starts candidate pods".to_owned(),
            Self::Waits(reason, message) => format!("{stays} ({reason}): {message}"),
            Self::GoesOn => stays,
        }
    }
}

impl Changed {
    /// Computes the decisions of a Change again under another plan. `recorded` is the plan it had; `name` the words for the
    /// changed policy.
    #[must_use]
    pub fn of(change: &Change, recorded: &Plan, plan: &Plan, name: String) -> Self {
        let records = change.status.as_ref().map_or(&[][..], |status| &status.decisions);
        let mut decisions: Vec<Compared> = records.iter().map(|record| compared(change, record)).collect();
        let curve = Evidence::of(change);
        let (mut told, mut taken_back): (Vec<Weight>, _) = (Vec::new(), None);
        for (place, record) in records.iter().enumerate() {
            let Some(basis) = &record.basis else { continue };
            let basis = match unpack::<Basis>("basis", basis) {
                Ok(basis) => basis,
                Err(error) => {
                    mark(&mut decisions, place, 1, &Then::Unreadable { why: error.to_string() });
                    continue;
                }
            };
            let Some(changed) = basis.under(plan.clone()) else { continue };
            let (was, now) = (basis.decide(), changed.decide());
            let (course, other) = (Course::of(&basis, &was), Course::of(&changed, &now));
            taken_back = taken_back.or_else(|| matches!(course, Course::TakesBack(..)).then_some(record.at));
            let then = if course.is(&other) { Then::Same } else { Then::Different { changed: other.words(now.memory.granted) } };
            mark(&mut decisions, place, told_together(records, place, was.notes.len()), &then);
            let stage = basis.setup.plan.weight(basis.memory.stage);
            if let Some(since) = earlier(&basis, &changed, curve.as_ref()).filter(|_| !told.contains(&stage)) {
                told.push(stage);
                if let Some(decision) = decisions.get_mut(place) {
                    decision.could_go_on_since = Some(since);
                }
            }
        }
        let not_known = if plan.margin.to_bits() != recorded.margin.to_bits() {
            Some(
                "When harm would have been proved between two decisions is known only of the margin that was judged by."
                    .to_owned(),
            )
        } else if curve.is_none() {
            Some("How the evidence went between the decisions is not kept with this Change.".to_owned())
        } else {
            None
        };
        Self {
            change: facts::name(change).to_owned(),
            version: env!("CARGO_PKG_VERSION"),
            policy: name,
            differences: policy::differences(recorded, plan),
            first_difference: decisions.iter().find(|one| matches!(one.then, Then::Different { .. })).map(|one| one.at),
            harm_proved: curve.as_ref().and_then(|curve| proved_earlier(plan, recorded, taken_back, curve)),
            not_known,
            decisions,
        }
    }

    /// The decisions as text of a width.
    #[must_use]
    pub fn text(&self, width: usize, now: Timestamp, zone: &TimeZone) -> String {
        let mut text = String::new();
        let mut paragraph = |words: &str| wrap(&plain(words), width).iter().for_each(|row| text.push_str(&format!("{row}\n")));
        let different = self.decisions.iter().filter(|one| matches!(one.then, Then::Different { .. })).count();
        let same = self.decisions.iter().filter(|one| one.then == Then::Same).count();
        let differences =
            if self.differences.is_empty() { "nothing is different in it".to_owned() } else { self.differences.join("; ") };
        paragraph(&format!("{} under {}: {differences}.", self.change, self.policy));
        paragraph(&format!(
            "Of {} recorded decisions {same} would have been the same, {different} different, {} cannot be computed.",
            self.decisions.len(),
            self.decisions.len() - same - different
        ));
        for decision in &self.decisions {
            let mark = match &decision.then {
                Then::Same => "=",
                Then::Different { .. } => "X",
                Then::NotKept | Then::Unreadable { .. } => " ",
            };
            let mut said = vec![format!("{}: {}", decision.reason, decision.message)];
            match &decision.then {
                Then::Same => {}
                Then::Different { changed } => said.push(format!("changed policy: {changed}")),
                Then::NotKept => said.push("what it was computed from is not kept".to_owned()),
                Then::Unreadable { why } => said.push(why.clone()),
            }
            if let Some(at) = decision.could_go_on_since {
                let sooner = span(since(at, decision.at));
                said.push(format!("changed policy: could have gone on since {}, {sooner} earlier", clock(at, now, zone)));
            }
            let mut label = format!("{} {mark}", clock(decision.at, now, zone));
            for row in said.iter().flat_map(|said| wrap(&plain(said), width.saturating_sub(INDENT + 1).max(20))) {
                text.push_str(&format!("{label:<INDENT$} {row}\n"));
                label.clear();
            }
        }
        for remark in self.remarks(now, zone) {
            wrap(&plain(&remark), width).iter().for_each(|row| text.push_str(&format!("{row}\n")));
        }
        text
    }

    /// What follows for the Change as a whole.
    fn remarks(&self, now: Timestamp, zone: &TimeZone) -> Vec<String> {
        let mut remarks = Vec::new();
        if let Some(proved) = &self.harm_proved {
            let than = match proved.taken_back_at {
                Some(back) => format!("{} before it was taken back", span(since(proved.at, back))),
                None => "and it was never taken back".to_owned(),
            };
            remarks.push(format!(
                "Harm would have counted as proved at {} at the latest, at {} of the traffic (ln E {} of {}), {than}.",
                clock(proved.at, now, zone),
                percent(proved.share_percent),
                ln_e(proved.evidence),
                ln_e(proved.needed)
            ));
        }
        remarks.extend(self.not_known.clone());
        let went_on = self.decisions.iter().find_map(|one| one.could_go_on_since);
        let proved = self.harm_proved.map(|proved| proved.at);
        match [self.first_difference, went_on, proved].into_iter().flatten().min() {
            Some(first) => remarks.push(format!(
                "From {} on this would have been another Change: what is said of later decisions is what the changed policy decides in \
                 the situations that were recorded.",
                clock(first, now, zone)
            )),
            None => remarks.push("No recorded decision would have been different.".to_owned()),
        }
        remarks
    }
}

fn compared(change: &Change, record: &DecisionRecord) -> Compared {
    Compared {
        at: record.at,
        reason: record.reason.clone(),
        message: Facts::new(change, record.at).said(&record.message),
        then: Then::NotKept,
        could_go_on_since: None,
    }
}

/// How many records end at `last` and were told in its turn: notes of one turn have one basis, and the last of them carries it.
fn told_together(records: &[DecisionRecord], last: usize, notes: usize) -> usize {
    let before = records.iter().take(last).rev().take(notes.saturating_sub(1));
    1 + before.take_while(|record| record.basis.is_none()).count()
}

fn mark(decisions: &mut [Compared], last: usize, count: usize, then: &Then) {
    decisions.iter_mut().take(last + 1).rev().take(count).for_each(|decision| decision.then = then.clone());
}

/// Since when the changed policy could have gone on from this stage, where the recorded one could not yet.
fn earlier(basis: &Basis, changed: &Basis, curve: Option<&Evidence>) -> Option<Timestamp> {
    let since = changed.could_go_on_since()?;
    let seconds_before = |then: Millis| then.seconds_since(since);
    if basis.could_go_on_since().is_some_and(|own| seconds_before(own) < EARLIER_BY) {
        return None;
    }
    let since = unsuspected_since(timestamp(since)?, curve);
    let now = timestamp(basis.observation.now)?;
    (now.duration_since(since).as_secs_f64() >= EARLIER_BY).then_some(since)
}

/// From a moment on, when nothing was suspected of the candidate any more.
fn unsuspected_since(at: Timestamp, curve: Option<&Evidence>) -> Timestamp {
    let points = curve.map_or(&[][..], |curve| &curve.points);
    let (before, after) = points.split_at(points.partition_point(|point| point.at <= at));
    let suspected = before.last().is_some_and(|point| point.harm >= SUSPICION);
    if !suspected {
        return at;
    }
    after.iter().find(|point| point.harm < SUSPICION).map_or(Timestamp::MAX, |point| point.at)
}

/// When harm would have counted as proved, where that is before it was taken back; the curve tells it of the margin it was
/// judged by, and of a needed evidence that is less.
fn proved_earlier(plan: &Plan, recorded: &Plan, taken_back: Option<Timestamp>, curve: &Evidence) -> Option<Proved> {
    let needed = -plan.alpha.ln();
    if plan.alpha <= recorded.alpha || plan.margin.to_bits() != recorded.margin.to_bits() {
        return None;
    }
    let point = curve.points.iter().find(|point| point.harm >= needed)?;
    let soon = |back: Timestamp| back.duration_since(point.at).as_secs_f64() < EARLIER_BY;
    let proved =
        Proved { at: point.at, evidence: point.harm, needed, share_percent: point.share_percent, taken_back_at: taken_back };
    (!taken_back.is_some_and(soon)).then_some(proved)
}

#[cfg(test)]
mod tests;
