//! The top of the picture: which Guard, where its Change is, why it does not go on or what comes next.

use firebreak_api::{
    change::Phase,
    conditions::{self, kind},
    guard::Hold,
    plan,
};
use ratatui::text::{Line, Span};

use super::{Shown, paragraph};
use crate::{
    facts::{self, Facts},
    look::Look,
    words::{self, cut, percent, plain, span, width},
};

/// `shop/checkout  Deployment checkout  medium risk`.
#[must_use]
pub fn title(shown: &Shown<'_>, to: usize) -> Vec<Line<'static>> {
    let look = shown.look;
    let mut spans = vec![Span::styled(format!("{}/{}", shown.namespace, shown.guard_name), look.strong())];
    let target = shown.facts.map(|facts| &facts.change.spec.target);
    if let Some(target) = target.or_else(|| shown.guard.map(|guard| &guard.spec.target_ref)) {
        spans.push(Span::raw(format!("  {}", facts::target(target))));
    }
    if let Some(facts) = shown.facts {
        let level = &facts.change.spec.risk.level;
        spans.push(Span::styled(format!("  {} risk", plain(level)), look.level(level)));
        let name = format!("  {}", facts.name());
        let used: usize = spans.iter().map(Span::width).sum();
        if used + width(&name) <= to {
            spans.push(Span::styled(name, look.faint()));
        }
    }
    vec![Line::from(spans)]
}

/// `Progressing  stage 2/4 for 3m12s  weight 20 %, measured 19.7 %`.
#[must_use]
pub fn headline(facts: &Facts<'_>, to: usize, look: &Look) -> Line<'static> {
    let status = facts.status;
    let phase = facts.phase();
    let mut spans = vec![Span::styled(words::phase(phase).to_owned(), look.phase(phase))];
    let position = facts.position();
    if position.index > 0 {
        let time = facts.stage_for().filter(|_| !phase.ended()).map(|time| format!(" for {}", span(time)));
        spans.push(Span::raw(format!("  stage {}/{}{}", position.index, position.of, time.unwrap_or_default())));
    } else {
        spans.push(Span::raw(format!("  before stage 1 of {}", position.of)));
    }
    spans.push(Span::raw(format!("  weight {}", percent(status.weight_percent))));
    if let Some(exposure) = status.exposure_percent {
        let over = exposure > status.weight_percent * 1.2 + 1.0;
        let style = if over && !phase.ended() { look.bad() } else { look.strong() };
        spans.push(Span::styled(format!(", measured {}", percent(exposure)), style));
    }
    let since = words::since(facts.change.spec.detected_at, facts.now);
    let until = status.ended_at.map(|ended| words::since(facts.change.spec.detected_at, ended));
    let age = until.map_or_else(|| format!("  age {}", span(since)), |took| format!("  took {}", span(took)));
    if spans.iter().map(Span::width).sum::<usize>() + width(&age) <= to {
        spans.push(Span::raw(age));
    }
    Line::from(spans)
}

/// What is new and who asked for it, in one line.
#[must_use]
pub fn origin(facts: &Facts<'_>, to: usize, look: &Look) -> Vec<Line<'static>> {
    let spec = &facts.change.spec;
    let mut text = if spec.candidate.images.is_empty() {
        format!("revision {}", spec.candidate.hash)
    } else {
        spec.candidate.images.join(", ")
    };
    if let Some(by) = plan::makers(spec).changed_by {
        text = format!("{text} {} asked for by {by}", look.glyphs.dot);
    }
    if spec.attempt > 1 {
        text = format!("{text} {} attempt {}", look.glyphs.dot, spec.attempt);
    }
    vec![Line::styled(cut(&plain(&text), to, look.glyphs.ellipsis), look.faint())]
}

/// Why it does not go on, how it ended, or what the next stage needs.
#[must_use]
pub fn why(facts: &Facts<'_>, to: usize, look: &Look) -> Vec<Line<'static>> {
    let status = facts.status;
    let phase = facts.phase();
    if phase.ended() || phase == Phase::RollingBack {
        return ending(facts, to, look);
    }
    let mut lines = Vec::new();
    if status.paused {
        let start = Span::styled("Paused:", look.warn());
        let text = format!("a human stopped it at this stage. Go on: kubectl firebreak resume {}", facts.in_command());
        lines.extend(paragraph(start, &text, look.warn(), to));
    }
    if let Some(waiting) = &status.waiting {
        let time = span(words::since(waiting.since, facts.now));
        let start = Span::styled(format!("Waits ({}, {time}):", plain(&waiting.reason)), look.warn());
        lines.extend(paragraph(start, &facts.waits_for(waiting), look.warn(), to));
    } else if !status.paused {
        lines.extend(next(facts, to, look));
    }
    lines
}

fn ending(facts: &Facts<'_>, to: usize, look: &Look) -> Vec<Line<'static>> {
    let phase = facts.phase();
    let ago = facts.status.ended_at.map(|at| format!(" {} ago", span(words::since(at, facts.now))));
    let start = Span::styled(format!("{}{}:", words::phase(phase), ago.unwrap_or_default()), look.phase(phase));
    let said = facts.status.decisions.last().map(|decision| facts.said(&decision.message));
    let text = said.as_deref().unwrap_or(match phase {
        Phase::Promoted => "the candidate is the new stable.",
        Phase::RolledBack | Phase::RollingBack => "stable serves all users.",
        Phase::Superseded => "a newer Change took its place.",
        _ => "the stable template came back, or the Guard was deleted.",
    });
    let mut lines = paragraph(start, text, ratatui::style::Style::new(), to);
    if phase == Phase::RolledBack {
        // Short, so that the command stays in one piece: it is to be copied.
        let text = format!("kubectl firebreak retry {} --reason '...'. Else ship another template.", facts.in_command());
        lines.extend(paragraph(Span::raw("Not to blame?"), &text, ratatui::style::Style::new(), to));
    }
    lines
}

fn next(facts: &Facts<'_>, to: usize, look: &Look) -> Vec<Line<'static>> {
    let goal = match (facts.phase(), facts.next_stage()) {
        (Phase::Promoting, _) => return vec![Line::raw("The native controller takes the candidate over.")],
        (Phase::Held | Phase::Preparing, Some(first)) => format!("Before the first {first} %:"),
        (_, Some(next)) => format!("Before {next} %:"),
        _ => "Before the promotion:".to_owned(),
    };
    let needs = facts.needs();
    if let Some(none) = facts.no_request() {
        return paragraph(Span::styled(goal, look.strong()), &none, look.warn(), to);
    }
    let text =
        if needs.is_empty() { "nothing is missing; the operator's next look decides".to_owned() } else { words::list(&needs) };
    paragraph(Span::styled(goal, look.strong()), &text, ratatui::style::Style::new(), to)
}

/// What to say where no Change is to be shown.
#[must_use]
pub fn no_change(shown: &Shown<'_>, to: usize) -> Vec<Line<'static>> {
    let look = shown.look;
    let Some(guard) = shown.guard else {
        return paragraph(
            Span::styled("No such Guard.", look.warn()),
            &format!(
                "Namespace {} has no Guard {}. See what there is: kubectl firebreak status -A{}",
                shown.namespace,
                shown.guard_name,
                facts::on_cluster()
            ),
            look.warn(),
            to,
        );
    };
    let status = guard.status.as_ref();
    let ready = status.and_then(|status| conditions::get(&status.conditions, kind::READY));
    let mut lines = match ready {
        None => paragraph(
            Span::styled("Not seen yet.", look.warn()),
            &format!(
                "No operator has looked at this Guard: is it running? kubectl get pods -A -l app.kubernetes.io/name=firebreak{}",
                facts::on_cluster()
            ),
            look.warn(),
            to,
        ),
        Some(ready) if ready.status != "True" => {
            paragraph(Span::styled(format!("Not ready ({}):", ready.reason), look.warn()), &ready.message, look.warn(), to)
        }
        Some(_) => paragraph(
            Span::styled("No Change yet.", look.good()),
            &format!("The next change of the pod template of {} starts one.", facts::target(&guard.spec.target_ref)),
            ratatui::style::Style::new(),
            to,
        ),
    };
    let hold = match status.and_then(|status| status.hold) {
        Some(Hold::Admission) => "Template changes are held in the API server.",
        Some(Hold::Late) => "Template changes are held by the operator, after the native controller may have begun.",
        None => return lines,
    };
    lines.extend(words::wrap(hold, to).into_iter().map(Line::raw));
    lines
}
