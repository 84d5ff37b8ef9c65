//! What happens to the upstreams, and when.

use std::{fmt, time::Duration};

use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};

/// How an upstream behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// Answers in a few milliseconds.
    Well,
    /// Answers, twenty times slower.
    Slow,
    /// Answers every other request with 503, at once.
    FailingHalf,
    /// Its process is gone.
    Dead,
}

/// A change of one upstream's mood.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub(super) at: Duration,
    pub(super) upstream: usize,
    pub(super) mood: Mood,
}

/// Events in the order of their times, for ever.
#[derive(Debug)]
pub(super) struct Script {
    source: Source,
    next: Event,
}

#[derive(Debug)]
enum Source {
    /// The scenes, repeated every `cycle`.
    Fixed { cycle: Duration, index: usize },
    Chaos {
        seed: u64,
        random: Box<StdRng>,
        moods: [Mood; UPSTREAMS],
    },
}

/// Number of upstreams.
pub(super) const UPSTREAMS: usize = 4;

impl Script {
    /// One upstream slow, one failing half, one killed, and each well again, within 30 s or within
    /// the demo's length if that is shorter.
    pub(super) fn fixed(length: Option<Duration>) -> Self {
        let cycle = length.map_or(LONGEST_CYCLE, |length| length.min(LONGEST_CYCLE));
        Self {
            source: Source::Fixed { cycle, index: 0 },
            next: scene(cycle, 0),
        }
    }

    /// Random events from a random seed, which is printed.
    pub(super) fn chaos() -> Self {
        Self::from_seed(rand::rng().random())
    }

    fn from_seed(seed: u64) -> Self {
        let mut random = Box::new(StdRng::seed_from_u64(seed));
        let mut moods = [Mood::Well; UPSTREAMS];
        let next = disaster(&mut random, &mut moods, Duration::from_secs(1));
        Self {
            source: Source::Chaos {
                seed,
                random,
                moods,
            },
            next,
        }
    }

    /// The events that are due, each once.
    pub(super) fn due(&mut self, elapsed: Duration) -> Vec<Event> {
        let mut due = Vec::new();
        while self.next.at <= elapsed {
            due.push(self.next);
            self.next = match &mut self.source {
                Source::Fixed { cycle, index } => {
                    *index += 1;
                    scene(*cycle, *index)
                }
                Source::Chaos { random, moods, .. } => disaster(random, moods, self.next.at),
            };
        }
        due
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::Fixed { cycle, .. } => write!(
                f,
                "Every {:.0} s one upstream turns slow, one fails half, one is killed; each recovers.",
                cycle.as_secs_f64()
            ),
            Source::Chaos { seed, .. } => write!(
                f,
                "Chaos from seed {seed}; no more than two upstreams suffer at once."
            ),
        }
    }
}

impl fmt::Display for Mood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Well => "well",
            Self::Slow => "slow x20",
            Self::FailingHalf => "fails 50 %",
            Self::Dead => "dead",
        })
    }
}

fn scene(cycle: Duration, index: usize) -> Event {
    let round = u32::try_from(index / SCENES.len()).unwrap_or(u32::MAX);
    let (at, upstream, mood) = SCENES[index % SCENES.len()];
    Event {
        at: cycle
            .saturating_mul(round)
            .saturating_add(cycle.mul_f64(at)),
        upstream,
        mood,
    }
}

fn disaster(random: &mut StdRng, moods: &mut [Mood; UPSTREAMS], last: Duration) -> Event {
    let at = last + Duration::from_millis(random.random_range(500..4_000));
    let suffering = moods.iter().filter(|mood| **mood != Mood::Well).count();
    let candidates: Vec<usize> = (0..UPSTREAMS)
        .filter(|&upstream| suffering < MOST_SUFFERING || moods[upstream] != Mood::Well)
        .collect();
    let upstream = candidates.choose(random).copied().unwrap_or(0);
    let mood = match moods[upstream] {
        Mood::Well => *[Mood::Slow, Mood::FailingHalf, Mood::Dead]
            .choose(random)
            .unwrap_or(&Mood::Slow),
        _ => Mood::Well,
    };
    moods[upstream] = mood;
    Event { at, upstream, mood }
}

/// At which part of the cycle, to which upstream, what. The first is not before there were successes
/// that can pay for retries, whatever the length.
const SCENES: [(f64, usize, Mood); 6] = [
    (0.25, 1, Mood::Slow),
    (0.40, 2, Mood::FailingHalf),
    (0.50, 1, Mood::Well),
    (0.55, 3, Mood::Dead),
    (0.65, 2, Mood::Well),
    (0.80, 3, Mood::Well),
];

const LONGEST_CYCLE: Duration = Duration::from_secs(30);

/// With more, no proxy could keep its promise: the retry budget is there to stop it from trying.
const MOST_SUFFERING: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fixed_script_fits_the_demo_and_leaves_everyone_well() {
        let mut script = Script::fixed(Some(Duration::from_secs(8)));
        let events = script.due(Duration::from_secs(8));
        let mut moods = [Mood::Well; UPSTREAMS];
        for event in events.iter().take(SCENES.len()) {
            moods[event.upstream] = event.mood;
        }
        assert_eq!(events.len(), SCENES.len());
        assert_eq!(moods, [Mood::Well; UPSTREAMS]);
    }

    #[test]
    fn chaos_repeats_from_its_seed_and_spares_two_upstreams() {
        let length = Duration::from_secs(600);
        let events = Script::from_seed(7).due(length);
        let again = Script::from_seed(7).due(length);
        assert_eq!(format!("{events:?}"), format!("{again:?}"));
        let mut moods = [Mood::Well; UPSTREAMS];
        for event in &events {
            moods[event.upstream] = event.mood;
            assert!(moods.iter().filter(|mood| **mood != Mood::Well).count() <= MOST_SUFFERING);
        }
        assert!(events.len() > 100, "{} events in ten minutes", events.len());
    }
}
