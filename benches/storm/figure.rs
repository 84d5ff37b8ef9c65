//! The figures of a run by name.

use benches::simulation;

use super::record::Figures;

/// Something that is measured in every run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Figure {
    Recovery,
    Attempts,
    SuccessInTrouble,
    Success,
}

impl simulation::Figure for Figure {
    type Run = Figures;

    const ALL: &'static [Self] = &[
        Self::Recovery,
        Self::Attempts,
        Self::SuccessInTrouble,
        Self::Success,
    ];

    fn title(self) -> &'static str {
        match self {
            Self::Recovery => "well again after s",
            Self::Attempts => "attempts per request in it",
            Self::SuccessInTrouble => "success in it %",
            Self::Success => "success %",
        }
    }

    fn of(self, figures: &Figures) -> Option<f64> {
        match self {
            Self::Recovery => figures.recovery,
            Self::Attempts => figures.attempts,
            Self::SuccessInTrouble => figures.success_in_trouble,
            Self::Success => Some(figures.success),
        }
    }

    fn digits(self) -> usize {
        match self {
            Self::Recovery => 1,
            Self::Attempts | Self::SuccessInTrouble | Self::Success => 3,
        }
    }
}
