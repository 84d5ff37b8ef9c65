//! The body of the client.

use std::pin::Pin;

use http_body::{Body, SizeHint};

pub(super) enum Source<B> {
    /// In a box, because it is pinned while the attempts that read it come and go.
    Live(Pin<Box<B>>),
    Ended,
    Failed,
}

impl<B: Body> Source<B> {
    /// Whether it has given all that it had.
    pub(super) fn has_ended(&self) -> bool {
        match self {
            Self::Live(body) => body.is_end_stream(),
            Self::Ended => true,
            Self::Failed => false,
        }
    }

    /// What is still to come.
    pub(super) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Live(body) => body.size_hint(),
            Self::Ended | Self::Failed => SizeHint::with_exact(0),
        }
    }
}
