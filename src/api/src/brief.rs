//! What a human who is asked has to know to decide within a minute: the same words in an Event and on a screen.
//!
//! Everything here is read from the Change; nothing is decided.

use firebreak_engine::gates::FROZEN_UNLESS_APPROVED;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::{
    Change, ChangeSpec,
    change::{ChangeStatus, Counted, Phase},
    names, plan,
    policy::{Inconclusive, NoData},
};

/// Longest text of what is asked, and of every other row, in an Event, in characters: with two commands it stays within the 1000
/// bytes that an Event takes.
const ASKED_IN_EVENT: usize = 180;
const ROW_IN_EVENT: usize = 85;
/// Signals and factors that are named; the others are counted.
const MOST_NAMED: usize = 4;
/// Longest name or claim that is shown whole, in characters.
const LONGEST_CLAIM: usize = 120;

/// What the engine says of a Change that waits for people.
pub const WAITING: &str = "WaitingForHuman";

/// Whether people are asked by what a Change waits for.
#[must_use]
pub fn asks(reason: &str) -> bool {
    [WAITING, FROZEN_UNLESS_APPROVED].contains(&reason)
}

/// What a human has to know to decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Brief {
    /// What is asked, of whom, who has answered and who may not.
    pub asked: String,
    /// What changed.
    pub what: String,
    /// Who and what wrote it.
    pub who: String,
    /// Why it is risky.
    pub why: String,
    /// What the evidence shows so far, at which exposure.
    pub seen: String,
    /// What a yes would expose at most.
    pub yes: String,
    /// What happens if nobody answers.
    pub silence: String,
    /// The command that approves.
    pub approve: String,
    /// The command that takes back.
    pub abort: String,
}

impl Brief {
    /// The brief of a Change that waits for people; `None` of one that does not. `cluster` is how the reader named the cluster on
    /// their command line.
    #[must_use]
    pub fn of(change: &Change, now: Timestamp, cluster: &str) -> Option<Self> {
        let status = change.status.as_ref().filter(|status| !status.phase.ended())?;
        let waiting = status.waiting.as_ref().filter(|waiting| asks(&waiting.reason))?;
        let freeze = (waiting.reason == FROZEN_UNLESS_APPROVED).then_some(waiting.message.as_str());
        let spec = &change.spec;
        let next = next_stage(status);
        // Behind the last stage a freeze stands before the hand-over.
        let percent = spec.plan.stages.get(next).copied().or(freeze.map(|_| 100))?;
        let namespace = change.metadata.namespace.as_deref().map_or(String::new(), |namespace| format!(" -n {namespace}"));
        let command = |act: &str| format!("kubectl firebreak {act} {}{namespace}{cluster}", spec.guard);
        Some(Self {
            asked: match freeze {
                Some(_) => {
                    let (whom, not) = whom(spec);
                    let both = spec.plan.approval_stages().contains(&percent);
                    let both =
                        if both { format!("; the same word answers whether {percent} % may begin") } else { String::new() };
                    format!("may it pass the freeze that is in force? {whom} in all{not}{both}")
                }
                None => asked(spec, status, next, percent),
            },
            what: what(spec),
            who: who(spec),
            why: why(spec),
            seen: seen(status, now),
            yes: {
                let window = "; in this window the later stages begin by their evidence as well, up to all of the traffic";
                format!("{}{}", yes(spec, status, percent, now), freeze.map_or("", |_| window))
            },
            silence: match freeze {
                Some(message) => format!(
                    "{}; meanwhile {}",
                    with_guard(message, &format!("{}{namespace}{cluster}", spec.guard)),
                    goes_back(spec, status)
                ),
                None => format!("it stays at {}; {}", number(status.weight_percent), goes_back(spec, status)),
            },
            approve: format!("{} --reason '...'", command("approve")),
            abort: command("abort"),
        })
    }

    /// The rows with their labels, in the order in which they are read.
    #[must_use]
    pub fn rows(&self) -> [(&'static str, &str); 9] {
        [
            ("ASKED", &self.asked),
            ("WHAT", &self.what),
            ("WHO", &self.who),
            ("WHY", &self.why),
            ("SEEN", &self.seen),
            ("IF YES", &self.yes),
            ("IF NOT", &self.silence),
            ("APPROVE", &self.approve),
            ("ABORT", &self.abort),
        ]
    }

    /// As the text of an Event, in which what is long is cut; what to do comes before what may not fit.
    #[must_use]
    pub fn event(&self) -> String {
        let row = |(label, text): (&str, &str)| format!("{label}: {}", cut(text, ROW_IN_EVENT));
        let [_, what, who, why, seen, yes, silence, ..] = self.rows().map(row);
        let asked = format!("ASKED: {}", cut(&self.asked, ASKED_IN_EVENT));
        let (approve, abort) = (format!("APPROVE: {}", self.approve), format!("ABORT: {}", self.abort));
        [asked, approve, abort, yes, silence, seen, what, who, why].join("\n")
    }
}

/// A message whose commands say `GUARD`, with the Guard `at` as it is written in a command in its place.
#[must_use]
pub fn with_guard(message: &str, at: &str) -> String {
    let mut parts = message.split("kubectl firebreak ");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push_str("kubectl firebreak ");
        match part.split_once(" GUARD") {
            Some((verb, rest)) if !verb.contains(' ') => text.push_str(&format!("{verb} {at}{rest}")),
            _ => text.push_str(part),
        }
    }
    text
}

/// The stage that would begin, from 0.
fn next_stage(status: &ChangeStatus) -> usize {
    if matches!(status.phase, Phase::Held | Phase::Preparing) {
        return 0;
    }
    let stage = status.stage.as_deref().and_then(|stage| stage.split('/').next());
    stage.and_then(|stage| stage.trim().parse().ok()).unwrap_or(0)
}

/// How many are asked and of which groups; and who of them may not answer.
fn whom(spec: &ChangeSpec) -> (String, String) {
    let rule = spec.plan.approval.clone().unwrap_or_default();
    let makers = plan::makers(spec);
    let needed = plan::approval(&rule).needed(&makers);
    let people = if needed == 1 { "1 human".to_owned() } else { format!("{needed} different humans") };
    let groups = if rule.groups.is_empty() { String::new() } else { format!(" of {}", rule.groups.join(" or ")) };
    let unknown = if makers.changed_by.is_some() { "" } else { "; nobody vouches for who asked for it, so one more is asked" };
    let by = makers.changed_by.map(|by| format!("{} (asked for it)", cut(&by, LONGEST_CLAIM)));
    let author = makers.author.map(|author| format!("{} (wrote it)", cut(author.trim(), LONGEST_CLAIM)));
    let not: Vec<String> = by.into_iter().chain(author).collect();
    let not = if not.is_empty() { String::new() } else { format!("; not {}", not.join(", ")) };
    (format!("{people}{groups}"), format!("{not}{unknown}"))
}

fn asked(spec: &ChangeSpec, status: &ChangeStatus, next: usize, percent: i32) -> String {
    let (whom, not) = whom(spec);
    let given = status.approvals.iter().filter(|approved| usize::try_from(approved.stage).is_ok_and(|stage| stage == next + 1));
    let given: Vec<String> = given
        .map(|approved| {
            let until = approved.until.map_or(String::new(), |until| format!(" (until {})", until.strftime("%H:%M:%S UTC")));
            format!("{}{until}", cut(&approved.by, LONGEST_CLAIM))
        })
        .collect();
    let given = if given.is_empty() { "nobody has yet".to_owned() } else { format!("{} approved", given.join(", ")) };
    format!("may {percent} % begin? {whom}; {given}{not}")
}

fn what(spec: &ChangeSpec) -> String {
    let mut differences: Vec<String> = spec.differences.iter().take(MOST_NAMED).cloned().collect();
    let more = spec.differences.len().saturating_sub(MOST_NAMED);
    if more > 0 {
        differences.push(format!("{more} more differences"));
    }
    // A Change that was begun before differences were recorded has its images.
    let changed = match (differences.is_empty(), spec.candidate.images.is_empty()) {
        (false, _) => differences.join("; "),
        (true, false) => spec.candidate.images.join(", "),
        (true, true) => "no images recorded".to_owned(),
    };
    let said = |name: &str| spec.claims.annotations.get(name).map(|text| cut(text.trim(), LONGEST_CLAIM));
    let summary = said(names::SUMMARY).map_or(String::new(), |text| format!("; \"{text}\""));
    let url = said(names::CHANGE_URL).map_or(String::new(), |text| format!("; {text}"));
    format!("{changed} (revision {}; stable is {}){summary}{url}", spec.candidate.hash, spec.stable.hash)
}

fn who(spec: &ChangeSpec) -> String {
    let said = |name: &str| spec.claims.annotations.get(name).map(|text| cut(text.trim(), LONGEST_CLAIM));
    let author = said(names::AUTHOR).unwrap_or_else(|| "someone it does not name".to_owned());
    let machine = said(names::AI_CONTRIBUTION).map_or_else(
        || "it does not say whether a machine took part".to_owned(),
        |part| format!("contribution {part}{}", said(names::AI_AGENTS).map_or(String::new(), |agents| format!(" ({agents})"))),
    );
    let reviewed = said(names::REVIEWED_BY).map_or_else(|| "no reviewer named".to_owned(), |by| format!("reviewed by {by}"));
    let by = plan::makers(spec).changed_by.unwrap_or_else(|| "someone nobody vouches for".to_owned());
    format!("written by {author}; {machine}; {reviewed}; asked for by {}", cut(&by, LONGEST_CLAIM))
}

fn why(spec: &ChangeSpec) -> String {
    let mut factors: Vec<String> = spec.risk.factors.iter().take(MOST_NAMED).map(|factor| factor.effect.clone()).collect();
    let more = spec.risk.factors.len().saturating_sub(MOST_NAMED);
    if more > 0 {
        factors.push(format!("{more} more factors"));
    }
    format!("{} risk: {}", spec.risk.level, factors.join("; "))
}

fn seen(status: &ChangeStatus, now: Timestamp) -> String {
    if status.exposed_at.is_none() {
        return "nothing yet: no request has reached it".to_owned();
    }
    let rate = |counted: Counted| {
        let share = if counted.requests == 0 { 0.0 } else { counted.failures as f64 * 100.0 / counted.requests as f64 };
        format!("{} ({} of {})", number(share), counted.failures, counted.requests)
    };
    let mut signals: Vec<String> = status
        .evidence
        .iter()
        .take(MOST_NAMED)
        .map(|one| format!("{} {}, stable {}", one.signal, rate(one.candidate), rate(one.stable)))
        .collect();
    let more = status.evidence.len().saturating_sub(MOST_NAMED);
    if more > 0 {
        signals.push(format!("{more} more signals"));
    }
    let harm = status
        .harm
        .map_or(String::new(), |harm| format!("; harm {:.1} of the {:.1} that take it back", harm.evidence, harm.needed));
    let time = status.stage_began_at.map_or(String::new(), |began| format!(" for {}", minutes(now.duration_since(began))));
    let measured = status.exposure_percent.map_or(String::new(), |share| format!(" ({} measured)", number(share)));
    format!("at {}{measured}{time}: {}{harm}", number(status.weight_percent), signals.join("; "))
}

/// What the stage would expose at most, by the requests that were counted since the Change was seen.
fn yes(spec: &ChangeSpec, status: &ChangeStatus, percent: i32, now: Timestamp) -> String {
    let share = spec.share_percent(percent);
    let budget = match spec.availability {
        Some(availability) => spec.plan.budget_percent.min(spec.plan.slo_factor * (100.0 - availability)),
        None => spec.plan.budget_percent,
    };
    let counted = status.evidence.iter().map(|one| one.candidate.requests + one.stable.requests).max().unwrap_or(0);
    let passed = now.duration_since(spec.detected_at).as_secs_f64() / 60.0;
    let a_minute = if passed > 0.0 { counted as f64 / passed } else { 0.0 };
    let requests = if counted == 0 {
        String::new()
    } else {
        format!(", about {} requests a minute as counted so far", whole(a_minute * share / 100.0))
    };
    let harmed = if counted == 0 { String::new() } else { format!(", {} a minute", whole(a_minute * budget / 100.0)) };
    format!(
        "at most {} of the traffic{requests}; the budget lets {} of all requests be harmed{harmed}",
        number(share),
        number(budget)
    )
}

/// What takes it back while nobody answers: by the policy not only harm.
fn goes_back(spec: &ChangeSpec, status: &ChangeStatus) -> String {
    let mut back = vec!["harm".to_owned()];
    if spec.plan.no_data == NoData::RollBack && status.exposed_at.is_some() {
        back.push(format!("metrics that are missing for {}", spec.plan.no_data_after));
    }
    if spec.plan.inconclusive == Inconclusive::RollBack && status.exposed_at.is_some() {
        back.push(format!("evidence that is inconclusive after {}", spec.plan.max_bake));
    }
    match back.as_slice() {
        [harm] => format!("{harm} takes it back by itself"),
        more => format!("{} take it back by themselves", more.join(", or ")),
    }
}

/// A percentage with what of it matters.
fn number(percent: f64) -> String {
    let text = if percent == 0.0 || percent >= 10.0 { format!("{percent:.1}") } else { format!("{percent:.3}") };
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text} %")
}

/// A count that may be below one.
fn whole(count: f64) -> String {
    if count >= 10.0 { format!("{count:.0}") } else { format!("{count:.1}") }
}

fn minutes(time: SignedDuration) -> String {
    let seconds = time.as_secs().max(0);
    if seconds < 120 { format!("{seconds} s") } else { format!("{} min", seconds / 60) }
}

/// A text within so many characters, on one line.
fn cut(text: &str, limit: usize) -> String {
    let plain: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    if plain.chars().count() <= limit {
        return plain;
    }
    let kept: String = plain.chars().take(limit.saturating_sub(3)).collect();
    format!("{kept}...")
}
