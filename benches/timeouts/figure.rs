//! The figures of a run by name.

use super::{
    record::Figures,
    statistics::{Estimate, show_seen},
};

/// Something that is measured in every run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Figure {
    CutBefore,
    CutAtFirst,
    CutOf500,
    CutLater,
    CutAfter,
    WaitBefore,
    WaitLater,
    WaitAfter,
    RecoveryUp,
    RecoveryDown,
}

impl Figure {
    /// In the order of a table.
    pub(super) const ALL: [Self; 10] = [
        Self::CutBefore,
        Self::CutAtFirst,
        Self::CutOf500,
        Self::CutLater,
        Self::CutAfter,
        Self::WaitBefore,
        Self::WaitLater,
        Self::WaitAfter,
        Self::RecoveryUp,
        Self::RecoveryDown,
    ];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::CutBefore => "false before %",
            Self::CutAtFirst => "first 10 s %",
            Self::CutOf500 => "first 500 %",
            Self::CutLater => "later %",
            Self::CutAfter => "after %",
            Self::WaitBefore => "wait before x p99.9",
            Self::WaitLater => "wait later x p99.9",
            Self::WaitAfter => "wait after x p99.9",
            Self::RecoveryUp => "up after s",
            Self::RecoveryDown => "down after s",
        }
    }

    /// `None` where it makes no sense, infinite where it was not seen.
    pub(super) fn of(self, figures: &Figures) -> Option<f64> {
        match self {
            Self::CutBefore => Some(figures.cut_before),
            Self::CutAtFirst => figures.cut_at_first,
            Self::CutOf500 => figures.cut_of_500,
            Self::CutLater => Some(figures.cut_later),
            Self::CutAfter => figures.cut_after,
            Self::WaitBefore => Some(figures.wait_before),
            Self::WaitLater => Some(figures.wait_later),
            Self::WaitAfter => figures.wait_after,
            Self::RecoveryUp => figures.recovery_up,
            Self::RecoveryDown => figures.recovery_down,
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
            Self::CutBefore | Self::CutLater | Self::CutAfter => 3,
            Self::CutAtFirst
            | Self::CutOf500
            | Self::WaitBefore
            | Self::WaitLater
            | Self::WaitAfter => 2,
            Self::RecoveryUp | Self::RecoveryDown => 1,
        }
    }
}
