//! Presets against the pages of the servers and proxies that they stand for (`src/api/tests/exporters`).

use firebreak_api::presets::Preset;
use serde_json::json;

use crate::{
    convert,
    metrics::{
        PodSample, Trouble,
        pods::counted::{Counted, Owner, count_all},
        shape::Selectors,
    },
};

fn page(name: &str) -> String {
    let path = format!("{}/../api/tests/exporters/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

/// What a preset finds on a page: of a signal of failures, or of one of requests that took longer.
fn found(preset: Preset, name: &str, slower_than: Option<&str>) -> Result<PodSample, Trouble> {
    let mut signal = json!({"name": "a", "preset": serde_json::to_value(preset).unwrap()});
    if let Some(edge) = slower_than {
        signal["slowerThan"] = json!(edge);
    }
    counted(signal, name)
}

/// What a signal, as it is written in a Guard, finds on a page.
fn counted(signal: serde_json::Value, name: &str) -> Result<PodSample, Trouble> {
    counted_in(signal, name, &page(name))
}

fn counted_in(signal: serde_json::Value, name: &str, page: &str) -> Result<PodSample, Trouble> {
    let shape = convert::shape(&serde_json::from_value(signal).unwrap()).unwrap();
    let counted = Counted::of(&Selectors::parse(&shape)?)?;
    let owner = Owner { namespace: "shop", pod: "shop-a-22222" };
    count_all(page, name.contains("openmetrics"), &[counted], owner, 0).unwrap().signals.remove(0).map(|found| found.sample)
}

/// Every page is of the same requests: 22 answered 200, two of them slow, 2 answered 404, 3 answered 503.
#[rstest::rstest]
#[case(Preset::HTTP, "client-golang.txt", "250ms")]
#[case(Preset::HTTP, "client-golang.openmetrics.txt", "250ms")]
#[case(Preset::HTTPStatus, "fastapi.txt", "500ms")]
#[case(Preset::Istio, "istio.txt", "250ms")]
#[case(Preset::Linkerd, "linkerd.txt", "300ms")]
#[case(Preset::Envoy, "envoy.txt", "250ms")]
#[case(Preset::EnvoyGateway, "envoy-gateway.txt", "250ms")]
#[case(Preset::Contour, "contour.txt", "250ms")]
#[case(Preset::Traefik, "traefik.txt", "300ms")]
#[case(Preset::Caddy, "caddy.txt", "250ms")]
fn given_a_page_when_a_preset_reads_it_then_users_requests_and_no_others(
    #[case] preset: Preset,
    #[case] name: &str,
    #[case] edge: &str,
) {
    let failing = found(preset, name, None).unwrap();
    assert_eq!((failing.requests, failing.failures, failing.failures_exist), (Some(27), Some(3), true));
    let slow = found(preset, name, Some(edge)).unwrap();
    // FastAPI's buckets end at 0.1, 0.5 and 1.
    let expected = if edge == "500ms" { 0 } else { 2 };
    assert_eq!((slow.requests, slow.failures), (Some(27), Some(expected)));
}

/// What went well carries the label, too, so that nothing failed is told from nothing could be seen to fail.
#[rstest::rstest]
#[case(Preset::HTTP, "client-golang.txt")]
#[case(Preset::HTTP, "client-golang.openmetrics.txt")]
#[case(Preset::HTTPStatus, "fastapi.txt")]
#[case(Preset::Istio, "istio.txt")]
#[case(Preset::Linkerd, "linkerd.txt")]
#[case(Preset::Envoy, "envoy.txt")]
#[case(Preset::EnvoyGateway, "envoy-gateway.txt")]
#[case(Preset::Contour, "contour.txt")]
#[case(Preset::Traefik, "traefik.txt")]
#[case(Preset::Caddy, "caddy.txt")]
fn given_a_page_without_failures_when_a_preset_reads_it_then_one_could_show(#[case] preset: Preset, #[case] name: &str) {
    let failed = ["503", "5xx", "class=\"5\"", "\"failure\""];
    let well: Vec<String> = page(name)
        .lines()
        .filter(|line| line.starts_with('#') || !failed.iter().any(|word| line.contains(word)))
        .map(str::to_owned)
        .collect();
    let read = |preset: Preset| {
        let signal = json!({"name": "a", "preset": serde_json::to_value(preset).unwrap()});
        counted_in(signal, name, &format!("{}\n", well.join("\n"))).unwrap()
    };
    let sample = read(preset);
    assert_eq!((sample.failures, sample.failures_exist, sample.siblings), (Some(0), false, true));
    let other = match preset {
        Preset::HTTP => Preset::HTTPStatus,
        Preset::HTTPStatus => Preset::HTTP,
        _ => return,
    };
    let sample = read(other);
    assert!(sample.requests.is_some() && !sample.siblings && !sample.failures_exist, "the label of the other preset");
}

#[rstest::rstest]
#[case(Preset::Envoy, "envoy.txt", "300ms", &["250", "100"])]
#[case(Preset::Traefik, "traefik.txt", "250ms", &["0.3", "0.1"])]
fn given_a_bound_that_is_none_when_read_then_those_it_has(
    #[case] preset: Preset,
    #[case] name: &str,
    #[case] edge: &str,
    #[case] nearest_two: &[&str],
) {
    let Err(Trouble::NoSuchEdge { nearest, .. }) = found(preset, name, Some(edge)) else { panic!("it is none of its bounds") };
    assert_eq!(nearest[..2], *nearest_two);
}

#[test]
fn given_the_page_of_another_when_read_then_nothing_is_found_instead_of_something_wrong() {
    for (preset, name) in [(Preset::HTTP, "envoy.txt"), (Preset::Istio, "envoy.txt"), (Preset::Linkerd, "caddy.txt")] {
        assert_eq!(found(preset, name, None).unwrap().requests, None, "{preset:?}");
    }
}

#[test]
fn given_a_gateways_page_when_its_own_listeners_are_counted_too_then_the_preset_leaves_them_out() {
    let own = |name: &str, prefix: &str| {
        page(name)
            .lines()
            .any(|line| line.starts_with("envoy_http_downstream_rq_xx") && line.contains(prefix) && !line.ends_with(" 0"))
    };
    assert!(
        own("envoy-gateway.txt", "eg-stats-http") && own("contour.txt", "\"stats\"") && own("envoy-gateway.txt", "\"admin\"")
    );
}

#[test]
fn given_caddys_page_when_probes_and_readings_are_counted_too_then_the_preset_leaves_them_out() {
    let all = json!({
        "name": "a",
        "requests": "caddy_http_request_duration_seconds_count",
        "failures": "caddy_http_request_duration_seconds_count{code=~\"5..\"}",
    });
    assert_eq!(counted(all, "caddy.txt").unwrap().requests, Some(27 + 4 + 2));
}

#[test]
fn given_responses_that_caddy_broke_off_when_read_then_only_those_that_began_tell_of_them() {
    let ended = json!({
        "name": "a",
        "requests": "caddy_http_response_duration_seconds_count{handler=\"subroute\",code=\"200\"}",
        "successes": "caddy_http_request_duration_seconds_count{handler=\"subroute\",code=\"200\"}",
    });
    let sample = counted(ended, "caddy.txt").unwrap();
    // Of successes, failures count what succeeded.
    assert_eq!((sample.requests, sample.failures), (Some(25), Some(22)));
}
