//! Blast radius, the two arms, the plan and the decisions.

use firebreak_api::change::{BlastRadius, Counted, Evidence};
use ratatui::text::{Line, Span};

use super::{evidence::weakest, heading};
use crate::{
    facts::{self, COLD_SECONDS, Facts, Mark},
    look::Look,
    words::{self, at_least, clock, count, estimate, failure_rate, pad, percent, plain, rate, span, width},
};

/// Damage done, with lower bounds, and whether it grows; nothing before there is any evidence.
#[must_use]
pub fn blast(facts: &Facts<'_>, to: usize, look: &Look) -> Vec<Line<'static>> {
    let Some(radius) = &facts.status.blast_radius else { return Vec::new() };
    let mut lines = vec![heading("Blast radius", "requests that fail because of the candidate", to, look)];
    let style = if grows(radius) { look.bad() } else { ratatui::style::Style::new() };
    let text = blast_words(facts, radius, &format!(" {} ", look.glyphs.dot));
    lines.extend(words::wrap(&plain(&text), to).into_iter().map(|line| Line::styled(line, style)));
    lines
}

/// Whether the damage grows, in whichever way.
#[must_use]
pub fn grows(radius: &BlastRadius) -> bool {
    radius.growing != "no"
}

/// The blast radius in one sentence, its parts joined by `joint`.
#[must_use]
pub fn blast_words(facts: &Facts<'_>, radius: &BlastRadius, joint: &str) -> String {
    let mut parts = Vec::new();
    let failed = radius.failed_requests.unwrap_or(0.0).max(0.0);
    let low = radius.failed_requests_low.unwrap_or(0.0).max(0.0);
    if failed < 0.5 && low < 0.5 && !grows(radius) {
        return unharmed(facts, radius);
    }
    parts.push(format!("{} failed ({}, at least {})", estimate(failed), radius.signal, at_least(low)));
    if let Some(share) = radius.share_percent {
        let low = radius.share_percent_low.map(|low| format!(" (at least {})", percent(low.max(0.0))));
        parts.push(format!("{} of all{}", percent(share.max(0.0)), low.unwrap_or_default()));
    }
    if let Some((projected, next)) = radius.projected_percent.zip(facts.next_stage()) {
        parts.push(format!("{} at {next} %", percent(projected.max(0.0))));
    }
    parts.push(if grows(radius) { format!("GROWING: {}", radius.growing) } else { "not growing".to_owned() });
    parts.join(joint)
}

/// No harm is known, which says nothing of the slow requests that took it back without being compared.
fn unharmed(facts: &Facts<'_>, radius: &BlastRadius) -> String {
    let slow = |evidence: &Evidence| Some((evidence.signal.clone(), facts::left_out(evidence).filter(|cold| cold.failures > 0)?));
    let at_once = facts.way_back().is_some_and(|back| back.reason == "SlowerThanStable") && !facts.is_back_by_evidence();
    let Some((signal, cold)) = facts.status.evidence.iter().find_map(slow).filter(|_| at_once) else {
        return format!("none: no request is known to have failed because of it ({})", radius.signal);
    };
    format!(
        "none known of the requests that were compared ({}); not counted here: {} of {} in pods' first {COLD_SECONDS} s were slow ({signal})",
        radius.signal,
        count(cold.failures),
        count(cold.requests)
    )
}

/// The level, what led to it, and who says what.
#[must_use]
pub fn risk(facts: &Facts<'_>, to: usize, look: &Look) -> Vec<Line<'static>> {
    let spec = &facts.change.spec;
    let mut lines = vec![heading("Risk", &format!("{}, by policy {}", spec.risk.level, spec.policy), to, look)];
    for factor in &spec.risk.factors {
        let text = plain(&format!("{}: {}", factor.name, factor.effect));
        lines.extend(words::wrap(&text, to).into_iter().map(Line::raw));
    }
    for (name, value) in &spec.claims.annotations {
        let name = name.rsplit('/').next().unwrap_or(name);
        lines.push(Line::styled(words::cut(&plain(&format!("{name}: {value}")), to, look.glyphs.ellipsis), look.faint()));
    }
    lines
}

/// Pods, requests and failures of both arms, a row for each signal; at most `most` signals; nothing before there are any.
#[must_use]
pub fn arms(facts: &Facts<'_>, to: usize, look: &Look, most: usize) -> Vec<Line<'static>> {
    let status = facts.status;
    if status.arms.is_none() && status.evidence.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![heading("Arms", "failed, slow or succeeded, of all requests since the Change began", to, look)];
    let shown = weakest(&status.evidence, most);
    let longest = shown.iter().map(|evidence| width(&evidence.signal)).max().unwrap_or(0);
    let label = longest.clamp(6, 18);
    let cell = (to.saturating_sub(label + 10) / 2).clamp(16, 40);
    let pods = |name: &str, ready: u32, wanted: u32| format!("{name} {ready}/{wanted} pods ready");
    let arms = status.arms.unwrap_or_default();
    let known = status.arms.is_some();
    let stable = if known { pods("stable", arms.stable_ready, arms.stable_pods) } else { "stable".to_owned() };
    let candidate = if known { pods("candidate", arms.candidate_ready, arms.candidate_pods) } else { "candidate".to_owned() };
    let short = arms.candidate_ready < arms.candidate_pods;
    lines.push(Line::from(vec![
        Span::raw(" ".repeat(label + 1)),
        Span::styled(pad(&stable, cell, look.glyphs.ellipsis), look.strong()),
        Span::raw(" "),
        Span::styled(
            pad(&candidate, cell, look.glyphs.ellipsis),
            if short { look.warn().patch(look.strong()) } else { look.strong() },
        ),
    ]));
    for evidence in shown {
        let (stable, candidate) = (evidence.stable, evidence.candidate);
        let times = match (rate(stable), rate(candidate)) {
            (Some(base), Some(new)) if base > 0.0 => format!(" {:.1} x", new / base),
            _ => String::new(),
        };
        lines.push(Line::from(vec![
            Span::raw(format!("{} ", pad(&evidence.signal, label, look.glyphs.ellipsis))),
            Span::raw(pad(&counted(stable, None), cell, look.glyphs.ellipsis)),
            Span::raw(" "),
            Span::raw(pad(&counted(candidate, facts::left_out(evidence)), cell, look.glyphs.ellipsis)),
            Span::raw(times),
        ]));
    }
    lines
}

/// An arm's failures of its requests; where none is judged, how many are left out since its pods were cold.
fn counted(counted: Counted, left_out: Option<Counted>) -> String {
    let Some(share) = rate(counted).map(failure_rate) else {
        return left_out.map_or_else(
            || "no requests".to_owned(),
            |cold| format!("{} in first {COLD_SECONDS} s: not judged", count(cold.requests)),
        );
    };
    format!("{share}  {} of {}", count(counted.failures), count(counted.requests))
}

/// The stages as a line: passed, current, to come, and which need a human.
#[must_use]
pub fn plan(facts: &Facts<'_>, to: usize, look: &Look) -> Vec<Line<'static>> {
    let glyphs = look.glyphs;
    let stages = facts.stages();
    let mut note = facts.earliest_promotion().map_or_else(String::new, |time| {
        if time.is_zero() { String::new() } else { format!("promoted in {} at the earliest", span(time)) }
    });
    if stages.iter().any(|stage| stage.approval) {
        note = [format!("{} needs a human", glyphs.approval), note].join("  ").trim_end().to_owned();
    }
    let mut lines = vec![heading("Plan", &note, to, look)];
    let mut row: Vec<Span<'static>> = Vec::new();
    for (at, stage) in stages.iter().enumerate() {
        let (sign, style) = match stage.mark {
            Mark::Done => (glyphs.done, look.good()),
            Mark::Current => (glyphs.current, look.strong()),
            Mark::Stopped => (glyphs.stopped, look.bad()),
            Mark::Ahead => (glyphs.ahead, look.faint()),
        };
        let approval = if stage.approval { glyphs.approval } else { "" };
        let text = format!("{sign} {} %{approval}", stage.percent);
        let joint = if at == 0 { String::new() } else { format!(" {0}{0} ", glyphs.rule) };
        let used: usize = row.iter().map(Span::width).sum();
        if used + width(&joint) + width(&text) > to && !row.is_empty() {
            lines.push(Line::from(std::mem::take(&mut row)));
        } else {
            row.push(Span::styled(joint, look.faint()));
        }
        row.push(Span::styled(text, style));
    }
    lines.push(Line::from(row));
    lines
}

/// The decisions but the `skip` newest, the newest first: the first `whole` with their whole message, the others on a
/// line each.
#[must_use]
pub fn decisions(facts: &Facts<'_>, to: usize, look: &Look, skip: usize, whole: usize) -> Vec<Line<'static>> {
    let decisions = &facts.status.decisions;
    if decisions.is_empty() {
        return vec![Line::styled("none yet", look.faint())];
    }
    let mut lines = Vec::new();
    for (nth, decision) in decisions.iter().rev().skip(skip).enumerate() {
        let time = clock(decision.at, facts.now, &look.zone);
        let reason = plain(&decision.reason);
        let indent = width(&time) + 2;
        let head = [Span::styled(format!("{time}  "), look.faint()), Span::styled(format!("{reason} "), look.strong())];
        let message = plain(&facts.said(&decision.message));
        let room = to.saturating_sub(indent + width(&reason) + 1);
        if nth >= whole || width(&message) <= room {
            let mut spans = head.to_vec();
            spans.push(Span::raw(words::cut(&message, room, look.glyphs.ellipsis)));
            lines.push(Line::from(spans));
            continue;
        }
        // The first line is shorter by the reason: wrap all as one text, then take the reason off again.
        let rows = words::wrap(&format!("{reason} {message}"), to.saturating_sub(indent).max(10));
        for (at, row) in rows.iter().enumerate() {
            match row.strip_prefix(&format!("{reason} ")) {
                Some(rest) if at == 0 => {
                    let mut spans = head.to_vec();
                    spans.push(Span::raw(rest.to_owned()));
                    lines.push(Line::from(spans));
                }
                _ => lines.push(Line::raw(format!("{}{row}", " ".repeat(indent)))),
            }
        }
    }
    lines
}
