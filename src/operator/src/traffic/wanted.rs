//! What the user wants of each rule of a route, while our entries are in it.
//!
//! Everything that is written into a route follows from this: dividing adds the candidate to it, restoring writes it,
//! recording keeps it.

use firebreak_api::change::RuleRecord;
use serde_json::Value;

use super::{
    Backends,
    rule::{Names, Role, Rule, rules, weight, with_weight},
    weights::{MAX, rescaled, smallest},
};

/// A rule and what its user wants of it.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) rule: Rule<'a>,
    /// The user's own `backendRefs`: no entry of ours, no factor of ours.
    pub(super) refs: Vec<Value>,
    /// The same as text; the record's own text where it still holds.
    pub(super) text: String,
}

/// A record, read.
struct Recorded<'a> {
    index: u32,
    refs: Vec<Value>,
    text: &'a str,
}

/// How a record belongs to a rule.
enum Match<'r> {
    /// The rule is what we made of the record.
    AsWritten(&'r Recorded<'r>),
    /// The user changed the rule since.
    Edited(&'r Recorded<'r>),
    /// There is no record of it.
    Unknown,
}

/// What the user wants of each rule that names the Service, by this reading of the route:
///
/// - without our entry: what it says. With it, our entry is taken out and its weight goes back to the Service; then
/// - where that is the record but for a common factor: the record, letter for letter;
/// - where the user changed something: what it says, on the record's scale if that gives whole numbers, else on the
///   present one;
/// - without a record: what it says, in the smallest whole numbers.
///
/// A rule that sends no request anywhere although its record does is what is left at full weight when someone zeroes
/// or removes our entry: the zero beside it is ours, not the user's, and the record holds.
pub(super) fn wanted<'a>(route: &'a Value, backends: Backends<'_>, records: &[RuleRecord]) -> Vec<Wanted<'a>> {
    let records: Vec<_> = records.iter().filter_map(Recorded::read).collect();
    let names = Names::of(route, backends);
    let rules = rules(route, names);
    let merged: Vec<_> = rules.iter().map(|rule| rule.merged(backends.service)).collect();
    let matches = assign(&rules, &merged, &records);
    rules
        .into_iter()
        .zip(merged)
        .zip(matches)
        .map(|((rule, merged), found)| {
            if !needs_record(&rule) {
                return Wanted { text: text(&merged), refs: merged, rule };
            }
            let refs = match found {
                Match::AsWritten(record) => {
                    return Wanted { rule, refs: record.refs.clone(), text: record.text.to_owned() };
                }
                Match::Edited(record) => on_scale_of(&merged, &record.refs, names),
                Match::Unknown => reweighed(&merged, &smallest(&weights_of(&merged))),
            };
            Wanted { text: text(&refs), refs, rule }
        })
        .collect()
}

/// Whether something of ours may be in the rule.
fn needs_record(rule: &Rule<'_>) -> bool {
    rule.has_candidate() || rule.is_dead()
}

fn text(refs: &[Value]) -> String {
    Value::Array(refs.to_vec()).to_string()
}

fn weights_of(refs: &[Value]) -> Vec<u64> {
    refs.iter().map(|entry| weight(entry).unwrap_or(0)).collect()
}

fn reweighed(refs: &[Value], weights: &[u64]) -> Vec<Value> {
    refs.iter().zip(weights).map(|(entry, weight)| with_weight(entry, *weight)).collect()
}

/// The entries on the record's scale: the record's weights where they give the same shares; else what the Service's
/// weight is now against what it was, undone where it divides evenly.
fn on_scale_of(merged: &[Value], record: &[Value], names: Names<'_>) -> Vec<Value> {
    let (now, before) = (weights_of(merged), weights_of(record));
    if smallest(&now) == smallest(&before) {
        return reweighed(merged, &before);
    }
    let of_service = |refs: &[Value]| -> u64 {
        let own = refs.iter().filter(|entry| names.role(entry) == Role::Service);
        own.map(|entry| weight(entry).unwrap_or(0)).sum()
    };
    match rescaled(&now, of_service(merged), of_service(record)) {
        Some(weights) => reweighed(merged, &weights),
        None => merged.to_vec(),
    }
}

impl<'a> Recorded<'a> {
    /// A record that is no list of objects is none.
    fn read(record: &'a RuleRecord) -> Option<Self> {
        let refs: Vec<Value> = serde_json::from_str(&record.backend_refs).ok()?;
        let readable = refs.iter().all(|entry| entry.is_object() && weight(entry).is_some());
        readable.then_some(Self { index: record.index, refs, text: &record.backend_refs })
    }

    /// Whether these entries are the record's but for a common factor of their weights.
    fn made(&self, merged: &[Value], is_dead: bool) -> bool {
        let alike = |now: &Value, then: &Value| with_weight(now, MAX) == with_weight(then, MAX);
        let same = merged.len() == self.refs.len() && merged.iter().zip(&self.refs).all(|(now, then)| alike(now, then));
        same && (is_dead || smallest(&weights_of(merged)) == smallest(&weights_of(&self.refs)))
    }
}

/// Which record belongs to which rule. Users insert, remove and move rules, so a record's index is a hint only.
///
/// First the most pairs that fit in the order of both (a record at its own index preferred), then what fits anywhere,
/// then the record of the same index. A wrong pair is harmless: it fits only where it gives every backend the same
/// share.
fn assign<'r>(rules: &[Rule<'_>], merged: &[Vec<Value>], records: &'r [Recorded<'r>]) -> Vec<Match<'r>> {
    let fits: Vec<Vec<bool>> = rules
        .iter()
        .zip(merged)
        .map(|(rule, merged)| {
            let fits = |record: &Recorded<'_>| needs_record(rule) && record.made(merged, rule.is_dead());
            records.iter().map(fits).collect()
        })
        .collect();
    let at_home = |rule: &Rule<'_>, record: &Recorded<'_>| usize::try_from(record.index) == Ok(rule.index);
    let mut pairs = in_order(&fits, |rule, record| {
        rules.get(rule).zip(records.get(record)).is_some_and(|(rule, record)| at_home(rule, record))
    });
    let mut found: Vec<Match<'r>> = Vec::with_capacity(rules.len());
    for (nth, fits) in fits.iter().enumerate() {
        if pairs.iter().all(|(rule, _)| *rule != nth) {
            let free = |record: usize| pairs.iter().all(|(_, taken)| *taken != record);
            let elsewhere = fits.iter().enumerate().find(|(record, fits)| **fits && free(*record));
            pairs.extend(elsewhere.map(|(record, _)| (nth, record)));
        }
    }
    for (nth, rule) in rules.iter().enumerate() {
        let pair = pairs.iter().find(|(of, _)| *of == nth).and_then(|(_, record)| records.get(*record));
        let taken = |record: usize| pairs.iter().any(|(_, taken)| *taken == record);
        let same_index = || records.iter().enumerate().find(|(at, record)| at_home(rule, record) && !taken(*at));
        found.push(match pair {
            Some(record) => Match::AsWritten(record),
            None => same_index().map_or(Match::Unknown, |(_, record)| Match::Edited(record)),
        });
    }
    found
}

/// The longest list of pairs (rule, record) that fit, rising in both; of equally long ones that with most `at_home`.
fn in_order(fits: &[Vec<bool>], at_home: impl Fn(usize, usize) -> bool) -> Vec<(usize, usize)> {
    type Best = (usize, usize, Vec<(usize, usize)>);
    let columns = fits.iter().map(Vec::len).max().unwrap_or(0);
    let mut above: Vec<Best> = vec![Best::default(); columns + 1];
    for (rule, row) in fits.iter().enumerate() {
        let mut current: Vec<Best> = vec![Best::default()];
        for ((record, fits), (diagonal, up)) in row.iter().enumerate().zip(above.iter().zip(above.iter().skip(1))) {
            let left = current.last().cloned().unwrap_or_default();
            let mut best = if (left.0, left.1) > (up.0, up.1) { left } else { up.clone() };
            let paired = (diagonal.0 + 1, diagonal.1 + usize::from(at_home(rule, record)));
            if *fits && paired > (best.0, best.1) {
                let pairs = diagonal.2.iter().copied().chain([(rule, record)]).collect();
                best = (paired.0, paired.1, pairs);
            }
            current.push(best);
        }
        above = current;
    }
    above.pop().map(|best| best.2).unwrap_or_default()
}
