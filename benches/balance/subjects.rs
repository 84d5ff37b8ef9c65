//! The balancers that are compared, each over endpoints that are all ready.

use std::{convert::Infallible, time::Duration};

use benches::{
    Subject,
    service::{Bare, Cloned, bare, subject},
};
use futures::stream;
use tokio::runtime::Runtime;
use tower::{
    Layer, Service, ServiceExt as _,
    balance::p2c::Balance as TowerBalance,
    buffer::Buffer,
    discover::ServiceList,
    load::{CompleteOnResponse, PeakEwmaDiscover},
};
use tower_balance_p2c::{Balance, BalanceLayer, Change};

use super::least::Least;

/// Ours.
pub(super) type Ours = Balance<usize, Bare, ()>;
/// tower's, with the load that it recommends.
pub(super) type Towers = TowerBalance<PeakEwmaDiscover<ServiceList<Vec<Bare>>>, ()>;
/// The same, so that it can be shared.
pub(super) type Buffered = Buffer<(), <Towers as Service<()>>::Future>;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bare,
    Ours,
    OursCloned,
    OursOfTwo,
    Least,
    Tower,
    TowerBuffered,
}

impl Kind {
    pub(super) const ALL: [Self; 7] = [
        Self::Bare,
        Self::Ours,
        Self::OursCloned,
        Self::OursOfTwo,
        Self::Least,
        Self::Tower,
        Self::TowerBuffered,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare service",
            Self::Ours => "ours, by &mut",
            Self::OursCloned => "ours, cloned for each request",
            Self::OursOfTwo => "ours, choices = 2",
            Self::Least => "the least of two choices",
            Self::Tower => "tower Balance<PeakEwma>, by &mut",
            Self::TowerBuffered => "tower Buffer<Balance<PeakEwma>>",
        }
    }

    /// What the command line calls it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Ours => "ours",
            Self::OursCloned => "ours-cloned",
            Self::OursOfTwo => "ours-of-two",
            Self::Least => "least",
            Self::Tower => "tower",
            Self::TowerBuffered => "tower-buffered",
        }
    }

    /// On one thread, which is also that of a buffer's worker.
    pub(super) fn subject(self, runtime: &Runtime, endpoints: usize) -> Subject<'_> {
        let name = self.name();
        match self {
            Self::Bare => bare(),
            Self::Ours => subject(name, ours(runtime, endpoints, None)),
            Self::OursCloned => subject(name, Cloned(ours(runtime, endpoints, None))),
            Self::OursOfTwo => subject(name, ours(runtime, endpoints, Some(2))),
            Self::Least => subject(name, Least::new(endpoints)),
            Self::Tower => subject(name, tower(endpoints)),
            Self::TowerBuffered => {
                let mut buffered = buffered(runtime, endpoints);
                Subject::new(name, move |requests| {
                    runtime.block_on(send_buffered(&mut buffered, requests));
                })
            }
        }
    }
}

pub(super) fn ours(runtime: &Runtime, endpoints: usize, choices: Option<usize>) -> Ours {
    let changes = (0..endpoints).map(|key| Ok::<_, Infallible>(Change::Insert(key, Bare)));
    let layer = match choices {
        None => BalanceLayer::new(),
        Some(choices) => BalanceLayer::builder()
            .choices(choices)
            .build()
            .expect("the number of choices is in its range"),
    };
    runtime.block_on(async {
        let ours = layer.layer(stream::iter(changes));
        while ours.stats().ready < endpoints {
            tokio::task::yield_now().await;
        }
        ours
    })
}

pub(super) fn tower(endpoints: usize) -> Towers {
    let list = ServiceList::new(vec![Bare; endpoints]);
    TowerBalance::new(PeakEwmaDiscover::new(
        list,
        Duration::from_millis(30),
        Duration::from_secs(10),
        CompleteOnResponse::default(),
    ))
}

pub(super) fn buffered(runtime: &Runtime, endpoints: usize) -> Buffered {
    let _entered = runtime.enter();
    Buffer::new(tower(endpoints), 1024)
}

pub(super) async fn send_buffered(buffered: &mut Buffered, requests: u32) {
    for _ in 0..requests {
        let ready = buffered.ready().await;
        let ready = ready.expect("the buffer's worker runs");
        let answer = ready.call(()).await;
        answer.expect("the bare service answers");
    }
}
