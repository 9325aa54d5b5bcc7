//! The list: what is promised, in which worlds, with which bar.

use firebreak_engine::{dependents::Measured, plan::Plan, risk::Level, units::Weight};

use super::{Measure, Row, World};
use crate::{Arms, Dependents, Fails, Guards, Load, Rollout, Wander, rules::RuleKind};

/// Seconds from the last step to the end of a step's share: a slope that is followed.
const RAMP: f64 = 1800.0;
/// Where stable's past has trouble, seconds before the first exposure, and how many times as much fails in it.
const PAST_OUTAGE: (f64, f64, f64) = (-1800.0, -1200.0, 10.0);
/// Trouble that both arms share during a Change: from, to, times.
const OUTAGE: (f64, f64, f64) = (60.0, 660.0, 10.0);
/// Stable's health is judged over this many seconds: so long after trouble began a stage may still begin.
const HEALTH: f64 = 30.0;
/// Part of the runs where stable has no request for half of the time: a look is judged at all margins then, and takes many times as long.
const ALONE_PART: f64 = 0.1;
/// Pods of stable and candidate where pods are not alike.
const SEVERAL_PODS: (usize, usize) = (10, 4);

/// All rows. A row's seed is its place: new ones come last.
#[must_use]
pub fn rows() -> Vec<Row> {
    let first = [taken_back(), opens_wrongly(), harm(), promotion(), shared_trouble()];
    let then = [more_noises(), high_shares(), halves(), dependents()];
    first.into_iter().chain(then).flatten().collect()
}

fn of_arms(name: String, arms: Arms, measure: Measure, part: f64) -> Row {
    Row { name, world: World::Arms(Box::new(arms)), measure, part, informs: false }
}

/// How failures come.
fn noises(load: &Load) -> Vec<(&'static str, Load)> {
    let wander = Some(Wander { deviation: 0.3, seconds: 300.0 });
    let (from, to, times) = PAST_OUTAGE;
    let shared = vec![(f64::NEG_INFINITY, 1.0), (from, times), (to, 1.0)];
    vec![
        ("one by one", load.clone()),
        ("v/m 2", Load { bursts: 2.0, ..load.clone() }),
        ("v/m 4", Load { bursts: 4.0, ..load.clone() }),
        ("slow pods", Load { wander, pods: SEVERAL_PODS, ..load.clone() }),
        // The rate swings by half within the two hours, as a day does within its own.
        ("past with outage, swing", Load { shared, swing: (0.5, 14_400.0), ..load.clone() }),
    ]
}

/// A harmless candidate, or one exactly at the margin, is taken back with probability alpha at most.
fn taken_back() -> Vec<Row> {
    let ramp: Vec<(f64, u16)> = [10, 50, 200, 500].iter().zip(0..).map(|(share, at)| (f64::from(at) * RAMP, *share)).collect();
    let weights = [("5 %", vec![(0.0, 50)]), ("1/5/20/50 %", ramp)];
    let mut rows = Vec::new();
    for (ratio, kind) in [(1.0, "harmless"), (1.25, "at the border")] {
        for p in [0.01, 0.001] {
            for (noise, load) in noises(&Load::even(100.0, p)) {
                for (weight, shares) in &weights {
                    for look_seconds in [1.0, 2.0, 10.0] {
                        let arms = Arms { load: load.clone(), shares: shares.clone(), look_seconds, ..Arms::even() };
                        let arms = arms.with_candidate(Fails::Times(ratio));
                        let name = format!("taken back {kind}: {noise}, {weight}, p {} %, {look_seconds} s looks", p * 100.0);
                        rows.push(of_arms(name, arms.clone(), Measure::TakenBack(arms.alpha), 1.0));
                    }
                }
            }
        }
    }
    rows
}

/// Where the next stage would harm exactly the budget, it opens with probability beta at most.
fn opens_wrongly() -> Vec<Row> {
    let mut rows = Vec::new();
    for (guards, kind) in [(None, "opens wrongly"), (Some(Guards::NONE), "opens wrongly, unguarded")] {
        for (from, next) in [(10_u16, 50_u16), (50, 200), (200, 500), (500, 1000)] {
            for (shift, what) in [(1.0, "constant"), (1.5, "+50 %"), (0.5, "-50 %")] {
                for bursts in [1.0, 4.0] {
                    let p = 0.001;
                    // The past has the first rate; what follows comes at once.
                    let stable = vec![(f64::NEG_INFINITY, p), (0.0, p * shift)];
                    let arms = Arms {
                        load: Load { stable, bursts, ..Load::even(1000.0, p) },
                        shares: vec![(0.0, from)],
                        seconds: 1000.0,
                        next,
                        only_opens: true,
                        guards,
                        ..Arms::even()
                    };
                    let arms = arms.clone().with_candidate(Fails::Beyond(arms.budget / Weight::permille(next).share()));
                    let percent = |share: u16| f64::from(share) / 10.0;
                    let name = format!("{kind} {}->{} %: base rate {what}, v/m {bursts}", percent(from), percent(next));
                    let row = of_arms(name, arms.clone(), Measure::OpensWrongly(arms.beta), 0.2);
                    rows.push(Row { informs: guards.is_some(), ..row });
                }
            }
        }
    }
    rows
}

/// What harm costs until it is taken back.
fn harm() -> Vec<Row> {
    let mut rows = Vec::new();
    for ratio in [2.0, 3.0, 5.0, 10.0] {
        let arms = Arms::even().with_candidate(Fails::Times(ratio));
        let bar = 2.0 * theory_line(&arms, ratio, 0.05);
        // What is proved is harm beyond the margin; the line of any harm at all would be lower, and is no promise of such a test.
        let any = 2.0 * theory_line(&Arms { margin: 1.0, ..arms.clone() }, ratio, 0.05);
        let name =
            format!("failed beyond stable's, {ratio}x, 5 % of 100 rps, twice the theory line ({any:.1} without the margin)");
        rows.push(of_arms(name, arms, Measure::Excess(bar), 0.1));
    }
    let fast = Arms { load: Load::even(2000.0, 0.01), seconds: 60.0, ..Arms::even() };
    let all = Arms { shares: vec![(0.0, 10)], ..fast.clone() }.with_candidate(Fails::All);
    let name = "failed, every request fails, 1 % of 2,000 rps, median".to_owned();
    rows.push(of_arms(name, all, Measure::Failures(60.0), 0.1));
    // As read from the pods once a second, with a gateway that follows its route a second late.
    let (plan, _) = Plan::built_in(Level::Medium);
    let plan = Plan { stages: [1, 5, 20, 50, 100].map(Weight::percent).to_vec(), ..plan };
    let mut load = Load::even(2000.0, 0.01);
    load.candidate = vec![(0.0, Fails::All)];
    let rollout = Rollout { seen_after: 0.0, follows_after: 1.0, longest_seconds: 60.0, ..Rollout::new(plan, load) };
    rows.push(Row {
        name: "failed, every request fails, 1 % of 2,000 rps, gateway 1 s late, median".to_owned(),
        world: World::Rollout(Box::new(rollout), RuleKind::Firebreak),
        measure: Measure::Failures(60.0),
        part: 0.1,
        informs: false,
    });
    // As on the real cluster, but with a past of 45 minutes: 540 failures say that they come one by one, 60 leave it in doubt.
    let few = Arms { load: Load::even(200.0, 0.001), shares: vec![(0.0, 100)], seconds: 600.0, ..Arms::even() };
    let few = few.with_candidate(Fails::Times(50.0));
    let name = "failed, 5 % fail, 10 % of 200 rps, stable fails 0.1 %, median".to_owned();
    rows.push(of_arms(name, few, Measure::Failures(8.0), 0.1));
    let mut late = Arms { seconds: 7200.0, ..fast };
    late.load.candidate = vec![(0.0, Fails::Times(1.0)), (5400.0, Fails::Times(5.0))];
    let name = "looks until taken back, 5x after 90 min, 5 % of 2,000 rps, median".to_owned();
    rows.push(of_arms(name, late, Measure::LateLooks(5400.0, 10.0), 0.02));
    rows
}

/// Failed requests beyond stable's at which the best test of one known ratio would have its proof in the mean, ln(1/alpha)
/// over the information of one failure (Wald's first-order line), at margin r0 and the candidate's share.
fn theory_line(arms: &Arms, ratio: f64, share: f64) -> f64 {
    let per_stable = share * ratio + 1.0 - share;
    let (q, null) = (share * ratio / per_stable, share * arms.margin / (share * arms.margin + 1.0 - share));
    let information = q * (q / null).ln() + (1.0 - q) * ((1.0 - q) / (1.0 - null)).ln();
    -arms.alpha.ln() / information * share * (ratio - 1.0) / per_stable
}

/// Five stages, medium's promises, 0.1 % failing and a budget of 0.1 % of all requests.
fn five_stages(rate: f64) -> Rollout {
    let (plan, _) = Plan::built_in(Level::Medium);
    let stages = [1, 5, 20, 50, 100].map(Weight::percent).to_vec();
    Rollout::new(Plan { stages, ..plan }, Load::even(rate, 0.001))
}

/// A harmless candidate is promoted soon: the bar is the evidence's time, and the policy's bakes where it has some.
fn promotion() -> Vec<Row> {
    let mut rows = Vec::new();
    for (rate, minutes) in [(2000.0, 5.0), (200.0, 25.0)] {
        for bakes in [true, false] {
            for (rule, kind) in [(RuleKind::Firebreak, ""), (RuleKind::Guarded(Guards::NONE), ", unguarded")] {
                let mut rollout = five_stages(rate);
                let plan = &mut rollout.setup.plan;
                if !bakes {
                    // Of a second: a stage that ends as it begins would be left on the proof of the one before.
                    (plan.min_bake_seconds, plan.final_bake_seconds) = (1.0, 1.0);
                }
                let baked = plan.min_bake_seconds * 4.0 + plan.final_bake_seconds;
                let what = if bakes { format!("bakes of {:.0} min", baked / 60.0) } else { "bakes of 1 s".to_owned() };
                rows.push(Row {
                    name: format!("minutes to promotion, 1/5/20/50/100 %, {rate} rps, p 0.1 %, beta 5 %, {what}{kind}"),
                    informs: rule != RuleKind::Firebreak,
                    world: World::Rollout(Box::new(rollout), rule),
                    measure: Measure::MinutesToPromotion(minutes + baked / 60.0),
                    part: 0.05,
                });
            }
        }
    }
    rows
}

/// Trouble that both arms share takes nothing back and opens nothing, and afterwards the Change goes on.
fn shared_trouble() -> Vec<Row> {
    let (from, to, times) = OUTAGE;
    let row = |(rate, p, level): (f64, f64, Level)| {
        let (plan, _) = Plan::built_in(level);
        let load = Load { shared: vec![(f64::NEG_INFINITY, 1.0), (from, times), (to, 1.0)], ..Load::even(rate, p) };
        let rollout = Rollout::new(plan.clone(), load);
        Row {
            name: format!(
                "taken back, a step, or not promoted: both arms fail 10x for 10 min, {rate} rps, p {} %, {level}",
                p * 100.0
            ),
            world: World::Rollout(Box::new(rollout), RuleKind::Firebreak),
            measure: Measure::SharedTrouble(plan.alpha, (from + HEALTH, to)),
            part: 0.05,
            informs: false,
        }
    };
    [(2000.0, 0.001, Level::Medium), (200.0, 0.001, Level::Medium), (2000.0, 0.01, Level::Medium), (2000.0, 0.001, Level::Low)]
        .map(row)
        .to_vec()
}

/// A row of false take-backs; without a promise where `informs`.
fn taken_back_in(what: &str, arms: &Arms, ratio: f64, informs: bool) -> Row {
    let kind = if ratio == 1.0 { "harmless" } else { "at the border" };
    let name = format!("taken back {kind}: {what}, {} s looks", arms.look_seconds);
    let row = of_arms(name, arms.clone().with_candidate(Fails::Times(ratio)), Measure::TakenBack(arms.alpha), 1.0);
    Row { informs, ..row }
}

/// Other noise, and other shares.
fn more_noises() -> Vec<Row> {
    let even = Load::even(100.0, 0.01);
    let mut rows = Vec::new();
    for look_seconds in [1.0, 10.0] {
        let arms = |load: &Load, share| Arms { load: load.clone(), shares: vec![(0.0, share)], look_seconds, ..Arms::even() };
        for share in [10, 200, 500] {
            for (bursts, noise) in [(1.0, "one by one"), (4.0, "v/m 4")] {
                let what = format!("{noise}, {} %, p 1 %", share / 10);
                rows.push(taken_back_in(&what, &arms(&Load { bursts, ..even.clone() }, share), 1.25, false));
            }
        }
        let (from, to, times) = PAST_OUTAGE;
        let shared = vec![(f64::NEG_INFINITY, 1.0), (from, times), (to, 1.0)];
        let troubled = Load { bursts: 4.0, shared, swing: (0.5, 14_400.0), ..even.clone() };
        rows.push(taken_back_in("v/m 4, past with outage, swing, 5 %, p 1 %", &arms(&troubled, 50), 1.25, false));
        let routed = Load { bursts: 4.0, routed: true, ..even.clone() };
        rows.push(taken_back_in("v/m 4, each failure to either arm, 5 %, p 1 %", &arms(&routed, 50), 1.25, false));
        // Of one pod the candidate's trouble is that pod's, which nothing tells from the release: use more than one.
        for (deviation, pods) in [(0.3, 1), (0.5, 1), (0.5, 4)] {
            let wander = Some(Wander { deviation, seconds: 300.0 });
            let load = Load { wander, pods: (SEVERAL_PODS.0, pods), ..even.clone() };
            let of_pods = if pods == 1 { "a single pod of the candidate's".to_owned() } else { format!("{pods} pods") };
            let what = format!("slow pods by {} %, {of_pods}, 5 %, p 1 %", deviation * 100.0);
            rows.push(taken_back_in(&what, &arms(&load, 50), 1.0, pods == 1));
        }
    }
    rows
}

/// Shares at which stable tells little, up to the one at which it has no request and its past is all there is.
fn high_shares() -> Vec<Row> {
    let full = |before: u16| vec![(0.0, before), (RAMP, 1000)];
    let mut rows = Vec::new();
    for (ratio, p) in [(1.0, 0.01), (1.25, 0.01), (1.25, 0.001)] {
        for bursts in [1.0, 4.0] {
            let load = Load { bursts, ..Load::even(100.0, p) };
            for (what, shares) in [("80 %", vec![(0.0, 800)]), ("95 %", vec![(0.0, 950)]), ("50 %, then 100 %", full(500))] {
                let alone = shares.last().is_some_and(|(_, share)| *share == 1000);
                let arms = Arms { load: load.clone(), shares, ..Arms::even() };
                let row = taken_back_in(&format!("v/m {bursts}, {what}, p {} %", p * 100.0), &arms, ratio, false);
                rows.push(Row { part: if alone { ALONE_PART } else { row.part }, ..row });
            }
        }
    }
    // Stable's rate rises by half just when it has no request any more: its bound is wider by as much.
    let risen = vec![(f64::NEG_INFINITY, 0.01), (RAMP, 0.015)];
    let arms = Arms { load: Load { stable: risen, ..Load::even(100.0, 0.01) }, shares: full(500), ..Arms::even() };
    let row = taken_back_in("all fail half as often again from 100 % on, 50 %, then 100 %, p 1 %", &arms, 1.25, false);
    rows.push(Row { part: ALONE_PART, ..row });
    for (share, what) in [(500, "50 %"), (800, "80 %"), (950, "95 %"), (1000, "100 %")] {
        let late = vec![(0.0, Fails::Times(1.0)), (RAMP, Fails::Times(5.0))];
        let load = Load { candidate: late, ..Load::even(100.0, 0.01) };
        let arms = Arms { load, shares: vec![(0.0, 500), (RAMP, share)], seconds: 2.0 * RAMP, ..Arms::even() };
        let name = format!("looks until taken back, 5x from {what} on, 100 rps, p 1 %, median");
        let row = of_arms(name, arms, Measure::LateLooks(RAMP, 1800.0), 0.05);
        rows.push(Row { informs: true, ..row });
    }
    rows
}

/// Stable read in two halves: they do not differ without reason, and show noise that its past did not.
fn halves() -> Vec<Row> {
    let mut rows = Vec::new();
    for bursts in [1.0, 4.0] {
        let load = Load { bursts, halves: true, ..Load::even(100.0, 0.01) };
        let arms = Arms { load, ..Arms::even() };
        rows.push(taken_back_in(&format!("v/m {bursts}, by halves, 5 %, p 1 %"), &arms, 1.25, false));
    }
    for (halves, what) in [(false, "not asked"), (true, "asked")] {
        for ratio in [1.0, 1.25] {
            let load = Load { bursts: 4.0, past_bursts: Some(1.0), halves, ..Load::even(100.0, 0.01) };
            let what = format!("v/m 4 after a past of 1, halves {what}, 5 %, p 1 %");
            rows.push(taken_back_in(&what, &Arms { load, ..Arms::even() }, ratio, true));
        }
    }
    rows
}

/// Who is said to be harmed is, for all but a part of alpha.
fn dependents() -> Vec<Row> {
    let mut rows = Vec::new();
    // Measured by itself the border is that of the bound of its past, which is wider by half.
    for (measured, by, border) in [(Measured::ByCallers, "by callers", 1.25), (Measured::ByItself, "by itself", 1.25 * 1.5)] {
        for bursts in [1.0, 4.0] {
            for hurt in [0, 3] {
                let load = Load { bursts, ..Load::even(100.0, 0.01) };
                let arms = Arms { load, seconds: 1800.0, ..Arms::even() };
                let bar = arms.alpha;
                let name =
                    format!("said to be harmed wrongly, {by}: {hurt} of 10 fail 10x, the others at the border, v/m {bursts}");
                let world = Dependents { arms, measured, hurt: (hurt, 10.0), unhurt: (10 - hurt, border) };
                rows.push(Row {
                    name,
                    world: World::Dependents(Box::new(world)),
                    measure: Measure::WronglyHarmed(bar),
                    part: 0.2,
                    informs: false,
                });
            }
        }
    }
    rows
}
