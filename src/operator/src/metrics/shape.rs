//! What is watched: the shape of a signal, and the pods it is read from.

use super::{selector::Selector, trouble::Trouble};

/// How a signal counts: requests and failures, or requests and slow requests.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SignalShape {
    /// Two counters.
    Requests {
        /// PromQL selector of the counter of requests.
        requests: String,
        /// PromQL selector of the counter of failed requests.
        failures: String,
    },
    /// A classic histogram of durations.
    Histogram {
        /// Its name or selector, without `_bucket`.
        histogram: String,
        /// A request slower than this counts as slow: in thousandths of the unit in which the bounds are written, so in milliseconds
        /// where that is seconds.
        edge_ms: u64,
    },
}

/// The pods a signal is read from: those of the ReplicaSets of both arms.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// Their namespace.
    pub namespace: String,
    /// Names of their ReplicaSets.
    pub replica_sets: Vec<String>,
    /// Whether all pods of the namespace are meant, whoever made them.
    pub whole_namespace: bool,
}

/// Series among which failures are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Among {
    /// Their selector, for people.
    pub selector: String,
    /// Whether they are the counter of requests itself, which tells failures by a label.
    pub of_requests: bool,
}

impl SignalShape {
    /// Where failures are to be found; `None` of a histogram, and of a selector that cannot be read.
    #[must_use]
    pub fn failures_are_among(&self) -> Option<Among> {
        let Ok(Selectors::Requests { requests, failures, relaxed }) = Selectors::parse(self) else { return None };
        Some(Among {
            selector: relaxed.and("").trim_end_matches("{}").to_owned(),
            of_requests: requests.name() == failures.name(),
        })
    }
}

/// Checks a shape without asking anyone.
///
/// # Errors
/// [`Trouble::BadSelector`], with the field and what to write there.
pub fn validate(shape: &SignalShape) -> Result<(), Trouble> {
    Selectors::parse(shape).map(drop)
}

/// A [`SignalShape`] whose selectors were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Selectors {
    /// Two counters.
    Requests {
        /// Requests.
        requests: Selector,
        /// Failed requests.
        failures: Selector,
        /// What there is where no failure is, but could be: [`Selector::relaxed`].
        relaxed: Selector,
    },
    /// A histogram.
    Histogram {
        /// The histogram itself, as a native one would be called.
        histogram: Selector,
        /// Upper bound of the requests that are not slow, as in [`SignalShape`].
        edge_ms: u64,
    },
}

/// Largest edge, in thousandths: from a million on, exposition formats begin to write bounds with exponents.
const MAX_EDGE_MS: u64 = 999_999_999;

impl Selectors {
    pub(crate) fn parse(shape: &SignalShape) -> Result<Self, Trouble> {
        match shape {
            SignalShape::Requests { requests, failures } => {
                let failures = Selector::parse("failures", failures)?;
                let relaxed = failures.relaxed();
                Ok(Self::Requests { requests: Selector::parse("requests", requests)?, failures, relaxed })
            }
            SignalShape::Histogram { histogram, edge_ms } => {
                let bad = |field, detail: String| Err(Trouble::BadSelector { field, detail });
                let selector = Selector::parse("histogram", histogram)?;
                if let Some(base) = ["_bucket", "_count", "_sum"].into_iter().find_map(|s| selector.name().strip_suffix(s)) {
                    return bad("histogram", format!("name the histogram without suffix: {base}"));
                }
                if selector.has("le") {
                    return bad("histogram", "leave out the label le: slowerThan picks the bucket".to_owned());
                }
                if *edge_ms == 0 || *edge_ms > MAX_EDGE_MS {
                    return bad(
                        "slowerThan",
                        "give a duration that is the upper bound of one of the histogram's buckets: from 1ms on, up to 11 days where its \
                         bounds are written in seconds, up to 16m where they are in milliseconds"
                            .to_owned(),
                    );
                }
                Ok(Self::Histogram { histogram: selector, edge_ms: *edge_ms })
            }
        }
    }
}

/// Kubernetes cuts the name that a pod's random characters are added to: `maxGeneratedNameLength` in
/// `apiserver/pkg/storage/names/generate.go`.
const MAX_GENERATED_BASE: usize = 58;
/// How many random characters end a pod's name: `randomLength`, same file.
pub(crate) const RANDOM_CHARACTERS: usize = 5;

impl Target {
    /// The pods of ReplicaSets.
    pub fn of<'n>(namespace: &str, replica_sets: impl IntoIterator<Item = &'n String>) -> Self {
        let replica_sets = replica_sets.into_iter().cloned().collect();
        Self { namespace: namespace.to_owned(), replica_sets, whole_namespace: false }
    }

    /// All pods of a namespace.
    #[must_use]
    pub fn whole(namespace: &str) -> Self {
        Self { namespace: namespace.to_owned(), replica_sets: Vec::new(), whole_namespace: true }
    }

    /// What the names of the pods begin with, one a ReplicaSet.
    pub(crate) fn pod_prefixes(&self) -> impl Iterator<Item = String> {
        self.replica_sets.iter().map(|set| set.chars().chain(['-']).take(MAX_GENERATED_BASE).collect())
    }

    /// Whether a pod is one of its pods, by name.
    pub(crate) fn owns(&self, namespace: &str, pod: &str) -> bool {
        namespace == self.namespace && (self.whole_namespace || self.set_of(pod).is_some())
    }

    /// The ReplicaSet that a pod in the namespace belongs to, by name.
    pub(crate) fn set_of(&self, pod: &str) -> Option<&str> {
        let random =
            |text: &str| text.len() == RANDOM_CHARACTERS && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let sets = self.replica_sets.iter().zip(self.pod_prefixes());
        let mut of = sets.filter(|(_, prefix)| pod.strip_prefix(prefix.as_str()).is_some_and(random));
        of.next().map(|(set, _)| set.as_str())
    }
}
