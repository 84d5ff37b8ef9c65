//! What a connection says when it takes no more requests, and when it has not taken one.

use std::{
    error::Error,
    fmt,
    sync::{Mutex, PoisonError},
};

use http::Request;

use crate::BoxError;

/// A connection, or an endpoint's pool of them, takes no more requests.
#[derive(Debug)]
pub struct Ended {
    /// Whether it was of use first, or ended by our own doing: then its end is no failure.
    worked: bool,
    cause: String,
}

/// A request that was certainly not sent, to be sent by another connection.
pub(super) struct Unsent<B> {
    // The lock makes it `Sync`, as errors must be. Nobody waits for it.
    request: Mutex<Option<Request<B>>>,
    ended: Ended,
}

impl Ended {
    pub(super) fn new(worked: bool, cause: impl fmt::Display) -> Self {
        Self {
            worked,
            cause: cause.to_string(),
        }
    }

    /// Whether `error` is the end of a connection that did its work.
    pub(crate) fn worked(error: &(dyn Error + 'static)) -> bool {
        error
            .downcast_ref::<Self>()
            .is_some_and(|ended| ended.worked)
    }

    /// Whether `error`, or what caused it, is that.
    pub(crate) fn caused_by_work(error: &(dyn Error + 'static)) -> bool {
        std::iter::successors(Some(error), |&error| error.source()).any(Self::worked)
    }
}

impl<B> Unsent<B> {
    pub(super) fn new(request: Request<B>, ended: Ended) -> Self {
        Self {
            request: Mutex::new(Some(request)),
            ended,
        }
    }

    /// The request in `error`, if it was not sent, and why.
    pub(super) fn recover(error: BoxError) -> Result<(Request<B>, Ended), BoxError>
    where
        B: 'static,
    {
        let Self { request, ended } = *error.downcast::<Self>()?;
        match request.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(request) => Ok((request, ended)),
            None => Err(ended.into()),
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cause)
    }
}

impl Error for Ended {}

impl<B> fmt::Debug for Unsent<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unsent")
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl<B> fmt::Display for Unsent<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request was not sent")
    }
}

impl<B> Error for Unsent<B> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_came_back_tells_whether_its_connection_had_worked() {
        for worked in [true, false] {
            let ended = Ended::new(worked, "closing");
            let unsent: BoxError = Unsent::new(Request::new(()), ended).into();
            assert_eq!(Ended::caused_by_work(unsent.as_ref()), worked);
            let (_, ended) = Unsent::<()>::recover(unsent).unwrap();
            assert_eq!(Ended::caused_by_work(&ended), worked);
        }
        let other: BoxError = "reset".into();
        assert!(!Ended::caused_by_work(other.as_ref()));
    }
}
