//! `replay`: computes each recorded decision again from what its Change records, and says whether it comes out the same.
//!
//! A decision rests on the setup, the memory before and what was seen; the operator stores them with it. Older ones lose
//! them first, since an object has a bound. What another policy would have decided is asked in [`changed`].

pub mod changed;

use changed::Changed;
use firebreak_api::{
    Change,
    change::DecisionRecord,
    in_force::{self, BUILT_IN, Effective, Named},
    packed::unpack,
    plan as convert,
};
use firebreak_engine::{Basis, Note, risk::Level};
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;

use crate::{
    args::{self, Global},
    cluster::Cluster,
    error::Error,
    explain,
    facts::{self, Facts},
    output, policy,
    words::{clock, plain, wrap},
};

/// Cells before the words of a decision.
const INDENT: usize = 14;

/// What became of a decision when it was computed again.
#[derive(Serialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", tag = "outcome")]
pub enum Again {
    /// The same, in every word and number.
    Same,
    /// Something else.
    Different {
        /// What this version decides.
        now: String,
    },
    /// What it was computed from is not kept, or was never decided but met (an object that could not be written).
    NotKept,
    /// What it was computed from cannot be read.
    Unreadable {
        /// Why.
        why: String,
    },
}

/// One recorded decision, and what became of it.
#[derive(Serialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Replayed {
    /// When it was decided.
    pub at: Timestamp,
    /// Its reason.
    pub reason: String,
    /// Its words.
    pub message: String,
    /// What became of it.
    pub again: Again,
}

/// All recorded decisions of a Change, computed again.
#[derive(Serialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Replay {
    /// The Change.
    pub change: String,
    /// Version of this program: another version may decide otherwise.
    pub version: &'static str,
    /// The decisions, oldest first.
    pub decisions: Vec<Replayed>,
}

/// Runs `replay`.
///
/// # Errors
/// As the API server answers; a name that is neither a Change nor a Guard with one; a decision that comes out otherwise.
pub async fn run(global: &Global, args: &args::Replay) -> Result<(), Error> {
    let cluster = Cluster::connect(global).await?;
    let snapshot = cluster.snapshot(false).await?;
    output::notes(&snapshot.notes);
    let change = explain::resolve(&snapshot, args.name.as_deref(), &cluster.namespace)?;
    // The snapshot leaves out what only replays read.
    let change = cluster.change(facts::name(change)).await?;
    if !args.policy.is_empty() {
        let changed = under(&cluster, &change, &args.policy).await?;
        return match args.output {
            Some(format) => output::print(&changed, format),
            None => output::write(&changed.text(output::width(), Timestamp::now(), &TimeZone::system())),
        };
    }
    let replay = Replay::of(&change);
    match args.output {
        Some(format) => output::print(&replay, format)?,
        None => output::write(&replay.text(output::width(), Timestamp::now(), &TimeZone::system()))?,
    }
    let differ = replay.count(|again| matches!(again, Again::Different { .. }));
    if differ > 0 {
        let of = replay.decisions.len();
        return Err(Error::Differs(format!(
            "{differ} of {of} decisions of {} come out otherwise. Was it decided by another version of Firebreak? Replay it with the \
             plugin of that version; else it is a defect, please report it with this Change as JSON",
            replay.change
        )));
    }
    Ok(())
}

/// The Change under the policy that is asked for.
async fn under(cluster: &Cluster, change: &Change, asked: &args::Policy) -> Result<Changed, Error> {
    let spec = &change.spec;
    let recorded = convert::plan(&spec.plan, spec.availability.map(|percent| percent / 100.0));
    let (base, name) = if asked.names_plan() {
        let policy = match asked.file()? {
            Some(file) => file,
            None => judged_by(cluster, change).await?,
        };
        let level = asked.level.or_else(|| Level::read(&spec.risk.level)).unwrap_or(Level::Medium);
        (policy::plan(&policy, level, spec.availability), policy::name(&policy, level))
    } else {
        (recorded.clone(), "its own policy with other settings".to_owned())
    };
    let plan = asked.settings(base);
    changed::check_margin(recorded.margin, plan.margin)?;
    Ok(Changed::of(change, &recorded, &plan, name))
}

/// The policy that a Change was judged by: as it recorded it, or where it did not, as it is in the cluster now.
async fn judged_by(cluster: &Cluster, change: &Change) -> Result<Effective, Error> {
    let name = &change.spec.policy;
    if let Some(packed) = &change.spec.risk_basis {
        let wrong = |error| Error::Usage(format!("Change {}: {error}. Name a policy with --policy FILE", facts::name(change)));
        return Ok(in_force::Basis::unpack(packed).map_err(wrong)?.policy);
    }
    if name == BUILT_IN {
        return Ok(Effective::default());
    }
    let spec = cluster.policy(name).await?.spec;
    Ok(Effective { cluster: Some(Named { name: name.clone(), spec }), own: None })
}

impl Replay {
    /// Computes the decisions of a Change again.
    #[must_use]
    pub fn of(change: &Change) -> Self {
        let recorded = change.status.as_ref().map_or(&[][..], |status| &status.decisions);
        let mut again = vec![Again::NotKept; recorded.len()];
        for (place, decision) in recorded.iter().enumerate() {
            let Some(basis) = &decision.basis else { continue };
            match unpack::<Basis>("basis", basis) {
                Err(error) => set(&mut again, place, Again::Unreadable { why: error.to_string() }),
                Ok(basis) => compare(recorded, place, &basis.decide().notes, &mut again),
            }
        }
        let one = |(decision, again): (&DecisionRecord, Again)| Replayed {
            at: decision.at,
            reason: decision.reason.clone(),
            message: Facts::new(change, decision.at).said(&decision.message),
            again,
        };
        Self {
            change: facts::name(change).to_owned(),
            version: env!("CARGO_PKG_VERSION"),
            decisions: recorded.iter().zip(again).map(one).collect(),
        }
    }

    fn count(&self, fits: impl Fn(&Again) -> bool) -> usize {
        self.decisions.iter().filter(|decision| fits(&decision.again)).count()
    }

    /// The decisions as text of a width.
    #[must_use]
    pub fn text(&self, width: usize, now: Timestamp, zone: &TimeZone) -> String {
        let (same, different) =
            (self.count(|again| *again == Again::Same), self.count(|again| matches!(again, Again::Different { .. })));
        let rest = self.decisions.len() - same - different;
        let mut text = format!(
            "{}: {} decisions are recorded. Computed again by version {}: {same} the same, {different} different, {rest} not \
             computed\n",
            self.change,
            self.decisions.len(),
            self.version
        );
        for decision in &self.decisions {
            let mark = match &decision.again {
                Again::Same => "=",
                Again::Different { .. } => "X",
                Again::NotKept | Again::Unreadable { .. } => " ",
            };
            let mut said = vec![format!("{}: {}", decision.reason, decision.message)];
            match &decision.again {
                Again::Same => {}
                Again::Different { now } => said.push(format!("now: {now}")),
                Again::NotKept => said.push("what it was computed from is not kept".to_owned()),
                Again::Unreadable { why } => said.push(why.clone()),
            }
            let mut label = format!("{} {mark}", clock(decision.at, now, zone));
            for row in said.iter().flat_map(|said| wrap(&plain(said), width.saturating_sub(INDENT + 1).max(20))) {
                text.push_str(&format!("{label:<INDENT$} {row}\n"));
                label.clear();
            }
        }
        text
    }
}

/// Notes of one turn have one basis, and the last of them carries it.
fn compare(recorded: &[DecisionRecord], last: usize, notes: &[Note], again: &mut [Again]) {
    if notes.is_empty() {
        return set(again, last, Again::Different { now: "nothing is decided".to_owned() });
    }
    for (back, note) in notes.iter().rev().enumerate() {
        let Some(place) = last.checked_sub(back) else { return };
        let Some(told) = recorded.get(place).filter(|told| back == 0 || told.basis.is_none()) else { return };
        let same = note.reason == told.reason && note.message == told.message;
        let now = || Again::Different { now: format!("{}: {}", note.reason, note.message) };
        set(again, place, if same { Again::Same } else { now() });
    }
}

fn set(all: &mut [Again], place: usize, again: Again) {
    if let Some(slot) = all.get_mut(place) {
        *slot = again;
    }
}

#[cfg(test)]
mod tests {
    use firebreak_engine::units::Millis;
    use firebreak_sim::setup;

    use super::*;
    use crate::fixtures as fix;

    /// A Change with the decisions of a simulated one, as the operator records them.
    fn change() -> Change {
        fix::recorded(setup(Level::Medium, 2), (1, 1), 400)
    }

    fn stamp(at: Millis) -> Timestamp {
        Timestamp::from_millisecond(at.0).unwrap()
    }

    #[test]
    fn given_recorded_decisions_when_replayed_then_all_the_same() {
        let replay = Replay::of(&change());
        assert!(replay.decisions.len() >= 6, "{replay:?}");
        assert!(replay.decisions.iter().all(|decision| decision.again == Again::Same), "{replay:?}");
    }

    #[test]
    fn given_a_record_that_was_changed_or_thinned_when_replayed_then_it_is_said_of_each() {
        let mut change = change();
        let decisions = &mut change.status.as_mut().unwrap().decisions;
        decisions[1].message = "stage 1 of 4: 50 % of the traffic".to_owned();
        decisions[2].basis = None;
        decisions[3].basis = Some("!!".to_owned());
        decisions.truncate(5);
        let replay = Replay::of(&change);
        let now = stamp(Millis(1_800_000_400_000));
        insta::assert_snapshot!(replay.text(100, now, &TimeZone::UTC));
    }
}
