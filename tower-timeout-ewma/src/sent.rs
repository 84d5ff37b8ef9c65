use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use tokio::time::Instant;

/// By which a layer below tells that a request was sent: see
/// [`Builder::from_sent`](crate::Builder::from_sent).
///
/// Clones are one.
#[derive(Clone, Debug)]
pub struct Sent(Arc<Mark>);

#[derive(Debug, Default)]
struct Mark {
    at: OnceLock<Instant>,
    again: AtomicBool,
}

impl Sent {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    /// The request is sent now.
    ///
    /// The limit runs from the first time. If it is sent again, nobody can tell which time the answer
    /// is for, and nothing is learnt from it (Karn's rule).
    pub fn mark(&self) {
        if self.0.at.set(Instant::now()).is_err() {
            self.0.again.store(true, Ordering::Relaxed);
        }
    }

    /// When the request was first sent, if it was.
    pub fn at(&self) -> Option<Instant> {
        self.0.at.get().copied()
    }

    pub(crate) fn is_again(&self) -> bool {
        self.0.again.load(Ordering::Relaxed)
    }
}

/// Puts a [`Sent`] where a layer below finds it. Any `Fn(&mut Req, Sent)` does; with the feature
/// `http` there is `http::InExtensions`.
pub trait CarrySent<Req> {
    /// Puts `sent` into the request.
    fn carry(&self, request: &mut Req, sent: Sent);
}

impl<Req, F: Fn(&mut Req, Sent)> CarrySent<Req> for F {
    fn carry(&self, request: &mut Req, sent: Sent) {
        self(request, sent);
    }
}

/// Limits run from the call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FromCall;

/// Limits run from when a layer below says that the request was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FromSent<M>(pub(crate) M);

/// [`FromCall`] or [`FromSent`].
///
/// It cannot be implemented for other types.
pub trait Start<Req>: sealed::Start<Req> {}

impl<Req> Start<Req> for FromCall {}

impl<Req> sealed::Start<Req> for FromCall {
    fn sent(&self, _: &mut Req) -> Option<Sent> {
        None
    }
}

impl<Req, M: CarrySent<Req>> Start<Req> for FromSent<M> {}

impl<Req, M: CarrySent<Req>> sealed::Start<Req> for FromSent<M> {
    fn sent(&self, request: &mut Req) -> Option<Sent> {
        let sent = Sent::new();
        self.0.carry(request, sent.clone());
        Some(sent)
    }
}

pub(crate) mod sealed {
    use super::Sent;

    pub trait Start<Req> {
        fn sent(&self, request: &mut Req) -> Option<Sent>;
    }
}
