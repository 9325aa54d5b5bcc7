//! What cannot be looked at is not called a share of 0.

use firebreak_api::guard::RouteKind;

use super::*;

/// Routes of a kind that the API server does not list.
fn unlisted(method: &str, key: &str) -> Option<Fault> {
    (method == "GET" && key == "httproutes").then_some(Fault::Says(403, "httproutes is forbidden"))
}

#[tokio::test]
async fn given_a_service_that_is_gone_when_observed_then_the_shares_of_the_routes_are_seen_all_the_same() {
    let (server, change) = rollout::rollout();
    server.take("services/checkout");
    let view = rollout::view_with_routes(&server).await;
    let traffic = seen(&view, &change, &Objects::find(&view, &change, &Live::new())).traffic.unwrap();
    assert_eq!((traffic.largest_share, traffic.carries_candidate, traffic.unreadable), (200.0, true, false));
    assert!(traffic.candidate_service);
    assert!(traffic.problem.unwrap().contains("Service checkout does not exist"));
}

#[tokio::test]
async fn given_routes_that_cannot_be_listed_when_observed_then_they_are_unreadable_and_may_carry_the_candidate() {
    let (server, change) = rollout::rollout();
    server.faults(unlisted);
    let view = rollout::view(&server).await;
    let traffic = seen(&view, &change, &Objects::find(&view, &change, &Live::new())).traffic.unwrap();
    assert!(traffic.unreadable && traffic.carries_candidate, "{traffic:?}");
}

#[tokio::test]
async fn given_a_route_that_was_deleted_when_observed_then_nothing_is_unreadable() {
    let (server, change) = rollout::rollout();
    server.take("httproutes/checkout");
    let view = rollout::view_with_routes(&server).await;
    let traffic = seen(&view, &change, &Objects::find(&view, &change, &Live::new())).traffic.unwrap();
    assert!(!traffic.unreadable && !traffic.carries_candidate, "{traffic:?}");
    assert!(traffic.problem.unwrap().contains("checkout does not exist"));
}

#[tokio::test]
async fn given_routes_that_cannot_be_listed_when_zeroed_then_each_is_asked_for_by_name() {
    let (server, change) = rollout::rollout();
    server.faults(unlisted);
    let view = rollout::view(&server).await;
    act(&server, &view, &change, &[Effect::ZeroWeight]).await.unwrap();
    assert_eq!(rollout::weights(&server), [("checkout".to_owned(), 100), ("checkout-candidate".to_owned(), 0)]);
    assert_eq!(server.asked(), ["GET httproutes/checkout", "PATCH httproutes/checkout"]);
}

#[tokio::test]
async fn given_a_route_that_does_not_exist_when_zeroed_then_it_is_done() {
    let (server, change) = rollout::rollout();
    server.take("httproutes/checkout");
    let view = rollout::view(&server).await;
    act(&server, &view, &change, &[Effect::ZeroWeight]).await.unwrap();
}

#[tokio::test]
async fn given_routes_that_cannot_be_listed_when_restored_then_it_is_not_called_done() {
    let (server, change) = rollout::rollout();
    server.faults(unlisted);
    let view = rollout::view(&server).await;
    assert!(act(&server, &view, &change, &[Effect::RestoreRoutes]).await.is_err());
    assert!(view.routes(RouteKind::HTTPRoute).cache.get("shop", "checkout").is_none());
}

#[tokio::test]
async fn given_routes_that_cannot_be_listed_when_looked_at_one_by_one_then_the_next_turn_reads_them() {
    let (server, change) = rollout::rollout();
    server.faults(unlisted);
    let view = rollout::view(&server).await;
    let objects = Objects::find(&view, &change, &Live::new());
    let live = Actor::new(&server.client(), &change, &objects, &[]).look().await;
    let traffic = seen(&view, &change, &Objects::find(&view, &change, &live)).traffic.unwrap();
    assert_eq!((traffic.largest_share, traffic.unreadable), (200.0, false));
}
