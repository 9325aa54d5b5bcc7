//! The real-cluster tests: one lab for the whole run, a namespace for each test. `cargo test -p firebreak-tests NAME` runs
//! those whose name holds NAME; cases with time limits run alone, the others side by side.

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

/// Cases that run side by side. With six of them on two cores the gateway follows its routes seconds late, and requests fail.
const SIDE_BY_SIDE: usize = 3;

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
    vec![
        case!(Shared, releases::harmless_release_is_promoted),
        case!(Shared, crashes::killed_while_held),
        case!(Shared, crashes::killed_while_preparing),
        case!(Shared, crashes::killed_while_progressing),
        case!(Shared, crashes::killed_while_baking),
        case!(Shared, crashes::killed_while_promoting),
        case!(Shared, crashes::killed_at_each_step_of_the_hand_over),
        case!(Shared, crashes::killed_while_rolling_back),
        case!(Shared, crashes::killed_every_two_seconds_harmless),
        case!(Shared, crashes::killed_every_two_seconds_failing),
        case!(Shared, crashes::another_replica_takes_over_a_harmless_release),
        case!(Shared, crashes::another_replica_takes_over_a_way_back),
        case!(Shared, lifecycle::third_template_supersedes),
        case!(Shared, lifecycle::stable_template_again_withdraws),
        case!(Shared, lifecycle::condemned_template_stays_held_until_retried),
        case!(Shared, lifecycle::operator_absent_the_api_server_holds),
        case!(Shared, lifecycle::without_policy_the_operator_holds_late),
        case!(Shared, lifecycle::an_older_revision_is_taken_over),
        case!(Shared, lifecycle::scaled_to_zero_waits_and_missing_is_adopted),
        case!(Shared, lifecycle::mid_rollout_and_paused_workloads_are_adopted),
        case!(Shared, lifecycle::humans_steer_by_interventions),
        case!(Shared, lifecycle::claims_that_rise_begin_anew),
        case!(Shared, lifecycle::guard_deleted_takes_its_candidate_back_first),
        case!(Shared, policies::risk_policy),
        case!(Shared, windows::a_freeze_holds_what_runs_at_its_stage),
        case!(Shared, windows::a_freeze_lets_what_runs_finish_and_nothing_begin),
        case!(Shared, windows::an_approval_lets_a_change_through_a_freeze),
        case!(Shared, outages::backend_away_holds_a_harmless_candidate),
        case!(Shared, outages::backend_away_never_promotes_a_failing_candidate),
        case!(Shared, outages::no_data_exposes_nothing),
        case!(Shared, outages::doubtful_answers_hold),
        case!(Shared, outages::query_that_prometheus_refuses_is_named),
        // Gathers its past while the others run, and takes the machine alone when few of them are left.
        case!(AsItAsks, releases::failing_releases_are_taken_back),
        case!(AsItAsks, releases::failing_releases_are_taken_back_by_the_pods_pages),
        case!(Shared, judging::harmless_releases_at_200_rps_are_promoted),
        case!(Shared, judging::harmless_releases_at_20_rps_are_not_taken_back),
        case!(Shared, judging::slow_release_is_taken_back),
        case!(Shared, judging::shared_outage_is_a_named_hold),
        case!(Shared, judging::image_that_cannot_start_is_taken_back),
        case!(Shared, judging::pods_that_cannot_be_scheduled_are_taken_back),
        case!(Shared, contention::reapplied_client_side),
        case!(Shared, contention::reapplied_server_side),
        case!(Shared, contention::replaced),
        case!(Shared, contention::all_reapplied_client_side),
        case!(Shared, contention::all_reapplied_server_side),
        case!(Shared, contention::all_replaced),
        case!(Shared, contention::route_weights_reverted_are_reported),
        case!(Shared, contention::resume_without_the_verb_changes_nothing),
        case!(Shared, contention::replicas_change_while_a_change_runs),
        case!(Shared, contention::replicas_change_where_pods_are_the_share),
        case!(Shared, refusals::the_api_server_refuses_wrong_guards),
        case!(Shared, refusals::guards_that_cannot_work_say_so),
        case!(Shared, exposure::pods_are_the_share_of_a_harmless_release),
        case!(Shared, exposure::pods_are_the_share_of_a_failing_release),
        case!(Shared, pods::releases_are_judged_without_prometheus),
        case!(Shared, third_party::caddy_is_judged_by_its_own_page),
        case!(Shared, witnesses::a_check_that_fails_takes_back),
        case!(Shared, witnesses::a_burning_error_budget_exposes_nobody),
        case!(Shared, witnesses::a_hurt_dependent_takes_back_and_platform_trouble_holds),
        case!(Shared, witnesses::sources_that_disagree_hold),
        case!(Shared, exposure::grpc_route_is_divided_and_restored),
        case!(Shared, people::verbs_are_what_roles_give),
        case!(Shared, people::approvals_take_the_right_people),
        case!(Shared, people::an_approval_is_of_one_candidate),
        case!(Shared, people::abort_needs_nothing_healthy),
        case!(AsItAsks, people::abort_while_the_gateway_hangs),
        case!(Shared, records::say_who_did_what_and_are_kept_as_asked),
        case!(Shared, protection::what_serves_users_stays_while_a_change_runs),
        case!(Shared, protection::claims_of_what_is_held_are_not_lowered),
        case!(Shared, protection::claims_that_were_not_made_are_not_lowered),
        case!(Shared, protection::a_condemned_template_is_not_resumed),
        case!(Shared, protection::a_namespace_that_is_deleted_goes),
        case!(Shared, protection::every_policy_goes_with_the_chart),
        case!(AsItAsks, people::nobody_is_believed_without_the_policy),
        // One operator for the whole cluster: no other may work beside it.
        case!(AsItAsks, windows::six_changes_queue_for_two_places),
        case!(AsItAsks, judging::crashing_pod_does_not_block_the_way_back),
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
            let shared = if machine == Machine::Shared { Some(world.machine.read().await) } else { None };
            let began = Instant::now();
            let result = case(Arc::clone(&world)).await;
            drop(shared);
            println!("{name}: {:.0} s", began.elapsed().as_secs_f64());
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
