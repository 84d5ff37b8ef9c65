//! The situations that limits are judged in.

use super::{
    policy::PolicyKind,
    scenario::{Latency, Phase, Scenario, Trouble},
};

/// All of them, in the order of the report.
pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "step-5",
        about: "5 times slower for 60 s, 200 requests/s",
        ..STEP_5
    },
    STEP_10,
    Scenario {
        name: "hangs-1",
        about: "1 % never answered, 200 requests/s",
        phases: &[calm(60.0), hangs(120.0, 0.01)],
        trouble: Trouble::Hangs,
        ..STEP_5
    },
    HANGS_5,
    Scenario {
        name: "outage",
        about: "nothing answered for 20 s, 200 requests/s",
        phases: &[calm(60.0), hangs(20.0, 1.0), calm(60.0)],
        trouble: Trouble::Outage,
        ..STEP_5
    },
    Scenario {
        name: "surge",
        about: "10 times the load for 60 s, 200 requests/s otherwise",
        trouble: Trouble::Load,
        phases: &[calm(60.0), busier(60.0, 10.0), calm(60.0)],
        ..STEP_5
    },
    Scenario {
        name: "rare-step-5",
        about: "5 times slower for 600 s, 1 request/s",
        ..RARE
    },
    Scenario {
        name: "rare-hangs-5",
        about: "5 % never answered, 1 request/s",
        phases: &[calm(600.0), hangs(1200.0, 0.05)],
        trouble: Trouble::Hangs,
        ..RARE
    },
    Scenario {
        name: "many-step-5",
        about: "5 times slower for 12 s, 100,000 requests/s",
        ..MANY
    },
    Scenario {
        name: "many-hangs-5",
        about: "5 % never answered, 100,000 requests/s",
        phases: &[calm(12.0), hangs(12.0, 0.05)],
        trouble: Trouble::Hangs,
        ..MANY
    },
    Scenario {
        name: "many-surge",
        about: "10 times the load for 12 s, 10,000 requests/s otherwise",
        rate: 10_000.0,
        phases: &[calm(12.0), busier(12.0, 10.0), calm(12.0)],
        trouble: Trouble::Load,
        ..MANY
    },
    Scenario {
        name: "day",
        about: "a day of changes, about 20 requests/s",
        rate: 20.0,
        phases: &[
            two_hours(1.0, 0.0, 1.0),
            two_hours(3.0, 0.0, 1.0),
            two_hours(1.0, 0.01, 2.0),
            two_hours(0.5, 0.0, 0.2),
            two_hours(8.0, 0.05, 1.0),
            two_hours(2.0, 0.0, 3.0),
            two_hours(10.0, 0.0, 1.0),
            two_hours(1.0, 0.3, 1.0),
            two_hours(1.5, 0.0, 0.1),
            two_hours(0.2, 0.0, 1.0),
            two_hours(4.0, 1.0, 1.0),
            two_hours(1.0, 0.0, 1.0),
        ],
        trouble: Trouble::Day,
        settles: 60.0,
        compares: OURS,
        ..STEP_5
    },
    other(
        "other-light-step-10",
        "20 ms, sigma 0.3: 10 times slower for 60 s",
        Latency::LogNormal(20.0, 0.3),
        STEP_10,
    ),
    other(
        "other-light-hangs-5",
        "20 ms, sigma 0.3: 5 % never answered",
        Latency::LogNormal(20.0, 0.3),
        HANGS_5,
    ),
    other(
        "other-cache-step-10",
        "1 ms, and 50 ms for one in ten: 10 times slower for 60 s",
        Latency::CacheWithMisses,
        STEP_10,
    ),
    other(
        "other-cache-hangs-5",
        "1 ms, and 50 ms for one in ten: 5 % never answered",
        Latency::CacheWithMisses,
        HANGS_5,
    ),
    other(
        "other-medium-step-10",
        "40 ms, sigma 0.55: 10 times slower for 60 s",
        Latency::LogNormal(40.0, 0.55),
        STEP_10,
    ),
    other(
        "other-medium-hangs-5",
        "40 ms, sigma 0.55: 5 % never answered",
        Latency::LogNormal(40.0, 0.55),
        HANGS_5,
    ),
    other(
        "other-heavy-step-10",
        "5 ms, sigma 1.2: 10 times slower for 60 s",
        Latency::LogNormal(5.0, 1.2),
        STEP_10,
    ),
    other(
        "other-heavy-hangs-5",
        "5 ms, sigma 1.2: 5 % never answered",
        Latency::LogNormal(5.0, 1.2),
        HANGS_5,
    ),
    other(
        "other-steady-step-10",
        "100 ms, sigma 0.1: 10 times slower for 60 s",
        Latency::LogNormal(100.0, 0.1),
        STEP_10,
    ),
    other(
        "other-steady-hangs-5",
        "100 ms, sigma 0.1: 5 % never answered",
        Latency::LogNormal(100.0, 0.1),
        HANGS_5,
    ),
];

/// The scenarios of a name, or of a family: `step` are two.
pub(super) fn named(name: &str) -> impl Iterator<Item = &'static Scenario> {
    let family = format!("{name}-");
    let exact = ALL.iter().any(|scenario| scenario.name == name);
    let name = name.to_owned();
    ALL.iter().filter(move |scenario| {
        scenario.name == name || (!exact && scenario.name.starts_with(&family))
    })
}

const STEP_5: Scenario = Scenario {
    name: "",
    about: "",
    latency: Latency::LogNormal(15.0, 0.8),
    rate: 200.0,
    phases: &[calm(60.0), slower(60.0, 5.0), calm(60.0)],
    warm_up: 20.0,
    trouble: Trouble::Slower,
    settles: 10.0,
    back: 1.5,
    repeats: 1,
    compares: &PolicyKind::ALL,
};

const STEP_10: Scenario = Scenario {
    name: "step-10",
    about: "10 times slower for 60 s, 200 requests/s",
    phases: &[calm(60.0), slower(60.0, 10.0), calm(60.0)],
    ..STEP_5
};

const HANGS_5: Scenario = Scenario {
    name: "hangs-5",
    about: "5 % never answered, 200 requests/s",
    phases: &[calm(60.0), hangs(120.0, 0.05)],
    trouble: Trouble::Hangs,
    ..STEP_5
};

const RARE: Scenario = Scenario {
    rate: 1.0,
    phases: &[calm(600.0), slower(600.0, 5.0), calm(600.0)],
    warm_up: 60.0,
    settles: 60.0,
    back: 3.0,
    // One cut off in the ten requests after the step would be 10 %.
    repeats: 30,
    ..STEP_5
};

const MANY: Scenario = Scenario {
    rate: 100_000.0,
    phases: &[calm(12.0), slower(12.0, 5.0), calm(12.0)],
    warm_up: 4.0,
    compares: OURS,
    ..STEP_5
};

/// The same with another service.
const fn other(
    name: &'static str,
    about: &'static str,
    latency: Latency,
    scenario: Scenario,
) -> Scenario {
    Scenario {
        name,
        about,
        latency,
        compares: OURS,
        ..scenario
    }
}

/// The rules of others are no better there, and take long.
const OURS: &[PolicyKind] = &[
    PolicyKind::Quantile,
    PolicyKind::Smoothed,
    PolicyKind::Oracle,
];

pub(super) const fn calm(seconds: f64) -> Phase {
    slower(seconds, 1.0)
}

const fn two_hours(slower: f64, hung: f64, load: f64) -> Phase {
    Phase {
        seconds: 7200.0,
        load,
        slower,
        hung,
    }
}

const fn slower(seconds: f64, slower: f64) -> Phase {
    Phase {
        seconds,
        load: 1.0,
        slower,
        hung: 0.0,
    }
}

const fn busier(seconds: f64, load: f64) -> Phase {
    Phase {
        seconds,
        load,
        slower: 1.0,
        hung: 0.0,
    }
}

pub(super) const fn hangs(seconds: f64, hung: f64) -> Phase {
    Phase {
        seconds,
        load: 1.0,
        slower: 1.0,
        hung,
    }
}
