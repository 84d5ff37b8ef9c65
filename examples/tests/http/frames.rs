//! HTTP/2 frame by frame, where an HTTP library would be too well-behaved.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A connection that has said its preface.
pub(crate) struct Frames(TcpStream);

/// One frame as it came.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frames {
    pub(crate) async fn connect(proxy: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(proxy).await.unwrap();
        stream
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .await
            .unwrap();
        let mut frames = Self(stream);
        frames.send(SETTINGS, 0, 0, &[]).await;
        frames
    }

    /// The endpoint's side of a connection that bears so many streams; `None` where the proxy left
    /// before its preface.
    pub(crate) async fn accept(mut stream: TcpStream, streams: u32) -> Option<Self> {
        stream.read_exact(&mut [0; 24]).await.ok()?;
        let mut settings = MAX_CONCURRENT_STREAMS.to_be_bytes().to_vec();
        settings.extend_from_slice(&streams.to_be_bytes());
        let mut frames = Self(stream);
        frames.send(SETTINGS, 0, 0, &settings).await;
        Some(frames)
    }

    /// Waits for so many requests, and returns the stream of the last of them.
    pub(crate) async fn requests(&mut self, count: usize) -> Option<u32> {
        let mut stream = None;
        for _ in 0..count {
            stream = Some(self.next_of(&[HEADERS]).await?.stream);
        }
        stream
    }

    /// Says that streams after `last` were not processed, and that no more may come.
    pub(crate) async fn goaway(&mut self, last: u32) {
        let payload = u64::from(last) << 32;
        self.send(GOAWAY, 0, 0, &payload.to_be_bytes()).await;
    }

    pub(crate) async fn reset(&mut self, stream: u32, code: u32) {
        self.send(RST_STREAM, 0, stream, &code.to_be_bytes()).await;
    }

    /// Sends a request's head on a stream; fields are written as literals.
    pub(crate) async fn headers(&mut self, stream: u32, fields: &[(&str, &str)], ends: bool) {
        let mut block = Vec::new();
        for (name, value) in fields {
            block.push(0);
            for text in [name, value] {
                block.push(u8::try_from(text.len()).unwrap());
                assert!(text.len() < 127, "longer lengths are written in more bytes");
                block.extend_from_slice(text.as_bytes());
            }
        }
        let flags = END_HEADERS | if ends { END_STREAM } else { 0 };
        self.send(HEADERS, flags, stream, &block).await;
    }

    pub(crate) async fn data(&mut self, stream: u32, data: &[u8], ends: bool) {
        self.send(DATA, if ends { END_STREAM } else { 0 }, stream, data)
            .await;
    }

    /// Says that a PING has come.
    pub(crate) async fn pong(&mut self, ping: &Frame) {
        self.send(PING, ACK, 0, &ping.payload).await;
    }

    /// The next frame, or `None` at the connection's end.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.0.read_exact(&mut payload).await.ok()?;
        Some(Frame {
            kind,
            flags,
            stream: u32::from_be_bytes(stream),
            payload,
        })
    }

    /// The next frame of one of these kinds, or `None` at the connection's end.
    pub(crate) async fn next_of(&mut self, kinds: &[u8]) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if kinds.contains(&frame.kind) {
                return Some(frame);
            }
        }
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let [_, a, b, c] = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = vec![a, b, c, kind, flags];
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(payload);
        // The proxy may have closed already; what it says then is read, not written.
        let _ = self.0.write_all(&frame).await;
    }
}

impl Frame {
    /// The value of one setting of a SETTINGS frame.
    pub(crate) fn setting(&self, wanted: u16) -> Option<u32> {
        self.payload.chunks_exact(6).find_map(|setting| {
            let (id, value) = setting.split_at(2);
            (id == wanted.to_be_bytes()).then(|| u32::from_be_bytes(value.try_into().unwrap()))
        })
    }
}

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;

pub(crate) const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const MAX_CONCURRENT_STREAMS: u16 = 3;
