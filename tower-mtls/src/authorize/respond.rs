use crate::error::{BoxError, Denied};

/// What a refused request gets: an error, or a response made in its place.
///
/// `E` is the error of the service inside, and [`Error`](Self::Error) that of the one around it.
pub trait Respond<Req, Res, E> {
    /// What a request may end with: [`BoxError`] where a refusal is an error too, or `E` as it is.
    type Error;

    /// The outcome of a request that was refused; the service inside never sees it.
    fn respond(&self, denied: Denied, request: &Req) -> Result<Res, Self::Error>;
}

/// Lets a refused request fail with [`Denied`]. It is the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fail;

/// Answers a refused request by a closure `Fn(Denied, &Req) -> Res`.
#[derive(Clone, Copy, Debug)]
pub struct RespondWith<C>(pub C);

impl<Req, Res, E> Respond<Req, Res, E> for Fail {
    type Error = BoxError;

    fn respond(&self, denied: Denied, _request: &Req) -> Result<Res, BoxError> {
        Err(denied.into())
    }
}

impl<Req, Res, E, C: Fn(Denied, &Req) -> Res> Respond<Req, Res, E> for RespondWith<C> {
    type Error = E;

    fn respond(&self, denied: Denied, request: &Req) -> Result<Res, E> {
        Ok(self.0(denied, request))
    }
}
