//! What is written down of one run, and the figures that are made of it.

use super::scenario::Scenario;

/// Milliseconds since the trouble began, which is as fine as the timer is. In the order of time.
#[derive(Debug, Default)]
pub(super) struct Record {
    dials: Vec<u32>,
    connections: Vec<u32>,
}

/// The figures of one run. Seconds, and dials a second, where nothing else is said.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    /// In any second from the server's return on.
    pub(super) peak: Option<f64>,
    /// In that tenth of a second from there on that has most of them; the tenths begin with it.
    pub(super) peak_of_tenths: Option<f64>,
    /// In any second at all.
    pub(super) peak_of_all: f64,
    /// In the second half of the run.
    pub(super) late: Option<f64>,
    /// Of each client.
    pub(super) dials: f64,
    /// From the server's return until half of the clients have a connection; infinite if that was
    /// not seen.
    pub(super) median: Option<f64>,
    pub(super) p99: Option<f64>,
    pub(super) last: Option<f64>,
    /// Second by second.
    pub(super) rates: Vec<f64>,
}

impl Record {
    pub(super) fn dialled(&mut self, seconds: f64) {
        self.dials.push(milliseconds(seconds));
    }

    pub(super) fn connected(&mut self, seconds: f64) {
        self.connections.push(milliseconds(seconds));
    }

    pub(super) fn figures(&self, scenario: &Scenario) -> Figures {
        let back_at = scenario.back_at();
        let since_back = |times: &[u32], back: f64| -> Vec<u32> {
            let back = milliseconds(back);
            let later = &times[times.partition_point(|&time| time < back)..];
            later.iter().map(|time| time - back).collect()
        };
        let dials = back_at.map(|back| since_back(&self.dials, back));
        let connections = back_at.map(|back| since_back(&self.connections, back));
        let quantile = |share: f64| {
            let connections = connections.as_ref()?;
            let place = (share * scenario.clients as f64).ceil() as usize;
            let time = connections.get(place.saturating_sub(1));
            Some(time.map_or(f64::INFINITY, |&time| f64::from(time) / 1e3))
        };
        let half = milliseconds(scenario.duration / 2.0);
        let late = self.dials.len() - self.dials.partition_point(|&time| time < half);
        Figures {
            peak: dials.as_deref().map(|dials| most_within(dials, 1000)),
            peak_of_tenths: dials.as_deref().map(most_in_a_tenth),
            peak_of_all: most_within(&self.dials, 1000),
            late: back_at
                .is_none()
                .then(|| late as f64 / (scenario.duration / 2.0)),
            dials: self.dials.len() as f64 / scenario.clients as f64,
            median: quantile(0.5),
            p99: quantile(0.99),
            last: quantile(1.0),
            rates: per_second(&self.dials, scenario.duration),
        }
    }
}

/// The most in any window of so many milliseconds, its end not included.
fn most_within(times: &[u32], window: u32) -> f64 {
    let ends = times.iter().enumerate();
    let most = ends.map(|(index, &time)| {
        let first = times.partition_point(|&other| other + window <= time);
        index + 1 - first
    });
    most.max().unwrap_or(0) as f64
}

fn most_in_a_tenth(times: &[u32]) -> f64 {
    let tenths = times.chunk_by(|one, next| one / 100 == next / 100);
    let most = tenths.map(<[u32]>::len).max().unwrap_or(0);
    10.0 * most as f64
}

fn per_second(times: &[u32], duration: f64) -> Vec<f64> {
    let mut counts = vec![0.0; duration.ceil() as usize];
    for time in times {
        if let Some(count) = counts.get_mut(*time as usize / 1000) {
            *count += 1.0;
        }
    }
    counts
}

fn milliseconds(seconds: f64) -> u32 {
    (seconds * 1e3).round() as u32
}
