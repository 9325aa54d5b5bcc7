//! What the decisions of a Change stand on, by its own record: grounds for each step (I6), and the same decision again (I10).

use firebreak_api::{Change, change::Phase, packed::unpack};
use firebreak_engine::{Basis, counters::Present, judge::Standing};

/// Decisions kept with a Change: of one that has as many, older ones may be gone.
pub(crate) const MOST_DECISIONS: usize = 40;

/// I6: each step up has its evidence, a policy that lets it go on without, or a human's word; and only at the end of such
/// steps is it promoted.
pub(crate) fn check_grounds(change: &Change) -> anyhow::Result<()> {
    let status = change.status.clone().unwrap_or_default();
    let stages = change.spec.plan.stages.len();
    let mut let_through = false;
    for decision in &status.decisions {
        match decision.reason.as_str() {
            "PromotedByHuman" | "InconclusivePromoted" => let_through = true,
            "StageStarted" if !decision.message.starts_with("stage 1 of") => {
                let basis = decision.basis.as_ref().map(|basis| unpack::<Basis>("basis", basis)).transpose()?;
                let proved = basis.map(|basis| opened(&basis));
                anyhow::ensure!(
                    let_through || proved != Some(false),
                    "I6: without evidence or a word for it: {}",
                    decision.message
                );
                let_through = false;
            }
            _ => {}
        }
    }
    let started = status.decisions.iter().filter(|decision| decision.reason == "StageStarted").count();
    let kept = status.decisions.len() < MOST_DECISIONS;
    anyhow::ensure!(
        status.phase != Phase::Promoted || !kept || started >= stages,
        "I6: promoted after {started} of {stages} stages"
    );
    Ok(())
}

/// Whether the next stage was open with the last look of a decision, before it was entered and everything was proved anew.
fn opened(basis: &Basis) -> bool {
    let Basis { setup, memory, observation } = basis;
    let (candidate, stable) = (&observation.candidate, &observation.stable);
    let unready: Vec<String> = candidate.unready.iter().chain(&stable.unready).cloned().collect();
    let standing = Standing {
        present: Present { candidate: &candidate.names, stable: &stable.names, unready: &unready },
        in_effect: memory.in_effect.map(|_| memory.granted),
        next: setup.plan.weight(memory.stage + 1),
    };
    let mut judgement = memory.judgement.clone();
    if let Some(look) = &observation.look {
        judgement.enter(setup, look, &standing);
    }
    judgement.verdict(setup, observation.now).open
}

/// I10: what each decision was computed from, as its Change stores it, gives the same decision again.
pub(crate) fn decided_again(change: &Change) -> anyhow::Result<()> {
    let decisions = change.status.as_ref().map(|status| status.decisions.as_slice()).unwrap_or_default();
    for (place, decision) in decisions.iter().enumerate() {
        let Some(basis) = &decision.basis else { continue };
        let basis: Basis = unpack("basis", basis)?;
        let again = basis.decide();
        // Notes of one turn have one basis; the last carries it, and the oldest may be gone.
        let told = &decisions[..=place];
        let pairs = again.notes.iter().rev().zip(told.iter().rev());
        let same = pairs.clone().all(|(note, told)| note.reason == told.reason && note.message == told.message);
        anyhow::ensure!(
            pairs.count() > 0 && same,
            "I10: {} at {} is now {:?}: {}",
            decision.reason,
            decision.at,
            again.notes,
            decision.message
        );
    }
    Ok(())
}
