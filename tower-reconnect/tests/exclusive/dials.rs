//! Who dials, and who gets what was dialled.

use crate::support::{Dial, Peer, TICK, pass, settle};
use crate::{exclusive, peer_with, waiters};
use tokio::time::timeout;
use tokio_test::assert_ready_ok;
use tower::ServiceExt;
use tower_test::mock::Spawn;

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
