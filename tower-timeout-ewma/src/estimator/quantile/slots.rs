//! Slots of time in which requests start.

pub(super) fn slot(nanos: u64) -> usize {
    (nanos >> SLOT_BITS) as usize & (SLOTS - 1)
}

/// A slot is 17 ms.
pub(super) const SLOT_BITS: u32 = 24;

/// Four seconds of them.
pub(super) const SLOTS: usize = 256;
