//! What the numbers mean.

use firebreak_api::change::{DependentState, DependentStatus, Evidence, Phase};
use serde::Serialize;

use crate::{
    facts::{self, COLD_SECONDS, Facts},
    screen::parts,
    words::{cases, count, failure_rate, ln_e, rate},
};

/// A number, what it is measured against, and what it means.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Number {
    /// What it is about.
    pub name: String,
    /// The number.
    pub value: f64,
    /// What it must reach to have its effect.
    pub needed: f64,
    /// What it means.
    pub meaning: String,
}

/// The evidence of a Change, each with its meaning: harm of all signals together, then the safety of each signal.
#[must_use]
pub fn of(facts: &Facts<'_>) -> Vec<Number> {
    let mut numbers = Vec::new();
    if let Some(harm) = facts.status.harm {
        let meaning = match cases(harm.evidence, 0.0) {
            Some(cases) => format!(
                "a harmless release (at most {} times stable's failures) would ever look this bad in at most {cases} cases",
                facts.change.spec.plan.margin
            ),
            None if harm.evidence > 0.0 => "says next to nothing: every other harmless release may look this bad".to_owned(),
            None if facts.way_back().is_some() && !facts.is_back_by_evidence() => "it did not have to decide".to_owned(),
            None => "no sign of harm".to_owned(),
        };
        let mut meaning = format!("ln E {} of {} that take it back: {meaning}", ln_e(harm.evidence), ln_e(harm.needed));
        if harm.proved_ratio > 0.0 {
            meaning = format!("{meaning}; proved: it fails at least {} times as often as stable", harm.proved_ratio);
        }
        numbers.push(Number { name: "harm".to_owned(), value: harm.evidence, needed: harm.needed, meaning });
    }
    numbers.extend(facts.status.evidence.iter().map(|evidence| of_signal(evidence, facts)));
    numbers.extend(facts.status.dependents.iter().map(|dependent| of_dependent(dependent, facts)));
    numbers
}

/// What was counted of a signal, and how safe the next stage is by it.
fn of_signal(evidence: &Evidence, facts: &Facts<'_>) -> Number {
    let (stable, candidate) = (evidence.stable, evidence.candidate);
    let arm = |counted| rate(counted).map_or_else(|| "no requests".to_owned(), failure_rate);
    let cold = facts::left_out(evidence);
    let of_candidate = if candidate.requests == 0 && cold.is_some() {
        "none judged".to_owned()
    } else {
        format!("{} ({} of {})", arm(candidate), count(candidate.failures), count(candidate.requests))
    };
    let seen =
        format!("candidate {of_candidate}, stable {} ({} of {})", arm(stable), count(stable.failures), count(stable.requests));
    let cold = cold.map_or_else(String::new, |cold| {
        format!(
            "{} requests of pods' first {COLD_SECONDS} s are not judged ({} of them were slow); ",
            count(cold.requests),
            count(cold.failures)
        )
    });
    let bursts = if evidence.dispersion > 1.05 {
        format!("; failures come in bursts (dispersion {:.1}), each counts less", evidence.dispersion)
    } else {
        String::new()
    };
    Number {
        name: evidence.signal.clone(),
        value: evidence.safety,
        needed: evidence.safety_needed,
        meaning: format!("{cold}{seen}{}{bursts}", safety(evidence, facts)),
    }
}

/// How safe the next stage is by a signal, where one comes.
fn safety(evidence: &Evidence, facts: &Facts<'_>) -> String {
    let next = facts.next_stage().filter(|_| evidence.safety_needed > 0.0).filter(|_| facts.phase() == Phase::Progressing);
    let Some(next) = next else { return String::new() };
    let proved = cases(evidence.safety, facts.unsure()).map_or_else(
        || "nothing proved yet".to_owned(),
        |cases| {
            format!(
                "a release that harms more than the budget there would ever look this safe at this stage in at most {cases} cases"
            )
        },
    );
    format!("; safety ln E {} of {} for {next} %: {proved}", ln_e(evidence.safety), ln_e(evidence.safety_needed))
}

/// A workload that must not be hurt.
fn of_dependent(dependent: &DependentStatus, facts: &Facts<'_>) -> Number {
    let needed = (1.0 / facts.change.spec.plan.alpha).ln();
    let evidence = format!("ln E {} of {}", ln_e(dependent.evidence), ln_e(needed));
    let meaning = match dependent.state {
        DependentState::Unharmed => format!("{evidence}: not seen to be hurt"),
        DependentState::Harmed => format!("{evidence}: hurt since the candidate has traffic; the candidate is taken back for it"),
        DependentState::SickBefore => "in trouble since before the candidate had traffic: not held against it".to_owned(),
        DependentState::PlatformTrouble => {
            "in trouble together with workloads beside it: the platform is to blame, and nothing goes on until it is over"
                .to_owned()
        }
        DependentState::PastUnknown => {
            "not judged: what it did before the Change could not be read from Prometheus, so there is nothing to compare with"
                .to_owned()
        }
    };
    Number { name: format!("dependent {}", dependent.name), value: dependent.evidence, needed, meaning }
}

/// The blast radius in words.
#[must_use]
pub fn blast(facts: &Facts<'_>) -> String {
    match &facts.status.blast_radius {
        Some(radius) => parts::blast_words(facts, radius, "; "),
        None if facts.status.exposed_at.is_none() => "none: no request has reached the candidate".to_owned(),
        None if facts.phase().ended() => "none measured before it ended".to_owned(),
        None => "none measured yet".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures as fix;

    #[test]
    fn given_dependents_when_explained_then_each_says_how_it_stands_and_why() {
        let mut change = fix::healthy();
        let states =
            [DependentState::Unharmed, DependentState::SickBefore, DependentState::PlatformTrouble, DependentState::PastUnknown];
        let one = |state| DependentStatus { name: "payments".into(), state, evidence: 1.2 };
        change.status.as_mut().unwrap().dependents = states.map(one).into();
        let all = of(&Facts::new(&change, fix::now()));
        let said: Vec<&str> = all.iter().filter(|one| one.name == "dependent payments").map(|one| one.meaning.as_str()).collect();
        assert_eq!(said.len(), 4);
        assert!(said[0].starts_with("ln E 1.2 of ") && said[0].ends_with("not seen to be hurt"), "{}", said[0]);
        assert!(said[2].contains("the platform is to blame"));
    }
}
