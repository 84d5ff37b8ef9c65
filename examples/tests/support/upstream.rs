use std::{convert::Infallible, future::Future, net::SocketAddr};

use examples::listen::bind;
use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{net::TcpStream, task::JoinSet};
use tower_mtls::accept::Acceptor;
use tower_service::Service;

use super::BoxError;

/// A real HTTP server on loopback, HTTP/1.1 and HTTP/2; killed when dropped.
pub struct Upstream {
    pub address: SocketAddr,
    tasks: JoinSet<()>,
}

impl Upstream {
    /// Serves cleartext on a free port.
    pub async fn start<H, F, B>(handler: H) -> Self
    where
        H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
    {
        Self::start_at("127.0.0.1:0".parse().unwrap(), None, handler).await
    }

    /// Serves at `address`, over TLS where there is an acceptor.
    pub async fn start_at<H, F, B>(address: SocketAddr, tls: Option<Acceptor>, handler: H) -> Self
    where
        H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
    {
        let socket = bind(address).unwrap();
        let address = socket.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = socket.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                connections.spawn(connection(stream, tls.clone(), handler.clone()));
            }
        });
        Self { address, tasks }
    }

    /// Kills the server and every connection of it.
    pub async fn kill(mut self) -> SocketAddr {
        self.tasks.shutdown().await;
        self.address
    }
}

async fn connection<H, F, B>(stream: TcpStream, tls: Option<Acceptor>, handler: H)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    let service = service_fn(move |request| {
        let response = handler(request);
        async move { Ok::<_, Infallible>(response.await) }
    });
    let http = auto::Builder::new(TokioExecutor::new());
    match tls {
        None => {
            let _ = http
                .serve_connection_with_upgrades(TokioIo::new(stream), service)
                .await;
        }
        Some(mut tls) => {
            let ready = std::future::poll_fn(|cx| Service::<TcpStream>::poll_ready(&mut tls, cx));
            if ready.await.is_ok()
                && let Ok(stream) = tls.call(stream).await
            {
                let _ = http
                    .serve_connection_with_upgrades(TokioIo::new(stream), service)
                    .await;
            }
        }
    }
}
