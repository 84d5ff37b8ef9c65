//! Random indices in proportion to weights, each in constant time: the alias method (M. D. Vose,
//! *A Linear Algorithm for Generating Random Numbers with a Given Distribution*, IEEE Transactions
//! on Software Engineering 17(9), 1991).

use std::ops::Range;

use rand::{Rng, RngExt as _};

/// Over a range of indices.
#[derive(Debug)]
pub(crate) struct Sampler {
    range: Range<usize>,
    /// None where all weights are equal.
    aliases: Option<Box<[Alias]>>,
}

#[derive(Clone, Copy, Debug)]
struct Alias {
    /// The probability of the index itself, in units of 2^-32.
    own: u32,
    /// The index, within the range, in whose place this one stands otherwise.
    other: u32,
}

impl Sampler {
    /// For the indices from `offset` on, with these positive weights.
    pub(crate) fn new(offset: usize, weights: &[f64]) -> Self {
        let are_equal = weights.windows(2).all(|pair| pair[0] == pair[1]);
        Self {
            range: offset..offset + weights.len(),
            aliases: (!are_equal).then(|| aliases(weights)),
        }
    }

    pub(crate) fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.range.len()
    }

    pub(crate) fn is_weighted(&self) -> bool {
        self.aliases.is_some()
    }

    /// Must not be empty.
    pub(crate) fn draw<R: Rng + ?Sized>(&self, rng: &mut R) -> usize {
        let bits: u64 = rng.random();
        // The upper half chooses a place, without a bias that matters for fewer than 2^24 of them.
        let place = (((bits >> 32) * self.len() as u64) >> 32) as usize;
        let place = match &self.aliases {
            Some(aliases) if bits as u32 >= aliases[place].own => aliases[place].other as usize,
            _ => place,
        };
        self.range.start + place
    }
}

fn aliases(weights: &[f64]) -> Box<[Alias]> {
    let mean = weights.iter().sum::<f64>() / weights.len() as f64;
    let mut left: Vec<_> = weights.iter().map(|weight| weight / mean).collect();
    let (mut small, mut large): (Vec<_>, Vec<_>) = (0..left.len()).partition(|&i| left[i] < 1.0);
    let mut aliases: Vec<_> = (0..left.len() as u32)
        .map(|index| Alias {
            own: u32::MAX,
            other: index,
        })
        .collect();
    while let (Some(less), Some(&more)) = (small.pop(), large.last()) {
        aliases[less] = Alias {
            own: (left[less] * 2f64.powi(32)) as u32,
            other: more as u32,
        };
        left[more] -= 1.0 - left[less];
        if left[more] < 1.0 {
            large.pop();
            small.push(more);
        }
    }
    aliases.into_boxed_slice()
}
