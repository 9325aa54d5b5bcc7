//! Rules: what they ask and what they do, compiled once.

use std::sync::Arc;

use cel::{Env, Program};
use serde::{Deserialize, Serialize};

use super::check::{self, Checked};
use crate::risk::Level;

/// Rules of one policy.
pub const MOST_RULES: usize = 64;
/// Characters of one condition.
pub const LONGEST_CONDITION: usize = 1024;
/// Brackets inside one another in a condition: the parser goes as deep.
const MOST_BRACKETS: usize = 24;
/// Steps that one condition may need at most, counted before it is ever evaluated: what bounds its time.
pub const MOST_STEPS: u64 = 100_000;
/// Steps that all conditions of a policy may need together at most: four of the dearest. The benchmark `policy` times such a one.
pub const MOST_STEPS_OF_ALL: u64 = 400_000;

/// A rule as people write it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// Its name, unique in its policy.
    pub name: String,
    /// When it holds: a condition in CEL over the facts.
    pub when: String,
    /// What it does then.
    pub effects: Effects,
}

/// What a rule does when it holds. None of it ever makes less strict.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Effects {
    /// Levels by which the risk rises.
    pub raise: u8,
    /// The least level.
    pub at_least: Option<Level>,
    /// Percentages before which a human is asked: before the first stage that gives the candidate at least so much; 0 before
    /// any exposure.
    pub approval_at: Vec<u8>,
    /// Why the change is refused.
    pub refuse: Option<String>,
    /// What people are told.
    pub factor: Option<String>,
}

impl Effects {
    /// What it does, in words.
    #[must_use]
    pub fn words(&self) -> String {
        let mut words = Vec::new();
        if let Some(least) = self.at_least {
            words.push(format!("at least {least}"));
        }
        if self.raise > 0 {
            let levels = if self.raise == 1 { "level" } else { "levels" };
            words.push(format!("raises by {} {levels}", self.raise));
        }
        for percent in &self.approval_at {
            words.push(match percent {
                0 => "a human before any exposure".to_owned(),
                percent => format!("a human before {percent} %"),
            });
        }
        if self.refuse.is_some() {
            words.push("refuses it".to_owned());
        }
        if words.is_empty() { "says so".to_owned() } else { words.join(", ") }
    }
}

/// Why a rule cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("rule {rule}{}: {problem}; {remedy}", self.place())]
pub struct RuleError {
    /// The rule.
    pub rule: String,
    /// Line of its condition, from 1; 0 where no place is to blame.
    pub line: usize,
    /// Character of that line, from 1; 0 where no place is to blame.
    pub column: usize,
    /// What is wrong.
    pub problem: String,
    /// What to write instead.
    pub remedy: String,
}

impl RuleError {
    fn of(rule: &str, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { rule: rule.to_owned(), line: 0, column: 0, problem: problem.into(), remedy: remedy.into() }
    }

    fn place(&self) -> String {
        match (self.line, self.column) {
            (0, _) | (_, 0) => String::new(),
            (1, column) => format!(", column {column}"),
            (line, column) => format!(", line {line}, column {column}"),
        }
    }
}

/// A rule that can be evaluated.
pub(super) struct Compiled {
    pub(super) rule: Rule,
    pub(super) program: Program,
    pub(super) checked: Checked,
}

/// The rules of a policy, compiled.
pub struct Policy {
    pub(super) rules: Vec<Compiled>,
    pub(super) env: Arc<Env>,
}

impl std::fmt::Debug for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policy").field("rules", &self.rules.iter().map(|rule| &rule.rule).collect::<Vec<_>>()).finish()
    }
}

impl Policy {
    /// Compiles rules.
    ///
    /// # Errors
    /// Every rule that cannot be used, with its place and what to write instead: a condition that is no CEL, names facts that
    /// there are not, is no condition, or can need more than [`MOST_STEPS`] steps (all together: [`MOST_STEPS_OF_ALL`]).
    pub fn compile(rules: &[Rule]) -> Result<Self, Vec<RuleError>> {
        let env = Arc::new(Env::default().with_optional_support(false).with_stdlib());
        let macros = Env::stdlib().with_optional_support(false);
        let (mut compiled, mut errors) = (Vec::new(), Vec::new());
        for (at, rule) in rules.iter().enumerate() {
            if rules.iter().take(at).any(|other| other.name == rule.name) {
                errors.push(RuleError::of(&rule.name, "its name is that of another rule", "give each rule a name of its own"));
            }
            match one(&macros, rule) {
                Ok(rule) => compiled.push(rule),
                Err(error) => errors.push(error),
            }
        }
        if let Some(first) = rules.get(MOST_RULES) {
            let problem = format!("it is rule {} of {}", MOST_RULES + 1, rules.len());
            errors.push(RuleError::of(&first.name, problem, format!("a policy has at most {MOST_RULES} rules: join some")));
        }
        let steps = compiled.iter().fold(0, |sum: u64, rule| sum.saturating_add(rule.checked.steps));
        if let Some(dearest) = compiled.iter().max_by_key(|rule| rule.checked.steps).filter(|_| steps > MOST_STEPS_OF_ALL) {
            let problem =
                format!("all rules together can need {steps} steps, this one the most of them ({})", dearest.checked.steps);
            let remedy = format!("keep them below {MOST_STEPS_OF_ALL}: ask of shorter lists, or of fewer inside one another");
            errors.push(RuleError::of(&dearest.rule.name, problem, remedy));
        }
        if errors.is_empty() { Ok(Self { rules: compiled, env }) } else { Err(errors) }
    }

    /// The rules as they were written.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().map(|compiled| &compiled.rule)
    }

    /// The most steps that one evaluation can need.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.rules.iter().map(|rule| rule.checked.steps).sum()
    }
}

fn one(env: &Env, rule: &Rule) -> Result<Compiled, RuleError> {
    let length = rule.when.chars().count();
    if length > LONGEST_CONDITION {
        let remedy = format!("write at most {LONGEST_CONDITION}, or split it into rules of their own");
        return Err(RuleError::of(&rule.name, format!("its condition has {length} characters"), remedy));
    }
    if brackets(&rule.when) > MOST_BRACKETS {
        let problem = format!("more than {MOST_BRACKETS} brackets are inside one another");
        return Err(RuleError::of(&rule.name, problem, "split it into rules of their own"));
    }
    let program = parse(env, rule)?;
    let checked = check::check(program.expression()).map_err(|problem| {
        let (line, column) = place(&program, problem.node);
        RuleError { rule: rule.name.clone(), line, column, problem: problem.what, remedy: problem.remedy }
    })?;
    if checked.steps > MOST_STEPS {
        let problem = format!("it can need {} steps", checked.steps);
        let remedy = format!("keep it below {MOST_STEPS}: ask of shorter lists, or of fewer inside one another");
        return Err(RuleError::of(&rule.name, problem, remedy));
    }
    Ok(Compiled { rule: rule.clone(), program, checked })
}

fn parse(env: &Env, rule: &Rule) -> Result<Program, RuleError> {
    // The parser is not ours: a condition that it cannot bear is a condition that is wrong.
    let parsed = super::run::guarded(|| env.compile(&rule.when));
    let wrong = |line: isize, column: isize, problem: String| RuleError {
        rule: rule.name.clone(),
        line: usize::try_from(line).unwrap_or(0),
        column: usize::try_from(column).unwrap_or(0),
        problem,
        remedy: "write a condition in CEL, for example diff.env.exists(e, e.secret)".to_owned(),
    };
    match parsed {
        Some(Ok(program)) => Ok(program),
        Some(Err(errors)) => Err(errors.errors.first().map_or_else(
            || wrong(0, 0, "it is no CEL".to_owned()),
            |error| {
                let message: String = error.msg.chars().take(200).collect();
                wrong(error.pos.0, error.pos.1, format!("it is no CEL ({message})"))
            },
        )),
        None => Err(wrong(0, 0, "it is no CEL".to_owned())),
    }
}

/// How many brackets are inside one another at most; those in texts count as well.
fn brackets(text: &str) -> usize {
    let (mut open, mut most) = (0_usize, 0);
    for letter in text.chars() {
        match letter {
            '(' | '[' | '{' => open += 1,
            ')' | ']' | '}' => open = open.saturating_sub(1),
            _ => {}
        }
        most = most.max(open);
    }
    most
}

/// Line and column of a node, from 1.
fn place(program: &Program, node: u64) -> (usize, usize) {
    let info = program.source_info();
    let Some((start, _)) = info.offset_for(node) else { return (0, 0) };
    let before: Vec<char> = info.source.chars().take(usize::try_from(start).unwrap_or(0)).collect();
    let line = before.iter().filter(|letter| **letter == '\n').count() + 1;
    let column = before.iter().rev().take_while(|letter| **letter != '\n').count() + 1;
    (line, column)
}
