//! A SPIFFE agent as far as the Workload API for X.509-SVIDs goes.

use std::{
    collections::HashMap,
    convert::Infallible,
    path::{Path, PathBuf},
    pin::Pin,
};

use futures::{Stream, stream::unfold};
use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivatePkcs8KeyDer, pem::PemObject,
};
use tokio::{net::UnixListener, sync::watch, task::JoinHandle};
use tonic::{Status, body::Body, server::ServerStreamingService};
use tonic_prost::ProstCodec;
use tower_mtls::dev::{Authority, Issued};

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct X509SvidRequest {}

#[derive(Clone, PartialEq, prost::Message)]
pub struct X509SvidResponse {
    #[prost(message, repeated, tag = "1")]
    pub svids: Vec<X509Svid>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub crl: Vec<Vec<u8>>,
    #[prost(map = "string, bytes", tag = "3")]
    pub federated_bundles: HashMap<String, Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct X509Svid {
    #[prost(string, tag = "1")]
    pub spiffe_id: String,
    #[prost(bytes = "vec", tag = "2")]
    pub x509_svid: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub x509_svid_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    pub bundle: Vec<u8>,
    #[prost(string, tag = "5")]
    pub hint: String,
}

/// What the agent says to whoever asks.
pub type Answer = Result<X509SvidResponse, Status>;

/// A running agent. It is gone when this is dropped, and its connections with it.
pub struct Agent {
    answers: watch::Sender<Answer>,
    socket: PathBuf,
    server: JoinHandle<()>,
}

impl Agent {
    pub fn start(socket: &Path, answer: Answer) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        let (answers, listen) = watch::channel(answer);
        Self {
            answers,
            socket: socket.to_owned(),
            server: tokio::spawn(serve(listener, listen)),
        }
    }

    pub fn say(&self, answer: Answer) {
        drop(self.answers.send_replace(answer));
    }

    /// How many streams are open.
    pub fn listeners(&self) -> usize {
        self.answers.receiver_count() - 1
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.server.abort();
        std::fs::remove_file(&self.socket).unwrap();
    }
}

/// An answer with one SVID.
pub fn svid(authority: &Authority, path: &str) -> X509SvidResponse {
    with(&authority.svid(path).unwrap(), authority)
}

pub fn with(issued: &Issued, authority: &Authority) -> X509SvidResponse {
    let id = issued.credentials().spiffe_id().unwrap().to_string();
    answer(
        &id,
        issued.chain_pem(),
        issued.key_pem(),
        &authority.ca_pem(),
    )
}

pub fn answer(id: &str, chain: &str, key: &str, roots: &str) -> X509SvidResponse {
    let key = PrivatePkcs8KeyDer::from_pem_slice(key.as_bytes()).unwrap();
    X509SvidResponse {
        svids: vec![X509Svid {
            spiffe_id: id.to_owned(),
            x509_svid: der(chain),
            x509_svid_key: key.secret_pkcs8_der().to_vec(),
            bundle: der(roots),
            hint: String::new(),
        }],
        ..X509SvidResponse::default()
    }
}

/// Certificates in DER, one behind the other.
pub fn der(pem: &str) -> Vec<u8> {
    let certificates = CertificateDer::pem_slice_iter(pem.as_bytes());
    certificates.flat_map(|one| one.unwrap().to_vec()).collect()
}

pub fn crl(pem: &str) -> Vec<u8> {
    let list = CertificateRevocationListDer::from_pem_slice(pem.as_bytes());
    list.unwrap().to_vec()
}

async fn serve(listener: UnixListener, answers: watch::Receiver<Answer>) {
    // They end with the agent.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (io, _) = listener.accept().await.unwrap();
        let answers = answers.clone();
        let service = service_fn(move |request| respond(request, answers.clone()));
        let connection = http2::Builder::new(TokioExecutor::new());
        connections.spawn(connection.serve_connection(TokioIo::new(io), service));
    }
}

async fn respond(
    request: Request<Incoming>,
    answers: watch::Receiver<Answer>,
) -> Result<Response<Body>, Infallible> {
    let header = request.headers().get("workload.spiffe.io");
    if header.is_none_or(|value| value != "true") {
        let status = Status::invalid_argument("security header missing from request");
        return Ok(status.into_http());
    }
    if request.uri().path() != "/SpiffeWorkloadAPI/FetchX509SVID" {
        return Ok(Status::unimplemented("another method").into_http());
    }
    let codec = ProstCodec::<X509SvidResponse, X509SvidRequest>::default();
    let mut grpc = tonic::server::Grpc::new(codec);
    Ok(grpc.server_streaming(Fetch(answers), request).await)
}

struct Fetch(watch::Receiver<Answer>);

impl ServerStreamingService<X509SvidRequest> for Fetch {
    type Response = X509SvidResponse;
    type ResponseStream = Pin<Box<dyn Stream<Item = Answer> + Send>>;
    type Future = std::future::Ready<Result<tonic::Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, _: tonic::Request<X509SvidRequest>) -> Self::Future {
        let mut answers = self.0.clone();
        answers.mark_changed();
        let stream = unfold(Some(answers), async |answers| {
            let mut answers = answers?;
            answers.changed().await.ok()?;
            let answer = answers.borrow_and_update().clone();
            // A stream ends with its first error.
            let next = answer.is_ok().then_some(answers);
            Some((answer, next))
        });
        std::future::ready(Ok(tonic::Response::new(Box::pin(stream))))
    }
}
