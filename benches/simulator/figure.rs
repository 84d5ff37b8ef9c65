//! The figures of a run by name: how they are written, and which are worth a column.

use benches::simulation;

use super::record::Figures;

/// Something that is measured in every run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Figure {
    P50,
    P99,
    P999,
    Errors,
    Failed,
    Ejections,
    FailedPerEjection,
    BadShare,
    Back,
    FirstSecond,
    FirstRequest,
}

impl simulation::Figure for Figure {
    type Run = Figures;

    const ALL: &'static [Self] = &[
        Self::P50,
        Self::P99,
        Self::P999,
        Self::Errors,
        Self::Failed,
        Self::Ejections,
        Self::FailedPerEjection,
        Self::BadShare,
        Self::Back,
        Self::FirstSecond,
        Self::FirstRequest,
    ];

    fn title(self) -> &'static str {
        match self {
            Self::P50 => "p50 ms",
            Self::P99 => "p99 ms",
            Self::P999 => "p99.9 ms",
            Self::Errors => "errors %",
            Self::Failed => "errors a run",
            Self::Ejections => "ejections a run",
            Self::FailedPerEjection => "errors per ejection",
            Self::BadShare => "bad server's share %",
            Self::Back => "half its share again after s",
            Self::FirstSecond => "first second, x fair share",
            Self::FirstRequest => "a client's first request after s",
        }
    }

    fn of(self, figures: &Figures) -> Option<f64> {
        match self {
            Self::P50 => Some(figures.p50),
            Self::P99 => Some(figures.p99),
            Self::P999 => Some(figures.p999),
            Self::Errors => Some(figures.errors),
            Self::Failed => Some(figures.failed),
            Self::Ejections => figures.ejections,
            Self::FailedPerEjection => figures
                .ejections
                .filter(|&ejections| ejections > 0.0)
                .map(|ejections| figures.failed / ejections),
            Self::BadShare => figures.bad_share,
            Self::Back => figures.back,
            Self::FirstSecond => figures.first_second,
            Self::FirstRequest => figures.first_request,
        }
    }

    fn digits(self) -> usize {
        match self {
            Self::P50 | Self::P99 | Self::P999 | Self::Failed | Self::Ejections | Self::Back => 1,
            Self::FirstSecond | Self::FirstRequest | Self::FailedPerEjection => 2,
            Self::BadShare => 3,
            Self::Errors => 4,
        }
    }
}
