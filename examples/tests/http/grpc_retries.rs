//! Calls of gRPC that are sent again.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc::Receiver,
    },
    time::Duration,
};

use examples::cluster::ClusterStatus;
use futures::{Stream, StreamExt, stream};
use http::{HeaderMap, Request, Response, Version, request::Parts};
use tokio::time::{Instant, sleep};
use tonic::{Code, Status, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_client::HealthClient,
    health_server::{Health, HealthServer},
};
use tower::ServiceExt;

use crate::{
    front::{Front, bounded, noting},
    support::{
        body::{TestBody, empty},
        client::read,
        upstream::Upstream,
    },
};

#[tokio::test]
async fn the_codes_in_heads_are_retried_that_the_table_names() {
    for (table, code, attempts) in [
        ("", "14", 3),
        ("", "8", 1),
        ("grpc_statuses = [\"RESOURCE_EXHAUSTED\"], ", "8", 3),
        ("grpc_statuses = [\"RESOURCE_EXHAUSTED\"], ", "14", 1),
    ] {
        let (upstream, heads) = noting(move || unary_failure(code)).await;
        let table = format!("{table}attempts = 3, methods = [\"POST\"], ");
        let front = front("http1", &upstream, &table);
        ask(&front, call("application/grpc", None)).await;
        assert_eq!(heads.try_iter().count(), attempts, "{table} {code}");
    }
}

#[tokio::test]
async fn endpoints_are_told_how_many_attempts_there_were_the_clients_own_included() {
    for (content_type, theirs, numbers) in [
        ("application/grpc", None, [None, Some("1"), Some("2")]),
        ("application/grpc+proto", None, [None, Some("1"), Some("2")]),
        (
            "application/grpc",
            Some("3"),
            [Some("3"), Some("4"), Some("5")],
        ),
        (
            "application/grpc",
            Some("x"),
            [Some("x"), Some("1"), Some("2")],
        ),
        ("application/json", None, [None, None, None]),
        (
            "application/json",
            Some("3"),
            [Some("3"), Some("3"), Some("3")],
        ),
    ] {
        let (upstream, heads) = noting(|| {
            let answer = Response::builder().status(503);
            answer.body(empty()).unwrap()
        })
        .await;
        let front = front("http1", &upstream, "attempts = 3, methods = [\"POST\"], ");
        ask(&front, call(content_type, theirs)).await;
        assert_eq!(told(&heads), numbers, "{content_type} {theirs:?}");
    }
}

/// The head of each of these answers says that all is well.
#[tokio::test]
async fn a_call_that_fails_in_its_trailers_is_sent_again_where_they_came_with_the_head() {
    for (table, failure) in [
        ("", Failure::AtOnce),
        ("", Failure::AfterAMessage),
        ("grpc_trailers = 64, ", Failure::AfterAMessage),
    ] {
        let (upstream, attempts) = failing_at_first(failure).await;
        let table = format!("{table}reserve = 1000, ");
        let front = front("http2", &upstream, &table);
        let mut client = client_of(&front).await;
        for call in 1..=CALLS {
            let answer = bounded(client.watch(asking(call))).await.unwrap();
            let messages: Vec<_> = bounded(answer.into_inner().collect()).await;
            // Of the attempt that failed nothing is seen, not even what it has said before.
            let [Ok(message)] = &messages[..] else {
                panic!("{failure:?}, call {call}: {messages:?}");
            };
            assert_eq!(message.status, GOOD);
        }
        let status = status(&front);
        assert_eq!(attempts.load(Relaxed), 2 * CALLS, "{failure:?}");
        assert_eq!(status.retries.recovered, CALLS as u64);
        let budget = status.budget.unwrap();
        assert_eq!(budget.success_ratio, Some(0.5), "one in two has failed");
    }
}

#[tokio::test]
async fn a_call_whose_trailers_are_not_looked_for_or_are_too_far_away_has_its_own_failure() {
    for (table, failure) in [
        ("grpc_trailers = 0, ", Failure::AtOnce),
        // A frame counts for 64 bytes.
        ("grpc_trailers = 63, ", Failure::AfterAMessage),
        ("grpc_statuses = [\"ABORTED\"], ", Failure::AtOnce),
        ("", Failure::AfterAPause),
    ] {
        let (upstream, attempts) = failing_at_first(failure).await;
        let front = front("http2", &upstream, table);
        let mut client = client_of(&front).await;
        let answer = bounded(client.watch(asking(1))).await.unwrap();
        let messages: Vec<_> = bounded(answer.into_inner().collect()).await;
        let last = messages.last().unwrap().as_ref().unwrap_err();
        assert_eq!(last.code(), Code::Unavailable, "{table}");
        assert_eq!(last.message(), "not yet", "the endpoint's own words");
        assert_eq!(attempts.load(Relaxed), 1, "{table} {failure:?}");
        assert_eq!(status(&front).retries.retries, 0);
    }
}

#[tokio::test]
async fn the_head_of_a_stream_waits_for_nothing_and_neither_does_a_message() {
    let (upstream, _attempts) = failing_at_first(Failure::AfterAPause).await;
    let front = front("http2", &upstream, "grpc_trailers = \"64KiB\", ");
    let mut client = client_of(&front).await;
    let began = Instant::now();
    let answer = bounded(client.watch(asking(1))).await.unwrap();
    let mut messages = answer.into_inner();
    bounded(messages.message()).await.unwrap();
    let took = Instant::now().saturating_duration_since(began);
    assert!(took < PAUSE / 2, "{took:?}");
    bounded(messages.message()).await.unwrap_err();
}

/// How the first attempt of each call fails, with a head that is good.
#[derive(Clone, Copy, Debug)]
enum Failure {
    AtOnce,
    AfterAMessage,
    AfterAPause,
}

/// tonic's server, of which every other attempt fails, and how many there were.
async fn failing_at_first(failure: Failure) -> (Upstream, Arc<AtomicUsize>) {
    let attempts = Arc::<AtomicUsize>::default();
    let server = HealthServer::new(FailingAtFirst {
        failure,
        attempts: attempts.clone(),
    });
    let upstream = Upstream::start(move |request| {
        let answer = server.clone().oneshot(request);
        async move { answer.await.unwrap() }
    });
    (upstream.await, attempts)
}

struct FailingAtFirst {
    failure: Failure,
    attempts: Arc<AtomicUsize>,
}

type Updates = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

#[tonic::async_trait]
impl Health for FailingAtFirst {
    async fn check(
        &self,
        _: tonic::Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<HealthCheckResponse>, Status> {
        Err(Status::unimplemented("only streams are"))
    }

    type WatchStream = Updates;

    async fn watch(
        &self,
        _: tonic::Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<Updates>, Status> {
        let message = |status| Ok(HealthCheckResponse { status });
        let not_yet = || Err(Status::unavailable("not yet"));
        let fails = self.attempts.fetch_add(1, Relaxed).is_multiple_of(2);
        let updates = match self.failure {
            _ if !fails => stream::iter([message(GOOD)]).boxed(),
            Failure::AtOnce => stream::iter([not_yet()]).boxed(),
            Failure::AfterAMessage => stream::iter([message(BAD), not_yet()]).boxed(),
            Failure::AfterAPause => {
                let later = stream::once(async move {
                    sleep(PAUSE).await;
                    not_yet()
                });
                stream::iter([message(BAD)]).chain(later).boxed()
            }
        };
        Ok(tonic::Response::new(updates))
    }
}

/// `table` is `[cluster.retry]`, but for the backoff.
fn front(protocol: &str, upstream: &Upstream, table: &str) -> Front {
    let more = format!(
        "retry = {{ {table}backoff = {{ base = \"1ms\", max = \"2ms\" }} }}\n\
         [cluster.balance]\nwait = \"10s\"\neject = \"off\"\n"
    );
    Front::start(protocol, upstream.address, &more)
}

fn asking(call: usize) -> tonic::Request<HealthCheckRequest> {
    let service = String::new();
    let mut request = tonic::Request::new(HealthCheckRequest { service });
    let key = format!("\"{call}\"").parse().unwrap();
    request.metadata_mut().insert("idempotency-key", key);
    request
}

async fn client_of(front: &Front) -> HealthClient<Channel> {
    let endpoint = Channel::from_shared(format!("http://{}", front.web())).unwrap();
    HealthClient::new(endpoint.connect().await.unwrap())
}

fn call(content_type: &str, previous: Option<&str>) -> Request<TestBody> {
    let mut call = Request::post("/a.B/C").header("content-type", content_type);
    if let Some(previous) = previous {
        call = call.header(PREVIOUS, previous);
    }
    call.body(empty()).unwrap()
}

fn unary_failure(code: &'static str) -> Response<TestBody> {
    let answer = Response::builder().header("content-type", "application/grpc");
    answer.header("grpc-status", code).body(empty()).unwrap()
}

async fn ask(front: &Front, request: Request<TestBody>) {
    let mut client = front.client(Version::HTTP_11).await;
    read(bounded(client.send(request)).await.unwrap()).await;
}

/// What each attempt was told.
fn told(heads: &Receiver<Parts>) -> Vec<Option<&'static str>> {
    let told = |headers: &HeaderMap| {
        let number = headers.get(PREVIOUS)?.to_str().unwrap().to_owned();
        Some(&*number.leak())
    };
    heads.try_iter().map(|head| told(&head.headers)).collect()
}

fn status(front: &Front) -> ClusterStatus {
    front.proxy.status().remove(0)
}

const CALLS: usize = 200;
const GOOD: i32 = 1;
const BAD: i32 = 2;
const PAUSE: Duration = Duration::from_secs(2);
const PREVIOUS: &str = "grpc-previous-rpc-attempts";
