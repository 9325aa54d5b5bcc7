//! The real-cluster tests: one lab for the whole run, a namespace for each test. `cargo test -p firebreak-tests NAME` runs
//! those whose name holds NAME; cases with time limits run alone, the others side by side as far as two cores carry their loads.

use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};

use anyhow::Result;
use firebreak_lab::{Options, cluster::leftovers};
use firebreak_tests::World;
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::Runtime;

mod contention;
mod crashes;
mod exposure;
mod judging;
mod lifecycle;
mod outages;
mod people;
mod pods;
mod policies;
mod protection;
mod records;
mod refusals;
mod releases;
mod third_party;
mod windows;
mod witnesses;

/// Cases that run side by side at most, as far as the machine has room for them.
const SIDE_BY_SIDE: usize = 6;

type Case = fn(Arc<World>) -> futures::future::BoxFuture<'static, Result<()>>;

/// How a case uses the machine (`world.machine`).
#[derive(Clone, Copy)]
enum Machine {
    /// Beside others for all of its time, with a load of so many requests per second.
    Share(u32),
    /// As it says itself.
    AsItAsks,
}
use Machine::{AsItAsks, Share};

/// A case that is an `async fn(&World)`.
macro_rules! case {
    ($machine:expr, $module:ident :: $name:ident) => {
        (
            concat!(stringify!($module), "::", stringify!($name)),
            $machine,
            (|world| Box::pin(async move { $module::$name(&world).await })) as Case,
        )
    };
}

fn cases() -> Vec<(&'static str, Machine, Case)> {
    vec![
        // What no other case may run beside comes first: nobody has to leave for it.
        case!(AsItAsks, people::abort_while_the_gateway_hangs),
        case!(AsItAsks, people::nobody_is_believed_without_the_policy),
        case!(AsItAsks, windows::six_changes_queue_for_two_places),
        case!(AsItAsks, judging::crashing_pod_does_not_block_the_way_back),
        // Gathers its past while others run, half an hour, and takes the machine alone then.
        case!(AsItAsks, releases::failing_releases_are_taken_back),
        case!(Share(100), crashes::killed_while_held),
        case!(Share(100), crashes::killed_while_preparing),
        case!(Share(100), crashes::killed_while_progressing),
        case!(Share(100), crashes::killed_while_baking),
        case!(Share(100), crashes::killed_while_promoting),
        case!(Share(100), crashes::killed_at_each_step_of_the_hand_over),
        case!(Share(100), crashes::killed_while_rolling_back),
        case!(Share(100), crashes::killed_every_two_seconds_harmless),
        case!(Share(100), crashes::killed_every_two_seconds_failing),
        case!(Share(100), crashes::another_replica_takes_over_a_harmless_release),
        case!(Share(100), crashes::another_replica_takes_over_a_way_back),
        case!(Share(50), lifecycle::third_template_supersedes),
        case!(Share(50), lifecycle::stable_template_again_withdraws),
        case!(Share(100), lifecycle::condemned_template_stays_held_until_retried),
        case!(Share(50), lifecycle::operator_absent_the_api_server_holds),
        case!(Share(100), lifecycle::without_policy_the_operator_holds_late),
        case!(Share(50), lifecycle::an_older_revision_is_taken_over),
        case!(Share(50), lifecycle::scaled_to_zero_waits_and_missing_is_adopted),
        case!(Share(50), lifecycle::mid_rollout_and_paused_workloads_are_adopted),
        case!(Share(50), lifecycle::humans_steer_by_interventions),
        case!(Share(50), lifecycle::claims_that_rise_begin_anew),
        case!(Share(50), lifecycle::guard_deleted_takes_its_candidate_back_first),
        case!(Share(50), policies::risk_policy),
        case!(Share(50), policies::the_three_examples_judge),
        case!(Share(100), windows::a_freeze_holds_what_runs_at_its_stage),
        case!(Share(100), windows::a_freeze_lets_what_runs_finish_and_nothing_begin),
        case!(Share(100), windows::an_approval_lets_a_change_through_a_freeze),
        case!(Share(100), outages::backend_away_holds_a_harmless_candidate),
        case!(Share(100), outages::backend_away_never_promotes_a_failing_candidate),
        case!(Share(50), outages::no_data_exposes_nothing),
        case!(Share(100), outages::doubtful_answers_hold),
        case!(Share(50), outages::selectors_that_count_nothing_are_named_and_corrected),
        case!(Share(200), judging::harmless_releases_at_200_rps_are_promoted),
        case!(Share(100), judging::harmless_releases_at_20_rps_are_not_taken_back),
        case!(Share(100), judging::slow_release_is_taken_back),
        case!(Share(100), judging::shared_outage_is_a_named_hold),
        case!(Share(50), judging::image_that_cannot_start_is_taken_back),
        case!(Share(50), judging::pods_that_cannot_be_scheduled_are_taken_back),
        case!(Share(50), contention::reapplied_client_side),
        case!(Share(50), contention::reapplied_server_side),
        case!(Share(50), contention::replaced),
        case!(Share(50), contention::all_reapplied_client_side),
        case!(Share(50), contention::all_reapplied_server_side),
        case!(Share(50), contention::all_replaced),
        case!(Share(50), contention::route_weights_reverted_are_reported),
        case!(Share(50), contention::resume_without_the_verb_changes_nothing),
        case!(Share(50), contention::replicas_change_while_a_change_runs),
        case!(Share(50), contention::replicas_change_where_pods_are_the_share),
        case!(Share(50), refusals::the_api_server_refuses_wrong_guards),
        case!(Share(50), refusals::guards_that_cannot_work_say_so),
        case!(Share(100), exposure::pods_are_the_share_of_a_harmless_release),
        case!(Share(100), exposure::pods_are_the_share_of_a_failing_release),
        case!(Share(100), pods::releases_are_judged_without_prometheus),
        case!(Share(200), third_party::caddy_is_judged_by_its_own_page),
        case!(Share(100), witnesses::a_check_that_fails_takes_back),
        case!(Share(100), witnesses::a_burning_error_budget_exposes_nobody),
        case!(Share(200), witnesses::a_hurt_dependent_takes_back_and_platform_trouble_holds),
        case!(Share(100), witnesses::callers_tell_which_version_hurts_a_dependent),
        case!(Share(100), witnesses::sources_that_disagree_hold),
        case!(Share(50), exposure::grpc_route_is_divided_and_restored),
        case!(Share(50), people::verbs_are_what_roles_give),
        case!(Share(50), people::approvals_take_the_right_people),
        case!(Share(50), people::an_approval_is_of_one_candidate),
        case!(Share(50), people::abort_needs_nothing_healthy),
        case!(Share(100), records::say_who_did_what_and_are_kept_as_asked),
        case!(Share(50), protection::what_serves_users_stays_while_a_change_runs),
        case!(Share(50), protection::claims_of_what_is_held_are_not_lowered),
        case!(Share(50), protection::claims_that_were_not_made_are_not_lowered),
        case!(Share(50), protection::a_condemned_template_is_not_resumed),
        case!(Share(50), protection::a_namespace_that_is_deleted_goes),
        case!(Share(50), protection::every_policy_goes_with_the_chart),
        // Last, since nobody comes in who is behind it while half of the machine gathers a past.
        case!(Share(250), releases::harmless_release_is_promoted),
    ]
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

    fn run(&self, name: &str, machine: Machine, case: Case) -> Result<(), Failed> {
        let world = self.world()?;
        self.runtime.block_on(async {
            let failed = |error: anyhow::Error| Failed::from(format!("{error:#}"));
            let shared = match machine {
                Share(requests) => Some(world.machine.share(requests).await.map_err(failed)?),
                AsItAsks => None,
            };
            let began = Instant::now();
            let result = case(Arc::clone(&world)).await;
            drop(shared);
            println!("{name}: {:.0} s", began.elapsed().as_secs_f64());
            result.map_err(failed)
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
        Trial::test(name, move || stage.run(name, machine, case))
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
