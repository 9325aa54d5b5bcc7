//! Programs of this workspace, as files that can go into an image.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use serde_json::Value;

use crate::exec::Tool;

/// A first build of the operator on two slow cores.
const BUILD: Duration = Duration::from_secs(30 * 60);

/// Builds the program `name` of the workspace's package `package` and says where it is; takes a moment when it is up to date.
///
/// # Errors
/// When it does not build.
pub fn workspace_binary(package: &str, name: &str) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    let build = std::env::vars_os()
        .map(|(name, _)| name)
        .filter(|name| is_cargos_own(&name.to_string_lossy()))
        .fold(Tool::new(cargo, BUILD), Tool::without);
    let ended = build
        .folder(&workspace)
        .args(["build", "--quiet", "--message-format=json-render-diagnostics", "--profile", profile])
        .args(["--package", package, "--bin", name])
        .run()
        .with_context(|| format!("cannot build {name}"))?;
    executable(&ended.stdout, name).ok_or_else(|| anyhow!("cargo did not say where it put {name}"))
}

/// Whether cargo has set this variable for a program it runs. Some build scripts look at them: passed on to another cargo, they would
/// make it compile half of the dependencies again, each time.
fn is_cargos_own(variable: &str) -> bool {
    const EXACTLY: [&str; 6] =
        ["CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "CARGO_CRATE_NAME", "CARGO_BIN_NAME", "CARGO_PRIMARY_PACKAGE", "OUT_DIR"];
    EXACTLY.contains(&variable) || variable.starts_with("CARGO_PKG_") || variable.starts_with("CARGO_BIN_EXE_")
}

/// Finds the program in cargo's messages, one JSON object a line.
fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message.pointer("/target/name").and_then(Value::as_str) == Some(name))
        .find_map(|message| message.get("executable").and_then(Value::as_str).map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_cargos_messages_when_searched_then_only_the_named_programs_file_is_found() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"lab"},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"pause"},"executable":"/t/pause"}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"lab"},"executable":"/t/lab"}"#,
        );
        assert_eq!(executable(messages, "lab"), Some(PathBuf::from("/t/lab")));
        assert_eq!(executable(messages, "other"), None);
    }
}
