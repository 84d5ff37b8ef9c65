//! The figures of a run by name.

use super::{
    record::Figures,
    statistics::{Estimate, show_seen},
};

/// Something that is measured in every run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Figure {
    Recovery,
    Attempts,
    SuccessInTrouble,
    Success,
}

impl Figure {
    /// In the order of a table.
    pub(super) const ALL: [Self; 4] = [
        Self::Recovery,
        Self::Attempts,
        Self::SuccessInTrouble,
        Self::Success,
    ];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Recovery => "well again after s",
            Self::Attempts => "attempts per request in it",
            Self::SuccessInTrouble => "success in it %",
            Self::Success => "success %",
        }
    }

    /// `None` where it makes no sense, infinite where it was not seen.
    pub(super) fn of(self, figures: &Figures) -> Option<f64> {
        match self {
            Self::Recovery => figures.recovery,
            Self::Attempts => figures.attempts,
            Self::SuccessInTrouble => figures.success_in_trouble,
            Self::Success => Some(figures.success),
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
            Self::Recovery => 1,
            Self::Attempts | Self::SuccessInTrouble | Self::Success => 3,
        }
    }
}
