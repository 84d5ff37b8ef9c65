//! The layer of the shared shape.

use std::{fmt, sync::Arc};

use tower_layer::Layer;
use tower_service::Service;

use crate::{
    builder::Builder,
    connector::Connector,
    driver::Driver,
    error::BoxError,
    observer::{Observer, Told},
    service::Reconnect,
    settings::Settings,
    shared::Shared,
};

/// Makes a [`Reconnect`] out of a service that makes connections to a target.
///
/// See the [crate's documentation](crate) for an example. Its clones, and those
/// [for other targets](Self::for_target), share the settings.
#[derive(Clone)]
#[must_use = "a layer does nothing until it is applied to a service"]
pub struct ReconnectLayer<T> {
    target: T,
    settings: Arc<Settings>,
    told: Option<Arc<Told>>,
}

impl<T> ReconnectLayer<T> {
    /// With every setting at its default.
    pub fn new(target: T) -> Self {
        Self::with(target, Settings::default(), Told::default())
    }

    /// With settings of your own.
    pub fn builder(target: T) -> Builder<T> {
        Builder::new(target)
    }

    /// The same for another target. The settings are checked and kept once for all targets, which
    /// makes each endpoint smaller.
    pub fn for_target<U>(&self, target: U) -> ReconnectLayer<U> {
        ReconnectLayer {
            target,
            settings: self.settings.clone(),
            told: self.told.clone(),
        }
    }

    /// The same with a [name](Builder::name) of its own.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        Told::change(&mut self.told, |told| told.name = Some(name.into()));
        self
    }

    /// The same with an [observer](Builder::observer) of its own.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        Told::change(&mut self.told, |told| {
            told.observer = Some(Arc::new(observer));
        });
        self
    }

    pub(crate) fn with(target: T, settings: Settings, told: Told) -> Self {
        Self {
            target,
            settings: Arc::new(settings),
            told: told.share(),
        }
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
        let connector = Connector::new(maker, self.target.clone(), settings.clone());
        let driver = Driver::new(connector);
        Reconnect::new(Shared::new(settings.clone(), self.told.clone(), driver))
    }
}

impl<T> fmt::Debug for ReconnectLayer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReconnectLayer")
            .field("name", &self.told.as_ref().map(|told| &told.name))
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
