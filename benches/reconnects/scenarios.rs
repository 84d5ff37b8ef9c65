//! The table of scenarios.
//!
//! Nothing takes time but what is said to: a refusal and a handshake come at once, so that what is
//! seen is the clients' doing.

use super::scenario::Scenario;

/// Everything that is simulated, in the order of the report.
pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "restart-0s",
        about: "all connections are lost, and the server is there",
        up: &[(0.0, FOR_EVER)],
        duration: 30.0,
        ..RESTART
    },
    Scenario {
        name: "restart-1s",
        about: "all connections are lost, and all is refused for 1 s",
        up: &[(1.0, FOR_EVER)],
        ..RESTART
    },
    RESTART,
    Scenario {
        name: "restart-60s",
        about: "the same for 60 s",
        up: &[(60.0, FOR_EVER)],
        duration: 180.0,
        ..RESTART
    },
    Scenario {
        name: "crash",
        about: "the same for 10 s, then the server is up for 3 s and down for 10 s again",
        up: &[(10.0, 13.0), (23.0, FOR_EVER)],
        duration: 120.0,
        ..RESTART
    },
    Scenario {
        name: "start",
        about: "all clients begin at one moment, and the server is there",
        connected: false,
        up: &[(0.0, FOR_EVER)],
        duration: 30.0,
        ..RESTART
    },
    Scenario {
        name: "flap-closes",
        about: "1,000 clients, whose connections are closed after 100 ms, for a minute",
        keeps: 0.1,
        ..FLAP
    },
    Scenario {
        name: "flap-goes-away",
        about: "1,000 clients, which are sent away after a request and 1 s, for a minute",
        keeps: 1.0,
        sends_away: true,
        ..FLAP
    },
    Scenario {
        name: "flap-rejects",
        about: "1,000 clients, whose TLS handshake fails after 20 ms, for a minute",
        rejects: true,
        ..FLAP
    },
];

/// The one by which all are judged.
pub(super) const RESTART: Scenario = Scenario {
    name: "restart-10s",
    about: "the same for 10 s",
    clients: 10_000,
    connected: true,
    up: &[(10.0, FOR_EVER)],
    rejects: false,
    keeps: FOR_EVER,
    sends_away: false,
    duration: 90.0,
};

const FLAP: Scenario = Scenario {
    name: "",
    clients: 1_000,
    connected: false,
    up: &[(0.0, FOR_EVER)],
    duration: 60.0,
    ..RESTART
};

const FOR_EVER: f64 = f64::INFINITY;
