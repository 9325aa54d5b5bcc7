//! The one place that calls the API server: connect, list, create, read; each request with a time limit, each failure with
//! what to do next.

use std::{future::Future, time::Duration};

use firebreak_api::{Change, ClusterRiskPolicy, Guard, Intervention, RiskPolicy};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::{
    Api, Client, Config, Resource,
    api::{ListParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    core::DeserializeGuard,
};
use serde::de::DeserializeOwned;

use crate::{
    args::Global,
    error::Error,
    facts::{self, ByAge as _},
};

/// Longest wait for one answer of the API server: a loaded one answers a list within seconds.
pub const REQUEST_LIMIT: Duration = Duration::from_secs(15);
/// Longest wait for a connection; below [`REQUEST_LIMIT`], so that the reason is named.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// What the client's layers put before a cause; it helps nobody who uses a cluster.
const LAYERS: [&str; 7] = [
    "failed to perform initial object list: ",
    "failed to start watching object: ",
    "ServiceError: ",
    "HyperError: ",
    "ApiError: ",
    "client error (Connect): ",
    "client error (SendRequest): ",
];
/// Field manager of what this program writes.
const FIELD_MANAGER: &str = "kubectl-firebreak";
/// Groups that an Intervention takes, and bytes of the longest.
const MOST_GROUPS: usize = 64;
const LONGEST_GROUP: usize = 512;
/// Objects in one answer: a Change with its record can hold some 100 kB.
const PAGE: u32 = 100;

/// A cluster, and the namespace that is meant in it.
#[derive(Clone)]
pub struct Cluster {
    /// Its client.
    pub client: Client,
    /// The namespace that is meant.
    pub namespace: String,
}

impl Cluster {
    /// Reads the kubeconfig (or the pod's service account) and makes a client; nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::Kubeconfig`] where there is none or it cannot be used.
    pub async fn connect(global: &Global) -> Result<Self, Error> {
        facts::name_cluster(global);
        let options = KubeConfigOptions { context: global.context.clone(), ..KubeConfigOptions::default() };
        let mut config = match (&global.kubeconfig, &global.context) {
            (Some(path), _) => {
                let read = Kubeconfig::read_from(path).map_err(|error| Error::Kubeconfig(chain(&error)))?;
                Config::from_custom_kubeconfig(read, &options).await.map_err(|error| Error::Kubeconfig(chain(&error)))?
            }
            (None, Some(_)) => Config::from_kubeconfig(&options).await.map_err(|error| Error::Kubeconfig(chain(&error)))?,
            (None, None) => {
                Config::infer().await.map_err(|error| Error::Kubeconfig(format!("no cluster configured: {}", chain(&error))))?
            }
        };
        config.connect_timeout = Some(CONNECT_LIMIT);
        let namespace = global.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).map_err(|error| Error::Kubeconfig(chain(&error)))?;
        Ok(Self { client, namespace })
    }

    /// Reads the Guards and Changes of the namespace, or of all namespaces.
    ///
    /// # Errors
    /// As the API server answers.
    pub async fn snapshot(&self, all_namespaces: bool) -> Result<Snapshot, Error> {
        let (guards, changes) =
            futures::try_join!(self.list::<Guard>(all_namespaces, "Guards"), self.list::<Change>(all_namespaces, "Changes"))?;
        let mut notes = guards.1;
        notes.extend(changes.1);
        Ok(Snapshot { guards: guards.0, changes: changes.0.into_iter().map(facts::slim).collect(), notes })
    }

    /// All objects of a kind that this build can read, and notes about the others.
    async fn list<K>(&self, all_namespaces: bool, kind: &str) -> Result<(Vec<K>, Vec<String>), Error>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
    {
        let mut read = Vec::new();
        let keep = |object| {
            read.push(object);
            Ok(())
        };
        let notes = self.each(all_namespaces, kind, PAGE, keep, |_| {}).await?;
        Ok((read, notes))
    }

    /// Hands on each object of a kind that this build can read, page by page, and says after each further page how many those
    /// were; notes about the others.
    ///
    /// # Errors
    /// As the API server answers, and as `take` does.
    pub(crate) async fn each<K>(
        &self,
        all_namespaces: bool,
        kind: &str,
        page: u32,
        mut take: impl FnMut(K) -> Result<(), Error>,
        progress: impl Fn(usize),
    ) -> Result<Vec<String>, Error>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
    {
        let (api, place): (Api<DeserializeGuard<K>>, _) = if all_namespaces {
            (Api::all(self.client.clone()), "in all namespaces".to_owned())
        } else {
            (Api::namespaced(self.client.clone(), &self.namespace), format!("in namespace {}", self.namespace))
        };
        let what = format!("list {kind} {place}");
        let (mut read, mut notes) = (0, Vec::new());
        let mut params = ListParams::default().limit(page);
        loop {
            let page = self.timed(&what, api.list(&params)).await?;
            for item in page.items {
                read += 1;
                match item.0 {
                    Ok(object) => take(object)?,
                    Err(broken) => notes.push(unreadable(kind, &broken)),
                }
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => return Ok(notes),
            }
            progress(read);
        }
    }

    /// Records an Intervention.
    ///
    /// # Errors
    /// As the API server answers.
    pub async fn create(&self, intervention: &Intervention) -> Result<Intervention, Error> {
        let api: Api<Intervention> = Api::namespaced(self.client.clone(), &self.namespace);
        let made_by_us = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let what = format!("record the Intervention in namespace {}", self.namespace);
        self.timed(&what, api.create(&made_by_us, intervention)).await
    }

    /// Who the API server takes the user for, and in which groups; the first of each that an Intervention takes.
    ///
    /// # Errors
    /// As the API server answers.
    pub async fn who_am_i(&self) -> Result<(Option<String>, Vec<String>), Error> {
        let api: Api<SelfSubjectReview> = Api::all(self.client.clone());
        let answer = self.timed("ask who you are", api.create(&PostParams::default(), &SelfSubjectReview::default())).await?;
        let user = answer.status.and_then(|status| status.user_info).unwrap_or_default();
        let groups = user.groups.unwrap_or_default().into_iter().filter(|group| group.len() <= LONGEST_GROUP);
        Ok((user.username, groups.take(MOST_GROUPS).collect()))
    }

    /// One Change, whole: with what its decisions were computed from.
    ///
    /// # Errors
    /// As the API server answers.
    pub async fn change(&self, name: &str) -> Result<Change, Error> {
        let api: Api<Change> = Api::namespaced(self.client.clone(), &self.namespace);
        self.timed(&format!("read Change {name}"), api.get(name)).await
    }

    /// Reads a policy.
    ///
    /// # Errors
    /// As the API server answers.
    pub async fn policy(&self, name: &str) -> Result<ClusterRiskPolicy, Error> {
        let api: Api<ClusterRiskPolicy> = Api::all(self.client.clone());
        self.timed(&format!("read ClusterRiskPolicy {name} (or name a file: --policy FILE)"), api.get(name)).await
    }

    /// Reads a policy of the namespace.
    ///
    /// # Errors
    /// As the API server answers.
    pub async fn own_policy(&self, name: &str) -> Result<RiskPolicy, Error> {
        let api: Api<RiskPolicy> = Api::namespaced(self.client.clone(), &self.namespace);
        self.timed(&format!("read RiskPolicy {name} (or name a file: --policy FILE)"), api.get(name)).await
    }

    /// Reads an Intervention.
    ///
    /// # Errors
    /// As the API server answers.
    pub async fn intervention(&self, name: &str) -> Result<Intervention, Error> {
        let api: Api<Intervention> = Api::namespaced(self.client.clone(), &self.namespace);
        self.timed(&format!("read Intervention {name}"), api.get(name)).await
    }

    async fn timed<T>(&self, what: &str, request: impl Future<Output = kube::Result<T>>) -> Result<T, Error> {
        match tokio::time::timeout(REQUEST_LIMIT, request).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.explain(what, &error)),
            Err(_) => Err(self.unreachable(what, format!("no answer within {} s", REQUEST_LIMIT.as_secs()))),
        }
    }

    fn unreachable(&self, what: &str, detail: String) -> Error {
        Error::Unreachable { what: what.to_owned(), detail }
    }

    fn explain(&self, what: &str, error: &kube::Error) -> Error {
        let what_ = what.to_owned();
        match error {
            kube::Error::Api(status) => {
                let detail = status.message.trim().trim_end_matches('.').to_owned();
                // A policy's own words say what to do; what the API server puts before them does not.
                if let Some((_, words)) = detail.split_once("denied request: ") {
                    return Error::Refused(words.to_owned());
                }
                match status.code {
                    401 => Error::Unknown { what: what_, detail },
                    403 => Error::Forbidden { what: what_, detail },
                    // A 404 that names no object is about the kind.
                    404 if status.details.as_ref().is_none_or(|details| details.name.is_empty()) => {
                        Error::NotInstalled { what: what_ }
                    }
                    _ => Error::Server { what: what_, detail },
                }
            }
            kube::Error::Auth(_) => Error::Unknown { what: what_, detail: chain(error) },
            kube::Error::SerdeError(_) => Error::Server {
                what: what_,
                detail: format!("{}. Use the kubectl-firebreak of the operator's version", chain(error)),
            },
            _ => self.unreachable(what, chain(error)),
        }
    }
}

/// A note about an object that this build cannot read.
pub(crate) fn unreadable(kind: &str, broken: &kube::core::error_boundary::InvalidObject) -> String {
    let name = broken.metadata.name.as_deref().unwrap_or("?");
    format!(
        "one of the {kind} ({name}) is left out, this build cannot read it: {}. Use the kubectl-firebreak of the operator's version",
        broken.error
    )
}

/// An error with its causes, each said once, without the names of the layers it came through.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = causes(error);
    for layer in LAYERS {
        text = text.replace(layer, "");
    }
    text.replace("deadline has elapsed", "no answer in time")
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let words = next.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = next.source();
    }
    text
}

/// Guards and Changes as they were at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The Guards.
    pub guards: Vec<Guard>,
    /// The Changes, without their memory.
    pub changes: Vec<Change>,
    /// Objects that this build cannot read.
    pub notes: Vec<String>,
}

impl Snapshot {
    /// The Guard of that name.
    ///
    /// # Errors
    /// [`Error::Usage`] that names the Guards there are.
    pub fn guard(&self, name: &str, namespace: &str) -> Result<&Guard, Error> {
        self.guards
            .iter()
            .find(|guard| guard.metadata.name.as_deref() == Some(name))
            .ok_or_else(|| Error::Usage(format!("no Guard {name} in namespace {namespace}. {}", self.known_guards(namespace))))
    }

    /// The Guards there are, in words.
    #[must_use]
    pub fn known_guards(&self, namespace: &str) -> String {
        let names: Vec<&str> = self.guards.iter().filter_map(|guard| guard.metadata.name.as_deref()).collect();
        if names.is_empty() {
            format!(
                "Namespace {namespace} has no Guards: name another one with -n, or see all with kubectl firebreak status -A{}",
                facts::on_cluster()
            )
        } else {
            format!("Guards there: {}", names.join(", "))
        }
    }

    /// The Changes of a Guard, the newest first.
    #[must_use]
    pub fn changes_of(&self, guard: &Guard) -> Vec<&Change> {
        let mut changes: Vec<&Change> = self.changes.iter().filter(|change| facts::belongs(change, guard)).collect();
        changes.newest_first();
        changes
    }
}
