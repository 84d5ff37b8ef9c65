//! How one request becomes several attempts.

use crate::prepare::Next;

/// Makes the attempts of a request.
///
/// A request for which a retry is possible and affordable, or that is kept for resends, is split by [`first`](Self::first)
/// into the first attempt and a spare; each other one goes through [`plain`](Self::plain), where
/// nothing is to be kept.
pub trait Replay<Req> {
    /// What is sent.
    type Request;

    /// What is kept to make later attempts from.
    type Spare;

    /// The only attempt.
    fn plain(&self, request: Req) -> Self::Request;

    /// The first attempt, and the spare if there can be another.
    fn first(&self, request: Req) -> (Self::Request, Option<Self::Spare>);

    /// Whether the spare can still make an attempt. Asked before the budget is.
    fn replayable(&self, spare: &Self::Spare) -> bool {
        let _ = spare;
        true
    }

    /// Whether the spare holds all of the request, so that an attempt made from it now would not
    /// wait for the caller. Asked before a second attempt is sent beside one that is in flight.
    fn complete(&self, spare: &Self::Spare) -> bool {
        let _ = spare;
        true
    }

    /// The next attempt, or `None` if it cannot be made any more. Others may follow.
    fn again(&self, spare: &mut Self::Spare) -> Option<Self::Request>;

    /// The next attempt, when no other can follow.
    fn last(&self, mut spare: Self::Spare) -> Option<Self::Request> {
        self.again(&mut spare)
    }

    /// Changes the request of the next attempt at once before it is sent: see
    /// [`Prepare`](crate::prepare::Prepare).
    fn prepare(&self, request: &mut Self::Request, next: Next) {
        let _ = (request, next);
    }
}

/// Clones the request, one clone for each retry that may come.
#[derive(Clone, Copy, Debug, Default)]
pub struct CloneRequest;

impl<Req: Clone> Replay<Req> for CloneRequest {
    type Request = Req;
    type Spare = Req;

    fn plain(&self, request: Req) -> Req {
        request
    }

    fn first(&self, request: Req) -> (Req, Option<Req>) {
        (request.clone(), Some(request))
    }

    fn again(&self, spare: &mut Req) -> Option<Req> {
        Some(spare.clone())
    }

    fn last(&self, spare: Req) -> Option<Req> {
        Some(spare)
    }
}
