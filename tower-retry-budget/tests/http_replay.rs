//! Each attempt gets the whole body, whatever the ones before it have read.
#![cfg(feature = "http")]

use std::{
    cell::RefCell,
    convert::Infallible,
    marker::PhantomPinned,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame};
use http_body_util::{Empty, Full, channel::Channel};
use tokio_test::{assert_pending, assert_ready};
use tower_retry_budget::{
    Replay,
    http::{BodyReplay, ReplayBody},
};

use bodies::{Scripted, Step, again, data, frames, poll, rest, split, trailers};

#[path = "support/bodies.rs"]
mod bodies;

#[test]
fn an_attempt_that_never_read_leaves_the_body_whole_and_once() {
    let (first, mut spare) = split(frames(["ab", "cd"]), 1024);
    drop(first);
    assert_eq!(rest(&mut again(&mut spare)).0, b"abcd");
    assert_eq!(rest(&mut again(&mut spare)).0, b"abcd");
}

#[test]
fn an_attempt_that_read_half_is_continued() {
    let (mut first, mut spare) = split(frames(["ab", "cd", "ef"]), 1024);
    assert_eq!(data(&mut first), "ab");
    drop(first);
    let mut second = again(&mut spare);
    assert_eq!(data(&mut second), "ab");
    assert_eq!(data(&mut second), "cd");
    drop(second);
    assert_eq!(rest(&mut again(&mut spare)).0, b"abcdef");
}

#[test]
fn an_attempt_that_read_everything_is_repeated_with_its_trailers() {
    let body = Scripted::new([
        Step::Data("ab".into()),
        Step::Data("cd".into()),
        Step::Trailers,
    ]);
    let (mut first, mut spare) = split(body, 1024);
    let expected = (b"abcd".to_vec(), Some(trailers()));
    assert_eq!(rest(&mut first), expected);
    for _ in 0..2 {
        let mut next = again(&mut spare);
        assert_eq!(rest(&mut next), expected);
        assert!(next.is_end_stream());
    }
    let last = BodyReplay::default().last(spare).expect("replayable");
    assert_eq!(rest(&mut Box::pin(last.into_body())), expected);
}

#[test]
fn the_head_is_the_same_in_each_attempt() {
    let request = Request::put("/path")
        .header("name", "value")
        .extension(7_u8);
    let request = request.body(Full::new(Bytes::from("ab"))).unwrap();
    let replay = BodyReplay::default();
    let (first, spare) = replay.first(request);
    let mut spare = spare.expect("a spare");
    let second = replay.again(&mut spare).expect("replayable");
    let third = replay.last(spare).expect("replayable");
    for request in [first, second, third] {
        assert_eq!(request.method(), "PUT");
        assert_eq!(request.uri(), "/path");
        assert_eq!(request.headers()["name"], "value");
        assert_eq!(request.extensions().get(), Some(&7_u8));
    }
}

#[test]
fn an_empty_body_stays_empty() {
    let (mut first, mut spare) = split(Empty::<Bytes>::new(), 0);
    for body in [&mut first, &mut again(&mut spare)] {
        assert!(body.is_end_stream());
        assert_eq!(body.size_hint().exact(), Some(0));
        assert!(assert_ready!(poll(body)).is_none());
    }
}

#[test]
fn the_only_attempt_is_the_clients_body_itself() {
    let request = BodyReplay::default().plain(Request::new(Full::new(Bytes::from("ab"))));
    let mut body = Box::pin(request.into_body());
    assert_eq!(body.size_hint().exact(), Some(2));
    assert!(!body.is_end_stream());
    assert_eq!(rest(&mut body).0, b"ab");
    assert!(body.is_end_stream());
}

#[test]
fn size_and_end_are_right_at_each_step_of_each_attempt() {
    let (mut sender, body) = Channel::<Bytes, Infallible>::new(8);
    let (mut first, mut spare) = split(body, 1024);
    let lower = |body: &Pin<Box<ReplayBody<_>>>| body.size_hint().lower();
    assert_eq!(lower(&first), 0);
    for text in ["abc", "de"] {
        sender.try_send(Frame::data(text.into())).ok().unwrap();
    }
    data(&mut first);
    data(&mut first);
    drop(first);
    let mut second = again(&mut spare);
    assert_eq!(lower(&second), 5);
    assert_eq!(second.size_hint().upper(), None);
    data(&mut second);
    assert_eq!(lower(&second), 2);
    data(&mut second);
    assert_eq!(lower(&second), 0);
    assert!(!second.is_end_stream());
    drop(sender);
    assert!(assert_ready!(poll(&mut second)).is_none());
    let mut third = again(&mut spare);
    for left in [5, 2, 0] {
        assert_eq!(third.size_hint().exact(), Some(left));
        assert_eq!(third.is_end_stream(), left == 0);
        assert!(assert_ready!(poll(&mut third)).is_none() == (left == 0));
    }
}

#[test]
fn a_known_length_is_known_to_each_attempt() {
    let (mut first, mut spare) = split(Full::new(Bytes::from("abcde")), 1024);
    assert_eq!(first.size_hint().exact(), Some(5));
    data(&mut first);
    assert_eq!(first.size_hint().exact(), Some(0));
    assert!(first.is_end_stream());
    let mut second = again(&mut spare);
    assert_eq!(second.size_hint().exact(), Some(5));
    assert!(!second.is_end_stream());
    data(&mut second);
    assert!(second.is_end_stream());
}

#[test]
fn a_pending_body_is_pending() {
    let steps = [Step::Pending, Step::Data("ab".into()), Step::Pending];
    let (mut first, mut spare) = split(Scripted::new(steps), 1024);
    assert_pending!(poll(&mut first));
    assert_eq!(data(&mut first), "ab");
    assert_pending!(poll(&mut first));
    assert_eq!(rest(&mut again(&mut spare)).0, b"ab");
}

#[test]
fn a_body_that_cannot_move_is_fine() {
    let body = Unmovable {
        parts: RefCell::new(vec!["cd", "ab"]),
        _pinned: PhantomPinned,
    };
    let (mut first, mut spare) = split(body, 1024);
    assert_eq!(data(&mut first), "ab");
    assert_eq!(rest(&mut again(&mut spare)).0, b"abcd");
}

/// Pinned for good.
struct Unmovable {
    parts: RefCell<Vec<&'static str>>,
    _pinned: PhantomPinned,
}

impl Body for Unmovable {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let part = self.parts.borrow_mut().pop();
        Poll::Ready(part.map(|part| Ok(Frame::data(part.into()))))
    }
}
