//! Pods that are read in the clear.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::http::StatusCode;

use super::{next, pod, started};
use crate::metrics::{Trouble, pods::reader::EVERY};

#[tokio::test]
async fn given_pods_when_read_then_those_of_the_target_every_second() {
    let requests = Arc::new(AtomicU64::new(10));
    let counter = Arc::clone(&requests);
    let page = move || (StatusCode::OK, format!("r {}\nf 1\n", counter.fetch_add(1, Ordering::Relaxed)));
    let mut subscriptions = started(pod(page).await);
    let first = next(&mut subscriptions[0]).await;
    let samples = first.result.clone().unwrap();
    let mut names: Vec<&str> = samples.iter().map(|sample| sample.pod.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["shop-a-22222", "shop-b-33333"]);
    assert!(samples.iter().all(|sample| sample.failures == Some(1) && sample.scraped_at_ms.unwrap() <= first.at_ms));
    let second = next(&mut subscriptions[0]).await;
    assert!(second.at_ms - first.at_ms >= 900, "{} ms", second.at_ms - first.at_ms);
}

#[rstest::rstest]
#[case::refused(StatusCode::SERVICE_UNAVAILABLE, "r 1\n")]
#[case::not_a_page(StatusCode::OK, "r one\n")]
#[tokio::test]
async fn given_a_page_that_cannot_be_read_then_the_pod_is_known_and_its_counts_are_not(
    #[case] status: StatusCode,
    #[case] text: &'static str,
) {
    let mut subscriptions = started(pod(move || (status, text.to_owned())).await);
    let trouble = next(&mut subscriptions[0]).await.result.clone().unwrap_err();
    assert!(trouble.to_string().contains("shop-a-22222"), "{trouble}");
}

#[tokio::test]
async fn given_a_gauge_when_read_then_the_signal_says_so() {
    let mut subscriptions = started(pod(|| (StatusCode::OK, "r 0.5\n".to_owned())).await);
    assert!(matches!(next(&mut subscriptions[0]).await.result, Err(Trouble::NotACount { .. })));
}

#[tokio::test]
async fn given_the_last_subscription_when_it_is_dropped_then_nobody_reads_any_more() {
    let reads = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&reads);
    let port = pod(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        (StatusCode::OK, "r 1\n".to_owned())
    })
    .await;
    let mut subscriptions = started(port);
    next(&mut subscriptions[0]).await;
    drop(subscriptions);
    let before = reads.load(Ordering::Relaxed);
    tokio::time::sleep(EVERY * 2).await;
    assert!(reads.load(Ordering::Relaxed) <= before + 2, "a round that was under way at most");
}
