use std::time::Duration;

/// Tells which answers count against an endpoint.
///
/// Any `Fn(Result<&T, &E>) -> Outcome` is one. It is asked once for each request that an endpoint
/// answered or failed; a request that was dropped is neither.
pub trait Classify<T, E> {
    /// The outcome of a request with this `result`.
    fn classify(&self, result: Result<&T, &E>) -> Outcome;
}

/// What a request says about its endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// The endpoint did its work: its latency counts.
    Success,
    /// The endpoint did not do its work: it gets fewer requests for a while. The latency does not
    /// count, so that failing fast does not attract requests.
    Failure,
    /// The same, and the endpoint asks to be left alone for so long (`Retry-After`,
    /// `grpc-retry-pushback-ms`). It is ejected for that time, up to
    /// [`max_pushback`](crate::Ejection::max_pushback), unless too many are.
    Pushback(Duration),
    /// The same, but it may be this client that is asked to come later, as by 429: the endpoint is
    /// ejected for that time only if half of its last eight requests, or more, have failed.
    Throttled(Duration),
    /// It says nothing, such as a failure by the client's own doing: neither success nor latency
    /// changes, and the request is not counted.
    Neutral,
}

/// `Ok` is a success, `Err` is a failure. The default.
#[derive(Clone, Copy, Debug, Default)]
pub struct OkOrErr;

impl<T, E> Classify<T, E> for OkOrErr {
    fn classify(&self, result: Result<&T, &E>) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::Failure,
        }
    }
}

impl<T, E, F> Classify<T, E> for F
where
    F: Fn(Result<&T, &E>) -> Outcome,
{
    fn classify(&self, result: Result<&T, &E>) -> Outcome {
        self(result)
    }
}
