//! A cluster that somebody else runs: how it is named on a command line, and what in it stands for what a lab of ours has.

use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, Parser};
use serde_json::{Value, json};

use super::pki::write_private;
use super::{GATEWAY_NAME, GATEWAY_NAMESPACE, Inner, Lab};
use crate::exec::Tool;

/// kubectl only reads a file here.
const KUBECTL: Duration = Duration::from_secs(60);
/// Where pod specifications hold their containers.
const CONTAINERS: [&str; 4] =
    ["/spec/containers", "/spec/initContainers", "/spec/template/spec/containers", "/spec/template/spec/initContainers"];

/// When pods of an existing cluster get its images.
const PULLED: &str = "IfNotPresent";
/// A lab of ours has what was loaded into it, and nowhere to pull from.
const LOADED: &str = "Never";

/// A cluster that is there, and what a run needs to know of it.
#[derive(Debug, Clone, Default)]
pub struct Existing {
    /// Its kubeconfig.
    pub kubeconfig: PathBuf,
    /// The context in it, if not the current one.
    pub context: Option<String>,
    /// Base address of a Prometheus, as whoever asks it reaches it.
    pub prometheus: Option<String>,
    /// Base address of its gateway, as this machine reaches it.
    pub gateway_url: Option<String>,
    /// The Gateway that routes attach to, as `namespace/name`.
    pub gateway: Option<String>,
    /// For each image that a lab of ours gets loaded, one that the cluster can pull.
    pub images: BTreeMap<String, String>,
}

/// An existing cluster as options of a command, and as environment variables where there is no command line.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "A cluster that is there, instead of one on this machine")]
pub struct ExistingOptions {
    /// Its kubeconfig.
    #[arg(long, value_name = "FILE", env = "FIREBREAK_LAB_KUBECONFIG")]
    kubeconfig: Option<PathBuf>,
    /// The context in it, if not the current one.
    #[arg(long, requires = "kubeconfig", env = "FIREBREAK_LAB_CONTEXT")]
    context: Option<String>,
    /// Its Prometheus, as the operator reaches it.
    #[arg(long, value_name = "URL", requires = "kubeconfig", env = "FIREBREAK_LAB_PROMETHEUS_URL")]
    prometheus_url: Option<String>,
    /// Its gateway, as this machine reaches it.
    #[arg(long, value_name = "URL", requires = "kubeconfig", env = "FIREBREAK_LAB_GATEWAY_URL")]
    gateway_url: Option<String>,
    /// The Gateway that routes attach to.
    #[arg(long, value_name = "NAMESPACE/NAME", requires = "kubeconfig", env = "FIREBREAK_LAB_GATEWAY")]
    gateway: Option<String>,
    /// An image of the operator that it can pull.
    #[arg(long, requires = "kubeconfig", env = "FIREBREAK_LAB_IMAGE")]
    image: Option<String>,
    /// An image of the demo service that it can pull.
    #[arg(long, requires = "kubeconfig", env = "FIREBREAK_LAB_SERVICE_IMAGE")]
    service_image: Option<String>,
}

impl ExistingOptions {
    /// What the environment says.
    ///
    /// # Errors
    /// When a variable names a part of a cluster and none names its kubeconfig.
    pub fn from_environment() -> Result<Self> {
        #[derive(Parser)]
        struct Environment {
            #[command(flatten)]
            options: ExistingOptions,
        }
        Ok(Environment::try_parse_from(["cluster"])?.options)
    }

    /// The cluster named, if one is; `operator` and `service` are the images' names in a lab of ours.
    #[must_use]
    pub fn cluster(self, operator: &str, service: &str) -> Option<Existing> {
        let images = [(operator, self.image), (service, self.service_image)];
        Some(Existing {
            kubeconfig: self.kubeconfig?,
            context: self.context,
            prometheus: self.prometheus_url,
            gateway_url: self.gateway_url,
            gateway: self.gateway,
            images: images.into_iter().filter_map(|(ours, image)| Some((ours.to_owned(), image?))).collect(),
        })
    }
}

/// An existing cluster with a folder of ours for its users.
#[derive(Debug)]
pub(crate) struct Foreign {
    /// Our own, with copies of credentials in it.
    folder: PathBuf,
    kubeconfig: PathBuf,
    kubectl: PathBuf,
    cluster: Existing,
}

impl Foreign {
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    pub(crate) fn kubectl(&self) -> &Path {
        &self.kubectl
    }

    pub(crate) fn prometheus(&self) -> Result<String> {
        named(self.cluster.prometheus.as_ref(), "Prometheus", "--prometheus-url", "FIREBREAK_LAB_PROMETHEUS_URL")
    }

    pub(crate) fn gateway_url(&self) -> Result<String> {
        named(self.cluster.gateway_url.as_ref(), "gateway's address", "--gateway-url", "FIREBREAK_LAB_GATEWAY_URL")
    }

    /// Whether pods can have the image that a lab of ours would get loaded.
    pub(crate) fn has_image(&self, ours: &str) -> Result<()> {
        if self.cluster.images.contains_key(ours) {
            return Ok(());
        }
        bail!(
            "nothing can be loaded into a cluster that is there: name an image it can pull in place of {ours}, \
             with `--image` (the operator's) or `--service-image` of `cargo demo`, \
             elsewhere with FIREBREAK_LAB_IMAGE or FIREBREAK_LAB_SERVICE_IMAGE"
        )
    }

    fn adapt(&self, object: &mut Value) -> Result<()> {
        for place in CONTAINERS {
            let containers = object.pointer_mut(place).and_then(Value::as_array_mut).into_iter().flatten();
            for container in containers.filter_map(Value::as_object_mut) {
                let image =
                    container.get("image").and_then(Value::as_str).and_then(|ours| self.cluster.images.get(ours)).cloned();
                if let Some(image) = image {
                    container.insert("image".to_owned(), json!(image));
                    container.insert("imagePullPolicy".to_owned(), json!(PULLED));
                }
            }
        }
        let parents = object.pointer_mut("/spec/parentRefs").and_then(Value::as_array_mut).into_iter().flatten();
        for parent in parents.filter_map(Value::as_object_mut) {
            let is = |field: &str, value: &str| parent.get(field).and_then(Value::as_str) == Some(value);
            if is("name", GATEWAY_NAME) && is("namespace", GATEWAY_NAMESPACE) {
                let gateway = named(self.cluster.gateway.as_ref(), "Gateway", "--gateway", "FIREBREAK_LAB_GATEWAY")?;
                let (namespace, name) =
                    gateway.split_once('/').ok_or_else(|| anyhow!("`{gateway}` is not NAMESPACE/NAME of a Gateway"))?;
                parent.insert("namespace".to_owned(), json!(namespace));
                parent.insert("name".to_owned(), json!(name));
            }
        }
        Ok(())
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.folder);
    }
}

fn named(value: Option<&String>, what: &str, option: &str, variable: &str) -> Result<String> {
    value.cloned().ok_or_else(|| anyhow!("name the cluster's {what} with `{option}` of `cargo demo`, elsewhere with {variable}"))
}

impl Lab {
    /// A cluster that is already there.
    ///
    /// Everything works but what needs processes of ours: faults on components, new certificates, loading images.
    ///
    /// # Errors
    /// When kubectl is missing or does not find the context.
    pub fn existing(cluster: &Existing) -> Result<Self> {
        static COPIES: AtomicU32 = AtomicU32::new(0);
        let kubectl =
            crate::parts::on_path("kubectl").ok_or_else(|| anyhow!("an existing cluster is reached with kubectl: install it"))?;
        let mut view = Tool::new(&kubectl, KUBECTL)
            .args(["config", "view", "--raw", "--flatten", "--minify", "--kubeconfig"])
            .arg(&cluster.kubeconfig);
        if let Some(context) = &cluster.context {
            view = view.args(["--context", context]);
        }
        let text = view.run().with_context(|| format!("cannot read {}", cluster.kubeconfig.display()))?.stdout;
        let name = format!("firebreak-{}-{}", std::process::id(), COPIES.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        std::fs::DirBuilder::new().mode(0o700).create(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let copy = folder.join("admin.kubeconfig");
        let foreign = Foreign { folder, kubeconfig: copy, kubectl, cluster: cluster.clone() };
        write_private(&foreign.kubeconfig, &text)?;
        Ok(Self { inner: Arc::new(Inner::Foreign(Box::new(foreign))) })
    }

    /// How pods name an image of ours, and when they pull it.
    #[must_use]
    pub fn image(&self, ours: &str) -> (String, &'static str) {
        match &*self.inner {
            Inner::Foreign(foreign) if let Some(image) = foreign.cluster.images.get(ours) => (image.clone(), PULLED),
            _ => (ours.to_owned(), LOADED),
        }
    }

    /// Puts what this cluster has into a manifest written for a lab of ours: its images for ours, its Gateway for the lab's.
    ///
    /// # Errors
    /// When the manifest needs a Gateway and none was named.
    pub fn adapt(&self, object: &mut Value) -> Result<()> {
        match &*self.inner {
            Inner::Own(_) => Ok(()),
            Inner::Foreign(foreign) => foreign.adapt(object),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn foreign(gateway: Option<&str>) -> Foreign {
        let cluster = Existing {
            gateway: gateway.map(str::to_owned),
            images: BTreeMap::from([("localhost/demo:1".to_owned(), "example.org/demo:7".to_owned())]),
            ..Existing::default()
        };
        Foreign { folder: PathBuf::new(), kubeconfig: PathBuf::new(), kubectl: PathBuf::new(), cluster }
    }

    #[test]
    fn given_manifests_for_a_lab_when_adapted_then_they_name_what_the_cluster_has_and_nothing_else_changes() {
        let container = |image: &str, policy: &str| json!({"name": "a", "image": image, "imagePullPolicy": policy});
        let deployment = |containers: Value| json!({"spec": {"replicas": 2, "template": {"spec": {"containers": containers}}}});
        let mut object = deployment(json!([container("localhost/demo:1", "Never"), container("localhost/other:1", "Never")]));
        foreign(None).adapt(&mut object).unwrap();
        let expected =
            deployment(json!([container("example.org/demo:7", "IfNotPresent"), container("localhost/other:1", "Never")]));
        assert_eq!(object, expected);

        let route = |parents: Value| json!({"spec": {"parentRefs": parents, "hostnames": ["shop.test"]}});
        let lab = json!({"name": GATEWAY_NAME, "namespace": GATEWAY_NAMESPACE});
        let other = json!({"name": "mesh"});
        let mut object = route(json!([lab, other]));
        let refused = foreign(None).adapt(&mut object).unwrap_err().to_string();
        assert!(refused.contains("--gateway") && refused.contains("cargo demo"), "{refused}");
        foreign(Some("edge/public")).adapt(&mut object).unwrap();
        assert_eq!(object, route(json!([{"name": "public", "namespace": "edge"}, other])));
    }

    #[test]
    fn given_an_image_that_was_not_named_when_asked_for_then_the_error_says_how_to_name_it() {
        assert!(foreign(None).has_image("localhost/demo:1").is_ok());
        let refused = foreign(None).has_image("localhost/other:1").unwrap_err().to_string();
        assert!(refused.contains("localhost/other:1") && refused.contains("--service-image"), "{refused}");
    }

    #[test]
    fn given_options_without_a_kubeconfig_when_read_then_there_is_no_cluster() {
        assert!(ExistingOptions::default().cluster("a", "b").is_none());
        let named = ExistingOptions {
            kubeconfig: Some("file".into()),
            service_image: Some("example.org/demo:7".to_owned()),
            ..ExistingOptions::default()
        };
        let cluster = named.cluster("operator", "service").unwrap();
        assert_eq!(cluster.images, BTreeMap::from([("service".to_owned(), "example.org/demo:7".to_owned())]));
    }
}
