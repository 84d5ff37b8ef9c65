use std::{error::Error, fmt, io, sync::Arc};

use crate::error::{HandshakeError, Reason};

/// The peer of an open connection would not be accepted any more: its certificate has expired or is
/// revoked, or the root that vouched for it is withdrawn.
///
/// Reads and writes of the connection fail with an [`io::Error`] of kind
/// [`PermissionDenied`](io::ErrorKind::PermissionDenied) that holds this.
#[derive(Clone, Debug)]
pub struct PeerNoLongerValid {
    verdict: Arc<HandshakeError>,
}

impl PeerNoLongerValid {
    pub(crate) fn new(verdict: HandshakeError) -> Self {
        Self {
            verdict: Arc::new(verdict),
        }
    }

    /// What a handshake would fail for.
    pub fn reason(&self) -> Reason {
        self.verdict.reason()
    }

    /// Finds it in the error of a read or write.
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    pub(crate) fn into_io(self) -> io::Error {
        io::Error::new(io::ErrorKind::PermissionDenied, self)
    }
}

impl fmt::Display for PeerNoLongerValid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = &self.verdict;
        write!(
            f,
            "the connection's peer is no longer accepted ({}): {}",
            verdict.reason(),
            verdict.detail()
        )
    }
}

impl Error for PeerNoLongerValid {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.verdict)
    }
}
