//! Each handle has a connection of its own, and all share what they know of the other end.
#![allow(clippy::unwrap_used)]

mod support;

use std::{cell::Cell, convert::Infallible, error::Error, future::ready, time::Duration};

use tokio::time::{Instant, timeout};
use tokio_test::{assert_pending, assert_ready_ok};
use tower::{ServiceExt, service_fn};
use tower_layer::Layer;
use tower_reconnect::{
    Builder, Mode, ReconnectLayer, State,
    error::{NoRuntime, StillConnecting, Unavailable},
    exclusive::Exclusive,
};
use tower_service::Service;
use tower_test::mock::Spawn;

use support::{Connection, Dial, Failure, Peer, TICK, pass, settle};

#[tokio::test(start_paused = true)]
async fn each_handle_has_its_own_and_keeps_it() {
    let peer = Peer::new(&[Dial::Accept]);
    let mut handles = vec![exclusive(&peer)];
    handles.push(handles[0].clone());
    for request in 0..10 {
        for (index, handle) in handles.iter_mut().enumerate() {
            let response = handle.ready().await.unwrap().call(request).await;
            assert_eq!(response.unwrap(), (index + 1, request));
        }
    }
    assert_eq!(peer.dials(), 2);
    assert!(peer.links().iter().all(|link| link.clones() == 0));
    assert_eq!(handles[0].watch().stats().open, 2);
}

#[tokio::test]
async fn the_connection_needs_neither_clone_nor_sync_nor_unpin() {
    struct Counter(Cell<u64>, std::marker::PhantomPinned);
    impl Service<u64> for Counter {
        type Response = u64;
        type Error = Infallible;
        type Future = std::future::Ready<Result<u64, Infallible>>;
        fn poll_ready(
            &mut self,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Result<(), Infallible>> {
            Ok(()).into()
        }
        fn call(&mut self, request: u64) -> Self::Future {
            self.0.set(self.0.get() + request);
            ready(Ok(self.0.get()))
        }
    }
    let dial = service_fn(|()| {
        ready(Ok::<_, Infallible>(Counter(
            Cell::new(0),
            Default::default(),
        )))
    });
    let layer = ReconnectLayer::builder(()).build_exclusive().unwrap();
    let mut service = layer.layer(dial);
    assert_eq!(service.ready().await.unwrap().call(3).await.unwrap(), 3);
    assert_eq!(service.ready().await.unwrap().call(4).await.unwrap(), 7);
}

#[tokio::test(start_paused = true)]
async fn up_to_max_dials_are_under_way_at_once_while_all_is_well() {
    let peer = Peer::new(&[Dial::AcceptAfter(TICK * 10)]);
    let mut waiting = waiters(&exclusive(&peer), 10);
    for expected in [4, 4, 2] {
        settle().await;
        assert_eq!(peer.dialling().0, expected);
        pass(TICK * 12).await;
    }
    for waiter in &mut waiting {
        assert!(waiter.is_woken());
        assert_ready_ok!(waiter.poll_ready());
    }
    assert_eq!((peer.dials(), peer.dialling().1), (10, 4));
}

#[tokio::test(start_paused = true)]
async fn one_dial_is_under_way_while_it_fails_however_many_wait() {
    let peer = Peer::new(&[Dial::RefuseAfter(TICK * 5)]);
    let service = exclusive(&peer);
    let _waiting = waiters(&service, 100);
    pass(TICK * 7).await;
    assert_eq!((peer.dials(), peer.dialling()), (4, (0, 4)));
    let State::BackingOff { failures, .. } = service.watch().state() else {
        panic!("no backoff");
    };
    assert_eq!(failures, 1, "four that fail together are one failure");
    for _ in 0..2000 {
        pass(TICK * 2).await;
        assert!(peer.dialling().0 <= 1);
    }
    pass(Duration::from_secs(60)).await;
    assert!((9..25).contains(&peer.dials()), "{} dials", peer.dials());
}

/// Until then one at a time is dialled, though each succeeds.
#[tokio::test(start_paused = true)]
async fn health_returns_with_a_connection_that_has_lasted() {
    let peer = Peer::new(&[Dial::Refuse, Dial::AcceptAfter(TICK * 700)]);
    let service = peer_with(&peer, |builder| builder.connect_timeout(TICK * 2000));
    let mut first = waiters(&service, 1);
    pass(TICK * 1000).await;
    assert_ready_ok!(first[0].poll_ready());
    let _waiting = waiters(&service, 20);
    pass(Duration::from_secs(4)).await;
    assert!(peer.dials() > 4);
    assert_eq!(peer.dialling().1, 1);
    pass(Duration::from_secs(2)).await;
    assert_eq!(peer.dialling().1, 4);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_longest_gets_the_first_and_is_woken_by_its_own_waker() {
    let peer = Peer::new(&[Dial::AcceptAfter(TICK * 10)]);
    let service = peer_with(&peer, |builder| builder.max_dials(1));
    let mut waiting = waiters(&service, 5);
    for served in 1..=5 {
        pass(TICK * 11).await;
        let woken = waiting.iter().filter(|waiter| waiter.is_woken()).count();
        assert_eq!(woken, served);
        assert!(waiting[served - 1].is_woken());
    }
    for (index, waiter) in waiting.iter_mut().enumerate() {
        assert_ready_ok!(waiter.poll_ready());
        assert_eq!(waiter.call(0).await.unwrap().0, index + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_began_the_dial_may_leave_and_the_next_in_line_gets_it() {
    let peer = Peer::new(&[Dial::AcceptAfter(TICK * 10), Dial::Hang]);
    let service = peer_with(&peer, |builder| builder.max_dials(1));
    let mut waiting = waiters(&service, 3);
    settle().await;
    drop(waiting.remove(0));
    pass(TICK * 12).await;
    assert!(waiting[0].is_woken());
    assert!(!waiting[1].is_woken());
    assert_ready_ok!(waiting[0].poll_ready());
    assert_eq!(waiting[0].call(1).await.unwrap(), (1, 1));
}

/// One that was given a connection may leave before it has seen it.
#[tokio::test(start_paused = true)]
async fn what_was_granted_to_one_that_left_goes_to_the_next() {
    let peer = Peer::new(&[Dial::Accept, Dial::Hang]);
    let service = peer_with(&peer, |builder| builder.max_dials(1));
    let mut waiting = waiters(&service, 2);
    settle().await;
    assert!(waiting[0].is_woken() && !waiting[1].is_woken());
    drop(waiting.remove(0));
    assert!(waiting[0].is_woken());
    assert_ready_ok!(waiting[0].poll_ready());
}

#[tokio::test(start_paused = true)]
async fn a_dial_outlives_all_who_waited_for_it() {
    let peer = Peer::new(&[Dial::AcceptAfter(TICK * 10)]);
    let service = exclusive(&peer);
    assert!(timeout(TICK * 3, service.clone().oneshot(1)).await.is_err());
    pass(TICK * 10).await;
    let mut next = Spawn::new(service.clone());
    assert_ready_ok!(next.poll_ready(), "it was kept");
    assert_eq!(next.call(2).await.unwrap(), (1, 2));
    assert_eq!(peer.dials(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_never_called_is_passed_on_and_one_that_was_is_not() {
    let peer = Peer::new(&[Dial::Accept]);
    let service = exclusive(&peer);
    let mut one = service.clone();
    one.ready().await.unwrap();
    drop(one);
    assert_eq!(peer.link().alive(), 1);
    assert_eq!(service.clone().oneshot(1).await.unwrap(), (1, 1));
    assert_eq!(peer.link().alive(), 0, "in the middle of something");
    assert_eq!(service.clone().oneshot(2).await.unwrap(), (2, 2));
    assert_eq!(service.watch().stats().open, 0);
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_replaced_for_its_handle_alone() {
    let peer = Peer::new(&[Dial::Accept]);
    let mut one = exclusive(&peer);
    let mut other = one.clone();
    one.ready().await.unwrap();
    other.ready().await.unwrap();
    pass(Duration::from_secs(6)).await;
    peer.links()[0].kill();
    assert_eq!(one.ready().await.unwrap().call(1).await.unwrap(), (3, 1));
    assert_eq!(other.ready().await.unwrap().call(1).await.unwrap(), (2, 1));
    let stats = one.watch().stats();
    assert_eq!((stats.lost, stats.unstable, stats.open), (1, 0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_all_young_connections_with_it_is_one_failure() {
    let peer = Peer::new(&[Dial::Accept]);
    let service = exclusive(&peer);
    let mut handles: Vec<_> = (0..20).map(|_| Spawn::new(service.clone())).collect();
    for handle in &mut handles {
        assert_pending!(handle.poll_ready());
        settle().await;
        assert_ready_ok!(handle.poll_ready());
    }
    peer.always(Dial::Hang);
    peer.links().iter().for_each(|link| link.kill());
    for handle in &mut handles {
        assert_pending!(handle.poll_ready());
    }
    let State::BackingOff {
        failures, until, ..
    } = service.watch().state()
    else {
        panic!("no backoff");
    };
    assert_eq!(failures, 1);
    assert!(until - Instant::now() <= Duration::from_millis(125));
    pass(Duration::from_millis(130)).await;
    assert_eq!(peer.dialling().0, 1);
}

#[tokio::test(start_paused = true)]
async fn a_retired_connection_is_replaced_at_once_if_it_has_done_anything() {
    let peer = Peer::new(&[Dial::Accept]);
    let mut service = peer_with(&peer, |builder| {
        builder.retired_when(<dyn Error>::is::<Failure>)
    });
    for round in 1..=10 {
        let started = Instant::now();
        let response = service.ready().await.unwrap().call(round).await;
        assert_eq!(response.unwrap(), (round as usize, round));
        assert_eq!(Instant::now(), started, "a backoff");
        peer.link().kill();
    }
    peer.always(Dial::AcceptDead);
    let mut service = Spawn::new(service);
    assert_pending!(service.poll_ready());
    pass(Duration::from_secs(10)).await;
    let stats = service.get_ref().watch().stats();
    assert_eq!(stats.retired, 10);
    assert!(stats.dials < 14, "{stats:?}");
}

/// A request that was sent is no work: it must have been answered.
#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_requests_and_answers_none_is_dialled_ever_more_rarely() {
    let peer = Peer::new(&[Dial::Accept]);
    let service = peer_with(&peer, |builder| builder.retired_when(|_| true));
    let end = Instant::now() + Duration::from_secs(60);
    while Instant::now() < end {
        let mut handle = service.clone();
        if timeout(TICK * 10, handle.ready()).await.is_err() {
            continue;
        }
        peer.link().kill();
        assert!(handle.call(1).await.is_err());
        // So that its end is seen, and not only that its owner is gone.
        let _ = timeout(TICK, handle.ready()).await;
    }
    let stats = service.watch().stats();
    assert!((8..=20).contains(&stats.dials), "{stats:?}");
}

#[tokio::test(start_paused = true)]
async fn to_fail_fast_is_to_wait_for_a_dial_but_not_for_a_backoff() {
    let peer = Peer::new(&[Dial::RefuseAfter(TICK * 5)]);
    let service = peer_with(&peer, |builder| builder.mode(Mode::FailFast));
    let started = Instant::now();
    let mut waiting = waiters(&service, 10);
    pass(TICK * 7).await;
    for waiter in &mut waiting {
        assert!(waiter.is_woken());
        assert_ready_ok!(waiter.poll_ready());
        let error = waiter.call(1).await.unwrap_err();
        let error = error.downcast_ref::<Unavailable>().unwrap();
        let source = error.source().unwrap();
        assert_eq!(source.downcast_ref(), Some(&Failure("refused")));
        let State::BackingOff { until, .. } = service.watch().state() else {
            panic!("no backoff");
        };
        assert_eq!(error.next_attempt(), until);
    }
    assert!(Instant::now() - started < TICK * 10);
    assert_eq!(peer.dials(), 4);
}

#[tokio::test(start_paused = true)]
async fn to_fail_fast_is_to_wait_for_the_dials_that_are_under_way_beside_one_that_fails() {
    let accept = Dial::AcceptAfter(TICK * 50);
    let peer = Peer::new(&[accept, Dial::RefuseAfter(TICK * 5), accept]);
    let service = peer_with(&peer, |builder| builder.mode(Mode::FailFast).max_dials(3));
    let mut waiting = waiters(&service, 4);
    pass(TICK * 7).await;
    let woken: Vec<_> = waiting.iter().map(Spawn::is_woken).collect();
    assert_eq!(woken, [false, false, true, true]);
    assert_ready_ok!(waiting[3].poll_ready());
    assert!(waiting[3].call(1).await.unwrap_err().is::<Unavailable>());
    pass(TICK * 50).await;
    assert_ready_ok!(waiting[0].poll_ready());
    assert!(waiting[0].call(1).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_bounded_wait_ends() {
    let peer = Peer::new(&[Dial::Hang]);
    let bound = Duration::from_millis(300);
    let service = peer_with(&peer, |builder| builder.mode(Mode::BoundedWait(bound)));
    let started = Instant::now();
    let error = service.oneshot(1).await.unwrap_err();
    let error = error.downcast_ref::<Unavailable>().unwrap();
    assert!(error.cause().is::<StillConnecting>());
    let waited = Instant::now() - started;
    assert!((bound..bound + TICK * 2).contains(&waited), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn the_states_are_those_of_the_shared_shape() {
    let peer = Peer::new(&[Dial::RefuseAfter(TICK), Dial::AcceptAfter(TICK)]);
    let service = peer_with(&peer, |builder| builder.name("the peer"));
    let mut watch = service.watch();
    assert!(matches!(watch.state(), State::Idle));
    let mut handle = Spawn::new(service.clone());
    assert_pending!(handle.poll_ready());
    assert!(watch.changed().await);
    assert!(matches!(watch.state(), State::Connecting));
    assert!(watch.changed().await);
    assert!(matches!(watch.state(), State::BackingOff { .. }));
    assert!(watch.changed().await);
    assert!(matches!(watch.state(), State::Connecting));
    assert!(watch.changed().await);
    assert!(watch.state().is_connected());
    let text = format!("{handle:?}");
    assert!(text.contains("the peer"), "{text}");
    drop((handle, service));
    assert!(matches!(watch.state(), State::Closed));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_after_the_last_handle() {
    let peer = Peer::new(&[Dial::Accept, Dial::Accept, Dial::Hang]);
    let service = peer_with(&peer, |builder| builder.mode(Mode::Balanced));
    let mut own = service.clone();
    own.ready().await.unwrap().call(1).await.unwrap();
    let mut spare = service.clone();
    spare.ready().await.unwrap();
    let hanging = waiters(&service, 3);
    settle().await;
    assert_eq!(peer.dialling().0, 3);
    drop((spare, hanging, own));
    settle().await;
    assert_eq!(peer.link().alive(), 1, "kept for the next");
    assert_eq!(peer.dialling().0, 3);
    drop(service);
    settle().await;
    assert_eq!(peer.dialling().0, 0);
    assert!(peer.links().iter().all(|link| link.alive() == 0));
    assert!(!peer.maker_is_alive());
}

#[tokio::test(start_paused = true)]
async fn what_nobody_has_is_closed_after_the_idle_time() {
    let peer = Peer::new(&[Dial::Accept]);
    let idle = Duration::from_secs(8);
    let service = peer_with(&peer, |builder| builder.idle(idle));
    let mut owner = service.clone();
    owner.ready().await.unwrap();
    let mut leaver = service.clone();
    leaver.ready().await.unwrap();
    drop(leaver);
    pass(idle - TICK * 20).await;
    assert_eq!(peer.links()[1].alive(), 1);
    pass(idle / 2 + TICK * 50).await;
    assert_eq!(peer.links()[1].alive(), 0);
    assert_eq!(peer.links()[0].alive(), 1, "a handle has it");
    assert_eq!(service.watch().stats().unused, 1);
}

#[tokio::test(start_paused = true)]
async fn an_old_connection_is_exchanged_between_two_requests() {
    let peer = Peer::new(&[Dial::Accept, Dial::AcceptAfter(TICK * 300)]);
    let age = Duration::from_secs(60);
    let service = peer_with(&peer, |builder| builder.max_age(age));
    let mut handle = Spawn::new(service.clone());
    assert_pending!(handle.poll_ready());
    settle().await;
    assert_ready_ok!(handle.poll_ready());
    peer.link().set_busy(true);
    handle.call(1).await.unwrap();
    assert_pending!(handle.poll_ready());
    pass(age).await;
    assert_eq!(peer.links().len(), 2);
    assert_pending!(handle.poll_ready(), "a request is under way");
    peer.links()[0].set_busy(false);
    assert!(handle.is_woken());
    assert_ready_ok!(handle.poll_ready());
    assert_eq!(handle.call(2).await.unwrap(), (2, 2));
    assert_eq!(peer.links()[0].alive(), 0);
    let stats = service.watch().stats();
    assert_eq!((stats.replaced, stats.open, stats.lost), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn an_old_connection_serves_on_while_its_successor_cannot_be_dialled() {
    let peer = Peer::new(&[Dial::Accept, Dial::Refuse]);
    let service = peer_with(&peer, |builder| builder.max_age(Duration::from_secs(60)));
    let mut handle = service.clone();
    for request in 0..600 {
        assert_eq!(
            handle.ready().await.unwrap().call(request).await.unwrap().0,
            1
        );
        pass(TICK * 200).await;
    }
    assert!((8..30).contains(&peer.dials()), "{} dials", peer.dials());
    peer.always(Dial::Accept);
    pass(Duration::from_secs(11)).await;
    assert_eq!(handle.ready().await.unwrap().call(1).await.unwrap(), (2, 1));
}

/// Its owner may go, or it may die, before it is exchanged.
#[tokio::test(start_paused = true)]
async fn a_successor_is_not_lost_with_its_predecessor() {
    let age = Duration::from_secs(60);
    let peer = Peer::new(&[Dial::Accept]);
    let service = peer_with(&peer, |builder| builder.max_age(age));
    let mut handle = service.clone();
    handle.ready().await.unwrap().call(1).await.unwrap();
    pass(age * 9 / 10 + TICK * 400).await;
    assert_eq!(peer.links().len(), 2);
    drop(handle);
    assert_eq!(service.clone().oneshot(1).await.unwrap(), (2, 1));

    let mut handle = service.clone();
    handle.ready().await.unwrap().call(1).await.unwrap();
    pass(age * 9 / 10 + TICK * 400).await;
    peer.links()[2].kill();
    assert_eq!(handle.ready().await.unwrap().call(1).await.unwrap(), (4, 1));
}

/// The task takes the successor with it, and the old one is all there is.
#[test]
fn an_old_connection_serves_on_when_its_successor_goes_with_the_runtime() {
    let peer = Peer::new(&[Dial::Accept]);
    let age = Duration::from_secs(60);
    let mut handle = peer_with(&peer, |builder| builder.max_age(age));
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        handle.ready().await.unwrap().call(1).await.unwrap();
        pass(age).await;
    });
    assert_eq!(peer.links()[1].alive(), 1);
    drop(runtime);
    assert_eq!(peer.links()[1].alive(), 0);
    let mut handle = Spawn::new(handle);
    for request in 2..5 {
        assert_ready_ok!(handle.poll_ready());
        let response = tokio_test::block_on(handle.call(request));
        assert_eq!(response.unwrap(), (1, request));
    }
    assert!(matches!(handle.get_ref().watch().state(), State::Closed));
}

#[tokio::test(start_paused = true)]
async fn eager_means_one_that_is_kept_for_the_first_handle() {
    let peer = Peer::new(&[Dial::Accept]);
    let service = peer_with(&peer, |builder| builder.eager(true));
    settle().await;
    assert_eq!(peer.dials(), 1);
    assert_eq!(service.watch().stats().open, 1);
    let mut first = Spawn::new(service);
    assert_ready_ok!(first.poll_ready());
    settle().await;
    assert_eq!(peer.dials(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_reset_ends_the_backoff_of_all() {
    let peer = Peer::new(&[Dial::Refuse]);
    let service = exclusive(&peer);
    let mut waiting = waiters(&service, 3);
    pass(Duration::from_secs(60)).await;
    pass(Duration::from_secs(1)).await;
    peer.always(Dial::Accept);
    service.reset_backoff();
    settle().await;
    for waiter in &mut waiting {
        assert_ready_ok!(waiter.poll_ready());
    }
}

#[test]
fn without_a_runtime_the_response_says_so() {
    let peer = Peer::new(&[Dial::Accept]);
    let mut service = Spawn::new(exclusive(&peer));
    assert_ready_ok!(service.poll_ready());
    let response = tokio_test::block_on(service.call(1));
    assert!(response.unwrap_err().is::<NoRuntime>());
}

fn exclusive(peer: &Peer) -> Exclusive<Connection> {
    peer_with(peer, |builder| builder)
}

fn peer_with(
    peer: &Peer,
    settings: impl FnOnce(Builder<&'static str>) -> Builder<&'static str>,
) -> Exclusive<Connection> {
    let builder = settings(ReconnectLayer::builder("peer"));
    builder.build_exclusive().unwrap().layer(peer.maker())
}

/// Clones that wait, in this order.
fn waiters(service: &Exclusive<Connection>, count: usize) -> Vec<Spawn<Exclusive<Connection>>> {
    let mut waiting: Vec<_> = (0..count).map(|_| Spawn::new(service.clone())).collect();
    for waiter in &mut waiting {
        assert_pending!(waiter.poll_ready());
    }
    waiting
}
