//! How much a client wants an endpoint: a hash of both.

use std::hash::{Hash, Hasher};

/// The same for the same client and key, in every process and release of this crate, as far as
/// the key feeds its hasher the same.
pub(crate) fn score<K: Hash + ?Sized>(client: u64, key: &K) -> u64 {
    let mut hasher = ScoreHasher(splitmix64(client));
    key.hash(&mut hasher);
    hasher.finish()
}

/// One step of SplitMix64 for each word of 64 bits.
///
/// Integers are taken by value and `usize` as 64 bits, so that neither the order of a machine's
/// bytes nor its word size matters where `Hash` leaves that to the hasher.
struct ScoreHasher(u64);

impl ScoreHasher {
    fn absorb(&mut self, word: u64) {
        self.0 = splitmix64(self.0 ^ word);
    }
}

impl Hasher for ScoreHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(WORD) {
            let mut word = [0; WORD];
            word[..chunk.len()].copy_from_slice(chunk);
            self.absorb(u64::from_le_bytes(word));
        }
        // Tells zeros at the end from the padding.
        self.absorb(bytes.len() as u64);
    }

    fn write_u8(&mut self, value: u8) {
        self.absorb(value.into());
    }

    fn write_u16(&mut self, value: u16) {
        self.absorb(value.into());
    }

    fn write_u32(&mut self, value: u32) {
        self.absorb(value.into());
    }

    fn write_u64(&mut self, value: u64) {
        self.absorb(value);
    }

    fn write_u128(&mut self, value: u128) {
        self.absorb(value as u64);
        self.absorb((value >> 64) as u64);
    }

    fn write_usize(&mut self, value: usize) {
        self.absorb(value as u64);
    }

    fn write_isize(&mut self, value: isize) {
        self.absorb(value as i64 as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The output of SplitMix64 in `state`: a bijection in which each bit of the input moves half of
/// those of the output.
fn splitmix64(state: u64) -> u64 {
    let mut mixed = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

const WORD: usize = 8;
