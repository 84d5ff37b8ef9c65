use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::stream;
use http::HeaderMap;
use http_body::Frame;
use http_body_util::{BodyExt, Empty, Full, StreamBody, combinators::UnsyncBoxBody};
use tokio::sync::mpsc;

use super::BoxError;

/// A body of any kind.
pub type TestBody = UnsyncBoxBody<Bytes, BoxError>;

/// Sends a body piece by piece; the body ends when this is dropped.
pub struct Pieces(mpsc::Sender<Result<Frame<Bytes>, BoxError>>);

/// How many bytes were taken out of a long body.
#[derive(Clone)]
pub struct Taken(Arc<AtomicUsize>);

pub fn empty() -> TestBody {
    Empty::new().map_err(never).boxed_unsync()
}

/// A body of known length.
pub fn full(bytes: impl Into<Bytes>) -> TestBody {
    Full::new(bytes.into()).map_err(never).boxed_unsync()
}

/// A body of unknown length.
pub fn channel() -> (Pieces, TestBody) {
    let (sender, mut receiver) = mpsc::channel(1);
    let frames = stream::poll_fn(move |cx| receiver.poll_recv(cx));
    (
        Pieces(sender),
        BodyExt::boxed_unsync(StreamBody::new(frames)),
    )
}

/// A body of unknown length, with trailers after it.
pub fn with_trailers(bytes: impl Into<Bytes>, trailers: HeaderMap) -> TestBody {
    let frames = [Frame::data(bytes.into()), Frame::trailers(trailers)];
    BodyExt::boxed_unsync(StreamBody::new(stream::iter(frames.map(Ok))))
}

/// A body of `total` bytes of unknown length, made as fast as it is taken.
pub fn long(total: usize) -> (Taken, TestBody) {
    let taken = Taken(Arc::default());
    let count = taken.0.clone();
    let piece = Bytes::from(vec![b'x'; PIECE]);
    let pieces = stream::iter((0..total / PIECE).map(move |_| {
        count.fetch_add(PIECE, Ordering::Relaxed);
        Ok(Frame::data(piece.clone()))
    }));
    (taken, BodyExt::boxed_unsync(StreamBody::new(pieces)))
}

/// Bytes that do not repeat early, so that no piece can be lost or swapped unseen.
pub fn noise(length: usize) -> Bytes {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let bytes = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    });
    bytes.take(length).collect()
}

impl Pieces {
    pub async fn send(&self, bytes: impl Into<Bytes>) {
        self.frame(Ok(Frame::data(bytes.into()))).await;
    }

    pub async fn trailers(&self, trailers: HeaderMap) {
        self.frame(Ok(Frame::trailers(trailers))).await;
    }

    /// Breaks the body off.
    pub async fn fail(self) {
        self.frame(Err("broken on purpose".into())).await;
    }

    /// Waits until nobody reads the body any more.
    pub async fn abandoned(&self) {
        self.0.closed().await;
    }

    /// Whether nobody reads the body any more.
    pub fn is_abandoned(&self) -> bool {
        self.0.is_closed()
    }

    async fn frame(&self, frame: Result<Frame<Bytes>, BoxError>) {
        assert!(self.0.send(frame).await.is_ok(), "nobody reads the body");
    }
}

impl Taken {
    pub fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Waits until nothing has been taken for a while, and says how much was until then.
    pub async fn settled(&self) -> usize {
        loop {
            let before = self.bytes();
            tokio::time::sleep(STILL).await;
            if before > 0 && self.bytes() == before {
                return before;
            }
        }
    }
}

fn never(never: Infallible) -> BoxError {
    match never {}
}

const PIECE: usize = 16 * 1024;

/// Long enough for a body that flows to show that it does.
const STILL: Duration = Duration::from_millis(500);
