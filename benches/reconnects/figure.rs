//! The figures of a run by name.

use benches::simulation;

use super::record::Figures;

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

impl simulation::Figure for Figure {
    type Run = Figures;

    const ALL: &'static [Self] = &[
        Self::Peak,
        Self::PeakOfTenths,
        Self::PeakOfAll,
        Self::Late,
        Self::Dials,
        Self::Median,
        Self::P99,
        Self::Last,
    ];

    fn title(self) -> &'static str {
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

    fn of(self, figures: &Figures) -> Option<f64> {
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

    fn digits(self) -> usize {
        match self {
            Self::Peak | Self::PeakOfTenths | Self::PeakOfAll | Self::Late => 0,
            Self::Dials => 1,
            Self::Median | Self::P99 | Self::Last => 2,
        }
    }
}
