use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

/// A connection that was refused, until the peer has had the time to read why.
///
/// A client sends its first request before it knows that it is refused. A connection that is closed with
/// that unread is reset, and a client that meets the reset never reads the alert.
pub(super) struct Linger<IO> {
    io: IO,
    until: Instant,
    is_shut: bool,
    left: usize,
}

impl<IO> Linger<IO>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    pub(super) fn new(io: IO) -> Self {
        Self {
            io,
            until: Instant::now() + LINGER,
            is_shut: false,
            left: MAX_BYTES,
        }
    }

    /// When the peer's time is up.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// Ready when the peer has closed, or has sent more than anyone does who is about to close.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_shut {
            if ready!(Pin::new(&mut self.io).poll_shutdown(cx)).is_err() {
                return Poll::Ready(());
            }
            self.is_shut = true;
        }
        let mut bytes = [0; 1024];
        loop {
            let mut buffer = ReadBuf::new(&mut bytes);
            let read = ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer));
            let length = buffer.filled().len();
            if read.is_err() || length == 0 || length > self.left {
                return Poll::Ready(());
            }
            self.left -= length;
        }
    }
}

const LINGER: Duration = Duration::from_millis(500);
const MAX_BYTES: usize = 64 * 1024;
