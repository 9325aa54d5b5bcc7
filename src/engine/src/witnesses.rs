//! All that speaks for or against a candidate, as one [`Verdict`]: the judged signals, by one source or by two; the
//! dependents; the absolute checks.
//!
//! Of two sources the first, the faster one, takes back; both must agree to go on; where the second sees harm and the first
//! does not, the Change is held. While the first is blind the second takes back in its place.

use crate::{
    checks::{About, CheckSetup, CheckStanding, Missing, OnFailure, Says},
    counters::Present,
    judge::{Harm, Judgement, NamedHold, Standing, Trouble, Verdict},
    memory::Memory,
    observation::Observation,
    plan::Setup,
    stats::Counts,
    units::Millis,
};

/// Requests of the candidate from which two sources' failure rates are compared, and by how much they may differ: this share
/// of all requests, or half of the higher rate.
const DISAGREE: (u64, f64, f64) = (200, 0.02, 0.5);

impl Memory {
    /// Takes in all pasts and answers of one turn, `standing` being where the candidate is.
    pub(crate) fn witness(&mut self, setup: &Setup, seen: &Observation, standing: &Standing<'_>) {
        for judgement in [Some(&mut self.judgement), self.second.as_mut()].into_iter().flatten() {
            match &seen.pasts {
                Some(pasts) if judgement.has_past() => judgement.learn_again(setup, pasts),
                Some(pasts) => judgement.learn(setup, pasts),
                None => {}
            }
            judgement.watch_since(seen.watching_since);
        }
        if let Some(pasts) = &seen.dependent_pasts {
            self.reach.learn(setup, pasts);
        }
        if let Some(look) = &seen.look {
            self.judgement.enter(setup, look, standing);
        }
        if let Some((second, look)) = self.second.as_mut().zip(seen.second.as_ref()) {
            second.enter(setup, look, standing);
        }
        if let Some(look) = &seen.dependents {
            let Present { candidate, stable, unready } = standing.present;
            self.reach.enter(setup, look, Present { candidate, stable, unready });
        }
        for look in &seen.checks {
            if let Some((check, memory)) = setup.checks.get(look.check).zip(self.checks.get_mut(look.check)) {
                memory.enter(check, look);
            }
        }
    }

    /// What follows from all that was seen.
    #[must_use]
    pub fn verdict(&self, setup: &Setup, now: Millis) -> Verdict {
        let first = self.judgement.verdict(setup, now);
        let mut verdict = match &self.second {
            None => first,
            Some(second) => self.agreed(first, second.verdict(setup, now), second),
        };
        let exposed = self.exposed_at.is_some();
        if exposed && verdict.harm.is_none() {
            verdict.harm = self.harmed_dependents(setup).or_else(|| self.failed_check(setup, now));
        }
        verdict.suspicion |= self.reach.is_suspicious(setup);
        verdict.trouble = verdict.trouble.or_else(|| {
            let trouble = self.reach.trouble()?;
            Some(Trouble { since: trouble.since.max(self.judgement.watching_since()), ..trouble.clone() })
        });
        verdict.hold = verdict.hold.or_else(|| self.reach.platform_trouble(setup)).or_else(|| self.held_by_check(setup, now));
        verdict
    }

    /// Two sources' verdicts as one.
    fn agreed(&self, first: Verdict, second: Verdict, seen: &Judgement) -> Verdict {
        let blind = first.trouble.is_some();
        let harm = first.harm.or_else(|| second.harm.clone().filter(|_| blind));
        let contradicted = || {
            let told = second.harm.as_ref().map(|harm| harm.message.clone());
            told.or_else(|| contradiction(self.judgement.counted(), seen.counted()))
        };
        let disagree = if harm.is_none() && !blind { contradicted() } else { None };
        let hold = disagree.map(|words| {
            let message = format!(
                "the pods' own pages show no harm, but Prometheus does not agree: {words}. Nothing goes on or back until they do: \
                 compare what both count of the candidate's pods, or decide: kubectl firebreak promote GUARD --reason '...', or kubectl \
                 firebreak abort GUARD"
            );
            NamedHold { reason: "SourcesDisagree".to_owned(), message, warning: true }
        });
        let by_second = |trouble: Trouble| Trouble { message: format!("by Prometheus: {}", trouble.message), ..trouble };
        Verdict {
            harm,
            immaterial: first.immaterial,
            open: first.open && second.open,
            suspicion: first.suspicion || second.suspicion,
            blind: first.blind.filter(|_| second.trouble.is_some()),
            trouble: first.trouble.or_else(|| second.trouble.map(by_second)),
            split_broken: first.split_broken.or(second.split_broken),
            stable_unhealthy: first.stable_unhealthy.or(second.stable_unhealthy),
            hold: first.hold.or(hold),
        }
    }

    fn harmed_dependents(&self, setup: &Setup) -> Option<Harm> {
        let message = self.reach.harm_words(setup)?;
        Some(Harm { reason: "DependentHarmed".to_owned(), message, growing: true })
    }

    fn says<'a>(&'a self, setup: &'a Setup, now: Millis) -> impl Iterator<Item = (&'a CheckSetup, Says)> {
        let since = self.judgement.watching_since();
        setup.checks.iter().zip(&self.checks).map(move |(check, memory)| (check, memory.says(check, now, since)))
    }

    /// How the checks that a Guard asks for stand, each with its name.
    pub fn standing_checks<'a>(&'a self, setup: &'a Setup, now: Millis) -> impl Iterator<Item = (&'a str, CheckStanding)> {
        let since = self.judgement.watching_since();
        let all = setup.checks.iter().zip(&self.checks).filter(|(check, _)| check.about == About::Asked);
        all.map(move |(check, memory)| (check.name.as_str(), memory.standing(check, now, since)))
    }

    fn failed_check(&self, setup: &Setup, now: Millis) -> Option<Harm> {
        self.says(setup, now).find_map(|(check, says)| match (says, check.on_failure) {
            (Says::Failed(message), OnFailure::RollBack) => {
                Some(Harm { reason: "CheckFailed".to_owned(), message, growing: false })
            }
            _ => None,
        })
    }

    fn held_by_check(&self, setup: &Setup, now: Millis) -> Option<NamedHold> {
        self.says(setup, now).find_map(|(check, says)| {
            let (reason, message, warning) = match says {
                Says::Passes => return None,
                Says::Failed(words) if check.about == About::ErrorBudget => ("ErrorBudgetBurns", words, true),
                Says::Failed(words) => ("CheckFailed", words, true),
                Says::Failing(words) => ("CheckFailing", words, false),
                Says::Missing(_, words) => ("CheckMissing", words, false),
            };
            Some(NamedHold { reason: reason.to_owned(), message, warning })
        })
    }

    /// A check without an answer for so long that its Guard asks to take back: the words for it.
    pub(crate) fn check_missing_too_long(&self, setup: &Setup, now: Millis) -> Option<String> {
        let limit = setup.plan.no_data_after_seconds;
        self.says(setup, now).find_map(|(check, says)| match says {
            Says::Missing(since, words) if check.on_missing == Missing::RollBack && now.seconds_since(since) >= limit => {
                Some(format!("{words}; its onMissing asks to take back after {limit:.0} s"))
            }
            _ => None,
        })
    }

    /// Whether every source has a first look to count from, and nothing is missing now.
    pub(crate) fn can_see(&self) -> bool {
        self.judgement.can_see() && self.second.as_ref().is_none_or(Judgement::can_see) && self.reach.can_see()
    }

    /// The candidate gets its first share, or again after it had none.
    pub(crate) fn begin_exposure(&mut self, setup: &Setup, now: Millis) {
        for judgement in [Some(&mut self.judgement), self.second.as_mut()].into_iter().flatten() {
            judgement.begin_exposure(now);
        }
        self.reach.begin_exposure(setup, now);
        for check in &mut self.checks {
            check.begin_exposure();
        }
        self.exposed_at = Some(now);
    }

    /// A stage's share is in effect.
    pub(crate) fn begin_stage(&mut self, now: Millis, scrape_seconds: f64) {
        for judgement in [Some(&mut self.judgement), self.second.as_mut()].into_iter().flatten() {
            judgement.begin_stage(now, scrape_seconds);
        }
    }

    /// A weight was written.
    pub(crate) fn settle_split(&mut self, now: Millis, scrape_seconds: f64) {
        for judgement in [Some(&mut self.judgement), self.second.as_mut()].into_iter().flatten() {
            judgement.settle_split(now, scrape_seconds);
        }
    }
}

/// What two sources say of the candidate, where it cannot both be true: the same requests fail at rates far apart.
fn contradiction(first: Counts, second: Counts) -> Option<String> {
    let (requests, share, part) = DISAGREE;
    let (one, other) = first.candidate_rate().zip(second.candidate_rate())?;
    let apart = (one - other).abs();
    let far = first.n_c.min(second.n_c) >= requests && apart > share.max(part * one.max(other));
    far.then(|| {
        format!(
            "{} of {} of the candidate's requests failed by the pods' pages, {} of {} by Prometheus",
            first.x_c, first.n_c, second.x_c, second.n_c
        )
    })
}
