//! What is claimed of a change: the annotations that Firebreak reads, the reasons, and what they rest on.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::{
    agents::Person,
    measure::{Dimension, Direction, Measure, Measures},
    repository::Commit,
    score::{HIGH, SMALLEST_SAMPLE, Sample, Share, Standing},
    trailers::{Contribution, Said},
    words::{self, count, float, grouped},
};

/// Bytes of a claim that Firebreak takes at most.
pub(crate) const LONGEST_CLAIM: usize = firebreak_engine::policy::facts::LONGEST_TEXT;
/// Bytes of a summary, so that it can be read at a glance.
const LONGEST_SUMMARY: usize = 512;
/// Bytes of a commit's first line in it.
const LONGEST_SUBJECT: usize = 120;
/// Reasons that are given at most.
const MOST_REASONS: usize = 6;
/// Reasons that the summary holds.
const SUMMARY_REASONS: usize = 3;

/// All that is claimed and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Claims {
    /// Names and values, ready to be put on a workload.
    pub annotations: BTreeMap<String, String>,
    /// Where the change stands as a whole; absent where there is too little history.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<Score>,
    /// Which measures are high, the highest first, in words.
    pub reasons: Vec<String>,
    /// All measures that were taken.
    pub measures: Vec<Measured>,
    /// What was read to compare with.
    pub read: Read,
    /// What should be known besides.
    pub notes: Vec<String>,
}

/// A score.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Score {
    /// As the annotation has it: from 0.00 to 1.00.
    pub value: String,
    /// Share of the past changes that are less risky, from 0 to 1.
    pub riskier_than: Share,
}

/// A measure of the change and where it stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    /// Its name.
    pub name: &'static str,
    /// Its symbol in Kamei et al. 2013.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub symbol: Option<&'static str>,
    /// Its value.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// Share of the past changes that are less risky in it, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub riskier_than: Option<f64>,
    /// What it is.
    pub explanation: &'static str,
}

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Read {
    /// Commits before the change.
    pub commits: usize,
    /// Whether there are no others.
    pub whole_history: bool,
    /// Past changes that the change is compared with.
    pub changes_compared_with: usize,
}

/// What the claims are made from.
pub(crate) struct Basis<'a> {
    /// The commits of the change, newest first.
    pub(crate) commits: &'a [Commit],
    pub(crate) measures: &'a Measures,
    pub(crate) sample: &'a Sample,
    pub(crate) read: Read,
    /// What Agent Trace records say.
    pub(crate) traced: (Contribution, BTreeSet<String>),
    pub(crate) change_url: Option<&'a str>,
    pub(crate) notes: Vec<String>,
}

impl Claims {
    pub(crate) fn new(basis: Basis<'_>) -> Self {
        let Basis { commits, measures, sample, read, traced, change_url, mut notes } = basis;
        let own = own(commits);
        let said: Vec<Said> = own.iter().map(|commit| commit.said()).collect();
        let standing = sample.score(measures);
        let high = high(measures, sample);
        let reasons = high.iter().map(|high| high.reason(read)).collect();
        let mut annotations = BTreeMap::new();
        let mut claim = |name: &str, text: &str| {
            let text = words::line(text, LONGEST_CLAIM);
            if !text.is_empty() {
                annotations.insert(format!("firebreak.dev/{name}"), text);
            }
        };
        if let Some(head) = commits.first() {
            claim("revision", &head.id.to_string());
        }
        claim("author", &listed("author", authors(&own, &said), &mut notes));
        let (told, mut agents) = told(&said);
        agents.extend(traced.1);
        claim("ai-contribution", both(told, traced.0).as_str());
        claim("ai-agents", &listed("agent", &agents, &mut notes));
        match reviewers(commits, &own, &said) {
            Ok(reviewers) => claim("reviewed-by", &listed("reviewer", &reviewers, &mut notes)),
            Err(note) => notes.push(note),
        }
        claim("change-url", change_url.unwrap_or_default());
        let score =
            standing.map(|standing| Score { value: format!("{:.2}", standing.middle.get()), riskier_than: standing.below });
        match &score {
            Some(score) => claim("risk-score", &score.value),
            None => notes.push(format!(
                "no risk score: {} came before, and a percentile needs {SMALLEST_SAMPLE}. Firebreak takes a change without one as medium; \
                 set firebreak.dev/risk to say otherwise",
                count(float(read.changes_compared_with), "change")
            )),
        }
        let summary = summary(&own, measures, standing, &high, read);
        claim("summary", &words::line(&summary, LONGEST_SUMMARY));
        Self { annotations, score, reasons, measures: measured(measures, sample), read, notes }
    }

    /// What the claims rest on, in lines for people.
    #[must_use]
    pub fn explanation(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(score) = &self.score {
            lines.push(format!(
                "Risk score {}: riskier than {} of {}.",
                score.value,
                score.riskier_than.words(),
                among(self.read)
            ));
        }
        lines.extend(self.reasons.iter().map(|reason| format!("- {reason}")));
        let extent = if self.read.whole_history { "all there are" } else { "the newest; older ones were not read" };
        lines.push(format!("Read before the change: {} ({extent}).", count(float(self.read.commits), "commit")));
        lines.extend(self.notes.iter().map(|note| format!("Note: {note}.")));
        lines
    }
}

/// `the last 1,000 changes`.
fn among(read: Read) -> String {
    format!("the last {} changes", grouped(float(read.changes_compared_with)))
}

/// The commits that are the change's own work: all but merges, unless there is nothing else.
pub(crate) fn own(commits: &[Commit]) -> Vec<&Commit> {
    let own: Vec<&Commit> = commits.iter().filter(|commit| !commit.is_merge()).collect();
    if own.is_empty() { commits.iter().collect() } else { own }
}

/// Everyone who wrote the change: authors by how many of its commits they wrote, then co-authors.
pub(crate) fn authors(own: &[&Commit], said: &[Said]) -> Vec<Person> {
    let mut found: Vec<(usize, Person)> = Vec::new();
    for commit in own {
        match found.iter_mut().find(|(_, person)| person.identity() == commit.author.identity()) {
            Some((number, _)) => *number += 1,
            None => found.push((1, commit.author.clone())),
        }
    }
    // The sort is stable: of equals the one who wrote last stays first.
    found.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    let mut people: Vec<Person> = found.into_iter().map(|(_, person)| person).collect();
    for person in said.iter().flat_map(|said| &said.co_authors) {
        if people.iter().all(|other| other.identity() != person.identity()) {
            people.push(person.clone());
        }
    }
    people
}

/// What the messages of all commits come to.
fn told(said: &[Said]) -> (Contribution, BTreeSet<String>) {
    let contribution = said.iter().map(|said| said.contribution).reduce(Contribution::and).unwrap_or(Contribution::Unknown);
    (contribution, said.iter().flat_map(|said| said.agents.iter().cloned()).collect())
}

/// Of messages and records: what one does not tell the other may.
fn both(told: Contribution, traced: Contribution) -> Contribution {
    match (told, traced) {
        (told, Contribution::Unknown) => told,
        (Contribution::Unknown, traced) => traced,
        (told, traced) => told.and(traced),
    }
}

/// Who reviewed the change, all of it: each commit, or the merge that brought them all, by others than those who wrote it.
/// Otherwise what is missing, in words.
fn reviewers(commits: &[Commit], own: &[&Commit], said: &[Said]) -> Result<Vec<Person>, String> {
    let merge = commits.first().filter(|head| head.is_merge());
    let of_merge = merge.map(|merge| merge.said().reviewers).unwrap_or_default();
    let whole = merge.is_some_and(|merge| brought_all(merge, commits));
    let counted = if whole { of_merge.as_slice() } else { &[] };
    let (mut people, mut unread): (Vec<Person>, usize) = (Vec::new(), 0);
    for (commit, said) in own.iter().zip(said) {
        let wrote = |person: &Person| std::iter::once(&commit.author).chain(&said.co_authors).any(|writer| writer.may_be(person));
        let mut others = said.reviewers.iter().chain(counted).filter(|person| !wrote(person)).peekable();
        unread += usize::from(others.peek().is_none());
        for person in others {
            if people.iter().all(|other| other.identity() != person.identity()) {
                people.push(person.clone());
            }
        }
    }
    let named = !of_merge.is_empty() || said.iter().any(|said| !said.reviewers.is_empty());
    if unread == 0 || !named {
        return Ok(people);
    }
    let of_a_part = if whole || of_merge.is_empty() { "" } else { " (the merge does, but it did not bring all of them)" };
    let names_none = if unread == said.len() {
        "no commit names a human other than its authors".to_owned()
    } else {
        format!("{unread} of {} name no human other than their authors", count(float(said.len()), "commit"))
    };
    Err(format!("{names_none} in Reviewed-by or Approved-by{of_a_part}, so firebreak.dev/reviewed-by is not claimed"))
}

/// Whether a merge brought all other commits of the range: none of them came before it on its own branch. The range holds with a
/// commit's child also the commit, unless the base has it; so it is enough to look for the first parent.
fn brought_all(merge: &Commit, commits: &[Commit]) -> bool {
    merge.parents.first().is_some_and(|first| commits.iter().all(|commit| commit.id != *first))
}

/// As many names as a claim holds, each of them whole; what is left out is noted.
fn listed<T: ToString>(thing: &str, names: impl IntoIterator<Item = T>, notes: &mut Vec<String>) -> String {
    let (mut text, mut left_out) = (String::new(), 0);
    for name in names {
        let name = words::line(&name.to_string(), LONGEST_CLAIM);
        let separator = if text.is_empty() { "" } else { ", " };
        if left_out > 0 || text.len() + separator.len() + name.len() > LONGEST_CLAIM {
            left_out += 1;
        } else {
            text.push_str(separator);
            text.push_str(&name);
        }
    }
    if left_out > 0 {
        notes.push(format!(
            "{} left out: a claim holds at most {} bytes",
            count(float(left_out), thing),
            grouped(float(LONGEST_CLAIM))
        ));
    }
    text
}

/// A measure in which the change stands high.
struct High {
    measure: Measure,
    value: f64,
    standing: Standing,
}

/// The measures in which the change stands high: the highest of each dimension first, since those of one dimension often say
/// the same.
fn high(measures: &Measures, sample: &Sample) -> Vec<High> {
    if sample.size() < SMALLEST_SAMPLE {
        return Vec::new();
    }
    let one = |measure: Measure| {
        let value = measures.get(measure)?;
        let standing = sample.standing(measure, measures.ranked(measure)?)?;
        let stands_out = standing.middle.get() >= HIGH && (!measure.is_flag() || value > 0.0);
        stands_out.then_some(High { measure, value, standing })
    };
    let mut all: Vec<High> = Measure::ALL.into_iter().filter_map(one).collect();
    all.sort_by(|one, other| other.standing.middle.get().total_cmp(&one.standing.middle.get()));
    let mut seen: BTreeMap<Dimension, usize> = BTreeMap::new();
    let mut ranked: Vec<(usize, High)> = Vec::new();
    for high in all {
        let before = seen.entry(high.measure.dimension()).or_default();
        ranked.push((*before, high));
        *before += 1;
    }
    ranked.sort_by_key(|(before, _)| *before);
    ranked.into_iter().map(|(_, high)| high).take(MOST_REASONS).collect()
}

impl High {
    /// `41 files touched: more than in 97 % of the last 1,000 changes`.
    fn reason(&self, read: Read) -> String {
        let words = self.measure.words(self.value);
        let changes = among(read);
        match (self.measure.is_flag(), self.measure.direction()) {
            (true, _) => format!("{words}, as {} of {changes} did", self.standing.same.words()),
            (false, Direction::Rises) => format!("{words}: more than in {} of {changes}", self.standing.below.words()),
            (false, Direction::Falls) => format!("{words}: less than in {} of {changes}", self.standing.below.words()),
        }
    }
}

fn measured(measures: &Measures, sample: &Sample) -> Vec<Measured> {
    let one = |measure: Measure| {
        let value = measures.get(measure)?;
        Some(Measured {
            name: measure.name(),
            symbol: measure.symbol(),
            value: rounded(value),
            unit: measure.unit(),
            riskier_than: sample.standing(measure, measures.ranked(measure)?).map(|standing| rounded(standing.below.get())),
            explanation: measure.explanation(),
        })
    };
    Measure::ALL.into_iter().filter_map(one).collect()
}

/// Four digits behind the point: more would be noise.
fn rounded(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

fn summary(own: &[&Commit], measures: &Measures, standing: Option<Standing>, high: &[High], read: Read) -> String {
    let subject = own.first().map(|commit| words::line(commit.subject(), LONGEST_SUBJECT)).unwrap_or_default();
    let more = if own.len() > 1 { format!(" and {}", count(float(own.len() - 1), "other commit")) } else { String::new() };
    let value = |measure: Measure| measures.get(measure).unwrap_or_default();
    let size = format!(
        "{}, +{} -{} lines",
        count(value(Measure::Files), "file"),
        grouped(value(Measure::LinesAdded)),
        grouped(value(Measure::LinesDeleted))
    );
    let why: Vec<String> = high.iter().take(SUMMARY_REASONS).map(|high| high.measure.words(high.value)).collect();
    let why = if why.is_empty() { String::new() } else { format!(": {}", why.join("; ")) };
    let risk = standing.map(|standing| format!(" Riskier than {} of {}{why}.", standing.below.words(), among(read)));
    format!("{subject}{more}; {size}.{}", risk.unwrap_or_default())
}
