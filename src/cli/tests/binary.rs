//! The binary as a shell sees it: help, usage, exit codes, definitions.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kubectl-firebreak"))
        .args(arguments)
        .env_clear()
        .env("KUBECONFIG", "/nonexistent/config")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn given_help_when_asked_then_every_command_in_the_plugin_form() {
    let output = run(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    insta::assert_snapshot!(text(&output.stdout));
}

#[test]
fn given_help_of_a_command_when_asked_then_with_examples() {
    for (command, example) in [
        ("status", "kubectl firebreak status checkout -w"),
        ("explain", "kubectl firebreak explain checkout"),
        ("history", "kubectl firebreak history change/checkout-bcdfghjklm-1"),
        ("export", "kubectl firebreak export -A --since 30d > records.jsonl"),
        ("replay", "kubectl firebreak replay checkout"),
        ("simulate", "kubectl firebreak simulate --rps 200 --failing 0.1%"),
        ("promote", "kubectl firebreak promote checkout"),
        ("pause", "kubectl firebreak pause checkout"),
        ("resume", "kubectl firebreak resume checkout"),
        ("abort", "kubectl firebreak abort checkout"),
        ("retry", "kubectl firebreak retry checkout"),
        ("policy", "kubectl firebreak policy explain --policy bank.yaml"),
        ("claims", "kubectl firebreak claims --base origin/main"),
        ("crds", "kubectl firebreak crds | kubectl apply -f -"),
    ] {
        let help = text(&run(&[command, "--help"]).stdout);
        assert!(help.contains(&format!("Usage: kubectl firebreak {command}")), "{help}");
        assert!(help.contains(example), "{help}");
    }
}

/// The other lists take it, so people write it here too; the queue is of all namespaces anyway.
#[test]
fn given_the_queue_of_all_namespaces_when_asked_then_it_is_no_wrong_usage() {
    let [plain, all] = [&["queue"][..], &["queue", "-A"]].map(run);
    assert!(text(&plain.stderr).contains("no cluster configured"), "{}", text(&plain.stderr));
    assert_eq!(text(&all.stderr), text(&plain.stderr));
}

#[test]
fn given_wrong_usage_when_run_then_exit_code_2() {
    for arguments in [
        &["promote"][..],
        &["status", "checkout", "-A"],
        &["status", "-w", "-o", "json"],
        &["status", "--until", "ended"],
        &["status", "-o", "xml"],
        &["promote", "checkout", "--wait=perhaps"],
        &["history", "checkout", "-A"],
        &["history", "--since", "yesterday"],
        &["export", "--format", "xml"],
        &["export", "--source", "my cluster"],
        &["replay", "checkout", "--level", "severe"],
        &["replay", "checkout", "--alpha", "0.7"],
        &["replay", "checkout", "--budget", "0.1"],
        &["replay", "checkout", "--margin", "0.5"],
        &["simulate"],
        &["simulate", "--rps", "200"],
        &["simulate", "--rps", "200", "--failing", "0.001"],
        &["simulate", "--rps", "-1", "--failing", "0.1%"],
        &["simulate", "--rps", "200", "--failing", "0.1%", "--runs", "1"],
        &["simulate", "--rps", "200", "--failing", "0.1%", "--chart", "chart.pdf"],
        &["simulate", "--rps", "200", "--failing", "0.1%", "--chart", "/nonexistent/chart.svg"],
        &["simulate", "--rps", "200", "--failing", "0.1%", "--policy", "/nonexistent/policy.yaml"],
        &["claims"],
        &["claims", "--base", "HEAD~1", "-o", "toml"],
        &["claims", "--base", "HEAD~1", "--history", "0"],
        &["claims", "--base", "HEAD~1", "--repository", "/nonexistent"],
        &["dance"],
    ] {
        assert_eq!(run(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn given_no_kubeconfig_when_run_then_it_says_how_to_name_one() {
    let output = run(&["status"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--kubeconfig FILE"), "{}", text(&output.stderr));
}

#[test]
fn given_an_api_server_that_is_not_there_when_run_then_it_says_how_to_check_it_on_the_same_cluster() {
    let folder = std::env::temp_dir().join(format!("firebreak-cli-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("config");
    // Port 9 on loopback: nobody listens.
    let config = "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n\
                  clusters: [{name: c, cluster: {server: 'http://127.0.0.1:9'}}]\nusers: [{name: u, user: {}}]\n";
    std::fs::write(&path, config).unwrap();
    let output = run(&["status", "--kubeconfig", path.to_str().unwrap(), "--context", "c"]);
    std::fs::remove_dir_all(&folder).unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let check = format!("kubectl --kubeconfig {} --context c get --raw /readyz", path.display());
    assert!(said.contains(&check), "{said}");
    assert!(said.contains("refused"), "{said}");
}

#[test]
fn given_crds_when_printed_then_every_kind_as_yaml_documents_or_one_json_list() {
    let yaml = text(&run(&["crds"]).stdout);
    assert_eq!(yaml.matches("---\n").count(), firebreak_api::crds::all().len());
    for (_, crd) in firebreak_api::crds::all() {
        assert!(yaml.contains(&format!("name: {}", crd.metadata.name.unwrap())), "{yaml}");
    }
    let json: serde_json::Value = serde_json::from_slice(&run(&["crds", "-o", "json"]).stdout).unwrap();
    assert_eq!(json["kind"], "List");
    assert_eq!(json["items"].as_array().unwrap().len(), firebreak_api::crds::all().len());
    assert_eq!(json["items"][0]["kind"], "CustomResourceDefinition");
}

#[test]
fn given_a_reader_that_closes_the_pipe_when_printing_then_no_error() {
    let script =
        format!("{} crds -o json | head -c 10 >/dev/null; echo ${{PIPESTATUS[0]}}", env!("CARGO_BIN_EXE_kubectl-firebreak"));
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert_eq!(text(&output.stdout).trim(), "0", "{}", text(&output.stderr));
}

/// Files of the repository in which commands are told to people.
fn told() -> Vec<(std::path::PathBuf, String)> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut folders = vec![root.join("src"), root.join("charts"), root.join("tests")];
    let mut files = vec![root.join("README.md")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| ["rs", "md", "txt", "yaml", "snap", "tpl"].iter().any(|k| kind == *k)) {
                files.push(path);
            }
        }
    }
    files.into_iter().map(|path| (path.clone(), std::fs::read_to_string(&path).unwrap())).collect()
}

#[test]
fn given_every_command_that_people_are_told_when_parsed_then_it_is_one() {
    use clap::Parser as _;
    let mut seen = 0;
    for (path, text) in told() {
        for (at, begins) in text.match_indices("kubectl firebreak ") {
            let rest = &text[at + begins.len()..];
            let word: String = rest.chars().take_while(char::is_ascii_lowercase).collect();
            // A placeholder, or the program itself in a sentence.
            if word.is_empty() {
                continue;
            }
            seen += 1;
            let parsed = firebreak_cli::Cli::try_parse_from(["kubectl-firebreak", &word, "--help"]).unwrap_err();
            assert_eq!(parsed.kind(), clap::error::ErrorKind::DisplayHelp, "{}: kubectl firebreak {word}", path.display());
        }
    }
    assert!(seen > 50, "only {seen} commands found");
}
