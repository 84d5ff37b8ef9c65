//! Bodies, wakers and frames that do as they like when they are dropped: here each drops an attempt,
//! which must not find what it needs locked.
#![cfg(feature = "http")]

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex, mpsc},
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame};
use tokio_test::assert_pending;
use tower_retry_budget::{
    Replay,
    http::{BodyReplay, ReplayBody, Spare},
};

use bodies::{Scripted, Step, again, data, rest, split};

#[path = "support/bodies.rs"]
mod bodies;

/// Fails if a lock is waited for.
fn in_time(run: impl FnOnce() + Send + 'static) {
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || {
        run();
        done.send(()).expect("somebody waits");
    });
    let ended = is_done.recv_timeout(Duration::from_secs(10));
    assert_eq!(ended, Ok(()), "it waits for a lock that it holds");
}

/// Ends at once, and drops an attempt with itself.
struct Owner(Arc<Mutex<Option<ReplayBody<Owner>>>>);

impl Body for Owner {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let owned = self.0.lock().expect("no panic").take();
        drop(owned);
    }
}

#[test]
fn the_body_of_the_client() {
    in_time(|| {
        let owned = Arc::new(Mutex::new(None));
        let request = Request::new(Owner(Arc::clone(&owned)));
        let (first, mut spare) = BodyReplay::default().first(request);
        let mut second = again(spare.as_mut().unwrap());
        *owned.lock().unwrap() = Some(first.into_body());
        assert!(rest(&mut second).0.is_empty());
        assert!(owned.lock().unwrap().is_none());
    });
}

type Attempt = Pin<Box<ReplayBody<Scripted>>>;

/// A task that owns an attempt, and is gone with its last waker.
struct Task {
    _attempt: Mutex<Attempt>,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {}
}

/// Has it wait for the client in a task that owns `owned`, and then in another.
fn moves_to_another_task(attempt: &mut Attempt, owned: Attempt) {
    let waker = Waker::from(Arc::new(Task {
        _attempt: Mutex::new(owned),
    }));
    let polled = attempt
        .as_mut()
        .poll_frame(&mut Context::from_waker(&waker));
    assert_pending!(polled);
    drop(waker);
    let mut elsewhere = Context::from_waker(Waker::noop());
    assert_pending!(attempt.as_mut().poll_frame(&mut elsewhere));
}

#[test]
fn the_waker_of_the_newest_attempt() {
    in_time(|| {
        let (first, mut spare) = split(Scripted::new([Step::Pending, Step::Pending]), 1024);
        let mut second = again(&mut spare);
        moves_to_another_task(&mut second, first);
    });
}

#[test]
fn the_waker_of_an_older_attempt() {
    in_time(|| {
        let (mut first, mut spare) = split(Scripted::new([]), 1024);
        let second = again(&mut spare);
        let _third = again(&mut spare);
        moves_to_another_task(&mut first, second);
    });
}

/// What a frame is a part of. It drops an attempt with itself.
struct Buffer(Arc<Mutex<Option<Attempt>>>);

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        b"kept"
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let owned = self.0.lock().expect("no panic").take();
        drop(owned);
    }
}

/// The second of two attempts has read a frame that owns the first, and there is more to come.
fn after_a_frame(run: impl FnOnce(Attempt, Spare<Scripted>) + Send + 'static) {
    in_time(|| {
        let owned = Arc::new(Mutex::new(None));
        let frame = Bytes::from_owner(Buffer(Arc::clone(&owned)));
        let more = Bytes::from(vec![7; 2000]);
        let (first, mut spare) = split(Scripted::new([Step::Data(frame), Step::Data(more)]), 1024);
        let mut second = again(&mut spare);
        assert_eq!(data(&mut second), "kept");
        *owned.lock().expect("no panic") = Some(first);
        run(second, spare);
        let owned = owned.lock().expect("no panic").take();
        assert!(owned.is_none(), "it is kept no more");
    });
}

#[test]
fn a_frame_of_a_body_that_goes_over_the_limit() {
    after_a_frame(|mut second, _spare| {
        assert_eq!(data(&mut second).len(), 2000);
    });
}

#[test]
fn a_frame_of_what_cannot_be_sent_again_any_more() {
    after_a_frame(|second, spare| {
        drop(second);
        drop(spare);
    });
}

#[test]
fn a_frame_of_what_nobody_reads_any_more() {
    after_a_frame(|second, spare| {
        drop(spare);
        drop(second);
    });
}
