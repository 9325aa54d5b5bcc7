//! Changes the model by one message. Pure: no clock, no network, no terminal.

use firebreak_api::Change;
use jiff::Timestamp;

use super::{
    How, Until,
    model::{HISTORY, LINGER, Lost, Message, Model, Seen, Source, TREND_OVER},
};
use crate::{curve::Evidence, facts};

/// Changes the model by one message.
pub fn update(model: &mut Model, message: Message) {
    match message {
        Message::Tick(now) => model.now = now,
        Message::Guard(seen) => {
            guard(model, *seen);
            back(model, Source::Guard);
        }
        Message::Changes(seen) => {
            changes(model, *seen);
            back(model, Source::Changes);
        }
        Message::Lost(source, why) => {
            let since = model.lost.get(&source).map_or(model.now, |lost| lost.since);
            model.lost.insert(source, Lost { since, why });
        }
        Message::Unreadable(note) => model.note = Some(note),
        Message::Quit => model.end = Some(model.ending(How::Quit)),
        Message::Scroll(lines) => {
            let most = model.shown().map_or(0, |change| facts::status(change).decisions.len().saturating_sub(1));
            model.scroll = model.scroll.saturating_add_signed(lines).min(most);
        }
        Message::Resize => {}
    }
    remember_harm(model);
    follow(model);
}

fn guard(model: &mut Model, seen: Seen<firebreak_api::Guard>) {
    model.guard = match seen {
        Seen::All(guards) => guards.into_iter().find(|guard| guard.metadata.name.as_ref() == Some(&model.guard_name)),
        Seen::One(guard) if guard.metadata.name.as_ref() == Some(&model.guard_name) => Some(guard),
        Seen::Gone(name) if name == model.guard_name => None,
        Seen::One(_) | Seen::Gone(_) => return,
    };
}

fn changes(model: &mut Model, seen: Seen<Change>) {
    let ours = |change: &Change| change.spec.guard == model.guard_name;
    match seen {
        Seen::All(all) => {
            let all: Vec<Change> = all.into_iter().filter(ours).collect();
            model.changes.clear();
            all.into_iter().for_each(|change| take_in(model, change));
        }
        Seen::One(change) if ours(&change) => take_in(model, change),
        Seen::One(_) => {}
        Seen::Gone(name) => {
            model.changes.remove(&name);
            model.remembered.remove(&name);
        }
    }
}

fn take_in(model: &mut Model, change: Change) {
    let name = facts::name(&change).to_owned();
    let harm = || Evidence::of(&change).map_or_else(Vec::new, |evidence| evidence.harm());
    model.remembered.entry(name.clone()).or_insert_with(harm);
    model.changes.insert(name, facts::slim(change));
}

fn back(model: &mut Model, source: Source) {
    model.lost.remove(&source);
    model.connected.insert(source);
}

fn remember_harm(model: &mut Model) {
    let Some(change) = model.shown() else { return };
    let name = facts::name(change).to_owned();
    let harm = facts::status(change).harm.map(|harm| harm.evidence);
    if model.history_of.as_ref() != Some(&name) {
        // What was remembered is the largest of a while: whether harm rises is told by what is seen from now on.
        let before = |(at, _): &&(Timestamp, f64)| model.now.duration_since(*at) > TREND_OVER;
        let remembered = model.remembered.get(&name).map_or(&[][..], Vec::as_slice);
        model.history = remembered.iter().filter(before).copied().collect();
        model.scroll = 0;
        model.history_of = Some(name);
    }
    // One point for each change of the value, so that the curve shows looks and not the clock of the terminal.
    if let Some(harm) = harm.filter(|harm| model.history.back().is_none_or(|(_, last)| last.to_bits() != harm.to_bits())) {
        model.history.push_back((model.now, harm));
        if model.history.len() > HISTORY {
            model.history.pop_front();
        }
    }
}

/// With [`Until::Ended`]: takes up the Change that runs, and ends the view a moment after its end.
fn follow(model: &mut Model) {
    if model.until == Until::Quit || model.end.is_some() || !model.loaded() {
        return;
    }
    let Some(followed) = model.followed.clone() else {
        let running = model.shown().filter(|change| !facts::status(change).phase.ended());
        model.followed = running.map(|change| facts::name(change).to_owned());
        return;
    };
    match model.changes.get(&followed) {
        None => model.end = Some(model.ending(How::Gone)),
        Some(change) if facts::status(change).phase.ended() => {
            let since: Timestamp = *model.over_since.get_or_insert(model.now);
            if model.now.duration_since(since) >= LINGER {
                model.end = Some(model.ending(How::Ended));
            }
        }
        Some(_) => model.over_since = None,
    }
}
