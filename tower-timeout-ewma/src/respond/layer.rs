use tower_layer::Layer;

use super::Responding;

/// Answers what timed out. See the [module](super).
#[derive(Clone, Copy, Debug)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct RespondLayer<R> {
    respond: R,
}

impl<R> RespondLayer<R> {
    /// A layer whose answers `respond` makes.
    pub fn new(respond: R) -> Self {
        Self { respond }
    }
}

impl<S, R: Clone> Layer<S> for RespondLayer<R> {
    type Service = Responding<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Responding::new(inner, self.respond.clone())
    }
}
