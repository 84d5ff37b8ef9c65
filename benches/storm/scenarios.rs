//! The table of scenarios.
//!
//! One server that works on ten requests at a time, for 10 ms in the mean (exponential), so on
//! 1,000 a second. A client waits a second for an attempt; the server cannot know that it has
//! given up, and works on. What is answered within a second of its coming is in time.

use super::{
    scenario::{
        Change::{self, Mode as Becomes, Speed},
        Condition, Scenario, Service, Watch,
    },
    server::{Expired, Failure::Refused, Mode},
};

/// Everything that is simulated, in the order of the report.
pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "brownout-80",
        about: "half as fast for 10 s, at a load of 0.8, one client",
        ..BROWNOUT
    },
    Scenario {
        name: "brownout-80-clients-40",
        about: "half as fast for 10 s, at a load of 0.8, 40 clients",
        clients: 40,
        ..BROWNOUT
    },
    Scenario {
        name: "brownout-90",
        about: "half as fast for 10 s, at a load of 0.9, one client",
        ..BROWNOUT_90
    },
    Scenario {
        name: "brownout-90-clients-40",
        about: "half as fast for 10 s, at a load of 0.9, 40 clients",
        clients: 40,
        ..BROWNOUT_90
    },
    Scenario {
        name: "brownout-80-fleet",
        about: "half as fast for 10 s, at a load of 0.8, 1,000 clients",
        clients: 1_000,
        ..BROWNOUT
    },
    Scenario {
        name: "brownout-80-skips",
        about: "half as fast for 10 s, at a load of 0.8, 40 clients, and the server knows who has given up",
        clients: 40,
        expired: Expired::Skipped,
        ..BROWNOUT
    },
    Scenario {
        name: "random",
        about: "10 % of the attempts fail after 1 ms, 500 requests/s, one client",
        rate: 500.0,
        errors: 0.1,
        ..BASE
    },
    Scenario {
        name: "outage",
        about: "all are refused for 250 ms, at a load of 0.8, one client; looked at: the second \
                that begins with it",
        ..OUTAGE
    },
    Scenario {
        name: "outage-clients-40",
        about: "the same with 40 clients",
        clients: 40,
        ..OUTAGE
    },
    Scenario {
        name: "rare",
        about: "10 % of the attempts fail after 1 ms, 100 clients of 0.3 requests/s",
        clients: 100,
        rate: 30.0,
        errors: 0.1,
        duration: 360.0,
        warm_up: 60.0,
        ..BASE
    },
];

/// What the lines of the table have in common.
pub(super) const BASE: Scenario = Scenario {
    name: "",
    about: "",
    servers: 1,
    workers: 10,
    expired: Expired::Worked,
    service: Service::Exponential(10.0),
    rate: 800.0,
    duration: 70.0,
    // What the budgets hold at first is spent or forgotten by then.
    warm_up: 10.0,
    clients: 1,
    timeout: None,
    late: Some(1.0),
    errors: 0.0,
    new_luck: true,
    tick: 1e-3,
    plan: |_| Vec::new(),
    watch: None,
};

pub(super) const BROWNOUT: Scenario = Scenario {
    duration: 80.0,
    plan: |_| between(BROWN, Speed(SLOW), Speed(1.0)),
    watch: Some(BROWN),
    ..BASE
};

pub(super) const BROWNOUT_90: Scenario = Scenario {
    rate: 900.0,
    duration: 120.0,
    ..BROWNOUT
};

const OUTAGE: Scenario = Scenario {
    duration: 30.0,
    plan: |_| {
        between(
            watch(10.0, 10.25),
            Becomes(Mode::Fails(Refused, 1.0)),
            Becomes(Mode::Works),
        )
    },
    watch: Some(watch(10.0, 11.0)),
    ..BASE
};

fn between(when: Watch, bad: Change, good: Change) -> Vec<Condition> {
    vec![
        Condition::new(when.from, 0, bad),
        Condition::new(when.until, 0, good),
    ]
}

pub(super) const BROWN: Watch = watch(10.0, 20.0);
/// How fast it is in a brownout.
pub(super) const SLOW: f64 = 0.5;

const fn watch(from: f64, until: f64) -> Watch {
    Watch {
        server: 0,
        from,
        until,
        joins: false,
    }
}
