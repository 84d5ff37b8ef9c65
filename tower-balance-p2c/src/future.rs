//! The future of a balanced request.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_service::Service;

use crate::{
    BoxError, Classify, Completion, InFlight,
    pool::Pool,
    search::{Candidate, Search},
};

pin_project! {
    /// Picks an endpoint, waits for one if it must, and sends the request to it.
    ///
    /// The choice is made when the future is polled, so that it is as fresh as can be. The bound
    /// on waiting counts from the first poll.
    ///
    /// # Cancel safety
    ///
    /// Dropped before an endpoint was found, the request was not sent, and what was reserved for
    /// it is released. Dropped later, the request is no longer in flight, its endpoint's success
    /// is left alone, and its latency estimate rises to the request's age if that is more.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<K, S, F, Req, C, T> {
        pool: Arc<Pool<K, S, C, T>>,
        #[pin]
        state: State<K, S, F, Req>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<K, S, F, Req> {
        Searching {
            // Taken when an endpoint is found.
            request: Option<Req>,
            search: Search<K, S>,
        },
        Sent {
            #[pin]
            response: F,
            // Taken when the response is here.
            in_flight: Option<InFlight>,
        },
        Done,
    }
}

impl<K, S, F, Req, C, T> ResponseFuture<K, S, F, Req, C, T> {
    pub(crate) fn new(pool: Arc<Pool<K, S, C, T>>, request: Req) -> Self {
        let state = State::Searching {
            request: Some(request),
            search: Search::new(),
        };
        Self { pool, state }
    }
}

impl<K, S, Req, C, T> Future for ResponseFuture<K, S, S::Future, Req, C, T>
where
    S: Service<Req> + Clone,
    S::Error: Into<BoxError>,
    C: Classify<S::Response, S::Error>,
    T: Completion<S::Response>,
{
    type Output = Result<T::Output, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Searching { request, search } => {
                    let found = ready!(search.poll(this.pool, cx));
                    let request = request.take();
                    let candidate = match found {
                        Ok(candidate) => candidate,
                        Err(error) => {
                            this.state.set(State::Done);
                            return Poll::Ready(Err(error.into()));
                        }
                    };
                    if let Some(request) = request {
                        this.state.set(send(candidate, request, this.pool));
                    }
                }
                StateProj::Sent {
                    response,
                    in_flight,
                } => {
                    let result = ready!(response.poll(cx));
                    let in_flight = in_flight.take();
                    this.state.set(State::Done);
                    if let Some(in_flight) = in_flight {
                        return Poll::Ready(finish(result, in_flight, this.pool));
                    }
                }
                StateProj::Done => panic!("`ResponseFuture` polled after it was ready"),
            }
        }
    }
}

fn send<K, S, Req, C, T>(
    mut candidate: Candidate<K, S>,
    request: Req,
    pool: &Pool<K, S, C, T>,
) -> State<K, S, S::Future, Req>
where
    S: Service<Req>,
{
    pool.counters.picks.fetch_add(1, Ordering::Relaxed);
    let load = Arc::clone(&candidate.endpoint.load);
    let in_flight = InFlight::start(load, pool.shared.clock, candidate.at);
    State::Sent {
        response: candidate.service.call(request),
        in_flight: Some(in_flight),
    }
}

fn finish<K, S, R, E, C, T>(
    result: Result<R, E>,
    mut in_flight: InFlight,
    pool: &Pool<K, S, C, T>,
) -> Result<T::Output, BoxError>
where
    E: Into<BoxError>,
    C: Classify<R, E>,
    T: Completion<R>,
{
    in_flight.answered(pool.classify.classify(result.as_ref()));
    match result {
        Ok(response) => Ok(pool.completion.complete(in_flight, response)),
        Err(error) => Err(error.into()),
    }
}

impl<K, S, F, Req, C, T> fmt::Debug for ResponseFuture<K, S, F, Req, C, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Searching { .. } => "searching",
            State::Sent { .. } => "sent",
            State::Done => "done",
        };
        f.debug_struct("ResponseFuture")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
