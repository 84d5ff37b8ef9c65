//! Bodies by script.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::{Body, Frame, SizeHint};

/// What the next poll of a body finds.
#[derive(Clone)]
pub enum Step {
    Data(usize),
    Trailers(&'static [(&'static str, &'static str)]),
    Broken,
    Pending,
}

/// A body by script, which counts its polls and must not be polled after its end.
pub struct Script {
    steps: VecDeque<Step>,
    has_ended: bool,
    pub polls: Arc<AtomicUsize>,
}

impl Script {
    pub fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self {
            steps: steps.into_iter().collect(),
            has_ended: false,
            polls: Arc::default(),
        }
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        assert!(!self.has_ended, "polled after its end");
        self.polls.fetch_add(1, Relaxed);
        let Some(step) = self.steps.pop_front() else {
            self.has_ended = true;
            return Poll::Ready(None);
        };
        Poll::Ready(Some(match step {
            Step::Data(length) => Ok(Frame::data(vec![b'x'; length].into())),
            Step::Trailers(fields) => Ok(Frame::trailers(trailers(fields))),
            Step::Broken => {
                self.has_ended = true;
                Err(io::ErrorKind::ConnectionReset.into())
            }
            Step::Pending => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let data = self.steps.iter().map(|step| match step {
            Step::Data(length) => *length as u64,
            _ => 0,
        });
        SizeHint::with_exact(data.sum())
    }
}

pub fn trailers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let fields = fields.iter();
    fields
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
        .collect()
}

pub fn grpc<B>(body: B) -> Response<B> {
    let builder = Response::builder().header("content-type", "application/grpc");
    builder.body(body).unwrap()
}

/// The trailers of a call that failed.
pub const UNAVAILABLE: Step =
    Step::Trailers(&[("grpc-status", "14"), ("grpc-retry-pushback-ms", "7")]);
