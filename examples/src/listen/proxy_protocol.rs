//! What a balancer in front of us says about the client before the client's first byte.

use std::{
    fmt, io,
    net::{self, SocketAddr},
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, Interest},
    net::TcpStream,
    time::timeout,
};

use super::proxy_header::{self, LONGEST, Malformed, Start};

/// Why a connection ends that began like the PROXY protocol.
#[derive(Debug)]
pub(super) enum Refused {
    /// It said nothing at all in time: no news, and no header.
    Silent,
    /// The header was not complete in time.
    Late,
    /// The connection ended, or broke, within the header.
    BrokenOff,
    /// The header breaks the rules.
    Malformed(Malformed),
}

/// Takes the header off a connection, and not a byte more; `None`: there was none, or it names
/// nobody.
///
/// # Cancel safety
///
/// Until the header is complete nothing is taken, so that a cancelled call loses no byte.
pub(super) async fn announced(
    stream: &mut TcpStream,
    limit: Duration,
) -> Result<Option<SocketAddr>, Refused> {
    let mut bytes = [0; LONGEST];
    let mut seen = 0;
    let start = timeout(limit, start(stream, &mut bytes, &mut seen)).await;
    match start {
        Ok(Ok(Start::Header { length, client })) => {
            let header = bytes.get_mut(..length).ok_or(Refused::BrokenOff)?;
            match stream.read_exact(header).await {
                Ok(_) => Ok(client),
                Err(_) => Err(Refused::BrokenOff),
            }
        }
        Ok(Ok(Start::Absent | Start::Incomplete)) => Ok(None),
        Ok(Err(refused)) => Err(refused),
        Err(_) if seen == 0 => Err(Refused::Silent),
        Err(_) => Err(Refused::Late),
    }
}

/// Looks until the first bytes tell what they are, or no more come.
async fn start(
    stream: &TcpStream,
    bytes: &mut [u8; LONGEST],
    seen: &mut usize,
) -> Result<Start, Refused> {
    // tokio's `peek` cannot wait for more than is there already; a second handle can look again.
    let mut view = None;
    loop {
        let count = match &view {
            None => stream.peek(bytes).await,
            Some(view) => more(stream, view, bytes, *seen).await,
        };
        let count = count.map_err(|_| Refused::BrokenOff)?;
        let ended = count <= *seen;
        *seen = count;
        match proxy_header::read(bytes.get(..count).unwrap_or(bytes)) {
            Ok(Start::Incomplete) if ended && count >= SIGNED => return Err(Refused::BrokenOff),
            Ok(Start::Incomplete) if !ended => {}
            Ok(start) => return Ok(start),
            Err(malformed) => return Err(Refused::Malformed(malformed)),
        }
        if view.is_none() {
            view = Some(second_handle(stream).map_err(|_| Refused::BrokenOff)?);
        }
    }
}

/// Waits until more than `seen` bytes can be looked at, or no more will come.
async fn more(
    stream: &TcpStream,
    view: &net::TcpStream,
    bytes: &mut [u8],
    seen: usize,
) -> io::Result<usize> {
    loop {
        let ready = stream.ready(Interest::READABLE).await?;
        // Says "would block" for what has been seen, so that tokio waits for news.
        let peeked = stream.try_io(Interest::READABLE, || match view.peek(bytes)? {
            count if count > seen => Ok(count),
            _ => Err(io::ErrorKind::WouldBlock.into()),
        });
        match peeked {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if ready.is_read_closed() {
                    return Ok(seen);
                }
            }
            peeked => return peeked,
        }
    }
}

fn second_handle(stream: &TcpStream) -> io::Result<net::TcpStream> {
    SockRef::from(stream).try_clone().map(Into::into)
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => f.write_str("no byte within limits.header_timeout"),
            Self::Late => f.write_str("not complete within limits.header_timeout"),
            Self::BrokenOff => f.write_str("the connection ended within it"),
            Self::Malformed(Malformed(reason)) => f.write_str(reason),
        }
    }
}

/// So many bytes are the start of a header, and of nothing else.
const SIGNED: usize = 6;
