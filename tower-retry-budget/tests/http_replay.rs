//! Bodies that can be sent again, attempt by attempt.
#![cfg(feature = "http")]

use std::{
    cell::RefCell,
    collections::VecDeque,
    convert::Infallible,
    marker::PhantomPinned,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Empty, Full, channel::Channel};
use tokio_test::{assert_pending, assert_ready, task};
use tower_retry_budget::{
    Replay,
    http::{BodyReplay, ReplayBody, Spare},
};

/// The first attempt's body and what the others are made from.
fn split<B: Body<Data = Bytes>>(body: B, limit: usize) -> (Pin<Box<ReplayBody<B>>>, Spare<B>) {
    let (first, spare) = BodyReplay::new(limit).first(Request::new(body));
    (Box::pin(first.into_body()), spare.expect("a spare"))
}

fn again<B: Body<Data = Bytes>>(spare: &mut Spare<B>) -> Pin<Box<ReplayBody<B>>> {
    let request = BodyReplay::default().again(spare).expect("replayable");
    Box::pin(request.into_body())
}

fn replayable<B: Body<Data = Bytes>>(spare: &mut Spare<B>) -> bool {
    let known = BodyReplay::default().replayable(spare);
    assert_eq!(known, BodyReplay::default().again(spare).is_some());
    known
}

type Polled<E> = Poll<Option<Result<Frame<Bytes>, E>>>;

fn poll<B: Body<Data = Bytes>>(body: &mut Pin<Box<B>>) -> Polled<B::Error> {
    task::spawn(()).enter(|cx, _| body.as_mut().poll_frame(cx))
}

/// The next frame, which is data.
fn data<B: Body<Data = Bytes>>(body: &mut Pin<Box<B>>) -> Bytes {
    match assert_ready!(poll(body)) {
        Some(Ok(frame)) => frame.into_data().expect("data"),
        Some(Err(_)) => panic!("an error"),
        None => panic!("the end"),
    }
}

fn trailers() -> HeaderMap {
    HeaderMap::from_iter([(
        http::HeaderName::from_static("checksum"),
        http::HeaderValue::from_static("abc"),
    )])
}

/// All that is left, the trailers included; panics unless it ends by itself.
fn rest<B: Body<Data = Bytes>>(body: &mut Pin<Box<B>>) -> (Vec<u8>, Option<HeaderMap>) {
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
fn frames(
    parts: impl IntoIterator<Item = &'static str>,
) -> impl Body<Data = Bytes, Error = &'static str> {
    Scripted::new(parts.into_iter().map(|part| Step::Data(part.into())))
}

#[derive(Clone)]
enum Step {
    Data(Bytes),
    Trailers,
    Error,
    Pending,
    Panic,
}

/// A body that does what it is told, and must not be polled after its end.
struct Scripted {
    steps: VecDeque<Step>,
    announced: Option<u64>,
    ended: bool,
}

impl Scripted {
    fn new(steps: impl IntoIterator<Item = Step>) -> Self {
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

#[test]
fn an_attempt_that_never_read_leaves_the_body_whole_and_once() {
    let (first, mut spare) = split(frames(["ab", "cd"]), 1024);
    drop(first);
    assert_eq!(rest(&mut again(&mut spare)).0, b"abcd");
    assert_eq!(rest(&mut again(&mut spare)).0, b"abcd");
}

#[test]
fn an_attempt_that_never_read_and_lives_on_changes_nothing() {
    let (_first, mut spare) = split(frames(["ab", "cd"]), 1024);
    let _second = again(&mut spare);
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
fn no_byte_is_copied() {
    let whole = Bytes::from_static(b"the one and only");
    let (mut first, mut spare) = split(Full::new(whole.clone()), 1024);
    let read = data(&mut first);
    let replayed = data(&mut again(&mut spare));
    assert_eq!(
        (read.as_ptr(), replayed.as_ptr()),
        (whole.as_ptr(), whole.as_ptr())
    );
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
fn above_the_limit_the_attempt_goes_on_and_there_is_no_other() {
    let chunk = Bytes::from(vec![b'x'; 100]);
    let steps = vec![Step::Data(chunk); 5];
    let (mut first, mut spare) = split(Scripted::new(steps), 300);
    for _ in 0..3 {
        assert_eq!(data(&mut first).len(), 100);
        assert!(BodyReplay::default().replayable(&spare));
    }
    assert_eq!(data(&mut first).len(), 100);
    assert!(!replayable(&mut spare));
    assert_eq!(rest(&mut first).0.len(), 100);
    assert!(first.is_end_stream());
}

#[test]
fn a_body_that_announces_too_much_is_not_kept_but_may_be_sent_again_unread() {
    let mut body = Scripted::new([Step::Data("ab".into())]);
    body.announced = Some(1_000);
    let (first, mut spare) = split(body, 300);
    drop(first);
    let mut second = again(&mut spare);
    assert_eq!(data(&mut second), "ab");
    assert!(!replayable(&mut spare));
}

#[test]
fn tiny_frames_count_for_what_they_cost_and_empty_ones_are_not_kept() {
    let steps = vec![Step::Data("x".into()); 5];
    let (mut first, mut spare) = split(Scripted::new(steps), 4 * 64);
    rest(&mut first);
    assert!(!replayable(&mut spare));

    let steps = vec![Step::Data(Bytes::new()); 1_000];
    let (mut first, mut spare) = split(Scripted::new(steps), 0);
    rest(&mut first);
    assert_eq!(rest(&mut again(&mut spare)).0, b"");
}

#[test]
fn trailers_count_too() {
    let size = "checksum".len() + "abc".len() + 32;
    for (limit, expected) in [(size, true), (size - 1, false)] {
        let (mut first, mut spare) = split(Scripted::new([Step::Trailers]), limit);
        assert_eq!(rest(&mut first).1, Some(trailers()));
        assert_eq!(replayable(&mut spare), expected);
    }
}

#[test]
fn exactly_the_limit_is_kept() {
    let (mut first, mut spare) = split(Full::new(Bytes::from(vec![0; 65_536])), 65_536);
    assert_eq!(rest(&mut first).0.len(), 65_536);
    assert!(replayable(&mut spare));
    let (mut first, mut spare) = split(Full::new(Bytes::from(vec![0; 65_537])), 65_536);
    assert_eq!(rest(&mut first).0.len(), 65_537);
    assert!(!replayable(&mut spare));
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
fn data_after_the_trailers_is_passed_on_and_not_kept() {
    let steps = [Step::Trailers, Step::Data("ab".into())];
    let (mut first, mut spare) = split(Scripted::new(steps), 1024);
    assert_eq!(rest(&mut first), (b"ab".to_vec(), Some(trailers())));
    assert!(!replayable(&mut spare));
}

#[test]
fn with_the_spare_gone_nothing_is_kept() {
    let chunk = Bytes::from(vec![b'x'; 100]);
    let (mut first, spare) = split(Scripted::new(vec![Step::Data(chunk.clone()); 3]), 1024);
    assert_eq!(data(&mut first), chunk);
    assert!(!chunk.is_unique());
    drop(spare);
    rest(&mut first);
    assert!(chunk.is_unique());
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
