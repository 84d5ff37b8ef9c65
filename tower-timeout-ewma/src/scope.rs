//! What a limit is for: from when it runs, and what must have come by then.
//!
//! A layer has one limit, and one scope. For more, wrap a layer into another: each may be learnt or
//! fixed.
//!
//! | what is limited | how |
//! | --- | --- |
//! | the response; of HTTP the head | the default, [`ToResponse`] |
//! | the wait for readiness | [`Builder::readiness`](crate::Builder::readiness) |
//! | that wait and the response together | [`Builder::from_readiness`](crate::Builder::from_readiness) |
//! | the response, without what it waits for before it is sent | [`Builder::from_sent`](crate::Builder::from_sent) |
//! | each pause in a response's body | [`Builder::scope`](crate::Builder::scope) with `http::BodyIdle` |
//! | the response to the end of its body | [`Builder::scope`](crate::Builder::scope) with `http::WholeBody` |

use std::fmt;

use crate::{Classify, exchange::Exchange};

/// What did not come in time: see [`Elapsed::scope`](crate::error::Elapsed::scope).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scope {
    /// The service was not ready. The request was not sent.
    Readiness,
    /// There was no response; of HTTP, no head.
    Response,
    /// The response's body paused.
    BodyIdle,
    /// The response's body had not ended.
    WholeBody,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Readiness => "readiness",
            Self::Response => "response",
            Self::BodyIdle => "body idle",
            Self::WholeBody => "whole body",
        })
    }
}

/// The limit is for the response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ToResponse;

/// What a limit covers of responses `T`: [`ToResponse`], `http::WholeBody` or `http::BodyIdle`.
///
/// It cannot be implemented for other types.
pub trait Cover<T, C>: sealed::Cover<T, C> {}

impl<T, C: Classify<T>> Cover<T, C> for ToResponse {}

impl<T, C: Classify<T>> sealed::Cover<T, C> for ToResponse {
    type Output = T;

    const SCOPE: Scope = Scope::Response;

    const LIMITS_RESPONSE: bool = true;

    #[inline]
    fn responded(exchange: &mut Option<Exchange<C>>, response: T) -> T {
        if let Some(exchange) = exchange {
            exchange.answered(&response);
        }
        response
    }
}

pub(crate) mod sealed {
    use super::{Exchange, Scope};

    pub trait Cover<T, C> {
        /// What the caller gets.
        type Output;

        /// What errors of the response future say.
        const SCOPE: Scope;

        /// Whether the response future is limited.
        const LIMITS_RESPONSE: bool;

        /// Takes the exchange away if it goes on.
        fn responded(exchange: &mut Option<Exchange<C>>, response: T) -> Self::Output;
    }
}
