//! The codes of gRPC in the trailers of short answers.
//!
//! A gRPC call that fails at once has its code in the headers. One that fails after the server has
//! begun to answer has it in the trailers, after the answer was passed on. Where an answer is so
//! short that it has arrived as a whole, the [`PeekTrailersLayer`] reads it and shows its trailers
//! to the rules.

mod body;
mod future;
mod layer;

pub use self::{
    body::Peeked,
    future::PeekFuture,
    layer::{PeekTrailers, PeekTrailersLayer, PeekedTrailers},
};
