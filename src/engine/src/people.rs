//! Who may let a change through: what a level asks of humans, who made the change, and when two names are one person.
//!
//! Names are compared to the strict side: who could be the maker counts as the maker, and another human is asked.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::units::Millis;

/// What a level asks of the humans that it asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Approval {
    /// How many different people must approve a stage, 1 or more.
    pub count: u32,
    /// Groups, one of which each of them must be in; empty where whoever may approve at all may approve this.
    pub groups: Vec<String>,
    /// How long an approval holds, seconds; `None` where it does not expire.
    pub expires_after_seconds: Option<f64>,
}

impl Default for Approval {
    fn default() -> Self {
        Self { count: 1, groups: Vec::new(), expires_after_seconds: None }
    }
}

/// Who made a change: they do not approve it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Makers {
    /// Who asked the API server for the template, as it vouches for them; `None` where it does not (a late hold).
    pub changed_by: Option<String>,
    /// Who wrote it, as the change claims: names or `Name <mail>`, separated by commas.
    pub author: Option<String>,
}

/// A human's yes to a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approved {
    /// Who, as the API server knows them.
    pub by: String,
    /// The stage that may begin, from 0.
    pub stage: usize,
    /// When they said so.
    pub at: Millis,
    /// Why.
    pub reason: Option<String>,
}

/// In which way someone made the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// They asked the API server for the template.
    AskedForIt,
    /// The change names them as its author.
    WroteIt,
}

impl Approval {
    /// How many different people a stage takes. Where nobody vouches for who asked for the template, one of the approvers may
    /// have been it, so one more is asked.
    #[must_use]
    pub fn needed(&self, makers: &Makers) -> u32 {
        self.count.max(1).saturating_add(u32::from(makers.changed_by.is_none()))
    }

    /// Until when an approval that was given at `at` holds; `None` where it does not expire.
    #[must_use]
    pub fn until(&self, at: Millis) -> Option<Millis> {
        self.expires_after_seconds.map(|seconds| at.plus_seconds(seconds))
    }

    /// Whether someone in these groups is among those who are asked.
    #[must_use]
    pub fn asks(&self, groups: &[String]) -> bool {
        self.groups.is_empty() || self.groups.iter().any(|group| groups.contains(group))
    }
}

impl Makers {
    /// In which way this user made the change, if they could have.
    #[must_use]
    pub fn made_by(&self, user: &str) -> Option<Made> {
        let same = |other: &str| other.trim().to_lowercase() == user.trim().to_lowercase();
        if self.changed_by.as_deref().is_some_and(same) {
            return Some(Made::AskedForIt);
        }
        let author = self.author.as_deref()?;
        author.split(',').any(|one| is_same_person(user, one)).then_some(Made::WroteIt)
    }
}

/// Whether a user name of the API server and an author's `Name <mail>` could be one person's: the same letters whatever their
/// case, with or without an issuer's prefix (`oidc:`), and a mail address like its part before the `@` where the other is bare.
#[must_use]
pub fn is_same_person(user: &str, author: &str) -> bool {
    let (user, author) = (names_in_user(user), names_in_author(author));
    user.iter().any(|user| {
        author.iter().any(|author| {
            let (local_user, local_author) = (local_part(user), local_part(author));
            user == author || local_user == Some(author.as_str()) || local_author == Some(user.as_str())
        })
    })
}

/// Whether two user names of the API server could be one person's.
#[must_use]
pub fn are_one(user: &str, other: &str) -> bool {
    is_same_person(user, other) || is_same_person(other, user)
}

/// The part of a mail address before the `@`; `None` of what is none.
fn local_part(text: &str) -> Option<&str> {
    text.split_once('@').map(|(local, _)| local).filter(|local| !local.is_empty())
}

fn plain(text: &str) -> Option<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    Some(words.join(" ").to_lowercase()).filter(|text| !text.is_empty())
}

fn names_in_user(user: &str) -> BTreeSet<String> {
    let bare = user.rsplit([':', '#', '|', '/']).next();
    [Some(user), bare].into_iter().flatten().filter_map(plain).collect()
}

fn names_in_author(author: &str) -> BTreeSet<String> {
    let (name, mail) = author.split_once('<').map_or((author, ""), |(name, mail)| (name, mail));
    let mail = mail.trim_end().trim_end_matches('>');
    [author, name, mail].into_iter().filter_map(plain).collect()
}

/// Why an act that lets something through is refused where the API server does not vouch for who asked, in words; `verb` is
/// the act as a word of the command line.
#[must_use]
pub fn unattested(verb: &str) -> String {
    format!(
        "nobody vouches for who asked to {verb}, and Firebreak does that for nobody it does not know: it takes the chart's \
         ValidatingAdmissionPolicy firebreak-interventions (Kubernetes 1.30, admission.enabled), and before Kubernetes 1.36 your own \
         name in spec.by, which kubectl firebreak {verb} writes. Pause and abort need nothing of it"
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::the_same("ann", "ann", true)]
    #[case::another_case("Ann@Example.com", "ann@example.COM", true)]
    #[case::name_and_mail("ann@example.com", "Ann Lee <ann@example.com>", true)]
    #[case::name_of_name_and_mail("Ann Lee", "ann  lee <a.lee@example.com>", true)]
    #[case::an_issuers_prefix("oidc:ann@example.com", "Ann Lee <ann@example.com>", true)]
    #[case::an_issuers_address("https://login.example.com#ann", "ann", true)]
    #[case::bare_user_and_mail("ann", "Ann Lee <ann@example.com>", true)]
    #[case::mail_and_bare_author("ann@example.com", "Ann", true)]
    #[case::another_person("bob", "Ann Lee <ann@example.com>", false)]
    #[case::another_mail_of_the_same_domain("bob@example.com", "Ann Lee <ann@example.com>", false)]
    #[case::the_same_local_part_elsewhere("ann@other.org", "ann@example.com", false)]
    #[case::a_part_of_a_name("an", "ann", false)]
    #[case::a_given_name_alone("lee", "Ann Lee <ann@example.com>", false)]
    #[case::nobody("ann", " ", false)]
    #[case::an_empty_mail("bob", "Ann <>", false)]
    #[case::no_user("", "Ann <@>", false)]
    fn given_a_user_and_an_author_when_compared_then_they_are_one_person_or_not(
        #[case] user: &str,
        #[case] author: &str,
        #[case] same: bool,
    ) {
        assert_eq!(is_same_person(user, author), same);
    }

    #[rstest]
    #[case::asked_for_it("ann", Some(Made::AskedForIt))]
    #[case::asked_for_it_in_another_case("ANN", Some(Made::AskedForIt))]
    #[case::first_author("bob", Some(Made::WroteIt))]
    #[case::second_author("carol@example.com", Some(Made::WroteIt))]
    #[case::someone_else("dave", None)]
    fn given_a_change_when_a_user_is_looked_up_then_it_is_known_how_they_made_it(#[case] user: &str, #[case] made: Option<Made>) {
        let makers =
            Makers { changed_by: Some("ann".to_owned()), author: Some("Bob <bob@example.com>, carol@example.com".to_owned()) };
        assert_eq!(makers.made_by(user), made);
    }

    #[rstest]
    #[case::another_case("ann", "ANN", true)]
    #[case::an_issuers_prefix("oidc:ann", "ann", true)]
    #[case::two_people("oidc:ann", "oidc:bob", false)]
    fn given_two_users_when_compared_then_they_are_one_person_or_not(#[case] user: &str, #[case] other: &str, #[case] one: bool) {
        assert_eq!((are_one(user, other), are_one(other, user)), (one, one));
    }

    #[test]
    fn given_a_change_that_nobody_vouches_for_when_asked_how_many_then_one_more() {
        let approval = Approval { count: 2, ..Approval::default() };
        let known = Makers { changed_by: Some("ann".to_owned()), author: None };
        assert_eq!((approval.needed(&known), approval.needed(&Makers::default())), (2, 3));
    }

    proptest! {
        /// Whatever the letters' case, and however it is wrapped, the maker stays the maker.
        #[test]
        fn given_a_maker_when_their_name_is_written_otherwise_then_they_are_still_the_maker(
            name in "[a-z]{1,12}", upper in any::<bool>(), prefix in "(oidc:|corp/|)", domain in "[a-z]{1,8}\\.com",
        ) {
            let mail = format!("{name}@{domain}");
            let written = if upper { mail.to_uppercase() } else { mail.clone() };
            let (user, author) = (format!("{prefix}{written}"), format!("Some One <{mail}>"));
            prop_assert!(is_same_person(&user, &author));
        }
    }
}
