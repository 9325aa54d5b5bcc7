//! Pods that are read in the clear.

use std::{
    io::{Read as _, Write as _},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::http::StatusCode;

use super::{next, pod, started};
use crate::metrics::{
    Trouble,
    pods::{fetch::MOST_BYTES, reader::EVERY},
};

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

/// A pod that answers every request with these bytes and closes the connection.
fn raw(answer: &'static str) -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut head = [0; 1024];
            let _ = stream.read(&mut head);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    port
}

#[rstest::rstest]
#[case::a_line_that_does_not_end("HTTP/1.1 200 OK\r\n\r\nr 1\nf 1", "its last line does not end")]
#[case::shorter_than_it_says("HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nr 1\nf 1\n", "pod shop-a-22222")]
#[case::a_web_page(
    "HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: 4\r\n\r\n<p>\n",
    "it is a web page and no metrics"
)]
#[case::open_metrics_without_its_end(
    "HTTP/1.1 200 OK\r\ncontent-type: application/openmetrics-text; version=1.0.0\r\ncontent-length: 8\r\n\r\nr 1\nf 1\n",
    "does not end with # EOF"
)]
#[case::elsewhere(
    "HTTP/1.1 302 Found\r\nlocation: https://x/\r\ncontent-length: 0\r\n\r\n",
    "whether the port takes scheme: HTTPS"
)]
#[case::no_such_page("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "check spec.metrics.pods.path and port")]
#[case::asks_who_reads(
    "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n",
    "spec.metrics.pods.bearerTokenSecret and scheme: HTTPS"
)]
#[tokio::test]
async fn given_a_page_that_is_none_or_not_whole_then_what_to_do(#[case] answer: &'static str, #[case] words: &str) {
    let trouble = next(&mut started(raw(answer))[0]).await.result.clone().unwrap_err();
    assert!(trouble.to_string().contains(words), "{trouble}");
}

#[tokio::test]
async fn given_a_page_that_ends_with_its_connection_when_its_last_line_ends_then_it_is_read() {
    let samples = next(&mut started(raw("HTTP/1.1 200 OK\r\n\r\nr 1\nf 1\n"))[0]).await.result.clone().unwrap();
    assert!(samples.iter().all(|sample| sample.requests == Some(1)));
}

#[tokio::test]
async fn given_nobody_who_listens_then_where_to_look() {
    let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let trouble = next(&mut started(free)[0]).await.result.clone().unwrap_err().to_string();
    assert!(trouble.contains("not of localhost alone") && trouble.contains("network policies"), "{trouble}");
}

#[tokio::test]
async fn given_a_page_that_is_too_long_then_it_is_not_read_to_its_end() {
    let page = || (StatusCode::OK, format!("r 1\n# HELP f {}\n", "x".repeat(MOST_BYTES)));
    let trouble = next(&mut started(pod(page).await)[0]).await.result.clone().unwrap_err().to_string();
    assert!(trouble.contains("longer than 2097152 bytes"), "{trouble}");
}
