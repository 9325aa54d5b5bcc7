//! Users, clients and addresses of a cluster.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};

use super::kubeconfig;
use super::layout::{API_ADDRESS, API_PORT, BRIDGE_ADDRESS};
use super::pki::Authority;
use super::{Inner, Lab, Own, control_plane};
use crate::exec::Tool;
use crate::parts::{Part, Parts};

/// kubectl waits for nothing unless told to; a chart's installation may wait for its pods.
const KUBECTL: Duration = Duration::from_secs(60);
const HELM: Duration = Duration::from_secs(5 * 60);
/// How long a service account's token is valid, in seconds: a day, longer than any test.
const TOKEN_SECONDS: i64 = 24 * 60 * 60;

impl Own {
    pub(crate) fn admin_kubeconfig(&self) -> &Path {
        &self.admin
    }

    fn api_url(&self) -> String {
        let state = self.state();
        control_plane::api_url(state.size, &state.ports)
    }
}

impl Lab {
    /// The administrator's kubeconfig.
    #[must_use]
    pub fn kubeconfig_path(&self) -> &Path {
        self.admin_kubeconfig()
    }

    /// A client with all rights. Make one per test: it belongs to the runtime it was made in.
    ///
    /// # Errors
    /// When the kubeconfig is unusable.
    pub async fn client(&self) -> Result<Client> {
        client_of(self.kubeconfig_path()).await
    }

    /// A client of a user by that name in those groups, who has no rights but those given by name.
    ///
    /// # Errors
    /// See [`Lab::kubeconfig_as`].
    pub async fn client_as(&self, user: &str, groups: &[&str]) -> Result<Client> {
        client_of(&self.kubeconfig_as(user, groups)?).await
    }

    /// The kubeconfig of a user by that name in those groups: in a lab of ours with a client certificate, in a foreign cluster by
    /// impersonation.
    ///
    /// # Errors
    /// When the file cannot be written; for more than two groups.
    pub fn kubeconfig_as(&self, user: &str, groups: &[&str]) -> Result<PathBuf> {
        let path = self.user_file(&format!("{user} {}", groups.join(" ")));
        match &*self.inner {
            Inner::Own(own) => {
                let authority = Authority::load(&own.layout)?;
                let identity = authority.client(user, groups)?;
                kubeconfig::write(&path, &own.api_url(), authority.certificate(), user, &identity)?;
            }
            Inner::Foreign(foreign) => kubeconfig::write_impersonating(&path, foreign.kubeconfig(), user, groups)?,
        }
        Ok(path)
    }

    /// The kubeconfig of a service account that exists, with a token for a day.
    ///
    /// # Errors
    /// When the service account does not exist.
    pub async fn service_account_kubeconfig(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client().await?, namespace);
        let spec = TokenRequestSpec { expiration_seconds: Some(TOKEN_SECONDS), ..TokenRequestSpec::default() };
        let request = TokenRequest { spec, ..TokenRequest::default() };
        let answer = accounts
            .create_token_request(name, &PostParams::default(), &request)
            .await
            .with_context(|| format!("no token for service account {namespace}/{name}"))?;
        let token = answer.status.map(|status| status.token).ok_or_else(|| anyhow!("the API server issued no token"))?;
        let path = self.user_file(&format!("serviceaccount {namespace} {name}"));
        kubeconfig::write_token(&path, self.kubeconfig_path(), name, &token)?;
        Ok(path)
    }

    /// The file of a user's kubeconfig; users' names may hold any character.
    fn user_file(&self, user: &str) -> PathBuf {
        let plain: String = user.trim().chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
        match &*self.inner {
            Inner::Own(own) => own.layout.file("users").join(format!("{plain}.kubeconfig")),
            Inner::Foreign(foreign) => foreign.folder().join(format!("{plain}.kubeconfig")),
        }
    }

    /// The metrics source as this machine reaches it.
    ///
    /// # Errors
    /// When there is none.
    pub fn prometheus_url(&self) -> Result<String> {
        match &*self.inner {
            Inner::Own(_) => Ok(format!("http://127.0.0.1:{}", self.full()?.state().ports.prometheus)),
            Inner::Foreign(foreign) => foreign.prometheus(),
        }
    }

    /// The metrics source as pods reach it.
    ///
    /// # Errors
    /// When there is none.
    pub fn prometheus_url_for_pods(&self) -> Result<String> {
        match &*self.inner {
            Inner::Own(_) => Ok(format!("http://{BRIDGE_ADDRESS}:{}", self.full()?.state().ports.prometheus)),
            Inner::Foreign(_) => self.prometheus_url(),
        }
    }

    /// The gateway as this machine reaches it.
    ///
    /// # Errors
    /// When there is none.
    pub fn gateway_url(&self) -> Result<String> {
        match &*self.inner {
            Inner::Own(_) => Ok(format!("http://127.0.0.1:{}", self.full()?.state().ports.gateway)),
            Inner::Foreign(foreign) => foreign.gateway_url(),
        }
    }

    /// The gateway's own metrics.
    ///
    /// # Errors
    /// For a foreign cluster or a control plane.
    pub fn gateway_metrics_url(&self) -> Result<String> {
        Ok(format!("http://127.0.0.1:{}/metrics", self.full()?.state().ports.gateway_metrics))
    }

    /// The API server as pods reach it; what Kubernetes tells pods about it is true as well, so in-cluster configuration works.
    ///
    /// # Errors
    /// For a foreign cluster or a control plane.
    pub fn api_address_for_pods(&self) -> Result<String> {
        self.full()?;
        Ok(format!("https://{API_ADDRESS}:{API_PORT}"))
    }

    /// This machine as pods reach it: bind here what pods are to talk to.
    ///
    /// # Errors
    /// For a foreign cluster or a control plane.
    pub fn host_address_for_pods(&self) -> Result<std::net::Ipv4Addr> {
        self.full()?;
        Ok(BRIDGE_ADDRESS)
    }

    /// Runs kubectl as the administrator; the answer is what it printed.
    ///
    /// # Errors
    /// When it fails; the message quotes it.
    pub async fn kubectl<S: AsRef<std::ffi::OsStr>>(&self, args: &[S]) -> Result<String> {
        Ok(self.kubectl_tool().args(args).run_async().await?.stdout)
    }

    /// Applies manifests (YAML or JSON, several documents allowed) from the server's side, as the field manager `firebreak-lab`.
    ///
    /// # Errors
    /// When kubectl refuses them.
    pub async fn apply(&self, manifests: &str) -> Result<()> {
        let apply = self.kubectl_tool().args([
            "apply",
            "--server-side",
            "--force-conflicts",
            "--field-manager=firebreak-lab",
            "--filename=-",
        ]);
        apply.stdin(manifests).run_async().await?;
        Ok(())
    }

    /// Runs helm as the administrator; the answer is what it printed. Builds helm first where it is missing.
    ///
    /// # Errors
    /// When it fails; the message quotes it.
    pub async fn helm<S: AsRef<std::ffi::OsStr>>(&self, args: &[S]) -> Result<String> {
        let parts = tokio::task::spawn_blocking(|| Parts::fetch(&[Part::Helm])).await??;
        // Helm keeps caches in the user's home; the part's own folder keeps them out of it.
        let folder = parts.folder(Part::Helm);
        let helm = Tool::new(parts.program(Part::Helm, "helm"), HELM)
            .env("KUBECONFIG", self.kubeconfig_path())
            .env("HELM_CACHE_HOME", folder.join("cache"))
            .env("HELM_CONFIG_HOME", folder.join("config"))
            .env("HELM_DATA_HOME", folder.join("data"))
            .args(args);
        Ok(helm.run_async().await?.stdout)
    }

    /// kubectl as the administrator, not yet run.
    pub(crate) fn kubectl_tool(&self) -> Tool {
        Tool::new(self.kubectl_program(), KUBECTL).env("KUBECONFIG", self.kubeconfig_path()).env("NO_PROXY", "*")
    }

    /// kubectl as the administrator, to be run at a terminal.
    #[must_use]
    pub fn kubectl_command(&self) -> std::process::Command {
        let mut command = std::process::Command::new(self.kubectl_program());
        command.env("KUBECONFIG", self.kubeconfig_path());
        command
    }
}

pub(crate) async fn client_of(kubeconfig: &Path) -> Result<Client> {
    install_tls_provider();
    let read = Kubeconfig::read_from(kubeconfig).with_context(|| format!("cannot read {}", kubeconfig.display()))?;
    let mut config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await?;
    // The lab is on this machine: whatever proxy leads out of it is of no use.
    config.proxy_url = None;
    Ok(Client::try_from(config)?)
}

/// rustls needs to be told once per process whose cryptography to use.
pub(crate) fn install_tls_provider() {
    // An error means that somebody has already chosen.
    let _chosen = rustls::crypto::ring::default_provider().install_default();
}
