//! Whether failures could be seen: a selector that fits nothing counts none, however many there are.
//!
//! Labelled counters appear with their first failure, so a selector that fits no series is no mistake by itself. But most counters that
//! tell failures by a label carry it on the series of what went well, too, and where none has it there is nothing among which a
//! failure could show. Some labels are those of failures alone (OpenTelemetry's `error.type`): whoever asks for one by its value is
//! told so where nothing ever failed.

use std::sync::atomic::{AtomicBool, Ordering};

use firebreak_engine::observation::Arm;

use crate::metrics::{Among, PodSample, SignalShape};

/// Where the failures of a signal are to be found.
pub(super) struct Failures {
    among: Among,
    /// Whether a counter of its own name was seen: it is there, wherever it is now.
    seen: AtomicBool,
}

impl Failures {
    /// Of a signal that counts requests and failures; a histogram without its edge is found missing anyway.
    ///
    /// A counter of its own name was `seen` before anyone was exposed.
    pub(super) fn of(shape: &SignalShape, seen: bool) -> Option<Self> {
        shape.failures_are_among().map(|among| Self { among, seen: AtomicBool::new(seen) })
    }

    /// What is missing and what to do, where pods have requests and no series on which a failure could show. A label of the counter of
    /// requests is asked of stable, and of the candidate where stable has it on what went well, too: a version may count by
    /// other labels than the one before. A counter of another name, which may come with its first failure, is there once one pod had it.
    pub(super) fn missing(&self, samples: &[PodSample], arm: impl Fn(&str) -> Option<Arm>) -> Option<String> {
        let Among { selector, of_requests } = &self.among;
        let with_requests = samples.iter().filter(|sample| sample.requests.is_some());
        let of_arms: Vec<(Arm, &PodSample)> = with_requests.filter_map(|sample| Some((arm(&sample.pod)?, sample))).collect();
        let of = |arm: Arm| of_arms.iter().filter(move |(of, _)| *of == arm).map(|(_, sample)| *sample);
        let blind = |arm: Arm| of(arm).next().filter(|_| !of(arm).any(shows));
        let (pod, mend) = if *of_requests {
            let told = of(Arm::Stable).any(|pod| pod.siblings);
            let pod = blind(Arm::Stable).or_else(|| blind(Arm::Candidate).filter(|_| told))?;
            let mend = if told {
                "this version counts by other labels than the one before: let it have both, or ship it past Firebreak (bypass)"
            } else {
                "correct the labels in failures, or the preset, so that it selects among the series that requests selects; a label that \
                 failures alone have is asked for as such (error_type!=\"\")"
            };
            (pod, mend)
        } else {
            if self.seen.load(Ordering::Relaxed) {
                return None;
            }
            let mut all = of_arms.iter().map(|(_, sample)| *sample);
            if all.clone().any(shows) {
                self.seen.store(true, Ordering::Relaxed);
                return None;
            }
            let mend = "correct the counter's name or its labels in failures; if nothing ever failed and the counter comes with its first \
                        failure, have it begin at zero, or tell failures by a label of the counter of requests";
            (all.next()?, mend)
        };
        Some(format!(
            "pod {} counts requests, but has no series {selector} among which a failure could show: that none is seen does not mean that \
             there is none; {mend}",
            pod.pod
        ))
    }
}

/// Whether a failure shows on a pod, or could.
const fn shows(pod: &PodSample) -> bool {
    pod.siblings || pod.failures_exist
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// What a pod with requests has.
    #[derive(Clone, Copy)]
    enum Has {
        Nothing,
        Failures,
        Siblings,
        NoRequests,
    }
    use Has::{Failures as F, NoRequests as N, Nothing as O, Siblings as S};

    fn samples(arm: &str, pods: &[Has]) -> Vec<PodSample> {
        let one = |(at, has): (usize, &Has)| PodSample {
            failures_exist: matches!(has, F),
            siblings: matches!(has, S),
            ..crate::fake::sample(&format!("{arm}{at}"), (!matches!(has, N)).then_some(10))
        };
        pods.iter().enumerate().map(one).collect()
    }

    fn arm(pod: &str) -> Option<Arm> {
        Some(if pod.starts_with('s') { Arm::Stable } else { Arm::Candidate })
    }

    fn failures(selector: &str) -> Failures {
        Failures::of(&SignalShape::Requests { requests: "x_total".to_owned(), failures: selector.to_owned() }, false).unwrap()
    }

    #[rstest::rstest]
    #[case::a_label_that_no_series_has("x_total{status=~\"5..\"}", &[O, O], &[], Some("correct the labels"))]
    #[case::all_have_it("x_total{code=~\"5..\"}", &[S], &[S], None)]
    #[case::the_candidate_counts_by_another("x_total{code=~\"5..\"}", &[S, F], &[O], Some("counts by other labels"))]
    #[case::the_candidate_has_no_requests_yet("x_total{code=~\"5..\"}", &[S], &[N], None)]
    #[case::a_label_of_failures_alone("x_total{error=\"500\"}", &[F, O], &[O], None)]
    #[case::another_counter_that_nobody_has("x_errors_total", &[O], &[O], Some("begin at zero"))]
    #[case::another_counter_that_comes_with_a_failure("x_errors_total", &[F, O], &[O], None)]
    #[case::nobody_has_requests("x_errors_total", &[N], &[], None)]
    fn given_pods_with_requests_when_no_failure_could_show_then_it_is_missing(
        #[case] selector: &str,
        #[case] stable: &[Has],
        #[case] candidate: &[Has],
        #[case] missing: Option<&str>,
    ) {
        let found = failures(selector).missing(&[samples("s", stable), samples("c", candidate)].concat(), arm);
        assert_eq!(found.is_some(), missing.is_some(), "{found:?}");
        assert!(found.unwrap_or_default().contains(missing.unwrap_or_default()));
    }

    #[test]
    fn given_a_counter_of_its_own_when_the_pod_that_had_it_goes_then_it_is_not_missed() {
        let failures = failures("x_errors_total");
        assert!(failures.missing(&samples("s", &[O, O]), arm).is_some());
        assert!(failures.missing(&samples("s", &[F, O]), arm).is_none());
        assert!(failures.missing(&samples("s", &[O, O]), arm).is_none());
    }
}
