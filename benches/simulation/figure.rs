use std::fmt;

use super::statistics::{Estimate, show_seen};

/// Something that is measured in every run, by name.
pub trait Figure: Copy + 'static {
    /// All that one run is measured by.
    type Run: Clone + fmt::Debug + Send;

    /// In the order of a table.
    const ALL: &'static [Self];

    /// The heading of its column.
    fn title(self) -> &'static str;

    /// `None` where it makes no sense, infinite where it was not seen.
    fn of(self, run: &Self::Run) -> Option<f64>;

    /// How many are shown after the point.
    fn digits(self) -> usize;

    /// Seed by seed.
    fn of_each(self, runs: &[Self::Run]) -> Vec<f64> {
        runs.iter().filter_map(|run| self.of(run)).collect()
    }

    /// A mean with its margin, as far as there is one.
    fn show(self, estimate: Estimate) -> String {
        estimate.show(self.digits())
    }

    /// The mean of what was seen, and how often nothing was.
    fn show_each(self, runs: &[Self::Run]) -> String {
        show_seen(&self.of_each(runs), self.digits())
    }
}
