/// [`Ejection`](crate::Ejection), checked, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EjectionNanos {
    pub(crate) consecutive: u32,
    pub(crate) ratio: f64,
    pub(crate) window: u64,
    pub(crate) min_requests: u64,
    pub(crate) base: u64,
    pub(crate) max: u64,
    pub(crate) requests_per_probe: u32,
    pub(crate) max_ejected: f64,
    pub(crate) panic: f64,
    pub(crate) max_pushback: u64,
}

impl EjectionNanos {
    /// The share of failures above which an endpoint is an outlier, where `usual` is that of the
    /// median one.
    pub(super) fn most_failing(&self, usual: f64) -> f64 {
        1.0 - self.ratio * (1.0 - usual)
    }

    /// How long the ejection is that follows `row` others, at `rate` requests a second, and how
    /// many others the next one follows: no more than have made a difference.
    pub(super) fn length(&self, row: u32, rate: f64) -> (u64, u32) {
        let traffic = if self.requests_per_probe == u32::MAX {
            u64::MAX
        } else {
            (f64::from(self.requests_per_probe) / rate.max(1e-9) * 1e9) as u64
        };
        let longest = self.max.min(traffic.max(self.base));
        let doubled = self.base.saturating_mul(1 << row.min(MOST_DOUBLINGS));
        if doubled < longest {
            (doubled, row + 1)
        } else {
            (longest, row)
        }
    }

    /// How many of `members` may be ejected.
    pub(super) fn most_ejected(&self, members: usize) -> usize {
        (members as f64 * self.max_ejected) as usize
    }
}

const MOST_DOUBLINGS: u32 = 40;
