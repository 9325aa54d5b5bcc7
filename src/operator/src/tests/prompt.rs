//! Nothing that a way back does not need stands in front of it.

use std::time::{Duration, Instant};

use serde_json::json;

use super::*;

/// More than a turn may take that has nothing to wait for.
const PROMPT: Duration = Duration::from_secs(4);

async fn first_turns_take_the_share(server: &ApiServer, routes_listed: bool) {
    server.put("guards/checkout", rollout::guard());
    server.edit("guards/checkout", |guard| guard["metadata"]["finalizers"] = json!([]));
    server.delete("changes/checkout-1");
    let began = Instant::now();
    let mut work = None;
    for _ in 0..2 {
        rollout::worker_of(server, routes_listed).await.one_turn(&mut work).await;
    }
    assert_eq!(rollout::weights(server)[1], ("checkout-candidate".to_owned(), 0));
    assert!(began.elapsed() < PROMPT * 2, "{:?}", began.elapsed());
}

#[tokio::test]
async fn given_a_finalizer_that_cannot_be_written_when_the_candidate_goes_back_then_it_does_not_wait_for_it() {
    let (server, _) = rollout::rollout();
    server.faults(|method, key| (method == "PATCH" && key == "guards/checkout").then_some(Fault::Hangs));
    let began = Instant::now();
    first_turns_take_the_share(&server, true).await;
    assert!(began.elapsed() < PROMPT, "{:?}", began.elapsed());
}

#[tokio::test]
async fn given_routes_whose_list_hangs_when_the_candidate_goes_back_then_the_route_is_zeroed_by_name() {
    let (server, _) = rollout::rollout();
    server.faults(|method, key| (method == "GET" && key == "httproutes").then_some(Fault::Hangs));
    first_turns_take_the_share(&server, false).await;
}

#[tokio::test]
async fn given_interventions_and_slices_that_cannot_be_listed_when_the_candidate_goes_back_then_it_goes() {
    let (server, _) = rollout::rollout();
    server.faults(|method, key| {
        (method == "GET" && ["interventions", "endpointslices"].contains(&key)).then_some(Fault::Says(403, "forbidden"))
    });
    first_turns_take_the_share(&server, true).await;
}

#[tokio::test]
async fn given_slices_that_cannot_be_listed_when_observed_then_nothing_is_exposed_and_the_pods_count_as_endpoints() {
    let (server, change) = rollout::rollout();
    server.faults(|method, key| (method == "GET" && key == "endpointslices").then_some(Fault::Says(403, "forbidden")));
    let view = rollout::view_with_routes(&server).await;
    let seen = seen(&view, &change, &Objects::find(&view, &change, &Live::new()));
    assert_eq!(seen.candidate.endpoints, 2);
    assert!(seen.traffic.unwrap().problem.unwrap().contains("EndpointSlices cannot be listed"));
}
