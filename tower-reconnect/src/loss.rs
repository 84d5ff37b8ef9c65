//! The end of a connection.

use std::time::Duration;

/// What a report of it amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Somebody else was first, or that connection was replaced long ago.
    Known,
    /// It has been up long enough, or has done its work: the next demand dials at once.
    Stable,
    /// It died young, which is a failure like a failed dial. The next dial is due after `delay`.
    Unstable { delay: Duration },
    /// It was being replaced, and that goes on.
    Renewing,
}
