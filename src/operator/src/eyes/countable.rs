//! Whether failures could be seen: a selector that fits nothing counts none, however many there are.
//!
//! Labelled counters appear with their first failure, so a selector that fits no series is no mistake by itself. But counters that tell
//! failures by a label carry that label on all their series, and where no series has it there is nothing among which a failure
//! could show.

use firebreak_engine::observation::Arm;

use crate::metrics::{Among, PodSample, SignalShape};

/// Where the failures of a signal are to be found.
pub(super) struct Failures(Among);

impl Failures {
    /// Of a signal that counts requests and failures; a histogram without its edge is found missing anyway.
    pub(super) fn of(shape: &SignalShape) -> Option<Self> {
        shape.failures_are_among().map(Self)
    }

    /// What is missing and what to do, where pods have requests and no series on which a failure could show. Series of the counter of requests
    /// itself are asked of each arm by itself, since a version may count by other labels than the one before; a counter of
    /// another name, which may come with its first failure, is there where one pod has it.
    pub(super) fn missing(&self, samples: &[PodSample], arm: impl Fn(&str) -> Option<Arm>) -> Option<String> {
        let Self(Among { selector, of_requests }) = self;
        let with_requests: Vec<(Arm, &PodSample)> = samples
            .iter()
            .filter(|sample| sample.requests.is_some())
            .filter_map(|sample| Some((arm(&sample.pod)?, sample)))
            .collect();
        let blind = |of: Arm| {
            let mut pods = with_requests.iter().filter(|(arm, _)| *arm == of).map(|(_, sample)| sample);
            let first = pods.next()?;
            (!first.countable && pods.all(|pod| !pod.countable)).then_some(first.pod.as_str())
        };
        let (stable, candidate) = (blind(Arm::Stable), blind(Arm::Candidate));
        let pod = if *of_requests {
            stable.or(candidate)?
        } else {
            let nowhere = with_requests.iter().all(|(_, sample)| !sample.countable);
            stable.or(candidate).filter(|_| nowhere)?
        };
        let mend = if *of_requests {
            "correct the labels in failures (or the preset), so that it selects among the series that requests selects"
        } else {
            "correct the counter's name or its labels in failures; if nothing ever failed and the counter comes with its first failure, \
             have it begin at zero, or tell failures by a label of the counter of requests"
        };
        Some(format!(
            "pod {pod} counts requests, but has no series {selector} among which a failure could show: that none is seen does not mean that \
             there is none; {mend}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(pod: &str, requests: Option<u64>, countable: bool) -> PodSample {
        PodSample {
            namespace: "shop".to_owned(),
            pod: pod.to_owned(),
            requests,
            failures: requests.map(|_| 0),
            failures_exist: false,
            countable,
            scraped_at_ms: None,
            up: Some(true),
        }
    }

    /// Pods of stable and candidate: whether each has series on which failures could show; `None` where it has no requests yet.
    #[rstest::rstest]
    #[case::a_label_that_no_series_has("x_total{status=~\"5..\"}", &[Some(false), Some(false)], &[], true)]
    #[case::all_have_it("x_total{code=~\"5..\"}", &[Some(true)], &[Some(true)], false)]
    #[case::the_candidate_counts_by_another("x_total{code=~\"5..\"}", &[Some(true)], &[Some(false)], true)]
    #[case::the_candidate_has_no_requests_yet("x_total{code=~\"5..\"}", &[Some(true)], &[None], false)]
    #[case::another_counter_that_nobody_has("x_errors_total", &[Some(false)], &[Some(false)], true)]
    #[case::another_counter_that_comes_with_a_failure("x_errors_total", &[Some(true), Some(false)], &[Some(false)], false)]
    #[case::of_failures_alone("x_total{error!=\"\"}", &[Some(true)], &[Some(true)], false)]
    #[case::nobody_has_requests("x_errors_total", &[None], &[], false)]
    fn given_pods_with_requests_when_no_failure_could_show_then_it_is_missing(
        #[case] failures: &str,
        #[case] stable: &[Option<bool>],
        #[case] candidate: &[Option<bool>],
        #[case] missing: bool,
    ) {
        let shape = SignalShape::Requests { requests: "x_total".to_owned(), failures: failures.to_owned() };
        let of = |arm: &'static str, pods: &[Option<bool>]| -> Vec<PodSample> {
            let one = |(at, pod): (usize, &Option<bool>)| sample(&format!("{arm}{at}"), pod.map(|_| 10), *pod == Some(true));
            pods.iter().enumerate().map(one).collect()
        };
        let samples = [of("s", stable), of("c", candidate)].concat();
        let arm = |pod: &str| Some(if pod.starts_with('s') { Arm::Stable } else { Arm::Candidate });
        let found = Failures::of(&shape).and_then(|failures| failures.missing(&samples, arm));
        assert_eq!(found.is_some(), missing, "{found:?}");
    }
}
