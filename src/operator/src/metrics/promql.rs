//! The queries, as text.
//!
//! A look is one query of several parts, each aggregated to one number a pod and told apart by the label `part`; `or` joins them into one answer.
//! Prometheus evaluates one query on one consistent state of its database, so the parts of one scrape are seen together or not at all.

use std::collections::BTreeSet;

use super::shape::{RANDOM_CHARACTERS, Selectors, Target};

/// One number of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// Requests.
    Requests,
    /// Failed requests.
    Failures,
    /// Requests that were not slow.
    Quick,
    /// When the requests were read, in seconds.
    ReadAt,
    /// When the failures were read, in seconds.
    FailuresReadAt,
    /// How many scrape targets the requests come from.
    Targets,
    /// How many scrape targets the failures come from.
    FailureTargets,
    /// How often the target of the requests is scraped.
    Copies,
    /// Whether the pod could be scraped.
    Up,
    /// How many native histograms carry the histogram's name.
    Native,
    /// How often the counters of requests began anew.
    Resets,
    /// How many series there are that are no failures and have the labels by which those are told.
    Siblings,
}

impl Part {
    const ALL: [Self; 12] = [
        Self::Requests,
        Self::Failures,
        Self::Quick,
        Self::ReadAt,
        Self::FailuresReadAt,
        Self::Targets,
        Self::FailureTargets,
        Self::Copies,
        Self::Up,
        Self::Native,
        Self::Resets,
        Self::Siblings,
    ];

    /// Value of the label `part`.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Failures => "failures",
            Self::Quick => "quick",
            Self::ReadAt => "read_at",
            Self::FailuresReadAt => "failures_read_at",
            Self::Targets => "targets",
            Self::FailureTargets => "failure_targets",
            Self::Copies => "copies",
            Self::Up => "up",
            Self::Native => "native",
            Self::Resets => "resets",
            Self::Siblings => "siblings",
        }
    }

    /// The part that `label` names.
    pub(crate) fn of(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.label() == label)
    }
}

/// What one look asks for.
pub(crate) fn look<'t>(selectors: &Selectors, targets: impl IntoIterator<Item = &'t Target>) -> String {
    let pods = pods(targets);
    let counts = Counts::of(selectors, &pods);
    let up = format!("up{{{pods}}}");
    let mut parts = vec![
        (Part::Requests, sum(&counts.requests)),
        (counts.second_part, sum(&counts.second)),
        (Part::ReadAt, read_at(&counts.requests)),
        (Part::FailuresReadAt, read_at(&counts.second)),
        (Part::Targets, scrape_targets(&counts.requests)),
        (Part::FailureTargets, scrape_targets(&counts.second)),
        (Part::Copies, copies(&up, &counts.requests)),
        (Part::Up, format!("max by (namespace,pod) ({up})")),
    ];
    let number_of = |selector: &str| format!("count by (namespace,pod) ({selector})");
    parts.extend(counts.native.as_deref().map(|native| (Part::Native, number_of(native))));
    parts.extend(counts.siblings.as_deref().map(|siblings| (Part::Siblings, number_of(siblings))));
    join(parts)
}

/// What the history asks for: the two counters alone.
pub(crate) fn history(selectors: &Selectors, target: &Target) -> String {
    let counts = Counts::of(selectors, &pods([target]));
    join(vec![(Part::Requests, sum(&counts.requests)), (counts.second_part, sum(&counts.second))])
}

/// How often each pod's counters of requests began anew in the last five minutes.
pub(crate) fn resets<'t>(selectors: &Selectors, targets: impl IntoIterator<Item = &'t Target>) -> String {
    join(vec![(Part::Resets, format!("sum by (namespace,pod) (resets({}[5m]))", Counts::of(selectors, &pods(targets)).requests))])
}

/// The upper bounds of a histogram's buckets, pod by pod; `None` for counters.
pub(crate) fn edges(selectors: &Selectors, target: &Target) -> Option<String> {
    match selectors {
        Selectors::Requests { .. } => None,
        Selectors::Histogram { histogram, .. } => {
            Some(format!("group by (namespace,pod,le) ({})", histogram.suffixed("_bucket").and(&pods([target]))))
        }
    }
}

/// Selectors of what is counted, with the pods' matchers.
struct Counts {
    requests: String,
    second: String,
    second_part: Part,
    native: Option<String>,
    siblings: Option<String>,
}

impl Counts {
    fn of(selectors: &Selectors, pods: &str) -> Self {
        match selectors {
            Selectors::Requests { requests, failures, relaxed } => Self {
                requests: requests.and(pods),
                second: failures.and(pods),
                second_part: Part::Failures,
                native: None,
                siblings: Some(format!("{} unless {}", relaxed.and(pods), failures.and(pods))),
            },
            Selectors::Histogram { histogram, edge_ms } => Self {
                requests: histogram.suffixed("_count").and(pods),
                second: histogram.suffixed("_bucket").and(&format!("le=~{},{pods}", quoted(&edge_pattern(*edge_ms)))),
                second_part: Part::Quick,
                native: Some(histogram.and(pods)),
                siblings: None,
            },
        }
    }
}

fn sum(selector: &str) -> String {
    format!("sum by (namespace,pod) ({selector})")
}

fn read_at(selector: &str) -> String {
    format!("max by (namespace,pod) (timestamp({selector}))")
}

fn scrape_targets(selector: &str) -> String {
    format!("count by (namespace,pod) (group by (namespace,pod,job,instance) ({selector}))")
}

fn copies(up: &str, selector: &str) -> String {
    format!(
        "max by (namespace,pod) (count by (namespace,pod,job,instance) ({up}) and on (namespace,pod,job,instance) {selector})"
    )
}

fn join(parts: Vec<(Part, String)>) -> String {
    let labelled =
        parts.into_iter().map(|(part, query)| format!("label_replace({query},\"part\",\"{}\",\"\",\"\")", part.label()));
    labelled.collect::<Vec<_>>().join(" or ")
}

/// Matchers of the pods of all targets together. They may match a pod too many (another target's ReplicaSet name in one's namespace):
/// rows are sorted out by [`Target::owns`].
pub(crate) fn pods<'t>(targets: impl IntoIterator<Item = &'t Target>) -> String {
    let (mut namespaces, mut prefixes, mut whole) = (BTreeSet::new(), BTreeSet::new(), false);
    for target in targets {
        namespaces.insert(escaped(&target.namespace));
        whole |= target.whole_namespace;
        prefixes.extend(target.pod_prefixes().map(|p| escaped(&p)));
    }
    let any = |set: BTreeSet<String>| set.into_iter().collect::<Vec<_>>().join("|");
    if whole {
        return format!("namespace=~{},pod!=\"\"", quoted(&any(namespaces)));
    }
    let pods = format!("(?:{})[a-z0-9]{{{RANDOM_CHARACTERS}}}", any(prefixes));
    format!("namespace=~{},pod=~{}", quoted(&any(namespaces)), quoted(&pods))
}

/// Matches the ways to write a bucket's upper bound: 0.3, 0.30, .3 or 1, 1.0.
fn edge_pattern(edge_ms: u64) -> String {
    let (whole, thousandths) = (edge_ms / 1000, edge_ms % 1000);
    let fraction = format!("{thousandths:03}");
    match (whole, fraction.trim_end_matches('0')) {
        (whole, "") => format!("0*{whole}(?:\\.0*)?"),
        (0, fraction) => format!("0*\\.{fraction}0*"),
        (whole, fraction) => format!("0*{whole}\\.{fraction}0*"),
    }
}

/// A PromQL string.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// A text that a regular expression takes literally.
fn escaped(text: &str) -> String {
    text.chars().flat_map(|c| "\\.+*?()|[]{}^$".contains(c).then_some('\\').into_iter().chain([c])).collect()
}
