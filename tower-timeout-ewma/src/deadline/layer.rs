use tower_layer::Layer;

use crate::deadline::Deadlines;

/// Refuses and ends requests whose deadline has passed. See the [module](super).
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct DeadlineLayer<Src> {
    source: Src,
}

impl<Src> DeadlineLayer<Src> {
    /// A layer that gets deadlines from `source`.
    pub fn new(source: Src) -> Self {
        Self { source }
    }
}

impl<S, Src: Clone> Layer<S> for DeadlineLayer<Src> {
    type Service = Deadlines<S, Src>;

    fn layer(&self, inner: S) -> Self::Service {
        Deadlines::new(inner, self.source.clone())
    }
}
