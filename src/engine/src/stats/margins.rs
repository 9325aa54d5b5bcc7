//! How much harm is proved: one harm test per margin of a ladder, sharing clock and start masses.
//!
//! E falls as the margin grows, so the margins whose evidence has crossed are the lower ones, and the largest of them
//! is a lower bound of th = p_c/p_s: `th_lo` reaches the level's own margin when harm is proved there.
//!
//! The level's own margin decides, and judges every interval. The others only size a harm, which is asked where there is
//! evidence of one; until then their intervals are gathered ([`super::backlog`]), which costs a tenth.

use serde::{Deserialize, Serialize};

use super::backlog::Backlog;
use super::bets::{BETS, PerBet};
use super::factor::{Comparison, Factor, Margin};
use super::harm::HarmProcess;
use super::interval::{Counts, Mark, Waiting};
use super::mixture::{Mixture, Placed};
use super::one_arm::Alone;
use super::portable::ln;
use super::special::log_add_exp;
use super::start::{StartMass, Starts};

/// The ladder of margins at which harm is sized.
pub const LADDER: [f64; 10] = [1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0];

/// Harm tests at every margin of [`LADDER`] and at the level's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MarginGrid {
    own: Rung,
    /// The other margins, behind by what the backlog holds.
    others: Vec<Rung>,
    backlog: Backlog,
    starts: Starts,
    waiting: Waiting,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Rung {
    margin: Margin,
    /// The bets on the comparison: all of them, or half while the other half is on the candidate alone.
    mixture: Mixture,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    alone: Option<Mixture>,
    #[serde(default)]
    max_ln_e: f64,
}

impl Rung {
    fn new(margin: Margin) -> Self {
        Self { margin, mixture: Mixture::new(), alone: None, max_ln_e: 0.0 }
    }

    fn ln_e(&self) -> f64 {
        self.alone.as_ref().map_or(self.mixture.ln_e(), |alone| log_add_exp(self.mixture.ln_e(), alone.ln_e()))
    }

    fn compare(&mut self, placed: Placed, comparison: &Comparison, factor: Factor) {
        if let Some(alone) = self.alone.take() {
            self.mixture.join(&alone);
        }
        self.mixture.judge(placed, comparison, factor);
        self.max_ln_e = self.max_ln_e.max(self.ln_e());
    }

    fn judge_alone(&mut self, placed: Placed, counts: Counts, factor: Factor, of_candidate: &Alone) {
        let mut alone = self.alone.take().unwrap_or_else(|| {
            self.mixture = self.mixture.halved();
            self.mixture.clone()
        });
        let compared = Comparison::of(counts, self.margin);
        let compared = compared.map_or(NO_EVIDENCE, |comparison| comparison.ln_factors(factor));
        let Placed { mass, reserve } = placed.halved();
        self.mixture.multiply_ln(mass, &compared);
        self.mixture.sum_up(reserve);
        alone.multiply_ln(mass, &of_candidate.ln_factors(self.margin));
        alone.sum_up(reserve);
        self.alone = Some(alone);
        self.max_ln_e = self.max_ln_e.max(self.ln_e());
    }
}

/// Factor 1 for every bet.
const NO_EVIDENCE: PerBet = [0.0; BETS];

impl MarginGrid {
    /// Ten tests, or eleven where the level's own margin is not on the ladder.
    #[must_use]
    pub fn new(own: Margin, start: StartMass) -> Self {
        let others = LADDER.iter().map(|r0| Margin::new(*r0)).filter(|margin| *margin != own);
        Self {
            own: Rung::new(own),
            others: others.map(Rung::new).collect(),
            backlog: Backlog::default(),
            starts: Starts::new(start),
            waiting: Waiting::new(),
        }
    }

    /// Judges one interval at the level's own margin, see [`super::HarmProcess::update`], and gathers it for the others.
    pub fn update(&mut self, interval: Counts, factor: Factor, elapsed: f64) -> Mark {
        let (mark, counts) = self.waiting.admit(interval);
        let Some(counts) = counts else { return mark };
        self.starts.advance(elapsed);
        let Some(comparison) = Comparison::of(counts, self.own.margin) else { return mark };
        if !self.backlog.takes(factor) {
            self.catch_up();
        }
        let placed = Placed::take(&mut self.starts);
        self.backlog.add(counts, factor, placed.mass, self.others.iter().map(|rung| rung.margin));
        self.own.compare(placed, &comparison, factor);
        mark
    }

    /// The same where no request of stable's is to be expected: half of every bet so far goes on the candidate alone,
    /// against `upper_rate`, an upper bound of stable's failure probability fixed before the interval.
    ///
    /// With the next [`Self::update`] both halves are on the comparison again. Either way E is an e-value of what was
    /// known before: a mean of two that are.
    pub fn update_alone(&mut self, interval: Counts, factor: Factor, elapsed: f64, upper_rate: f64) -> Mark {
        let (mark, counts) = self.waiting.admit(interval);
        let Some(counts) = counts.filter(|counts| counts.n_c > 0) else { return mark };
        self.catch_up();
        self.starts.advance(elapsed);
        let placed = Placed::take(&mut self.starts);
        let of_others = Placed { mass: placed.mass + self.backlog.take_due(), ..placed };
        let alone = Alone::of(counts, upper_rate, factor);
        self.own.judge_alone(placed, counts, factor, &alone);
        self.others.iter_mut().for_each(|rung| rung.judge_alone(of_others, counts, factor, &alone));
        mark
    }

    /// Judges at the other margins what was gathered for them; then all margins are those of the last interval.
    pub fn catch_up(&mut self) {
        let Some(gathered) = self.backlog.take() else { return };
        let placed = Placed { mass: gathered.placed, reserve: self.starts.unspent() + self.backlog.due() };
        for (rung, shares) in self.others.iter_mut().zip(&gathered.shares) {
            rung.compare(placed, &gathered.comparison(shares), gathered.factor);
        }
    }

    /// The test at the level's own margin as it stands, to go on by itself.
    #[must_use]
    pub fn own(&self) -> HarmProcess {
        let mut mixture = self.own.mixture.clone();
        if let Some(alone) = &self.own.alone {
            mixture.join(alone);
        }
        HarmProcess::resume(self.own.margin, self.starts, self.waiting, mixture, self.own.max_ln_e)
    }

    /// The largest margin at which harm was proved at `alpha` at any look so far; 0 if at none. Margins other than the own
    /// one are as of the last [`Self::catch_up`].
    #[must_use]
    pub fn th_lo(&self, alpha: f64) -> f64 {
        let crossed = self.rungs().filter(|r| r.max_ln_e >= -ln(alpha));
        crossed.map(|r| r.margin.get()).fold(0.0, f64::max)
    }

    /// ln E at the level's own margin: what decides.
    #[must_use]
    pub fn ln_e(&self) -> f64 {
        self.own.ln_e()
    }

    /// The largest ln E at the level's own margin so far, at least 0.
    #[must_use]
    pub const fn max_ln_e(&self) -> f64 {
        self.own.max_ln_e
    }

    /// Whether harm beyond the level's own margin was proved at `alpha` at any look so far.
    #[must_use]
    pub fn has_crossed(&self, alpha: f64) -> bool {
        self.max_ln_e() >= -ln(alpha)
    }

    /// Each margin with its ln E, the own one now and the others as of the last [`Self::catch_up`]; from the lowest up.
    pub fn ln_e_by_margin(&self) -> impl Iterator<Item = (Margin, f64)> {
        self.rungs().map(|r| (r.margin, r.ln_e()))
    }

    /// The level's own margin r0.
    #[must_use]
    pub const fn margin(&self) -> Margin {
        self.own.margin
    }

    /// The same tests with another of their margins as the level's own; `None` where harm was not tested at it.
    #[must_use]
    pub fn at_margin(&self, own: Margin) -> Option<Self> {
        let mut grid = self.clone();
        if own == grid.own.margin {
            return Some(grid);
        }
        grid.catch_up();
        let other = grid.others.iter_mut().find(|rung| rung.margin == own)?;
        std::mem::swap(&mut grid.own, other);
        Some(grid)
    }

    /// How many intervals were judged.
    #[must_use]
    pub const fn evaluations(&self) -> u64 {
        self.starts.evaluations()
    }

    /// Counts that wait for their requests.
    #[must_use]
    pub const fn pending(&self) -> Counts {
        self.waiting.counts()
    }

    fn rungs(&self) -> impl Iterator<Item = &Rung> {
        let below = |rung: &&Rung| rung.margin < self.own.margin;
        let above = |rung: &&Rung| rung.margin > self.own.margin;
        self.others.iter().filter(below).chain([&self.own]).chain(self.others.iter().filter(above))
    }
}
