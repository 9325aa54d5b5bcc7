//! What the statistics keep for any counts within their range, not only for the reference values.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use firebreak_engine::stats::dispersion::{PodCounts, PodStep};
use firebreak_engine::stats::exposure::split_ln_e;
use firebreak_engine::stats::growth::Growth;
use firebreak_engine::stats::{
    BlastRadius, Counts, Factor, HarmProcess, Margin, MarginGrid, Mark, Phi, PromotionInput, PromotionProcess, RatioSequence,
    StableRates, StartMass, bits, rate_bounds,
};
use proptest::prelude::*;
use rstest::rstest;

const MOST: u64 = 10_000_000;

/// Any counts, consistent or not, small and huge.
fn any_counts() -> impl Strategy<Value = Counts> {
    let one = || prop_oneof![Just(0), 0..20_u64, 0..2_000_u64, 0..=MOST];
    (one(), one(), one(), one()).prop_map(|(n_c, n_s, x_c, x_s)| Counts::new(n_c, n_s, x_c, x_s))
}

/// The same up to what the type holds: counters that were garbled, or summed over years.
fn counts_of_any_size() -> impl Strategy<Value = Counts> {
    let one = || prop_oneof![any::<u64>(), Just(u64::MAX), 0..2_000_u64];
    let garbled = (one(), one(), one(), one()).prop_map(|(n_c, n_s, x_c, x_s)| Counts::new(n_c, n_s, x_c, x_s));
    prop_oneof![3 => any_counts(), 1 => garbled]
}

/// Counts in which no arm has more failures than requests.
fn consistent() -> impl Strategy<Value = Counts> {
    any_counts().prop_map(|c| Counts::new(c.n_c.max(c.x_c), c.n_s.max(c.x_s), c.x_c.min(c.n_c), c.x_s.min(c.n_s)))
}

fn factors() -> impl Strategy<Value = Factor> {
    let phi = || prop_oneof![Just(1.0), 1.0..1.01, 1.0..20.0, Just(1e6)].prop_map(Phi::new);
    prop_oneof![phi().prop_map(Factor::Tempered), phi().prop_map(Factor::BurstExact)]
}

fn starts() -> impl Strategy<Value = StartMass> {
    prop_oneof![
        Just(StartMass::AllAtOnce),
        (0..2000_u64).prop_map(|evaluations| StartMass::Planned { evaluations }),
        prop_oneof![Just(0.0), 1.0..1e5].prop_map(|tau_seconds| StartMass::Hazard { tau_seconds }),
    ]
}

fn margins() -> impl Strategy<Value = Margin> {
    prop_oneof![Just(1.0), Just(1.25), 1.0..50.0].prop_map(Margin::new)
}

fn judged(start: StartMass, margin: Margin, intervals: &[Counts], factor: Factor) -> HarmProcess {
    let mut process = HarmProcess::new(margin, start);
    for (at, interval) in intervals.iter().enumerate() {
        process.update(*interval, factor, at as f64);
    }
    process
}

/// A failure alone in each interval: the factors' sums over a whole series, per bet, seen through ln E.
fn close(a: f64, b: f64, relative: f64) -> bool {
    (a - b).abs() <= relative * a.abs().max(b.abs()).max(1.0)
}

fn promotion_input() -> impl Strategy<Value = PromotionInput> {
    let rate = || prop_oneof![Just(0.0), Just(1.0), Just(f64::NAN), 1e-7..0.5];
    (rate(), rate(), rate(), rate(), rate(), 1.0..10.0).prop_map(|(budget, w_next, upper, lower, stable_rate, phi)| {
        PromotionInput { budget, w_next, upper, lower, stable_rate, phi: Phi::new(phi) }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn given_any_counts_then_evidence_is_a_number(
        intervals in prop::collection::vec(counts_of_any_size(), 1..8), factor in factors(), start in starts(), margin in margins(),
        upper in prop_oneof![Just(0.0), Just(f64::NAN), 0.0..1.0],
    ) {
        let process = judged(start, margin, &intervals, factor);
        prop_assert!(process.ln_e().is_finite() && process.max_ln_e() >= process.ln_e().max(0.0));
        let mut grid = MarginGrid::new(margin, start);
        let mut alone = MarginGrid::new(margin, start);
        for (at, interval) in intervals.iter().enumerate() {
            grid.update(*interval, factor, at as f64);
            if at % 3 == 2 {
                alone.update(*interval, factor, at as f64);
            } else {
                alone.update_alone(*interval, factor, at as f64, upper);
            }
            prop_assert!(alone.ln_e_by_margin().all(|(_, ln_e)| !ln_e.is_nan()));
        }
        grid.catch_up();
        prop_assert_eq!(grid.ln_e().to_bits(), process.ln_e().to_bits());
        prop_assert!(grid.ln_e_by_margin().all(|(_, ln_e)| ln_e.is_finite()));
        prop_assert!(alone.max_ln_e() >= alone.ln_e().max(0.0));
    }

    #[test]
    fn given_a_harsher_margin_then_less_evidence(intervals in prop::collection::vec(consistent(), 1..5), factor in factors()) {
        let mut grid = MarginGrid::new(Margin::default(), StartMass::AllAtOnce);
        for (at, interval) in intervals.iter().enumerate() {
            grid.update(*interval, factor, at as f64);
            grid.catch_up();
        }
        let ln_es: Vec<f64> = grid.ln_e_by_margin().map(|(_, ln_e)| ln_e).collect();
        for pair in ln_es.windows(2) {
            prop_assert!(pair[1] <= pair[0] + 1e-9 * pair[0].abs().max(1.0));
        }
        let proved = grid.th_lo(0.01);
        prop_assert_eq!(proved >= 1.25, grid.has_crossed(0.01));
    }

    #[test]
    fn given_intervals_judged_together_then_no_more_evidence_than_one_by_one(
        intervals in prop::collection::vec(consistent(), 1..80), factor in factors(), margin in margins(),
    ) {
        let mut together = MarginGrid::new(margin, StartMass::AllAtOnce);
        let mut one_by_one = together.clone();
        for (at, interval) in intervals.iter().enumerate() {
            together.update(*interval, factor, at as f64);
            one_by_one.update(*interval, factor, at as f64);
            one_by_one.catch_up();
        }
        together.catch_up();
        prop_assert_eq!(together.ln_e().to_bits(), one_by_one.ln_e().to_bits());
        for ((margin, together), (_, alone)) in together.ln_e_by_margin().zip(one_by_one.ln_e_by_margin()) {
            let terms = intervals.iter().map(|counts| counts.failures() as f64).sum::<f64>() * 5.3;
            prop_assert!(together <= alone + 1e-9 + 1e-12 * terms, "{:?}: {} {}", margin, together, alone);
        }
    }

    #[test]
    fn given_one_more_candidate_failure_then_no_less_harm_and_no_more_safety(
        before in prop::collection::vec(consistent(), 0..4), counts in consistent(), after in prop::collection::vec(consistent(), 0..4),
        factor in factors(), start in starts(), input in promotion_input(),
    ) {
        prop_assume!(counts.x_c < counts.n_c);
        let worse = Counts { x_c: counts.x_c + 1, ..counts };
        let series = |one: Counts| -> Vec<Counts> { before.iter().copied().chain([one]).chain(after.iter().copied()).collect() };
        let harm = |one| judged(start, Margin::default(), &series(one), factor).ln_e();
        let terms = series(counts).iter().map(|counts| counts.failures() as f64).sum::<f64>().max(1.0);
        let error = 1e-12 * terms;
        prop_assert!(harm(worse) >= harm(counts) - error);
        if counts.x_s < counts.n_s {
            prop_assert!(harm(Counts { x_s: counts.x_s + 1, ..counts }) <= harm(counts) + error, "stable that is worse accuses nobody");
        }
        let safety = |one: Counts| {
            let mut process = PromotionProcess::new();
            for interval in series(one) {
                process.update(interval, &input);
            }
            [process.la(), process.lr(), process.ln_e()]
        };
        for (worse, counts) in safety(worse).into_iter().zip(safety(counts)) {
            prop_assert!(worse <= counts + 1e-12 * counts.abs().max(terms), "{} {}", worse, counts);
        }
    }

    #[test]
    fn given_any_input_then_safety_is_a_number(
        intervals in prop::collection::vec(counts_of_any_size(), 1..8), input in promotion_input(),
    ) {
        let mut process = PromotionProcess::new();
        for interval in &intervals {
            process.update(*interval, &input);
        }
        prop_assert!(process.ln_e().is_finite());
    }

    #[test]
    fn given_a_record_then_the_process_continues_bit_for_bit(
        intervals in prop::collection::vec(any_counts(), 2..8), factor in factors(), start in starts(), margin in margins(),
    ) {
        let mut grid = MarginGrid::new(margin, start);
        let mut ratio = RatioSequence::new();
        for (at, interval) in intervals.iter().enumerate() {
            let text = serde_json::to_string(&grid).unwrap();
            let recorded: MarginGrid = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(&recorded, &grid);
            grid = recorded;
            prop_assert_eq!(serde_json::to_string(&grid).unwrap(), text);
            grid.update(*interval, factor, at as f64 * 0.7);
            ratio.update(*interval);
        }
        let mut uninterrupted = MarginGrid::new(margin, start);
        for (at, interval) in intervals.iter().enumerate() {
            uninterrupted.update(*interval, factor, at as f64 * 0.7);
        }
        prop_assert_eq!(&uninterrupted, &grid);
        prop_assert_eq!(serde_json::from_str::<RatioSequence>(&serde_json::to_string(&ratio).unwrap()).unwrap(), ratio);
    }

    #[test]
    fn given_doubles_then_their_text_keeps_every_bit(values in prop::array::uniform7(any::<u64>())) {
        let values = values.map(f64::from_bits);
        let read: [f64; 7] = bits::decode(&bits::encode(&values)).unwrap();
        prop_assert_eq!(read.map(f64::to_bits), values.map(f64::to_bits));
    }

    #[test]
    fn given_an_interval_split_at_equal_share_then_the_same_evidence(
        n_c in 1..5_000_u64, n_s in 1..5_000_u64, parts in 1..5_u64, x in prop::array::uniform4((0..50_u64, 0..50_u64)),
        phi in 1.0..5.0, bursts in any::<bool>(),
    ) {
        let factor = if bursts { Factor::BurstExact(Phi::new(phi)) } else { Factor::Tempered(Phi::new(phi)) };
        let pieces: Vec<Counts> = x.iter().take(parts as usize)
            .map(|(x_c, x_s)| Counts::new(n_c, n_s, (*x_c).min(n_c), (*x_s).min(n_s))).collect();
        let whole = [Counts::total(&pieces)];
        let ln_e = |intervals: &[Counts]| judged(StartMass::AllAtOnce, Margin::default(), intervals, factor).ln_e();
        prop_assert!(close(ln_e(&pieces), ln_e(&whole), 1e-9));
        let input = PromotionInput { budget: 0.001, w_next: 0.2, upper: 0.02, lower: 0.005, stable_rate: 0.01, phi: Phi::new(phi) };
        let sums = |intervals: &[Counts]| {
            let mut process = PromotionProcess::new();
            for interval in intervals {
                process.update(*interval, &input);
            }
            (process.lr(), process.la())
        };
        prop_assert!(close(sums(&pieces).0, sums(&whole).0, 1e-9) && close(sums(&pieces).1, sums(&whole).1, 1e-9));
    }

    #[test]
    fn given_nobody_fails_then_evidence_stays(
        before in prop::collection::vec(consistent(), 0..4), n_c in 0..=MOST, n_s in 0..=MOST, start in starts(), factor in factors(),
    ) {
        let mut process = judged(start, Margin::default(), &before, factor);
        let ln_e = process.ln_e();
        for at in 0..20 {
            process.update(Counts::new(n_c, n_s, 0, 0), factor, 10.0 + f64::from(at));
        }
        prop_assert_eq!(process.ln_e().to_bits(), ln_e.to_bits());
    }

    #[test]
    fn given_any_counts_then_bounds_hold_the_estimate(counts in consistent(), alpha in 1e-6..0.5, phi in 1.0..50.0) {
        let phi = Phi::new(phi);
        let rate = rate_bounds(counts.x_s, counts.n_s, alpha, phi);
        prop_assert!(0.0 <= rate.lo && rate.lo <= rate.hi && rate.hi <= 1.0);
        if let Some(p_s) = counts.stable_rate() {
            prop_assert!(rate.lo <= p_s && p_s <= rate.hi);
        }
        let rates = StableRates::from_history(counts.x_s, counts.n_s, alpha, phi);
        prop_assert!(rates.lower <= rates.rate && rates.rate <= rates.upper);
        let mut ratio = RatioSequence::new();
        ratio.update(counts);
        let bounds = ratio.bounds(alpha, phi);
        if let Some(th) = ratio.estimate() {
            prop_assert!(bounds.lo <= th && th <= bounds.hi, "{bounds:?} {th}");
        }
    }

    #[test]
    fn given_any_counts_then_sizes_are_numbers(
        a in prop::collection::vec(any_counts(), 0..5), b in prop::collection::vec(any_counts(), 0..5),
        th_lo in prop_oneof![Just(0.0), Just(f64::INFINITY), Just(f64::NAN), 0.0..60.0], factor in factors(), share in 0.0..=1.0, phi in 1.0..20.0,
    ) {
        let total = Counts::total(&b);
        let blast = BlastRadius::of(total, th_lo, share, Some(share));
        let all = [blast.ef, Some(blast.ef_lo), blast.br, blast.br_lo, blast.proj, blast.proj_lo, blast.burn, blast.burn_lo];
        prop_assert!(all.iter().flatten().all(|v| v.is_finite()));
        match Growth::between(&a, &b, th_lo, factor) {
            Growth::None => {}
            Growth::Intensity { ln_e: size } | Growth::Share { ratio: size } => prop_assert!(size.is_finite() && th_lo > 1.0),
        }
        prop_assert!(split_ln_e(total.n_c, total.n_s, share, Phi::new(phi)).is_finite());
    }

    #[test]
    fn given_any_history_then_phi_is_at_least_one(
        pods in prop::collection::vec(prop::collection::vec((0..1000_u64, 0..1000_u64), 0..5), 0..80), seconds in 0.0..60.0,
    ) {
        let step = |pods: &Vec<(u64, u64)>| PodStep {
            seconds,
            pods: pods.iter().map(|(requests, failures)| PodCounts { requests: *requests, failures: *failures }).collect(),
        };
        let phi = Phi::between_pods(&pods.iter().map(step).collect::<Vec<_>>());
        prop_assert!(phi.get().is_finite() && phi.get() >= 1.0);
    }
}

#[test]
fn given_more_shares_than_are_kept_then_bounds_move_little() {
    let mut merged = RatioSequence::new();
    let mut pooled = RatioSequence::new();
    for at in 0..2_000_u64 {
        merged.update(Counts::new(5_000 + at % 700, 95_000, 8, 100));
        pooled.update(Counts::new(5_350, 95_000, 8, 100));
    }
    assert!(serde_json::to_string(&merged).unwrap().len() < 20_000, "memory must stay bounded");
    let (merged, pooled) = (merged.bounds(0.05, Phi::INDEPENDENT), pooled.bounds(0.05, Phi::INDEPENDENT));
    assert!(close(merged.lo, pooled.lo, 5e-3) && close(merged.hi, pooled.hi, 5e-3), "{merged:?} {pooled:?}");
}

#[test]
fn given_pending_counts_then_they_join_the_next_interval() {
    let factor = Factor::Tempered(Phi::INDEPENDENT);
    let mut process = HarmProcess::new(Margin::default(), StartMass::AllAtOnce);
    assert_eq!(process.update(Counts::new(0, 10, 2, 0), factor, 1.0), Mark::Pending);
    assert_eq!((process.ln_e(), process.evaluations()), (0.0, 0));
    assert_eq!(process.update(Counts::new(5, 90, 1, 1), factor, 2.0), Mark::Used);
    let whole = judged(StartMass::AllAtOnce, Margin::default(), &[Counts::new(5, 100, 3, 1)], factor);
    assert_eq!(process.ln_e().to_bits(), whole.ln_e().to_bits());
}

#[test]
fn given_harm_that_begins_late_then_a_hazard_sees_it_sooner_than_a_single_start() {
    let factor = Factor::Tempered(Phi::INDEPENDENT);
    let intervals: Vec<Counts> = (0..900).map(|at| Counts::new(50, 950, u64::from(at >= 850) * 2, 10)).collect();
    let hazard = judged(StartMass::Hazard { tau_seconds: 1000.0 }, Margin::default(), &intervals, factor);
    let once = judged(StartMass::AllAtOnce, Margin::default(), &intervals, factor);
    assert!(hazard.ln_e() > once.ln_e() + 5.0, "{} {}", hazard.ln_e(), once.ln_e());
    assert!(hazard.has_crossed(0.01) && !once.has_crossed(0.01));
}

#[test]
fn given_no_request_of_stable_then_the_half_on_the_candidate_alone_sees_harm() {
    let factor = Factor::Tempered(Phi::INDEPENDENT);
    let mut mixed = MarginGrid::new(Margin::default(), StartMass::AllAtOnce);
    for at in 0..30 {
        mixed.update_alone(Counts::new(1000, 0, 50, 0), factor, f64::from(at), 0.01);
    }
    assert!(mixed.has_crossed(0.001));
    let mut compared = MarginGrid::new(Margin::default(), StartMass::AllAtOnce);
    compared.update(Counts::new(1000, 0, 50, 0), factor, 0.0);
    assert_eq!(compared.ln_e(), 0.0);
}

/// Half of the bet stays on the comparison, so what was shown before loses ln 2 and comes back whole.
#[test]
fn given_evidence_from_before_when_the_candidate_is_alone_then_half_of_it_is_kept_and_all_of_it_after() {
    let factor = Factor::BurstExact(Phi::INDEPENDENT);
    let mut grid = MarginGrid::new(Margin::default(), StartMass::AllAtOnce);
    grid.update(Counts::new(100, 100, 20, 5), factor, 0.0);
    let before = grid.ln_e();
    grid.update_alone(Counts::new(1, 0, 0, 0), factor, 1.0, 0.0);
    assert!((grid.ln_e() - before).abs() < 1e-12, "a bound of 0 and no failure says nothing: {} {before}", grid.ln_e());
    // At U = 1 no number of failures is too many, and the half that bet on it is lost.
    grid.update_alone(Counts::new(100_000, 0, 1000, 0), factor, 2.0, 1.0);
    assert!((grid.ln_e() - (before - std::f64::consts::LN_2)).abs() < 1e-9, "{} {before}", grid.ln_e());
    let mut after = grid.clone();
    after.update(Counts::new(100, 100, 5, 5), factor, 3.0);
    grid.update_alone(Counts::new(100, 100, 5, 5), factor, 3.0, 1.0);
    assert!((after.ln_e() - grid.ln_e()).abs() < 1e-9, "{} {}", after.ln_e(), grid.ln_e());
}

/// p_c = r0 p_s and p_s = U: the mean of E is at most 1, whatever was bet on whom.
#[test]
fn given_a_candidate_at_the_border_when_it_is_alone_then_it_is_seldom_taken_back() {
    let mut crossed = 0;
    for seed in 0..400_u64 {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut grid = MarginGrid::new(Margin::default(), StartMass::Hazard { tau_seconds: 300.0 });
        for at in 0..300 {
            let fails = (0..200).filter(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 11) as f64 / (1_u64 << 53) as f64 <= 0.0125
            });
            grid.update_alone(
                Counts::new(200, 0, fails.count() as u64, 0),
                Factor::BurstExact(Phi::INDEPENDENT),
                f64::from(at),
                0.01,
            );
        }
        crossed += u32::from(grid.has_crossed(0.05));
    }
    assert!(crossed <= 20 + 13, "{crossed} of 400 at alpha 5 %");
}

#[rstest]
#[case::steady(&[(50, 950, 5, 10); 6], &[(50, 950, 5, 10); 6], false, false)]
#[case::exposure_triples(&[(50, 950, 5, 10); 6], &[(150, 850, 15, 9); 6], false, true)]
#[case::by_chance(&[(50, 950, 0, 1); 6], &[(50, 950, 1, 0), (50, 950, 1, 0), (50, 950, 0, 0), (50, 950, 0, 1), (50, 950, 0, 0), (50, 950, 0, 0)], false, false)]
#[case::failures_triple(&[(50, 950, 5, 10); 6], &[(50, 950, 15, 10); 6], true, false)]
#[case::stable_rises_too(&[(50, 950, 5, 10); 6], &[(50, 950, 15, 30); 6], false, true)]
#[case::stable_never_fails(&[(50, 950, 1, 0); 6], &[(50, 950, 9, 0); 6], true, false)]
#[case::falls(&[(50, 950, 5, 10); 6], &[(50, 950, 2, 10); 6], false, false)]
fn growth_is_told_by_its_cause(
    #[case] a: &[(u64, u64, u64, u64)],
    #[case] b: &[(u64, u64, u64, u64)],
    #[case] intensity: bool,
    #[case] share: bool,
) {
    let counts = |w: &[(u64, u64, u64, u64)]| w.iter().map(|c| Counts::new(c.0, c.1, c.2, c.3)).collect::<Vec<_>>();
    let growth = Growth::between(&counts(a), &counts(b), 3.0, Factor::Tempered(Phi::INDEPENDENT));
    assert_eq!(matches!(growth, Growth::Intensity { .. }), intensity, "{growth:?}");
    assert_eq!(matches!(growth, Growth::Share { .. }), share, "{growth:?}");
    assert_eq!(Growth::between(&counts(a), &counts(b), 1.0, Factor::Tempered(Phi::INDEPENDENT)), Growth::None);
}

fn history(pods: usize, failures: impl Fn(usize, usize) -> u64) -> Vec<PodStep> {
    (0..1200)
        .map(|t| PodStep {
            seconds: 1.0,
            pods: (0..pods).map(|pod| PodCounts { requests: 100, failures: failures(t, pod) }).collect(),
        })
        .collect()
}

#[test]
fn given_few_failures_then_phi_is_two() {
    assert_eq!(Phi::between_pods(&[]), Phi::UNKNOWN);
    assert_eq!(Phi::between_pods(&history(3, |t, pod| u64::from(t < 49 && pod == 0))), Phi::UNKNOWN);
}

#[test]
fn given_swings_all_pods_share_then_no_dispersion() {
    let phi = Phi::between_pods(&history(4, |t, _| if t / 300 % 2 == 0 { 1 } else { 20 }));
    assert_eq!(phi, Phi::INDEPENDENT);
    assert!(Phi::between_pods(&history(1, |t, _| if t / 300 % 2 == 0 { 1 } else { 20 })).get() > 10.0);
}

#[test]
fn given_bursts_of_ten_on_one_pod_then_phi_is_about_ten() {
    // Each 10 s one pod of four fails ten times together: per block of X = 10, sum (x - X/4)^2 = 75 over a mean of 7.5.
    let phi = Phi::between_pods(&history(4, |t, pod| if t % 10 == 0 && (t / 10 * 7 + t / 40) % 4 == pod { 10 } else { 0 }));
    assert!((9.0..=12.0).contains(&phi.get()), "{phi:?}");
    assert_eq!(phi.raised_to(Phi::UNKNOWN), phi);
}

/// One of ten pods fails twenty times as often, one by one: that is a bad pod, and no sign of bursts.
#[test]
fn given_a_pod_that_is_always_worse_then_it_is_no_dispersion() {
    let one_by_one = |t: usize, pod: usize| u64::from((t * 7 + pod * 13).is_multiple_of(40));
    let alike = Phi::between_pods(&history(10, one_by_one));
    let with_bad =
        Phi::between_pods(&history(10, |t, pod| if pod == 3 { u64::from(t.is_multiple_of(2)) } else { one_by_one(t, pod) }));
    assert!((with_bad.get() - alike.get()).abs() < 0.1, "{with_bad:?} {alike:?}");
    // Of three pods none is left out: two are too few to say which one is unlike.
    let of_three =
        Phi::between_pods(&history(3, |t, pod| if pod == 2 { u64::from(t.is_multiple_of(2)) } else { one_by_one(t, pod) }));
    assert!(of_three.get() > 10.0, "{of_three:?}");
}

#[test]
fn given_a_record_that_is_damaged_then_it_is_refused() {
    let text = serde_json::to_string(&HarmProcess::new(Margin::default(), StartMass::AllAtOnce)).unwrap();
    assert!(serde_json::from_str::<HarmProcess>(&text).is_ok());
    assert!(serde_json::from_str::<HarmProcess>(&text.replacen("AAAA", "AA!A", 1)).is_err());
    assert!(serde_json::from_str::<HarmProcess>(&text.replacen("AAAA", "", 1)).is_err());
    assert!(bits::decode::<1>("AAAAAAAA8D8=").is_ok_and(|v| v == [1.0]));
    assert!(bits::decode::<1>("AAAAAAAA8D8").is_err());
}
