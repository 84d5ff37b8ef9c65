//! Both ends of mutual TLS beside the proxy: a client, and an endpoint that notes whom it meets.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use examples::listen::bind;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{
    body::Incoming, client::conn::http1 as client, server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinSet};
use tower::{ServiceExt, service_fn as connect};
use tower_layer::Layer;
use tower_mtls::{
    Credentials, Expected, MtlsLayer, MtlsStream, PeerIdentity, TrustBundle, accept::Acceptor,
};

use super::BoxError;

/// An HTTP/1.1 connection over TLS, and the server that was met.
pub struct MutualClient {
    pub server: PeerIdentity,
    sender: client::SendRequest<String>,
}

impl MutualClient {
    /// A TLS connection, before there is any HTTP on it.
    pub async fn stream(
        proxy: SocketAddr,
        trust: TrustBundle,
        own: Option<Credentials>,
    ) -> Result<MtlsStream<TcpStream>, BoxError> {
        let builder = MtlsLayer::builder(trust)
            .expect(Expected::TrustDomain)
            .alpn(["http/1.1"]);
        let builder = match own {
            Some(own) => builder.credentials(own),
            None => builder,
        };
        let connector = builder
            .build()?
            .layer(connect(TcpStream::connect::<SocketAddr>));
        connector.oneshot(proxy).await
    }

    pub async fn connect(
        proxy: SocketAddr,
        trust: TrustBundle,
        own: Option<Credentials>,
    ) -> Result<Self, BoxError> {
        let stream = Self::stream(proxy, trust, own).await?;
        let server = stream.peer().cloned().ok_or("the server is nobody")?;
        let (sender, connection) = client::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { server, sender })
    }

    pub async fn send(
        &mut self,
        mut request: Request<String>,
    ) -> Result<Response<Incoming>, BoxError> {
        let host = "proxy.test".parse()?;
        request.headers_mut().entry("host").or_insert(host);
        self.sender.ready().await?;
        Ok(self.sender.send_request(request).await?)
    }

    pub async fn get(&mut self) -> Result<Response<Incoming>, BoxError> {
        self.send(Request::get("/").body(String::new())?).await
    }

    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

/// An endpoint behind mutual TLS, which notes each connection's peer; killed when dropped.
pub struct MutualUpstream {
    pub address: SocketAddr,
    met: Arc<Mutex<Vec<PeerIdentity>>>,
    _tasks: JoinSet<()>,
}

impl MutualUpstream {
    pub fn start(own: Credentials, trust: TrustBundle) -> Self {
        let acceptor = Acceptor::builder(own)
            .require_client(trust)
            .build()
            .unwrap();
        let socket = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        let met = Arc::new(Mutex::new(Vec::new()));
        let (noted, mut tasks) = (met.clone(), JoinSet::new());
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = socket.accept().await.unwrap();
                connections.spawn(serve(acceptor.clone(), stream, noted.clone()));
            }
        });
        Self {
            address,
            met,
            _tasks: tasks,
        }
    }

    /// The peer of the last connection.
    pub fn last(&self) -> Option<PeerIdentity> {
        self.met.lock().unwrap().last().cloned()
    }

    pub fn connections(&self) -> usize {
        self.met.lock().unwrap().len()
    }
}

async fn serve(acceptor: Acceptor, stream: TcpStream, met: Arc<Mutex<Vec<PeerIdentity>>>) {
    let Ok(stream) = acceptor.oneshot(stream).await else {
        return;
    };
    met.lock().unwrap().extend(stream.peer().cloned());
    let service = service_fn(|_: Request<Incoming>| async {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("hello"))))
    });
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
