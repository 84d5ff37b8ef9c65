//! Buckets of latencies, eight to an octave: a latency is known to within a tenth.

/// How many there are.
pub(super) const BUCKETS: usize = 192;

/// Something for each bucket.
pub(super) type Histogram = [f64; BUCKETS];

pub(super) const EMPTY: Histogram = [0.0; BUCKETS];

/// The bucket of a latency in nanoseconds. What is beyond either end belongs to the last there.
#[inline]
pub(super) fn index(nanos: u64) -> usize {
    let nanos = nanos.max(1 << FIRST_OCTAVE);
    let octave = nanos.ilog2();
    let eighth = (nanos >> (octave - 3)) & 7;
    let index = u64::from(octave - FIRST_OCTAVE) * 8 + eighth;
    (index as usize).min(BUCKETS - 1)
}

/// Where a bucket begins, in nanoseconds; that of `BUCKETS` is where the last ends.
pub(super) fn lower(index: usize) -> f64 {
    let octave = 1_u64 << (FIRST_OCTAVE as usize + index / 8);
    octave as f64 * (1.0 + (index % 8) as f64 / 8.0)
}

/// The same latencies, `factor` times longer.
pub(super) fn stretched(histogram: &Histogram, factor: f64) -> Histogram {
    let mut stretched = EMPTY;
    for (bucket, &weight) in histogram
        .iter()
        .enumerate()
        .filter(|(_, weight)| **weight > 0.0)
    {
        let from = lower(bucket) * factor;
        let until = lower(bucket + 1) * factor;
        let (first, last) = (index(from as u64), index(until as u64));
        for (target, place) in stretched.iter_mut().enumerate().take(last + 1).skip(first) {
            let low = if target == first { from } else { lower(target) };
            let high = if target == last {
                until
            } else {
                lower(target + 1)
            };
            *place += weight * ((high - low) / (until - from)).clamp(0.0, 1.0);
        }
    }
    stretched
}

/// 16 microseconds: the timers tick in milliseconds.
const FIRST_OCTAVE: u32 = 14;
