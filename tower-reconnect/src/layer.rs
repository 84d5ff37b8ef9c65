//! The layer of the shared shape.

use std::fmt;

use tower_layer::Layer;
use tower_service::Service;

use crate::{
    builder::Builder, connector::Connector, driver::Driver, error::BoxError, machine::Machine,
    reporter::Reporter, service::Reconnect, settings::Settings, shared::Shared,
};

/// Makes a [`Reconnect`] out of a service that makes connections to a target.
///
/// See the [crate's documentation](crate) for an example.
#[derive(Clone)]
#[must_use = "a layer does nothing until it is applied to a service"]
pub struct ReconnectLayer<T> {
    target: T,
    settings: Settings,
}

impl<T> ReconnectLayer<T> {
    /// With every setting at its default.
    pub fn new(target: T) -> Self {
        Self::with(target, Settings::default())
    }

    /// With settings of your own.
    pub fn builder(target: T) -> Builder<T> {
        Builder::new(target)
    }

    pub(crate) fn with(target: T, settings: Settings) -> Self {
        Self { target, settings }
    }
}

impl<M, T> Layer<M> for ReconnectLayer<T>
where
    M: Service<T> + Send + 'static,
    M::Response: Clone + Send + Sync + 'static,
    M::Error: Into<BoxError>,
    M::Future: Send,
    T: Clone + Send + 'static,
{
    type Service = Reconnect<M::Response>;

    fn layer(&self, maker: M) -> Self::Service {
        let settings = &self.settings;
        let machine = Machine::new(settings.pace(), settings.stable_after);
        let connector = Connector::new(maker, self.target.clone(), settings.connect_timeout);
        Reconnect::new(Shared::new(
            machine.limited(settings.limits()),
            Reporter::new(settings.told()),
            Driver::new(connector),
            settings.policy(),
        ))
    }
}

impl<T> fmt::Debug for ReconnectLayer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReconnectLayer")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
