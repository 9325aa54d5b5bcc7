//! Presets: what to count where a well-known server or proxy does the counting.
//!
//! `{name: errors, preset: HTTP}` stands for a signal of failures, with `slowerThan` for one of slow requests; [`Signal::expanded`]
//! writes out the selectors, and a Change records them so. Every preset counts **in the pods of the workload**: by the server's own
//! page, or by a proxy in the same pod. Those of gateways fit where the gateway itself is the guarded workload: what a gateway counts of
//! a backend carries the gateway's pod, not the backend's, and so tells no arms apart.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::guard::{Signal, Unit};

/// Who counts, and under which names.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// The server itself, by the names that most client libraries use, with the status in the label `code`.
    HTTP,
    /// The same with the status in the label `status`.
    HTTPStatus,
    /// The Istio sidecar in the pod (port 15090, path `/stats/prometheus`), requests that reach the pod. Not the ambient mode: its
    /// waypoints are pods of their own.
    Istio,
    /// The Linkerd proxy in the pod (port 4191, path `/metrics`), requests that reach the pod, without probes and its own page.
    /// Latency is up to the response's first byte.
    Linkerd,
    /// An Envoy in the pod, or as the workload (path `/stats/prometheus`): what its listeners answered, without its own pages.
    Envoy,
    /// Envoy Gateway's proxies as the workload (port 19001, path `/stats/prometheus`).
    EnvoyGateway,
    /// Contour's Envoy as the workload (port 8002, path `/stats/prometheus`).
    Contour,
    /// Traefik as the workload: what its entry points answered, but `traefik` and `metrics`.
    Traefik,
    /// Caddy as the workload, or as the server in the pod, with the global option `metrics`: sites with a host name, whose first
    /// handler is `subroute`. The first handler of a site for all hosts is another, and more than one may count a request: write
    /// selectors there. Bounds of durations: 5, 10, 25, 50, 100, 250, 500 ms, 1, 2.5, 5 and 10 s, which no option changes.
    ///
    /// A failure counts by the status with which it arose: an upstream that is not there is 502, a raised `error` its own, whatever
    /// `handle_errors` answers instead; a client that gave up is 499, no failure. Counted nowhere: requests for hosts without a
    /// site, which are answered 200 with nothing in it; those that `abort` drops; and a response that breaks off midway, since its
    /// upstream did. The last show as responses that began and never ended: `successes` among `requests`, where these are
    /// `caddy_http_request_duration_seconds_count` and `caddy_http_response_duration_seconds_count`, both with
    /// `{handler="subroute",code="200"}`.
    ///
    /// The page is best served by a site of its own (`http://:9090` with `metrics /metrics`): within `handle` its readings would
    /// count as requests of users; and on the admin endpoint, opened to other pods, they could change the configuration.
    Caddy,
}

/// What a preset counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Selector of the counter of requests.
    pub requests: &'static str,
    /// Selector of the counter of failed requests.
    pub failures: &'static str,
    /// Selector of the histogram of durations.
    pub histogram: &'static str,
    /// In which its bounds are written.
    pub unit: Unit,
}

impl Preset {
    /// Every preset.
    pub const ALL: [Self; 9] = [
        Self::HTTP,
        Self::HTTPStatus,
        Self::Istio,
        Self::Linkerd,
        Self::Envoy,
        Self::EnvoyGateway,
        Self::Contour,
        Self::Traefik,
        Self::Caddy,
    ];

    /// What it counts. Names and labels: each project's own documentation, and pages that were recorded from it
    /// (`tests/exporters`).
    #[must_use]
    pub const fn counters(self) -> Counters {
        const DURATION: &str = "http_request_duration_seconds";
        match self {
            Self::HTTP => Counters {
                requests: "http_requests_total",
                failures: "http_requests_total{code=~\"5..\"}",
                histogram: DURATION,
                unit: Unit::Seconds,
            },
            Self::HTTPStatus => Counters {
                requests: "http_requests_total",
                failures: "http_requests_total{status=~\"5..\"}",
                histogram: DURATION,
                unit: Unit::Seconds,
            },
            // A request that its client gave up has the code 0: no failure of the pod's.
            Self::Istio => Counters {
                requests: "istio_requests_total{reporter=\"destination\"}",
                failures: "istio_requests_total{reporter=\"destination\",response_code=~\"5..\"}",
                histogram: "istio_request_duration_milliseconds{reporter=\"destination\"}",
                unit: Unit::Milliseconds,
            },
            // The proxy counts who reads its own page, and the kubelet's probes, as inbound requests too. Older ones have target_addr
            // alone.
            Self::Linkerd => Counters {
                requests: "response_total{direction=\"inbound\",target_port!=\"4191\",target_addr!~\".*:4191\",route_name!=\"probe\"}",
                failures: "response_total{direction=\"inbound\",target_port!=\"4191\",target_addr!~\".*:4191\",route_name!=\"probe\",classification=\"failure\"}",
                histogram: "response_latency_ms{direction=\"inbound\",target_port!=\"4191\",target_addr!~\".*:4191\",route_name!=\"probe\"}",
                unit: Unit::Milliseconds,
            },
            // Responses by class, not downstream_rq_total: a request counts there when it begins, and its failure when it ends.
            Self::Envoy => Counters {
                requests: "envoy_http_downstream_rq_xx{envoy_response_code_class!=\"1\",envoy_http_conn_manager_prefix!=\"admin\"}",
                failures: "envoy_http_downstream_rq_xx{envoy_response_code_class=\"5\",envoy_http_conn_manager_prefix!=\"admin\"}",
                histogram: "envoy_http_downstream_rq_time{envoy_http_conn_manager_prefix!=\"admin\"}",
                unit: Unit::Milliseconds,
            },
            // Its listeners are called http-PORT and https-PORT; eg-ready-http and eg-stats-http are its own.
            Self::EnvoyGateway => Counters {
                requests: "envoy_http_downstream_rq_xx{envoy_response_code_class!=\"1\",envoy_http_conn_manager_prefix=~\"https?-[0-9]+\"}",
                failures: "envoy_http_downstream_rq_xx{envoy_response_code_class=\"5\",envoy_http_conn_manager_prefix=~\"https?-[0-9]+\"}",
                histogram: "envoy_http_downstream_rq_time{envoy_http_conn_manager_prefix=~\"https?-[0-9]+\"}",
                unit: Unit::Milliseconds,
            },
            // Its own listeners: the admin page, the page that is scraped, and the one that is probed.
            Self::Contour => Counters {
                requests: "envoy_http_downstream_rq_xx{envoy_response_code_class!=\"1\",envoy_http_conn_manager_prefix!~\"(envoy-)?admin|stats|health\"}",
                failures: "envoy_http_downstream_rq_xx{envoy_response_code_class=\"5\",envoy_http_conn_manager_prefix!~\"(envoy-)?admin|stats|health\"}",
                histogram: "envoy_http_downstream_rq_time{envoy_http_conn_manager_prefix!~\"(envoy-)?admin|stats|health\"}",
                unit: Unit::Milliseconds,
            },
            Self::Traefik => Counters {
                requests: "traefik_entrypoint_requests_total{entrypoint!~\"traefik|metrics\"}",
                failures: "traefik_entrypoint_requests_total{entrypoint!~\"traefik|metrics\",code=~\"5..\"}",
                histogram: "traefik_entrypoint_request_duration_seconds{entrypoint!~\"traefik|metrics\"}",
                unit: Unit::Seconds,
            },
            // caddy_http_requests_total says nothing of the status; the histogram of durations counts by it.
            Self::Caddy => Counters {
                requests: "caddy_http_request_duration_seconds_count{handler=\"subroute\"}",
                failures: "caddy_http_request_duration_seconds_count{handler=\"subroute\",code=~\"5..\"}",
                histogram: "caddy_http_request_duration_seconds{handler=\"subroute\"}",
                unit: Unit::Seconds,
            },
        }
    }
}

impl Signal {
    /// The same signal with the selectors that its preset stands for, of slow requests where it says `slowerThan`, else of failed
    /// ones; as it is where it names none.
    #[must_use]
    pub fn expanded(&self) -> Self {
        let Some(preset) = self.preset else { return self.clone() };
        let counters = preset.counters();
        let slow = self.slower_than.is_some();
        let of = |selector: &str, wanted: bool| wanted.then(|| selector.to_owned());
        Self {
            opens_stages: self.opens_stages,
            more_edges: self.more_edges,
            name: self.name.clone(),
            weight: self.weight,
            preset: None,
            requests: of(counters.requests, !slow),
            successes: None,
            failures: of(counters.failures, !slow),
            histogram: of(counters.histogram, slow),
            unit: slow.then_some(counters.unit).filter(|unit| *unit != Unit::Seconds),
            slower_than: self.slower_than,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Span;

    fn signal(json: &serde_json::Value) -> Signal {
        serde_json::from_value(json.clone()).unwrap()
    }

    #[test]
    fn given_a_preset_when_expanded_then_it_is_a_signal_of_failures_or_of_slow_requests() {
        let errors = signal(&serde_json::json!({"name": "errors", "preset": "Istio", "weight": 2.0})).expanded();
        assert_eq!((errors.name.as_str(), errors.weight, errors.preset), ("errors", Some(2.0), None));
        assert!(errors.failures.unwrap().contains("response_code=~\"5..\"") && errors.histogram.is_none());
        let slow = signal(&serde_json::json!({"name": "slow", "preset": "Istio", "slowerThan": "250ms"})).expanded();
        assert_eq!(slow.histogram.as_deref(), Some("istio_request_duration_milliseconds{reporter=\"destination\"}"));
        assert_eq!(
            (slow.unit, slow.slower_than, slow.requests),
            (Some(Unit::Milliseconds), Some("250ms".parse::<Span>().unwrap()), None)
        );
    }

    #[test]
    fn given_every_preset_when_expanded_then_nothing_is_left_to_expand_and_failures_are_some_of_the_requests() {
        for preset in Preset::ALL {
            let counters = preset.counters();
            let name = |selector: &str| selector.split('{').next().map(str::to_owned);
            assert_eq!(name(counters.requests), name(counters.failures), "{preset:?}");
            let by_name = serde_json::json!({"name": "a", "preset": serde_json::to_value(preset).unwrap()});
            let once = signal(&by_name).expanded();
            assert_eq!(once, once.expanded(), "{preset:?}");
            let length = [counters.requests, counters.failures, counters.histogram].map(str::len).into_iter().max();
            assert!(length <= Some(1024), "{preset:?} is longer than the definition allows");
        }
    }

    #[test]
    fn given_a_signal_without_a_preset_when_expanded_then_it_is_as_it_is() {
        let plain = signal(&serde_json::json!({"name": "errors", "requests": "r", "failures": "f"}));
        assert_eq!(plain.expanded(), plain);
    }
}
