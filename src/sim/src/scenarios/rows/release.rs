//! What a release does, and what is done to it and to stable alike.

use firebreak_engine::risk::Level;

use super::{FAILING, FAILS, HOUR, MINUTE, at_rate, beginning_at, both, fails, read_every, row, setup, shop, with};
use crate::{
    Behaviour, Curve, Life, Noisy, Scenario, Surges, Traffic, Worse,
    scenarios::{End, Row},
};

pub(super) fn rows() -> Vec<Row> {
    [plain(), shared(), late(), of_some()].concat()
}

/// What every release is asked.
fn plain() -> Vec<Row> {
    let rough = Scenario {
        traffic: Traffic {
            rate: Curve::wave(300.0, 0.4, HOUR),
            surges: Some(Surges { every: 300.0, lasting: 30.0, times: 3.0 }),
            ..shop().traffic
        },
        ..both(shop(), |arm| Behaviour { bursts: Curve::constant(3.0), ..arm })
    };
    vec![
        row("harmless", shop(), End::Promoted, "nothing is wrong, and traffic enough to show it").quietly(),
        row(
            "harmless, failures in bursts, traffic in surges",
            rough,
            End::Promoted,
            "what comes in bursts in both arms is noise, and its size is known from stable's past",
        ),
        row(
            "harmless, its failures come four at once, stable's do not",
            with(|usual| Behaviour { bursts: Curve::constant(4.0), ..usual }),
            End::Promoted,
            "no more of its requests fail",
        ),
        row(
            "harmless, failures begin to come three at once in both arms",
            both(shop(), |arm| Behaviour { bursts: Curve::steps([(-1.0, 1.0), (0.0, 3.0)]), ..arm }),
            End::Promoted,
            "stable's own halves differ as much: the noise is larger than its past said",
        ),
        row(
            "every request fails",
            with(fails(1e9, 0.0)),
            End::TakenBack(FAILS),
            "more than half of its requests fail: nobody waits for statistics",
        ),
        row(
            "fails five times as often",
            with(fails(5.0, 0.0)),
            End::TakenBack(FAILS),
            "0.4 % more of all requests would fail, four times the budget",
        ),
        row(
            "fails 1.2 times as often",
            at_rate(600.0, with(fails(1.2, 0.0))),
            End::Promoted,
            "below the margin of 1.25, and 0.02 % of all requests is a fifth of the budget",
        ),
        row(
            "orders fall by half, without errors",
            with(|usual| Behaviour { orders: Curve::constant(0.05), ..usual }),
            End::TakenBack(&["FewerThanStable"]),
            "users do not get what they came for, whatever the status code",
        ),
    ]
}

/// What is no fault of the candidate's, or not of it alone.
fn shared() -> Vec<Row> {
    let bad = |to: f64| Curve::steps([(0.0, FAILING), (180.0, 0.3), (to, FAILING)]);
    let storm = Scenario {
        setup: beginning_at(20),
        traffic: Traffic { rate: Curve::constant(3000.0), retries: 3.0, ..shop().traffic },
        capacity: 360.0,
        ..with(|usual| usual.failing(Curve::steps([(0.0, FAILING), (120.0, 0.6)])))
    };
    let quick = |arm| Behaviour { latency: Curve::constant(0.0345), ..arm };
    let crowded = Scenario { capacity: 100.0, crowding: 1.5, ..both(shop(), quick) };
    let again = Traffic { retries: 0.8, ..shop().traffic };
    let sticky = Traffic { sticky: true, ..again.clone() };
    vec![
        row(
            "bad content to everyone for 15 minutes",
            both(shop(), |arm| arm.failing(bad(1080.0))),
            End::Promoted,
            "both arms fail alike, so it is not the release; nothing goes on until it is over, then all goes on",
        )
        .since(180.0)
        .holding(&["StableUnhealthy"], 1080.0),
        row(
            "bad content to everyone for good",
            both(shop(), |arm| arm.failing(bad(1e9))),
            End::Open,
            "both arms fail alike: to take the release back would mend nothing",
        )
        .since(180.0)
        .held(&["StableUnhealthy"]),
        row(
            "its failures are retried until stable fails too",
            read_every(15.0, storm),
            End::TakenBack(FAILS),
            "until the first reading stable is overrun by what the candidate failed, which still fails far more often",
        )
        .since(120.0),
        row(
            "harmless, a pod with more to do is slower",
            crowded,
            End::Promoted,
            "the candidate's pods are as fast as stable's were before they had less to do",
        ),
        row(
            "harmless, failures are retried",
            Scenario { traffic: again.clone(), ..both(shop(), |arm| arm.failing(Curve::constant(3.0 * FAILING))) },
            End::Promoted,
            "retries raise the requests of both arms alike",
        ),
        row(
            "fails five times as often, failures are retried",
            Scenario { traffic: again, ..with(fails(5.0, 0.0)) },
            End::TakenBack(FAILS),
            "retries that stable answers hide nothing: each arm's own counters are compared",
        ),
        row(
            "fails five times as often, retried where they failed",
            Scenario { traffic: sticky, ..with(fails(5.0, 0.0)) },
            End::TakenBack(FAILS),
            "retries at the candidate raise its requests and its failures",
        ),
    ]
}

/// Faults that are not there from the beginning, or not always.
fn late() -> Vec<Row> {
    let high = |candidate: fn(Behaviour) -> Behaviour| Scenario { setup: setup(Level::High), ..with(candidate) };
    let onset = 40.0 * MINUTE;
    let swinging = |usual: Behaviour| usual.failing(Curve::steps([(0.0, FAILING), (300.0, 5.0 * FAILING)]).every(600.0));
    let leak = |usual: Behaviour| Behaviour { latency: Curve::slope([(0.0, 0.05), (30.0 * MINUTE, 0.2)]), ..usual };
    let cold = |failing, latency| {
        move |usual: Behaviour| {
            let life = Life { warm_up: Some((20.0, Worse { failing, latency })), ..usual.life };
            Behaviour { life, ..usual }
        }
    };
    vec![
        row(
            "an unused path fails 5x from minute 40, high risk",
            high(|usual| fails(5.0, 40.0 * MINUTE)(usual)),
            End::TakenBack(FAILS),
            "what was good for 40 minutes is no excuse: the late harm is as real",
        )
        .since(onset)
        .until(2.0 * HOUR),
        row(
            "good and bad (5x) for five minutes each",
            with(swinging),
            End::TakenBack(FAILS),
            "the bad times harm, and the good ones do not make up for them",
        )
        .since(300.0),
        row(
            "latency leaks away, 50 to 200 ms in half an hour",
            with(leak),
            End::TakenBack(&["SlowerThanStable"]),
            "more and more requests are slow; a higher stage would slow everyone",
        ),
        row(
            "cold pods fail 3x for their first 20 s",
            both(shop(), cold(3.0, 1.0)),
            End::Promoted,
            "as at every start of this workload; a handful of requests more fails at each stage",
        ),
        row(
            "cold pods are 2x slower for their first 20 s",
            both(shop(), cold(1.0, 2.0)),
            End::Promoted,
            "as at every start of this workload; it is over before anyone could act on it",
        ),
    ]
}

/// Some pods are worse than others.
fn of_some() -> Vec<Row> {
    let four = |failing, latency| {
        let noisy = Some(Noisy { one_in: 4, worse: Worse { failing, latency } });
        at_rate(600.0, Scenario { setup: beginning_at(20), replicas: 20, ..with(|usual| Behaviour { noisy, ..usual }) })
    };
    let bad_stable = |times: f64| {
        let noisy = Some(Noisy { one_in: 10, worse: Worse { failing: 20.0, latency: 1.0 } });
        Scenario { stable: Behaviour { noisy, ..shop().stable }, ..with(fails(times, 0.0)) }
    };
    let dying = |times| {
        let shop = Scenario { replicas: 20, ..with(fails(times, 0.0)) };
        both(shop, |arm| Behaviour {
            life: Life { restarts_every: Some(300.0), vanishes_every: Some(1800.0), ..arm.life },
            ..arm
        })
    };
    vec![
        row(
            "one of four pods fails 1.5x, on a noisy node",
            four(1.5, 1.0),
            End::Promoted,
            "1.13 times as many failures in all, below the margin, and an eighth of the budget",
        ),
        row(
            "one of four pods fails 20x",
            four(20.0, 1.0),
            End::TakenBack(FAILS),
            "almost six times as many failures in all: users do not care which pod",
        ),
        row(
            "one of four pods is 4x slower",
            four(1.0, 4.0),
            End::TakenBack(&["SlowerThanStable"]),
            "one in fifteen requests is slow, where one in 700 was",
        ),
        row(
            "harmless, one of stable's ten pods fails 20x",
            bad_stable(1.0),
            End::Promoted,
            "the release fails less than stable, whose bad pod it would replace",
        )
        .until(HOUR),
        row(
            "fails 10x, one of stable's ten pods fails 20x",
            bad_stable(10.0),
            End::TakenBack(FAILS),
            "three times what stable fails with its bad pod",
        )
        .until(HOUR),
        row(
            "harmless, pods restart every 5 minutes",
            dying(1.0),
            End::Promoted,
            "counters begin anew in both arms; a reset is no failure and no request",
        )
        .until(2.0 * HOUR),
        row(
            "fails 5x, pods restart every 5 minutes",
            dying(5.0),
            End::TakenBack(FAILS),
            "what was counted before a restart stays counted",
        ),
        row(
            "its pods are never ready",
            with(|usual| Behaviour { life: Life { stuck: 1.0, ..usual.life }, ..usual }),
            End::TakenBack(&["CandidateNotReady"]),
            "the workload's own deadline says when that is a failure; nobody was sent there",
        ),
    ]
}
