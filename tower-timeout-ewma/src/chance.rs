//! Random numbers that cost next to nothing, for what need not be unpredictable.

use std::cell::Cell;

use crate::sync::thread_number;

/// Marsaglia's xorshift, 32 bits of state for each thread.
#[inline]
pub(crate) fn random() -> u32 {
    STATE.with(|state| {
        let mut next = match state.get() {
            // Any but zero; neighbours are far apart.
            0 => (thread_number() as u32 + 1).wrapping_mul(0x9e37_79b9) | 1,
            last => last,
        };
        next ^= next << 13;
        next ^= next >> 17;
        next ^= next << 5;
        state.set(next);
        next
    })
}

thread_local! {
    static STATE: Cell<u32> = const { Cell::new(0) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_eight_is_one_in_eight() {
        let eighths = (0..80_000).filter(|_| random() & 7 == 0).count();
        assert!((9_700..10_300).contains(&eighths), "{eighths}");
    }
}
