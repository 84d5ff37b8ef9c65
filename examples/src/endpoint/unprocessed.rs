//! Requests that were sent, and certainly not processed.

use std::{error::Error, fmt};

use h2::Reason;

use crate::BoxError;

/// The endpoint said that it has not processed this request: it may be sent again, whatever its
/// method.
///
/// It said so by a GOAWAY whose last stream comes before the request's, or by REFUSED_STREAM (RFC
/// 9113, sections 6.8 and 8.7). A stream that the GOAWAY included may have been processed, however
/// the connection ends: it is not one of these.
#[derive(Debug)]
pub struct Unprocessed {
    source: hyper::Error,
    goes_away: bool,
}

impl Unprocessed {
    /// Whether `error`, or what caused it, says that.
    pub fn caused(error: &(dyn Error + 'static)) -> bool {
        sources(error).any(<dyn Error>::is::<Self>)
    }

    /// Whether `error`, or what caused it, says that because the endpoint closes its connection,
    /// which is no failure. One that refuses streams has too much to do.
    pub fn goes_away(error: &(dyn Error + 'static)) -> bool {
        sources(error)
            .filter_map(|cause| cause.downcast_ref())
            .any(|Self { goes_away, .. }| *goes_away)
    }

    /// Gives `error` this type if it says that.
    pub(super) fn recognise(error: hyper::Error) -> BoxError {
        let said = sources(&error)
            .filter_map(|cause| cause.downcast_ref())
            .find(|cause| is_before_processing(cause))
            .map(h2::Error::is_go_away);
        match said {
            Some(goes_away) => Self {
                source: error,
                goes_away,
            }
            .into(),
            None => error.into(),
        }
    }
}

/// Only what came from the peer, and for this stream: our own end of a connection says nothing of
/// what the peer did, and neither does the end of the bytes. h2 gives the error of a GOAWAY to no
/// stream up to its last.
fn is_before_processing(error: &h2::Error) -> bool {
    let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
    error.is_remote() && (error.is_go_away() || refused)
}

fn sources<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

impl fmt::Display for Unprocessed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the endpoint has not processed the request, and said so")
    }
}

impl Error for Unprocessed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}
