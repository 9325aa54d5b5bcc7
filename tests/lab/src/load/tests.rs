//! The load generator against servers that behave badly, on loopback.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where its setting fails")]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{Config, Load, NO_VERSION, Report};

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.expect("a port is free");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    (listener, url)
}

async fn loaded(url: String, rate: u32, millis: u64, timeout: Duration) -> Report {
    let duration = Some(Duration::from_millis(millis));
    Load::start(&Config { duration, timeout, ..Config::new(url, rate) }).expect("loopback is allowed").wait().await
}

/// Answers every connection's every request with these bytes.
async fn answer_all(listener: TcpListener, answer: &'static str) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut request = [0; 4096];
            while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
        });
    }
}

#[tokio::test]
async fn given_nobody_listening_then_every_request_is_a_connect_error() {
    let (listener, url) = listener().await;
    drop(listener);
    let report = loaded(url, 100, 300, Duration::from_secs(1)).await;
    let none = report.by_version(NO_VERSION).expect("it is accounted").total;
    assert_eq!((none.connect, report.total_sent(), report.due), (30, 30, 30));
}

#[tokio::test]
async fn given_a_server_that_never_answers_then_the_rate_is_kept_and_every_request_times_out() {
    let (_listener, url) = listener().await;
    let report = loaded(url, 200, 500, Duration::from_millis(200)).await;
    let none = report.by_version(NO_VERSION).expect("it is accounted").total;
    assert_eq!((none.timeout, report.due, report.unsent, report.in_flight), (100, 100, 0, 0));
}

#[tokio::test]
async fn given_more_requests_under_way_than_are_allowed_then_the_rest_is_counted_as_unsent() {
    let (_listener, url) = listener().await;
    let report = loaded(url, 2000, 1000, Duration::from_secs(2)).await;
    assert_eq!((report.due, report.total_sent() + report.unsent), (2000, 2000));
    assert_eq!(report.unsent, 1000);
}

#[tokio::test]
async fn given_an_answer_cut_short_then_the_request_is_broken_and_its_version_known() {
    let (listener, url) = listener().await;
    let server = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nx-version: v9\r\ncontent-length: 10\r\n\r\nabc").await;
        }
    });
    let report = loaded(url, 50, 200, Duration::from_secs(1)).await;
    server.abort();
    assert_eq!(report.by_version("v9").map(|series| (series.total.broken, series.total.ok)), Some((10, 0)));
}

#[tokio::test]
async fn given_a_gateway_without_a_route_then_its_404_belongs_to_no_version() {
    let (listener, url) = listener().await;
    let server = tokio::spawn(answer_all(listener, "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"));
    let report = loaded(url, 100, 200, Duration::from_secs(1)).await;
    server.abort();
    assert_eq!(report.by_version(NO_VERSION).map(|series| series.total.status_4xx), Some(20));
}

#[tokio::test]
async fn given_a_steady_server_then_one_connection_is_used_over_and_over() {
    let (listener, url) = listener().await;
    let (seen, mut connections) = tokio::sync::mpsc::unbounded_channel();
    let server = tokio::spawn(async move {
        while let Ok((mut stream, peer)) = listener.accept().await {
            let _ = seen.send(peer);
            tokio::spawn(async move {
                let mut request = [0; 4096];
                while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nx-version: v1\r\ncontent-length: 0\r\n\r\n").await;
                }
            });
        }
    });
    let report = loaded(url, 50, 1000, Duration::from_secs(1)).await;
    server.abort();
    let mut count = 0;
    while connections.try_recv().is_ok() {
        count += 1;
    }
    assert_eq!(report.by_version("v1").map(|series| series.total.ok), Some(50));
    assert!((1..25).contains(&count), "{count} connections for 50 requests");
}

#[tokio::test]
async fn given_a_load_without_end_when_it_is_dropped_then_it_ends_at_once() {
    let (_listener, url) = listener().await;
    let load = Load::start(&Config::new(url, 100)).expect("loopback is allowed");
    assert!(load.is_running());
    let recorder = std::sync::Arc::downgrade(&load.recorder());
    drop(load);
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    while recorder.strong_count() > 0 {
        assert!(std::time::Instant::now() < deadline, "the load's thread goes on");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
