//! The demo on a cluster that somebody else runs: it begins only where nothing of its own is, so that at the end all of it can go.

use anyhow::{Result, ensure};
use firebreak_lab::{Lab, cluster::Existing};
use firebreak_tests::{manifests::POLICY, world::SYSTEM};

use crate::NAMESPACE;

/// Definitions that the chart brings and helm leaves.
const DEFINITIONS: [&str; 4] = [
    "crd/guards.firebreak.dev",
    "crd/changes.firebreak.dev",
    "crd/interventions.firebreak.dev",
    "crd/clusterriskpolicies.firebreak.dev",
];

/// Refuses a cluster where Firebreak is, or what the demo would make.
pub(crate) async fn must_be_free(cluster: &Existing) -> Result<()> {
    let lab = Lab::existing(cluster)?;
    let namespaces = [NAMESPACE, SYSTEM].map(|name| format!("namespace/{name}"));
    let mut args = vec!["get", "--ignore-not-found", "--output=name"];
    args.extend(namespaces.iter().map(String::as_str).chain(DEFINITIONS));
    let found = lab.kubectl(&args).await?;
    ensure!(
        found.trim().is_empty(),
        "the demo installs Firebreak and removes it at the end, and this cluster already has\n{found}\
         charts/firebreak/README.md says how to uninstall; or use another cluster"
    );
    Ok(())
}

/// Removes what the demo made, Guards first: only their operator ends what a running Change holds.
pub(crate) async fn clear(lab: &Lab) -> Result<()> {
    lab.kubectl(&["delete", "guards", "--all", "--namespace", NAMESPACE, "--timeout=50s"]).await?;
    lab.kubectl(&["delete", "namespace", NAMESPACE, "--wait=false"]).await?;
    lab.kubectl(&["delete", "clusterriskpolicy", POLICY, "--ignore-not-found"]).await?;
    lab.helm(&["uninstall", "firebreak", "--namespace", SYSTEM, "--wait"]).await?;
    lab.kubectl(&["delete", "namespace", SYSTEM, "--wait=false"]).await?;
    let mut definitions = vec!["delete", "--timeout=50s"];
    definitions.extend(DEFINITIONS);
    lab.kubectl(&definitions).await?;
    Ok(())
}
