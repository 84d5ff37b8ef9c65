//! What is done to a request before it is sent again.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use http::Request;
use tower_retry_budget::{
    Kind, Next, Prepare,
    http::{AttemptHeader, GrpcPreviousAttempts},
};

use crate::http::forward::is_grpc;

/// In the extensions of a request that is not sent for the first time.
#[derive(Clone, Copy, Debug)]
pub struct Again;

/// Marks what is sent [`Again`], tells endpoints which attempt they see, and counts.
///
/// They are told by a field where there is one for that, and gRPC calls by their own as well.
#[derive(Clone, Debug, Default)]
pub struct SentAgain {
    header: Option<AttemptHeader>,
    kinds: Arc<Kinds>,
}

/// Retries by what was wrong with the attempt before. Written where something has failed.
#[derive(Debug, Default)]
struct Kinds {
    transient: AtomicU64,
    throttled: AtomicU64,
    timeout: AtomicU64,
}

impl SentAgain {
    /// The same counts, and this field.
    #[must_use]
    pub fn with_header(&self, header: Option<AttemptHeader>) -> Self {
        Self {
            header,
            kinds: Arc::clone(&self.kinds),
        }
    }

    /// How many retries were sent, by what was wrong with the attempt before.
    pub fn by_kind(&self) -> [(&'static str, u64); 3] {
        let Kinds {
            transient,
            throttled,
            timeout,
        } = &*self.kinds;
        [
            ("transient", transient.load(Relaxed)),
            ("throttled", throttled.load(Relaxed)),
            ("timeout", timeout.load(Relaxed)),
        ]
    }
}

impl<B> Prepare<Request<B>> for SentAgain {
    fn prepare(&self, request: &mut Request<B>, next: Next) {
        if let Some(header) = &self.header {
            header.prepare(request, next);
        }
        if is_grpc(request.headers()) {
            GrpcPreviousAttempts.prepare(request, next);
        }
        if next.kind == Kind::Hedge {
            return;
        }
        request.extensions_mut().insert(Again);
        if !next.resend {
            let count = match next.kind {
                Kind::Throttled => &self.kinds.throttled,
                Kind::Timeout => &self.kinds.timeout,
                _ => &self.kinds.transient,
            };
            count.fetch_add(1, Relaxed);
        }
    }
}
