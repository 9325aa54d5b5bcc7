//! Someone with rights of their own: a client certificate with a name and groups, and the roles that are bound to them. No case
//! about people acts as the administrator.

use std::{path::PathBuf, process::Command};

use anyhow::{Result, ensure};
use firebreak_api::{
    Intervention, InterventionSpec,
    intervention::{Action, InterventionStatus},
};
use firebreak_lab::cluster::until;
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, PostParams},
};
use serde_json::json;

use crate::{MINUTE, Scene, manifests::APP};

/// One person in one scene.
pub struct Person {
    /// Their name, as the API server knows them.
    pub name: String,
    /// Their client.
    pub client: Client,
    kubeconfig: PathBuf,
    cli: PathBuf,
    namespace: String,
}

impl Scene<'_> {
    /// Someone by this name in these groups (two at most) with these ClusterRoles in the scene's namespace.
    ///
    /// # Errors
    /// When the certificate cannot be made or a role cannot be bound.
    pub async fn person(&self, name: &str, groups: &[&str], roles: &[&str]) -> Result<Person> {
        for role in roles {
            let binding = json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                "metadata": {"name": format!("{name}-{role}")},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}],
            });
            self.apply(&[binding]).await?;
        }
        let person = Person {
            name: name.to_owned(),
            client: self.world.lab.client_as(name, groups).await?,
            kubeconfig: self.world.lab.kubeconfig_as(name, groups)?,
            cli: self.world.cli_binary.clone(),
            namespace: self.namespace.clone(),
        };
        // Who may only bypass can list nothing.
        if roles.iter().any(|role| *role != "firebreak-bypass") {
            person.known().await?;
        }
        Ok(person)
    }
}

impl Person {
    /// The API server learns of a role binding a moment after it was made.
    async fn known(&self) -> Result<()> {
        until(&format!("the roles of {}", self.name), MINUTE, async || {
            let api: Api<firebreak_api::Guard> = Api::namespaced(self.client.clone(), &self.namespace);
            api.list(&kube::api::ListParams::default()).await?;
            Ok(Some(()))
        })
        .await
    }

    /// The CLI as they run it; what it printed.
    ///
    /// # Errors
    /// When it fails, with what it printed.
    pub fn firebreak(&self, args: &[&str]) -> Result<String> {
        let (success, text) = self.run(args)?;
        ensure!(success, "{} may not {args:?}: {text}", self.name);
        Ok(text)
    }

    /// The same, refused; what it printed.
    ///
    /// # Errors
    /// When it succeeds.
    pub fn refused(&self, args: &[&str]) -> Result<String> {
        let (success, text) = self.run(args)?;
        ensure!(!success, "{} may {args:?}: {text}", self.name);
        println!("{}: {args:?}: {}", self.name, text.trim());
        Ok(text)
    }

    fn run(&self, args: &[&str]) -> Result<(bool, String)> {
        let output = Command::new(&self.cli)
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(["-n", &self.namespace])
            .args(args)
            .output()?;
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        Ok((output.status.success(), text))
    }

    /// What the API server makes of an Intervention of theirs, without keeping it.
    ///
    /// # Errors
    /// As the API server answers.
    pub async fn tries(&self, action: Action, change: &str, by: Option<&str>) -> kube::Result<Intervention> {
        self.make(action, change, by, &[], true).await
    }

    /// The same, saying that they are in these groups.
    ///
    /// # Errors
    /// As the API server answers.
    pub async fn tries_as_of(&self, action: Action, change: &str, groups: &[&str]) -> kube::Result<Intervention> {
        self.make(action, change, None, groups, true).await
    }

    /// Makes an Intervention without the CLI.
    ///
    /// # Errors
    /// As the API server answers.
    pub async fn asks(&self, action: Action, change: &str) -> kube::Result<Intervention> {
        self.make(action, change, None, &[], false).await
    }

    async fn make(
        &self,
        action: Action,
        change: &str,
        by: Option<&str>,
        groups: &[&str],
        dry_run: bool,
    ) -> kube::Result<Intervention> {
        let api: Api<Intervention> = Api::namespaced(self.client.clone(), &self.namespace);
        let spec = InterventionSpec {
            guard: APP.to_owned(),
            change: change.to_owned(),
            action,
            stage: None,
            reason: Some("a test".to_owned()),
            by: by.map(str::to_owned),
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
        };
        let mut act = Intervention::new("", spec);
        (act.metadata.name, act.metadata.generate_name) = (None, Some(format!("{}-", action.verb())));
        api.create(&PostParams { dry_run, field_manager: None }, &act).await
    }

    /// What became of an Intervention, once the operator has answered.
    ///
    /// # Errors
    /// When it is not answered in time.
    pub async fn answer_to(&self, act: &Intervention) -> Result<InterventionStatus> {
        let api: Api<Intervention> = Api::namespaced(self.client.clone(), &self.namespace);
        until("an answer", MINUTE, async || {
            let status = api.get(&act.name_any()).await?.status.unwrap_or_default();
            Ok(status.outcome.is_some().then_some(status))
        })
        .await
    }

    /// Deletes an object as they may, or only tries to.
    ///
    /// # Errors
    /// As the API server answers.
    pub async fn deletes<K>(&self, name: &str, dry_run: bool) -> kube::Result<()>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope> + Clone + serde::de::DeserializeOwned + std::fmt::Debug,
        K::DynamicType: Default,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), &self.namespace);
        api.delete(name, &DeleteParams { dry_run, ..DeleteParams::background() }).await.map(|_| ())
    }
}

/// The API server's words for a refusal by one of Firebreak's policies.
///
/// # Errors
/// When it was no refusal, or another's.
pub fn refusal<T>(answer: kube::Result<T>) -> Result<String> {
    match answer {
        Ok(_) => anyhow::bail!("it was not refused"),
        Err(kube::Error::Api(status)) if status.message.contains("ValidatingAdmissionPolicy 'firebreak-") => {
            println!("refused: {}", status.message);
            Ok(status.message.clone())
        }
        Err(error) => Err(error.into()),
    }
}
