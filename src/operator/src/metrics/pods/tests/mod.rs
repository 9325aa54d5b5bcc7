//! Pods that answer on this machine, as specifications.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod exporters;
mod plain;
mod sampling;
mod tls;

use std::{sync::Arc, time::Duration};

use axum::{Router, http::StatusCode, routing::get};

use super::{Access, Address, Addresses, Before, Job, Page, start};
use crate::metrics::{Answer, SignalShape, Subscription, Target};

/// A pod on this machine, whose page is what `page` gives.
async fn pod<F>(page: F) -> u16
where
    F: Fn() -> (StatusCode, String) + Clone + Send + Sync + 'static,
{
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = Router::new().route("/metrics", get(move || async move { page() }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

/// Two pods of the target and one of another, all on this machine.
fn addresses() -> Addresses {
    let pods = ["shop-a-22222", "shop-b-33333", "cart-c-44444"];
    let address = |pod: &&str| Address { pod: (*pod).to_owned(), ip: "127.0.0.1".parse().unwrap(), ready: true };
    Arc::new(move || pods.iter().map(address).collect())
}

/// What reads them at this port.
fn job(port: u16) -> Job {
    Job {
        target: Target::of("shop", &["shop-a".to_owned(), "shop-b".to_owned()]),
        page: Page { port, path: "/metrics".to_owned(), access: Access::Plain, most_per_arm: 50 },
        addresses: addresses(),
        read_key: Arc::new(|_| unreachable!("no key is named")),
        before: Before::default(),
    }
}

fn shapes() -> [SignalShape; 1] {
    [SignalShape::Requests { requests: "r".to_owned(), failures: "f".to_owned() }]
}

fn started(port: u16) -> Vec<Subscription> {
    start(&shapes(), job(port)).unwrap().subscriptions
}

async fn next(subscription: &mut Subscription) -> Arc<Answer> {
    tokio::time::timeout(Duration::from_secs(10), subscription.changed()).await.unwrap();
    subscription.latest().unwrap()
}
