//! A bounded wait lies between the two other modes: it waits, and not for ever.

mod support;

use std::{error::Error, time::Duration};

use tokio::time::{Instant, timeout};
use tokio_test::{assert_pending, assert_ready_ok};
use tower::ServiceExt;
use tower_reconnect::{
    Mode, Reconnect, ReconnectLayer, State,
    error::{StillConnecting, Unavailable, is_unsent},
};
use tower_test::mock::Spawn;

use support::{Connection, Dial, Failure, Peer, TICK, pass, settle};

const BOUND: Duration = Duration::from_millis(300);

#[tokio::test(start_paused = true)]
async fn a_connection_that_comes_in_time_is_waited_for_through_failures() {
    let peer = Peer::new(&[Dial::Refuse, Dial::Accept]);
    let started = Instant::now();
    assert_eq!(bounded(&peer).oneshot(1).await.unwrap(), (1, 1));
    assert!(Instant::now() - started >= Duration::from_millis(50));
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_in_time_with_the_cause_and_the_next_attempt() {
    let peer = Peer::new(&[Dial::Refuse]);
    let service = bounded(&peer);
    let started = Instant::now();
    let error = service.clone().oneshot(1).await.unwrap_err();
    let waited = Instant::now() - started;
    assert!(
        (BOUND..BOUND + Duration::from_millis(2)).contains(&waited),
        "{waited:?}"
    );
    let error = error.downcast_ref::<Unavailable>().unwrap();
    let source = error.source().unwrap();
    assert_eq!(source.downcast_ref(), Some(&Failure("refused")));
    let State::BackingOff {
        until, failures, ..
    } = service.watch().state()
    else {
        panic!("no backoff");
    };
    assert_eq!((error.next_attempt(), error.failures()), (until, failures));
    assert!(error.to_string().contains("retry in "), "{error}");
    assert!(is_unsent(error));
}

/// The first dial hangs: nothing has failed, and still somebody has to be told something.
#[tokio::test(start_paused = true)]
async fn without_any_failure_the_cause_is_the_dial_itself() {
    let peer = Peer::new(&[Dial::Hang]);
    let error = bounded(&peer).oneshot(1).await.unwrap_err();
    let error = error.downcast_ref::<Unavailable>().unwrap();
    let cause = error.cause().downcast_ref::<StillConnecting>().unwrap();
    assert_eq!(cause.waited(), BOUND);
    assert_eq!(
        (error.failures(), error.next_attempt()),
        (0, Instant::now())
    );
    let text = error.to_string();
    assert!(
        text.contains("to `the peer` yet, and a dial is under way"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn all_who_wait_are_woken_each_at_its_own_end() {
    let peer = Peer::new(&[Dial::Hang]);
    let service = bounded(&peer);
    let mut waiting: Vec<_> = (0..8).map(|_| Spawn::new(service.clone())).collect();
    for waiter in &mut waiting {
        assert_pending!(waiter.poll_ready());
        pass(TICK * 10).await;
    }
    pass(BOUND - TICK * 45).await;
    let woken: Vec<_> = waiting.iter().map(Spawn::is_woken).collect();
    assert_eq!(woken, [true, true, true, true, false, false, false, false]);
    assert_ready_ok!(waiting[0].poll_ready());
    assert_pending!(waiting[7].poll_ready());
    pass(TICK * 47).await;
    assert!(waiting[1..].iter().all(Spawn::is_woken));
    for waiter in &mut waiting {
        assert_ready_ok!(waiter.poll_ready());
        assert!(waiter.call(1).await.unwrap_err().is::<Unavailable>());
    }
    assert_eq!(peer.dials(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_wait_is_counted_from_its_first_poll_and_begins_anew_after_a_refusal() {
    let peer = Peer::new(&[Dial::Hang]);
    let mut service = Spawn::new(bounded(&peer));
    assert_pending!(service.poll_ready());
    pass(BOUND / 2).await;
    assert_pending!(service.poll_ready());
    pass(BOUND / 2 + TICK * 2).await;
    assert_ready_ok!(service.poll_ready());
    assert!(service.call(1).await.is_err());
    assert_pending!(service.poll_ready());
    pass(BOUND / 2).await;
    assert_pending!(service.poll_ready());
}

/// Each connection that is dead on arrival wakes the handle, and is no end of its wait.
#[tokio::test(start_paused = true)]
async fn it_ends_though_connections_come_and_die() {
    let peer = Peer::new(&[Dial::AcceptDead]);
    let bound = Duration::from_secs(10);
    let builder = ReconnectLayer::builder("peer").mode(Mode::BoundedWait(bound));
    let service = peer.connect(builder);
    let started = Instant::now();
    let error = timeout(bound * 10, service.oneshot(1)).await.unwrap();
    assert!(error.unwrap_err().is::<Unavailable>());
    let waited = Instant::now() - started;
    assert!((bound..bound + TICK * 2).contains(&waited), "{waited:?}");
}

/// A wait is over when the connection is ready, and the next one begins anew.
#[tokio::test(start_paused = true)]
async fn a_later_outage_has_a_wait_of_its_own() {
    let peer = Peer::new(&[Dial::AcceptAfter(TICK * 20)]);
    for called in [false, true] {
        let mut service = Spawn::new(bounded(&peer));
        assert_pending!(service.poll_ready());
        pass(TICK * 22).await;
        assert_ready_ok!(service.poll_ready());
        if called {
            service.call(1).await.unwrap();
        }
        pass(Duration::from_secs(60)).await;
        peer.always(Dial::Hang);
        peer.link().kill();
        assert_pending!(service.poll_ready());
        pass(BOUND - TICK * 3).await;
        assert_pending!(service.poll_ready());
        pass(TICK * 5).await;
        assert_ready_ok!(service.poll_ready());
        peer.always(Dial::AcceptAfter(TICK * 20));
    }
}

/// A refusal promised, and a connection made before the call: the refusal would be a stale error.
#[tokio::test(start_paused = true)]
async fn a_refusal_is_not_kept_for_the_connection_that_follows() {
    let peer = Peer::new(&[Dial::AcceptAfter(BOUND + TICK * 20)]);
    let mut service = Spawn::new(bounded(&peer));
    assert_pending!(service.poll_ready());
    pass(BOUND + TICK * 2).await;
    assert_ready_ok!(service.poll_ready());
    pass(TICK * 20).await;
    assert_ready_ok!(service.poll_ready());
    assert_eq!(service.call(1).await.unwrap(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_is_demand_for_one_more_dial() {
    let peer = Peer::new(&[Dial::Refuse]);
    let service = bounded(&peer);
    assert!(service.clone().oneshot(1).await.is_err());
    let dials = peer.dials();
    pass(Duration::from_secs(60)).await;
    assert_eq!(peer.dials(), dials + 1);
    settle().await;
    assert!(matches!(service.watch().state(), State::Idle));
}

fn bounded(peer: &Peer) -> Reconnect<Connection> {
    // With a seed, so that no backoff ends at the moment of the bound.
    let builder = ReconnectLayer::builder("peer").seed(7);
    peer.connect(builder.mode(Mode::BoundedWait(BOUND)).name("the peer"))
}
