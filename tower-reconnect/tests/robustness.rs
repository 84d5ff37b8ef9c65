//! Whatever the maker and its connections do: dials are bounded, nothing spins, no error is stale,
//! and nothing is left after the last handle. Both shapes are held to the same.
#![allow(clippy::unwrap_used)]

mod support;

use std::{error::Error, time::Duration};

use tokio::time::Instant;
use tokio_test::assert_pending;
use tower::ServiceExt;
use tower_layer::Layer;
use tower_reconnect::{
    Builder, Mode, Reconnect, ReconnectLayer, State, Watch,
    error::{BoxError, ConnectPanic, ConnectTimeout, Unavailable},
    exclusive::Exclusive,
};
use tower_service::Service;
use tower_test::mock::Spawn;

use support::{Connection, Dial, Failure, Peer, TICK, pass, settle};

/// What goes wrong, and how its cause is told from others.
const WAYS: [(Dial, Rule); 9] = [
    (Dial::Refuse, is_failure),
    (Dial::RefuseAfter(TICK), is_failure),
    (Dial::BrokenMaker, is_failure),
    (Dial::Panic, is_panic),
    (Dial::PanicInCall, is_panic),
    (Dial::PanicInReady, is_panic),
    (Dial::Hang, is_timeout),
    (Dial::NeverReady, is_timeout),
    (Dial::AcceptDead, is_failure),
];

type Rule = fn(&(dyn Error + 'static)) -> bool;

/// At a base of 125 ms and a cap of 8 s, each delay at least 7/16 of its step: 7 steps take at least
/// 6.9 s, and from then on 7 s each at least.
const MOST_DIALS_IN_A_MINUTE: usize = 1 + 7 + 8;

#[tokio::test(start_paused = true)]
async fn dials_are_bounded_and_nothing_spins_under_constant_demand() {
    for shape in SHAPES {
        for (way, is_cause) in WAYS {
            let peer = Peer::new(&[way]);
            let service = shape(&peer, builder().max_dials(1));
            // In the exclusive shape each may get a connection before it shows that it is dead.
            let most = MOST_DIALS_IN_A_MINUTE + 8;
            let mut handles: Vec<_> = (0..8).map(|_| Spawn::new(service.clone())).collect();
            let started = Instant::now();
            let mut wakeups = 0;
            while Instant::now() - started < Duration::from_secs(60) {
                for handle in &mut handles {
                    wakeups += usize::from(handle.is_woken());
                    let before = peer.dials();
                    assert_pending!(handle.poll_ready(), "{way:?}");
                    assert_eq!(peer.dials(), before, "{way:?}: dialled within a poll");
                }
                leap(TICK * 37).await;
            }
            let dials = service.watch().stats().dials as usize;
            assert!((4..=most).contains(&dials), "{way:?}: {dials}");
            assert!(wakeups <= 8 * dials + 8, "{way:?}: {wakeups} wakeups");
            let cause = service.watch().last_cause().unwrap();
            assert!(is_cause(&*cause), "{way:?}: {cause}");
        }
    }
}

/// However many handles there are, and though up to four dials fail before that is known.
#[tokio::test(start_paused = true)]
async fn handles_that_come_and_go_do_not_hurry_the_dials() {
    for shape in SHAPES {
        for (way, _) in WAYS {
            let peer = Peer::new(&[way]);
            let service = shape(&peer, builder());
            let started = Instant::now();
            while Instant::now() - started < Duration::from_secs(60) {
                for _ in 0..5 {
                    assert_pending!(Spawn::new(service.clone()).poll_ready(), "{way:?}");
                }
                let mut handle = Spawn::new(service.clone());
                assert_pending!(handle.poll_ready(), "{way:?}");
                leap(TICK * 37).await;
            }
            let dials = service.watch().stats().dials as usize;
            assert!(dials <= MOST_DIALS_IN_A_MINUTE + 3, "{way:?}: {dials}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_is_that_of_the_latest_dial_and_never_comes_after_a_success() {
    for shape in SHAPES {
        for (way, is_cause) in WAYS {
            // It would stay so.
            if matches!(way, Dial::NeverReady) {
                continue;
            }
            let peer = Peer::new(&[Dial::Refuse, way, Dial::Accept]);
            let builder = builder().mode(Mode::FailFast).max_dials(1);
            let service = shape(&peer, builder);
            let first = service.clone().oneshot(1).await.unwrap_err();
            assert!(is_failure(cause_of(&first)));
            pass(Duration::from_millis(127)).await;
            assert_eq!(peer.dials(), 2, "{way:?}");
            let second = service.clone().oneshot(2).await.unwrap_err();
            assert!(is_cause(cause_of(&second)), "{way:?}: {second}");
            pass(Duration::from_millis(252)).await;
            for request in 0..20 {
                let response = service.clone().oneshot(request).await;
                assert_eq!(response.unwrap().1, request, "{way:?}");
            }
        }
    }
}

/// A connection that takes a request and dies is no better than one that refuses.
#[tokio::test(start_paused = true)]
async fn connections_that_die_of_their_first_request_back_off_as_well() {
    for shape in SHAPES {
        let peer = Peer::new(&[Dial::Accept]);
        let service = shape(&peer, builder().retired_when(is_panic));
        let started = Instant::now();
        let mut answers = 0;
        while Instant::now() - started < Duration::from_secs(60) {
            let mut handle = service.clone();
            handle.ready().await.unwrap();
            peer.link().kill();
            assert!(handle.call(1).await.is_err());
            // The next to look sees that it is dead.
            assert!(handle.poll_ready_once().is_pending());
            answers += 1;
        }
        assert!(answers <= MOST_DIALS_IN_A_MINUTE, "{answers}");
        assert!(peer.dials() <= MOST_DIALS_IN_A_MINUTE, "{}", peer.dials());
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_after_the_last_handle_whatever_it_was_doing() {
    for shape in SHAPES {
        for (way, _) in WAYS {
            for wait in [0, 1, 60, 400] {
                let peer = Peer::new(&[way]);
                let service = shape(&peer, builder());
                let watch = service.watch();
                let mut handle = Spawn::new(service);
                assert_pending!(handle.poll_ready());
                pass(TICK * wait).await;
                drop(handle);
                settle().await;
                assert_eq!(peer.dialling().0, 0, "{way:?} after {wait} ticks");
                assert!(!peer.maker_is_alive(), "{way:?} after {wait} ticks");
                assert!(peer.links().iter().all(|link| link.alive() == 0));
                assert!(matches!(watch.state(), State::Closed));
                let dials = peer.dials();
                leap(Duration::from_secs(30)).await;
                assert_eq!(peer.dials(), dials, "{way:?} after {wait} ticks");
            }
        }
    }
}

/// Moves the clock at once, where a hundred steps show no more.
async fn leap(duration: Duration) {
    tokio::time::advance(duration).await;
    settle().await;
}

fn is_failure(error: &(dyn Error + 'static)) -> bool {
    error.is::<Failure>()
}

fn is_panic(error: &(dyn Error + 'static)) -> bool {
    error.is::<ConnectPanic>()
}

fn is_timeout(error: &(dyn Error + 'static)) -> bool {
    error.is::<ConnectTimeout>()
}

fn cause_of(error: &BoxError) -> &(dyn Error + 'static) {
    let error = error.downcast_ref::<Unavailable>().unwrap();
    error.source().unwrap()
}

fn builder() -> Builder<&'static str> {
    ReconnectLayer::builder("peer")
}

type Shape = fn(&Peer, Builder<&'static str>) -> Handle;

const SHAPES: [Shape; 2] = [
    |peer, builder| Handle::Shared(builder.build().unwrap().layer(peer.maker())),
    |peer, builder| Handle::Exclusive(builder.build_exclusive().unwrap().layer(peer.maker())),
];

/// A handle of either shape.
#[derive(Clone)]
enum Handle {
    Shared(Reconnect<Connection>),
    Exclusive(Exclusive<Connection>),
}

impl Handle {
    fn watch(&self) -> Watch {
        match self {
            Self::Shared(handle) => handle.watch(),
            Self::Exclusive(handle) => handle.watch(),
        }
    }

    fn poll_ready_once(&mut self) -> std::task::Poll<Result<(), BoxError>> {
        tokio_test::task::spawn(()).enter(|context, _| self.poll_ready(context))
    }
}

impl Service<u64> for Handle {
    type Response = (usize, u64);
    type Error = BoxError;
    type Future = <Reconnect<Connection> as Service<u64>>::Future;

    fn poll_ready(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), BoxError>> {
        match self {
            Self::Shared(handle) => handle.poll_ready(context),
            Self::Exclusive(handle) => handle.poll_ready(context),
        }
    }

    fn call(&mut self, request: u64) -> Self::Future {
        match self {
            Self::Shared(handle) => handle.call(request),
            Self::Exclusive(handle) => handle.call(request),
        }
    }
}
