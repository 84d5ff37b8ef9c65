//! When a second attempt can be sent beside the first.
#![cfg(feature = "http")]

use std::{
    convert::Infallible,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::{Full, channel::Channel};
use tokio_test::assert_ready;
use tower_retry_budget::{
    Replay,
    http::{BodyReplay, Spare},
};

use bodies::{Scripted, Step, again, data, poll, rest, split, trailers};

#[path = "support/bodies.rs"]
mod bodies;

#[test]
fn a_request_is_complete_once_the_end_of_its_body_is_known() {
    let (mut client, body) = Channel::<Bytes, Infallible>::new(8);
    let (mut first, spare) = split(body, 1_000);
    assert!(!complete(&spare));
    client.try_send(Frame::data("ab".into())).ok().unwrap();
    drop(client);
    data(&mut first);
    assert!(!complete(&spare), "more may come");
    assert!(assert_ready!(poll(&mut first)).is_none());
    assert!(complete(&spare));
}

#[test]
fn without_a_body_it_is_complete_at_once() {
    let (_first, spare) = split(Full::new(Bytes::new()), 0);
    assert!(complete(&spare));
}

#[test]
fn what_is_not_kept_is_not_complete() {
    let (mut first, spare) = split(Full::new(Bytes::from("ab")), 1);
    rest(&mut first);
    assert!(!complete(&spare));
    let (mut first, spare) = split(Scripted::new([Step::Error]), 1_000);
    assert!(assert_ready!(poll(&mut first)).unwrap().is_err());
    assert!(!complete(&spare));
}

#[test]
fn a_body_that_has_panicked_is_not_believed_to_have_ended() {
    let (mut first, spare) = split(Broken { polled: false }, 1_000);
    assert!(catch_unwind(AssertUnwindSafe(|| drop(poll(&mut first)))).is_err());
    assert!(first.is_end_stream(), "it says so");
    assert!(!complete(&spare));
}

#[test]
fn attempts_of_a_complete_request_need_nothing_of_each_other() {
    let steps = ["ab", "cd"].map(|text| Step::Data(text.into()));
    let (mut first, mut spare) = split(
        Scripted::new(steps.into_iter().chain([Step::Trailers])),
        1_000,
    );
    rest(&mut first);
    assert!(complete(&spare));
    let (mut one, mut other) = (again(&mut spare), again(&mut spare));
    for expected in ["ab", "cd"] {
        for body in [&mut one, &mut other] {
            assert_eq!(data(body), expected);
        }
    }
    for body in [&mut other, &mut one] {
        assert_eq!(rest(body), (Vec::new(), Some(trailers())));
        assert!(body.is_end_stream());
    }
}

fn complete<B: Body<Data = Bytes>>(spare: &Spare<B>) -> bool {
    BodyReplay::default().complete(spare)
}

/// Panics, and then says that it has ended.
struct Broken {
    polled: bool,
}

impl Body for Broken {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.polled = true;
        panic!("a broken body")
    }

    fn is_end_stream(&self) -> bool {
        self.polled
    }
}
