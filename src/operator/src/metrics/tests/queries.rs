//! The text of the queries, and whose pod is whose.

use rstest::rstest;

use super::{latency, read, requests, target};
use crate::metrics::promql;

#[test]
fn given_counters_when_looked_at_then_the_query_reads_every_part_of_every_pod() {
    let targets = [target(&["web-6f5c7d8b9", "web-5c9d8f7b6"]), target(&["cart.v2-77"])];
    let query = promql::look(&read(&requests()), &targets).replace(" or ", "\nor ");
    insta::assert_snapshot!(query, @r#"
    label_replace(sum by (namespace,pod) (http_requests_total{namespace=~"shop",pod=~"(?:cart\\.v2-77-|web-5c9d8f7b6-|web-6f5c7d8b9-)[a-z0-9]{5}"}),"part","requests","","")
    or label_replace(sum by (namespace,pod) (http_requests_total{code=~"5..",namespace=~"shop",pod=~"(?:cart\\.v2-77-|web-5c9d8f7b6-|web-6f5c7d8b9-)[a-z0-9]{5}"}),"part","failures","","")
    or label_replace(max by (namespace,pod) (timestamp(http_requests_total{namespace=~"shop",pod=~"(?:cart\\.v2-77-|web-5c9d8f7b6-|web-6f5c7d8b9-)[a-z0-9]{5}"})),"part","read_at","","")
    or label_replace(max by (namespace,pod) (timestamp(http_requests_total{code=~"5..",namespace=~"shop",pod=~"(?:cart\\.v2-77-|web-5c9d8f7b6-|web-6f5c7d8b9-)[a-z0-9]{5}"})),"part","failures_read_at","","")
    or label_replace(count by (namespace,pod) (group by (namespace,pod,job,instance) (http_requests_total{namespace=~"shop",pod=~"(?:cart\\.v2-77-|web-5c9d8f7b6-|web-6f5c7d8b9-)[a-z0-9]{5}"})),"part","targets","","")
    or label_replace(count by (namespace,pod) (group by (namespace,pod,job,instance) (http_requests_total{code=~"5..",namespace=~"shop",pod=~"(?:cart\\.v2-77-|web-5c9d8f7b6-|web-6f5c7d8b9-)[a-z0-9]{5}"})),"part","failure_targets","","")
    or label_replace(max by (namespace,pod) (count by (namespace,pod,job,instance) (up{namespace=~"shop",pod=~"(?:cart\\.v2-77-|web-5c9d8f7b6-|web-6f5c7d8b9-)[a-z0-9]{5}"}) and on (namespace,pod,job,instance) http_requests_total{namespace=~"shop",pod=~"(?:cart\\.v2-77-|web-5c9d8f7b6-|web-6f5c7d8b9-)[a-z0-9]{5}"}),"part","copies","","")
    or label_replace(max by (namespace,pod) (up{namespace=~"shop",pod=~"(?:cart\\.v2-77-|web-5c9d8f7b6-|web-6f5c7d8b9-)[a-z0-9]{5}"}),"part","up","","")
    or label_replace(count by (namespace,pod) (http_requests_total{code!="",namespace=~"shop",pod=~"(?:cart\\.v2-77-|web-5c9d8f7b6-|web-6f5c7d8b9-)[a-z0-9]{5}"} unless http_requests_total{code=~"5..",namespace=~"shop",pod=~"(?:cart\\.v2-77-|web-5c9d8f7b6-|web-6f5c7d8b9-)[a-z0-9]{5}"}),"part","siblings","","")
    "#);
}

#[test]
fn given_a_histogram_when_its_past_or_its_edges_are_asked_then_count_and_bucket_are_read() {
    let (latency, target) = (read(&latency()), target(&["web-6f5c7d8b9"]));
    insta::assert_snapshot!(promql::history(&latency, &target).replace(" or ", "\nor "), @r#"
    label_replace(sum by (namespace,pod) (latency_seconds_count{namespace=~"shop",pod=~"(?:web-6f5c7d8b9-)[a-z0-9]{5}"}),"part","requests","","")
    or label_replace(sum by (namespace,pod) (latency_seconds_bucket{le=~"0*\\.30*",namespace=~"shop",pod=~"(?:web-6f5c7d8b9-)[a-z0-9]{5}"}),"part","quick","","")
    "#);
    insta::assert_snapshot!(promql::edges(&latency, &target).unwrap(), @r#"group by (namespace,pod,le) (latency_seconds_bucket{namespace=~"shop",pod=~"(?:web-6f5c7d8b9-)[a-z0-9]{5}"})"#);
    assert!(promql::look(&latency, [&target]).contains(r#"latency_seconds{namespace=~"shop""#));
    assert_eq!(promql::edges(&read(&requests()), &target), None);
}

#[rstest]
#[case(300, r#"le=~"0*\\.30*""#)]
#[case(5, r#"le=~"0*\\.0050*""#)]
#[case(1000, r#"le=~"0*1(?:\\.0*)?""#)]
#[case(10_000, r#"le=~"0*10(?:\\.0*)?""#)]
#[case(2500, r#"le=~"0*2\\.50*""#)]
fn given_an_edge_when_asked_then_every_way_to_write_it_matches(#[case] edge_ms: u64, #[case] matcher: &str) {
    let shape = crate::metrics::SignalShape::Histogram { histogram: "h".into(), edge_ms };
    let query = promql::history(&read(&shape), &target(&["web-1"]));
    assert!(query.contains(matcher), "{query}");
}

#[rstest]
#[case::its_pod("shop", "web-6f5c7d8b9-x7k2p", true)]
#[case::other_namespace("bank", "web-6f5c7d8b9-x7k2p", false)]
#[case::other_replica_set("shop", "web-77-x7k2p", false)]
#[case::longer_name("shop", "web-6f5c7d8b9-x7k2p-abcde", false)]
#[case::too_few_random_characters("shop", "web-6f5c7d8b9-x7k2", false)]
#[case::capital("shop", "web-6f5c7d8b9-X7k2p", false)]
fn given_a_pod_when_its_target_is_looked_for_then_namespace_and_generated_name_decide(
    #[case] namespace: &str,
    #[case] pod: &str,
    #[case] its: bool,
) {
    assert_eq!(target(&["web-6f5c7d8b9", "web-5c9d8f7b6"]).owns(namespace, pod), its);
}

#[rstest]
#[case(56, 57)]
#[case(57, 58)]
#[case(58, 58)]
#[case(63, 58)]
fn given_a_long_replica_set_name_when_its_pods_are_named_then_58_characters_stay(#[case] length: usize, #[case] kept: usize) {
    let (set, target) = ("w".repeat(length), target(&[&"w".repeat(length)]));
    let prefix: String = format!("{set}-").chars().take(58).collect();
    assert_eq!(prefix.len(), kept);
    assert!(target.owns("shop", &format!("{prefix}x7k2p")));
    assert!(promql::look(&read(&requests()), [&target]).contains(&format!("(?:{prefix})[a-z0-9]{{5}}")));
}
