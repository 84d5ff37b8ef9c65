use std::{fmt, sync::atomic::AtomicU8, time::SystemTime};

use crate::{
    Credentials, Trust,
    error::{Failure, SourceError},
};

/// All that one handshake is made of: this side's certificate and key, and whom it trusts.
///
/// They change together or not at all, so that no handshake sees the new certificate with the old
/// roots. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Snapshot {
    credentials: Option<Credentials>,
    trust: Option<Trust>,
}

impl Snapshot {
    /// A certificate of this side, and the roots that vouch for peers.
    pub fn new(credentials: Credentials, trust: impl Into<Trust>) -> Self {
        Self {
            credentials: Some(credentials),
            trust: Some(trust.into()),
        }
    }

    /// For a side that has no certificate: a client of plain TLS.
    pub fn without_credentials(trust: impl Into<Trust>) -> Self {
        Self {
            credentials: None,
            trust: Some(trust.into()),
        }
    }

    /// For a side that verifies nobody: a server that asks for no client certificate.
    pub fn without_trust(credentials: Credentials) -> Self {
        Self {
            credentials: Some(credentials),
            trust: None,
        }
    }

    #[cfg(feature = "files")]
    pub(super) fn of(credentials: Option<Credentials>, trust: Option<Trust>) -> Self {
        Self { credentials, trust }
    }

    /// This side's certificate.
    pub fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// Whom this side trusts.
    pub fn trust(&self) -> Option<&Trust> {
        self.trust.as_ref()
    }

    pub(crate) fn not_after(&self) -> Option<SystemTime> {
        self.credentials.as_ref().map(Credentials::not_after)
    }

    /// Refuses what no peer would accept any more.
    pub(super) fn check(&self, now: SystemTime) -> Result<(), SourceError> {
        match self.not_after().is_some_and(|end| end <= now) {
            true => Err(SourceError::new(
                Failure::Expired,
                "the new certificate has expired",
            )),
            false => Ok(()),
        }
    }

    fn same_trust(&self, other: &Self) -> bool {
        match (&self.trust, &other.trust) {
            (Some(trust), Some(other)) => trust.same(other),
            (None, None) => true,
            _ => false,
        }
    }
}

/// A snapshot in force, with its place in the sequence of them.
pub(crate) struct Published {
    pub(crate) snapshot: Snapshot,
    /// Grows with each rotation, from 1.
    pub(crate) serial: u64,
    /// The serial with which the trust last changed: what was verified since need not be again.
    pub(crate) trust_serial: u64,
    /// What has been told of the certificate's expiry.
    pub(super) told: AtomicU8,
}

impl Published {
    pub(super) fn after(previous: Option<&Self>, snapshot: Snapshot) -> Self {
        let serial = previous.map_or(1, |previous| previous.serial + 1);
        let trust_serial = match previous {
            Some(previous) if previous.snapshot.same_trust(&snapshot) => previous.trust_serial,
            _ => serial,
        };
        Self {
            snapshot,
            serial,
            trust_serial,
            told: AtomicU8::new(0),
        }
    }
}

impl fmt::Debug for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Published")
            .field("serial", &self.serial)
            .field("snapshot", &self.snapshot)
            .finish_non_exhaustive()
    }
}
