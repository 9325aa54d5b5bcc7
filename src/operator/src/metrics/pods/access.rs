//! How pods' pages are asked for: in the clear or over TLS, with a token or without. What is secret is named here, never held.

use std::{fmt, sync::Arc};

use futures::future::BoxFuture;

/// How pods' pages are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Access {
    /// In the clear.
    #[default]
    Plain,
    /// Over TLS.
    Tls {
        /// Whose certificates are accepted.
        trust: Trust,
        /// The name that they are for; the pod's address where there is none.
        server_name: Option<String>,
        /// The token that is sent with it.
        token: Option<Key>,
    },
}

/// Whose certificates are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Those of the authorities that the operator's image knows.
    Image,
    /// Those of the authorities that stand here, as PEM.
    Authorities(Key),
    /// Anyone's.
    Anyone,
}

/// Names one value that is kept in the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// What keeps it.
    pub kept: Kept,
    /// Name of that object, in the namespace of the pods.
    pub name: String,
    /// Its key there.
    pub key: String,
}

/// What keeps a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// A Secret.
    Secret,
    /// A `ConfigMap`.
    ConfigMap,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {} of {:?} {}", self.key, self.kept, self.name)
    }
}

/// Why a value cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyError {
    /// What happened, and what to do.
    pub detail: String,
    /// Whether nobody could say: then what was read before still holds.
    pub passing: bool,
}

/// Gives the value of a key.
pub type ReadKey = Arc<dyn Fn(Key) -> BoxFuture<'static, Result<Vec<u8>, KeyError>> + Send + Sync>;
