//! While there is no connection a handle is not ready, and never fails.

mod support;

use std::{error::Error, time::Duration};

use tokio::time::{Instant, timeout};
use tokio_test::{assert_pending, assert_ready_ok, task};
use tower::ServiceExt;
use tower_reconnect::{ReconnectLayer, State, error::ConnectTimeout};
use tower_service::Service;
use tower_test::mock::Spawn;

use support::{Dial, Failure, Peer, TICK, pass, settle};

/// tower's `Reconnect` under its `Balance` dials 10,001 times a minute (grpc-rust #2839), because
/// a failed dial makes it ready and every further poll dials again.
#[tokio::test(start_paused = true)]
async fn a_peer_that_is_down_is_never_ready_and_not_dialled_in_a_loop() {
    let peer = Peer::new(&[Dial::Refuse]);
    let mut service = Spawn::new(peer.connect_by_default());
    let end = Instant::now() + Duration::from_secs(60);
    while Instant::now() < end {
        assert_pending!(service.poll_ready());
        assert_pending!(service.poll_ready());
        pass(TICK * 6).await;
    }
    // 125 ms doubled to 8 s take 15.9 s at the most, for seven dials, and 7/16 of that at the least;
    // then there is one every 7 s to 8 s.
    assert!((13..=16).contains(&peer.dials()), "{}", peer.dials());
    assert!(matches!(
        service.get_ref().watch().state(),
        State::BackingOff { .. }
    ));
}

#[tokio::test(start_paused = true)]
async fn it_dials_again_by_itself_while_somebody_waits() {
    let peer = Peer::new(&[Dial::Refuse, Dial::Refuse, Dial::Refuse, Dial::Accept]);
    let mut service = Spawn::new(peer.connect_by_default());
    assert_pending!(service.poll_ready());
    pass(Duration::from_secs(1)).await;
    assert!(service.is_woken());
    assert_eq!(peer.dials(), 4);
    assert_ready_ok!(service.poll_ready());
}

/// #60: no backoff.
#[tokio::test(start_paused = true)]
async fn the_delays_between_dials_grow_to_the_cap() {
    let peer = Peer::new(&[Dial::RefuseAfter(TICK)]);
    let ms = Duration::from_millis;
    let builder = ReconnectLayer::builder("peer").backoff(ms(100), ms(800));
    let mut service = Spawn::new(peer.connect(builder));
    assert_pending!(service.poll_ready());
    for _ in 0..50 {
        pass(ms(100)).await;
    }
    let gaps = peer.gaps();
    for (gap, step) in gaps.iter().zip([100, 200, 400, 800, 800, 800]) {
        let least = ms(step / 2);
        assert!(
            (least..ms(step) + TICK * 6).contains(gap),
            "{gap:?} for {step} ms"
        );
    }
    assert!(gaps.len() >= 6);
}

#[tokio::test(start_paused = true)]
async fn a_dial_that_hangs_ends_at_the_connect_timeout() {
    for hang in [Dial::Hang, Dial::NeverReady] {
        let peer = Peer::new(&[hang, Dial::Hang]);
        let after = TICK * 300;
        let builder = ReconnectLayer::builder("peer").connect_timeout(after);
        let mut service = Spawn::new(peer.connect(builder));
        let mut watch = service.get_ref().watch();
        assert_pending!(service.poll_ready());
        assert!(watch.changed().await);
        let started = Instant::now();
        assert!(watch.changed().await);
        let waited = Instant::now() - started;
        assert!((after..after + TICK * 3).contains(&waited), "{waited:?}");
        let cause = cause(&watch.state());
        let cause = cause.downcast_ref::<ConnectTimeout>().unwrap();
        assert_eq!(cause.after(), after);
        assert_eq!(peer.dialling().0, 0, "the dial went on");
    }
}

/// tower's `Reconnect` gives the error of the first dial to the first request of the second.
#[tokio::test(start_paused = true)]
async fn a_new_connection_yields_no_old_error() {
    let peer = Peer::new(&[Dial::Refuse, Dial::Accept]);
    let mut service = peer.connect_by_default();
    service.ready().await.unwrap();
    assert_eq!(service.call(5).await.unwrap(), (1, 5));
    assert_eq!(peer.dials(), 2);
}

/// tower's `Reconnect` drops it.
#[tokio::test(start_paused = true)]
async fn the_error_of_a_lost_connection_can_be_seen() {
    let peer = Peer::new(&[Dial::Accept]);
    let mut service = peer.connect_by_default();
    let watch = service.watch();
    service.ready().await.unwrap();
    assert!(watch.last_cause().is_none());
    peer.link().kill();
    assert_pending!(task::spawn(()).enter(|context, _| service.poll_ready(context)));
    let State::BackingOff {
        failures, until, ..
    } = watch.state()
    else {
        panic!("{watch:?}");
    };
    assert_eq!(failures, 1);
    assert!(until > Instant::now());
    assert_eq!(
        cause(&watch.state()).downcast_ref(),
        Some(&Failure("connection reset"))
    );

    service.ready().await.unwrap();
    pass(Duration::from_secs(6)).await;
    peer.link().kill();
    service.ready().await.unwrap();
    assert!(watch.state().is_connected());
    let last = watch.last_cause().unwrap();
    assert_eq!(last.downcast_ref(), Some(&Failure("connection reset")));
}

#[tokio::test(start_paused = true)]
async fn a_stable_connection_is_replaced_at_once() {
    let peer = Peer::new(&[Dial::Accept]);
    let mut service = peer.connect_by_default();
    service.ready().await.unwrap();
    pass(Duration::from_secs(5)).await;
    peer.link().kill();
    let lost = Instant::now();
    service.ready().await.unwrap();
    assert_eq!(Instant::now(), lost);
    assert_eq!(service.watch().stats().unstable, 0);
}

/// Accept, then die: Linkerd dials such a peer at the minimum delay for ever, because connecting
/// resets its backoff.
#[tokio::test(start_paused = true)]
async fn a_flapping_peer_is_dialled_at_growing_delays() {
    flap(Dial::Accept, Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_dead_on_arrival_backs_off_too() {
    flap(Dial::AcceptDead, Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn no_time_to_be_stable_makes_no_busy_loop() {
    flap(Dial::AcceptDead, Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn a_retired_connection_that_has_done_its_work_is_replaced_at_once_however_young() {
    let peer = Peer::new(&[Dial::Accept]);
    let builder = ReconnectLayer::builder("peer").retired_when(|_| true);
    let service = peer.connect(builder.worked_after(3));
    for round in 1..=20 {
        for request in 0..3 {
            let answer = timeout(TICK * 10, service.clone().oneshot(request)).await;
            assert!(answer.unwrap().is_ok());
        }
        assert_eq!(peer.dials(), round);
        peer.link().kill();
    }
    assert_eq!(service.watch().stats().unstable, 0);
}

/// A server that says GOAWAY after each request, or before the first.
#[tokio::test(start_paused = true)]
async fn a_peer_that_sends_everybody_away_soon_is_dialled_ever_more_rarely() {
    for requests in [0, 1, 99] {
        let peer = Peer::new(&[Dial::Accept]);
        let service = peer.connect(ReconnectLayer::builder("peer").retired_when(|_| true));
        let end = Instant::now() + Duration::from_secs(60);
        let mut answered = 0;
        while Instant::now() < end {
            let mut handle = service.clone();
            if timeout(TICK * 10, handle.ready()).await.is_err() {
                continue;
            }
            for request in 0..requests {
                handle.ready().await.unwrap().call(request).await.unwrap();
                answered += 1;
            }
            peer.link().kill();
        }
        let stats = service.watch().stats();
        assert!((8..=20).contains(&stats.dials), "{requests}: {stats:?}");
        assert!(stats.retired + 1 >= stats.dials, "{requests}: {stats:?}");
        assert_eq!(stats.retired, stats.unstable);
        assert!(answered >= requests * (stats.dials - 1));
    }
}

/// A request that was sent is no work: it must have been answered.
#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_requests_and_answers_none_is_dialled_ever_more_rarely() {
    let peer = Peer::new(&[Dial::Accept]);
    let builder = ReconnectLayer::builder("peer").retired_when(|_| true);
    let service = peer.connect(builder.worked_after(1));
    let end = Instant::now() + Duration::from_secs(60);
    while Instant::now() < end {
        let mut handle = service.clone();
        if timeout(TICK * 10, handle.ready()).await.is_err() {
            continue;
        }
        peer.link().kill();
        assert!(handle.call(1).await.is_err());
    }
    let stats = service.watch().stats();
    assert!((8..=20).contains(&stats.dials), "{stats:?}");
}

async fn flap(dial: Dial, stable_after: Duration) {
    let peer = Peer::new(&[dial]);
    let builder = ReconnectLayer::builder("peer").stable_after(stable_after);
    let service = peer.connect(builder);
    let end = Instant::now() + Duration::from_secs(60);
    while Instant::now() < end {
        // One request after another, each with its own clone.
        let _ = timeout(TICK * 10, service.clone().oneshot(1)).await;
        peer.links().last().inspect(|link| link.kill());
    }
    assert!((8..=20).contains(&peer.dials()), "{}", peer.dials());
    let gaps = peer.gaps();
    assert!(
        gaps[0] < gaps[2] && gaps[2] < gaps[4] && gaps[4] < gaps[6],
        "{gaps:?}"
    );
    assert_eq!(service.watch().stats().failures, 0, "every dial succeeded");
}

#[tokio::test(start_paused = true)]
async fn failures_before_a_stable_connection_are_forgotten() {
    let mut script = [Dial::Refuse; 8];
    script[5] = Dial::Accept;
    let peer = Peer::new(&script);
    let mut service = peer.connect_by_default();
    service.ready().await.unwrap();
    pass(Duration::from_secs(5)).await;
    peer.link().kill();
    let mut service = Spawn::new(service);
    assert_pending!(service.poll_ready());
    settle().await;
    let State::BackingOff {
        until, failures, ..
    } = service.get_ref().watch().state()
    else {
        panic!("the dial should have failed by now");
    };
    assert_eq!(failures, 1);
    assert!(until - Instant::now() <= Duration::from_millis(125));
}

#[tokio::test(start_paused = true)]
async fn a_maker_that_fails_or_panics_is_asked_again() {
    for dial in [
        Dial::BrokenMaker,
        Dial::Panic,
        Dial::PanicInCall,
        Dial::PanicInReady,
    ] {
        let peer = Peer::new(&[dial, dial, Dial::Accept]);
        let mut service = peer.connect_by_default();
        let watch = service.watch();
        let ready = timeout(Duration::from_secs(2), service.ready()).await;
        ready
            .unwrap_or_else(|_| panic!("wedged by {dial:?}"))
            .unwrap();
        assert_eq!(watch.stats().failures, 2);
        let cause = watch.last_cause().unwrap().to_string();
        assert!(
            cause.contains("broken") || cause.contains("panicked: in "),
            "{cause}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn ready_lasts_until_the_call_and_is_not_inherited() {
    let peer = Peer::new(&[Dial::Accept]);
    let mut service = Spawn::new(peer.connect_by_default());
    assert_pending!(service.poll_ready());
    settle().await;
    for _ in 0..3 {
        assert_ready_ok!(service.poll_ready());
    }
    // The probe panics when a clone is called on the readiness of another.
    let response = service.call(1);
    assert_eq!(response.await.unwrap(), (1, 1));
    let unready = service.get_ref().clone().call(2).await.unwrap_err();
    assert!(unready.is::<tower_reconnect::error::NotReady>());
}

#[tokio::test(start_paused = true)]
async fn a_busy_connection_is_not_ready_and_not_lost() {
    let peer = Peer::new(&[Dial::Accept]);
    let mut service = peer.connect_by_default();
    service.ready().await.unwrap();
    peer.link().set_busy(true);
    let mut clone = Spawn::new(service.clone());
    assert_pending!(clone.poll_ready());
    assert!(!clone.is_woken());
    peer.link().set_busy(false);
    assert!(clone.is_woken());
    assert_ready_ok!(clone.poll_ready());
    assert_eq!(peer.dials(), 1);
}

/// What was polled ready is what is called, even when others have seen the connection die.
#[tokio::test(start_paused = true)]
async fn the_instance_that_was_ready_is_called() {
    let peer = Peer::new(&[Dial::Accept]);
    let mut service = peer.connect_by_default();
    service.ready().await.unwrap();
    let link = peer.link();
    link.kill();
    let _ = Spawn::new(service.clone()).poll_ready();
    assert!(!service.watch().state().is_connected());
    let error = service.call(1).await.unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&Failure("connection reset")));
    assert_eq!(link.calls(), 1);
}

/// The copy of a dead connection must not be kept by those that wait for the next.
#[tokio::test(start_paused = true)]
async fn a_waiting_handle_holds_no_dead_connection() {
    let peer = Peer::new(&[Dial::Accept, Dial::Hang]);
    let mut service = Spawn::new(peer.connect_by_default());
    assert_pending!(service.poll_ready());
    settle().await;
    assert_ready_ok!(service.poll_ready());
    let link = peer.link();
    link.kill();
    assert_pending!(service.poll_ready());
    assert_eq!(link.alive(), 0);
}

fn cause(state: &State) -> tower_reconnect::error::Cause {
    match state {
        State::BackingOff { cause, .. } => cause.clone(),
        other => panic!("{other:?} has no cause"),
    }
}

fn _is_an_error(cause: &tower_reconnect::error::Cause) -> &(dyn Error + Send + Sync) {
    &**cause
}
