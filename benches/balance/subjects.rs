//! The balancers that are compared, each over endpoints that are all ready.

use std::{convert::Infallible, time::Duration};

use benches::{
    Subject,
    service::{Bare, Cloned, bare, subject},
};
use futures::stream;
use tokio::runtime::Runtime;
use tower::{
    Layer,
    balance::p2c::Balance as TowerBalance,
    discover::ServiceList,
    load::{CompleteOnResponse, PeakEwmaDiscover},
};
use tower_balance_p2c::{Balance, BalanceLayer, Change};

/// Ours.
pub(super) type Ours = Balance<usize, Bare, ()>;
/// tower's, with the load that it recommends.
pub(super) type Towers = TowerBalance<PeakEwmaDiscover<ServiceList<Vec<Bare>>>, ()>;

/// All of them over `endpoints`, in the order of the table.
pub(super) fn all(runtime: &Runtime, endpoints: usize) -> Vec<Subject<'_>> {
    let ours = ours(runtime, endpoints, None);
    vec![
        bare(),
        subject(OURS, ours.clone()),
        subject(OURS_CLONED, Cloned(ours)),
        subject(OURS_OF_TWO, self::ours(runtime, endpoints, Some(2))),
        subject(TOWER, tower(endpoints)),
    ]
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
    let ours = layer.layer(stream::iter(changes));
    runtime.block_on(async {
        while ours.stats().ready < endpoints {
            tokio::task::yield_now().await;
        }
    });
    ours
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

pub(super) const OURS: &str = "ours, by &mut";
pub(super) const OURS_CLONED: &str = "ours, cloned for each request";
pub(super) const OURS_OF_TWO: &str = "ours, choices = 2";
pub(super) const TOWER: &str = "tower Balance<PeakEwma>, by &mut";
