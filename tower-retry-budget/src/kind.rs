//! What kind of failure a retry is for.

/// What kind of failure an attempt is to make good, which decides what it costs.
///
/// Each has its price in the [`Budget`](crate::Budget): a server that is too slow or says that it has too much
/// to do is hurt more by another attempt than one that refused a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Something that may well be gone at the next attempt: an error, a server that is not there.
    #[default]
    Transient,
    /// The server said that it has too much to do.
    Throttled,
    /// Nothing came in time, so the server may still be at work on it.
    Timeout,
    /// Nothing has failed yet: a second attempt beside a slow first one.
    Hedge,
}
