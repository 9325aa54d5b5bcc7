//! Freeze windows and limits of a policy: when no new candidate reaches users, and how many Changes may be under way at once.
//!
//! Holds the types, and what of both holds for a workload ([`Effective::freezes`], [`Effective::limits`]). When a window is open is
//! worked out in [`crate::windows`]. Both are read from the policy as it stands, not from what a Change began with: whoever
//! declares a freeze means the Changes that already run.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Span,
    in_force::{Effective, UTC},
    policy::RiskLevel,
    windows::Calendar,
};

/// A window in which nothing new reaches users. Going back is never held up.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[x_kube(validation = Rule::new("has(self.schedule) == has(self.duration) && has(self.from) == has(self.until) && has(self.schedule) != has(self.from)").message("write schedule and duration, or from and until"))]
#[x_kube(validation = Rule::new("!has(self.duration) || duration(self.duration) >= duration('1m') && duration(self.duration) <= duration('8784h')").message("duration: from 1m to 8784h, for example 62h"))]
#[x_kube(validation = Rule::new("!has(self.from) || !has(self.until) || self.from < self.until").message("from must be before until"))]
#[serde(rename_all = "camelCase")]
pub struct Freeze {
    /// Its name.
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// When it begins, again and again: a cron of five fields (minute, hour, day of month, month, day of week).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 9, max = 100))]
    #[x_kube(validation = Rule::new("self.matches('^[^@ ]+( [^@ ]+){4}$')").message("schedule: a cron of five fields with one space between, minute hour day-of-month month day-of-week, for example 0 17 * * 5"))]
    pub schedule: Option<String>,
    /// How long it lasts each time, by a clock that knows no summer time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Span>,
    /// When it begins, once: RFC 3339, for example 2026-12-19T17:00:00+01:00.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// When it ends, once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Time zone of `schedule`, as in the IANA database. Default: the ClusterRiskPolicy's, else UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[A-Za-z][-+_A-Za-z0-9/]*$"))]
    pub time_zone: Option<String>,
    /// The levels that it holds for. Default: all.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[schemars(with = "Vec<RiskLevel>", length(max = 4))]
    pub levels: BTreeSet<RiskLevel>,
    /// What becomes of a Change that has a share of the traffic when it begins.
    #[serde(default)]
    pub running: Running,
    /// Whether people may let a Change through.
    #[serde(default)]
    pub exception: Exception,
}

/// What a freeze does to a Change that has a share of the traffic.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Running {
    /// It stays at its stage.
    #[default]
    Hold,
    /// It goes on.
    Finish,
}

/// Whether people may let a Change through a freeze.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Exception {
    /// Nobody may.
    #[default]
    None,
    /// Those may whom the level's `approval` asks, as many of them; never the one who made the change.
    Approval,
}

/// How many Changes may be under way at once: their candidate has a share of the traffic, or is about to have one. Of these the
/// Changes count whose Guards go by the same ClusterRiskPolicy.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// In the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub cluster: Option<u32>,
    /// In one namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub namespace: Option<u32>,
    /// Of one level.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, AtOnce>", extend("maxProperties" = 8))]
    #[x_kube(validation = Rule::new("self.all(name, name in ['low', 'medium', 'high', 'critical'])").message("limits.levels: levels are low, medium, high and critical"))]
    pub levels: BTreeMap<RiskLevel, AtOnce>,
    /// Among workloads that Guards join by `dependents`, whoever names whom, over any number of steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub dependency_group: Option<u32>,
}

/// So many Changes at once.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(transparent)]
pub struct AtOnce(#[schemars(range(min = 1, max = 10000))] pub u32);

impl Limits {
    /// Whether nothing is limited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The limit for one level.
    #[must_use]
    pub fn level(&self, level: RiskLevel) -> Option<u32> {
        self.levels.get(&level).map(|limit| limit.0)
    }

    /// Each limit in words.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let changes = |count: u32| if count == 1 { "1 Change".to_owned() } else { format!("{count} Changes") };
        let levels = self
            .levels
            .iter()
            .map(|(level, limit)| (Some(limit.0), format!("of level {}", firebreak_engine::risk::Level::from(*level))));
        [(self.cluster, "in the cluster".to_owned()), (self.namespace, "in a namespace".to_owned())]
            .into_iter()
            .chain(levels)
            .chain([(self.dependency_group, "in a group of dependents".to_owned())])
            .filter_map(|(limit, place)| Some(format!("at most {} under way {place}", changes(limit?))))
            .collect()
    }
}

/// Limits that a namespace may set.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct OwnLimits {
    /// In this namespace; the smaller of this and the ClusterRiskPolicy's holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub namespace: Option<u32>,
}

/// A freeze of the policies that hold for a workload.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedFreeze<'a> {
    /// Its name; of a namespace's policy with the policy's before it.
    pub name: String,
    /// Time zone of its schedule, and in which its times are said.
    pub zone: &'a str,
    /// What it says.
    pub freeze: &'a Freeze,
}

impl NamedFreeze<'_> {
    /// Whether it holds for a level.
    #[must_use]
    pub fn holds_for(&self, level: RiskLevel) -> bool {
        self.freeze.levels.is_empty() || self.freeze.levels.contains(&level)
    }

    /// When it is open.
    ///
    /// # Errors
    /// What is wrong with it, and what to write instead.
    pub fn calendar(&self) -> Result<Calendar, String> {
        Calendar::of(self.freeze, self.zone)
    }
}

impl Effective {
    /// Every freeze: the cluster's first, then the namespace's own.
    pub fn freezes(&self) -> impl Iterator<Item = NamedFreeze<'_>> {
        let default = self.time_zone();
        let in_force = move |name: String, freeze| NamedFreeze { name, zone: zone(freeze, default), freeze };
        let cluster = self.cluster.iter().flat_map(|policy| &policy.spec.freezes);
        let cluster = cluster.map(move |freeze| in_force(freeze.name.clone(), freeze));
        let own = self.own.iter().flat_map(move |policy| {
            policy.spec.freezes.iter().map(move |freeze| in_force(format!("{}/{}", policy.name, freeze.name), freeze))
        });
        cluster.chain(own)
    }

    /// The limits: of both policies the stricter.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let mut limits = self.cluster.as_ref().and_then(|policy| policy.spec.limits.clone()).unwrap_or_default();
        let own = self.own.as_ref().and_then(|policy| policy.spec.limits.as_ref()?.namespace);
        limits.namespace = limits.namespace.into_iter().chain(own).min();
        limits
    }

    /// What of the namespace's limits is looser than the cluster's.
    pub(crate) fn looser_limits(&self) -> Option<String> {
        let own = self.own.as_ref()?.spec.limits.as_ref()?.namespace?;
        let cluster = self.cluster.as_ref()?.spec.limits.as_ref()?.namespace?;
        (own > cluster).then(|| format!("limits.namespace {own} is looser than {cluster} of the cluster's policy"))
    }
}

fn zone<'a>(freeze: &'a Freeze, default: &'a str) -> &'a str {
    freeze.time_zone.as_deref().unwrap_or(default)
}

/// Whether freezes can be used.
///
/// # Errors
/// The first that cannot, with what to write instead.
pub fn check(freezes: &[Freeze], time_zone: Option<&str>) -> Result<(), String> {
    freezes.iter().try_for_each(|freeze| {
        let usable = Calendar::of(freeze, zone(freeze, time_zone.unwrap_or(UTC))).and_then(|calendar| calendar.check());
        usable.map_err(|why| format!("freeze {}: {why}", freeze.name))
    })
}
