//! The lab of a test run: up once, Firebreak's chart installed, images loaded.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use firebreak_lab::{Lab, Options, cluster::workspace_binary, parts::require_root};
use kube::Client;

use crate::Machine;

/// Namespace of the chart's release.
pub const SYSTEM: &str = "firebreak-system";
/// A namespace in which the admission policy does not hold, to test the late hold.
pub const WITHOUT_POLICY: &str = "late";
/// Another one.
pub const ALSO_WITHOUT_POLICY: &str = "late-condemned";
/// Image of the demo service.
pub const SERVICE_IMAGE: &str = "localhost/demo-service:1";
/// Image of the operator.
pub const OPERATOR_IMAGE: &str = "localhost/firebreak:lab";

/// Environment variable that names a running lab to join.
pub const JOIN: &str = "FIREBREAK_TESTS_LAB";

/// The lab and what is installed in it.
pub struct World {
    /// The cluster.
    pub lab: Lab,
    /// A client with an administrator's rights.
    pub admin: Client,
    /// The operator's own kubeconfig: its ServiceAccount, with the chart's rights and no more.
    pub operator_kubeconfig: PathBuf,
    /// The operator's binary.
    pub operator_binary: PathBuf,
    /// The CLI's binary.
    pub cli_binary: PathBuf,
    /// Who runs beside whom.
    pub machine: Machine,
}

impl World {
    /// Brings everything up, or joins the lab that `FIREBREAK_TESTS_LAB` names and that `lab up` started: then a test run costs
    /// no start. Without `replicas` the operator does not run in the cluster: tests start their own processes.
    ///
    /// # Errors
    /// When the lab does not come up or the chart does not install.
    pub async fn begin(options: Options, replicas: u32) -> Result<Self> {
        let joined = std::env::var(JOIN).ok();
        if joined.is_none() && options.existing.is_none() {
            require_root("a lab that runs pods")?;
        }
        let operator_binary = workspace_binary("firebreak-operator", "firebreak")?;
        let cli_binary = workspace_binary("firebreak-cli", "kubectl-firebreak")?;
        let service_binary = workspace_binary("firebreak-lab", "demo-service")?;
        let lab = match &joined {
            Some(name) => Lab::attach(name)?.with_context(|| format!("{JOIN} names lab {name}, which is not up"))?,
            None => Lab::up(options).await.context("the lab does not come up")?,
        };
        lab.load_image(SERVICE_IMAGE, &service_binary).await?;
        if replicas > 0 {
            lab.load_image(OPERATOR_IMAGE, &operator_binary).await?;
        }
        // A lab that others use as well keeps the installation it has.
        if joined.is_none() || lab.helm(&["status", "firebreak", "--namespace", SYSTEM]).await.is_err() {
            install(&lab, replicas).await.context("the chart does not install")?;
        }
        let operator_kubeconfig = lab.service_account_kubeconfig(SYSTEM, "firebreak").await?;
        let admin = lab.client().await?;
        Ok(Self { lab, admin, operator_kubeconfig, operator_binary, cli_binary, machine: Machine::default() })
    }
}

/// Installs the chart of this repository.
///
/// # Errors
/// When helm refuses.
pub async fn install(lab: &Lab, replicas: u32) -> Result<()> {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/firebreak");
    let prometheus = lab.prometheus_url_for_pods()?;
    let (image, pulled) = lab.image(OPERATOR_IMAGE);
    // What follows the last colon is a port where a slash comes after it.
    let (repository, tag) = image.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).unwrap_or((&image, "latest"));
    let set = [
        format!("image.repository={repository}"),
        format!("image.pullPolicy={pulled}"),
        format!("replicas={replicas}"),
        format!("prometheus.url={prometheus}"),
        format!("admission.excludedNamespaces={{{WITHOUT_POLICY},{ALSO_WITHOUT_POLICY}}}"),
    ];
    // A tag may look like a number.
    let tag = format!("image.tag={tag}");
    let chart = chart.display().to_string();
    let mut args = vec![
        "upgrade",
        "--install",
        "firebreak",
        &chart,
        "--namespace",
        SYSTEM,
        "--create-namespace",
        "--wait",
        "--timeout",
        "120s",
    ];
    for value in &set {
        args.extend(["--set", value]);
    }
    args.extend(["--set-string", &tag]);
    lab.helm(&args).await?;
    Ok(())
}
