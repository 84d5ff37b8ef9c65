//! The table of scenarios.
//!
//! Unless a line says otherwise: ten servers that work on one request at a time, for 6 ms in the
//! mean (exponential), one client, 1,000 requests/s (a load of 0.6), 100 s.

use rand::rngs::SmallRng;

use super::{
    scenario::{
        Change::{self, Joins, Longer, Mode as Becomes, Speed, Stalled},
        Condition, Scenario, Service, Watch, exponential,
    },
    server::{
        Expired,
        Failure::{self, Refused, Reset, Status},
        Mode,
    },
};

/// Everything that is simulated, in the order of the report.
pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "equal",
        about: "ten equal servers",
        ..BASE
    },
    Scenario {
        name: "constant",
        about: "ten equal servers that take 6 ms each time",
        service: Service::Constant(6.0),
        ..BASE
    },
    Scenario {
        name: "one-slow",
        about: "one of ten is 10 x slow",
        plan: |_| vec![Condition::new(0.0, 0, Speed(0.1))],
        watch: Some(ALWAYS),
        ..BASE
    },
    Scenario {
        name: "stalls",
        about: "each server stops for 1 s now and then",
        plan: stalls,
        ..BASE
    },
    Scenario {
        name: "mixed",
        about: "speeds 1 : 2 : 4",
        plan: mixed,
        ..BASE
    },
    Scenario {
        name: "fast-failer-5xx",
        about: "one of ten answers with a failure after 1 ms, from 30 s to 65 s",
        plan: |_| fails(Status, 1.0),
        watch: Some(MIDDLE),
        ..BASE
    },
    Scenario {
        name: "fast-failer-refused",
        about: "one of ten refuses connections, from 30 s to 65 s",
        plan: |_| fails(Refused, 1.0),
        watch: Some(MIDDLE),
        ..BASE
    },
    Scenario {
        name: "fast-failer-reset",
        about: "one of ten resets connections after 5 ms, from 30 s to 65 s",
        plan: |_| fails(Reset, 1.0),
        watch: Some(MIDDLE),
        ..BASE
    },
    Scenario {
        name: "half-failer",
        about: "one of ten fails half of its requests after 1 ms, from 30 s to 65 s",
        plan: |_| fails(Status, 0.5),
        watch: Some(MIDDLE),
        ..BASE
    },
    Scenario {
        name: "errors-and-slow",
        about: "all fail 1 % of their requests, and one of ten is 10 x slow",
        errors: 0.01,
        plan: |_| vec![Condition::new(0.0, 0, Speed(0.1))],
        watch: Some(ALWAYS),
        ..BASE
    },
    Scenario {
        name: "newcomer-cold",
        about: "an eleventh server joins after 50 s, and is 10 x slow for 10 s",
        servers: 11,
        plan: |_| joins(&[(50.0, Speed(0.1)), (60.0, Speed(1.0))]),
        watch: Some(watch(NEWCOMER, 50.0, 60.0)),
        ..BASE
    },
    Scenario {
        name: "newcomer-100-clients",
        about: "an eleventh server joins 100 clients after 50 s",
        servers: 11,
        clients: 100,
        plan: |_| joins(&[(50.0, Speed(1.0))]),
        watch: Some(watch(NEWCOMER, 50.0, 50.0)),
        ..BASE
    },
    Scenario {
        name: "hang",
        about: "one of ten never answers from 30 s to 60 s, clients wait 1 s",
        timeout: Some(1.0),
        plan: |_| between(30.0, 60.0, Becomes(Mode::Hangs), Becomes(Mode::Works)),
        watch: Some(watch(0, 30.0, 60.0)),
        ..BASE
    },
    Scenario {
        name: "many-endpoints",
        about: "10,000 servers of 17 ms, each twentieth 10 x slow, 5,000 requests/s, 20 s",
        servers: 10_000,
        service: Service::Exponential(17.0),
        rate: 5_000.0,
        duration: 20.0,
        plan: |_| slow_ones((0..10_000).step_by(20)),
        ..BASE
    },
    Scenario {
        name: "hundred",
        about: "100 servers, each tenth 10 x slow, 10,000 requests/s, 15 s",
        servers: 100,
        rate: 10_000.0,
        duration: 15.0,
        plan: |_| slow_ones((0..100).step_by(10)),
        ..BASE
    },
    Scenario {
        name: "clients-20",
        about: "20 independent clients",
        clients: 20,
        ..BASE
    },
    Scenario {
        name: "clients-100",
        about: "100 independent clients",
        clients: 100,
        ..BASE
    },
    Scenario {
        name: "clients-20-two-slow",
        about: "20 independent clients, two of ten servers are 10 x slow, 500 requests/s",
        clients: 20,
        rate: 500.0,
        plan: |_| slow_ones(0..2),
        watch: Some(ALWAYS),
        ..BASE
    },
    Scenario {
        name: "heals",
        about: "one of ten is 10 x slow from 30 s to 60 s",
        plan: |_| between(30.0, 60.0, Speed(0.1), Speed(1.0)),
        watch: Some(watch(0, 30.0, 60.0)),
        ..BASE
    },
    Scenario {
        name: "buoyant",
        about: "11 servers of 167 ms, one at 2 s from 15 s to 45 s of 60 s, late after 1 s",
        late: Some(1.0),
        ..BUOYANT
    },
    Scenario {
        name: "buoyant-cancelled",
        about: "the same, but clients cancel after 1 s",
        timeout: Some(1.0),
        ..BUOYANT
    },
];

/// The scenarios of a name, or of a family: `fast-failer` are three.
pub(super) fn named(name: &str) -> Vec<&'static Scenario> {
    let family = format!("{name}-");
    let exact = ALL.iter().any(|scenario| scenario.name == name);
    let meant = ALL
        .iter()
        .filter(|scenario| scenario.name == name || (!exact && scenario.name.starts_with(&family)));
    meant.collect()
}

/// What the lines of the table have in common.
pub(super) const BASE: Scenario = Scenario {
    name: "",
    about: "",
    servers: 10,
    workers: 1,
    expired: Expired::Skipped,
    service: Service::Exponential(6.0),
    rate: 1_000.0,
    duration: DURATION,
    warm_up: 0.0,
    clients: 1,
    timeout: None,
    late: None,
    errors: 0.0,
    new_luck: false,
    tick: 5e-3,
    plan: |_| Vec::new(),
    watch: None,
};

/// After Buoyant's comparison of 2016, "Beyond round robin: load balancing for latency".
const BUOYANT: Scenario = Scenario {
    servers: 11,
    workers: 1_000,
    service: Service::LogNormal(167.0, 0.3),
    duration: 60.0,
    plan: |_| between(15.0, 45.0, Longer(2.0 / 0.167), Longer(1.0)),
    watch: Some(watch(0, 15.0, 45.0)),
    ..BASE
};

const ALWAYS: Watch = watch(0, 0.0, DURATION);
const MIDDLE: Watch = watch(0, 30.0, 65.0);

const fn watch(server: usize, from: f64, until: f64) -> Watch {
    Watch {
        server,
        from,
        until,
        joins: server == NEWCOMER,
    }
}

fn between(from: f64, until: f64, bad: Change, good: Change) -> Vec<Condition> {
    vec![Condition::new(from, 0, bad), Condition::new(until, 0, good)]
}

fn fails(failure: Failure, share: f64) -> Vec<Condition> {
    let fails = Becomes(Mode::Fails(failure, share));
    between(MIDDLE.from, MIDDLE.until, fails, Becomes(Mode::Works))
}

/// The eleventh server, and what becomes of it.
fn joins(changes: &[(f64, Change)]) -> Vec<Condition> {
    let changes = changes.iter();
    let mut plan: Vec<_> = changes
        .map(|&(at, change)| Condition::new(at, NEWCOMER, change))
        .collect();
    let first = plan[0].at;
    plan.push(Condition {
        at: first,
        server: NEWCOMER,
        change: Joins,
    });
    plan
}

fn slow_ones(servers: impl Iterator<Item = usize>) -> Vec<Condition> {
    servers
        .map(|server| Condition::new(0.0, server, Speed(0.1)))
        .collect()
}

/// Four, three and three servers, together as fast as ten.
fn mixed(_: &mut SmallRng) -> Vec<Condition> {
    let speeds = (0..10).map(|server| [1.0, 2.0, 4.0][server % 3]);
    let unit = 10.0 / speeds.clone().sum::<f64>();
    let speeds = speeds.enumerate();
    speeds
        .map(|(server, speed)| Condition::new(0.0, server, Speed(speed * unit)))
        .collect()
}

/// A stall takes 1 s; what works meanwhile carries the load.
fn stalls(random: &mut SmallRng) -> Vec<Condition> {
    let mut plan = Vec::new();
    for server in 0..10 {
        let mut at = exponential(BETWEEN_STALLS, random);
        while at < DURATION {
            plan.push(Condition::new(at, server, Stalled(true)));
            plan.push(Condition::new(at + 1.0, server, Stalled(false)));
            at += 1.0 + exponential(BETWEEN_STALLS, random);
        }
    }
    plan
}

/// Comes to the ten others.
const NEWCOMER: usize = 10;
const DURATION: f64 = 100.0;
const BETWEEN_STALLS: f64 = 15.0;
