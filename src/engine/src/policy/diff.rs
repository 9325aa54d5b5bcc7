//! The structural difference between two pod templates: what changed, each a typed fact with one sentence in words.
//!
//! Holds the facts alone; they are read from templates in the crate `firebreak-api`. No value of an environment variable is
//! ever a fact: it may be a secret.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Most facts in each list; what is cut is counted, and in every list the riskier stand first.
pub mod most {
    /// Images.
    pub const IMAGES: usize = 16;
    /// Containers.
    pub const CONTAINERS: usize = 16;
    /// Environment variables.
    pub const ENV: usize = 64;
    /// Requests and limits.
    pub const RESOURCES: usize = 32;
    /// Probes.
    pub const PROBES: usize = 16;
    /// Security settings.
    pub const SECURITY: usize = 32;
    /// Volumes and mounts.
    pub const VOLUMES: usize = 32;
    /// Commands and arguments.
    pub const COMMANDS: usize = 16;
    /// Other paths.
    pub const OTHER: usize = 32;
    /// Bytes of a name or a path in a fact.
    pub const TEXT: usize = 256;
}

/// What happened to something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Edit {
    /// It is new.
    Added,
    /// It is there in both and not the same.
    Changed,
    /// It is gone.
    Removed,
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Removed => "removed",
        })
    }
}

/// What is different between stable's template and the candidate's.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Diff {
    /// Images.
    pub images: Vec<Image>,
    /// Containers that came or went: sidecars, init containers.
    pub containers: Vec<Container>,
    /// Security settings, of the pod and of its containers.
    pub security: Vec<Security>,
    /// Environment variables, by name.
    pub env: Vec<Env>,
    /// Volumes, and where they are mounted.
    pub volumes: Vec<Volume>,
    /// Requests and limits.
    pub resources: Vec<Resource>,
    /// Probes.
    pub probes: Vec<Probe>,
    /// Commands and arguments.
    pub commands: Vec<Command>,
    /// The service account; absent where it is the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account: Option<ServiceAccount>,
    /// Everything else that is different: the path of each place.
    pub other: Vec<String>,
    /// Facts that were cut, since there were more than a list holds.
    pub cut: i64,
}

/// An image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// Its container.
    pub container: String,
    /// What it was; absent for a new container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What it is.
    pub to: String,
    /// Whether it comes from another repository.
    pub repository_changed: bool,
    /// Whether the tag is another.
    pub tag_changed: bool,
    /// Whether the digest is another.
    pub digest_changed: bool,
    /// Whether a digest pins what runs.
    pub pinned: bool,
    /// Whether the tag is `latest`, or there is neither tag nor digest.
    pub latest: bool,
}

/// A container that came or went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Whether it runs before the others.
    pub init: bool,
    /// Whether it is an init container that goes on running beside the others.
    pub sidecar: bool,
    /// Whether it came or went.
    pub change: Edit,
}

/// A security setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Security {
    /// Its container; empty for the whole pod.
    pub container: String,
    /// Which: `privileged`, `capability`, `runAsUser`, `hostNetwork`, ...
    pub setting: String,
    /// What it is now, in short; empty where it is gone.
    pub value: String,
    /// What happened to it.
    pub change: Edit,
    /// Whether the pod may do more than before.
    pub weakens: bool,
}

/// An environment variable, or a whole set of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Env {
    /// Its container.
    pub container: String,
    /// Its name; for a whole set the name of the Secret or ConfigMap with `*`.
    pub name: String,
    /// Whether it is, or was, taken from a Secret.
    pub secret: bool,
    /// What happened to it.
    pub change: Edit,
}

/// A volume, or a mount of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    /// The container it is mounted in; empty for the volume itself.
    pub container: String,
    /// Name of the volume.
    pub name: String,
    /// Its kind: `secret`, `hostPath`, `configMap`, ...; `mount` for a mount.
    pub kind: String,
    /// What happened to it.
    pub change: Edit,
}

/// Where an amount went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Amount {
    /// It is gone.
    Removed,
    /// It is less.
    Down,
    /// It is more.
    Up,
    /// It is new.
    Added,
    /// It is not the same, and the two cannot be compared, or are the same amount in other words.
    Changed,
}

/// A request or a limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    /// Its container; empty for the whole pod.
    pub container: String,
    /// `requests` or `limits`.
    pub kind: String,
    /// `cpu`, `memory`, ...
    pub resource: String,
    /// Where it went.
    pub change: Amount,
    /// What it was; absent where it is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What it is; absent where it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// A probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    /// Its container.
    pub container: String,
    /// `liveness`, `readiness` or `startup`.
    pub probe: String,
    /// What happened to it.
    pub change: Edit,
}

/// A command or its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Command {
    /// Its container.
    pub container: String,
    /// `command` or `args`.
    pub part: String,
    /// What happened to it.
    pub change: Edit,
}

/// The service account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceAccount {
    /// What it was.
    pub from: String,
    /// What it is.
    pub to: String,
}

impl Diff {
    /// Puts the riskier facts first and cuts every list to what it may hold; what is cut is counted.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.images.sort_by_key(|image| (!image.repository_changed, image.pinned));
        self.containers.sort_by_key(|container| container.change);
        self.security.sort_by_key(|setting| !setting.weakens);
        self.env.sort_by_key(|env| (!env.secret, env.change));
        self.volumes.sort_by_key(|volume| (volume.kind != "hostPath", volume.kind != "secret", volume.change));
        self.resources.sort_by_key(|resource| resource.change);
        self.probes.sort_by_key(|probe| probe.change != Edit::Removed);
        let cut = [
            few(&mut self.images, most::IMAGES),
            few(&mut self.containers, most::CONTAINERS),
            few(&mut self.security, most::SECURITY),
            few(&mut self.env, most::ENV),
            few(&mut self.volumes, most::VOLUMES),
            few(&mut self.resources, most::RESOURCES),
            few(&mut self.probes, most::PROBES),
            few(&mut self.commands, most::COMMANDS),
            few(&mut self.other, most::OTHER),
        ];
        self.cut = self.cut.saturating_add(cut.into_iter().sum());
        self
    }

    /// Whether nothing is different.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What changed, a sentence each, the riskier first.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let mut words: Vec<String> = self.images.iter().map(ToString::to_string).collect();
        words.extend(self.containers.iter().map(ToString::to_string));
        words.extend(self.security.iter().map(ToString::to_string));
        words.extend(self.service_account.iter().map(ToString::to_string));
        words.extend(self.env.iter().map(ToString::to_string));
        words.extend(self.volumes.iter().map(ToString::to_string));
        words.extend(self.commands.iter().map(ToString::to_string));
        words.extend(self.probes.iter().map(ToString::to_string));
        words.extend(self.resources.iter().map(ToString::to_string));
        words.extend(self.other.iter().map(|path| format!("{path} changed")));
        if self.cut > 0 {
            words.push(format!("and {} more that are not listed", self.cut));
        }
        words
    }
}

/// Cuts a list; how many were cut.
fn few<T>(list: &mut Vec<T>, most: usize) -> i64 {
    let cut = list.len().saturating_sub(most);
    list.truncate(most);
    i64::try_from(cut).unwrap_or(i64::MAX)
}

/// Whose a fact is, in words.
fn place(container: &str) -> String {
    if container.is_empty() { "pod".to_owned() } else { format!("container {container}") }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(from) = &self.from else {
            let pinned = if self.pinned { "" } else { ", not pinned by digest" };
            return write!(f, "container {}: image {} (new{pinned})", self.container, self.to);
        };
        let parts = [(self.repository_changed, "repository"), (self.tag_changed, "tag"), (self.digest_changed, "digest")];
        let parts: Vec<&str> = parts.into_iter().filter(|(changed, _)| *changed).map(|(_, part)| part).collect();
        let parts = if parts.is_empty() { "written otherwise".to_owned() } else { parts.join(", ") };
        write!(f, "container {}: image {from} → {} ({parts})", self.container, self.to)
    }
}

impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match (self.sidecar, self.init) {
            (true, _) => "sidecar ",
            (false, true) => "init ",
            (false, false) => "",
        };
        write!(f, "{kind}container {} {}", self.name, self.change)
    }
}

impl fmt::Display for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = if self.value.is_empty() { String::new() } else { format!(" {}", self.value) };
        let more = if self.weakens { ": it may do more than before" } else { "" };
        write!(f, "{}: {}{value} {}{more}", place(&self.container), self.setting, self.change)
    }
}

impl fmt::Display for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = if self.secret { " (from a Secret)" } else { "" };
        write!(f, "container {}: env {} {}{secret}", self.container, self.name, self.change)
    }
}

impl fmt::Display for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.container.is_empty() {
            return write!(f, "volume {} ({}) {}", self.name, self.kind, self.change);
        }
        write!(f, "container {}: mount of volume {} {}", self.container, self.name, self.change)
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind.as_str() {
            "limits" => "limit",
            _ => "request",
        };
        let (place, resource) = (place(&self.container), &self.resource);
        match (&self.from, &self.to) {
            (Some(from), Some(to)) => write!(f, "{place}: {resource} {what} {from} → {to}"),
            (None, Some(to)) => write!(f, "{place}: {resource} {what} {to} added"),
            (Some(from), None) => write!(f, "{place}: {resource} {what} {from} removed"),
            (None, None) => write!(f, "{place}: {resource} {what} changed"),
        }
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "container {}: {} probe {}", self.container, self.probe, self.change)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "container {}: {} {}", self.container, self.part, self.change)
    }
}

impl fmt::Display for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "service account {} → {}", self.from, self.to)
    }
}
