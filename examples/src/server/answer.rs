//! One request and its answer, whatever happens.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::PoisonError,
};

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use tower::ServiceExt;
use tower_timeout_ewma::deadline::Deadline;

use super::{
    InUse, RequestStack, Shared,
    exchange::{Exchange, ExchangeBody},
    tunnel::Tunnel,
    upgrade::Wishes,
};
use crate::{
    drain::Phase,
    http::{
        body::{ClientBody, Expectation, ResponseBody},
        forward,
        interim::Interim,
        refusal::Refusal,
    },
};

/// What must be known of a request when it is gone.
struct Asked {
    grpc: bool,
    is_head: bool,
    version: Version,
}

pub(super) async fn answer<S: RequestStack>(
    shared: &Shared<S::Body>,
    stack: S,
    phase: Phase,
    in_use: &InUse,
    request: Request<Incoming>,
) -> Response<ExchangeBody<S::Body>> {
    let asked = Asked {
        grpc: forward::is_grpc(request.headers()),
        is_head: request.method() == Method::HEAD,
        version: request.version(),
    };
    let exchange = Exchange::begin(
        &shared.door,
        &request,
        shared.client.address(),
        shared.peer.as_ref(),
    );
    let interim = (asked.version == Version::HTTP_11).then(|| shared.interims.exchange());
    let wishes = Wishes::of(&request);
    // Of the body that a client has announced and not sent.
    let mut uninvited = wishes.expects_continue();
    let result = match prepare(shared, &exchange, wishes, interim.as_ref(), in_use, request) {
        Ok(request) => {
            let expectation = request.extensions().get::<Expectation>().cloned();
            // Pinned where it is made: it is too big to be moved about.
            let answering = pin!(stack.oneshot(request));
            let result = passing_on(interim.as_ref(), expectation.as_ref(), answering).await;
            uninvited = expectation.is_some_and(|expectation| !expectation.is_met());
            result.map_err(|error| exchange.failed(error.as_ref()))
        }
        Err(refusal) => Err(refusal),
    };
    if let Some(interim) = interim {
        interim.close();
    }
    match result {
        Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
            switch(shared, exchange, response)
        }
        Ok(response) => {
            let deadline = response.extensions().get::<Deadline>().copied();
            // Of the answer itself: what asked by gRPC may be answered by anything.
            let is_grpc_stream =
                asked.version == Version::HTTP_2 && forward::is_grpc(response.headers());
            let response = response.map(|body| ResponseBody::endpoint(body, deadline));
            let closes = phase > Phase::Running || uninvited;
            exchange.respond(asked.close_where(closes, response), is_grpc_stream)
        }
        Err(refusal) => {
            let response = asked.refuse(refusal);
            let closes = phase > Phase::Running || uninvited || refusal.closes();
            exchange.respond(asked.close_where(closes, response), false)
        }
    }
}

/// Checks a request against the limits and makes it neutral.
fn prepare<B>(
    shared: &Shared<B>,
    exchange: &Exchange,
    wishes: Wishes,
    interim: Option<&Interim>,
    in_use: &InUse,
    mut request: Request<Incoming>,
) -> Result<Request<ClientBody>, Refusal> {
    let limits = &shared.door.limits;
    let admitted = match exchange.is_over(limits.requests) {
        true => Err(Refusal::Overloaded),
        false => forward::admit(&mut request, limits),
    };
    admitted.inspect_err(|refusal| {
        if let Some(limit) = refusal.limit() {
            shared.door.metrics.reached(limit);
        }
    })?;
    shared.client.introduce(&mut request);
    let (mut parts, body) = request.into_parts();
    let mut body = ClientBody::new(body, limits, in_use).map_err(|error| Refusal::of(&error))?;
    let expectation = wishes.expects_continue().then(Expectation::default);
    if let Some(expectation) = &expectation {
        body = body.hold_for(expectation.clone());
        parts.extensions.insert(expectation.clone());
    }
    wishes.pass_on(&mut parts.headers);
    if let Some(peer) = &shared.peer {
        parts.extensions.insert(peer.clone());
    }
    if let Some(fate) = body.fate() {
        parts.extensions.insert(fate);
    }
    if let Some((sent, met)) = exchange.sent() {
        parts.extensions.insert(sent);
        parts.extensions.insert(met);
    }
    let mut request = Request::from_parts(parts, body);
    if let Some(interim) = interim {
        interim.clone().listen(&mut request, expectation);
    }
    Ok(request)
}

/// Waits for the final answer, and until all interim ones before it have been written.
///
/// An endpoint that takes a request without asking for its body gets the body nevertheless: the
/// client is asked for it first.
async fn passing_on<F, B, E>(
    interim: Option<&Interim>,
    expectation: Option<&Expectation>,
    mut answering: Pin<&mut F>,
) -> Result<Response<B>, E>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    let Some(interim) = interim else {
        return answering.await;
    };
    let answer = poll_fn(|cx| {
        interim.register(cx);
        answering.as_mut().poll(cx)
    })
    .await;
    let is_taken = answer
        .as_ref()
        .is_ok_and(|answer| answer.status().is_success());
    let unmet = expectation.filter(|expectation| !expectation.is_met());
    if let (Some(expectation), false) = (unmet, is_taken) {
        expectation.refuse();
    } else if let Some(expectation) = unmet {
        interim.push(StatusCode::CONTINUE, &HeaderMap::new());
        poll_fn(|cx| interim.poll_passed_on(cx)).await;
        expectation.meet();
    }
    poll_fn(|cx| interim.poll_passed_on(cx)).await;
    answer
}

/// Passes a 101 on; hyper gives the connection back when it has written it.
fn switch<B>(
    shared: &Shared<B>,
    mut exchange: Exchange,
    mut response: Response<B>,
) -> Response<ExchangeBody<B>> {
    let endpoint = hyper::upgrade::on(&mut response);
    exchange.switched();
    let (parts, body) = response.into_parts();
    let tunnel = Tunnel::new(endpoint, body, exchange);
    *shared.tunnel.lock().unwrap_or_else(PoisonError::into_inner) = Some(tunnel);
    Response::from_parts(parts, ExchangeBody::empty())
}

impl Asked {
    fn refuse<B>(&self, refusal: Refusal) -> Response<ResponseBody<B>> {
        let response = refusal.response(self.grpc);
        // Over HTTP/2 hyper would send a body even here.
        match self.is_head {
            true => response.map(|_| ResponseBody::own("")),
            false => response,
        }
    }

    fn close_where<B>(&self, closes: bool, mut response: Response<B>) -> Response<B> {
        if closes && self.version < Version::HTTP_2 {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        response
    }
}
