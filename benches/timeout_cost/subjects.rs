//! What is measured.

use std::{cell::Cell, fmt, hint::black_box, time::Duration};

use benches::{
    Subject,
    service::{Bare, Later, subject, subject_later},
    threads::Pair,
};
use tokio::time::Instant;
use tower::{Layer, Service, timeout::TimeoutLayer};
use tower_timeout_ewma::{AdaptiveTimeoutLayer, BoxError, Builder};

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bare,
    Clock,
    Ours,
    /// With every request measured.
    OursAll,
    Smoothed,
    SmoothedAll,
    Fixed,
    Tower,
    /// With keys, of which there are so many, taken in turn.
    Keyed(u32),
}

/// When the service answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    AtOnce,
    SecondPoll,
}

impl Kind {
    pub(super) const ALL: [Self; 11] = [
        Self::Bare,
        Self::Clock,
        Self::Ours,
        Self::OursAll,
        Self::Smoothed,
        Self::SmoothedAll,
        Self::Fixed,
        Self::Tower,
        Self::Keyed(1),
        Self::Keyed(1000),
        Self::Keyed(3000),
    ];

    pub(super) fn of(when: When) -> impl Iterator<Item = Self> {
        let all = Self::ALL.into_iter();
        all.filter(move |kind| kind.is_of(when))
    }

    pub(super) fn is_of(self, when: When) -> bool {
        when == When::AtOnce || !matches!(self, Self::Clock | Self::Keyed(_))
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare service",
            Self::Clock => "two clock reads",
            Self::Ours => "tower-timeout-ewma, a quantile",
            Self::Smoothed => "tower-timeout-ewma, smoothed",
            Self::OursAll | Self::SmoothedAll => "the same, all measured",
            Self::Fixed => "tower-timeout-ewma, fixed",
            Self::Tower => "tower Timeout",
            Self::Keyed(1) => "with keys, the same each time",
            Self::Keyed(1000) => "with keys, 1,000 in turn",
            Self::Keyed(_) => "with keys, one each time that has been forgotten",
        }
    }

    /// For the command line.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Clock => "clock",
            Self::Ours => "quantile",
            Self::OursAll => "quantile-all",
            Self::Smoothed => "smoothed",
            Self::SmoothedAll => "smoothed-all",
            Self::Fixed => "fixed",
            Self::Tower => "tower",
            Self::Keyed(1) => "key",
            Self::Keyed(1000) => "keys",
            Self::Keyed(_) => "new-keys",
        }
    }

    pub(super) fn subject(self, when: When) -> Subject<'static> {
        let name = self.name();
        match self {
            Self::Bare => of_layer(name, when, tower::layer::util::Identity::new()),
            Self::Clock => Subject::new(name, |requests| {
                for _ in 0..requests {
                    let begun = Instant::now();
                    black_box(Instant::now().saturating_duration_since(begun));
                }
            }),
            Self::Ours => of_layer(name, when, AdaptiveTimeoutLayer::new()),
            Self::OursAll => of_layer(name, when, built(all_measured())),
            Self::Smoothed => of_layer(name, when, built(smoothed())),
            Self::SmoothedAll => of_layer(name, when, built(smoothed().samples_per_second(ALL))),
            Self::Fixed => of_layer(name, when, AdaptiveTimeoutLayer::fixed(A_SECOND)),
            Self::Tower => of_layer(name, when, TimeoutLayer::new(A_SECOND)),
            Self::Keyed(keys) => subject(name, keyed(keys)),
        }
    }

    /// All handles share one estimator, or those of the keys.
    pub(super) fn pair(self) -> Option<Pair<'static>> {
        let name = self.name();
        Some(match self {
            Self::Bare => Pair::of_service(name, &Bare),
            Self::Ours => Pair::of_service(name, &AdaptiveTimeoutLayer::new().layer(Bare)),
            Self::OursAll => Pair::of_service(name, &built(all_measured()).layer(Bare)),
            Self::Smoothed => Pair::of_service(name, &built(smoothed()).layer(Bare)),
            Self::SmoothedAll => {
                let layer = built(smoothed().samples_per_second(ALL));
                Pair::of_service(name, &layer.layer(Bare))
            }
            Self::Keyed(keys) => Pair::of_service(name, &keyed(keys)),
            Self::Clock | Self::Fixed | Self::Tower => return None,
        })
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AtOnce => "at once",
            Self::SecondPoll => "at the second poll",
        })
    }
}

fn of_layer<L>(name: &'static str, when: When, layer: L) -> Subject<'static>
where
    L: Layer<Bare> + Layer<Later>,
    <L as Layer<Bare>>::Service: Service<()> + 'static,
    <L as Layer<Later>>::Service: Service<()> + 'static,
{
    match when {
        When::AtOnce => subject(name, layer.layer(Bare)),
        When::SecondPoll => subject_later(name, layer.layer(Later)),
    }
}

fn all_measured() -> Builder {
    AdaptiveTimeoutLayer::builder().samples_per_second(ALL)
}

fn smoothed() -> Builder {
    AdaptiveTimeoutLayer::builder().deviations(4.0)
}

fn built(builder: Builder) -> AdaptiveTimeoutLayer {
    builder.build().expect("the settings are allowed")
}

fn keyed(keys: u32) -> impl Service<(), Response = (), Error = BoxError> + Clone + Send {
    // Of each subject, or another's turn would take the keys back to their first.
    let last = Cell::new(0);
    let layer = AdaptiveTimeoutLayer::builder()
        .key(move |(): &()| {
            let key: u32 = last.get() + 1;
            last.set(key % keys);
            key
        })
        .build();
    layer.expect("the defaults are valid").layer(Bare)
}

const ALL: u32 = u32::MAX;
const A_SECOND: Duration = Duration::from_secs(1);
