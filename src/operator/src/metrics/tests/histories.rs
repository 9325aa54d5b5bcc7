//! Increments from cumulative counters.

use proptest::prelude::*;
use rstest::rstest;

use super::{latency, read, requests, target};
use crate::metrics::{
    Step, Trouble,
    history::{Grid, pods},
    reply::matrix,
    shape::SignalShape,
};

/// Values every 10 s from 1000 s on; `None` where there is none.
type Values<'v> = &'v [Option<u64>];

fn series(part: &str, values: Values<'_>) -> String {
    let points = values.iter().enumerate().filter_map(|(i, v)| Some(format!("[{}.000,\"{}\"]", 1000 + i * 10, (*v)?)));
    format!(
        r#"{{"metric":{{"namespace":"shop","pod":"web-1-aaaaa","part":"{part}"}},"values":[{}]}}"#,
        points.collect::<Vec<_>>().join(",")
    )
}

fn steps(shape: &SignalShape, first: Values<'_>, second: Values<'_>) -> Result<Vec<Option<(u64, u64)>>, Trouble> {
    let part = if matches!(shape, SignalShape::Requests { .. }) { "failures" } else { "quick" };
    let body = format!(
        r#"{{"status":"success","data":{{"resultType":"matrix","result":[{},{}]}}}}"#,
        series("requests", first),
        series(part, second)
    );
    let grid = Grid { start_ms: 1_000_000, step_ms: 10_000, points: first.len() };
    let pods = pods(&read(shape), &target(&["web-1"]), grid, matrix(body.as_bytes())?.rows)?;
    Ok(pods["web-1-aaaaa"].iter().map(|s| s.map(|Step { requests, failures }| (requests, failures))).collect())
}

#[rstest]
#[case::rising(&[Some(10), Some(15), Some(30)], &[Some(1), Some(1), Some(3)], &[Some((5, 0)), Some((15, 2))])]
#[case::reset(&[Some(100), Some(7), Some(9)], &[Some(50), Some(2), Some(2)], &[Some((7, 2)), Some((2, 0))])]
#[case::reset_without_failures_since(&[Some(100), Some(7)], &[Some(50), None], &[Some((7, 0))])]
#[case::first_failure(&[Some(10), Some(20), Some(30)], &[None, None, Some(4)], &[Some((10, 0)), Some((10, 4))])]
#[case::gap(&[Some(10), None, Some(30), Some(40)], &[Some(1), None, Some(3), Some(3)], &[None, None, Some((10, 0))])]
#[case::new_pod(&[None, None, Some(5), Some(9)], &[None, None, None, None], &[None, None, Some((4, 0))])]
#[case::gone_pod(&[Some(5), Some(9), None], &[None, None, None], &[Some((4, 0)), None])]
#[case::failures_out_of_sight(&[Some(10), Some(20), Some(30)], &[Some(7), None, Some(9)], &[Some((10, 0)), Some((10, 2))])]
#[case::failures_forgotten(&[Some(10), Some(20), Some(30)], &[Some(7), None, Some(1)], &[Some((10, 0)), Some((10, 1))])]
#[case::failures_fall_alone(&[Some(10), Some(20), Some(30)], &[Some(7), Some(5), Some(6)], &[None, Some((10, 1))])]
fn given_counters_when_differenced_then_resets_gaps_and_contradictions_are_told_apart(
    #[case] requests_values: Values<'_>,
    #[case] failures: Values<'_>,
    #[case] expected: &[Option<(u64, u64)>],
) {
    assert_eq!(steps(&requests(), requests_values, failures).unwrap(), expected);
}

#[rstest]
#[case::rising(&[Some(10), Some(20)], &[Some(8), Some(15)], &[Some((10, 3))])]
#[case::reset(&[Some(100), Some(20)], &[Some(80), Some(15)], &[Some((20, 5))])]
#[case::no_bucket(&[Some(10), Some(20), Some(30)], &[Some(8), None, Some(20)], &[None, None])]
#[case::bucket_beyond_count(&[Some(10), Some(20)], &[Some(8), Some(21)], &[None])]
fn given_a_histogram_when_differenced_then_a_missing_bucket_is_no_zero(
    #[case] count: Values<'_>,
    #[case] quick: Values<'_>,
    #[case] expected: &[Option<(u64, u64)>],
) {
    assert_eq!(steps(&latency(), count, quick).unwrap(), expected);
}

#[test]
fn given_a_native_histogram_in_the_past_when_differenced_then_it_is_named() {
    let body = br#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"namespace":"shop","pod":"web-1-aaaaa","part":"requests"},"histograms":[[1000,{}]]}]}}"#;
    let grid = Grid { start_ms: 1_000_000, step_ms: 10_000, points: 2 };
    let trouble = pods(&read(&requests()), &target(&["web-1"]), grid, matrix(body).unwrap().rows).unwrap_err();
    assert!(matches!(trouble, Trouble::NativeHistogram { .. }));
}

proptest! {
    #[test]
    fn given_a_process_that_never_restarts_when_differenced_then_the_steps_add_up(added in prop::collection::vec((0u64..1000, 0u64..50), 1..40)) {
        let (mut n, mut x) = (0, 0);
        let (first, second): (Vec<_>, Vec<_>) = added.iter().map(|(r, f)| { n += r; x += f; (Some(n), Some(x)) }).unzip();
        let steps = steps(&requests(), &first, &second).unwrap();
        let sum = steps.iter().map(|s| s.unwrap()).fold((0, 0), |a, s| (a.0 + s.0, a.1 + s.1));
        prop_assert_eq!(sum, (n - added[0].0, x - added[0].1));
    }
}
