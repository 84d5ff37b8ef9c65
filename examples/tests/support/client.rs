use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body::Body;
use http_body_util::{BodyExt, Collected};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, time::timeout};

use super::BoxError;

/// One connection to the proxy, without any cleverness: no pool, no retry.
pub enum Client<B> {
    Http1(http1::SendRequest<B>),
    Http2(http2::SendRequest<B>),
}

impl<B> Client<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    /// HTTP/1.1 or, with prior knowledge, HTTP/2.
    pub async fn connect(proxy: SocketAddr, version: Version) -> Self {
        let stream = TcpStream::connect(proxy).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let io = TokioIo::new(stream);
        if version == Version::HTTP_2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(connection);
            Self::Http2(sender)
        } else {
            let (sender, connection) = http1::handshake(io).await.unwrap();
            tokio::spawn(connection);
            Self::Http1(sender)
        }
    }

    /// Whether the connection has ended, or takes no more requests.
    pub fn is_closed(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_closed(),
            Self::Http2(sender) => sender.is_closed(),
        }
    }

    /// Sends a request whose target is a path; the authority is `proxy.test`.
    ///
    /// Panics after a minute without an answer.
    pub async fn send(&mut self, request: Request<B>) -> hyper::Result<Response<Incoming>> {
        let answered = timeout(LIMIT, self.send_unbounded(request)).await;
        answered.expect("an answer within a minute")
    }

    async fn send_unbounded(
        &mut self,
        mut request: Request<B>,
    ) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::Http1(sender) => {
                request
                    .headers_mut()
                    .entry("host")
                    .or_insert("proxy.test".parse().unwrap());
                sender.ready().await?;
                sender.send_request(request).await
            }
            Self::Http2(sender) => {
                let target = format!("http://proxy.test{}", request.uri());
                *request.uri_mut() = target.parse().unwrap();
                *request.version_mut() = Version::HTTP_2;
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }
}

/// Reads a body to its end, with its trailers; panics where that takes more than a minute.
pub async fn read(response: Response<Incoming>) -> Collected<Bytes> {
    let read = timeout(LIMIT, response.into_body().collect()).await;
    read.expect("the end within a minute").unwrap()
}

/// Reads a body to its end as text.
pub async fn text(response: Response<Incoming>) -> String {
    String::from_utf8(read(response).await.to_bytes().to_vec()).unwrap()
}

/// A test that hangs shall fail instead.
const LIMIT: Duration = Duration::from_secs(60);
