//! The rows: one shop, and what happens to it.
//!
//! Where nothing else is said it has ten pods and 300 requests a second, of which one in a thousand fails, one in 700 is slow
//! and one in ten brings an order; its pods are read every second; its Changes are of medium risk, with the built-in plan.

mod around;
mod release;

use firebreak_engine::{
    Plan, Setup,
    plan::{Exposure, SignalCounts, SignalSetup},
    risk::Level,
    units::Weight,
};

use super::{End, Hold, Row};
use crate::{Behaviour, Curve, Scenario, Source, Traffic};

const MINUTE: f64 = 60.0;
const HOUR: f64 = 3600.0;
/// Share of requests that fails in both arms where nothing is wrong.
const FAILING: f64 = 0.001;
/// Share of seeds in which a harmless candidate is to be promoted: two signals are to open three stages.
const MOST: f64 = 0.95;
/// Share of seeds in which what is plain is to be decided.
const ALL: f64 = 0.99;
/// Ways in which harm is named that shows in failed requests.
const FAILS: &[&str] = &["FailsMoreThanStable", "MostRequestsFail"];

fn setup(level: Level) -> Setup {
    let signal = |name: &str, counts, share| SignalSetup { name: name.into(), counts, share, opens: true };
    Setup {
        plan: Plan::built_in(level).0,
        signals: vec![
            signal("errors", SignalCounts::Failures, 0.5),
            signal("slow", SignalCounts::Slow, 0.3),
            signal("orders", SignalCounts::Successes, 0.2),
        ],
        checks: Vec::new(),
        dependents: Vec::new(),
        both_sources: false,
        exposure: Exposure::Routes,
        ready_deadline_seconds: 600.0,
        availability: None,
        makers: firebreak_engine::people::Makers { changed_by: Some("ci".to_owned()), author: None },
        restore_template: false,
        refused: None,
        taken_over: false,
        late: None,
    }
}

fn shop() -> Scenario {
    at_rate(300.0, Scenario::harmless(setup(Level::Medium)))
}

fn at_rate(rate: f64, shop: Scenario) -> Scenario {
    Scenario { traffic: Traffic { rate: Curve::constant(rate), ..shop.traffic }, ..shop }
}

/// Prometheus reads the pods at this interval, each at its own time, and finds new ones after five seconds.
fn read_every(scrape_seconds: f64, shop: Scenario) -> Scenario {
    let source = Source { scrape_seconds, finds_after: 5.0, lag: 0.5, ..shop.source };
    Scenario { source, ..shop }
}

/// A plan of medium risk that begins at this share.
fn beginning_at(percent: i32) -> Setup {
    let mut setup = setup(Level::Medium);
    setup.plan.stages.retain(|stage| *stage > Weight::percent(percent));
    setup.plan.stages.insert(0, Weight::percent(percent));
    setup
}

/// A shop whose candidate is another.
fn with(candidate: impl FnOnce(Behaviour) -> Behaviour) -> Scenario {
    let shop = shop();
    Scenario { candidate: candidate(shop.candidate.clone()), ..shop }
}

/// Fails so many times as often as it should from this second on.
fn fails(times: f64, from: f64) -> impl FnOnce(Behaviour) -> Behaviour {
    move |usual| usual.failing(Curve::steps([(0.0, FAILING), (from, FAILING * times)]))
}

/// Both arms of a shop are others.
fn both(shop: Scenario, arm: impl Fn(Behaviour) -> Behaviour) -> Scenario {
    Scenario { candidate: arm(shop.candidate.clone()), stable: arm(shop.stable.clone()), ..shop }
}

fn row(name: &'static str, world: Scenario, end: End, why: &'static str) -> Row {
    let quiet = false;
    Row {
        name,
        why,
        world,
        since: 0.0,
        until: 1.5 * HOUR,
        hold: None,
        end,
        quiet,
        bar: if end == End::Promoted { MOST } else { ALL },
    }
}

impl Row {
    fn since(self, since: f64) -> Self {
        Self { since, ..self }
    }

    /// Nobody is to be alarmed.
    fn quietly(self) -> Self {
        Self { quiet: true, ..self }
    }

    fn until(self, until: f64) -> Self {
        Self { until, ..self }
    }

    fn holding(self, reasons: &'static [&'static str], to: f64) -> Self {
        Self { hold: Some(Hold { reasons, to }), ..self }
    }

    fn held(self, reasons: &'static [&'static str]) -> Self {
        let to = self.until;
        self.holding(reasons, to)
    }
}

/// All rows.
#[must_use]
pub fn rows() -> Vec<Row> {
    [release::rows(), around::rows()].concat()
}
