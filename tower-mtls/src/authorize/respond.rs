use crate::error::Denied;

/// What a refused request gets: an error, or a response made in its place.
pub trait Respond<Req, Res> {
    /// The outcome of a request that was refused; the service inside never sees it.
    fn respond(&self, denied: Denied, request: &Req) -> Result<Res, Denied>;
}

/// Lets a refused request fail with [`Denied`]. It is the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fail;

/// Answers a refused request by a closure `Fn(Denied, &Req) -> Res`.
#[derive(Clone, Copy, Debug)]
pub struct RespondWith<C>(pub C);

impl<Req, Res> Respond<Req, Res> for Fail {
    fn respond(&self, denied: Denied, _request: &Req) -> Result<Res, Denied> {
        Err(denied)
    }
}

impl<Req, Res, C: Fn(Denied, &Req) -> Res> Respond<Req, Res> for RespondWith<C> {
    fn respond(&self, denied: Denied, request: &Req) -> Result<Res, Denied> {
        Ok(self.0(denied, request))
    }
}
