//! Recorded answers, and what becomes of them.

use rstest::rstest;

use super::{latency, read, requests, target};
use crate::metrics::{
    PodSample, Trouble, Values,
    reading::{by_pod, nearest_edges, samples},
    reply::{error_of, matrix, values, vector},
    shape::SignalShape,
};

const POD: &str = "web-6f5c7d8b9-aaaaa";

/// One row of a vector as Prometheus 3.16 writes it.
fn row(part: &str, value: &str) -> String {
    format!(r#"{{"metric":{{"namespace":"shop","part":"{part}","pod":"{POD}"}},"value":[1795508894.887,"{value}"]}}"#)
}

fn body(rows: &[String]) -> String {
    format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{}]}}}}"#, rows.join(","))
}

fn judged(shape: &SignalShape, body: &str) -> Result<Vec<PodSample>, Trouble> {
    samples(&read(shape), &target(&["web-6f5c7d8b9"]), &by_pod(vector(body.as_bytes())?.rows)?)
}

fn whole() -> Vec<String> {
    [
        ("requests", "1027"),
        ("failures", "7"),
        ("read_at", "1795508894.5"),
        ("failures_read_at", "1795508893.25"),
        ("targets", "1"),
        ("up", "1"),
        ("siblings", "3"),
    ]
    .map(|(part, value)| row(part, value))
    .into()
}

fn sample() -> PodSample {
    PodSample {
        namespace: "shop".into(),
        pod: POD.into(),
        requests: Some(1027),
        failures: Some(7),
        failures_exist: true,
        siblings: true,
        scraped_at_ms: Some(1_795_508_893_250),
        up: Some(true),
    }
}

#[test]
fn given_a_whole_answer_when_decoded_then_each_part_is_there_and_the_older_reading_counts() {
    assert_eq!(judged(&requests(), &body(&whole())), Ok(vec![sample()]));
}

#[test]
fn given_a_pod_without_failures_when_decoded_then_they_are_zero_but_do_not_exist() {
    let rows: Vec<_> = whole().into_iter().filter(|r| !r.contains("failures")).collect();
    let expected = PodSample { failures: Some(0), failures_exist: false, scraped_at_ms: Some(1_795_508_894_500), ..sample() };
    assert_eq!(judged(&requests(), &body(&rows)), Ok(vec![expected]));
}

#[test]
fn given_a_pod_on_which_failures_could_not_show_when_decoded_then_that_is_known() {
    let rows: Vec<_> = whole().into_iter().filter(|r| !r.contains("failures") && !r.contains("siblings")).collect();
    let samples = judged(&requests(), &body(&rows)).unwrap();
    assert_eq!(samples.iter().map(|sample| (sample.failures_exist, sample.siblings)).collect::<Vec<_>>(), [(false, false)]);
}

#[test]
fn given_failures_without_requests_when_decoded_then_nothing_is_known() {
    let rows: Vec<_> = whole().into_iter().filter(|r| !r.contains("requests")).collect();
    let expected = PodSample { requests: None, failures: None, scraped_at_ms: None, ..sample() };
    assert_eq!(judged(&requests(), &body(&rows)), Ok(vec![expected]));
}

#[test]
fn given_a_pod_that_is_only_seen_when_decoded_then_it_is_a_sample_without_counts() {
    let expected = PodSample {
        requests: None,
        failures: None,
        failures_exist: false,
        siblings: false,
        scraped_at_ms: None,
        up: Some(false),
        ..sample()
    };
    assert_eq!(judged(&requests(), &body(&[row("up", "0")])), Ok(vec![expected]));
}

#[test]
fn given_anothers_pods_when_decoded_then_their_state_does_not_matter() {
    let other = row("requests", "NaN").replace("shop", "bank");
    assert_eq!(judged(&requests(), &body(&[whole(), vec![other]].concat())), Ok(vec![sample()]));
}

#[rstest]
#[case::not_a_number("NaN")]
#[case::infinite("+Inf")]
#[case::negative("-1")]
#[case::a_fraction("12.5")]
#[case::beyond_what_a_float_counts("1e17")]
fn given_no_count_when_decoded_then_pod_and_value_are_named(#[case] value: &str) {
    let trouble = judged(&requests(), &body(&[row("requests", value)])).unwrap_err();
    assert!(matches!(&trouble, Trouble::NotACount { pod, what: "requests", .. } if pod == POD), "{trouble}");
}

#[test]
fn given_large_counts_when_decoded_then_exponents_are_read_exactly() {
    let sample = judged(&requests(), &body(&[row("requests", "1.234567891e+12")])).unwrap().remove(0);
    assert_eq!(sample.requests, Some(1_234_567_891_000));
}

#[rstest]
#[case::two_jobs("targets", "requests")]
#[case::two_jobs_for_failures("failure_targets", "failures")]
#[case::one_target_twice("copies", "requests")]
fn given_a_pod_that_is_scraped_twice_when_decoded_then_it_is_not_judged(#[case] part: &str, #[case] what: &str) {
    let rows: Vec<_> = whole().into_iter().filter(|r| !r.contains(&format!("\"{part}\""))).chain([row(part, "2")]).collect();
    let trouble = judged(&requests(), &body(&rows)).unwrap_err();
    assert_eq!(
        trouble,
        Trouble::ScrapedTwice { pod: POD.into(), what: if what == "failures" { "failures" } else { "requests" }, times: 2 }
    );
}

const NATIVE: &str = r#"{"metric":{"namespace":"shop","part":"requests","pod":"web-6f5c7d8b9-aaaaa"},"histogram":[1795508894.887,{"count":"100","sum":"3","buckets":[[0,"0","0.05","5"]]}]}"#;

#[test]
fn given_native_histograms_when_decoded_then_the_message_says_what_to_turn_on() {
    let as_counter = judged(&requests(), &body(&[NATIVE.to_owned()])).unwrap_err();
    let alone = judged(&latency(), &body(&[row("native", "1"), row("up", "1")])).unwrap_err();
    for trouble in [as_counter, alone] {
        assert!(matches!(trouble, Trouble::NativeHistogram { .. }));
        assert!(trouble.to_string().contains("always_scrape_classic_histograms"), "{trouble}");
    }
}

#[test]
fn given_a_classic_histogram_when_decoded_then_slow_is_what_the_bucket_lacks() {
    let sample = judged(&latency(), &body(&[row("requests", "100"), row("quick", "40"), row("native", "1")])).unwrap().remove(0);
    assert_eq!((sample.requests, sample.failures), (Some(100), Some(60)));
}

#[rstest]
#[case::no_bucket(None, "NoSuchEdge")]
#[case::more_in_the_bucket_than_in_all(Some("101"), "CountersContradict")]
fn given_a_histogram_that_cannot_be_read_when_decoded_then_nothing_is_guessed(#[case] quick: Option<&str>, #[case] reason: &str) {
    let rows: Vec<_> = [row("requests", "100")].into_iter().chain(quick.map(|q| row("quick", q))).collect();
    assert_eq!(judged(&latency(), &body(&rows)).unwrap_err().reason(), reason);
}

#[test]
fn given_other_bounds_when_the_edge_is_missing_then_the_nearest_come_first() {
    let rows = ["0.1", "0.25", "0.5", "+Inf", "1", "2.5", "5"]
        .map(|le| row("", "1").replace("\"part\":\"\"", &format!("\"le\":\"{le}\"")));
    let rows = vector(body(&rows).as_bytes()).unwrap().rows;
    assert_eq!(nearest_edges(&rows, POD, 0.3), ["0.25", "0.1", "0.5", "1", "2.5"]);
    assert_eq!(nearest_edges(&rows, "other", 0.3), Vec::<String>::new());
}

#[rstest]
#[case::warnings(
    r#"{"status":"success","warnings":["remote_read: connection refused"],"data":{"resultType":"vector","result":[]}}"#,
    "remote_read"
)]
#[case::partial(r#"{"status":"success","isPartial":true,"data":{"resultType":"vector","result":[]}}"#, "partial")]
fn given_an_answer_that_is_not_whole_when_decoded_then_it_is_never_judged(#[case] body: &str, #[case] text: &str) {
    let trouble = vector(body.as_bytes()).unwrap_err();
    assert!(matches!(&trouble, Trouble::Warnings { texts } if texts[0].contains(text)), "{trouble}");
}

#[rstest]
#[case::prometheus_3(r#"{"status":"success","infos":["PromQL info: x"],"data":{"resultType":"vector","result":[]}}"#)]
#[case::prometheus_2_50(r#"{"status":"success","warnings":["PromQL info: x"],"data":{"resultType":"vector","result":[]}}"#)]
fn given_infos_when_decoded_then_they_are_kept_apart_from_warnings(#[case] body: &str) {
    assert_eq!(vector(body.as_bytes()).unwrap().infos, ["PromQL info: x"]);
}

#[rstest]
#[case::a_web_page("<html><body>Sign in</body></html>")]
#[case::cut_short(r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"pod":"a"},"value":[1,"2"]"#)]
#[case::empty("")]
#[case::no_data(r#"{"status":"success"}"#)]
#[case::another_type(r#"{"status":"success","data":{"resultType":"scalar","result":[]}}"#)]
#[case::an_error(r#"{"status":"error","errorType":"internal","error":"x"}"#)]
#[case::no_value(r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{}}]}}"#)]
#[case::no_number(r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"two"]}]}}"#)]
fn given_no_answer_of_a_query_api_when_decoded_then_the_url_is_doubted(#[case] body: &str) {
    let trouble = vector(body.as_bytes()).unwrap_err();
    assert!(matches!(trouble, Trouble::Undecodable { .. }) && trouble.to_string().contains("check that the URL"), "{trouble}");
}

#[rstest]
#[case::twice(body(&[row("requests", "1"), row("requests", "2")]))]
#[case::not_asked_for(body(&[row("surprise", "1")]))]
fn given_rows_that_no_query_asks_for_when_sorted_then_the_answer_is_refused(#[case] body: String) {
    assert!(matches!(judged(&requests(), &body), Err(Trouble::Undecodable { .. })));
}

#[test]
fn given_a_refusal_when_read_then_only_prometheus_own_words_are_taken() {
    let own = br#"{"status":"error","errorType":"bad_data","error":"parse error"}"#;
    assert_eq!(error_of(own).as_deref(), Some("bad_data: parse error"));
    assert_eq!(error_of(b"secret page"), None);
    assert_eq!(error_of(br#"{"status":"ok","error":"secret"}"#), None);
}

#[test]
fn given_a_long_error_when_read_then_it_is_cut() {
    let long = format!(r#"{{"status":"error","errorType":"x","error":"{}"}}"#, "é".repeat(5000));
    assert_eq!(error_of(long.as_bytes()).unwrap().chars().count(), 300);
}

#[test]
fn given_a_matrix_when_decoded_then_instants_are_whole_milliseconds() {
    let body = r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"pod":"a","part":"requests"},"values":[[1795508894.887,"1"],[1795508895.887,"NaN"]]},{"metric":{"pod":"b"},"histograms":[[1,{}]]}]}}"#;
    let rows = matrix(body.as_bytes()).unwrap().rows;
    assert_eq!(rows[0].points[0], (1_795_508_894_887, 1.0));
    assert!(rows[0].points[1].1.is_nan() && !rows[0].histograms && rows[1].histograms);
}

#[rstest]
#[case::scalar(r#"{"resultType":"scalar","result":[1795508894.887,"0.25"]}"#, 1, 0.25, 0.25)]
#[case::vector(
    r#"{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[1,"2"]},{"metric":{},"value":[1,"+Inf"]}]}"#,
    2,
    2.0,
    f64::INFINITY
)]
#[case::none(r#"{"resultType":"vector","result":[]}"#, 0, f64::INFINITY, f64::NEG_INFINITY)]
fn given_the_answer_to_any_query_when_decoded_then_its_smallest_and_largest_number_are_there(
    #[case] data: &str,
    #[case] series: usize,
    #[case] least: f64,
    #[case] most: f64,
) {
    let body = format!(r#"{{"status":"success","data":{data}}}"#);
    assert_eq!(values(body.as_bytes()).unwrap(), Values { series, least, most });
}

#[test]
fn given_one_number_that_is_none_when_decoded_then_all_are_none() {
    let rows = r#"[{"metric":{"a":"b"},"value":[1,"2"]},{"metric":{},"value":[1,"NaN"]}]"#;
    let body = format!(r#"{{"status":"success","data":{{"resultType":"vector","result":{rows}}}}}"#);
    let found = values(body.as_bytes()).unwrap();
    assert!(found.least.is_nan() && found.most.is_nan());
}

#[rstest]
#[case::matrix(r#"{"resultType":"matrix","result":[]}"#, "a matrix instead of a vector")]
#[case::histogram(r#"{"resultType":"vector","result":[{"metric":{},"histogram":[1,{}]}]}"#, "histogram_quantile")]
fn given_what_is_no_number_when_decoded_then_it_is_said(#[case] data: &str, #[case] said: &str) {
    let body = format!(r#"{{"status":"success","data":{data}}}"#);
    assert!(values(body.as_bytes()).unwrap_err().to_string().contains(said));
}
