//! What happens around a release: to what is counted, to the gateway, to Firebreak; and where there is little to count.

use super::{FAILS, HOUR, MINUTE, at_rate, fails, read_every, row, shop, with};
use crate::{
    Behaviour, Curve, Gateway, Hands, Operator, Scenario, Source,
    scenarios::{End, Row},
};

pub(super) fn rows() -> Vec<Row> {
    [read(), unseen(), small(), of_the_house()].concat()
}

/// How pods are read.
fn read() -> Vec<Row> {
    let with_gaps = |shop: Scenario| {
        let shop = read_every(15.0, shop);
        Scenario { source: Source { lost: 0.05, ..shop.source.clone() }, ..shop }
    };
    let busy = Scenario { replicas: 40, ..at_rate(20_000.0, shop()) };
    vec![
        row("harmless, 20,000 requests a second", busy.clone(), End::Promoted, "the more requests, the sooner it is proved")
            .quietly(),
        row(
            "harmless, read every 5 s",
            read_every(5.0, shop()),
            End::Promoted,
            "fewer readings are fewer looks, not fewer requests",
        )
        .quietly(),
        row(
            "harmless, 20,000 requests a second, read every 5 s",
            read_every(5.0, busy),
            End::Promoted,
            "the split follows; that pods are read one after another is no reason to doubt it",
        )
        .quietly(),
        row(
            "harmless, read every 15 s",
            read_every(15.0, shop()),
            End::Promoted,
            "fewer readings are fewer looks, not fewer requests",
        )
        .until(2.0 * HOUR)
        .quietly(),
        row(
            "harmless, read every 15 s, one reading in 20 lost",
            with_gaps(shop()),
            End::Promoted,
            "a reading that is lost is made up for by the next",
        )
        .until(2.0 * HOUR),
        row(
            "fails 5x, read every 15 s, one reading in 20 lost",
            with_gaps(with(fails(5.0, 0.0))),
            End::TakenBack(FAILS),
            "seen later by a few readings",
        ),
    ]
}

/// What the counters do not show, or nobody reads.
fn unseen() -> Vec<Row> {
    let away = |from: f64, to: f64, shop: Scenario| {
        let source = Source { outages: vec![(from, to)], ..shop.source.clone() };
        Scenario { source, ..shop }
    };
    let gone = (5.0 * MINUTE, 20.0 * MINUTE);
    let gives = |times: f64| {
        let shop = shop();
        Scenario { gateway: Gateway { gives: Curve::constant(times), ..shop.gateway.clone() }, ..shop }
    };
    vec![
        row(
            "metrics are gone for 15 minutes",
            away(gone.0, gone.1, shop()),
            End::Promoted,
            "nobody knows, so nothing moves; then it goes on from what was counted",
        )
        .since(gone.0)
        .holding(&["BackendUnreachable"], gone.1),
        row(
            "metrics are gone, and it breaks (20x) meanwhile",
            away(gone.0, gone.1, with(fails(20.0, 10.0 * MINUTE))),
            End::TakenBack(FAILS),
            "counters are cumulative: the first look after shows what happened",
        )
        .since(gone.0)
        .holding(&["BackendUnreachable"], gone.1),
        row(
            "it drops half of its requests before counting",
            with(|usual| Behaviour { dropped: Curve::constant(0.5), ..usual }),
            End::Open,
            "too few requests arrive for the weight: something eats them, and a human must look",
        )
        .held(&["SplitNotFollowed"]),
        row(
            "the gateway gives four times what was written",
            gives(4.0),
            End::Open,
            "who gets what nobody granted is not judged on",
        )
        .held(&["SplitNotFollowed"]),
        row("the gateway gives the candidate nothing", gives(0.0), End::Open, "nothing reaches it, so nothing is proved")
            .held(&["SplitNotFollowed"]),
    ]
}

/// Where there is little to see, or little that matters.
fn small() -> Vec<Row> {
    let quiet = |shop: Scenario| at_rate(0.5, shop);
    let busy = Scenario {
        replicas: 40,
        stable: Behaviour::usual().failing(Curve::constant(1e-5)),
        ..at_rate(20_000.0, with(|usual| usual.failing(Curve::constant(5e-5))))
    };
    vec![
        row(
            "harmless, one request in two seconds",
            quiet(shop()),
            End::Open,
            "45 requests in half an hour prove nothing: a human decides",
        )
        .since(30.0 * MINUTE)
        .until(2.0 * HOUR)
        .held(&["Inconclusive"]),
        row(
            "every request fails, one in two seconds",
            quiet(with(fails(1e9, 0.0))),
            End::TakenBack(FAILS),
            "six failures of six are enough, however long they take to come",
        )
        .until(2.0 * HOUR),
        row(
            "fails 5x, which is one in 20,000",
            busy,
            End::Open,
            "proved, but 0.004 % of all requests: told to a human, who decides",
        )
        .since(10.0 * MINUTE)
        .until(0.5 * HOUR)
        .held(&["HarmImmaterial"]),
    ]
}

/// What goes wrong with Firebreak itself and around it.
fn of_the_house() -> Vec<Row> {
    let fragile = |shop: Scenario| {
        let down = (1..=30).map(|at| (180.0 * f64::from(at), 180.0f64.mul_add(f64::from(at), 40.0))).collect();
        Scenario { operator: Operator { down, ..shop.operator.clone() }, hands: Hands { delay: 1.0, failure: 0.2 }, ..shop }
    };
    let set = |at: f64, by: f64| {
        let shop = shop();
        Scenario { operator: Operator { clock_set: vec![(at, by)], ..shop.operator.clone() }, ..shop }
    };
    let reverted = {
        let shop = shop();
        Scenario { gateway: Gateway { reverted_every: Some(120.0), ..shop.gateway.clone() }, ..shop }
    };
    vec![
        row(
            "harmless, another tool reverts the routes",
            reverted,
            End::Promoted,
            "a reverted route is on stable, the safe side; it is written again, and the other tool is named",
        ),
        row(
            "harmless, the operator is often away",
            fragile(shop()),
            End::Promoted,
            "whoever comes after goes on from what was stored",
        ),
        row(
            "fails 5x, the operator is often away",
            fragile(with(fails(5.0, 0.0))),
            End::TakenBack(FAILS),
            "as soon as one is back",
        ),
        row("harmless, the clock is set back by 5 minutes", set(5.0 * MINUTE, -300.0), End::Promoted, "time is no evidence")
            .quietly(),
        row("harmless, the clock is set ahead by 5 minutes", set(5.0 * MINUTE, 300.0), End::Promoted, "time is no evidence")
            .quietly(),
        row("harmless, the clock is set ahead by an hour while pods start", set(3.0, HOUR), End::Promoted, "time is no evidence"),
    ]
}
