//! One upstream in a line: what is done to it, and what the balancer makes of it.

use std::fmt;

use super::script::Mood;
use crate::cluster::{EndpointState, EndpointStatus};

/// A line of [`Upstream::TITLES`].
pub(super) struct Upstream<'a> {
    pub(super) endpoint: &'a EndpointStatus,
    pub(super) mood: Option<Mood>,
    /// Of the last second's requests, zero to one.
    pub(super) share: f64,
}

impl Upstream<'_> {
    /// As wide as the lines below.
    pub(super) const TITLES: &'static str = concat!(
        "upstream        is made    balancer says   ",
        " share in flight    latency success      cost"
    );
}

impl fmt::Display for Upstream<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            endpoint,
            mood,
            share,
        } = self;
        write!(f, "{:<15} ", endpoint.address.to_string())?;
        match mood {
            Some(mood) => write!(f, "{mood:<10} ")?,
            None => write!(f, "{:<10} ", "")?,
        }
        write!(f, "{:<15} ", state(endpoint))?;
        write!(f, "{:>4.0} % {:>9} ", share * 100.0, endpoint.in_flight)?;
        match endpoint.latency_ms {
            Some(latency) => write!(f, "{:>10}", format!("{latency:.1} ms"))?,
            None => write!(f, "{:>10}", "-")?,
        }
        let success = endpoint.success_ratio * 100.0;
        write!(f, " {success:>5.0} % {:>9}", short(endpoint.cost))
    }
}

/// With what there is to say of it.
fn state(endpoint: &EndpointStatus) -> String {
    let state = endpoint.state.as_str();
    match endpoint.state {
        EndpointState::NotReady => endpoint.connection.to_owned(),
        EndpointState::Ejected => {
            let seconds = endpoint.ejected_ms.unwrap_or_default() / 1e3;
            format!("{state} {seconds:.1} s")
        }
        EndpointState::Probation => match endpoint.at_a_time {
            Some(most) => format!("{state} ({most})"),
            None => state.to_owned(),
        },
        EndpointState::SlowStart => format!("{state} {:.0} %", endpoint.share * 100.0),
        EndpointState::Ready | EndpointState::Probing => state.to_owned(),
    }
}

/// A failing endpoint's cost has no bound that a column could keep to.
fn short(cost: f64) -> String {
    match cost {
        cost if cost >= 1e6 => format!("{:.1} M", cost / 1e6),
        cost if cost >= 1e4 => format!("{:.1} k", cost / 1e3),
        cost => format!("{cost:.1}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_their_titles_whatever_they_say() {
        let mut endpoint = EndpointStatus {
            address: ([127, 0, 0, 1], 65_535).into(),
            state: EndpointState::Ready,
            ejected_ms: None,
            at_a_time: None,
            share: 0.37,
            connection: "backing off",
            cause: None,
            peer: None,
            dials: 1,
            dial_failures: 0,
            ready: true,
            weight: 1.0,
            zone: None,
            in_flight: 200,
            latency_ms: Some(1234.5),
            latency_per_place_ms: 1.0,
            silence_ms: 0.0,
            success_ratio: 1.0,
            cost: 12.3,
            requests: 1,
            failures: 0,
            ejections: 0,
        };
        let titles = Upstream::TITLES.len();
        assert!(titles + 9 <= 100, "{titles}");
        for state in EndpointState::ALL {
            endpoint.state = state;
            endpoint.ejected_ms = Some(59_900.0);
            endpoint.at_a_time = Some(16);
            for (cost, latency) in [(0.0, None), (9_999.9, Some(5.0)), (2e9, Some(29_999.9))] {
                endpoint.cost = cost;
                endpoint.latency_ms = latency;
                let line = Upstream {
                    endpoint: &endpoint,
                    mood: Some(Mood::FailingHalf),
                    share: 1.0,
                };
                assert_eq!(line.to_string().len(), titles, "{line}");
            }
        }
    }
}
