//! The explanation as text: a label on the left, words on the right, one screen.

use firebreak_api::guard::Hold;
use ratatui::{
    style::Style,
    text::{Line, Span},
};

use super::{build::Explanation, course};
use crate::{
    look::Look,
    screen::parts,
    words::{self, clock, percent, plain, span, width},
};

/// Differences in the explanation: what leaves the rest of it on the screen.
const DIFFERENCES: usize = 6;
/// Cells of the label column.
const LABEL: usize = 10;

/// The explanation as styled lines of a width.
#[must_use]
pub fn lines(explanation: &Explanation, to: usize, look: &Look) -> Vec<Line<'static>> {
    let mut page = Page { lines: Vec::new(), to, look };
    title(&mut page, explanation);
    if let Some(ended) = &explanation.ended_by {
        page.part("ENDED BY", &ended.words, look.phase(explanation.phase));
    }
    decide(&mut page, explanation);
    what(&mut page, explanation);
    who(&mut page, explanation);
    page.part("RISK", std::slice::from_ref(&explanation.risk.level), look.level(&explanation.risk.level));
    page.items(explanation.risk.factors.iter().map(|factor| format!("{}: {}", factor.name, factor.effect)));
    page.items(explanation.risk.refused.iter().map(|why| format!("refused by rule {}: {}", why.rule, why.text)));
    page.part("PLAN", &[format!("policy {}", explanation.plan.policy)], Style::new());
    page.items(explanation.plan.words.iter().cloned());
    state(&mut page, explanation);
    numbers(&mut page, explanation);
    if let Some(curve) = &explanation.curve {
        page.drawn("CURVE", course::lines(curve, explanation.at, page.room(), look));
    }
    let grows = explanation.blast_radius.as_ref().is_some_and(parts::grows);
    page.part("BLAST", std::slice::from_ref(&explanation.blast_words), if grows { look.bad() } else { Style::new() });
    page.part("OUTCOME", &[], Style::new());
    page.items(explanation.outcome.iter().cloned());
    decisions(&mut page, explanation);
    commands(&mut page, explanation);
    page.lines
}

struct Page<'a> {
    lines: Vec<Line<'static>>,
    to: usize,
    look: &'a Look,
}

impl Page<'_> {
    fn room(&self) -> usize {
        self.to.saturating_sub(LABEL).max(20)
    }

    /// A labelled part: each text begins a line.
    fn part(&mut self, label: &str, texts: &[String], style: Style) {
        let mut label = Some(Span::styled(words::pad(label, LABEL, ""), self.look.strong()));
        for text in texts {
            for row in words::wrap(&plain(text), self.room()) {
                let start = label.take().unwrap_or_else(|| Span::raw(" ".repeat(LABEL)));
                self.lines.push(Line::from(vec![start, Span::styled(row, style)]));
            }
        }
        // A label without text of its own: the items that follow stand beside it.
        if let Some(label) = label {
            self.lines.push(Line::from(vec![label]));
        }
    }

    /// A labelled part that is drawn.
    fn drawn(&mut self, label: &str, lines: Vec<Line<'static>>) {
        for (at, line) in lines.into_iter().enumerate() {
            let label = words::pad(if at == 0 { label } else { "" }, LABEL, "");
            let mut spans = vec![Span::styled(label, self.look.strong())];
            let style = line.style;
            spans.extend(line.spans.into_iter().map(|span| span.patch_style(style)));
            self.lines.push(Line::from(spans));
        }
    }

    /// Items below a part, each with a dash; the first stands beside a label that has no text.
    fn items(&mut self, items: impl Iterator<Item = String>) {
        for item in items {
            for (at, row) in words::wrap(&plain(&item), self.room() - 2).into_iter().enumerate() {
                let text = format!("{}{row}", if at == 0 { "- " } else { "  " });
                match self.lines.last_mut().filter(|line| line.spans.len() == 1 && line.width() == LABEL) {
                    Some(bare) => bare.push_span(Span::raw(text)),
                    None => self.lines.push(Line::raw(format!("{}{text}", " ".repeat(LABEL)))),
                }
            }
        }
    }
}

fn title(page: &mut Page<'_>, explanation: &Explanation) {
    let look = page.look;
    let state = &explanation.state;
    page.lines.push(Line::from(vec![
        Span::styled(format!("{}/{}", explanation.namespace, explanation.guard), look.strong()),
        Span::raw(format!("  {}  ", explanation.target)),
        Span::styled(format!("{} risk", plain(&explanation.risk.level)), look.level(&explanation.risk.level)),
        Span::styled(format!("  {}", explanation.change), look.faint()),
    ]));
    let mut spans = vec![Span::styled(words::phase(explanation.phase).to_owned(), look.phase(explanation.phase))];
    let stage = format!("  stage {} of {}, weight {}", state.stage, state.stages, percent(state.weight_percent));
    spans.push(Span::raw(stage));
    if let Some(exposure) = state.exposure_percent {
        spans.push(Span::raw(format!(", measured {}", percent(exposure))));
    }
    page.lines.push(Line::from(spans));
}

/// What a human needs who is asked, on the first screen.
fn decide(page: &mut Page<'_>, explanation: &Explanation) {
    let Some(brief) = &explanation.decide else { return };
    for (label, text) in brief.rows() {
        let style = match label {
            "ASKED" => page.look.warn(),
            "APPROVE" | "ABORT" => page.look.command(),
            _ => Style::new(),
        };
        page.part(label, &[text.to_owned()], style);
    }
    page.lines.push(Line::raw(""));
}

fn what(page: &mut Page<'_>, explanation: &Explanation) {
    let what = &explanation.what;
    let images = if what.images.is_empty() { "no images recorded".to_owned() } else { what.images.join(", ") };
    let age = span(words::since(what.detected_at, explanation.at));
    let held = match (what.hold, what.late_pods) {
        (Hold::Admission, _) => "held in the API server: nothing ran before that".to_owned(),
        (Hold::Late, 0) => "held late by the operator; no pod had started before".to_owned(),
        (Hold::Late, pods) => {
            format!("held late by the operator: {pods} pods had started before and could get traffic")
        }
    };
    let mut text = vec![
        format!("{images} as revision {}; stable is revision {}", what.hash, what.stable.hash),
        format!("seen {age} ago; {held}"),
    ];
    if what.taken_over {
        text.push("its ReplicaSet was there before and was taken over".to_owned());
    }
    if what.attempt > 1 {
        text.push(format!("attempt {} with this template", what.attempt));
    }
    page.part("WHAT", &text, Style::new());
    differences(page, &what.differences);
}

/// What is different, as far as it fits a screen.
fn differences(page: &mut Page<'_>, all: &[String]) {
    let more = all.len().saturating_sub(DIFFERENCES);
    let more = (more > 0).then(|| format!("and {more} more: kubectl firebreak explain -o yaml lists all"));
    let look = page.look;
    page.items(all.iter().take(DIFFERENCES).map(|words| look.text(words)).chain(more));
}

fn who(page: &mut Page<'_>, explanation: &Explanation) {
    let who = &explanation.who;
    let by = who.changed_by.clone().unwrap_or_else(|| "unknown (not held in the API server)".to_owned());
    page.part("WHO", &[format!("asked for by {by}")], Style::new());
    let claims: Vec<String> = who.claims.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let claims =
        if claims.is_empty() { "it says nothing about itself".to_owned() } else { format!("it says: {}", claims.join("; ")) };
    page.items(std::iter::once(claims));
    page.items(who.problems.iter().cloned());
}

fn state(page: &mut Page<'_>, explanation: &Explanation) {
    let (state, look) = (&explanation.state, page.look);
    if explanation.phase.ended() {
        let ago = state.ended_at.map(|at| format!(" {} ago", span(words::since(at, explanation.at))));
        let took = state.ended_at.map(|at| format!(", after {}", span(words::since(explanation.what.detected_at, at))));
        let text = format!("{}{}{}", words::phase(explanation.phase), ago.unwrap_or_default(), took.unwrap_or_default());
        page.part("NOW", &[text], look.phase(explanation.phase));
        return;
    }
    let mut text: Vec<String> = state.step_back.iter().chain(&state.no_request).cloned().collect();
    if state.paused && text.is_empty() {
        text.push("paused by a human".to_owned());
    }
    if let Some(waiting) = &state.waiting {
        let time = span(words::since(waiting.since, explanation.at));
        text.push(format!("waits for {time} ({}): {}", waiting.reason, waiting.message));
    }
    if text.is_empty() {
        let time = state.stage_began_at.map(|at| format!(" for {}", span(words::since(at, explanation.at))));
        let place = if state.stage == 0 { "before the first stage".to_owned() } else { format!("at stage {}", state.stage) };
        text.push(format!("{place}{}; nothing but its needs holds it up", time.unwrap_or_default()));
        page.part("NOW", &text, Style::new());
    } else {
        page.part("NOW", &text, look.warn());
    }
    if !state.needs.is_empty() {
        let goal = state.next_stage.map_or_else(|| "to be promoted".to_owned(), |next| format!("to go to {next} %"));
        page.items(std::iter::once(format!("{goal} it needs {}", words::list(&state.needs))));
    }
}

fn numbers(page: &mut Page<'_>, explanation: &Explanation) {
    page.part("NUMBERS", &[], Style::new());
    if explanation.numbers.is_empty() {
        page.items(std::iter::once("none yet: nothing was compared".to_owned()));
    }
    page.items(explanation.numbers.iter().map(|number| format!("{}: {}", number.name, number.meaning)));
    page.items(explanation.checks.iter().map(|check| format!("check {}: {}", check.name, check.words)));
    if let Some(arms) = explanation.arms {
        page.items(std::iter::once(format!(
            "pods ready: candidate {} of {}, stable {} of {}",
            arms.candidate_ready, arms.candidate_pods, arms.stable_ready, arms.stable_pods
        )));
    }
}

fn decisions(page: &mut Page<'_>, explanation: &Explanation) {
    page.part("DECISIONS", &[], Style::new());
    if explanation.decisions.is_empty() {
        page.items(std::iter::once("none yet".to_owned()));
    }
    let zone = page.look.zone.clone();
    page.items(
        explanation
            .decisions
            .iter()
            .map(|decision| format!("{} {}: {}", clock(decision.at, explanation.at, &zone), decision.reason, decision.message)),
    );
}

fn commands(page: &mut Page<'_>, explanation: &Explanation) {
    let look = page.look;
    let longest = explanation.commands.iter().map(|command| width(&command.does)).max().unwrap_or(0);
    for (at, command) in explanation.commands.iter().enumerate() {
        let label = if at == 0 { "DO" } else { "" };
        page.lines.push(Line::from(vec![
            Span::styled(words::pad(label, LABEL, ""), look.strong()),
            Span::raw(format!("{}  ", words::pad(&command.does, longest, ""))),
            Span::styled(command.command.clone(), look.command()),
        ]));
    }
}
