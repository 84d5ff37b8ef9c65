//! What all bodies together keep, and for how long.
#![cfg(feature = "http")]

use std::{
    convert::Infallible,
    future::ready,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{
    Full,
    channel::{Channel, Sender},
};
use tokio_test::{assert_pending, assert_ready};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_retry_budget::{
    Budget, Replay, RetryLayer,
    http::{BodyMemory, BodyReplay, ReplayBody, Spare, StatusPolicy},
};

use bodies::{Scripted, Step, again, data, poll, rest};

#[path = "support/bodies.rs"]
mod bodies;

#[test]
fn all_bodies_together_keep_no_more_than_the_limit() {
    let memory = BodyMemory::new(250);
    let mut kept = Vec::new();
    for number in 1..=4 {
        let (mut first, spare) = split(&memory, Full::new(vec![0; 100].into()));
        assert_eq!(data(&mut first).len(), 100);
        assert_eq!(memory.used(), 100 * number.min(2));
        kept.push((first, spare));
    }
    let can_be: Vec<_> = kept.iter().map(|(_, spare)| replayable(spare)).collect();
    assert_eq!(can_be, [true, true, false, false]);
    assert_eq!((memory.refused(), memory.limit()), (2, 250));
    kept.pop();
    drop(kept.remove(0));
    assert_eq!(memory.used(), 100, "the place of one that was kept is free");
    let (mut first, spare) = split(&memory, Full::new(vec![0; 100].into()));
    rest(&mut first);
    assert!(replayable(&spare));
}

#[test]
fn what_found_no_memory_goes_on_and_is_not_retried() {
    let memory = BodyMemory::new(150);
    let (mut first, spare) = split(&memory, of(100));
    assert_eq!(data(&mut first).len(), 100);
    assert!(replayable(&spare));
    assert_eq!(data(&mut first).len(), 100);
    assert_eq!(memory.used(), 0, "half a body is of no use");
    assert!(!replayable(&spare));
    assert_eq!(rest(&mut first).0.len(), 100);
    assert_eq!(memory.refused(), 1);
}

#[test]
fn a_body_above_its_own_limit_has_not_been_refused_memory() {
    let memory = BodyMemory::new(10_000);
    let replay = BodyReplay::new(50).memory(memory.clone());
    let (first, _spare) = replay.first(Request::new(of(100)));
    rest(&mut Box::pin(first.into_body()));
    assert_eq!((memory.used(), memory.refused()), (0, 0));
}

#[test]
fn memory_is_free_when_the_answer_is_passed_on_though_the_client_stops() {
    let memory = BodyMemory::new(1_000);
    let (mut client, mut first, spare) = uploading(&memory);
    let chunk = Bytes::from(vec![b'x'; 100]);
    client.try_send(Frame::data(chunk.clone())).ok().unwrap();
    data(&mut first);
    assert_pending!(poll(&mut first));
    assert_eq!(memory.used(), 100);
    // The answer is there, and nobody polls the body, because the client sends nothing.
    drop(spare);
    assert_eq!(memory.used(), 0);
    assert!(chunk.is_unique());
    client.try_send(Frame::data("end".into())).ok().unwrap();
    drop(client);
    assert_eq!(rest(&mut first).0, b"end");
}

#[tokio::test]
async fn a_layer_holds_no_memory_after_an_early_answer() {
    let memory = BodyMemory::new(1_000);
    let layer = RetryLayer::builder(Budget::new())
        .policy(StatusPolicy::new())
        .replay(BodyReplay::default().memory(memory.clone()))
        .build()
        .unwrap();
    let sent = Arc::new(Mutex::new(None));
    let connection = Arc::clone(&sent);
    let server = service_fn(move |request: Request<ReplayBody<Upload>>| {
        let mut body = Box::pin(request.into_body());
        assert_eq!(data(&mut body), "ab");
        *connection.lock().unwrap() = Some(body);
        ready(Ok::<_, Infallible>(Response::new(())))
    });
    let (mut client, body) = Channel::new(8);
    client.try_send(Frame::data("ab".into())).ok().unwrap();
    let answer = layer.layer(server).oneshot(Request::new(body)).await;
    assert_eq!(answer.unwrap().status(), 200);
    assert!(sent.lock().unwrap().is_some(), "it is still being sent");
    assert_eq!(memory.used(), 0);
}

#[tokio::test]
async fn a_future_that_is_kept_beyond_its_answer_holds_no_memory() {
    let memory = BodyMemory::new(1_000);
    let layer = RetryLayer::builder(Budget::new())
        .policy(StatusPolicy::new())
        .replay(BodyReplay::default().memory(memory.clone()))
        .build()
        .unwrap();
    let mut service = layer.layer(service_fn(|request: Request<ReplayBody<_>>| {
        let mut body = Box::pin(request.into_body());
        assert_eq!(data(&mut body).len(), 100);
        ready(Ok::<_, Infallible>(Response::new(body)))
    }));
    let mut answer = std::pin::pin!(service.call(Request::new(of(100))));
    let mut echo = answer.as_mut().await.unwrap().into_body();
    assert_eq!(memory.used(), 0);
    assert_eq!(rest(&mut echo).0.len(), 200);
    assert_eq!(memory.used(), 0);
}

#[test]
fn an_old_attempt_does_without_the_new_one_if_the_client_has_ended_since_it_was_read() {
    let ended = Arc::new(AtomicBool::new(false));
    let memory = BodyMemory::new(1_000);
    let (mut first, spare) = split(
        &memory,
        EndsByItself {
            data: Some("all".into()),
            ended: Arc::clone(&ended),
        },
    );
    assert_eq!(data(&mut first), "all");
    assert_pending!(poll(&mut first));
    ended.store(true, Relaxed);
    assert!(BodyReplay::default().complete(&spare));
    let second = BodyReplay::default().last(spare).expect("replayable");
    let mut second = Box::pin(second.into_body());
    assert_eq!(data(&mut second), "all");
    drop(second);
    assert!(assert_ready!(poll(&mut first)).is_none());
}

/// Knows that it has ended before anyone polls it again, as a body of HTTP/2 may.
struct EndsByItself {
    data: Option<Bytes>,
    ended: Arc<AtomicBool>,
}

impl Body for EndsByItself {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.data.take() {
            Some(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
            None if self.is_end_stream() => Poll::Ready(None),
            None => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended.load(Relaxed)
    }
}

#[test]
fn memory_is_free_when_the_request_is_cancelled() {
    let memory = BodyMemory::new(1_000);
    for first_goes_first in [true, false] {
        let (mut first, spare) = split(&memory, of(100));
        data(&mut first);
        assert_eq!(memory.used(), 100);
        if first_goes_first {
            drop(first);
            assert_eq!(memory.used(), 100, "the next attempt needs it");
            drop(spare);
        } else {
            drop(spare);
            drop(first);
        }
        assert_eq!(memory.used(), 0);
    }
}

#[test]
fn the_last_attempt_frees_what_it_has_sent() {
    let memory = BodyMemory::new(1_000);
    let (mut client, mut first, spare) = uploading(&memory);
    for _ in 0..3 {
        client
            .try_send(Frame::data(vec![0; 100].into()))
            .ok()
            .unwrap();
        data(&mut first);
    }
    drop(first);
    let last = BodyReplay::default().last(spare).expect("replayable");
    let mut last = Box::pin(last.into_body());
    for left in [300, 200, 100, 0] {
        assert_eq!(memory.used(), left);
        assert_eq!(last.size_hint().lower(), left as u64);
        if left > 0 {
            assert_eq!(data(&mut last).len(), 100);
        }
    }
    // What comes now is for nobody else.
    client
        .try_send(Frame::data(vec![0; 100].into()))
        .ok()
        .unwrap();
    assert_eq!(data(&mut last).len(), 100);
    assert_eq!(memory.used(), 0);
}

#[test]
fn an_old_attempt_keeps_what_it_can_still_complete() {
    let memory = BodyMemory::new(1_000);
    let (mut client, mut first, mut spare) = uploading(&memory);
    client
        .try_send(Frame::data(vec![1; 100].into()))
        .ok()
        .unwrap();
    data(&mut first);
    let mut second = again(&mut spare);
    data(&mut second);
    assert_pending!(poll(&mut second));
    drop(spare);
    assert_eq!(memory.used(), 100, "the first is still being sent");
    client
        .try_send(Frame::data(vec![2; 100].into()))
        .ok()
        .unwrap();
    drop(client);
    assert_eq!(rest(&mut second).0, [2; 100]);
    assert_eq!(memory.used(), 200);
    drop(second);
    assert_eq!(rest(&mut first).0, [2; 100]);
    drop(first);
    assert_eq!(memory.used(), 0);
}

#[test]
fn with_the_old_attempt_goes_what_was_kept_for_it() {
    let memory = BodyMemory::new(1_000);
    let (mut client, mut first, mut spare) = uploading(&memory);
    client
        .try_send(Frame::data(vec![1; 100].into()))
        .ok()
        .unwrap();
    data(&mut first);
    let mut second = again(&mut spare);
    data(&mut second);
    drop(spare);
    drop(first);
    assert_eq!(memory.used(), 0);
}

#[test]
fn an_old_attempt_that_nobody_can_complete_keeps_nothing() {
    let memory = BodyMemory::new(1_000);
    let (mut client, mut first, mut spare) = uploading(&memory);
    client
        .try_send(Frame::data(vec![1; 100].into()))
        .ok()
        .unwrap();
    data(&mut first);
    let mut second = again(&mut spare);
    data(&mut second);
    drop(spare);
    assert_eq!(memory.used(), 100);
    drop(second);
    assert_eq!(memory.used(), 0);
    assert_pending!(poll(&mut first));
    assert!(!first.is_end_stream());
}

#[test]
fn a_client_that_fails_or_panics_frees_what_it_has_sent() {
    let memory = BodyMemory::new(1_000);
    for end in [Step::Error, Step::Panic] {
        let steps = [Step::Data(vec![0; 100].into()), end];
        let (mut first, spare) = split(&memory, Scripted::new(steps));
        data(&mut first);
        assert_eq!(memory.used(), 100);
        let read = std::panic::AssertUnwindSafe(|| drop(poll(&mut first)));
        drop(std::panic::catch_unwind(read));
        assert!(!replayable(&spare));
        drop((first, spare));
        assert_eq!(memory.used(), 0);
    }
}

#[test]
fn small_frames_and_trailers_are_charged_for_what_they_cost() {
    let memory = BodyMemory::new(1_000);
    let steps = [
        Step::Data("x".into()),
        Step::Data(Bytes::new()),
        Step::Trailers,
    ];
    let (mut first, spare) = split(&memory, Scripted::new(steps));
    rest(&mut first);
    assert_eq!(memory.used(), 64 + "checksum".len() + "abc".len() + 32);
    drop(spare);
    assert_eq!(memory.used(), 0);
}

#[test]
fn what_is_empty_or_will_not_be_sent_again_takes_nothing() {
    let memory = BodyMemory::new(0);
    let (mut first, spare) = split(&memory, Full::new(Bytes::new()));
    rest(&mut first);
    assert!(replayable(&spare));
    let replay = BodyReplay::default().memory(memory.clone());
    let plain = replay.plain(Request::new(of(100)));
    rest(&mut Box::pin(plain.into_body()));
    assert_eq!((memory.used(), memory.refused()), (0, 0));
}

#[test]
fn an_error_during_the_backoff_goes_to_the_next_attempt() {
    let memory = BodyMemory::new(1_000);
    let steps = [Step::Data("ab".into()), Step::Pending, Step::Error];
    let (mut first, mut spare) = split(&memory, Scripted::new(steps));
    data(&mut first);
    assert_pending!(poll(&mut first));
    let mut second = again(&mut spare);
    assert_pending!(poll(&mut first));
    assert_eq!(data(&mut second), "ab");
    assert!(matches!(assert_ready!(poll(&mut second)), Some(Err(_))));
    assert_pending!(poll(&mut first));
    assert!(!replayable(&spare));
    assert_eq!(memory.used(), 0);
}

fn replayable<B: Body<Data = Bytes>>(spare: &Spare<B>) -> bool {
    BodyReplay::default().replayable(spare)
}

fn split<B: Body<Data = Bytes>>(memory: &BodyMemory, body: B) -> (Pinned<B>, Spare<B>) {
    let replay = BodyReplay::new(10_000).memory(memory.clone());
    let (first, spare) = replay.first(Request::new(body));
    (Box::pin(first.into_body()), spare.expect("a spare"))
}

type Pinned<B> = Pin<Box<ReplayBody<B>>>;

type Upload = Channel<Bytes, Infallible>;

fn uploading(memory: &BodyMemory) -> (Sender<Bytes, Infallible>, Pinned<Upload>, Spare<Upload>) {
    let (client, body) = Channel::new(8);
    let (first, spare) = split(memory, body);
    (client, first, spare)
}

/// Three frames of so many bytes.
fn of(bytes: usize) -> Scripted {
    Scripted::new(vec![Step::Data(vec![0; bytes].into()); 3])
}
