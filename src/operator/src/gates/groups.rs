//! Which workloads Guards join by `dependents`: the connected parts of the graph, whoever names whom. Pure.

use std::collections::HashMap;

use firebreak_api::Guard;
use kube::ResourceExt as _;

/// A workload: namespace and name.
pub(super) type Workload = (String, String);

/// Groups of workloads; one that no Guard joins to another is alone.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    of: HashMap<Workload, Workload>,
}

impl Groups {
    pub(super) fn of<'a>(guards: impl Iterator<Item = &'a Guard>) -> Self {
        let mut parents: HashMap<Workload, Workload> = HashMap::new();
        for guard in guards {
            let namespace = guard.namespace().unwrap_or_default();
            let target = (namespace.clone(), guard.spec.target_ref.name.clone());
            for dependent in &guard.spec.dependents {
                let place = dependent.namespace.clone().unwrap_or_else(|| namespace.clone());
                let (one, other) = (root(&parents, &target), root(&parents, &(place, dependent.name.clone())));
                if one != other {
                    // The smaller name stands for both, so that the same Guards give the same groups.
                    let (first, second) = if one < other { (one, other) } else { (other, one) };
                    parents.insert(second, first);
                }
            }
        }
        let of = parents.keys().map(|workload| (workload.clone(), root(&parents, workload))).collect();
        Self { of }
    }

    /// Whether two workloads belong together.
    pub(super) fn joined(&self, one: &Workload, other: &Workload) -> bool {
        self.representative(one) == self.representative(other)
    }

    fn representative<'a>(&'a self, workload: &'a Workload) -> &'a Workload {
        self.of.get(workload).unwrap_or(workload)
    }
}

fn root(parents: &HashMap<Workload, Workload>, workload: &Workload) -> Workload {
    let mut at = workload;
    while let Some(parent) = parents.get(at) {
        at = parent;
    }
    at.clone()
}
