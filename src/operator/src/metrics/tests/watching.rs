//! The hub against a backend: batching, isolation, limits, recovery.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use rstest::rstest;

use super::{
    latency, requests,
    server::{Backend, Reaction},
    target,
};
use crate::metrics::{Answer, Hub, Limits, Span, Subscription, Trouble};

const EMPTY: &str = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(20);

fn hub(backend: &Backend) -> Hub {
    Hub::new(Some(backend.url()), Limits { look: Duration::from_millis(300), bytes: 100_000, ..Limits::default() })
}

fn vector(rows: &[(&str, &str, &str)]) -> Reaction {
    let row = |(pod, part, value): &(&str, &str, &str)| {
        format!(r#"{{"metric":{{"namespace":"shop","part":"{part}","pod":"{pod}"}},"value":[1,"{value}"]}}"#)
    };
    let rows = rows.iter().map(row).collect::<Vec<_>>().join(",");
    Reaction::Answer(200, format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{rows}]}}}}"#))
}

async fn until<T>(subscription: &mut Subscription, wanted: impl Fn(&Answer) -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = subscription.latest().as_deref().and_then(&wanted) {
                return found;
            }
            subscription.changed().await;
        }
    };
    tokio::time::timeout(DEADLINE, found).await.expect("never came")
}

async fn trouble(subscription: &mut Subscription) -> Trouble {
    until(subscription, |answer| answer.result.clone().err()).await
}

#[tokio::test]
async fn given_many_targets_when_looked_at_then_one_query_reads_them_at_one_instant_and_each_gets_its_own() {
    let backend = Backend::start(|_| {
        vector(&[("a-1-aaaaa", "requests", "10"), ("b-1-bbbbb", "requests", "20"), ("c-1-ccccc", "requests", "30")])
    })
    .await;
    let hub = hub(&backend);
    let mut all: Vec<_> = ["a-1", "b-1", "c-1"].iter().map(|set| hub.watch(None, &requests(), target(&[set])).unwrap()).collect();
    let mut answers = Vec::new();
    for subscription in &mut all {
        answers.push(until(subscription, |answer| Some(answer.clone())).await);
    }
    let counts: Vec<_> =
        answers.iter().map(|a| a.result.as_ref().unwrap().iter().map(|s| s.requests).collect::<Vec<_>>()).collect();
    assert_eq!(counts, [[Some(10)], [Some(20)], [Some(30)]]);
    assert!(answers.iter().all(|a| a.at_ms == answers[0].at_ms && a.backend_ahead_ms.is_some()));
    let asked = backend.asked().remove(0);
    assert_eq!(asked.path, "/prom/api/v1/query");
    assert!(asked.form["query"].contains("(?:a-1-|b-1-|c-1-)"), "{}", asked.form["query"]);
    assert_eq!(asked.form["time"], format!("{}.{:03}", answers[0].at_ms / 1000, answers[0].at_ms % 1000));
    assert_eq!((backend.asked().len(), hub.pollers()), (1, 1));
}

#[tokio::test]
async fn given_more_targets_than_a_query_holds_when_looked_at_then_few_queries_share_one_instant() {
    let backend = Backend::start(|_| Reaction::Answer(200, EMPTY.into())).await;
    let hub = hub(&backend);
    let mut all: Vec<_> = (0..40).map(|i| hub.watch(None, &requests(), target(&[&format!("a-{i}")])).unwrap()).collect();
    for subscription in &mut all {
        until(subscription, |answer| answer.result.is_ok().then_some(())).await;
    }
    let asked = backend.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].form["time"], asked[1].form["time"]);
}

#[tokio::test]
async fn given_one_target_that_spoils_every_answer_when_looked_at_then_the_others_are_read_without_it() {
    let warned = r#"{"status":"success","warnings":["mix of floats"],"data":{"resultType":"vector","result":[]}}"#;
    let backend = Backend::start(move |asked| {
        Reaction::Answer(200, if asked.form["query"].contains("bad-1-") { warned.into() } else { EMPTY.into() })
    })
    .await;
    let hub = hub(&backend);
    let mut good: Vec<_> = (0..5).map(|i| hub.watch(None, &requests(), target(&[&format!("a-{i}")])).unwrap()).collect();
    let mut bad = hub.watch(None, &requests(), target(&["bad-1"])).unwrap();
    assert!(matches!(trouble(&mut bad).await, Trouble::Warnings { .. }));
    for subscription in &mut good {
        until(subscription, |answer| answer.result.is_ok().then_some(())).await;
    }
    assert!(backend.asked().iter().take(6).all(|asked| asked.form["time"] == backend.asked()[0].form["time"]));
}

#[rstest]
#[case::silent(Reaction::Silence, "BackendTimeout")]
#[case::breaks_off(Reaction::Break, "BackendUnreachable")]
#[case::too_large(Reaction::Flood(200_000), "AnswerTooLarge")]
#[case::no_json(Reaction::Flood(50_000), "AnswerUndecodable")]
#[case::bad_query(Reaction::Answer(400, r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#.into()), "QueryRefused")]
#[case::execution(Reaction::Answer(422, r#"{"status":"error","errorType":"execution","error":"x"}"#.into()), "QueryRefused")]
#[case::no_entry(Reaction::Answer(403, String::new()), "QueryRefused")]
#[case::redirect(Reaction::Answer(302, String::new()), "QueryRefused")]
#[case::starting(Reaction::Answer(503, "Service Unavailable".into()), "BackendFailing")]
#[case::too_many_requests(Reaction::Answer(429, String::new()), "BackendFailing")]
#[case::large_refusal(Reaction::Answer(500, "x".repeat(200_000)), "BackendFailing")]
#[tokio::test]
async fn given_a_backend_in_trouble_when_looked_at_then_the_trouble_is_named(#[case] reaction: Reaction, #[case] reason: &str) {
    let backend = Backend::start(move |_| reaction.clone()).await;
    let hub = hub(&backend);
    let mut subscription = hub.watch(None, &requests(), target(&["a-1"])).unwrap();
    let trouble = trouble(&mut subscription).await;
    assert_eq!(trouble.reason(), reason, "{trouble}");
    assert!(reason == "AnswerUndecodable" || hub.stats().errors() > 0);
}

#[tokio::test]
async fn given_a_refusal_with_anothers_words_when_told_then_they_are_not_shown() {
    let backend = Backend::start(|_| Reaction::Answer(403, "the secret of another service".into())).await;
    let mut subscription = hub(&backend).watch(None, &requests(), target(&["a-1"])).unwrap();
    let told = trouble(&mut subscription).await.to_string();
    assert!(!told.contains("secret") && told.contains("Forbidden") && told.contains("let the operator in"), "{told}");
}

#[tokio::test]
async fn given_a_backend_that_was_away_when_it_returns_then_it_is_read_within_five_seconds() {
    let first = Backend::start(|_| Reaction::Answer(200, EMPTY.into())).await;
    let (address, hub) = (first.address, hub(&first));
    let mut subscription = hub.watch(None, &requests(), target(&["a-1"])).unwrap();
    until(&mut subscription, |answer| answer.result.is_ok().then_some(())).await;
    drop(first);
    assert!(matches!(trouble(&mut subscription).await, Trouble::Unreachable { .. }));
    let _second = Backend::start_at(address, |_| Reaction::Answer(200, EMPTY.into())).await;
    let back = Instant::now();
    until(&mut subscription, |answer| answer.result.is_ok().then_some(())).await;
    assert!(back.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn given_a_slow_backend_when_it_answers_then_one_query_is_in_flight_and_none_are_made_up_for() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (in_flight, peak) = (Arc::clone(&now), Arc::clone(&most));
    let backend = Backend::start(move |_| {
        peak.fetch_max(in_flight.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        Reaction::Silence
    })
    .await;
    let hub = hub(&backend);
    let mut subscription = hub.watch(None, &requests(), target(&["a-1"])).unwrap();
    for _ in 0..3 {
        subscription.changed().await;
        now.fetch_sub(1, Ordering::SeqCst);
    }
    assert_eq!(most.load(Ordering::SeqCst), 1);
    assert!(backend.asked().len() <= 4);
}

#[tokio::test]
async fn given_a_missing_edge_when_looked_at_then_the_bounds_are_asked_for_once() {
    let backend = Backend::start(|asked| {
        if asked.form["query"].starts_with("group by (namespace,pod,le)") {
            let row = |le| format!(r#"{{"metric":{{"namespace":"shop","pod":"a-1-aaaaa","le":"{le}"}},"value":[1,"1"]}}"#);
            let rows = ["0.1", "0.25", "+Inf"].map(row).join(",");
            return Reaction::Answer(
                200,
                format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{rows}]}}}}"#),
            );
        }
        vector(&[("a-1-aaaaa", "requests", "10")])
    })
    .await;
    let mut subscription = hub(&backend).watch(None, &latency(), target(&["a-1"])).unwrap();
    for _ in 0..3 {
        subscription.changed().await;
    }
    let told = trouble(&mut subscription).await;
    assert_eq!(
        told,
        Trouble::NoSuchEdge { pod: "a-1-aaaaa".into(), edge_seconds: 0.3, nearest: vec!["0.25".into(), "0.1".into()] }
    );
    assert!(told.to_string().contains("the nearest are 0.25, 0.1"));
    assert_eq!(backend.asked().iter().filter(|a| a.form["query"].starts_with("group")).count(), 1);
}

#[rstest]
#[case::began_anew("1", None)]
#[case::series_vanished("0", Some("CountersContradict"))]
#[tokio::test]
async fn given_requests_that_fell_when_looked_at_then_the_backend_says_whether_they_began_anew(
    #[case] resets: &'static str,
    #[case] reason: Option<&str>,
) {
    let looks = AtomicUsize::new(0);
    let backend = Backend::start(move |asked| {
        if asked.form["query"].contains("resets(") {
            return vector(&[("a-1-aaaaa", "resets", resets)]);
        }
        vector(&[("a-1-aaaaa", "requests", if looks.fetch_add(1, Ordering::SeqCst) == 0 { "100" } else { "5" })])
    })
    .await;
    let mut subscription = hub(&backend).watch(None, &requests(), target(&["a-1"])).unwrap();
    let requests_of = |answer: &Answer| answer.result.as_ref().map_or(Some(0), |samples| samples[0].requests);
    until(&mut subscription, |answer| (requests_of(answer) != Some(100)).then_some(())).await;
    let answer = subscription.latest().unwrap();
    assert_eq!(answer.result.as_ref().err().map(Trouble::reason), reason);
    assert!(reason.is_some() || requests_of(&answer) == Some(5));
}

#[tokio::test]
async fn given_targets_that_fell_when_looked_at_then_one_query_asks_for_all_and_keeps_no_other_waiting() {
    let looks = AtomicUsize::new(0);
    let backend = Backend::start(move |asked| {
        if asked.form["query"].contains("resets(") {
            return Reaction::Silence;
        }
        let fell = if looks.fetch_add(1, Ordering::SeqCst) == 0 { "100" } else { "5" };
        vector(&[("a-1-aaaaa", "requests", fell), ("b-1-bbbbb", "requests", fell), ("c-1-ccccc", "requests", "7")])
    })
    .await;
    let hub = hub(&backend);
    let mut all: Vec<_> = ["a-1", "b-1", "c-1"].iter().map(|set| hub.watch(None, &requests(), target(&[set])).unwrap()).collect();
    let mut sound = all.pop().unwrap();
    for subscription in &mut all {
        assert!(matches!(trouble(subscription).await, Trouble::TimedOut { .. }));
    }
    let asked = backend.asked();
    let resets: Vec<&String> = asked.iter().map(|a| &a.form["query"]).filter(|query| query.contains("resets(")).collect();
    assert!(resets.iter().all(|query| query.contains("a-1-") && query.contains("b-1-")), "{resets:?}");
    // Every look told the sound one before it asked on.
    let answer = until(&mut sound, |answer| answer.result.is_ok().then_some(answer.took)).await;
    assert!(answer < Duration::from_millis(300), "{answer:?}");
}

#[tokio::test]
async fn given_the_last_subscription_when_dropped_then_its_poller_ends_and_asks_no_more() {
    let backend = Backend::start(|_| Reaction::Answer(200, EMPTY.into())).await;
    let hub = hub(&backend);
    let mut one = hub.watch(None, &requests(), target(&["a-1"])).unwrap();
    let two = hub.watch(None, &requests(), target(&["b-1"])).unwrap();
    let mut other = hub.watch(None, &latency(), target(&["a-1"])).unwrap();
    until(&mut one, |answer| answer.result.is_ok().then_some(())).await;
    assert_eq!(hub.pollers(), 2);
    drop(one);
    assert_eq!(hub.pollers(), 2);
    drop(two);
    assert_eq!(hub.pollers(), 1);
    let asked = |backend: &Backend| backend.asked().iter().filter(|a| a.form["query"].contains("http_requests_total")).count();
    let before = asked(&backend);
    for _ in 0..2 {
        other.changed().await;
    }
    assert_eq!(asked(&backend), before);
}

#[tokio::test]
async fn given_no_address_a_bad_one_or_a_bad_selector_when_watched_then_it_is_refused_at_once() {
    let hub = Hub::new(None, Limits::default());
    let refused = |url| hub.watch(url, &requests(), target(&["a-1"])).unwrap_err();
    assert_eq!(refused(None), Trouble::NoUrl);
    for url in
        ["prometheus:9090", "ftp://x", "http://", "http://user:secret@x:99999", "http://x/?a=b", "http://user:secret@x/?a=b"]
    {
        let told = refused(Some(url)).to_string();
        assert!(told.contains("http://prometheus.monitoring:9090") && !told.contains("secret"), "{told}");
    }
    let many: Vec<String> = (0..17).map(|i| format!("a-{i}")).collect();
    let many = target(&many.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(matches!(hub.watch(Some("http://x"), &requests(), many), Err(Trouble::TooMany { limit: 16, .. })));
}

#[tokio::test]
async fn given_an_address_with_credentials_when_it_cannot_be_reached_then_they_are_not_shown() {
    let hub = Hub::new(Some("http://user:secret@127.0.0.1:1/prom".into()), Limits::default());
    let mut subscription = hub.watch(None, &requests(), target(&["a-1"])).unwrap();
    let told = trouble(&mut subscription).await.to_string();
    assert!(told.contains("http://127.0.0.1:1/prom") && !told.contains("secret"), "{told}");
}

#[tokio::test]
async fn given_too_many_targets_or_signals_when_watched_then_the_bound_is_named() {
    let backend = Backend::start(|_| Reaction::Silence).await;
    let hub = hub(&backend);
    let watch = |i: usize| hub.watch(None, &requests(), target(&[&format!("a-{i}")]));
    let all: Vec<_> = (0..512).map(|i| watch(i).unwrap()).collect();
    assert!(matches!(watch(512), Err(Trouble::TooMany { limit: 512, .. })));
    drop(all);
    let other = |i| crate::metrics::SignalShape::Histogram { histogram: "h".into(), edge_ms: i };
    let watch = |i| hub.watch(Some("http://127.0.0.1:1"), &other(i), target(&["a-1"]));
    let all: Vec<_> = (1..=512).map(|i| watch(i).unwrap()).collect();
    assert!(matches!(watch(513), Err(Trouble::TooMany { limit: 512, .. })));
    assert_eq!((all.len(), hub.pollers()), (512, 512));
}

#[tokio::test]
async fn given_a_past_that_is_too_large_when_read_then_longer_steps_are_asked_for() {
    let matrix = r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"namespace":"shop","pod":"a-1-aaaaa","part":"requests"},"values":[[100,"1"],[160,"5"]]}]}}"#;
    let backend =
        Backend::start(
            move |asked| if asked.form["step"] == "10" { Reaction::Flood(200_000) } else { Reaction::Answer(200, matrix.into()) },
        )
        .await;
    let span = Span { window: Duration::from_secs(120), step: Duration::from_secs(10), at_ms: 160_999 };
    let history = hub(&backend).history(None, &requests(), &target(&["a-1"]), span).await.unwrap();
    assert_eq!((history.start_ms, history.step_seconds, history.pods["a-1-aaaaa"].len()), (40_000, 60.0, 2));
    assert_eq!(history.pods["a-1-aaaaa"][1].map(|s| (s.requests, s.failures)), Some((4, 0)));
    let asked = backend.asked().remove(1);
    assert_eq!(
        (asked.path.as_str(), asked.form["start"].as_str(), asked.form["end"].as_str()),
        ("/prom/api/v1/query_range", "40", "160")
    );
}

#[tokio::test]
async fn given_a_long_past_when_read_then_its_steps_are_bounded() {
    let backend =
        Backend::start(|_| Reaction::Answer(200, r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#.into()))
            .await;
    let span = Span { window: Duration::from_secs(7200), step: Duration::from_millis(1), at_ms: 1_000_000_000 };
    let history = hub(&backend).history(None, &requests(), &target(&["a-1"]), span).await.unwrap();
    assert_eq!((history.step_seconds, history.start_ms), (10.0, 1_000_000_000 - 7_200_000));
}
