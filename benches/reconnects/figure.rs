//! The figures of a run by name.

use super::{
    record::Figures,
    statistics::{Estimate, show_seen},
};

/// Something that is measured in every run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Figure {
    Peak,
    PeakOfTenths,
    PeakOfAll,
    Late,
    Dials,
    Median,
    P99,
    Last,
}

impl Figure {
    /// In the order of a table.
    pub(super) const ALL: [Self; 8] = [
        Self::Peak,
        Self::PeakOfTenths,
        Self::PeakOfAll,
        Self::Late,
        Self::Dials,
        Self::Median,
        Self::P99,
        Self::Last,
    ];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Peak => "most dials in a second after its return",
            Self::PeakOfTenths => "ten times those in a tenth",
            Self::PeakOfAll => "most dials in any second",
            Self::Late => "dials a second in the last half",
            Self::Dials => "dials of a client",
            Self::Median => "p50 s",
            Self::P99 => "p99 s",
            Self::Last => "last s",
        }
    }

    /// `None` where it makes no sense, infinite where it was not seen.
    pub(super) fn of(self, figures: &Figures) -> Option<f64> {
        match self {
            Self::Peak => figures.peak,
            Self::PeakOfTenths => figures.peak_of_tenths,
            Self::PeakOfAll => Some(figures.peak_of_all),
            Self::Late => figures.late,
            Self::Dials => Some(figures.dials),
            Self::Median => figures.median,
            Self::P99 => figures.p99,
            Self::Last => figures.last,
        }
    }

    /// Seed by seed.
    pub(super) fn of_each(self, figures: &[Figures]) -> Vec<f64> {
        figures
            .iter()
            .filter_map(|figures| self.of(figures))
            .collect()
    }

    /// A mean with its margin, as far as there is one.
    pub(super) fn show(self, estimate: Estimate) -> String {
        estimate.show(self.digits())
    }

    /// The mean of what was seen, and how often nothing was.
    pub(super) fn show_each(self, figures: &[Figures]) -> String {
        show_seen(&self.of_each(figures), self.digits())
    }

    fn digits(self) -> usize {
        match self {
            Self::Peak | Self::PeakOfTenths | Self::PeakOfAll | Self::Late => 0,
            Self::Dials => 1,
            Self::Median | Self::P99 | Self::Last => 2,
        }
    }
}
