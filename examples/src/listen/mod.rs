//! Accepting client connections: how many at once, who they speak for, TLS, and the last ones of a
//! process that ends.

pub mod proxy_header;
mod proxy_protocol;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tower::ServiceExt;
use tower_mtls::{Credentials, Source, accept::Acceptor, source::Snapshot};

use self::proxy_protocol::{Refused, announced};
use crate::{
    config::TrustConfig,
    drain::{Draining, Phase},
    http::forwarded::Client,
    server::{self, Door, QUIET, RequestStack},
    telemetry::Limit,
};

/// Binds a listening socket.
///
/// # Errors
///
/// The address is in use, not ours, or not allowed.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // Lets a restarted process have the port that its predecessor's last connections still use.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// A listener's connections, until the process drains.
#[derive(Debug)]
pub struct Accepting<S> {
    /// Where they come in.
    pub socket: TcpListener,
    /// TLS, or `None` for cleartext.
    pub tls: Option<Tls>,
    /// What connections share.
    pub door: Arc<Door>,
    /// Where requests go.
    pub stack: S,
    /// Whose word counts.
    pub trust: TrustConfig,
    /// As many connections at once, over all listeners.
    pub slots: Arc<Semaphore>,
    /// The process's phase.
    pub draining: Draining,
}

/// TLS with clients.
#[derive(Clone, Debug)]
pub struct Tls {
    /// What verifies them.
    pub acceptor: Acceptor,
    /// Where endpoints are to be told of their certificates: who we are.
    pub forwards_as: Option<Source>,
}

impl<S: RequestStack> Accepting<S> {
    /// Accepts until the process closes, then empties the backlog.
    pub async fn run(mut self) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.draining.reached(Phase::Closing) => break,
                accepted = accept(&self.socket, &self.slots, &self.door) => accepted,
            };
            match accepted {
                Ok((stream, peer, slot)) => self.spawn(stream, peer, slot),
                Err(error) if is_one_clients_fault(&error) => {}
                // Out of file descriptors or memory: a busy loop would help nobody.
                Err(error) => {
                    tracing::warn!(listener = %self.door.metrics.name(), %error, "cannot accept; trying again soon");
                    tokio::time::sleep(ACCEPT_REST).await;
                }
            }
        }
        self.empty_backlog();
    }

    /// Clients that the kernel has already greeted are served, not reset.
    ///
    /// Asks the kernel itself: what tokio knows of the socket is as old as its last look.
    fn empty_backlog(self) {
        loop {
            let (stream, peer) = match SockRef::from(&self.socket).accept() {
                Ok(accepted) => accepted,
                Err(error) if is_one_clients_fault(&error) => continue,
                Err(_) => return,
            };
            let Ok(slot) = self.slots.clone().try_acquire_owned() else {
                return;
            };
            let Some(peer) = peer.as_socket() else {
                continue;
            };
            match into_tokio(stream) {
                Ok(stream) => self.spawn(stream, peer, slot),
                Err(error) => tracing::debug!(%error, "a client left before it was accepted"),
            }
        }
    }

    fn spawn(&self, mut stream: TcpStream, peer: SocketAddr, slot: OwnedSemaphorePermit) {
        let (door, trust) = (self.door.clone(), self.trust.clone());
        let (tls, stack, draining) = (self.tls.clone(), self.stack.clone(), self.draining.clone());
        tokio::spawn(async move {
            let _connected = door.metrics.connected();
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "cannot set TCP_NODELAY");
            }
            let behind = match trust.forwarded.contain(peer.ip()) {
                true => Box::pin(introduction(&door, &mut stream, peer, draining.clone())).await,
                false => Ok(None),
            };
            if let Ok(announced) = behind {
                let client = Arc::new(Client::new(peer, announced, tls.is_some(), &trust));
                match tls {
                    // Boxed: what a connection does now shall not hold the room of all it may do.
                    None => {
                        let serving =
                            server::serve(door, stream, client, None, None, stack, draining);
                        Box::pin(serving).await;
                    }
                    Some(tls) => serve_tls(door, stream, client, tls, stack, draining).await,
                }
            }
            drop(slot);
        });
    }
}

fn into_tokio(stream: Socket) -> io::Result<TcpStream> {
    stream.set_nonblocking(true)?;
    TcpStream::from_std(stream.into())
}

async fn accept(
    socket: &TcpListener,
    slots: &Arc<Semaphore>,
    door: &Door,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let slot = match slots.clone().try_acquire_owned() {
        Ok(slot) => slot,
        Err(_) => {
            door.metrics.reached(Limit::Connections);
            let slot = slots.clone().acquire_owned().await;
            slot.map_err(io::Error::other)?
        }
    };
    let (stream, peer) = socket.accept().await?;
    Ok((stream, peer, slot))
}

/// Whom a trusted peer announces by the PROXY protocol, if anybody.
async fn introduction(
    door: &Door,
    stream: &mut TcpStream,
    peer: SocketAddr,
    mut draining: Draining,
) -> Result<Option<SocketAddr>, Refused> {
    let left_alone = async {
        draining.reached(Phase::Closing).await;
        tokio::time::sleep(QUIET).await;
    };
    let told = tokio::select! {
        told = announced(stream, door.limits.header_timeout) => told,
        () = left_alone => Err(Refused::Silent),
    };
    match &told {
        Ok(_) => {}
        Err(Refused::Silent) => {
            tracing::debug!(listener = %door.metrics.name(), %peer, "a trusted peer said nothing");
        }
        Err(reason) => {
            if let Refused::Late = reason {
                door.metrics.reached(Limit::HeaderTimeout);
            }
            if let Some(times) = door.metrics.proxy_protocol_refused() {
                let listener = door.metrics.name();
                tracing::warn!(%listener, %peer, %reason, times, "PROXY protocol refused");
            }
        }
    }
    told
}

async fn serve_tls<S: RequestStack>(
    door: Arc<Door>,
    stream: TcpStream,
    client: Arc<Client>,
    tls: Tls,
    stack: S,
    draining: Draining,
) {
    match Box::pin(tls.acceptor.oneshot(stream)).await {
        Ok(stream) => {
            let stream = Box::new(stream);
            let peer = stream.peer().cloned();
            let client = match (&peer, &tls.forwards_as) {
                (Some(peer), Some(own)) => {
                    let own = own.snapshot();
                    let own = own.as_ref().and_then(Snapshot::credentials);
                    let own = own.and_then(Credentials::spiffe_id);
                    Arc::new(client.with_certificate(peer, own))
                }
                _ => client,
            };
            let is_http2 = stream.alpn().map(|protocol| protocol == b"h2");
            server::serve(
                door.clone(),
                stream,
                client,
                peer,
                is_http2,
                stack,
                draining,
            )
            .await;
        }
        Err(error) => {
            if let Some(times) = door.metrics.tls_refused() {
                tracing::warn!(
                    listener = %door.metrics.name(),
                    client = %client.address(),
                    reason = error.reason().as_str(),
                    %error,
                    times,
                    "TLS handshake refused"
                );
            }
        }
    }
}

fn is_one_clients_fault(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

/// Connections that the kernel keeps for us while we are busy.
const BACKLOG: i32 = 1024;

/// How long to wait when the system has no room for another connection.
pub(crate) const ACCEPT_REST: Duration = Duration::from_millis(50);
