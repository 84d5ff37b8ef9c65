//! Bodies that do what they are told, and ways to read them.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body::{Body, Frame, SizeHint};
use tokio_test::{assert_ready, task};
use tower_retry_budget::{
    Replay,
    http::{BodyReplay, ReplayBody, Spare},
};

/// The first attempt's body and what the others are made from.
pub fn split<B: Body<Data = Bytes>>(body: B, limit: usize) -> (Pin<Box<ReplayBody<B>>>, Spare<B>) {
    let (first, spare) = BodyReplay::new(limit).first(Request::new(body));
    (Box::pin(first.into_body()), spare.expect("a spare"))
}

pub fn again<B: Body<Data = Bytes>>(spare: &mut Spare<B>) -> Pin<Box<ReplayBody<B>>> {
    let request = BodyReplay::default().again(spare).expect("replayable");
    Box::pin(request.into_body())
}

pub fn replayable<B: Body<Data = Bytes>>(spare: &mut Spare<B>) -> bool {
    let known = BodyReplay::default().replayable(spare);
    assert_eq!(known, BodyReplay::default().again(spare).is_some());
    known
}

pub type Polled<E> = Poll<Option<Result<Frame<Bytes>, E>>>;

pub fn poll<B: Body<Data = Bytes>>(body: &mut Pin<Box<B>>) -> Polled<B::Error> {
    task::spawn(()).enter(|cx, _| body.as_mut().poll_frame(cx))
}

/// The next frame, which is data.
pub fn data<B: Body<Data = Bytes>>(body: &mut Pin<Box<B>>) -> Bytes {
    match assert_ready!(poll(body)) {
        Some(Ok(frame)) => frame.into_data().expect("data"),
        Some(Err(_)) => panic!("an error"),
        None => panic!("the end"),
    }
}

pub fn trailers() -> HeaderMap {
    HeaderMap::from_iter([(
        http::HeaderName::from_static("checksum"),
        http::HeaderValue::from_static("abc"),
    )])
}

/// All that is left, the trailers included; panics unless it ends by itself.
pub fn rest<B: Body<Data = Bytes>>(body: &mut Pin<Box<B>>) -> (Vec<u8>, Option<HeaderMap>) {
    let (mut bytes, mut trailers) = (Vec::new(), None);
    while let Some(frame) = assert_ready!(poll(body)) {
        let frame = frame.unwrap_or_else(|_| panic!("an error"));
        match frame.into_data() {
            Ok(data) => bytes.extend_from_slice(&data),
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    (bytes, trailers)
}

/// Frames of data from a list, and no hint of the size.
pub fn frames(
    parts: impl IntoIterator<Item = &'static str>,
) -> impl Body<Data = Bytes, Error = &'static str> {
    Scripted::new(parts.into_iter().map(|part| Step::Data(part.into())))
}

#[derive(Clone, Debug)]
pub enum Step {
    Data(Bytes),
    Trailers,
    Error,
    Pending,
    Panic,
}

/// A body that does what it is told, and must not be polled after its end.
pub struct Scripted {
    steps: VecDeque<Step>,
    pub announced: Option<u64>,
    ended: bool,
}

impl Scripted {
    pub fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self {
            steps: steps.into_iter().collect(),
            announced: None,
            ended: false,
        }
    }
}

impl Body for Scripted {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        assert!(!self.ended, "polled after its end");
        let Some(step) = self.steps.pop_front() else {
            self.ended = true;
            return Poll::Ready(None);
        };
        Poll::Ready(Some(match step {
            Step::Data(data) => Ok(Frame::data(data)),
            Step::Trailers => Ok(Frame::trailers(trailers())),
            Step::Pending => return Poll::Pending,
            Step::Panic => panic!("a broken body"),
            Step::Error => {
                self.ended = true;
                Err("the client is gone")
            }
        }))
    }

    fn size_hint(&self) -> SizeHint {
        self.announced.map_or_else(SizeHint::default, |announced| {
            let mut hint = SizeHint::new();
            hint.set_lower(announced);
            hint
        })
    }
}
