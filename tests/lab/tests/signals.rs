//! A signal ends what this process started, whatever it is doing.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its setting fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use firebreak_lab::Companion;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const SOON: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(20);
/// What shells report for a program ended by Ctrl-C.
const INTERRUPTED: i32 = 130;

/// A Go that says it is new, and then builds for ever, with a child of its own.
const FAKE_GO: &str = r#"#!/bin/sh
[ "$1" = env ] && { echo go99.0.0; exit 0; }
sleep 600 &
echo "$$ $!" > "$BUILDING.new" && mv "$BUILDING.new" "$BUILDING"
wait
"#;

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("firebreak-signals-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// The process ids in a file, once it is there.
fn pids(file: &Path) -> Vec<i32> {
    let until = Instant::now() + SOON;
    loop {
        match fs::read_to_string(file) {
            Ok(text) => return text.split_whitespace().map(|pid| pid.parse().unwrap()).collect(),
            Err(_) if Instant::now() < until => std::thread::sleep(LOOK),
            Err(error) => panic!("{} does not come: {error}", file.display()),
        }
    }
}

/// Waits until a process runs no more (a zombie does not).
fn gone(pid: i32) {
    let runs = || fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    let until = Instant::now() + SOON;
    while runs() {
        assert!(Instant::now() < until, "process {pid} still runs");
        std::thread::sleep(LOOK);
    }
}

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
}

#[test]
fn given_a_part_that_builds_when_a_signal_comes_then_the_build_ends_too() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let folder = folder(signal.as_str());
        let (go, building) = (folder.join("go"), folder.join("building"));
        fs::write(&go, FAKE_GO).unwrap();
        fs::set_permissions(&go, fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
        let mut fetch = Command::new(env!("CARGO_BIN_EXE_lab"))
            .args(["fetch", "etcd"])
            .env("PATH", path)
            .env("FIREBREAK_LAB_CACHE", folder.join("cache"))
            .env("BUILDING", &building)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let build = pids(&building);
        send(&fetch, signal);
        assert_eq!(fetch.wait().unwrap().code(), Some(INTERRUPTED), "{signal}");
        assert_eq!(build.len(), 2);
        build.into_iter().for_each(gone);
        fs::remove_dir_all(folder).unwrap();
    }
}

/// Names the file in which the process under test says what it has started.
const COMPANIONS: &str = "FIREBREAK_TEST_COMPANIONS";

#[test]
fn given_companions_when_one_is_dropped_then_it_ends_and_when_a_signal_comes_then_all_do() {
    if let Some(file) = std::env::var_os(COMPANIONS) {
        starts_companions(Path::new(&file));
    }
    let folder = folder("companions");
    let file = folder.join("pids");
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "given_companions_when_one_is_dropped_then_it_ends_and_when_a_signal_comes_then_all_do"])
        .env(COMPANIONS, &file)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let companions = pids(&file);
    send(&process, Signal::SIGTERM);
    assert_eq!(process.wait().unwrap().code(), Some(INTERRUPTED));
    assert_eq!(companions.len(), 2);
    companions.into_iter().for_each(gone);
    fs::remove_dir_all(folder).unwrap();
}

/// What the other process does: one companion is dropped, two stay until the signal.
fn starts_companions(file: &Path) -> ! {
    let start = || Companion::start(Command::new("sleep").arg("600")).unwrap();
    let dropped = start();
    let id = i32::try_from(dropped.id()).unwrap();
    drop(dropped);
    gone(id);
    let stay = [start(), start()];
    let draft = file.with_extension("new");
    fs::write(&draft, stay.each_ref().map(|companion| companion.id().to_string()).join(" ")).unwrap();
    fs::rename(draft, file).unwrap();
    loop {
        std::thread::park();
    }
}
