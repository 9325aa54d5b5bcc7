//! What is different between two pod templates, as the engine's typed facts.
//!
//! Every part that has a fact of its own is taken out of both templates, and of what is left the paths that differ are told:
//! so nothing that makes two templates another revision is invisible. Values of environment variables are never told.

mod containers;
mod image;
mod security;

use std::collections::BTreeSet;

use firebreak_engine::policy::{
    Diff,
    diff::{Edit, ServiceAccount, Volume, most},
};
use serde_json::{Map, Value};

use crate::template;

/// The difference between stable's template and the candidate's, the riskier facts first, bounded.
#[must_use]
pub fn between(stable: &Value, candidate: &Value) -> Diff {
    let (mut old, mut new) = (template::normalized(stable), template::normalized(candidate));
    let mut found = Found::default();
    if old == new {
        return found.diff;
    }
    pod(&mut found, &mut old, &mut new);
    found.paths("", Some(&old), Some(&new));
    found.diff.bounded()
}

/// What was found so far.
#[derive(Default)]
struct Found {
    diff: Diff,
    /// Facts that were told.
    told: usize,
}

impl Found {
    /// Tells of a part that was taken out of both templates; where it differs and there is no fact for how, its path is told.
    fn part(&mut self, path: &str, old: Option<&Value>, new: Option<&Value>, tell: impl FnOnce(&mut Self)) {
        if old == new {
            return;
        }
        let before = self.told;
        tell(self);
        if self.told == before {
            self.other(path);
        }
    }

    fn other(&mut self, path: &str) {
        self.told += 1;
        self.diff.other.push(cut(path));
    }

    fn volume(&mut self, container: &str, name: &str, kind: &str, change: Edit) {
        self.told += 1;
        self.diff.volumes.push(Volume { container: container.to_owned(), name: cut(name), kind: cut(kind), change });
    }

    /// The paths at which two values differ, down to lists and plain values.
    fn paths(&mut self, path: &str, old: Option<&Value>, new: Option<&Value>) {
        if old == new {
            return;
        }
        let none = Map::new();
        let maps = match (old, new) {
            (Some(Value::Object(old)), Some(Value::Object(new))) => Some((old, new)),
            // Of a part that came or went each thing in it is told.
            (None, Some(Value::Object(new))) if !new.is_empty() => Some((&none, new)),
            (Some(Value::Object(old)), None) if !old.is_empty() => Some((old, &none)),
            _ => None,
        };
        let Some((old, new)) = maps else { return self.other(if path.is_empty() { "template" } else { path }) };
        let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for key in keys {
            self.paths(&below(path, key), old.get(key), new.get(key));
        }
    }
}

/// A path below another; keys with dots or slashes stand in brackets.
fn below(path: &str, key: &str) -> String {
    if key.contains(['.', '/']) {
        return format!("{path}[{key}]");
    }
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn cut(text: &str) -> String {
    if text.len() <= most::TEXT {
        return text.to_owned();
    }
    let end = (0..=most::TEXT - 3).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}...", text.get(..end).unwrap_or_default())
}

/// How a part changed.
fn edit(old: Option<&Value>, new: Option<&Value>) -> Edit {
    match (old, new) {
        (None, _) => Edit::Added,
        (_, None) => Edit::Removed,
        _ => Edit::Changed,
    }
}

fn take(from: &mut Value, key: &str) -> Option<Value> {
    from.as_object_mut()?.remove(key)
}

fn text<'a>(of: &'a Value, key: &str) -> Option<&'a str> {
    of.get(key).and_then(Value::as_str)
}

/// Elements of two lists by their keys, in the order of the candidate, then what is gone. None where a key is missing; the
/// second, third and later element of one key are elements of their own.
type Paired<'a> = Vec<(String, Option<&'a Value>, Option<&'a Value>)>;

fn paired<'a>(old: Option<&'a Value>, new: Option<&'a Value>, key: impl Fn(&Value) -> Option<String>) -> Option<Paired<'a>> {
    let keyed = |list: Option<&'a Value>| -> Option<Vec<((String, usize), &'a Value)>> {
        let mut seen: std::collections::BTreeMap<String, usize> = std::collections::BTreeMap::new();
        let elements = match list {
            None => &[][..],
            Some(list) => list.as_array()?,
        };
        let one = |element: &'a Value| {
            let name = key(element)?;
            let count = seen.entry(name.clone()).and_modify(|count| *count += 1).or_insert(0);
            Some(((name, *count), element))
        };
        elements.iter().map(one).collect()
    };
    let (old, new) = (keyed(old)?, keyed(new)?);
    let old_by_key: std::collections::BTreeMap<_, _> = old.iter().map(|(key, element)| (key, *element)).collect();
    let new_keys: BTreeSet<_> = new.iter().map(|(key, _)| key).collect();
    let mut pairs: Paired<'a> =
        new.iter().map(|(key, element)| (key.0.clone(), old_by_key.get(key).copied(), Some(*element))).collect();
    pairs.extend(
        old.iter().filter(|(key, _)| !new_keys.contains(key)).map(|(key, element)| (key.0.clone(), Some(*element), None)),
    );
    Some(pairs)
}

/// Pairs that are not the same.
fn differing(pairs: Paired<'_>) -> Paired<'_> {
    pairs.into_iter().filter(|(_, old, new)| old != new).collect()
}

fn pod(found: &mut Found, old: &mut Value, new: &mut Value) {
    let Some((old, new)) = old.get_mut("spec").zip(new.get_mut("spec")) else { return };
    for (list, init) in [("containers", false), ("initContainers", true)] {
        containers::all(found, list, init, old, new);
    }
    security::of_pod(found, old, new);
    service_account(found, old, new);
    volumes(found, old, new);
    containers::resources(found, "", "spec.resources", old, new);
}

fn service_account(found: &mut Found, old: &mut Value, new: &mut Value) {
    let name = |of: &mut Value| {
        let both = [take(of, "serviceAccountName"), take(of, "serviceAccount")];
        let named = both.iter().flatten().find_map(Value::as_str).unwrap_or("default").to_owned();
        (named, serde_json::json!(both))
    };
    let ((from, old), (to, new)) = (name(old), name(new));
    found.part("spec.serviceAccountName", Some(&old), Some(&new), |found| {
        if from != to {
            found.told += 1;
            found.diff.service_account = Some(ServiceAccount { from: cut(&from), to: cut(&to) });
        }
    });
}

fn volumes(found: &mut Found, old: &mut Value, new: &mut Value) {
    let (old, new) = (take(old, "volumes"), take(new, "volumes"));
    found.part("spec.volumes", old.as_ref(), new.as_ref(), |found| {
        let named = |volume: &Value| text(volume, "name").map(str::to_owned);
        for (name, old, new) in differing(paired(old.as_ref(), new.as_ref(), named).unwrap_or_default()) {
            let kind = |volume: Option<&Value>| volume?.as_object()?.keys().find(|key| *key != "name").cloned();
            let (was, is) = (kind(old), kind(new));
            // A volume that stops being one of the host's is one that changed, not one of the host's.
            let kind = is.or(was).unwrap_or_else(|| "emptyDir".to_owned());
            found.volume("", &name, &kind, edit(old, new));
        }
    });
}

#[cfg(test)]
mod tests;
