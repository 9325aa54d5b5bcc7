//! From what a change says about itself to its risk level, with every factor named.
//!
//! Claims are strict: what cannot be read counts as high and is reported with what to write instead. Nothing is guessed.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

/// How much harm a change could do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Level {
    /// Routine.
    Low,
    /// Usual; also where nothing is said.
    Medium,
    /// Asks for more proof.
    High,
    /// Asks for a human.
    Critical,
}

impl Level {
    /// The next level up; critical stays.
    #[must_use]
    pub fn raised(self) -> Self {
        match self {
            Self::Low => Self::Medium,
            Self::Medium => Self::High,
            Self::High | Self::Critical => Self::Critical,
        }
    }

    /// The level of that name.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        [Self::Low, Self::Medium, Self::High, Self::Critical].into_iter().find(|level| level.as_str() == text)
    }

    /// As people write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that led to the level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Factor {
    /// Its name.
    pub name: Cow<'static, str>,
    /// What it did, in words.
    pub effect: String,
}

/// The level, what led to it, and which claims could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Assessment {
    /// The level.
    pub level: Level,
    /// What led to it, in order.
    pub factors: Vec<Factor>,
    /// Claims that could not be read, and what to write instead.
    pub problems: Vec<String>,
}

/// Names of the claims, without their prefix `firebreak.dev/`.
pub(crate) const RISK: &str = "risk";
pub(crate) const RISK_SCORE: &str = "risk-score";
pub(crate) const AI_CONTRIBUTION: &str = "ai-contribution";
pub(crate) const REVIEWED_BY: &str = "reviewed-by";
pub(crate) const CHANGE_URL: &str = "change-url";
pub(crate) const PREFIX: &str = "firebreak.dev/";
/// Claims that are plain text. The longest that is kept; a longer one is a problem.
const PLAIN: [&str; 5] = ["ai-agents", "revision", "author", REVIEWED_BY, "summary"];
const LONGEST_TEXT: usize = 1024;

/// Where the score's percentiles change level: below 0.50 low, below 0.85 medium, below 0.97 high.
const SCORE_LEVELS: [(f64, Level); 3] = [(0.50, Level::Low), (0.85, Level::Medium), (0.97, Level::High)];

/// Assesses claims (annotation name to value; other annotations are ignored).
#[must_use]
pub fn assess(annotations: &BTreeMap<String, String>) -> Assessment {
    let claim = |name: &str| annotations.get(&format!("{PREFIX}{name}")).map(String::as_str);
    let mut factors = Vec::new();
    let mut problems = Vec::new();

    let named = claim(RISK).map(|text| Level::read(text).ok_or_else(|| problem(RISK, text, "low, medium, high or critical")));
    let scored = claim(RISK_SCORE)
        .map(|text| read_score(text).ok_or_else(|| problem(RISK_SCORE, text, "a number from \"0.00\" to \"1.00\"")));
    let mut level = None;
    if let Some(Ok(named)) = &named {
        level = Some(*named);
        factors.push(Factor { name: "claimed-risk".into(), effect: format!("the change claims {named}") });
    }
    if let Some(Ok((score, scored))) = &scored {
        level = level.max(Some(*scored));
        let effect = format!("risk score {score:.2} among changes means at least {scored}");
        factors.push(Factor { name: "risk-score".into(), effect });
    }
    let mut level = level.unwrap_or_else(|| {
        let effect = "no risk claimed: medium. Set firebreak.dev/risk to low, medium, high or critical".to_owned();
        if named.is_none() && scored.is_none() {
            factors.push(Factor { name: "no-claim".into(), effect });
        }
        Level::Medium
    });
    problems.extend(named.and_then(Result::err));
    problems.extend(scored.and_then(Result::err));

    let contribution = claim(AI_CONTRIBUTION);
    if let Some(text) = contribution.filter(|text| !matches!(*text, "human" | "ai" | "mixed" | "unknown")) {
        problems.push(problem(AI_CONTRIBUTION, text, "human, ai, mixed or unknown"));
    }
    if let Some(text) = claim(CHANGE_URL).filter(|text| !is_url(text)) {
        problems.push(problem(CHANGE_URL, text, "an http or https address"));
    }
    for name in PLAIN {
        if let Some(text) = claim(name).filter(|text| text.trim().is_empty() || text.len() > LONGEST_TEXT) {
            let shown: String = text.chars().take(20).collect();
            problems.push(problem(name, &shown, "a text of 1 to 1024 bytes, or leave it out"));
        }
    }
    if !problems.is_empty() {
        level = level.max(Level::High);
        let effect = format!("{} of the claims cannot be read: at least high", problems.len());
        factors.push(Factor { name: "malformed-claims".into(), effect });
    }
    let reviewed = claim(REVIEWED_BY).is_some_and(|text| !text.trim().is_empty());
    if matches!(contribution, Some("ai" | "mixed")) && !reviewed {
        let raised = level.raised();
        let what =
            if level == raised { format!("{level} stays, there is none above") } else { format!("{level} becomes {raised}") };
        let effect = format!("machine-written without a named reviewer: {what}");
        factors.push(Factor { name: "unreviewed-machine-authorship".into(), effect });
        level = raised;
    }
    Assessment { level, factors, problems }
}

fn problem(name: &str, text: &str, expected: &str) -> String {
    format!("{PREFIX}{name}: \"{text}\" is not understood; write {expected}")
}

/// A score and the level it means. Digits and one point only: no sign, no exponent, no `inf`.
pub(crate) fn read_score(text: &str) -> Option<(f64, Level)> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let score = text.parse::<f64>().ok().filter(|score| plain && (0.0..=1.0).contains(score))?;
    let level = SCORE_LEVELS.iter().find(|(below, _)| score < *below).map_or(Level::Critical, |(_, level)| *level);
    Some((score, level))
}

fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && text.len() <= LONGEST_TEXT && !text.contains(char::is_whitespace))
}
