//! The way of a verdict from the verifier to the handshake that asked for it.
//!
//! The TLS library calls the verifier inside the poll of a handshake, and passes no more of its answer on than a
//! kind of error, out of which it makes the alert. So the verifier leaves its whole verdict here, and the same poll
//! picks it up when the library returns.

use std::cell::RefCell;

use crate::{PeerIdentity, error::Rejection};

pub(crate) type Verdict = Result<PeerIdentity, Rejection>;

/// Runs a poll, and gives what the verifier left meanwhile.
pub(crate) fn collect<T>(poll: impl FnOnce() -> T) -> (T, Option<Verdict>) {
    // The connection below may be a handshake of its own, polled in the middle of this one.
    let outer = LEFT.take();
    let output = poll();
    (output, LEFT.replace(outer))
}

/// Leaves a verdict for the poll that runs now.
pub(super) fn leave(verdict: Verdict) {
    LEFT.set(Some(verdict));
}

thread_local! {
    static LEFT: RefCell<Option<Verdict>> = const { RefCell::new(None) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Reason;

    #[test]
    fn each_poll_collects_its_own() {
        let verdict = |detail: &str| Err(Rejection::new(Reason::BadCertificate, detail));
        let (inner, outer) = collect(|| {
            leave(verdict("outer"));
            let ((), inner) = collect(|| leave(verdict("inner")));
            let ((), none) = collect(|| ());
            assert!(none.is_none());
            inner
        });
        let text = |verdict: Option<Verdict>| verdict.unwrap().unwrap_err().to_string();
        assert!(text(inner).ends_with("inner"));
        assert!(text(outer).ends_with("outer"));
        assert!(collect(|| ()).1.is_none());
    }
}
