//! Kubeconfig files, complete in themselves (no paths to keys), so that they can be copied.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::pki::{Identity, write_private};

/// Writes the kubeconfig of a user with a token, for the cluster of another kubeconfig.
pub(crate) fn write_token(path: &Path, like: &Path, user: &str, token: &str) -> Result<()> {
    rewrite(path, like, |entry| *entry = json!({"name": user, "user": {"token": token}}))
}

/// Writes a kubeconfig whose requests are those of `user`, on the authority of the user of another kubeconfig.
pub(crate) fn write_impersonating(path: &Path, like: &Path, user: &str, groups: &[&str]) -> Result<()> {
    rewrite(path, like, |entry| {
        if let Some(fields) = entry.get_mut("user").and_then(Value::as_object_mut) {
            fields.insert("as".to_owned(), json!(user));
            fields.insert("as-groups".to_owned(), json!(groups));
        }
    })
}

/// Copies a kubeconfig of one cluster, context and user with that user changed.
fn rewrite(path: &Path, like: &Path, change: impl FnOnce(&mut Value)) -> Result<()> {
    let text = std::fs::read_to_string(like).with_context(|| format!("cannot read {}", like.display()))?;
    let mut config: Value = serde_yaml_ng::from_str(&text)?;
    let user = config.pointer_mut("/users/0").ok_or_else(|| anyhow!("{} names no user", like.display()))?;
    change(user);
    let name = user.get("name").cloned();
    if let (Some(context), Some(name)) = (config.pointer_mut("/contexts/0/context/user"), name) {
        *context = name;
    }
    write_private(path, &serde_yaml_ng::to_string(&config)?)
}

/// Writes the kubeconfig of a user with a client certificate.
pub(crate) fn write(path: &Path, server: &str, authority: &str, user: &str, identity: &Identity) -> Result<()> {
    let text = serde_yaml_ng::to_string(&content(server, authority, user, identity))?;
    write_private(path, &text)
}

fn content(server: &str, authority: &str, user: &str, identity: &Identity) -> Value {
    let credentials = json!({
        "client-certificate-data": STANDARD.encode(&identity.certificate),
        "client-key-data": STANDARD.encode(&identity.key),
    });
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": {"server": server, "certificate-authority-data": STANDARD.encode(authority)}}],
        "users": [{"name": user, "user": credentials}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": user}}],
        "current-context": "lab",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity { certificate: "certificate".to_owned(), key: "key".to_owned() }
    }

    #[test]
    fn given_a_kubeconfig_when_rewritten_for_a_token_then_its_context_uses_the_new_user() {
        let folder = std::env::temp_dir();
        let (like, path) =
            (folder.join(format!("like-{}", std::process::id())), folder.join(format!("token-{}", std::process::id())));
        write(&like, "https://127.0.0.1:1", "authority", "admin", &identity()).unwrap();
        write_token(&path, &like, "operator", "new").unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("user: operator") && text.contains("token: new") && !text.contains("client-key-data"), "{text}");
        std::fs::remove_file(like).unwrap();
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn given_a_user_when_written_then_kube_reads_its_server_and_context() {
        let value = content("https://127.0.0.1:1", "authority", "ann", &identity());
        let read: kube::config::Kubeconfig = serde_json::from_value(value).unwrap();
        assert_eq!(read.clusters.first().unwrap().cluster.as_ref().unwrap().server.as_deref(), Some("https://127.0.0.1:1"));
        assert_eq!(read.current_context.as_deref(), Some("lab"));
    }
}
