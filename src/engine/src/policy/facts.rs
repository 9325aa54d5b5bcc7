//! The facts of one change, as they are recorded and as rules see them.
//!
//! What is not known is absent, never zero: a rule asks `has(...)` first, or fails and counts as if it held.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::diff::Diff;
use crate::risk::{self, Assessment, Level};

/// Labels of one object that rules see; more are left out, the last in the order of their names first.
pub const MOST_LABELS: usize = 64;
/// Names in a claim that lists names (reviewers, agents) that rules see.
pub const MOST_NAMES: usize = 16;
/// Bytes of one text that rules see: a claim is at most as long as this.
pub const LONGEST_TEXT: usize = 1024;

/// Everything that rules may ask of one change; recorded with it, so that the same outcome can be computed again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// The claims as they stood on the workload: annotation to value.
    pub annotations: BTreeMap<String, String>,
    /// The workload.
    pub workload: Workload,
    /// What is different between stable's template and the candidate's.
    pub diff: Diff,
    /// When the change was seen, in the policy's time zone.
    pub time: Clock,
    /// What became of this workload's Changes before.
    pub history: History,
    /// Who asked for it.
    pub changer: Changer,
}

/// The workload.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Workload {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub in_namespace: String,
    /// Pods it asks for.
    pub replicas: i64,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Labels of its namespace; absent where the namespace cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_labels: Option<BTreeMap<String, String>>,
}

/// A moment in a time zone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Clock {
    /// Name of the time zone, as in the IANA database.
    pub zone: String,
    /// Year.
    pub year: i64,
    /// Month, 1 to 12.
    pub month: i64,
    /// Day of the month, 1 to 31.
    pub day: i64,
    /// Day of the week, 1 (Monday) to 7 (Sunday).
    pub weekday: i64,
    /// Hour, 0 to 23.
    pub hour: i64,
    /// Minute, 0 to 59.
    pub minute: i64,
}

/// What became of this workload's Changes of the last 30 days, as far as they are kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct History {
    /// Changes that began.
    pub changes: i64,
    /// Of these, how many were taken back.
    pub taken_back: i64,
    /// Share of the ended ones that was taken back, 0 to 1; absent where none ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_taken_back: Option<f64>,
    /// Hours since the last one began; absent where none is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours_since_last: Option<f64>,
    /// Whether the last one that ended was taken back; absent where none ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_taken_back: Option<bool>,
    /// Whether the last 30 days are known in full: a Guard keeps few ended Changes, and older ones may be gone.
    pub complete: bool,
}

/// Who asked the API server for the template.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Changer {
    /// The user, as the admission policy stamped it; absent where nothing attests it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// What the change says about itself, read.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Claims {
    /// `low`, `medium`, `high` or `critical`; absent where it is not claimed, or cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub risk: Option<String>,
    /// Percentile among changes, 0 to 1; absent where it is not claimed, or cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub risk_score: Option<f64>,
    /// `human`, `ai`, `mixed` or `unknown`; absent where it is not claimed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ai_contribution: Option<String>,
    /// Whether a machine wrote any of it: `ai` or `mixed` is claimed, or agents are named.
    pub machine_written: bool,
    /// Coding agents that took part.
    pub ai_agents: Vec<String>,
    /// Humans who reviewed it.
    pub reviewers: Vec<String>,
    /// Who wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Revision in version control.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Where it can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change_url: Option<String>,
    /// It in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Claims that cannot be read, in words.
    pub problems: Vec<String>,
}

/// The level that the claims alone give.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Claimed {
    /// `low`, `medium`, `high` or `critical`.
    pub level: &'static str,
    /// The same as a number, to compare with: 0 low, 1 medium, 2 high, 3 critical.
    pub rank: i64,
}

/// The facts as rules see them: each field is a name that a rule can begin with.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    /// What the change says about itself.
    pub claims: Claims,
    /// The level that the claims alone give.
    pub risk: Claimed,
    /// The workload.
    pub workload: Workload,
    /// What is different.
    pub diff: Diff,
    /// When.
    pub time: Clock,
    /// What became of earlier Changes.
    pub history: History,
    /// Who asked for it.
    pub changer: Changer,
}

impl Facts {
    /// The facts as rules see them, and the assessment of the claims alone.
    #[must_use]
    pub fn shown(&self) -> (Shown, Assessment) {
        let assessment = risk::assess(&self.annotations);
        let shown = Shown {
            claims: self.claims(&assessment),
            risk: Claimed { level: assessment.level.as_str(), rank: rank(assessment.level) },
            workload: self.workload.clone().bounded(),
            diff: self.diff.clone(),
            time: self.time.clone(),
            history: self.history.clone(),
            changer: self.changer.clone(),
        };
        (shown, assessment)
    }

    fn claims(&self, assessment: &Assessment) -> Claims {
        let text = |name: &str| {
            let value = self.annotations.get(&format!("{}{name}", risk::PREFIX))?;
            (!value.trim().is_empty()).then(|| cut(value, LONGEST_TEXT).to_owned())
        };
        let names = |name: &str| {
            let all = text(name).unwrap_or_default();
            all.split(',').map(str::trim).filter(|name| !name.is_empty()).take(MOST_NAMES).map(str::to_owned).collect::<Vec<_>>()
        };
        let contribution = text(risk::AI_CONTRIBUTION);
        let agents = names("ai-agents");
        let written = matches!(contribution.as_deref(), Some("ai" | "mixed"));
        Claims {
            risk: text(risk::RISK).filter(|text| Level::read(text).is_some()),
            risk_score: text(risk::RISK_SCORE).and_then(|text| risk::read_score(&text)).map(|(score, _)| score),
            machine_written: written || !agents.is_empty(),
            ai_contribution: contribution,
            ai_agents: agents,
            reviewers: names(risk::REVIEWED_BY),
            author: text("author"),
            revision: text("revision"),
            change_url: text(risk::CHANGE_URL),
            summary: text("summary"),
            problems: assessment.problems.iter().take(MOST_NAMES).map(|problem| cut(problem, LONGEST_TEXT).to_owned()).collect(),
        }
    }
}

impl Workload {
    fn bounded(mut self) -> Self {
        few(&mut self.labels);
        self.namespace_labels.iter_mut().for_each(few);
        self
    }
}

/// No more labels than rules may see.
fn few(labels: &mut BTreeMap<String, String>) {
    while labels.len() > MOST_LABELS {
        labels.pop_last();
    }
}

/// A level as a number: 0 low, 1 medium, 2 high, 3 critical.
#[must_use]
pub const fn rank(level: Level) -> i64 {
    match level {
        Level::Low => 0,
        Level::Medium => 1,
        Level::High => 2,
        Level::Critical => 3,
    }
}

/// The beginning of a text, at most so many bytes, ending between characters.
pub(super) fn cut(text: &str, longest: usize) -> &str {
    let end = (0..=longest.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}
