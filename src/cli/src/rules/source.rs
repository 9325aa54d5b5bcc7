//! Where the policy and the facts come from: files, the cluster, or what a Change recorded.

use std::{collections::BTreeMap, path::Path};

use firebreak_api::{
    Change,
    change::Risk,
    diff, facts as api_facts,
    in_force::{Basis, Effective, Named},
    names,
    policy::Level,
};
use firebreak_engine::policy::{
    Facts,
    facts::{Changer, History, Workload},
};
use jiff::Timestamp;
use serde_json::Value;

use crate::{
    args::{self, Global},
    cluster::Cluster,
    error::Error,
    explain, facts, output,
    policy::file,
};

/// What is asked.
#[derive(Debug)]
pub struct Asked {
    /// The policy.
    pub policy: Effective,
    /// The facts.
    pub facts: Facts,
    /// What they are of, in words.
    pub of: String,
    /// What was recorded of them, where it was by this very policy.
    pub recorded: Option<Recorded>,
    /// The moment that is asked about.
    pub at: Timestamp,
}

/// What a Change recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// The risk.
    pub risk: Risk,
    /// The plan.
    pub plan: Level,
}

/// Labels of a namespace, as they are written on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels(pub BTreeMap<String, String>);

impl Labels {
    /// Reads `name=value,name=value`; nothing for none.
    ///
    /// # Errors
    /// In words what to write instead.
    pub fn read(text: &str) -> Result<Self, String> {
        let one = |label: &str| {
            let (name, value) = label.split_once('=').ok_or("write name=value, with commas between")?;
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        };
        text.split(',').filter(|label| !label.trim().is_empty()).map(one).collect::<Result<_, String>>().map(Self)
    }
}

/// Finds policy and facts.
///
/// # Errors
/// [`Error::Usage`] with what to write instead; as the API server answers.
pub async fn of(global: &Global, args: &args::PolicyTest, now: Timestamp) -> Result<Asked, Error> {
    let in_cluster = args.policy.as_deref().is_some_and(is_in_cluster);
    let recorded = args.from.is_none();
    let cluster = if in_cluster || recorded { Some(Cluster::connect(global).await?) } else { None };
    let policy = policy(args.policy.as_deref(), cluster.as_ref()).await?;
    match (&args.from, &args.to, cluster) {
        (Some(from), Some(to), _) => manifests(from, to, args, policy.unwrap_or_default(), now),
        (None, None, Some(cluster)) => {
            let snapshot = cluster.snapshot(false).await?;
            output::notes(&snapshot.notes);
            let change = explain::resolve(&snapshot, args.name.as_deref(), &cluster.namespace)?;
            of_change(change, policy)
        }
        _ => Err(Error::Usage("write both manifests, --from old.yaml --to new.yaml, or a Change: change/NAME".to_owned())),
    }
}

/// What a Change recorded; by the policy that it was judged by, unless another is named.
pub(super) fn of_change(change: &Change, policy: Option<Effective>) -> Result<Asked, Error> {
    let name = facts::name(change);
    let packed = change.spec.risk_basis.as_deref().ok_or_else(|| {
        Error::Usage(format!(
            "Change {name} recorded no facts: it was begun by a version of Firebreak without rules; name manifests instead"
        ))
    })?;
    let basis = Basis::unpack(packed).map_err(|error| Error::Usage(format!("Change {name}: {error}")))?;
    let same = policy.as_ref().is_none_or(|policy| *policy == basis.policy);
    let recorded = same.then(|| Recorded { risk: change.spec.risk.clone(), plan: change.spec.plan.clone() });
    let mut facts = basis.facts;
    let policy = policy.unwrap_or(basis.policy);
    if policy.time_zone() != facts.time.zone {
        facts.time = api_facts::clock(change.spec.detected_at, policy.time_zone()).ok_or_else(|| no_zone(&policy))?;
    }
    Ok(Asked { policy, facts, of: format!("Change {name}"), recorded, at: change.spec.detected_at })
}

fn no_zone(policy: &Effective) -> Error {
    Error::Usage(format!(
        "spec.timeZone: there is no time zone {}; write one of the IANA database, for example Europe/Zurich",
        policy.time_zone()
    ))
}

/// Facts of two manifests.
fn manifests(from: &Path, to: &Path, args: &args::PolicyTest, policy: Effective, now: Timestamp) -> Result<Asked, Error> {
    let (old, new) = (workload(from)?, workload(to)?);
    let text = |object: &Value, pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let time = api_facts::clock(args.at.unwrap_or(now), policy.time_zone()).ok_or_else(|| no_zone(&policy))?;
    let (old_template, new_template) = (template(&old, from)?, template(&new, to)?);
    let facts = Facts {
        annotations: claims(&new, new_template),
        workload: Workload {
            name: text(&new, "/metadata/name"),
            in_namespace: text(&new, "/metadata/namespace"),
            replicas: new.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1),
            labels: texts(new.pointer("/metadata/labels")),
            namespace_labels: args.namespace_labels.as_ref().map(|labels| labels.0.clone()),
        },
        diff: diff::between(old_template, new_template),
        time,
        history: History { complete: true, ..History::default() },
        changer: Changer { name: args.changer.clone() },
    };
    Ok(Asked {
        policy, facts, of: format!("{} → {}", from.display(), to.display()), recorded: None, at: args.at.unwrap_or(now)
    })
}

/// The claims in a manifest, as the operator reads them: the template's win.
fn claims(object: &Value, template: &Value) -> BTreeMap<String, String> {
    let annotations = |object: &Value| texts(object.pointer("/metadata/annotations"));
    let mut all = annotations(object);
    all.extend(annotations(template));
    all.retain(|name, _| names::CLAIMS.contains(&name.as_str()));
    all
}

fn texts(map: Option<&Value>) -> BTreeMap<String, String> {
    let map = map.and_then(Value::as_object).into_iter().flatten();
    map.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

fn template<'a>(object: &'a Value, path: &Path) -> Result<&'a Value, Error> {
    object
        .pointer("/spec/template")
        .ok_or_else(|| Error::Usage(format!("{}: has no spec.template; name a file with one Deployment", path.display())))
}

/// The Deployment of a file; of many documents the only one.
fn workload(path: &Path) -> Result<Value, Error> {
    let mut found: Vec<Value> = file::documents(path)?
        .into_iter()
        .filter(|object| object.get("kind").and_then(Value::as_str) == Some("Deployment"))
        .collect();
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        _ => Err(Error::Usage(format!("{}: name a file with exactly one Deployment", path.display()))),
    }
}

/// Whether a policy is named in the cluster: `clusterriskpolicy/NAME` or `riskpolicy/NAME`.
#[must_use]
pub fn is_in_cluster(named: &str) -> bool {
    kind_and_name(named).is_some()
}

fn kind_and_name(named: &str) -> Option<(bool, &str)> {
    let (kind, name) = named.split_once('/')?;
    match kind {
        "clusterriskpolicy" | "clusterriskpolicies" | "crp" => Some((true, name)),
        "riskpolicy" | "riskpolicies" | "rp" => Some((false, name)),
        _ => None,
    }
}

/// The policy that is named; none where none is.
///
/// # Errors
/// [`Error::Usage`] with what to write instead; as the API server answers.
pub async fn policy(named: Option<&str>, cluster: Option<&Cluster>) -> Result<Option<Effective>, Error> {
    let Some(named) = named else { return Ok(None) };
    let (Some((of_cluster, name)), Some(cluster)) = (kind_and_name(named), cluster) else {
        return Ok(Some(file::read(Path::new(named))?));
    };
    if of_cluster {
        let found = cluster.policy(name).await?;
        return Ok(Some(Effective { cluster: Some(Named { name: name.to_owned(), spec: found.spec }), own: None }));
    }
    let own = cluster.own_policy(name).await?;
    let tightened = match &own.spec.cluster_policy {
        Some(name) => Some(Named { name: name.clone(), spec: cluster.policy(name).await?.spec }),
        None => None,
    };
    Ok(Some(Effective { cluster: tightened, own: Some(Named { name: name.to_owned(), spec: own.spec }) }))
}
