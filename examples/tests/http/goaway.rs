//! Which requests an HTTP/2 endpoint certainly has not processed, and which it may have.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use examples::{
    BoxError,
    config::{ClusterProtocol, ReconnectConfig},
    endpoint::Unprocessed,
};
use http::{Request, Response};
use http_body_util::Full;
use tokio::{
    sync::mpsc,
    task::{JoinHandle, JoinSet},
};
use tower::ServiceExt;

use crate::{
    endpoint::{Service, plain, service},
    frames::Frames,
    front::bounded,
    raw::RawUpstream,
    support::eventually,
};

#[tokio::test]
async fn what_a_goaway_excludes_was_not_processed_and_what_it_includes_may_have_been() {
    let endpoint = Told::start(|mut frames, mut told| async move {
        told.heard(frames.requests(1).await);
        told.heard(frames.requests(1).await);
        frames.goaway(1).await;
        told.next().await;
        // The end of the bytes says nothing new of stream 1.
    });
    let first = endpoint.send().await;
    let second = endpoint.send().await;
    assert!(is_unprocessed(bounded(second).await.unwrap()));
    assert!(!first.is_finished(), "its stream goes on");
    endpoint.go_on();
    assert!(!is_unprocessed(bounded(first).await.unwrap()));
}

#[tokio::test]
async fn streams_that_a_goaway_includes_go_on_beside_a_new_connection() {
    let endpoint = Told::start(|mut frames, mut told| async move {
        let stream = frames.requests(1).await;
        told.heard(stream);
        if told.number == 0 {
            frames.goaway(1).await;
            told.next().await;
        }
        if let Some(stream) = stream {
            frames.headers(stream, &[(":status", "200")], true).await;
        }
        frames.requests(1).await;
    });
    let first = endpoint.send().await;
    // Either before or after the GOAWAY has come: it never fails.
    let second = endpoint.send().await;
    assert_eq!(bounded(second).await.unwrap().unwrap().status(), 200);
    assert!(!first.is_finished());
    endpoint.go_on();
    assert_eq!(bounded(first).await.unwrap().unwrap().status(), 200);
    assert_eq!(endpoint.upstream.connections(), 2);
}

#[tokio::test]
async fn a_connection_that_went_away_makes_room_for_another() {
    let reconnect = ReconnectConfig {
        max_connections: 2,
        ..quick()
    };
    let endpoint = Told::bearing(1, reconnect, |mut frames, mut told| async move {
        let Some(stream) = frames.requests(1).await else {
            return;
        };
        told.heard(Some(stream));
        match told.number {
            0 => told.next().await,
            _ => frames.goaway(stream).await,
        }
        frames.headers(stream, &[(":status", "200")], true).await;
        frames.requests(1).await;
    });
    let first = endpoint.send().await;
    for number in 2..5 {
        let another = endpoint.send().await;
        assert_eq!(bounded(another).await.unwrap().unwrap().status(), 200);
        assert_eq!(endpoint.upstream.connections(), number);
    }
    endpoint.go_on();
    assert_eq!(bounded(first).await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn a_warning_excludes_nobody_and_what_follows_it_does() {
    let endpoint = Told::start(|mut frames, mut told| async move {
        for _ in 0..3 {
            told.heard(frames.requests(1).await);
        }
        frames.goaway(u32::MAX >> 1).await;
        told.next().await;
        frames.goaway(3).await;
        told.next().await;
    });
    let requests = [
        endpoint.send().await,
        endpoint.send().await,
        endpoint.send().await,
    ];
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(requests.iter().all(|request| !request.is_finished()));
    endpoint.go_on();
    let [first, second, third] = requests;
    assert!(is_unprocessed(bounded(third).await.unwrap()));
    assert!(!first.is_finished() && !second.is_finished());
    endpoint.go_on();
    assert!(!is_unprocessed(bounded(first).await.unwrap()));
    assert!(!is_unprocessed(bounded(second).await.unwrap()));
}

#[tokio::test]
async fn an_end_after_a_warning_says_nothing() {
    let endpoint = Told::start(|mut frames, told| async move {
        told.heard(frames.requests(1).await);
        frames.goaway(u32::MAX >> 1).await;
    });
    let request = endpoint.send().await;
    assert!(!is_unprocessed(bounded(request).await.unwrap()));
}

#[tokio::test]
async fn only_a_stream_that_was_refused_was_not_processed() {
    const REFUSED_STREAM: u32 = 7;
    // NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, CANCEL, ENHANCE_YOUR_CALM.
    for code in [0, 1, 2, 8, 11, REFUSED_STREAM] {
        let endpoint = Told::start(move |mut frames, told| async move {
            let stream = frames.requests(1).await;
            told.heard(stream);
            frames.reset(stream.unwrap(), code).await;
            frames.requests(1).await;
        });
        let outcome = bounded(endpoint.send().await).await.unwrap();
        assert_eq!(is_unprocessed(outcome), code == REFUSED_STREAM, "{code}");
    }
}

#[tokio::test]
async fn an_end_without_a_word_says_nothing() {
    let endpoint = Told::start(|mut frames, told| async move {
        told.heard(frames.requests(1).await);
    });
    let request = endpoint.send().await;
    assert!(!is_unprocessed(bounded(request).await.unwrap()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_crosses_a_goaway_is_not_called_unprocessed_if_it_was() {
    let processed = Arc::<Mutex<HashSet<String>>>::default();
    let noted = processed.clone();
    let upstream = RawUpstream::start(move |stream, number| {
        let noted = noted.clone();
        async move {
            stream.set_nodelay(true).unwrap();
            let Ok(mut connection) = h2::server::handshake(stream).await else {
                return;
            };
            for _ in 0..=number % 7 {
                let Some(Ok((request, mut respond))) = connection.accept().await else {
                    return;
                };
                let new = noted
                    .lock()
                    .unwrap()
                    .insert(request.uri().path().to_owned());
                assert!(new, "{} was sent twice", request.uri());
                let _ = respond.send_response(Response::new(()), true);
            }
            match number % 2 {
                0 => connection.abrupt_shutdown(h2::Reason::NO_ERROR),
                _ => connection.graceful_shutdown(),
            }
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                let new = noted
                    .lock()
                    .unwrap()
                    .insert(request.uri().path().to_owned());
                assert!(new, "{} was sent twice", request.uri());
                let _ = respond.send_response(Response::new(()), true);
            }
        }
    });
    let service = service(upstream.address, ClusterProtocol::Http2, quick());
    let mut clients = JoinSet::new();
    for client in 0..8 {
        let (service, processed) = (service.clone(), processed.clone());
        clients.spawn(async move {
            let mut unprocessed = 0;
            for number in 0..150 {
                let path = format!("/{client}/{number}");
                let request = Request::post(&path).header("host", "proxy.test");
                let request = request.body(Full::<Bytes>::default()).unwrap();
                // None is lost between hyper and its connection either.
                let outcome = bounded(service.clone().oneshot(request)).await;
                if is_unprocessed(outcome) {
                    assert!(!processed.lock().unwrap().contains(&path), "{path}");
                    unprocessed += 1;
                }
            }
            unprocessed
        });
    }
    let mut unprocessed = 0;
    while let Some(count) = bounded(clients.join_next()).await {
        unprocessed += count.unwrap();
    }
    assert!(upstream.connections() > 20, "{}", upstream.connections());
    assert!(unprocessed > 0, "no request crossed a GOAWAY");
}

fn is_unprocessed<T>(outcome: Result<T, BoxError>) -> bool {
    match outcome {
        Ok(_) => false,
        Err(error) => {
            let unprocessed = error.is::<Unprocessed>();
            assert_eq!(
                unprocessed,
                Unprocessed::caused(error.as_ref()),
                "{error:?}"
            );
            assert!(!unprocessed || error.source().is_some());
            unprocessed
        }
    }
}

/// An endpoint that goes on when it is told to.
struct Told {
    upstream: RawUpstream,
    service: Service,
    heard: Arc<Mutex<Vec<u32>>>,
    go: Arc<Mutex<Vec<mpsc::UnboundedSender<()>>>>,
}

/// The test's side of one connection.
struct Teller {
    number: usize,
    heard: Arc<Mutex<Vec<u32>>>,
    go: mpsc::UnboundedReceiver<()>,
}

impl Told {
    fn start<F>(speak: impl Fn(Frames, Teller) -> F + Clone + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::bearing(100, quick(), speak)
    }

    /// So many streams on each connection.
    fn bearing<F>(
        streams: u32,
        reconnect: ReconnectConfig,
        speak: impl Fn(Frames, Teller) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let heard = Arc::<Mutex<Vec<u32>>>::default();
        let go = Arc::<Mutex<Vec<mpsc::UnboundedSender<()>>>>::default();
        let (noted, senders) = (heard.clone(), go.clone());
        let upstream = RawUpstream::start(move |stream, number| {
            let (sender, go) = mpsc::unbounded_channel();
            senders.lock().unwrap().push(sender);
            let heard = noted.clone();
            let speak = speak.clone();
            async move {
                if let Some(frames) = Frames::accept(stream, streams).await {
                    speak(frames, Teller { number, heard, go }).await;
                }
            }
        });
        let service = service(upstream.address, ClusterProtocol::Http2, reconnect);
        Self {
            upstream,
            service,
            heard,
            go,
        }
    }

    /// Sends a request, and waits until the endpoint has read it.
    async fn send(&self) -> JoinHandle<Result<Response<()>, BoxError>> {
        let before = self.heard.lock().unwrap().len();
        let service = self.service.clone();
        let sending = tokio::spawn(async move {
            let response = service.oneshot(plain()).await?;
            Ok(response.map(drop))
        });
        eventually("the endpoint has the request", || {
            self.heard.lock().unwrap().len() > before
        })
        .await;
        sending
    }

    fn go_on(&self) {
        for go in self.go.lock().unwrap().iter() {
            let _ = go.send(());
        }
    }
}

impl Teller {
    fn heard(&self, stream: Option<u32>) {
        self.heard.lock().unwrap().extend(stream);
    }

    async fn next(&mut self) {
        self.go.recv().await;
    }
}

/// A connection that ends while a request is in doubt is followed by the next one soon.
fn quick() -> ReconnectConfig {
    let mut reconnect = ReconnectConfig::default();
    reconnect.backoff.base = Duration::from_millis(1);
    reconnect.backoff.max = Duration::from_millis(5);
    reconnect
}
