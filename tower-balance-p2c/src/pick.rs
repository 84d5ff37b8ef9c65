//! Power of `choices` choices over indices. Pure: readiness, cost and chance come in.

use rand::{Rng, RngExt as _};

/// Looks at `choices` distinct eligible indices below `len`, each set of them equally likely, and
/// returns one of the least cost. Costs within [`TIE`] of the least are equal, and equals are
/// chosen from at random. `None` if nothing is eligible.
pub(crate) fn pick<R: Rng + ?Sized>(
    len: usize,
    choices: usize,
    eligible: impl Fn(usize) -> bool,
    cost: impl Fn(usize) -> f64,
    rng: &mut R,
) -> Option<usize> {
    let mut best = Best::default();
    if choices >= len {
        for index in (0..len).filter(|&index| eligible(index)) {
            best.offer(index, cost(index), rng);
        }
        return best.index;
    }

    let mut drawn = [0; MOST_DRAWN];
    if let Some(drawn) = drawn.get_mut(..choices)
        && draw(drawn, len, &eligible, rng)
    {
        for &index in &*drawn {
            best.offer(index, cost(index), rng);
        }
        return best.index;
    }
    select(len, choices, &eligible, rng, |index, rng| {
        best.offer(index, cost(index), rng);
    });
    best.index
}

/// Fills `drawn` by drawing and rejecting, which is fast where most are eligible. False if that
/// took too long.
fn draw<R: Rng + ?Sized>(
    drawn: &mut [usize],
    len: usize,
    eligible: &impl Fn(usize) -> bool,
    rng: &mut R,
) -> bool {
    let mut filled = 0;
    for _ in 0..drawn.len() * DRAWS_PER_CHOICE {
        if filled == drawn.len() {
            break;
        }
        let index = rng.random_range(0..len);
        if eligible(index) && !drawn[..filled].contains(&index) {
            drawn[filled] = index;
            filled += 1;
        }
    }
    filled == drawn.len()
}

/// Selection sampling in one pass (after one that counts): without memory, and exact however few
/// are eligible.
fn select<R: Rng + ?Sized>(
    len: usize,
    choices: usize,
    eligible: &impl Fn(usize) -> bool,
    rng: &mut R,
    mut chosen: impl FnMut(usize, &mut R),
) {
    let mut left = (0..len).filter(|&index| eligible(index)).count();
    let mut wanted = choices.min(left);
    for index in (0..len).filter(|&index| eligible(index)) {
        // Others may change eligibility meanwhile, so either count may run out first.
        if wanted == 0 || left == 0 {
            break;
        }
        if wanted >= left || rng.random_range(0..left) < wanted {
            chosen(index, rng);
            wanted -= 1;
        }
        left -= 1;
    }
}

#[derive(Default)]
struct Best {
    index: Option<usize>,
    least: f64,
    equals: u32,
}

impl Best {
    fn offer<R: Rng + ?Sized>(&mut self, index: usize, cost: f64, rng: &mut R) {
        if self.index.is_none() || cost < self.least * (1.0 - TIE) {
            self.index = Some(index);
            self.least = cost;
            self.equals = 1;
        } else if cost <= self.least * (1.0 + TIE) {
            self.least = self.least.min(cost);
            self.equals += 1;
            if rng.random_range(0..self.equals) == 0 {
                self.index = Some(index);
            }
        }
    }
}

/// Costs nearer to each other than 5 % say nothing about which endpoint is better.
pub(crate) const TIE: f64 = 0.05;
const MOST_DRAWN: usize = 8;
const DRAWS_PER_CHOICE: usize = 8;
