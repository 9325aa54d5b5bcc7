//! What to write into an HTTPRoute or a GRPCRoute, and what one says.
//!
//! Each rule that names the Service gets one entry for the candidate per entry of the Service (a rule may name it
//! twice, for two ports or two sets of filters), at the end of its `backendRefs`: a copy under the candidate's name.
//! Nothing else in the route changes.

use firebreak_api::{change::RuleRecord, names::FIELD_MANAGER};
use serde_json::Value;

use super::{
    Backends, Patch, Weight,
    patch::Builder,
    rule::{Names, Role, Rule, check, rules, weight, with_name, with_weight},
    wanted::{Wanted, wanted},
    weights::{Part, divide},
};

/// Most `backendRefs` the Gateway API accepts in a rule.
const MAX_BACKENDS: usize = 16;

/// Why a route is left as it is. None of these passes by itself: the first two are the user's to change, the third is
/// a bug.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// No rule names the Service.
    #[error(
        "no rule of {route} sends traffic to Service {service}: name the Service in the backendRefs of a rule, or take \
         the route out of spec.traffic.routes of the Guard"
    )]
    NoTraffic {
        /// Kind and name.
        route: String,
        /// The Service.
        service: String,
    },
    /// There is no room for the candidate's entry.
    #[error(
        "{route} has no room for the candidate: rule {rule} has {count} backendRefs, the candidate needs {needed} more, and \
         the Gateway API accepts {MAX_BACKENDS}: take backends out of the rule, or give the Service a rule of its own"
    )]
    TooManyBackends {
        /// Kind and name.
        route: String,
        /// The rule, counted from 0 as in the route's path.
        rule: usize,
        /// Its backendRefs without the candidate's.
        count: usize,
        /// Entries the candidate needs.
        needed: usize,
    },
    /// The API server would not have accepted this.
    #[error("{route} cannot be read at {at}: this is not as the Gateway API defines it; please report it with the route")]
    Unreadable {
        /// Kind and name.
        route: String,
        /// JSON pointer.
        at: String,
    },
}

/// A share of the Service's traffic.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Share(f64);

impl Share {
    /// In thousandths, 0 to 1000; never above the weight that was asked for.
    #[must_use]
    pub fn permille(self) -> f64 {
        self.0
    }
}

/// What the user wants of each rule that names the Service, to be kept while our entries are in the route.
///
/// `former` is what was recorded before: none at first. Call it again whenever the route was read, and keep its answer
/// before the next [`split`]: it follows what users do to the route meanwhile (rules added, moved or rewritten, a
/// revert), and gives the record back letter for letter where they did nothing.
///
/// # Errors
/// Where no rule sends traffic to the Service, or the route cannot be read.
pub fn record(route: &Value, backends: Backends<'_>, former: &[RuleRecord]) -> Result<Vec<RuleRecord>, RouteError> {
    let rules = served(route, backends, former)?;
    let record = |rule: Wanted<'_>| {
        let index = u32::try_from(rule.rule.index).ok()?;
        Some(RuleRecord { index, backend_refs: rule.text })
    };
    Ok(rules.into_iter().filter_map(record).collect())
}

/// Divides the Service's traffic: the candidate gets `weight` of it, in every rule that names the Service. `None`
/// where the route says so already.
///
/// Every other backend keeps its exact share; weights are the smallest whole numbers that do. Where those exceed what
/// the Gateway API accepts, the candidate gets less than asked, as little less as can be, never more. A Service whose
/// weight is 0 in a rule keeps 0 there, and so has the candidate. At [`Weight::ZERO`] on a route that was not touched
/// yet, it tells without harm whether dividing will be possible.
///
/// # Errors
/// Where no rule sends traffic to the Service, a rule has no room, or the route cannot be read.
pub fn split(route: &Value, backends: Backends<'_>, records: &[RuleRecord], weight: Weight) -> Result<Option<Patch>, RouteError> {
    let mut targets = Vec::new();
    for rule in served(route, backends, records)? {
        let target = divided(route, backends, &rule, weight)?;
        targets.push((rule.rule, target));
    }
    Ok(rewrite(route, targets))
}

/// Takes the candidate's weight to 0 wherever it has one, the Service carrying its whole share again. `None` where
/// there is nothing to take.
///
/// For a rollback, where nothing may stand in front: it tests names only, validates nothing and cannot fail. Where a
/// rule has lost the Service's own entry, ours becomes it, because at 0 the rule's requests would fail. Where a rule
/// sends no request anywhere, the Service gets the recorded weight.
#[must_use]
pub fn zero(route: &Value, backends: Backends<'_>, records: &[RuleRecord]) -> Option<Patch> {
    let names = Names::of(route, backends);
    let mut patch = Builder::default();
    for Wanted { rule, refs, .. } in wanted(route, backends, records).iter().filter(|wanted| wanted.rule.has_candidate()) {
        let path = format!("/spec/rules/{}/backendRefs", rule.index);
        let shares = rule.shares();
        for (position, _) in rule.of(Role::Candidate).filter(|(_, entry)| weight(entry) != Some(0)) {
            let name = format!("{path}/{position}/name");
            patch.test(&name, &Value::from(backends.candidate));
            if shares.is_empty() {
                patch.set(&name, &Value::from(backends.service));
            } else {
                patch.set(&format!("{path}/{position}/weight"), &Value::from(0));
            }
        }
        let mut recorded = refs.iter().filter(|entry| names.role(entry) == Role::Service);
        for ((position, entry), (_, share)) in rule.of(Role::Service).zip(shares) {
            let recorded = recorded.next().and_then(weight).unwrap_or(0);
            let share = if rule.is_dead() { recorded } else { share };
            if weight(entry) != Some(share) {
                patch.test(&format!("{path}/{position}/name"), &Value::from(backends.service));
                patch.set(&format!("{path}/{position}/weight"), &Value::from(share));
            }
        }
    }
    patch.finish()
}

/// Gives the route back: our entries out, the recorded `backendRefs` in, letter for letter. `None` where none of ours
/// is left.
///
/// Where the user changed a rule meanwhile, the user's edits stay and only our entry goes. Its weight returns to the
/// Service, and the common factor is undone: what the Service weighs now against what it weighed in the record, for
/// all backends of the rule if each comes out whole, else for none. Shares are the same either way.
///
/// # Errors
/// Where the route cannot be read.
pub fn restore(route: &Value, backends: Backends<'_>, records: &[RuleRecord]) -> Result<Option<Patch>, RouteError> {
    check(route)?;
    let rules = wanted(route, backends, records).into_iter();
    Ok(rewrite(route, rules.map(|Wanted { rule, refs, .. }| (rule, refs)).collect()))
}

/// The largest share of the Service's own traffic that any rule sends to the candidate now. `None` where no rule names
/// the candidate.
#[must_use]
pub fn candidate_share(route: &Value, backends: Backends<'_>) -> Option<Share> {
    let rules = rules(route, Names::of(route, backends));
    let shares = rules.iter().filter(|rule| rule.has_candidate()).map(|rule| {
        let sum = |role| rule.of(role).map(|(_, entry)| weight(entry).unwrap_or(0)).sum::<u64>();
        let candidate = sum(Role::Candidate);
        let total = candidate + sum(Role::Service);
        // Both are far below 2^53: one rounding, which cannot pass a weight that the exact quotient does not pass.
        if total == 0 { Share(0.0) } else { Share((candidate * 1000) as f64 / total as f64) }
    });
    shares.max_by(|a, b| a.0.total_cmp(&b.0))
}

/// What is contended of an object, as its managed fields name it.
#[derive(Debug, Clone, Copy)]
pub enum Contended {
    /// `spec.rules` of a route.
    Rules,
    /// `spec.selector` of a Service.
    Selector,
}

/// The field manager other than ours that wrote that last, to be named when it is contended.
#[must_use]
pub fn other_manager(object: &Value, what: Contended) -> Option<String> {
    let field = match what {
        Contended::Rules => "/fieldsV1/f:spec/f:rules",
        Contended::Selector => "/fieldsV1/f:spec/f:selector",
    };
    let entries = object.pointer("/metadata/managedFields")?.as_array()?;
    let others = entries.iter().filter_map(|entry| {
        let manager = entry.get("manager")?.as_str().filter(|manager| *manager != FIELD_MANAGER)?;
        entry.pointer(field)?;
        // The API server writes times in UTC with whole seconds, so their order is that of their text.
        Some((entry.get("time").and_then(Value::as_str).unwrap_or_default(), manager))
    });
    others.max_by_key(|(time, _)| *time).map(|(_, manager)| manager.to_owned())
}

/// Kind and name, for messages.
pub(super) fn title(route: &Value) -> String {
    let kind = route.get("kind").and_then(Value::as_str).unwrap_or("route");
    let name = route.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("without a name");
    format!("{kind} {name}")
}

fn served<'a>(route: &'a Value, backends: Backends<'_>, records: &[RuleRecord]) -> Result<Vec<Wanted<'a>>, RouteError> {
    check(route)?;
    let rules = wanted(route, backends, records);
    if rules.is_empty() {
        return Err(RouteError::NoTraffic { route: title(route), service: backends.service.to_owned() });
    }
    Ok(rules)
}

/// The entries of a rule with the candidate's behind them.
fn divided(route: &Value, backends: Backends<'_>, rule: &Wanted<'_>, share: Weight) -> Result<Vec<Value>, RouteError> {
    let names = Names::of(route, backends);
    let parts: Vec<_> = rule
        .refs
        .iter()
        .map(|entry| Part { weight: weight(entry).unwrap_or(0), divided: names.role(entry) == Role::Service })
        .collect();
    let needed = parts.iter().filter(|part| part.divided).count();
    if rule.refs.len() + needed > MAX_BACKENDS {
        let (rule, count) = (rule.rule.index, rule.refs.len());
        return Err(RouteError::TooManyBackends { route: title(route), rule, count, needed });
    }
    let weighed: Vec<_> = rule.refs.iter().zip(divide(&parts, share)).collect();
    let kept = weighed.iter().map(|(entry, part)| with_weight(entry, part.kept));
    let added = weighed.iter().filter_map(|(entry, part)| {
        let entry = with_name(entry, backends.candidate);
        part.candidate.map(|weight| with_weight(&entry, weight))
    });
    Ok(kept.chain(added).collect())
}

/// Writes the rules' new entries where they differ, each resting on the entries that were read.
fn rewrite(route: &Value, targets: Vec<(Rule<'_>, Vec<Value>)>) -> Option<Patch> {
    let mut patch = Builder::default();
    patch.test_if_read(route, "/metadata/uid");
    for (rule, target) in targets {
        let target = Value::Array(target);
        if target != *rule.live {
            let path = format!("/spec/rules/{}/backendRefs", rule.index);
            patch.test(&path, rule.live).set(&path, &target);
        }
    }
    patch.finish()
}
