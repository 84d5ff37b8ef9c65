//! The connection to the agent.

use std::{
    io,
    path::Path,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response, Uri, uri::PathAndQuery};
use hyper::{
    body::Incoming,
    client::conn::http2::{SendRequest, handshake},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::UnixStream, time::timeout};
use tonic::{Code, Status, Streaming, body::Body, client::Grpc, metadata::MetadataValue};
use tonic_prost::ProstCodec;
use tower_service::Service;

use super::message::{X509SvidRequest, X509SvidResponse};
use crate::error::{Failure, SourceError};

/// Opens the stream of answers. The agent keeps it open, and sends one whenever something changes.
pub(super) async fn open(socket: &Path) -> Result<Streaming<X509SvidResponse>, SourceError> {
    let opened = timeout(PATIENCE, async {
        let io = UnixStream::connect(socket).await;
        let io = io.map_err(|error| unavailable(socket, error))?;
        // Without pings: the kernel tells when the other end of a Unix socket is gone, and agents refuse frequent ones.
        let connected = handshake::<_, _, Body>(TokioExecutor::new(), TokioIo::new(io)).await;
        let (send, connection) = connected.map_err(|error| unavailable(socket, error))?;
        // It ends with the stream, whose end tells of its errors.
        drop(tokio::spawn(connection));
        ask(send).await.map_err(|status| refused(&status))
    });
    opened.await.unwrap_or_else(|_| {
        let error = io::Error::from(io::ErrorKind::TimedOut);
        Err(unavailable(socket, error))
    })
}

/// The error of a stream that has broken off.
pub(super) fn refused(status: &Status) -> SourceError {
    let (code, message) = (status.code(), status.message());
    let failure = match code {
        Code::PermissionDenied | Code::InvalidArgument | Code::Unauthenticated => Failure::Refused,
        _ => Failure::Unavailable,
    };
    let detail = format!("the agent of the SPIFFE Workload API says {code:?}: {message}");
    SourceError::new(failure, detail)
}

async fn ask(send: SendRequest<Body>) -> Result<Streaming<X509SvidResponse>, Status> {
    // HTTP/2 asks for the name of a host, and a socket in the file system has none.
    let origin = Uri::from_static("http://localhost");
    let grpc = Grpc::with_origin(Agent(send), origin);
    let mut grpc = grpc.max_decoding_message_size(MAX_MESSAGE);
    grpc.ready()
        .await
        .map_err(|error| Status::unavailable(error.to_string()))?;
    let mut request = tonic::Request::new(X509SvidRequest {});
    // Without it the agent refuses, so that no one is tricked into sending it a request.
    request
        .metadata_mut()
        .insert("workload.spiffe.io", MetadataValue::from_static("true"));
    let path = PathAndQuery::from_static("/SpiffeWorkloadAPI/FetchX509SVID");
    let codec = ProstCodec::<X509SvidRequest, X509SvidResponse>::default();
    let response = grpc.server_streaming(request, path, codec).await?;
    Ok(response.into_inner())
}

/// One connection as tonic wants it.
struct Agent(SendRequest<Body>);

impl Service<Request<Body>> for Agent {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future =
        std::pin::Pin<Box<dyn Future<Output = Result<Response<Incoming>, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

fn unavailable(
    socket: &Path,
    error: impl std::error::Error + Send + Sync + 'static,
) -> SourceError {
    let socket = socket.display();
    let detail = format!("the agent's socket {socket} does not answer: {error}");
    SourceError::new(Failure::Unavailable, detail).with_source(error)
}

const PATIENCE: Duration = Duration::from_secs(5);
const MAX_MESSAGE: usize = 4 << 20;
