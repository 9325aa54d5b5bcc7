//! What a Change quotes of its workload, bounded: annotations hold 256 kB, a Change with its whole record 1.5 MB.
//!
//! The risk is assessed on the cut texts, which are what is recorded; a cut makes nothing readable that was not.

use firebreak_api::change::{ChangeSpec, Claims};

/// Longest claim that is kept, in bytes: more than the 1024 that the engine takes as a text even where a cut falls before a letter
/// of four bytes, so that a cut one stays too long.
const LONGEST_CLAIM: usize = 1024 + 1 + CUT.len() + 3;
/// Longest part of a claim that is quoted in a sentence, in bytes.
const LONGEST_QUOTE: usize = 60;
/// Longest name of who asked, in bytes.
const LONGEST_NAME: usize = 512;
/// What stands for the rest.
const CUT: &str = "...";

/// Cuts what is longer than anyone reads.
pub(super) fn bound(spec: &mut ChangeSpec) {
    quote(&mut spec.claims);
    bound_claims(&mut spec.claims);
    if let Some(name) = spec.claims.changed_by.as_mut() {
        cut(name, LONGEST_NAME);
    }
}

/// Cuts claims: a cut one is marked, so that what could not be read whole can still not be.
pub(crate) fn bound_claims(claims: &mut Claims) {
    claims.annotations.values_mut().for_each(|claim| cut(claim, LONGEST_CLAIM));
}

/// In a problem the claim is quoted in the middle: what to write instead comes after it, and stays.
fn quote(claims: &mut Claims) {
    for claim in claims.annotations.values().filter(|claim| claim.len() > LONGEST_QUOTE) {
        let mut short = claim.clone();
        cut(&mut short, LONGEST_QUOTE);
        for problem in &mut claims.problems {
            if problem.contains(claim.as_str()) {
                *problem = problem.replace(claim.as_str(), &short);
            }
        }
    }
}

/// Cuts a text to so many bytes, the mark included: cut again, it stays as it is.
fn cut(text: &mut String, limit: usize) {
    if text.len() > limit {
        text.truncate(text.floor_char_boundary(limit.saturating_sub(CUT.len())));
        text.push_str(CUT);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use firebreak_engine::risk;

    use super::*;
    use crate::fake;

    fn bounded(name: &str, text: &str) -> ChangeSpec {
        let mut spec = fake::change("shop-x-1").spec;
        spec.claims.annotations.insert(name.to_owned(), text.to_owned());
        spec.claims.problems = risk::assess(&spec.claims.annotations).problems;
        bound(&mut spec);
        spec
    }

    #[rstest::rstest]
    #[case("firebreak.dev/risk", "write low, medium, high or critical")]
    #[case("firebreak.dev/change-url", "write an http or https address")]
    #[case("firebreak.dev/summary", "a text of 1 to 1024 bytes")]
    fn given_a_claim_of_a_quarter_megabyte_when_a_change_begins_then_it_is_cut_and_the_advice_stays(
        #[case] name: &str,
        #[case] advice: &str,
    ) {
        let spec = bounded(name, &"ü".repeat(125_000));
        assert!(serde_json::to_string(&spec).unwrap().len() < 10_000);
        assert!(spec.claims.problems.first().unwrap().contains(advice), "{:?}", spec.claims.problems);
        // Assessed again from what is kept, it is as malformed as it was.
        assert_eq!(risk::assess(&spec.claims.annotations).problems.len(), 1);
    }

    #[rstest::rstest]
    #[case("x")]
    #[case("ü")]
    #[case("€")]
    #[case("🦀")]
    fn given_a_claim_that_was_cut_when_cut_again_then_it_stays_as_it_is_and_too_long(#[case] letter: &str) {
        for lead in ["", "a", "ab", "abc"] {
            let once = bounded("firebreak.dev/summary", &format!("{lead}{}", letter.repeat(2000)));
            let mut twice = once.clone();
            bound(&mut twice);
            assert_eq!(twice.claims, once.claims);
            assert_eq!(risk::assess(&once.claims.annotations).problems.len(), 1);
        }
    }

    #[test]
    fn given_a_claim_of_the_usual_length_when_a_change_begins_then_it_is_kept_whole() {
        let text = "retry card payments once ".repeat(40);
        assert_eq!(bounded("firebreak.dev/summary", &text).claims.annotations.get("firebreak.dev/summary").unwrap(), &text);
    }
}
