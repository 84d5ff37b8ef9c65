//! Who is compared: the balancers themselves, and models that know more than a balancer can.

use std::{cell::Cell, rc::Rc};

use benches::simulation;

use super::{
    endpoint::{Endpoint, Request, Response},
    event::Nanos,
    models::{Choices, Everything, Informed, Model, Scan},
    real,
    server::Server,
    tasks::{Ended, Task},
};

/// A balancer of one client.
pub(super) trait Policy {
    /// Discovery has found an endpoint.
    fn insert(&mut self, endpoint: Endpoint);

    /// Sends a request; the task ends with its answer.
    fn send(&mut self, request: Request, view: View<'_>) -> Task;

    /// What has to run beside the requests.
    fn background(&mut self) -> Option<Task> {
        None
    }

    /// How often it has ejected an endpoint, if it ever does.
    fn ejections(&self) -> Option<u64> {
        None
    }

    /// Whether it reads tokio's clock, and not the view's.
    fn needs_clock(&self) -> bool {
        true
    }
}

/// What a model may look at. A balancer does not.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) clock: &'a Rc<Cell<Nanos>>,
    pub(super) servers: &'a [Server],
}

/// The policies by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum PolicyKind {
    Ours,
    OursTwo,
    OursFour,
    OursEight,
    OursSixteen,
    OursAll,
    TowerPeakEwma,
    TowerPending,
    LeastInFlight,
    Scan,
    Informed,
    Oracle,
    /// For the theory check: a random server.
    Random,
    /// For the theory check: the one of two random servers that has less in flight.
    TwoChoices,
}

impl simulation::Policy for PolicyKind {
    const ALL: &'static [Self] = &[
        Self::Ours,
        Self::OursTwo,
        Self::TowerPeakEwma,
        Self::TowerPending,
        Self::LeastInFlight,
        Self::Scan,
        Self::Informed,
        Self::Oracle,
    ];

    // Other numbers of choices.
    const MORE: &'static [Self] = &[
        Self::OursFour,
        Self::OursEight,
        Self::OursSixteen,
        Self::OursAll,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::OursTwo => "ours-2",
            Self::OursFour => "ours-4",
            Self::OursEight => "ours-8",
            Self::OursSixteen => "ours-16",
            Self::OursAll => "ours-all",
            Self::TowerPeakEwma => "tower",
            Self::TowerPending => "tower-pending",
            Self::LeastInFlight => "least-in-flight",
            Self::Scan => "scan",
            Self::Informed => "informed",
            Self::Oracle => "oracle",
            Self::Random => "random",
            Self::TwoChoices => "two-choices",
        }
    }

    fn about(self) -> &'static str {
        match self {
            Self::Ours => "tower-balance-p2c, default settings",
            Self::OursTwo => "tower-balance-p2c, `choices(2)`",
            Self::OursFour => "tower-balance-p2c, `choices(4)`",
            Self::OursEight => "tower-balance-p2c, `choices(8)`",
            Self::OursSixteen => "tower-balance-p2c, `choices(16)`",
            Self::OursAll => "tower-balance-p2c, `choices(usize::MAX)`",
            Self::TowerPeakEwma => "tower `Balance<PeakEwma>`",
            Self::TowerPending => "tower `Balance<PendingRequests>`",
            Self::LeastInFlight => "model: least in flight of all",
            Self::Scan => "model: mean latency x (in flight + 1), least of all",
            Self::Informed => {
                "model: knows each server's speed and state, and what it has in flight there"
            }
            Self::Oracle => "model: knows each server's work and state",
            Self::Random => "model: a random server",
            Self::TwoChoices => "model: less in flight of two",
        }
    }
}

impl PolicyKind {
    /// A balancer whose choices follow from `seed`, where it lets one say so.
    pub(super) fn build(self, seed: u64) -> Box<dyn Policy> {
        match self {
            Self::Ours => Box::new(real::Ours::new(seed, None)),
            Self::OursTwo => Box::new(real::Ours::new(seed, Some(2))),
            Self::OursFour => Box::new(real::Ours::new(seed, Some(4))),
            Self::OursEight => Box::new(real::Ours::new(seed, Some(8))),
            Self::OursSixteen => Box::new(real::Ours::new(seed, Some(16))),
            Self::OursAll => Box::new(real::Ours::new(seed, Some(usize::MAX))),
            Self::TowerPeakEwma => Box::new(real::peak_ewma(seed)),
            Self::TowerPending => Box::new(real::pending_requests(seed)),
            Self::LeastInFlight => Box::new(Model::new(Choices::all(), seed)),
            Self::Scan => Box::new(Model::new(Scan::default(), seed)),
            Self::Informed => Box::new(Model::new(Informed::default(), seed)),
            Self::Oracle => Box::new(Model::new(Everything::default(), seed)),
            Self::Random => Box::new(Model::new(Choices::of(1), seed)),
            Self::TwoChoices => Box::new(Model::new(Choices::of(2), seed)),
        }
    }
}

/// What a client takes a result for: the same for all policies, whatever they take it for.
pub(super) fn ended<E>(result: &Result<Response, E>) -> Ended {
    match result {
        Ok(Response { failed: false }) => Ended::Answered,
        Ok(Response { failed: true }) | Err(_) => Ended::Failed,
    }
}
