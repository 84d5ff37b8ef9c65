/// In nanoseconds; `f32` so that both fit one atomic word.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    pub(super) smoothed: f32,
    pub(super) deviation: f32,
}

impl Pair {
    /// No estimate packs to this: a latency is at least a nanosecond.
    pub(super) const NONE: u64 = 0;

    pub(super) fn first(latency: f32) -> Self {
        Self {
            smoothed: latency,
            deviation: latency / 2.0,
        }
    }

    pub(super) fn answered(self, latency: f32) -> Self {
        let deviation = (latency - self.smoothed).max(0.0);
        let gain = if deviation > self.deviation {
            DEVIATION_RISE
        } else {
            DEVIATION_FALL
        };
        self.towards(latency, deviation, gain)
    }

    /// The deviation moves by the small gain: one hung request must not stretch the limit.
    pub(super) fn censored(self, at_least: f32) -> Self {
        self.towards(at_least, at_least - self.smoothed, DEVIATION_FALL)
            .at_least(self)
    }

    fn towards(self, latency: f32, deviation: f32, gain: f32) -> Self {
        Self {
            smoothed: self.smoothed + (latency - self.smoothed) * SMOOTHED_GAIN,
            deviation: self.deviation + (deviation - self.deviation) * gain,
        }
    }

    pub(super) fn at_least(self, other: Self) -> Self {
        Self {
            smoothed: self.smoothed.max(other.smoothed),
            deviation: self.deviation.max(other.deviation),
        }
    }

    pub(super) fn pack(self) -> u64 {
        (u64::from(self.smoothed.to_bits()) << 32) | u64::from(self.deviation.to_bits())
    }

    pub(super) fn unpack(word: u64) -> Option<Self> {
        (word != Self::NONE).then(|| Self {
            smoothed: f32::from_bits((word >> 32) as u32),
            deviation: f32::from_bits(word as u32),
        })
    }
}

/// The gains of RFC 6298 …
const SMOOTHED_GAIN: f32 = 1.0 / 8.0;
const DEVIATION_RISE: f32 = 1.0 / 4.0;
/// … and the slow one, which is ours.
const DEVIATION_FALL: f32 = 1.0 / 128.0;
