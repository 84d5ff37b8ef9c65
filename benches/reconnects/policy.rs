//! Who is compared.

use benches::simulation;

use super::models::{Jitter, Rule};

/// The policies by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PolicyKind {
    Tower,
    Linkerd,
    Grpc,
    Full,
    Equal,
    Decorrelated,
    Ours,
    OursPutOff,
    OursExclusive,
    OursTen,
    FullEight,
    EqualEight,
    EqualTen,
    DecorrelatedEight,
    NarrowingEight,
}

/// How a client of a policy is made.
#[derive(Clone, Copy, Debug)]
pub(super) enum Client {
    Tower,
    /// With the base, the maximum, and the first dial's jitter, where they are not the defaults.
    /// Seconds.
    Ours {
        backoff: Option<(f64, f64)>,
        first_dial_jitter: f64,
    },
    /// With the defaults.
    OursExclusive,
    Model(Rule),
}

impl simulation::Policy for PolicyKind {
    const ALL: &'static [Self] = &[
        Self::Tower,
        Self::Linkerd,
        Self::Grpc,
        Self::Decorrelated,
        Self::Equal,
        Self::Full,
        Self::Ours,
        Self::OursPutOff,
        Self::OursExclusive,
    ];

    const MORE: &'static [Self] = &[
        Self::OursTen,
        Self::FullEight,
        Self::EqualEight,
        Self::EqualTen,
        Self::DecorrelatedEight,
        Self::NarrowingEight,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Tower => "tower",
            Self::Linkerd => "linkerd",
            Self::Grpc => "grpc",
            Self::Full => "full",
            Self::Equal => "equal",
            Self::Decorrelated => "decorrelated",
            Self::Ours => "ours",
            Self::OursPutOff => "ours-put-off",
            Self::OursExclusive => "ours-exclusive",
            Self::OursTen => "ours-10s",
            Self::FullEight => "full-8s",
            Self::EqualEight => "equal-8s",
            Self::EqualTen => "equal-10s",
            Self::DecorrelatedEight => "decorrelated-8s",
            Self::NarrowingEight => "narrowing-8s",
        }
    }

    fn about(self) -> &'static str {
        match self {
            Self::Tower => {
                "tower 0.5.3 `Reconnect`, which dials when it is polled, with a request each 100 ms"
            }
            Self::Linkerd => "model: linkerd2-proxy (100 ms, doubling to 60 s, up to 10 % more)",
            Self::Grpc => "model: gRPC (1 s, times 1.6 to 120 s, ± 20 %, from the dial)",
            Self::Full => "model: full jitter (0 to 100 ms, doubling to 60 s)",
            Self::Equal => "model: equal jitter (50 to 100 ms, doubling to 60 s)",
            Self::Decorrelated => {
                "model: decorrelated jitter (100 ms to 3 times the last, to 60 s)"
            }
            Self::Ours => "tower-reconnect, default settings (125 ms to 8 s)",
            Self::OursPutOff => "the same with a `first_dial_jitter` of 8 s",
            Self::OursExclusive => "tower-reconnect, exclusive connections, default settings",
            Self::OursTen => "tower-reconnect, 100 ms to 10 s",
            Self::FullEight => "full jitter to 8 s",
            Self::EqualEight => "equal jitter to 8 s",
            Self::EqualTen => "equal jitter to 10 s, which was ours",
            Self::DecorrelatedEight => "decorrelated jitter to 8 s",
            Self::NarrowingEight => {
                "full jitter until the step is 8 s, then the upper half, quarter and eighth of it"
            }
        }
    }
}

impl PolicyKind {
    pub(super) fn client(self) -> Client {
        match self {
            Self::Tower => Client::Tower,
            Self::Linkerd => Client::Model(Rule {
                waits_after_loss: true,
                ..rule(60.0, Jitter::More(0.1))
            }),
            Self::Grpc => Client::Model(Rule {
                base: 1.0,
                factor: 1.6,
                from_the_dial: true,
                ..rule(120.0, Jitter::Around(0.2))
            }),
            Self::Full => Client::Model(rule(60.0, Jitter::Full)),
            Self::Equal => Client::Model(rule(60.0, Jitter::Equal)),
            Self::Decorrelated => Client::Model(rule(60.0, Jitter::Decorrelated)),
            Self::Ours => ours(None, 0.0),
            Self::OursPutOff => ours(None, 8.0),
            Self::OursExclusive => Client::OursExclusive,
            Self::OursTen => ours(Some((0.1, 10.0)), 0.0),
            Self::FullEight => Client::Model(rule(8.0, Jitter::Full)),
            Self::EqualEight => Client::Model(rule(8.0, Jitter::Equal)),
            Self::EqualTen => Client::Model(rule(10.0, Jitter::Equal)),
            Self::DecorrelatedEight => Client::Model(rule(8.0, Jitter::Decorrelated)),
            Self::NarrowingEight => Client::Model(rule(8.0, Jitter::Narrowing)),
        }
    }
}

fn ours(backoff: Option<(f64, f64)>, first_dial_jitter: f64) -> Client {
    Client::Ours {
        backoff,
        first_dial_jitter,
    }
}

fn rule(max: f64, jitter: Jitter) -> Rule {
    Rule {
        base: 0.1,
        factor: 2.0,
        max,
        jitter,
        waits_after_loss: false,
        from_the_dial: false,
    }
}
