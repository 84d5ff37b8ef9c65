//! The PROXY protocol's header, versions 1 and 2, read from bytes.
//!
//! The rules: <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

/// Bytes of the longest header that is read; more type-length-values than fit are refused.
pub const LONGEST: usize = 536;

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// No header: the first byte is the client's.
    Absent,
    /// Too few bytes to say.
    Incomplete,
    /// A header of `length` bytes; `None`: the client is who is connected.
    Header {
        /// Bytes of the header; the client's come after them.
        length: usize,
        /// Whom it names.
        client: Option<SocketAddr>,
    },
}

/// A header that breaks the rules, and which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

/// Reads the start of a connection; of [`LONGEST`] bytes it can always tell.
///
/// # Errors
///
/// It begins like a header, and breaks its rules: a connection that can only be ended.
pub fn read(bytes: &[u8]) -> Result<Start, Malformed> {
    if let Some(rest) = bytes.strip_prefix(V1) {
        return read_v1(rest);
    }
    if let Some(rest) = bytes.strip_prefix(V2) {
        return read_v2(rest);
    }
    match V1.starts_with(bytes) || V2.starts_with(bytes) {
        true => Ok(Start::Incomplete),
        false => Ok(Start::Absent),
    }
}

fn read_v1(rest: &[u8]) -> Result<Start, Malformed> {
    let rest = rest.get(..LONGEST_V1 - V1.len()).unwrap_or(rest);
    let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
        return match rest.len() + V1.len() < LONGEST_V1 {
            true => Ok(Start::Incomplete),
            false => Err(Malformed("a line of more than 107 bytes")),
        };
    };
    let (line, _) = rest.split_at(end);
    let line = line.strip_suffix(b"\r");
    let line = line.ok_or(Malformed("a line that does not end in CR LF"))?;
    Ok(Start::Header {
        length: V1.len() + end + 1,
        client: client_v1(line)?,
    })
}

fn client_v1(line: &[u8]) -> Result<Option<SocketAddr>, Malformed> {
    if line == b"UNKNOWN" || line.starts_with(b"UNKNOWN ") {
        return Ok(None);
    }
    let line = str::from_utf8(line).map_err(|_| Malformed("a line that is not ASCII"))?;
    let fields: Vec<_> = line.split(' ').collect();
    let [family, client, proxy, client_port, proxy_port] = fields[..] else {
        return Err(Malformed("not the five fields of a line"));
    };
    let (client, _) = match family {
        "TCP4" => (ip::<Ipv4Addr>(client)?, ip::<Ipv4Addr>(proxy)?),
        "TCP6" => (ip::<Ipv6Addr>(client)?, ip::<Ipv6Addr>(proxy)?),
        _ => return Err(Malformed("neither TCP4 nor TCP6 nor UNKNOWN")),
    };
    let (client_port, _) = (port(client_port)?, port(proxy_port)?);
    Ok(Some(SocketAddr::new(client, client_port)))
}

fn ip<A: FromStr + Into<IpAddr>>(text: &str) -> Result<IpAddr, Malformed> {
    let address: Result<A, _> = text.parse();
    address
        .map(Into::into)
        .map_err(|_| Malformed("an address that is none of its family"))
}

fn port(text: &str) -> Result<u16, Malformed> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let is_short = text == "0" || !text.starts_with('0');
    let port = text.parse().ok().filter(|_| is_plain && is_short);
    port.ok_or(Malformed("a port that is not a number up to 65535"))
}

fn read_v2(rest: &[u8]) -> Result<Start, Malformed> {
    let Some((&[command, family, high, low], rest)) = rest.split_first_chunk() else {
        return Ok(Start::Incomplete);
    };
    let announced = usize::from(u16::from_be_bytes([high, low]));
    let length = V2.len() + 4 + announced;
    if length > LONGEST {
        return Err(Malformed("a header of more than 536 bytes"));
    }
    let kind = kind_v2(command, family)?;
    if announced < kind.bytes() {
        return Err(Malformed("a length that is too short for the addresses"));
    }
    let Some(block) = rest.get(..announced) else {
        return Ok(Start::Incomplete);
    };
    Ok(Start::Header {
        length,
        client: kind.client(block),
    })
}

/// What a header of version 2 speaks of.
#[derive(Clone, Copy)]
enum Kind {
    /// Nobody else: a health check, or an address of a kind that is none of ours.
    Nobody,
    Unix,
    Tcp4,
    Tcp6,
}

fn kind_v2(command: u8, family: u8) -> Result<Kind, Malformed> {
    match command {
        LOCAL => return Ok(Kind::Nobody),
        PROXY => {}
        _ => return Err(Malformed("a version or command that is not known")),
    }
    match family {
        0x11 => Ok(Kind::Tcp4),
        0x21 => Ok(Kind::Tcp6),
        0x31 | 0x32 => Ok(Kind::Unix),
        // Nothing, or datagrams, which no TCP connection carries.
        0x00..=0x02 | 0x10 | 0x12 | 0x20 | 0x22 | 0x30 => Ok(Kind::Nobody),
        _ => Err(Malformed("a family or transport that is not known")),
    }
}

impl Kind {
    fn bytes(self) -> usize {
        match self {
            Self::Nobody => 0,
            Self::Unix => 216,
            Self::Tcp4 => 12,
            Self::Tcp6 => 36,
        }
    }

    fn client(self, block: &[u8]) -> Option<SocketAddr> {
        match self {
            Self::Nobody | Self::Unix => None,
            Self::Tcp4 => address::<4, 8>(block),
            Self::Tcp6 => address::<16, 32>(block),
        }
    }
}

/// The first address of the block, and the first port, which comes after `PORT` bytes.
fn address<const IP: usize, const PORT: usize>(block: &[u8]) -> Option<SocketAddr>
where
    IpAddr: From<[u8; IP]>,
{
    let ip = IpAddr::from(*block.first_chunk()?);
    let port = u16::from_be_bytes(*block.get(PORT..)?.first_chunk()?);
    Some(SocketAddr::new(ip, port))
}

const V1: &[u8] = b"PROXY ";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Of version 1, as its specification counts it.
const LONGEST_V1: usize = 107;

const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;

#[cfg(test)]
mod tests;
