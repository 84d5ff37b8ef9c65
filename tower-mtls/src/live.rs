//! What a source makes of its snapshots: built once for each, by the first handshake that needs it.

use std::{ops::Deref, sync::Arc};

use arc_swap::ArcSwapOption;

use crate::{
    error::{HandshakeError, InvalidSetting, Reason},
    source::{Published, Snapshot, Source},
};

/// A value that follows a source. To read it locks nothing.
pub(crate) struct Live<T> {
    source: Source,
    make: Box<Make<T>>,
    made: ArcSwapOption<Made<T>>,
}

/// How a snapshot becomes a `T`, or why it does not fit.
pub(crate) type Make<T> = dyn Fn(&Snapshot) -> Result<T, InvalidSetting> + Send + Sync;

/// A value and the trust that is in it.
pub(crate) struct Current<T> {
    value: T,
    trust_serial: u64,
}

struct Made<T> {
    serial: u64,
    outcome: Result<Arc<Current<T>>, InvalidSetting>,
}

impl<T> Live<T> {
    /// Fails if there is a snapshot already and it does not fit.
    pub(crate) fn new(source: Source, make: Box<Make<T>>) -> Result<Self, InvalidSetting> {
        let live = Self {
            source,
            make,
            made: ArcSwapOption::empty(),
        };
        match live.current().map(Result::err) {
            Some(Some(unfit)) => Err(unfit),
            _ => Ok(live),
        }
    }

    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    /// What the snapshot in force has become.
    pub(crate) fn load(&self) -> Result<Arc<Current<T>>, HandshakeError> {
        match self.current() {
            Some(Ok(current)) => Ok(current),
            Some(Err(unfit)) => Err(no_credentials(unfit.to_string())),
            None => Err(no_credentials(match self.source.failure() {
                Some(error) => format!("the source has given no snapshot yet; {error}"),
                None => "the source has given no snapshot yet".to_owned(),
            })),
        }
    }

    /// The serial with which the trust last changed.
    pub(crate) fn trust_serial(&self) -> u64 {
        let published = self.source.shared().current();
        published.as_ref().map_or(0, |current| current.trust_serial)
    }

    fn current(&self) -> Option<Result<Arc<Current<T>>, InvalidSetting>> {
        let published = self.source.shared().current();
        let published = published.as_ref()?;
        if let Some(made) = &*self.made.load()
            && made.serial == published.serial
        {
            return Some(made.outcome.clone());
        }
        // Some handshakes may make the same at the same time, and one that was held up may put an older
        // one back: the next handshake sees that and makes it anew, so none gets an old one.
        let made = Arc::new(self.make(published));
        self.made.store(Some(made.clone()));
        Some(made.outcome.clone())
    }

    fn make(&self, published: &Published) -> Made<T> {
        let outcome = (self.make)(&published.snapshot).map(|value| {
            Arc::new(Current {
                value,
                trust_serial: published.trust_serial,
            })
        });
        Made {
            serial: published.serial,
            outcome,
        }
    }
}

impl<T> Current<T> {
    /// The serial with which the trust in it came.
    pub(crate) fn trust_serial(&self) -> u64 {
        self.trust_serial
    }
}

impl<T> Deref for Current<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

fn no_credentials(detail: String) -> HandshakeError {
    HandshakeError::new(Reason::NoCredentials, detail)
}
