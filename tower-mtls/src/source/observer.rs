use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::SystemTime,
};

use tracing::{error, info, warn};

use crate::error::SourceError;

/// Is told what happens to the credentials of a source.
///
/// Any `Fn(&Event<'_>)` is one. It is called where the event happens, so it should be quick; if it
/// panics that is logged, and nothing else comes of it. Nothing is told for each handshake.
pub trait Observer: Send + Sync + 'static {
    /// Something has happened.
    fn event(&self, event: &Event<'_>);
}

impl<F: Fn(&Event<'_>) + Send + Sync + 'static> Observer for F {
    fn event(&self, event: &Event<'_>) {
        self(event);
    }
}

/// What can happen to the credentials of a source.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A new snapshot is in force, the first one included.
    Rotated {
        /// When the new certificate expires; `None` where there is none.
        not_after: Option<SystemTime>,
    },
    /// A rotation failed, and what was there stays. Told once for each failure, however often it is
    /// met again.
    Failed {
        /// Why.
        error: &'a SourceError,
    },
    /// After a failure the source works again. `Rotated` is told too if there is something new.
    Recovered,
    /// A third of the certificate's life is left: it should have been renewed by now. Told once.
    ExpiresSoon {
        /// When it does.
        not_after: SystemTime,
    },
    /// The certificate has expired, and there is no other: peers refuse it. Told once.
    Expired {
        /// When it did.
        not_after: SystemTime,
    },
}

/// Where events go: to the log, and to the observer if there is one.
#[derive(Clone, Default)]
pub(super) struct Told(Option<Arc<dyn Observer>>);

impl Told {
    pub(super) fn to(observer: Arc<dyn Observer>) -> Self {
        Self(Some(observer))
    }

    pub(super) fn tell(&self, event: &Event<'_>) {
        log(event);
        let Some(observer) = &self.0 else { return };
        if catch_unwind(AssertUnwindSafe(|| observer.event(event))).is_err() {
            error!(?event, "the observer panicked");
        }
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Told").field(&self.0.is_some()).finish()
    }
}

fn log(event: &Event<'_>) {
    match *event {
        Event::Rotated { not_after } => {
            info!(not_after = ?not_after.map(Utc), "credentials in force");
        }
        Event::Failed { error } => {
            let reason = error.failure().as_str();
            warn!(reason, %error, "rotation failed: what was there stays in force");
        }
        Event::Recovered => info!("rotation works again"),
        Event::ExpiresSoon { not_after } => warn!(
            not_after = ?Utc(not_after),
            "this side's certificate has a third of its life left: was it not renewed?"
        ),
        Event::Expired { not_after } => error!(
            not_after = ?Utc(not_after),
            "this side's certificate has expired: peers refuse it"
        ),
    }
}

/// A time as a person reads it in a log.
struct Utc(SystemTime);

impl fmt::Debug for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = match self.0.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_secs()).unwrap_or(i64::MAX),
        };
        match x509_parser::time::ASN1Time::from_timestamp(seconds) {
            Ok(time) => write!(f, "{time}"),
            Err(_) => write!(f, "{:?}", self.0),
        }
    }
}
