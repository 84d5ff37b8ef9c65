//! What is kept of a body, and what is not.
#![cfg(feature = "http")]

use bytes::Bytes;
use http_body::Body;
use http_body_util::Full;
use tower_retry_budget::{Replay, http::BodyReplay};

use bodies::{Scripted, Step, again, data, replayable, rest, split, trailers};

#[path = "support/bodies.rs"]
mod bodies;

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
