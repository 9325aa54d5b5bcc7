//! `policy test` and `policy explain` as text.

use firebreak_engine::policy::Went;
use ratatui::{
    style::Style,
    text::{Line, Span},
};
use serde_json::Value;

use super::report::{FreezeReport, Levels, Report, RuleReport};
use crate::{
    look::Look,
    words::{plain, wrap},
};

/// Cells before what belongs to a part.
const INDENT: usize = 2;
/// Characters of one fact that are shown.
const LONGEST_FACT: usize = 160;

/// A policy's part in a change.
#[must_use]
pub fn test(report: &Report, to: usize, look: &Look) -> Vec<Line<'static>> {
    let mut listing = Listing { lines: Vec::new(), to, look };
    listing.title(&format!("policy {} on {}", report.policy, report.of));
    listing.part("CHANGED");
    listing.items(0, report.differences.iter().cloned(), "nothing");
    listing.part("RULES");
    if report.rules.is_empty() {
        listing.items(0, std::iter::empty(), "none: the claims alone make the level");
    }
    for rule in &report.rules {
        listing.rule(rule);
    }
    listing.lines.push(Line::from(vec![
        Span::styled("LEVEL  ", look.strong()),
        Span::styled(report.level.clone(), look.level(&report.level)),
        Span::raw(format!("  (by the claims alone: {})", report.claimed)),
    ]));
    listing.items(0, report.factors.iter().map(|factor| format!("{}: {}", factor.name, factor.effect)), "");
    listing.items(0, report.problems.iter().cloned(), "");
    if !report.refused.is_empty() {
        listing.styled("REFUSED  nothing runs from it", look.bad());
        listing.items(0, report.refused.iter().map(|why| format!("{} (rule {})", why.text, why.rule)), "");
    }
    listing.part("PLAN");
    listing.items(0, report.plan_words.iter().cloned(), "");
    listing.freezes(&report.freezes);
    listing.ignored(&report.ignored);
    match report.same_as_recorded {
        Some(true) => listing.styled("The same as the Change recorded.", look.good()),
        Some(false) => listing.styled("NOT the same as the Change recorded: another version of Firebreak judged it.", look.bad()),
        None => {}
    }
    listing.lines
}

/// What the levels of a policy ask for.
#[must_use]
pub fn levels(levels: &Levels, to: usize, look: &Look) -> Vec<Line<'static>> {
    let mut listing = Listing { lines: Vec::new(), to, look };
    listing.title(&format!("policy {}", levels.policy));
    for level in &levels.levels {
        listing.styled(&level.level.to_uppercase(), look.level(&level.level));
        listing.items(0, level.words.iter().cloned(), "");
    }
    listing.part("RULES");
    let rules = levels.rules.iter().map(|rule| format!("{}: {} when {}", rule.name, rule.effect, rule.when));
    listing.items(0, rules, "none: the claims alone make the level");
    listing.freezes(&levels.freezes);
    if !levels.limits.is_empty() {
        listing.part("LIMITS  of Changes whose Guards go by the same ClusterRiskPolicy");
        listing.items(0, levels.limits.iter().cloned(), "");
    }
    listing.ignored(&levels.ignored);
    listing.lines
}

/// Parts one below the other, each with its items.
struct Listing<'a> {
    lines: Vec<Line<'static>>,
    to: usize,
    look: &'a Look,
}

impl Listing<'_> {
    fn title(&mut self, text: &str) {
        self.styled(text, self.look.strong());
    }

    fn part(&mut self, text: &str) {
        self.styled(text, self.look.strong());
    }

    fn styled(&mut self, text: &str, style: Style) {
        for row in wrap(&self.look.text(&plain(text)), self.to) {
            self.lines.push(Line::styled(row, style));
        }
    }

    /// Items with a dash, or a word where there are none.
    fn items(&mut self, deeper: usize, items: impl Iterator<Item = String>, otherwise: &str) {
        let indent = " ".repeat(INDENT + deeper);
        let mut none = true;
        for item in items {
            none = false;
            for (at, row) in
                wrap(&self.look.text(&plain(&item)), self.to.saturating_sub(indent.len() + 2).max(20)).into_iter().enumerate()
            {
                let dash = if at == 0 { "- " } else { "  " };
                self.lines.push(Line::raw(format!("{indent}{dash}{row}")));
            }
        }
        if none && !otherwise.is_empty() {
            self.lines.push(Line::raw(format!("{indent}{otherwise}")));
        }
    }

    fn rule(&mut self, rule: &RuleReport) {
        let (word, style) = match &rule.went {
            Went::Held => ("holds", self.look.warn()),
            Went::NotHeld => ("does not hold", self.look.faint()),
            Went::Failed { .. } => ("cannot be told", self.look.bad()),
        };
        let name = plain(&rule.name);
        let then = if rule.went == Went::NotHeld { "would: " } else { "" };
        self.lines.push(Line::from(vec![
            Span::raw(" ".repeat(INDENT)),
            Span::styled(name, self.look.strong()),
            Span::raw("  "),
            Span::styled(word, style),
            Span::raw(format!("  {then}{}", plain(&rule.effect))),
        ]));
        let why = match &rule.went {
            Went::Failed { reason, remedy } => Some(format!("it counts as if it held: {reason}; {remedy}")),
            _ => None,
        };
        let inputs = rule.inputs.iter().map(|(path, value)| format!("{path} = {}", shown(value)));
        let lines: Vec<String> = std::iter::once(format!("when {}", rule.when)).chain(why).chain(inputs).collect();
        self.items(2, lines.into_iter(), "");
    }

    fn freezes(&mut self, freezes: &[FreezeReport]) {
        if freezes.iter().any(|freeze| freeze.in_force) {
            self.styled("FREEZES  frozen at this moment", self.look.warn());
        } else if !freezes.is_empty() {
            self.part("FREEZES");
        }
        self.items(0, freezes.iter().map(|freeze| freeze.words.clone()), "");
    }

    fn ignored(&mut self, ignored: &[String]) {
        if !ignored.is_empty() {
            self.styled("IGNORED  a namespace can only tighten", self.look.warn());
            self.items(0, ignored.iter().cloned(), "");
        }
    }
}

/// A fact in short.
fn shown(value: &Value) -> String {
    if value.is_null() {
        return "absent".to_owned();
    }
    let text = value.to_string();
    let mut short: String = text.chars().take(LONGEST_FACT).collect();
    if short.len() < text.len() {
        short.push_str("...");
    }
    short
}
