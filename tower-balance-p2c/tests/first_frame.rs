//! Requests that are in flight until the first frame of their answer, and servers that ask to be
//! left alone.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, reason = "a test may")]

#[path = "support/web.rs"]
mod web;

use std::{
    convert::Infallible,
    time::{Duration, SystemTime},
};

use http::{Request, Response};
use http_body::{Body as _, Frame};
use http_body_util::BodyExt as _;
use tokio::time::sleep;
use tokio_test::task;
use tower::ServiceExt as _;
use tower_balance_p2c::{
    Classify, Completion, Health, Outcome,
    http::{AtEndOfBody, AtFirstFrame, HttpClassify, TrackedBody},
};
use web::{Body, Pool, data, empty, endless, fields, head, of, pool, seen, servers};

type Frames = Vec<Result<Frame<bytes::Bytes>, &'static str>>;

fn trailers(of: &[(&'static str, &str)]) -> Result<Frame<bytes::Bytes>, &'static str> {
    Ok(Frame::trailers(fields(of)))
}

async fn answer<T>(
    completion: T,
    body: impl FnMut() -> Body + Send + 'static,
) -> (Pool<T>, T::Output)
where
    T: Completion<Response<Body>> + Clone,
{
    let servers = servers::<1>();
    let mut body = body;
    servers[0].reply(move || (Some(web::LATENCY), Response::new(body())));
    let balance = pool(completion, &servers).await;
    let response = balance.clone().oneshot(Request::new(())).await.unwrap();
    (balance, response)
}

fn counts<T>(balance: &Pool<T>) -> (usize, u64, u64) {
    let seen = seen(balance, 1);
    (seen.in_flight, seen.requests, seen.failures)
}

async fn first_of(frames: fn() -> Frames) -> (Pool<AtFirstFrame>, Response<TrackedBody<Body>>) {
    let (balance, mut response) = answer(AtFirstFrame, move || of(frames())).await;
    assert_eq!(counts(&balance), (1, 0, 0));
    let _ = response.body_mut().frame().await;
    (balance, response)
}

#[tokio::test(start_paused = true)]
async fn the_first_frame_ends_it_however_long_the_body_is() {
    let (balance, response) = answer(AtFirstFrame, endless).await;
    assert_eq!(counts(&balance), (1, 0, 0));
    let mut body = response.into_body();
    body.frame().await.unwrap().unwrap();
    assert_eq!(counts(&balance), (0, 1, 0));
    assert_eq!(seen(&balance, 1).latency, Some(web::LATENCY));
    let mut rest = task::spawn(body.frame());
    assert!(rest.poll().is_pending());
    drop(rest);
    drop(body);
    assert_eq!(counts(&balance), (0, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_body_without_frames_and_one_that_is_dropped_end_it_too() {
    let (balance, response) = answer(AtFirstFrame, empty).await;
    assert!(response.body().is_end_stream());
    assert_eq!(counts(&balance), (0, 1, 0));
    let (balance, mut response) = first_of(Vec::new).await;
    assert!(response.body_mut().frame().await.is_none());
    assert_eq!(counts(&balance), (0, 1, 0));
    let (balance, response) = answer(AtFirstFrame, endless).await;
    drop(response);
    assert_eq!(counts(&balance), (0, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn what_fails_before_the_first_frame_is_a_failure_and_what_fails_later_is_not() {
    let (balance, _response) = first_of(|| vec![Err("broken")]).await;
    assert_eq!(counts(&balance), (0, 1, 1));
    let (balance, _response) = first_of(|| vec![trailers(&[("grpc-status", "13")])]).await;
    assert_eq!(counts(&balance), (0, 1, 1));
    let later: [fn() -> Frames; 2] = [
        || vec![data(), Err("broken")],
        || vec![data(), trailers(&[("grpc-status", "13")])],
    ];
    for frames in later {
        let (balance, mut response) = first_of(frames).await;
        let _ = response.body_mut().frame().await;
        assert_eq!(counts(&balance), (0, 1, 0));
    }
}

type Asks = fn(Duration) -> Outcome;

fn classified(status: u16, fields: &[(&'static str, &str)]) -> Outcome {
    let response = head(status, fields);
    HttpClassify.classify(Ok::<_, &Infallible>(&response))
}

#[test]
fn who_is_busy_may_say_for_how_long() {
    let asks: [(u16, Asks); 2] = [(429, Outcome::Throttled), (503, Outcome::Pushback)];
    for (status, asks) in asks {
        let seconds = |seconds| asks(Duration::from_secs(seconds));
        assert_eq!(classified(status, &[("retry-after", "7")]), seconds(7));
        assert_eq!(classified(status, &[]), Outcome::Failure);
        assert_eq!(classified(status, &[("retry-after", "0")]), seconds(0));
        for unreadable in ["-7", "soon", "1.5", "7 s", ""] {
            let outcome = classified(status, &[("retry-after", unreadable)]);
            assert_eq!(outcome, Outcome::Failure, "{unreadable}");
        }
    }
    let date = |offset: i64| {
        let now = SystemTime::now();
        let by = Duration::from_secs(offset.unsigned_abs());
        let then = if offset < 0 { now - by } else { now + by };
        classified(503, &[("retry-after", &httpdate::fmt_http_date(then))])
    };
    let Outcome::Pushback(told) = date(600) else {
        panic!("a date is understood");
    };
    assert!((590..=600).contains(&told.as_secs()), "{told:?}");
    assert_eq!(date(-600), Outcome::Failure);
    // Of an answer that is no refusal it says something else.
    assert_eq!(classified(200, &[("retry-after", "7")]), Outcome::Success);
    assert_eq!(classified(301, &[("retry-after", "7")]), Outcome::Success);
    assert_eq!(classified(500, &[("retry-after", "7")]), Outcome::Failure);
}

#[test]
fn grpc_says_it_in_milliseconds() {
    let busy = |status: &str, millis: &str| {
        classified(
            200,
            &[("grpc-status", status), ("grpc-retry-pushback-ms", millis)],
        )
    };
    let asks: [(&str, Asks); 2] = [("8", Outcome::Throttled), ("14", Outcome::Pushback)];
    for (status, asks) in asks {
        assert_eq!(busy(status, "1503"), asks(Duration::from_millis(1503)));
        for unreadable in ["-1", "1s", ""] {
            assert_eq!(busy(status, unreadable), Outcome::Failure, "{unreadable}");
        }
    }
    assert_eq!(busy("13", "1503"), Outcome::Failure);
    assert_eq!(busy("0", "1503"), Outcome::Success);
    assert_eq!(busy("5", "1503"), Outcome::Success);
}

fn remaining<T>(balance: &Pool<T>) -> Option<Duration> {
    match seen(balance, 1).health {
        Health::Ejected { remaining } => Some(remaining),
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_or_trailers_that_ask_for_it_keep_requests_away_for_so_long() {
    type Answer = fn() -> Response<Body>;
    let answers: [(Answer, u64); 5] = [
        (|| head(503, &[("retry-after", "4")]), 4000),
        (|| head(503, &[("retry-after", "86400")]), 30_000),
        (|| head(200, &PUSHBACK), 4003),
        (|| Response::new(of(vec![trailers(&PUSHBACK)])), 4003),
        (
            || Response::new(of(vec![data(), trailers(&PUSHBACK)])),
            4003,
        ),
    ];
    for (answer, millis) in answers {
        let servers = servers::<2>();
        let balance = pool(AtEndOfBody, &servers).await;
        servers[0].reply(move || (Some(Duration::ZERO), answer()));
        while servers[0].calls() == 0 {
            let response = balance.clone().oneshot(Request::new(())).await.unwrap();
            let _ = response.into_body().collect().await;
        }
        assert_eq!(remaining(&balance), Some(Duration::from_millis(millis)));
        assert_eq!(counts(&balance), (0, 1, 1));
        sleep(Duration::from_millis(millis - 1)).await;
        balance.clone().oneshot(Request::new(())).await.unwrap();
        assert_eq!(servers[0].calls(), 1);
        sleep(Duration::from_millis(1)).await;
        balance.clone().oneshot(Request::new(())).await.unwrap();
        assert_eq!(servers[0].calls(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn statuses_eject_and_the_body_of_a_probe_may_be_dropped() {
    let servers = servers::<2>();
    let balance = pool(AtEndOfBody, &servers).await;
    servers[0].reply(|| (Some(Duration::from_millis(3)), head(502, &[])));
    while remaining(&balance).is_none() {
        let requests = (0..20).map(|_| balance.clone().oneshot(Request::new(())));
        for response in futures::future::join_all(requests).await {
            assert!(matches!(response.unwrap().status().as_u16(), 200 | 502));
        }
    }
    assert!(seen(&balance, 1).failures <= 11);
    sleep(Duration::from_millis(1003)).await;
    servers[0].reply(|| (Some(web::LATENCY), Response::new(endless())));
    let probe = balance.clone().oneshot(Request::new(())).await.unwrap();
    // Its head is proof enough: it may go on for ever.
    assert_eq!(seen(&balance, 1).health, Health::Probation { at_a_time: 1 });
    drop(probe);
    assert_eq!(seen(&balance, 1).health, Health::Probation { at_a_time: 1 });
    assert_eq!(seen(&balance, 1).in_flight, 0);
}

/// One client that sends too much must not take an endpoint from the others.
#[tokio::test(start_paused = true)]
async fn who_asks_one_client_to_come_later_is_left_alone_when_it_asks_many() {
    let servers = servers::<2>();
    let balance = pool(AtEndOfBody, &servers).await;
    let mut calls = 0;
    servers[0].reply(move || {
        calls += 1;
        // Each second one, so that there are never three in a row.
        let response = match calls % 2 {
            0 => head(429, &[("retry-after", "9")]),
            _ => head(200, &[]),
        };
        (Some(Duration::ZERO), response)
    });
    for _ in 0..1000 {
        balance.clone().oneshot(Request::new(())).await.unwrap();
        if remaining(&balance).is_some() {
            break;
        }
        sleep(Duration::from_millis(11)).await;
    }
    assert_eq!(servers[0].calls(), 8, "four of eight");
    assert_eq!(remaining(&balance), Some(Duration::from_secs(9)));
}

const PUSHBACK: [(&str, &str); 2] = [("grpc-status", "14"), ("grpc-retry-pushback-ms", "4003")];
