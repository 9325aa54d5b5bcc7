//! One rule of a route: whose entries it holds, and what they weigh.
//!
//! HTTPRoute and GRPCRoute have the same `spec.rules[].backendRefs[]`. Reading here never fails: what is not as the
//! API server would give it counts as not there, because taking the candidate's weight away must not wait for
//! anything. Those who want to refuse such a route ask [`check`] first.

use serde_json::Value;

use super::{
    Backends,
    route::{RouteError, title},
    weights::MAX,
};

/// Whose an entry of `backendRefs` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The Service whose traffic is divided.
    Service,
    /// The candidate's Service: our entry.
    Candidate,
    /// Another backend.
    Other,
}

/// The two Services as entries of one route name them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names<'a> {
    backends: Backends<'a>,
    namespace: Option<&'a str>,
}

/// A rule that names the Service or the candidate.
#[derive(Debug)]
pub(super) struct Rule<'a> {
    /// Its place in the route.
    pub(super) index: usize,
    /// Its `backendRefs` as they are, each with whose it is.
    entries: Vec<(Role, &'a Value)>,
    /// The same as one value.
    pub(super) live: &'a Value,
}

/// The weight of an entry, 1 where it has none; `None` where that cannot be read.
pub(super) fn weight(entry: &Value) -> Option<u64> {
    match entry.get("weight") {
        None | Some(Value::Null) => Some(1),
        Some(weight) => weight.as_u64().filter(|weight| *weight <= MAX),
    }
}

/// The entry with another weight; untouched where it has this weight already.
pub(super) fn with_weight(entry: &Value, to: u64) -> Value {
    let mut entry = entry.clone();
    if weight(&entry) != Some(to) {
        put(&mut entry, "weight", Value::from(to));
    }
    entry
}

/// The entry with another name.
pub(super) fn with_name(entry: &Value, name: &str) -> Value {
    let mut entry = entry.clone();
    put(&mut entry, "name", Value::from(name));
    entry
}

fn put(entry: &mut Value, key: &str, value: Value) {
    if let Some(entry) = entry.as_object_mut() {
        entry.insert(key.to_owned(), value);
    }
}

/// Refuses a route that cannot be read: its rules are no list, an entry is no object, or a weight is none.
pub(super) fn check(route: &Value) -> Result<(), RouteError> {
    let unreadable = |at: String| RouteError::Unreadable { route: title(route), at };
    let rules = match route.pointer("/spec/rules") {
        None | Some(Value::Null) => return Ok(()),
        Some(rules) => rules.as_array().ok_or_else(|| unreadable("/spec/rules".to_owned()))?,
    };
    for (index, rule) in rules.iter().enumerate() {
        let at = format!("/spec/rules/{index}/backendRefs");
        let entries = match rule.get("backendRefs") {
            None | Some(Value::Null) => continue,
            Some(entries) => entries.as_array().ok_or_else(|| unreadable(at.clone()))?,
        };
        if let Some(bad) = entries.iter().position(|entry| !entry.is_object() || weight(entry).is_none()) {
            return Err(unreadable(format!("{at}/{bad}")));
        }
    }
    Ok(())
}

/// The rules that name the Service or the candidate, in the route's order.
pub(super) fn rules<'a>(route: &'a Value, names: Names<'_>) -> Vec<Rule<'a>> {
    let rules = route.pointer("/spec/rules").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let read = |(index, rule): (usize, &'a Value)| {
        let live = rule.get("backendRefs")?;
        let entries: Vec<_> = live.as_array()?.iter().map(|entry| (names.role(entry), entry)).collect();
        let ours = entries.iter().any(|(role, _)| *role != Role::Other);
        ours.then_some(Rule { index, entries, live })
    };
    rules.iter().enumerate().filter_map(read).collect()
}

impl<'a> Names<'a> {
    /// As in `route`: an entry without a namespace is in the route's own.
    pub(super) fn of(route: &'a Value, backends: Backends<'a>) -> Self {
        Self { backends, namespace: route.pointer("/metadata/namespace").and_then(Value::as_str) }
    }

    /// Whose `entry` is.
    pub(super) fn role(self, entry: &Value) -> Role {
        let field = |name: &str| entry.get(name).and_then(Value::as_str);
        let is_service = field("kind").is_none_or(|kind| kind == "Service")
            && field("group").is_none_or(str::is_empty)
            && field("namespace").is_none_or(|own| Some(own) == self.namespace);
        match field("name") {
            Some(name) if is_service && name == self.backends.service => Role::Service,
            Some(name) if is_service && name == self.backends.candidate => Role::Candidate,
            _ => Role::Other,
        }
    }
}

impl Rule<'_> {
    /// Whether our entry is in it.
    pub(super) fn has_candidate(&self) -> bool {
        self.entries.iter().any(|(role, _)| *role == Role::Candidate)
    }

    /// Positions and entries of one role.
    pub(super) fn of(&self, wanted: Role) -> impl Iterator<Item = (usize, &Value)> {
        self.entries
            .iter()
            .enumerate()
            .filter(move |(_, (role, _))| *role == wanted)
            .map(|(position, (_, entry))| (position, *entry))
    }

    /// Whether it sends no request anywhere.
    pub(super) fn is_dead(&self) -> bool {
        self.entries.iter().all(|(_, entry)| weight(entry) == Some(0))
    }

    /// What each entry of the Service carries together with the candidate's entry beside it: position and weight.
    ///
    /// The first candidate entry stands beside the first entry of the Service, and so on; what is left over belongs to
    /// the last.
    pub(super) fn shares(&self) -> Vec<(usize, u64)> {
        let mut shares: Vec<_> = self.of(Role::Service).map(|(position, entry)| (position, weight(entry).unwrap_or(0))).collect();
        let last = shares.len().saturating_sub(1);
        for (nth, (_, entry)) in self.of(Role::Candidate).enumerate() {
            if let Some((_, share)) = shares.get_mut(nth.min(last)) {
                *share = (*share + weight(entry).unwrap_or(0)).min(MAX);
            }
        }
        shares
    }

    /// The entries without ours, the Service's carrying their whole share. Where only our entry is left, the Service
    /// takes its place.
    pub(super) fn merged(&self, service: &str) -> Vec<Value> {
        let shares = self.shares();
        let entries = self.entries.iter().enumerate();
        entries
            .filter_map(|(position, (role, entry))| match role {
                Role::Other => Some((*entry).clone()),
                Role::Service => {
                    let share = shares.iter().find(|(at, _)| *at == position).map_or(0, |(_, share)| *share);
                    Some(with_weight(entry, share))
                }
                Role::Candidate => shares.is_empty().then(|| with_name(entry, service)),
            })
            .collect()
    }
}
