//! What the messages of a change's commits say of machines and reviewers. Read leniently: any line of the form `Key: value`,
//! in any paragraph (squashed commits leave their trailers in the middle), in any case, behind a bullet or a quote mark.
//!
//! What is known: `Assisted-by`, `AI-Assisted`, `Co-authored-by` and `Co-developed-by` (of agents), `Generated-by`,
//! `AI-Generated`, the sentence `Generated with <agent>`; `Reviewed-by`, `Approved-by`.

use std::collections::BTreeSet;

use crate::agents::{self, Person};

/// Who or what wrote a change: the values of `firebreak.dev/ai-contribution`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Contribution {
    /// It is said that no machine did.
    Human,
    /// A machine.
    Ai,
    /// Both.
    Mixed,
    /// Nothing is said.
    Unknown,
}

impl Contribution {
    /// As the annotation has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Ai => "ai",
            Self::Mixed => "mixed",
            Self::Unknown => "unknown",
        }
    }

    /// Of two parts of one change: a machine's part is never lost, and where one part is not told the whole is not human.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (one, two) if one == two => one,
            (Self::Human | Self::Unknown, Self::Human | Self::Unknown) => Self::Unknown,
            _ => Self::Mixed,
        }
    }
}

/// What one message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Who wrote it.
    pub contribution: Contribution,
    /// The agents that are named.
    pub agents: BTreeSet<String>,
    /// Humans who wrote it together with its author.
    pub co_authors: Vec<Person>,
    /// Humans who reviewed it, none of whom may be its author or a co-author.
    pub reviewers: Vec<Person>,
}

/// Bytes of a message that are read; the rest is not, since no message is that long.
pub(crate) const LONGEST_MESSAGE: usize = 256 * 1024;
/// Characters (bytes, in a trace) of an agent's name that are kept.
pub(crate) const LONGEST_AGENT: usize = 60;

/// What a line's key is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    Assisted,
    CoAuthored,
    Generated,
    Reviewed,
}

const KEYS: [(&str, Key); 13] = [
    ("assisted-by", Key::Assisted),
    ("ai-assisted", Key::Assisted),
    ("ai-assisted-by", Key::Assisted),
    ("ai-assistant", Key::Assisted),
    ("ai-assistance", Key::Assisted),
    ("co-authored-by", Key::CoAuthored),
    ("co-developed-by", Key::CoAuthored),
    ("generated-by", Key::Generated),
    ("generated-with", Key::Generated),
    ("ai-generated", Key::Generated),
    ("ai-generated-by", Key::Generated),
    ("reviewed-by", Key::Reviewed),
    ("approved-by", Key::Reviewed),
];

/// What a value says of a machine.
enum Machine {
    /// Named.
    Named(String),
    /// One, or a part of it; which is not said.
    Some,
    /// None at all.
    None,
    /// A human is named instead.
    Human,
}

/// Reads one commit: its author and its message.
#[must_use]
pub fn read(author: &Person, message: &str) -> Said {
    let mut said =
        Said { contribution: Contribution::Unknown, agents: BTreeSet::new(), co_authors: Vec::new(), reviewers: Vec::new() };
    let (mut wrote, mut helped, mut denied) = (false, false, false);
    if let Some(agent) = author.agent() {
        said.agents.insert(agent.to_owned());
        wrote = true;
    }
    let end = (0..=message.len().min(LONGEST_MESSAGE)).rev().find(|end| message.is_char_boundary(*end)).unwrap_or(0);
    for line in message.get(..end).unwrap_or_default().lines() {
        let line = bare(line);
        if let Some(agent) = sentence(line) {
            said.agents.insert(agent.to_owned());
            wrote = true;
            continue;
        }
        let Some((key, value)) = trailer(line) else { continue };
        match key {
            Key::Reviewed => add_human(&mut said.reviewers, author, value),
            Key::CoAuthored => match Person::read(value).agent() {
                Some(agent) => {
                    said.agents.insert(agent.to_owned());
                    helped = true;
                }
                None => add_human(&mut said.co_authors, author, value),
            },
            Key::Assisted | Key::Generated => {
                for machine in machines(value) {
                    match machine {
                        Machine::Named(name) => {
                            said.agents.insert(name);
                            wrote |= key == Key::Generated;
                            helped = true;
                        }
                        Machine::Some => {
                            wrote |= key == Key::Generated;
                            helped = true;
                        }
                        Machine::None => denied = true,
                        Machine::Human => {}
                    }
                }
            }
        }
    }
    said.reviewers.retain(|person| !std::iter::once(author).chain(&said.co_authors).any(|writer| writer.may_be(person)));
    said.contribution = match (wrote, helped, denied) {
        (true, ..) if !said.co_authors.is_empty() => Contribution::Mixed,
        (true, ..) => Contribution::Ai,
        (false, true, _) => Contribution::Mixed,
        (false, false, true) => Contribution::Human,
        (false, false, false) => Contribution::Unknown,
    };
    said
}

/// A line without what stands before its text: bullets, quote marks, pictures.
fn bare(line: &str) -> &str {
    line.trim().trim_start_matches(|mark: char| !mark.is_alphanumeric() && mark != '[').trim_end()
}

/// The key and the value of a trailer that is known.
fn trailer(line: &str) -> Option<(Key, &str)> {
    let (key, value) = line.split_once([':', '='])?;
    let key: String =
        key.trim().trim_matches('*').to_lowercase().chars().map(|c| if c == '_' || c == ' ' { '-' } else { c }).collect();
    let value = value.trim().trim_matches('*').trim();
    KEYS.iter().find(|(name, _)| *name == key && !value.is_empty()).map(|(_, key)| (*key, value))
}

/// The agent of a sentence such as `Generated with [Claude Code](...)`.
fn sentence(line: &str) -> Option<&'static str> {
    let lower = line.to_lowercase();
    let told = ["generated with ", "generated by ", "written by ", "created with ", "created by "];
    told.iter().find_map(|words| lower.strip_prefix(words)).and_then(agents::named_in)
}

/// Adds a person who is neither known already, nor the author, nor a machine.
fn add_human(people: &mut Vec<Person>, author: &Person, value: &str) {
    let person = Person::read(value);
    let known = people.iter().any(|other| other.identity() == person.identity());
    let own =
        person.identity() == author.identity() || (person.email.is_empty() && person.name.eq_ignore_ascii_case(&author.name));
    if !known && !own && !person.is_machine() && !person.identity().is_empty() {
        people.push(person);
    }
}

/// The machines of a value: a list of names, or yes or no.
fn machines(value: &str) -> Vec<Machine> {
    value.split([',', ';']).filter(|part| !part.trim().is_empty()).map(machine).collect()
}

fn machine(value: &str) -> Machine {
    let value = value.trim().trim_end_matches('.');
    match value.to_lowercase().as_str() {
        "no" | "none" | "false" | "0" | "n" | "n/a" | "never" | "0%" => return Machine::None,
        "yes" | "true" | "1" | "y" | "partially" | "partly" | "partial" | "ai" | "llm" => return Machine::Some,
        _ => {}
    }
    if value.trim_end_matches('%').trim().parse::<f64>().is_ok() {
        return Machine::Some;
    }
    // `[Claude Code](https://...)`: the text of the link.
    let link = value.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(text, _)| text);
    let person = Person::read(link.unwrap_or(value));
    if let Some(agent) = person.agent() {
        return Machine::Named(agent.to_owned());
    }
    if !person.email.is_empty() && !person.is_machine() && !person.email.to_lowercase().contains("noreply") {
        return Machine::Human;
    }
    if let Some(agent) = agents::meant(&person.name) {
        return Machine::Named(agent.to_owned());
    }
    // `Agent:model [tool]` names the agent first.
    let name = person.name.split([':', '[', '(']).next().unwrap_or_default().trim();
    match name.chars().take(LONGEST_AGENT).filter(|c| !c.is_control()).collect::<String>() {
        name if name.is_empty() => Machine::Some,
        name => Machine::Named(name),
    }
}

#[cfg(test)]
mod tests;
