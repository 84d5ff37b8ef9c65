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
    BoxError, Classify, Completion, InFlight, Steer,
    common::Name,
    load::Load,
    pool::{Pool, PoolLane},
    search::{Ready, Search},
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
    ///
    /// # Panics
    ///
    /// When it has to wait and is polled outside of a tokio runtime with time enabled. One that finds
    /// an endpoint ready at once needs none, and neither does one that
    /// [waits](crate::Builder::wait) for no time at all.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<K, S, F, Req, C, T, A> {
        lane: PoolLane<K, S, C, T, A>,
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
            // Whose the response is, where somebody wants to know.
            endpoint: Option<Arc<Load<K>>>,
        },
        Done,
    }
}

impl<K, S, F, Req, C, T, A> ResponseFuture<K, S, F, Req, C, T, A> {
    pub(crate) fn new(lane: PoolLane<K, S, C, T, A>, request: Req) -> Self {
        let state = State::Searching {
            request: Some(request),
            search: Search::new(),
        };
        Self { lane, state }
    }
}

impl<K, S, Req, C, T, A> Future for ResponseFuture<K, S, S::Future, Req, C, T, A>
where
    K: Name + 'static,
    S: Service<Req> + Clone,
    S::Error: Into<BoxError>,
    C: Classify<S::Response, S::Error>,
    T: Completion<S::Response>,
    A: Steer<K, Req, T::Output>,
{
    type Output = Result<T::Output, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let pool = &*this.lane.pool;
        loop {
            match this.state.as_mut().project() {
                StateProj::Searching { request, search } => {
                    let avoids = |endpoint: &K| {
                        request
                            .as_ref()
                            .is_some_and(|request| pool.steer.avoids(request, endpoint))
                    };
                    let found = ready!(search.poll(pool, avoids, cx));
                    let request = request.take();
                    let ready = match found {
                        Ok(ready) => ready,
                        Err(error) => {
                            this.state.set(State::Done);
                            return Poll::Ready(Err(error.into()));
                        }
                    };
                    let Some(request) = request else {
                        panic!("`ResponseFuture` polled after a panic");
                    };
                    this.state.set(send(ready, request, pool));
                }
                StateProj::Sent {
                    response,
                    in_flight,
                    endpoint,
                } => {
                    let Some(running) = in_flight else {
                        panic!("`ResponseFuture` polled after a panic");
                    };
                    let result = ready!(running.while_running(|| response.poll(cx)));
                    let (in_flight, endpoint) = (in_flight.take(), endpoint.take());
                    this.state.set(State::Done);
                    if let Some(in_flight) = in_flight {
                        let mut result = finish(result, in_flight, pool);
                        if let (Ok(response), Some(endpoint)) = (&mut result, endpoint) {
                            pool.steer.answered(response, &endpoint.key);
                        }
                        return Poll::Ready(result);
                    }
                }
                StateProj::Done => panic!("`ResponseFuture` polled after it was ready"),
            }
        }
    }
}

#[inline]
fn send<K, S, Req, C, T, A>(
    ready: Ready<K, S>,
    mut request: Req,
    pool: &Pool<K, S, C, T, A>,
) -> State<K, S, S::Future, Req>
where
    K: Name + 'static,
    S: Service<Req>,
    T: Completion<S::Response>,
    A: Steer<K, Req, T::Output>,
{
    let Ready {
        load,
        mut service,
        at,
        claim,
    } = ready;
    pool.steer.sent(&mut request, &load.key);
    pool.counters.picks.add_one();
    let endpoint = A::TELLS.then(|| Arc::clone(&load));
    let ticket = load.ticket(claim.as_ref().map(|claim| claim.probe()));
    let mut in_flight = InFlight::start(load, ticket, at);
    // From here on the request itself holds the probe.
    if let Some(claim) = claim {
        pool.counters.probes.fetch_add(1, Ordering::Relaxed);
        claim.kept();
    }
    State::Sent {
        response: in_flight.while_running(|| service.call(request)),
        in_flight: Some(in_flight),
        endpoint,
    }
}

#[inline]
fn finish<K, S, R, E, C, T, A>(
    result: Result<R, E>,
    mut in_flight: InFlight,
    pool: &Pool<K, S, C, T, A>,
) -> Result<T::Output, BoxError>
where
    E: Into<BoxError>,
    C: Classify<R, E>,
    T: Completion<R>,
{
    let is_over = T::IS_IMMEDIATE || result.is_err();
    in_flight.answered(pool.classify.classify(result.as_ref()), is_over);
    match result {
        Ok(response) => Ok(pool.completion.complete(in_flight, response)),
        Err(error) => Err(error.into()),
    }
}

impl<K, S, F, Req, C, T, A> fmt::Debug for ResponseFuture<K, S, F, Req, C, T, A> {
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
