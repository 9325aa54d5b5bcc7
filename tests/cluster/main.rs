//! The real-cluster tests: one lab for the whole run, a namespace for each test. `cargo test -p firebreak-tests NAME` runs
//! those whose name holds NAME; cases with time limits run alone, the others side by side.

use std::sync::{Arc, OnceLock};

use anyhow::Result;
use firebreak_lab::{Options, cluster::leftovers};
use firebreak_tests::World;
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::Runtime;

mod releases;

/// Cases that run side by side.
const SIDE_BY_SIDE: usize = 4;

type Case = fn(Arc<World>) -> futures::future::BoxFuture<'static, Result<()>>;

/// Whether a case shares the machine for all of its time, or takes it for itself when it measures (`world.machine`).
#[derive(Clone, Copy, PartialEq)]
enum Machine {
    Shared,
    AsItAsks,
}

/// A case that is an `async fn(&World)`.
macro_rules! case {
    ($machine:ident, $module:ident :: $name:ident) => {
        (
            concat!(stringify!($module), "::", stringify!($name)),
            Machine::$machine,
            (|world| Box::pin(async move { $module::$name(&world).await })) as Case,
        )
    };
}

fn cases() -> Vec<(&'static str, Machine, Case)> {
    vec![case!(Shared, releases::harmless_release_is_promoted), case!(AsItAsks, releases::failing_releases_are_taken_back)]
}

/// The lab, up at the first case that needs it.
struct Stage {
    runtime: Runtime,
    world: OnceLock<Result<Arc<World>, String>>,
}

impl Stage {
    fn world(&self) -> Result<Arc<World>, Failed> {
        let begin = || {
            let world = self.runtime.block_on(World::begin(Options::full(), 0));
            world.map(Arc::new).map_err(|error| format!("{error:#}"))
        };
        self.world.get_or_init(begin).clone().map_err(Failed::from)
    }

    fn run(&self, machine: Machine, case: Case) -> Result<(), Failed> {
        let world = self.world()?;
        self.runtime.block_on(async {
            let shared = if machine == Machine::Shared { Some(world.machine.read().await) } else { None };
            let result = case(Arc::clone(&world)).await;
            drop(shared);
            result.map_err(|error| Failed::from(format!("{error:#}")))
        })
    }
}

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(SIDE_BY_SIDE));
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("no runtime: {error}");
            std::process::exit(101);
        }
    };
    let stage = Arc::new(Stage { runtime, world: OnceLock::new() });
    let trial = |(name, machine, case): (&'static str, Machine, Case)| {
        let stage = Arc::clone(&stage);
        Trial::test(name, move || stage.run(machine, case))
    };
    let conclusion = libtest_mimic::run(&arguments, cases().into_iter().map(trial).collect());
    let left = take_down(stage);
    if !left.is_empty() {
        eprintln!("the lab left behind:\n{}", left.join("\n"));
        std::process::exit(101);
    }
    conclusion.exit();
}

/// Takes the lab down; what it leaves behind.
fn take_down(stage: Arc<Stage>) -> Vec<String> {
    let Some(Stage { runtime, world, .. }) = Arc::into_inner(stage) else { return vec!["a case still runs".to_owned()] };
    let Some(Ok(world)) = world.into_inner() else { return Vec::new() };
    if std::env::var_os(firebreak_tests::world::JOIN).is_some() {
        return Vec::new();
    }
    let Some(World { lab, .. }) = Arc::into_inner(world) else { return vec!["a case still holds the lab".to_owned()] };
    match runtime.block_on(lab.down()) {
        Ok(()) => leftovers(),
        Err(error) => vec![format!("{error:#}")],
    }
}
