//! The balancers on two threads that share one, and what they cannot do without.

use std::{hint::black_box, sync::Arc};

use arc_swap::ArcSwap;
use benches::{
    service::{Cloned, send},
    threads::{Pair, timed},
};
use tokio::{runtime::Runtime, time::Instant};

use super::{
    least::Least,
    subjects::{Kind, buffered, ours, send_buffered},
};

/// Those that are shared at all: tower's balancer without a buffer is not.
pub(super) fn balancers<'a>(one: &'a Runtime, two: &'a Runtime, endpoints: usize) -> Vec<Pair<'a>> {
    let cloned = Cloned(ours(one, endpoints, None));
    vec![
        Pair::of_service(Kind::Ours.name(), &ours(one, endpoints, None)),
        Pair::of_service(Kind::OursCloned.name(), &cloned),
        Pair::of_service(Kind::OursOfTwo.name(), &ours(one, endpoints, Some(2))),
        Pair::of_service(Kind::Least.name(), &Least::new(endpoints)),
        Pair::new(
            UNSHARED,
            [(); 3].map(|()| {
                let mut own = ours(one, endpoints, Some(2));
                move |requests| send(&mut own, requests)
            }),
        ),
        buffer(one, two, endpoints),
    ]
}

/// What a request cannot do without, or could be thought to need.
pub(super) fn floors<'a>() -> Vec<Pair<'a>> {
    let shared = Arc::new(());
    let swap = Arc::new(ArcSwap::from_pointee(()));
    vec![
        Pair::new(
            "two clock reads",
            [(); 3].map(|()| {
                repeat(|| {
                    black_box(Instant::now());
                    black_box(Instant::now());
                })
            }),
        ),
        Pair::new(
            "shared Arc, clone and drop",
            [(); 3].map(|()| {
                let shared = Arc::clone(&shared);
                repeat(move || drop(black_box(Arc::clone(&shared))))
            }),
        ),
        Pair::new(
            "shared ArcSwap, load",
            [(); 3].map(|()| {
                let swap = Arc::clone(&swap);
                repeat(move || drop(black_box(swap.load())))
            }),
        ),
    ]
}

fn repeat(mut step: impl FnMut() + Send) -> impl FnMut(u32) + Send {
    move |times| (0..times).for_each(|_| step())
}

fn buffer<'a>(one: &'a Runtime, two: &'a Runtime, endpoints: usize) -> Pair<'a> {
    let mut alone = buffered(one, endpoints);
    let shared = buffered(two, endpoints);
    Pair::of_times(
        Kind::TowerBuffered.name(),
        move |requests| timed(|| one.block_on(send_buffered(&mut alone, requests))),
        move |requests| {
            let client = || {
                let mut handle = shared.clone();
                two.spawn(async move { send_buffered(&mut handle, requests).await })
            };
            timed(|| {
                let clients = [client(), client()];
                two.block_on(async {
                    for client in clients {
                        client.await.expect("a client does not panic");
                    }
                });
            })
        },
    )
}

pub(super) const UNSHARED: &str = "ours, choices = 2, one for each thread";
