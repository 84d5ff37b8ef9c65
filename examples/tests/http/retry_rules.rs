//! What `[cluster.retry]` lets be sent again, and when.

use std::{sync::mpsc::Receiver, time::Duration};

use examples::cluster::ClusterStatus;
use http::{HeaderMap, Request, Response, StatusCode, Version, request::Parts};
use tokio::time::{Instant, sleep};

use crate::{
    front::{Front, bounded, get, noting},
    support::{
        body::{TestBody, empty, full},
        client::read,
        eventually,
        port::ReservedPort,
        upstream::Upstream,
    },
};

/// What an answer is asked for after.
const NINE: (&str, &str) = ("retry-after", "9");

#[tokio::test]
async fn an_answer_is_not_lost_to_a_wait_beyond_the_routes_timeout() {
    let (upstream, heads) = noting(|| answer(503, &[NINE])).await;
    let route = "[[route]]\nlistener = \"web\"\ncluster = \"backend\"\ntimeout = \"2s\"\n";
    let front = front(&upstream, "retry = {}", route);
    let began = Instant::now();
    let answer = ask(&front, get("/")).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers()["retry-after"], "9", "the endpoint's own");
    assert!(!answer.headers().contains_key("proxy-status"));
    assert!(Instant::now().saturating_duration_since(began) < Duration::from_millis(1_900));
    let retries = status(&front).retries;
    assert_eq!(
        (count(&heads), retries.past_deadline),
        (1, 1),
        "{retries:?}"
    );
}

#[tokio::test]
async fn a_wait_that_an_endpoint_asks_for_is_kept_up_to_the_cap_or_not_read() {
    for (table, asked, attempts, least) in [
        ("", "1", 2, 1_000),
        ("retry_after = \"500ms\", ", "1", 1, 0),
        ("", "11", 1, 0),
        ("retry_after = \"off\", ", "11", 2, 0),
    ] {
        let (upstream, heads) = noting(move || answer(503, &[("retry-after", asked)])).await;
        let table = format!("retry = {{ {table}attempts = 2, {QUICK} }}");
        let front = front(&upstream, &table, "");
        let began = Instant::now();
        let answer = ask(&front, get("/")).await;
        let took = Instant::now().saturating_duration_since(began);
        assert_eq!(answer.headers()["retry-after"], asked, "passed through");
        assert_eq!(count(&heads), attempts, "{table}");
        assert!(took >= Duration::from_millis(least), "{table}: {took:?}");
        let unwanted = u64::from(attempts == 1);
        assert_eq!(status(&front).retries.unwanted, unwanted, "{table}");
    }
}

#[tokio::test]
async fn an_idempotency_key_lets_any_method_be_sent_again() {
    for (table, key, attempts) in [
        ("", Some("\"8e03978e\""), 3),
        ("", None, 1),
        ("", Some(" "), 1),
        ("idempotency_key = false, ", Some("\"8e03978e\""), 1),
    ] {
        let (upstream, heads) = noting(|| answer(503, &[])).await;
        let table = format!("retry = {{ {table}attempts = 3, {QUICK} }}");
        let front = front(&upstream, &table, "");
        let mut request = Request::post("/").body(full("once only")).unwrap();
        if let Some(key) = key {
            let fields = request.headers_mut();
            fields.insert("idempotency-key", key.parse().unwrap());
        }
        ask(&front, request).await;
        assert_eq!(count(&heads), attempts, "{table} {key:?}");
    }
}

#[tokio::test]
async fn attempts_are_numbered_where_that_is_asked_for() {
    for (table, theirs, numbers) in [
        ("", None, [None, None, None]),
        ("", Some("7"), [Some("7"), Some("7"), Some("7")]),
        (NUMBERED, None, [None, Some("2"), Some("3")]),
        (NUMBERED, Some("7"), [None, Some("2"), Some("3")]),
    ] {
        let (upstream, heads) = noting(|| answer(503, &[])).await;
        let table = format!("retry = {{ {table}attempts = 3, {QUICK} }}");
        let mut request = get("/");
        if let Some(theirs) = theirs {
            let fields = request.headers_mut();
            fields.append("x-retry-attempt", theirs.parse().unwrap());
            fields.append("x-retry-attempt", theirs.parse().unwrap());
        }
        ask(&front(&upstream, &table, ""), request).await;
        assert_eq!(seen(&heads, "x-retry-attempt"), numbers, "{table}");
    }
}

#[tokio::test]
async fn a_field_that_numbers_attempts_is_only_ours_where_nothing_is_retried_too() {
    let (upstream, heads) = noting(|| answer(200, &[])).await;
    let table = format!("retry = {{ {NUMBERED}attempts = 1 }}");
    let mut request = get("/");
    let fields = request.headers_mut();
    fields.insert("x-retry-attempt", "7".parse().unwrap());
    ask(&front(&upstream, &table, ""), request).await;
    assert_eq!(seen(&heads, "x-retry-attempt"), [None]);
}

#[tokio::test]
async fn what_could_be_sent_to_no_endpoint_is_not_tried_again() {
    let nobody = ReservedPort::new();
    let more = format!("retry = {{ {QUICK} }}\n[cluster.balance]\nwait = \"300ms\"\n");
    let front = Front::start("http1", nobody.address, &more);
    let began = Instant::now();
    let answer = ask(&front, get("/")).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        Instant::now().saturating_duration_since(began) < Duration::from_millis(900),
        "one wait, not four"
    );
    let retries = status(&front).retries;
    assert_eq!((retries.retries, retries.unwanted), (0, 1));
}

#[tokio::test]
async fn what_finds_no_room_in_the_queue_is_not_tried_again() {
    let upstream = Upstream::start(|_| async {
        sleep(Duration::from_secs(3)).await;
        answer(200, &[])
    });
    let upstream = upstream.await;
    let more =
        format!("retry = {{ {QUICK} }}\nreconnect = {{ max_connections = 1, max_pending = 0 }}");
    let front = front(&upstream, &more, "");
    let mut slow = front.client(Version::HTTP_11).await;
    let first = tokio::spawn(async move { slow.send(get("/slow")).await.unwrap().status() });
    let in_flight = || status(&front).endpoints.iter().any(|it| it.in_flight > 0);
    eventually("the first is in flight", in_flight).await;
    let answer = ask(&front, get("/")).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let retries = status(&front).retries;
    assert_eq!((retries.retries, retries.unwanted), (0, 1), "{retries:?}");
    assert_eq!(first.await.unwrap(), StatusCode::OK);
}

#[tokio::test]
async fn an_attempt_that_takes_too_long_costs_what_a_timeout_costs() {
    let slow = Upstream::start(|_| async {
        sleep(Duration::from_secs(60)).await;
        answer(200, &[])
    });
    let slow = slow.await;
    let table = format!(
        "retry = {{ attempts = 2, per_try = \"200ms\", prices = {{ timeout = 7 }}, {QUICK} }}"
    );
    let front = front(&slow, &table, "");
    let answer = ask(&front, get("/")).await;
    assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
    let status = status(&front);
    assert_eq!(
        status.retry_kinds,
        [("transient", 0), ("throttled", 0), ("timeout", 1)]
    );
    assert_eq!(status.budget.unwrap().spent, 7.0);
}

#[tokio::test]
async fn all_bodies_of_a_cluster_share_its_memory() {
    let (upstream, heads) = noting(|| answer(503, &[])).await;
    let table = "retry = { attempts = 2, body_limit = \"8KiB\", body_memory = \"8KiB\", backoff = { base = \"1s\", max = \"1s\" } }";
    let front = front(&upstream, table, "");
    let put = |length: usize| {
        let request = Request::put("/");
        request.body(full(vec![b'x'; length])).unwrap()
    };
    // One waits for its second attempt with a body that is kept; then there is no room for another.
    let mut client = front.client(Version::HTTP_11).await;
    let waiting = tokio::spawn(async move { client.send(put(6_000)).await.unwrap().status() });
    let kept = || {
        status(&front)
            .body_memory
            .is_some_and(|memory| memory.used >= 6_000)
    };
    eventually("a body is kept", kept).await;
    ask(&front, put(6_000)).await;
    assert_eq!(waiting.await.unwrap(), StatusCode::SERVICE_UNAVAILABLE);
    let status = status(&front);
    assert_eq!((count(&heads), status.retries.retries), (3, 1));
    let memory = status.body_memory.unwrap();
    assert_eq!((memory.used, memory.limit, memory.refused), (0, 8_192, 1));
}

#[tokio::test]
async fn a_cluster_that_accepts_nothing_is_not_knocked_at() {
    let (upstream, heads) = noting(|| answer(503, &[])).await;
    let table = "retry = { attempts = 1, throttle = { window = \"10s\", min_per_second = 0 } }";
    let front = front(&upstream, table, "\n");
    let mut client = front.client(Version::HTTP_11).await;
    let mut held = 0;
    for _ in 0..200 {
        let answer = bounded(client.send(get("/"))).await.unwrap();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        let said = answer.headers().get("proxy-status").cloned();
        held += usize::from(said.is_some_and(|said| said.to_str().unwrap().contains("held back")));
        read(answer).await;
    }
    assert!(held > 100, "{held}");
    assert_eq!(count(&heads), 200 - held, "what is held back is not sent");
    let throttle = status(&front).throttle.unwrap();
    assert_eq!(throttle.held, held as u64);
    assert!(throttle.probability > 0.9, "{throttle:?}");
}

/// `cluster` is the rest of its table, and tables after it.
fn front(upstream: &Upstream, cluster: &str, tables: &str) -> Front {
    let more = format!("{cluster}\n[cluster.balance]\nwait = \"10s\"\neject = \"off\"\n{tables}");
    Front::start("http1", upstream.address, &more)
}

/// On a connection of its own, without the body.
async fn ask(front: &Front, request: Request<TestBody>) -> Response<()> {
    let mut client = front.client(Version::HTTP_11).await;
    let response = bounded(client.send(request)).await.unwrap();
    let (head, body) = response.into_parts();
    read(Response::new(body)).await;
    Response::from_parts(head, ())
}

fn answer(status: u16, fields: &[(&'static str, &'static str)]) -> Response<TestBody> {
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    let fields = fields.iter();
    let fields: HeaderMap = fields
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
        .collect();
    response.headers_mut().extend(fields);
    response
}

fn count(heads: &Receiver<Parts>) -> usize {
    heads.try_iter().count()
}

/// What each attempt had under `name`: its values, or none.
fn seen(heads: &Receiver<Parts>, name: &str) -> Vec<Option<&'static str>> {
    let value = |head: Parts| {
        let value = head.headers.get(name)?.to_str().unwrap().to_owned();
        Some(&*value.leak())
    };
    heads.try_iter().map(value).collect()
}

fn status(front: &Front) -> ClusterStatus {
    front.proxy.status().remove(0)
}

const QUICK: &str = "backoff = { base = \"1ms\", max = \"2ms\" }";
const NUMBERED: &str = "attempt_header = \"x-retry-attempt\", ";
