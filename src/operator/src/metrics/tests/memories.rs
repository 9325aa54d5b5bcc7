//! What is remembered between looks, and how often to look.

use std::time::Duration;

use rstest::rstest;

use crate::metrics::{
    PodSample,
    memory::Memory,
    pace::{self, Pace},
};

fn sample(requests: u64, failures: Option<u64>) -> PodSample {
    PodSample {
        namespace: "shop".into(),
        pod: "web-1-aaaaa".into(),
        requests: Some(requests),
        failures: Some(failures.unwrap_or(0)),
        failures_exist: failures.is_some(),
        siblings: true,
        scraped_at_ms: Some(0),
        up: Some(true),
    }
}

/// Failures reported look by look; `None` for a contradiction.
fn reported(looks: &[(u64, Option<u64>)]) -> Vec<Option<u64>> {
    let mut memory = Memory::default();
    let one = |(i, (requests, failures)): (usize, &(u64, Option<u64>))| {
        let mut samples = [sample(*requests, *failures)];
        memory.apply(&mut samples, i as i64 * 1000).ok()?;
        samples[0].failures
    };
    looks.iter().enumerate().map(one).collect()
}

#[rstest]
#[case::rising(&[(10, Some(1)), (20, Some(2))], &[Some(1), Some(2)])]
#[case::first_failure_comes_later(&[(10, None), (20, Some(1))], &[Some(0), Some(1)])]
#[case::out_of_sight_and_back(&[(10, Some(7)), (20, None), (30, Some(9))], &[Some(7), Some(7), Some(9)])]
#[case::forgotten_by_its_exporter(&[(10, Some(7)), (20, None), (30, None), (40, Some(1))], &[Some(7), Some(7), Some(7), Some(1)])]
#[case::process_began_anew(&[(10, Some(7)), (3, None), (4, Some(1))], &[Some(7), Some(0), Some(1)])]
#[case::process_began_anew_and_fails(&[(10, Some(7)), (3, Some(2))], &[Some(7), Some(2)])]
#[case::some_series_vanished(&[(10, Some(7)), (20, Some(5)), (30, Some(6)), (40, Some(8))], &[Some(7), None, None, Some(8)])]
fn given_looks_when_failures_vanish_or_fall_then_none_is_counted_twice(
    #[case] looks: &[(u64, Option<u64>)],
    #[case] expected: &[Option<u64>],
) {
    assert_eq!(reported(looks), expected);
}

#[rstest]
#[case::risen(11, 1, false)]
#[case::the_same(10, 1, false)]
#[case::fallen(9, 1, true)]
#[case::fallen_long_ago(9, 241, false)]
fn given_a_pod_when_its_requests_fall_then_it_is_asked_whether_they_began_anew(
    #[case] requests: u64,
    #[case] seconds: i64,
    #[case] fallen: bool,
) {
    let mut memory = Memory::default();
    memory.apply(&mut [sample(10, None)], 0).unwrap();
    assert_eq!(!memory.fallen(&[sample(requests, None)], seconds * 1000).is_empty(), fallen);
}

#[test]
fn given_a_pod_that_was_not_read_for_ten_minutes_when_it_returns_then_it_is_new() {
    let mut memory = Memory::default();
    memory.apply(&mut [sample(10, Some(7))], 0).unwrap();
    let mut samples = [sample(20, None)];
    memory.apply(&mut samples, 600_000).unwrap();
    assert_eq!(samples[0].failures, Some(0));
}

fn learned(readings: &[i64]) -> Option<Duration> {
    let mut pace = Pace::default();
    readings.iter().for_each(|at| pace.learn([("web-1-aaaaa", *at)].into_iter()));
    pace.scrape_interval()
}

#[rstest]
#[case::nothing(&[], None)]
#[case::one_difference(&[1000, 6000], None)]
#[case::the_same_reading_again(&[1000, 1000, 6000, 6000, 11_000], Some(5000))]
#[case::a_missed_scrape(&[0, 5000, 10_000, 20_000, 25_000], Some(5000))]
#[case::a_moved_target(&[0, 5000, 10_000, 10_700, 15_700], Some(5000))]
fn given_readings_when_learned_then_the_scrape_interval_is_the_usual_difference(
    #[case] readings: &[i64],
    #[case] expected: Option<u64>,
) {
    assert_eq!(learned(readings), expected.map(Duration::from_millis));
}

#[test]
fn given_a_new_scrape_interval_when_learned_then_it_replaces_the_old_one() {
    let readings: Vec<i64> = (0..50).map(|i| i * 5000).chain((0..20).map(|i| 250_000 + i * 1000)).collect();
    assert_eq!(learned(&readings), Some(Duration::from_secs(1)));
}

#[rstest]
#[case::unknown(None, false, 1000)]
#[case::half_a_scrape(Some(5000), false, 2500)]
#[case::never_faster(Some(100), false, 500)]
#[case::never_slower(Some(60_000), false, 15_000)]
#[case::in_trouble(Some(60_000), true, 2000)]
fn given_a_scrape_interval_when_the_next_look_is_set_then_it_is_half_within_bounds(
    #[case] scrape: Option<u64>,
    #[case] trouble: bool,
    #[case] ms: u64,
) {
    assert_eq!(pace::period(scrape.map(Duration::from_millis), trouble), Duration::from_millis(ms));
}
