//! The connector that MtlsLayer makes.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite};
use tower_service::Service;

use crate::{MtlsStream, error::BoxError, future::ConnectFuture, layer::Client};

/// A connector whose connections are verified: what [`MtlsLayer`](crate::MtlsLayer) makes.
///
/// It is ready when the connector inside is, and calls the instance that it polled. It adds one error to
/// that one's, [`HandshakeError`](crate::error::HandshakeError), which a caller finds by downcast:
///
/// ```
/// use tower_mtls::{BoxError, error::{HandshakeError, Reason}};
///
/// /// Whether another attempt at the same address may end better.
/// fn may_retry(error: &BoxError) -> bool {
///     match error.downcast_ref::<HandshakeError>() {
///         Some(error) => matches!(error.reason(), Reason::Timeout | Reason::Io),
///         None => true,
///     }
/// }
/// # let _ = may_retry;
/// ```
#[derive(Clone)]
pub struct Mtls<C> {
    connector: C,
    client: Arc<Client>,
}

impl<C> Mtls<C> {
    pub(crate) fn new(connector: C, client: Arc<Client>) -> Self {
        Self { connector, client }
    }

    /// The connector inside.
    pub fn get_ref(&self) -> &C {
        &self.connector
    }
}

impl<C, Target> Service<Target> for Mtls<C>
where
    C: Service<Target>,
    C::Error: Into<BoxError>,
    C::Response: AsyncRead + AsyncWrite + Unpin,
{
    type Response = MtlsStream<C::Response>;
    type Error = BoxError;
    type Future = ConnectFuture<C::Future, C::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, target: Target) -> Self::Future {
        ConnectFuture::new(self.connector.call(target), self.client.clone())
    }
}

impl<C: fmt::Debug> fmt::Debug for Mtls<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mtls")
            .field("connector", &self.connector)
            .finish_non_exhaustive()
    }
}
