//! What happens to one request, and whether the pod is ready or crashes: pure, from knobs, overrides and the moment.

use std::time::Duration;

use super::control::Override;
use super::knobs::Knobs;
use super::random::{Random, rank};
use super::values::{Burst, BurstPhase, Latency, Share};

/// The spread of a jittered latency (sigma of its logarithm): p95 is 1.8 times, p99 2.3 times the median.
const JITTER_SIGMA: f64 = 0.35;
/// A jittered latency ends here, in medians, so that a time limit in a test can be a small number.
const JITTER_MAX: f64 = 5.0;

/// When a request arrived.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// Since the process started.
    pub(super) elapsed: Duration,
    /// Since 1970, for bursts that all pods share.
    pub(super) clock: Duration,
    /// The number of requests before this one.
    pub(super) nth: u64,
}

/// What to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) failed: bool,
    pub(super) delay: Duration,
}

/// Decides one request.
pub(super) fn answer(knobs: &Knobs, over: Override, moment: Moment, random: &mut Random) -> Answer {
    let error_rate = over.error_rate.map_or_else(|| own_error_rate(knobs, moment), Share::clamped);
    let failed = random.unit() < error_rate.get();
    let delay = match over.latency_ms {
        Some(fixed) => Duration::from_millis(fixed),
        None => sample(own_latency(knobs, moment, random), random),
    };
    Answer { failed, delay }
}

/// Whether this pod obeys CRASH_AFTER.
pub(super) fn is_in_crash_share(knobs: &Knobs, pod: &str) -> bool {
    rank(pod) < knobs.crash_share.get()
}

/// Whether the pod's own knobs let it be ready.
pub(super) fn is_ready(knobs: &Knobs, elapsed: Duration) -> bool {
    !knobs.unready && elapsed >= knobs.ready_after
}

fn own_error_rate(knobs: &Knobs, moment: Moment) -> Share {
    if !knobs.error_after.reached(moment.elapsed, moment.nth) {
        return Share::ZERO;
    }
    match knobs.burst {
        Some(burst) if is_bursting(&burst, moment) => Share::clamped(knobs.error_rate.get() * burst.factor),
        _ => knobs.error_rate,
    }
}

fn is_bursting(burst: &Burst, moment: Moment) -> bool {
    let since = match burst.phase {
        BurstPhase::Start => moment.elapsed,
        BurstPhase::Clock => moment.clock,
    };
    since.as_nanos().checked_rem(burst.period.as_nanos()).is_some_and(|into| into < burst.length.as_nanos())
}

/// SLOW_AFTER alone delays LATENCY itself; SLOW_LATENCY makes it a step from one latency to another.
fn own_latency(knobs: &Knobs, moment: Moment, random: &mut Random) -> Latency {
    let begun = knobs.slow_after.unwrap_or_default().reached(moment.elapsed, moment.nth);
    let (before, slow) = match (knobs.slow_latency, knobs.slow_after) {
        (Some(slow), _) => (knobs.latency, slow),
        (None, Some(_)) => (Latency::default(), knobs.latency),
        (None, None) => return knobs.latency,
    };
    if begun && random.unit() < knobs.slow_rate.get() { slow } else { before }
}

fn sample(latency: Latency, random: &mut Random) -> Duration {
    match latency {
        Latency::Fixed(time) => time,
        Latency::Median(median) => median.mul_f64((JITTER_SIGMA * random.normal()).exp().min(JITTER_MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::values::Onset;

    fn at(seconds: u64, nth: u64) -> Moment {
        Moment { elapsed: Duration::from_secs(seconds), clock: Duration::from_secs(1_000_000 + seconds), nth }
    }

    /// The share of 2000 requests at that moment that fail, and their mean delay in ms.
    fn observed(knobs: &Knobs, over: Override, moment: Moment) -> (f64, f64) {
        let mut random = Random::from_seed(3);
        let answers: Vec<Answer> = (0..2000).map(|_| answer(knobs, over, moment, &mut random)).collect();
        let failed = answers.iter().filter(|answer| answer.failed).count();
        let delay: Duration = answers.iter().map(|answer| answer.delay).sum();
        (failed as f64 / 2000.0, delay.as_secs_f64() / 2.0)
    }

    fn knobs(error_rate: f64) -> Knobs {
        Knobs { error_rate: Share::clamped(error_rate), ..Knobs::default() }
    }

    #[test]
    fn given_an_error_rate_when_it_is_one_or_none_then_it_is_exact() {
        assert_eq!(observed(&knobs(0.0), Override::default(), at(0, 0)).0, 0.0);
        assert_eq!(observed(&knobs(1.0), Override::default(), at(0, 0)).0, 1.0);
    }

    #[test]
    fn given_an_onset_when_it_is_not_reached_then_nothing_fails() {
        let late = Knobs { error_after: Onset::Requests(10), ..knobs(1.0) };
        assert_eq!(observed(&late, Override::default(), at(99, 9)).0, 0.0);
        assert_eq!(observed(&late, Override::default(), at(0, 10)).0, 1.0);
    }

    #[test]
    fn given_a_burst_then_errors_multiply_inside_it_only() {
        let burst = "period:30s,len:3s,factor:10".parse().ok();
        let knobs = Knobs { burst, ..knobs(0.02) };
        let inside = observed(&knobs, Override::default(), at(62, 0)).0;
        let outside = observed(&knobs, Override::default(), at(63, 0)).0;
        assert!((0.16..0.24).contains(&inside), "{inside}");
        assert!((0.01..0.04).contains(&outside), "{outside}");
    }

    #[test]
    fn given_a_burst_on_the_clock_then_the_pods_own_start_does_not_matter() {
        let burst = "period:10s,len:1s,factor:2,phase:clock".parse().ok();
        let knobs = Knobs { burst, ..knobs(0.5) };
        let moment = |elapsed| Moment { elapsed: Duration::from_secs(elapsed), clock: Duration::from_secs(20), nth: 0 };
        assert_eq!(observed(&knobs, Override::default(), moment(5)).0, 1.0);
        assert_eq!(observed(&knobs, Override::default(), moment(8)).0, 1.0);
    }

    #[test]
    fn given_an_override_then_it_wins_over_knob_onset_and_burst() {
        let late = Knobs { error_after: Onset::Requests(1000), ..knobs(1.0) };
        let over = Override { error_rate: Some(0.3), latency_ms: Some(20) };
        let (failed, delay) = observed(&late, over, at(0, 0));
        assert!((0.26..0.34).contains(&failed), "{failed}");
        assert!((delay - 20.0).abs() < 1e-6, "{delay}");
    }

    #[test]
    fn given_slow_after_alone_then_the_latency_itself_begins_there() {
        let late = Knobs {
            latency: Latency::Fixed(Duration::from_millis(400)),
            slow_after: Some(Onset::Requests(5)),
            ..Knobs::default()
        };
        assert_eq!(observed(&late, Override::default(), at(0, 4)).1, 0.0);
        assert!((observed(&late, Override::default(), at(0, 5)).1 - 400.0).abs() < 1e-6);
    }

    #[test]
    fn given_a_slow_share_then_only_that_share_is_slow() {
        let some = Knobs {
            slow_latency: Some(Latency::Fixed(Duration::from_millis(1000))),
            slow_rate: Share::clamped(0.25),
            ..Knobs::default()
        };
        let mean = observed(&some, Override::default(), at(0, 0)).1;
        assert!((200.0..300.0).contains(&mean), "{mean}");
    }

    #[test]
    fn given_a_jittered_latency_then_its_median_is_the_knob() {
        let mut random = Random::from_seed(5);
        let median = Latency::Median(Duration::from_millis(10));
        let mut times: Vec<Duration> = (0..1001).map(|_| sample(median, &mut random)).collect();
        times.sort();
        let middle = times.get(500).map_or(0.0, Duration::as_secs_f64);
        assert!((0.0095..0.0105).contains(&middle), "{middle}");
        assert!(times.last().is_some_and(|time| *time <= Duration::from_millis(50)));
    }

    #[test]
    fn given_ready_after_then_the_pod_becomes_ready_unless_unready() {
        let late = Knobs { ready_after: Duration::from_secs(2), ..Knobs::default() };
        assert!(!is_ready(&late, Duration::from_secs(1)));
        assert!(is_ready(&late, Duration::from_secs(2)));
        assert!(!is_ready(&Knobs { unready: true, ..late }, Duration::from_secs(9)));
    }
}
