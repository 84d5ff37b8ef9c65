//! Old attempts that live on, and bodies that fail.
#![cfg(feature = "http")]

use std::convert::Infallible;

use bodies::{Scripted, Step, again, data, frames, poll, replayable, rest, split};
use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::{Full, channel::Channel};
use tokio_test::{assert_pending, assert_ready, task};

#[path = "support/bodies.rs"]
mod bodies;

#[test]
fn an_attempt_that_never_read_and_lives_on_changes_nothing() {
    let (_first, mut spare) = split(frames(["ab", "cd"]), 1024);
    let _second = again(&mut spare);
    assert_eq!(rest(&mut again(&mut spare)).0, b"abcd");
}

#[test]
fn the_error_of_the_client_goes_to_the_attempt_that_reads_it_and_ends_it_all() {
    let (mut first, mut spare) = split(Scripted::new([Step::Data("ab".into()), Step::Error]), 1024);
    data(&mut first);
    drop(first);
    let mut second = again(&mut spare);
    assert_eq!(data(&mut second), "ab");
    let end = assert_ready!(poll(&mut second)).map(|frame| frame.map(|_| ()));
    assert_eq!(end, Some(Err("the client is gone")));
    assert!(assert_ready!(poll(&mut second)).is_none());
    assert!(!replayable(&mut spare));
}

#[test]
fn a_body_that_panics_is_not_read_by_another_attempt() {
    let (mut first, mut spare) = split(Scripted::new([Step::Panic]), 1024);
    let read = std::panic::AssertUnwindSafe(|| poll(&mut first));
    assert!(std::panic::catch_unwind(read).is_err());
    assert!(!replayable(&mut spare));
}

#[test]
fn after_an_early_answer_the_next_attempt_takes_the_body_over() {
    let (mut sender, body) = Channel::<Bytes, Infallible>::new(8);
    let (first, mut spare) = split(body, 1024);
    let mut first = task::spawn(first);
    let mut send = |text: &'static str| sender.try_send(Frame::data(text.into())).ok().unwrap();
    send("ab");
    assert!(first.enter(|cx, body| body.poll_frame(cx)).is_ready());
    assert_pending!(first.enter(|cx, body| body.poll_frame(cx)));
    // The server has answered; the old attempt is still being sent by its connection.
    let mut second = task::spawn(again(&mut spare));
    assert!(second.enter(|cx, body| body.poll_frame(cx)).is_ready());
    assert_pending!(second.enter(|cx, body| body.poll_frame(cx)));
    send("cd");
    assert!(second.is_woken());
    // However often the old one is polled, it takes nothing away and does not end.
    assert_pending!(first.enter(|cx, body| body.poll_frame(cx)));
    let frame = assert_ready!(second.enter(|cx, body| body.poll_frame(cx)));
    assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), "cd");
    drop(sender);
    assert!(assert_ready!(second.enter(|cx, body| body.poll_frame(cx))).is_none());
    assert!(second.is_end_stream());
}

#[test]
fn an_old_attempt_never_seems_complete_while_it_is_not() {
    // Nothing read, and the new attempt goes over the limit and ends.
    let chunk = Bytes::from(vec![b'x'; 100]);
    let (mut first, mut spare) = split(Scripted::new(vec![Step::Data(chunk); 5]), 300);
    assert_eq!(data(&mut first).len(), 100);
    let mut second = again(&mut spare);
    assert_eq!(rest(&mut second).0.len(), 500);
    assert_pending!(poll(&mut first));
    assert!(!first.is_end_stream());
    assert_eq!(first.size_hint().upper(), None);

    // The client's body fails while the new attempt reads it.
    let (mut first, mut spare) = split(Scripted::new([Step::Data("ab".into()), Step::Error]), 300);
    let mut second = again(&mut spare);
    data(&mut second);
    assert!(assert_ready!(poll(&mut second)).unwrap().is_err());
    assert_pending!(poll(&mut first));
    assert!(!first.is_end_stream());
}

#[test]
fn an_old_attempt_may_end_if_the_whole_body_was_kept() {
    let (mut first, mut spare) = split(frames(["ab", "cd"]), 1024);
    data(&mut first);
    assert_eq!(rest(&mut again(&mut spare)).0, b"abcd");
    assert_eq!(rest(&mut first).0, b"cd");
    assert!(first.is_end_stream());
}

#[test]
fn an_old_attempt_is_woken_and_ends_when_the_new_one_has_read_the_whole_body() {
    let (mut sender, body) = Channel::<Bytes, Infallible>::new(8);
    let (first, mut spare) = split(body, 1024);
    let mut first = task::spawn(first);
    assert_pending!(first.enter(|cx, body| body.poll_frame(cx)));
    let mut second = task::spawn(again(&mut spare));
    assert!(first.is_woken(), "it waits for another thing now");
    assert_pending!(first.enter(|cx, body| body.poll_frame(cx)));
    assert_pending!(second.enter(|cx, body| body.poll_frame(cx)));
    // The older ones register anew with each attempt.
    let mut third = task::spawn(again(&mut spare));
    for old in [&mut first, &mut second] {
        assert!(old.is_woken());
        for _ in 0..2 {
            assert_pending!(old.enter(|cx, body| body.poll_frame(cx)));
        }
    }
    assert_pending!(third.enter(|cx, body| body.poll_frame(cx)));
    let sent = sender.try_send(Frame::data("ab".into()));
    assert!(sent.is_ok());
    assert!(third.enter(|cx, body| body.poll_frame(cx)).is_ready());
    assert!(!first.is_woken() && !second.is_woken());
    drop(sender);
    assert!(assert_ready!(third.enter(|cx, body| body.poll_frame(cx))).is_none());
    for old in [&mut first, &mut second] {
        assert!(old.is_woken());
        let frame = assert_ready!(old.enter(|cx, body| body.poll_frame(cx)));
        assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), "ab");
        assert!(assert_ready!(old.enter(|cx, body| body.poll_frame(cx))).is_none());
    }
}

#[test]
fn an_old_attempt_is_woken_by_the_last_frame_of_a_body_that_says_so() {
    let (first, mut spare) = split(Full::new(Bytes::from("ab")), 1024);
    let mut first = task::spawn(first);
    let mut second = again(&mut spare);
    assert_pending!(first.enter(|cx, body| body.poll_frame(cx)));
    assert_eq!(data(&mut second), "ab");
    assert!(first.is_woken());
    assert!(first.enter(|cx, body| body.poll_frame(cx)).is_ready());
    assert!(first.is_end_stream());
}

#[test]
fn an_old_attempt_is_woken_once_when_the_body_is_no_longer_kept() {
    let (first, mut spare) = split(frames(["abcdef", "gh"]), 70);
    let mut first = task::spawn(first);
    let mut second = again(&mut spare);
    assert_pending!(first.enter(|cx, body| body.poll_frame(cx)));
    data(&mut second);
    assert!(!first.is_woken());
    data(&mut second);
    assert!(first.is_woken());
    // It reads nothing, not even what it could have had before.
    assert_pending!(first.enter(|cx, body| body.poll_frame(cx)));
    assert!(rest(&mut second).0.is_empty());
    assert!(!first.is_woken());
}

#[test]
fn an_attempt_that_is_never_sent_gives_the_body_back() {
    for last in [false, true] {
        let (mut sender, body) = Channel::<Bytes, Infallible>::new(8);
        let mut send = |text: &'static str| sender.try_send(Frame::data(text.into())).ok().unwrap();
        let (first, mut spare) = split(body, 1024);
        let mut first = task::spawn(first);
        send("ab");
        assert!(first.enter(|cx, body| body.poll_frame(cx)).is_ready());
        assert_pending!(first.enter(|cx, body| body.poll_frame(cx)));
        // It waits, and meanwhile the old one, which the server has answered early, is polled.
        let second = again(&mut spare);
        assert_pending!(first.enter(|cx, body| body.poll_frame(cx)));
        let mut spare = Some(spare).filter(|_| !last);
        drop(second);
        assert!(first.is_woken());
        assert_pending!(first.enter(|cx, body| body.poll_frame(cx)));
        send("cd");
        assert!(first.is_woken());
        let frame = assert_ready!(first.enter(|cx, body| body.poll_frame(cx)));
        assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), "cd");
        // Another one takes it over again.
        let third = spare.as_mut().map(again);
        drop(sender);
        if let Some(mut third) = third {
            assert_pending!(first.enter(|cx, body| body.poll_frame(cx)));
            assert_eq!(rest(&mut third).0, b"abcd");
        }
        assert!(assert_ready!(first.enter(|cx, body| body.poll_frame(cx))).is_none());
        assert!(first.is_end_stream());
    }
}
