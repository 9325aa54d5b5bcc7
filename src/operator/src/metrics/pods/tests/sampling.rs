//! Arms of more pods than are read.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::http::StatusCode;

use super::{Address, Before, job, next, pod, shapes, start};
use crate::metrics::{Addresses, Part};

fn many(stable: u32, candidate: u32) -> Addresses {
    let address = |pod: String| Address { pod, ip: "127.0.0.1".parse().unwrap(), ready: true };
    let pods = (0..stable).map(|pod| format!("shop-a-{pod:05}")).chain((0..candidate).map(|pod| format!("shop-b-{pod:05}")));
    let pods: Vec<Address> = pods.map(address).collect();
    Arc::new(move || pods.clone())
}

#[tokio::test]
async fn given_more_pods_than_are_read_when_read_then_some_count_all_are_tried_once_and_it_is_told() {
    let reads = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&reads);
    let page = move || (StatusCode::OK, format!("r {}\nf 1\n", counter.fetch_add(1, Ordering::Relaxed) + 1));
    let mut job = job(pod(page).await);
    (job.page.most_per_arm, job.addresses) = (10, many(25, 3));
    let mut started = start(&shapes(), job).unwrap();
    let first = next(&mut started.subscriptions[0]).await.result.clone().unwrap();
    let counted: BTreeSet<String> = first.iter().filter(|pod| pod.requests.is_some()).map(|pod| pod.pod.clone()).collect();
    assert_eq!((counted.len(), first.len()), (13, 28));
    assert!(first.iter().all(|pod| pod.up == Some(true)), "every pod could be read once");
    assert_eq!(reads.load(Ordering::Relaxed), 28);
    let sampled = started.sampled.borrow().clone().unwrap();
    assert_eq!((sampled.arms["shop-a"], sampled.arms["shop-b"]), (Part { read: 10, of: 25 }, Part { read: 3, of: 3 }));
    let second = next(&mut started.subscriptions[0]).await.result.clone().unwrap();
    let again: BTreeSet<String> = second.iter().filter(|pod| pod.requests.is_some()).map(|pod| pod.pod.clone()).collect();
    assert_eq!((again, reads.load(Ordering::Relaxed)), (counted, 28 + 13));
    assert!(second.iter().all(|pod| pod.up == Some(true)), "what could be read once is remembered");
}

#[tokio::test]
async fn given_pods_that_another_process_counted_when_read_then_these_are() {
    let mut job = job(pod(|| (StatusCode::OK, "r 1\nf 1\n".to_owned())).await);
    let counted: BTreeSet<String> = (40..50).map(|pod| format!("shop-a-{pod:05}")).collect();
    (job.page.most_per_arm, job.addresses) = (10, many(50, 0));
    job.before = Before { pods: counted.clone(), sampled: true };
    let mut started = start(&shapes(), job).unwrap();
    let first = next(&mut started.subscriptions[0]).await.result.clone().unwrap();
    let read: BTreeSet<String> = first.iter().filter(|pod| pod.requests.is_some()).map(|pod| pod.pod.clone()).collect();
    assert_eq!(read, counted);
    assert!(started.sampled.borrow().as_ref().unwrap().late.is_empty());
}
