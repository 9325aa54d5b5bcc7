//! Which edges of a histogram are judged: the one that was named, and those nearest to stable's p90 and p99.
//!
//! A change that makes every request a little slower shows nowhere near a single edge. The edges beside the named one are chosen from
//! stable's past alone, before the candidate has any traffic, so that what is judged does not depend on what is judged of it.
//! [`past`] is the query, [`choose`] picks from its answer.

use super::{
    promql,
    shape::{Selectors, Target},
};

/// Most edges of one signal: each shares the signal's evidence, so more of them dull each other.
pub(crate) const MOST_EDGES: usize = 3;
/// Parts of stable's requests that are beyond the edges sought: those of p90 and p99.
const BEYOND: [f64; 2] = [0.1, 0.01];
/// So many requests have to be beyond a quantile for it to be known.
const ENOUGH_BEYOND: f64 = 10.0;
/// An edge with more or less than this many times as many requests beyond it as were sought is not that quantile's.
const FARTHEST: f64 = 4.0;

/// A bucket of stable's past.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bucket {
    /// Its upper bound, in thousandths of the unit in which the histogram's bounds are written; none for `+Inf`.
    pub(crate) edge: Option<u64>,
    /// Requests within the bound. Not whole where a rate was carried on to the ends of a window.
    pub(crate) within: f64,
}

impl Bucket {
    /// A bucket as Prometheus or a page names it. None where the bound is no number, or is finer than a thousandth of its unit: no
    /// `slowerThan` could name it.
    pub(crate) fn of(le: &str, within: f64) -> Option<Self> {
        let bound: f64 = le.parse().ok()?;
        let milli = (bound * 1000.0).round();
        match bound {
            bound if bound == f64::INFINITY => Some(Self { edge: None, within }),
            bound if bound > 0.0 && (bound * 1000.0 - milli).abs() < 1e-6 => Some(Self { edge: Some(milli as u64), within }),
            _ => None,
        }
    }
}

/// The edges to judge, smallest first: `named`, and of the `past`'s those whose share of requests beyond is nearest to 10 % and to
/// 1 %, each once, at most [`MOST_EDGES`].
///
/// Nearest by the ratio of the shares: beside 1 %, 2 % and 0.5 % are equally far. What too few requests tell is left out, and so is
/// an edge that nothing is beyond: nothing can be compared there.
pub(crate) fn choose(named: u64, past: &[Bucket]) -> Vec<u64> {
    let counts = past.iter().filter(|bucket| bucket.within.is_finite() && bucket.within >= 0.0);
    let all = counts.clone().map(|bucket| bucket.within).fold(0.0, f64::max);
    let beyond: Vec<(u64, f64)> = counts.filter_map(|bucket| Some((bucket.edge?, (all - bucket.within) / all))).collect();
    let mut edges = vec![named];
    for sought in BEYOND.into_iter().filter(|sought| all * sought >= ENOUGH_BEYOND) {
        let distance = |share: f64| (share / sought).ln().abs();
        let near = beyond.iter().filter(|(_, share)| *share > 0.0 && distance(*share) <= FARTHEST.ln());
        let nearest = near.min_by(|left, right| distance(left.1).total_cmp(&distance(right.1)).then(left.0.cmp(&right.0)));
        edges.extend(nearest.map(|(edge, _)| *edge).filter(|edge| !edges.contains(edge)));
    }
    edges.truncate(MOST_EDGES);
    edges.sort_unstable();
    edges
}

/// The query for what stable's pods counted in the buckets of a histogram over the last `window_seconds`, bucket by bucket; asked
/// at the instant at which the Change began, of stable's ReplicaSet alone. One row a bound, in its label `le`. None for counters.
pub(crate) fn past(selectors: &Selectors, stable: &Target, window_seconds: u64) -> Option<String> {
    match selectors {
        Selectors::Requests { .. } => None,
        Selectors::Histogram { histogram, .. } => {
            let buckets = histogram.suffixed("_bucket").and(&promql::pods([stable]));
            Some(format!("sum by (le) (increase({buckets}[{window_seconds}s]))"))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::metrics::SignalShape;

    /// Default buckets of client libraries, and requests within them.
    fn buckets(within: [f64; 12]) -> Vec<Bucket> {
        let bounds = ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"];
        bounds.iter().zip(within).map(|(le, within)| Bucket::of(le, within).unwrap()).collect()
    }

    #[rstest::rstest]
    // 12 % beyond 50 ms, 1.4 % beyond 250 ms.
    #[case::both_quantiles(500, [0.0, 10.0, 4000.0, 8800.0, 9400.0, 9860.0, 9990.0, 1e4, 1e4, 1e4, 1e4, 1e4], &[50, 250, 500])]
    #[case::the_named_one_is_one_of_them(250, [0.0, 10.0, 4000.0, 8800.0, 9400.0, 9860.0, 9990.0, 1e4, 1e4, 1e4, 1e4, 1e4], &[50, 250])]
    #[case::one_edge_is_nearest_to_both(300, [9700.0, 9700.0, 9700.0, 9700.0, 9700.0, 9700.0, 1e4, 1e4, 1e4, 1e4, 1e4, 1e4], &[5, 300])]
    #[case::too_few_for_p99(300, [0.0, 1.0, 40.0, 88.0, 94.0, 98.0, 99.0, 100.0, 100.0, 100.0, 100.0, 100.0], &[50, 300])]
    #[case::too_few_for_anything(300, [0.0, 1.0, 4.0, 8.0, 9.0, 9.0, 9.0, 10.0, 10.0, 10.0, 10.0, 10.0], &[300])]
    #[case::nothing_is_beyond(300, [1e4; 12], &[300])]
    #[case::no_traffic(300, [0.0; 12], &[300])]
    #[case::not_a_number(300, [f64::NAN; 12], &[300])]
    // All is beyond 2.5 s, nothing beyond 5 s: no edge is anywhere near a quantile.
    #[case::between_two_edges(5000, [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1e4, 1e4, 1e4], &[5000])]
    fn given_stables_past_when_edges_are_chosen_then_the_named_one_and_those_of_its_quantiles(
        #[case] named: u64,
        #[case] within: [f64; 12],
        #[case] expected: &[u64],
    ) {
        assert_eq!(choose(named, &buckets(within)), expected);
    }

    #[rstest::rstest]
    #[case("0.3", Some(Some(300)))]
    #[case("1", Some(Some(1000)))]
    #[case("1e+06", Some(Some(1_000_000_000)))]
    #[case("+Inf", Some(None))]
    #[case("0.0005", None)]
    #[case("0", None)]
    #[case("-1", None)]
    #[case("NaN", None)]
    #[case("", None)]
    fn given_a_bound_as_it_is_written_then_its_thousandths(#[case] le: &str, #[case] expected: Option<Option<u64>>) {
        assert_eq!(Bucket::of(le, 1.0).map(|bucket| bucket.edge), expected);
    }

    proptest::proptest! {
        #[test]
        fn given_any_past_when_edges_are_chosen_then_the_named_one_is_among_few_and_each_is_there_once(
            named in 1u64..100_000,
            steps in proptest::collection::vec((1u64..5_000, 0.0f64..1e6), 0..20),
        ) {
            let mut edge = 0;
            let mut within = 0.0;
            let mut past: Vec<Bucket> = steps.iter().map(|(step, counted)| {
                (edge, within) = (edge + step, within + counted);
                Bucket { edge: Some(edge), within }
            }).collect();
            past.push(Bucket { edge: None, within });
            let edges = choose(named, &past);
            proptest::prop_assert!(edges.contains(&named) && edges.len() <= MOST_EDGES);
            proptest::prop_assert!(edges.is_sorted_by(|left, right| left < right));
            proptest::prop_assert!(edges.iter().all(|edge| *edge == named || past.iter().any(|bucket| bucket.edge == Some(*edge))));
            past.reverse();
            proptest::prop_assert_eq!(choose(named, &past), edges);
        }
    }

    #[test]
    fn given_a_histogram_when_its_past_is_asked_for_then_of_stables_pods_bucket_by_bucket() {
        let shape = SignalShape::Histogram { histogram: "latency_seconds{code=\"200\"}".to_owned(), edge_ms: 300 };
        let stable = Target::of("shop", &["shop-a".to_owned()]);
        let query = past(&Selectors::parse(&shape).unwrap(), &stable, 2700).unwrap();
        assert_eq!(
            query,
            "sum by (le) (increase(latency_seconds_bucket{code=\"200\",namespace=~\"shop\",pod=~\"(?:shop-a-)[a-z0-9]{5}\"}[2700s]))"
        );
        let counters = SignalShape::Requests { requests: "r".to_owned(), failures: "f".to_owned() };
        assert_eq!(past(&Selectors::parse(&counters).unwrap(), &stable, 2700), None);
    }
}
