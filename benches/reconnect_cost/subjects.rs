//! What is compared.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    hint::black_box,
    sync::Arc,
    task::{Context, Poll},
};

use benches::{
    Subject,
    service::{Bare, bare, send, subject},
    threads::Pair,
};
use tokio::runtime::Runtime;
use tower::{Layer as _, Service, ServiceExt as _, reconnect::Reconnect as TowerReconnect};
use tower_reconnect::{Reconnect, ReconnectLayer};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bare,
    Floor,
    Cloned,
    Kept,
    TowerKept,
}

impl Kind {
    pub(super) const ALL: [Self; 5] = [
        Self::Bare,
        Self::Floor,
        Self::Cloned,
        Self::Kept,
        Self::TowerKept,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare service",
            Self::Floor => "shared Arc, clone and drop",
            Self::Cloned => "ours, a clone for each request",
            Self::Kept => "ours, a handle that is kept",
            Self::TowerKept => "tower Reconnect, which cannot be cloned",
        }
    }

    /// What the command line calls it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Floor => "floor",
            Self::Cloned => "cloned",
            Self::Kept => "kept",
            Self::TowerKept => "tower",
        }
    }

    /// On one thread.
    pub(super) fn subject(self, runtime: &Runtime) -> Subject<'static> {
        let name = self.name();
        match self {
            Self::Bare => bare(),
            Self::Floor => Subject::new(name, clone_and_drop(&Arc::new(()))),
            Self::Cloned => Subject::new(name, send_by_clones(&Arc::new(connected(runtime)))),
            Self::Kept => subject(name, connected(runtime)),
            Self::TowerKept => subject(name, TowerReconnect::with_connection(Bare, Maker, ())),
        }
    }

    /// On two that share it, if it can be shared.
    pub(super) fn pair(self, runtime: &Runtime) -> Option<Pair<'static>> {
        let name = self.name();
        Some(match self {
            Self::Bare => Pair::of_service(name, &Bare),
            Self::Floor => {
                let shared = Arc::new(());
                Pair::new(name, [(); 3].map(|()| clone_and_drop(&shared)))
            }
            Self::Cloned => {
                let handle = Arc::new(connected(runtime));
                Pair::new(name, [(); 3].map(|()| send_by_clones(&handle)))
            }
            Self::Kept => Pair::of_service(name, &connected(runtime)),
            Self::TowerKept => return None,
        })
    }
}

/// As a balancer does it, which has one handle in the set that all threads look at.
fn send_by_clones(handle: &Arc<Reconnect<Bare>>) -> impl FnMut(u32) + Send + use<> {
    let handle = Arc::clone(handle);
    move |requests| {
        for _ in 0..requests {
            send(&mut Reconnect::clone(black_box(&handle)), 1);
        }
    }
}

fn clone_and_drop(shared: &Arc<()>) -> impl FnMut(u32) + Send + use<> {
    let shared = Arc::clone(shared);
    move |times| (0..times).for_each(|_| drop(black_box(Arc::clone(&shared))))
}

pub(super) fn connected(runtime: &Runtime) -> Reconnect<Bare> {
    connected_by(&ReconnectLayer::new(()), runtime)
}

pub(super) fn connected_by(layer: &ReconnectLayer<()>, runtime: &Runtime) -> Reconnect<Bare> {
    let ours = runtime.block_on(async {
        let ours = layer.layer(Maker);
        ours.clone().oneshot(()).await.map(|()| ours)
    });
    ours.expect("the bare service answers")
}

/// Makes bare services.
#[derive(Clone, Copy, Debug)]
pub(super) struct Maker;

impl Service<()> for Maker {
    type Response = Bare;
    type Error = Infallible;
    type Future = Ready<Result<Bare, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(Ok(Bare))
    }
}
