//! The choice among endpoints, over indices. Pure: readiness, cost and chance come in.

use rand::{Rng, RngExt as _};

use crate::sampler::Sampler;

/// What speaks for an endpoint.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer {
    pub(crate) cost: f64,
    /// How many requests it could take at this cost. Among those of equal cost this is the chance
    /// of those of one weight.
    pub(crate) room: f64,
    pub(crate) weight: f64,
    /// Decides among those of equal cost and weight.
    pub(crate) in_flight: u32,
}

impl Offer {
    /// Where all weigh the same.
    pub(crate) fn of_equal(cost: f64) -> Self {
        Self {
            cost,
            room: 1.0,
            weight: 1.0,
            in_flight: 0,
        }
    }
}

/// The best of those that were looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) index: usize,
}

/// How many endpoints are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choices {
    /// All of a small set, eight of a bigger one.
    Auto,
    /// That many.
    Exactly(usize),
}

impl Choices {
    /// None for all.
    pub(crate) fn of(self, len: usize) -> Option<usize> {
        let choices = match self {
            Self::Auto if len <= MOST_SCANNED => len,
            Self::Auto => CHOICES,
            Self::Exactly(choices) => choices,
        };
        (choices < len).then_some(choices)
    }
}

/// One of the least cost among all. Costs within [`TIE`] of the least are equal, and equals are
/// chosen from at random. `None` if there is no offer.
#[inline]
pub(crate) fn scan<B: Best, R: Rng + ?Sized>(
    sampler: &Sampler,
    rng: &mut R,
    mut offer: impl FnMut(usize, &mut R) -> Option<Offer>,
) -> Option<Found> {
    let mut best = B::default();
    for index in sampler.range() {
        if let Some(offer) = offer(index, rng) {
            best.take(index, offer, rng);
        }
    }
    best.found(rng)
}

/// Likewise among `choices` that are drawn by their weights: distinct ones where all weigh the same,
/// else as the draw has it, for to draw a heavy one twice is to draw two of what it stands for.
/// Where hardly any has an offer, all are asked, if any `may` have one.
#[inline]
pub(crate) fn sample<B: Best, R: Rng + ?Sized>(
    sampler: &Sampler,
    choices: usize,
    rng: &mut R,
    may: impl FnOnce() -> bool,
    mut offer: impl FnMut(usize, &mut R) -> Option<Offer>,
) -> Option<Found> {
    let mut best = B::default();
    let mut drawn = Drawn::default();
    let mut taken = 0;
    for _ in 0..choices.saturating_mul(DRAWS_PER_CHOICE).max(LEAST_DRAWS) {
        let index = if B::IS_WEIGHTED {
            sampler.draw(rng)
        } else {
            match drawn.next(sampler, rng) {
                Some(index) => index,
                None => break,
            }
        };
        if let Some(offer) = offer(index, rng) {
            best.take(index, offer, rng);
            taken += 1;
            if taken == choices {
                break;
            }
        }
    }
    if taken == 0 && may() {
        return scan::<B, R>(sampler, rng, offer);
    }
    // A few that could be found are as good.
    best.found(rng)
}

/// Keeps the best of the offers.
pub(crate) trait Best: Default {
    const IS_WEIGHTED: bool;

    fn take<R: Rng + ?Sized>(&mut self, index: usize, offer: Offer, rng: &mut R);

    fn found<R: Rng + ?Sized>(self, rng: &mut R) -> Option<Found>;
}

/// Draws without repetition, and without drawing again: each draw is from as many as are left, and
/// steps over those that were drawn, which are kept in order.
#[derive(Default)]
struct Drawn {
    sorted: [u32; MOST_REMEMBERED],
    len: usize,
}

impl Drawn {
    #[inline]
    fn next<R: Rng + ?Sized>(&mut self, sampler: &Sampler, rng: &mut R) -> Option<usize> {
        let mut index = sampler.draw_one_of(sampler.len().checked_sub(self.len)?, rng)?;
        let mut place = 0;
        while place < self.len && self.sorted[place] as usize <= index {
            index += 1;
            place += 1;
        }
        // Beyond that, what is forgotten may be drawn again.
        if self.len < MOST_REMEMBERED {
            for later in (place..self.len).rev() {
                self.sorted[later + 1] = self.sorted[later];
            }
            self.sorted[place] = index as u32;
            self.len += 1;
        }
        Some(index)
    }
}

/// Where all weigh the same.
pub(crate) struct BestOfEqual {
    index: usize,
    cost: f64,
    /// Below it is a new best.
    better: f64,
    /// Up to it is an equal.
    equal: f64,
    equals: f64,
}

impl BestOfEqual {
    fn new(index: usize, cost: f64, equals: f64) -> Self {
        Self {
            index,
            cost,
            better: cost * (1.0 - TIE),
            equal: cost * (1.0 + TIE),
            equals,
        }
    }
}

impl Default for BestOfEqual {
    fn default() -> Self {
        Self::new(0, f64::INFINITY, 0.0)
    }
}

impl Best for BestOfEqual {
    const IS_WEIGHTED: bool = false;

    #[inline]
    fn take<R: Rng + ?Sized>(&mut self, index: usize, offer: Offer, rng: &mut R) {
        let cost = offer.cost;
        if cost < self.better {
            *self = Self::new(index, cost, 1.0);
        } else if cost <= self.equal {
            let equals = self.equals + 1.0;
            let replaces = rng.random::<f64>() * equals < 1.0;
            let index = if replaces { index } else { self.index };
            *self = Self::new(index, self.cost.min(cost), equals);
        }
    }

    fn found<R: Rng + ?Sized>(self, _: &mut R) -> Option<Found> {
        (self.equals > 0.0).then_some(Found { index: self.index })
    }
}

/// Costs nearer to each other than 5 % say nothing about which endpoint is better.
pub(crate) const TIE: f64 = 0.05;
/// The biggest set of which all are compared: `docs/evaluation.md` shows what it costs and brings.
const MOST_SCANNED: usize = 16;
const CHOICES: usize = 8;
/// A bigger number of choices may look at an endpoint twice.
const MOST_REMEMBERED: usize = 16;
const DRAWS_PER_CHOICE: usize = 4;
const LEAST_DRAWS: usize = 16;
