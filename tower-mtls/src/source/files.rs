//! Credentials and trust from files that are watched.

use std::{path::PathBuf, sync::Arc, time::Duration};

use super::{Observer, Source, Updater};
use crate::{
    TrustDomain, UnknownStatus,
    error::{InvalidSetting, SourceError},
};

mod reading;
mod watch;

/// A [`Source`] of files that are watched: certificate chain, key, trust bundles and revocation lists, all of
/// which change as one snapshot.
///
/// ```
/// # #[cfg(feature = "dev")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tower_mtls::BoxError> {
/// use tower_mtls::{accept::Acceptor, dev::Authority, source::Files};
///
/// # let folder = std::env::temp_dir().join(format!("tower-mtls-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// let authority = Authority::new("example.org".parse()?)?;
/// let api = authority.svid("/api")?;
/// std::fs::write(folder.join("tls.crt"), api.chain_pem())?;
/// std::fs::write(folder.join("tls.key"), api.key_pem())?;
/// std::fs::write(folder.join("ca.crt"), authority.ca_pem())?;
///
/// let source = Files::builder()
///     .credentials(folder.join("tls.crt"), folder.join("tls.key"))
///     .trust_domain("example.org".parse()?, folder.join("ca.crt"))
///     .build()?
///     .load()
///     .await?;
/// let acceptor = Acceptor::rotating(&source).build()?;
/// # let _ = acceptor;
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "dev"))]
/// # fn main() {}
/// ```
///
/// # When a change is seen
///
/// The folders of the files are watched by events of the system, and all files are read again at
/// [`interval`](FilesBuilder::interval) besides, because some file systems (NFS, and others over a network) tell of
/// nothing. Files may be written in place, renamed onto the old ones, or swapped together by a symbolic link
/// above them, as Kubernetes does it.
///
/// A change is taken when two readings in a row, [`settle`](FilesBuilder::settle) apart, found the same: a file that is being
/// written is not taken half, nor a new certificate with the old key. A file that is cut off where a certificate
/// ends, and stays so, cannot be told from a shorter one: write a new file and rename it onto the old one.
///
/// # When a change is bad
///
/// What cannot be read or parsed, a key of another certificate, and a certificate that has expired change nothing: the
/// last good snapshot stays in force. That is logged and counted once, however often the files are read.
///
/// # What runs
///
/// A task, reads on a thread for blocking work, and the thread of the system's events. All end with the last handle.
/// Neither the log nor an error shows a byte of the key.
#[derive(Clone)]
pub struct Files {
    paths: Arc<Paths>,
    interval: Duration,
    settle: Duration,
    events: bool,
    observer: Option<Arc<dyn Observer>>,
}

/// Settings of [`Files`].
#[derive(Clone, Default)]
#[must_use]
pub struct FilesBuilder {
    paths: Paths,
    interval: Option<Duration>,
    settle: Option<Duration>,
    polls_only: bool,
    observer: Option<Arc<dyn Observer>>,
}

#[derive(Clone, Debug, Default)]
struct Paths {
    credentials: Option<(PathBuf, PathBuf)>,
    bundles: Vec<(Option<TrustDomain>, PathBuf)>,
    revocation_lists: Vec<PathBuf>,
    unknown_status: UnknownStatus,
}

impl Files {
    /// Begins with no file.
    pub fn builder() -> FilesBuilder {
        FilesBuilder::default()
    }

    /// Reads the files, and watches them from then on. Without good files there is no source.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, and in one without time.
    ///
    /// # Cancel safety
    ///
    /// A drop leaves nothing behind.
    pub async fn load(&self) -> Result<Source, SourceError> {
        let updater = self.updater();
        let source = updater.source();
        let mut watch = watch::Watch::new(self.clone(), updater);
        watch.first().await?;
        drop(tokio::spawn(watch.run()));
        Ok(source)
    }

    /// [`load`](Self::load) for a start that is not async: the files are read on this thread.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, and in one without time.
    pub fn load_blocking(&self) -> Result<Source, SourceError> {
        let updater = self.updater();
        let source = updater.source();
        let mut watch = watch::Watch::new(self.clone(), updater);
        watch.first_blocking()?;
        drop(tokio::spawn(watch.run()));
        Ok(source)
    }

    /// Watches the files without waiting for good ones. Until they are there handshakes fail with
    /// [`NoCredentials`](crate::error::Reason::NoCredentials).
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, and in one without time.
    pub fn start(&self) -> Source {
        let updater = self.updater();
        let source = updater.source();
        let mut watch = watch::Watch::new(self.clone(), updater);
        drop(tokio::spawn(async move {
            // Told by the source; the files may become good.
            let _ = watch.first().await;
            watch.run().await;
        }));
        source
    }

    fn updater(&self) -> Updater {
        match &self.observer {
            Some(observer) => Updater::observed_by(observer.clone()),
            None => Updater::new(),
        }
    }
}

impl FilesBuilder {
    /// This side's chain, leaf first, and its key (PKCS #8, SEC 1 or PKCS #1), in PEM. They may be one file.
    pub fn credentials(mut self, chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.paths.credentials = Some((chain.into(), key.into()));
        self
    }

    /// The roots of a plain PKI, in PEM. There can be one such file, and none for a trust domain beside it.
    pub fn trust(mut self, bundle: impl Into<PathBuf>) -> Self {
        self.paths.bundles.push((None, bundle.into()));
        self
    }

    /// The bundle of a SPIFFE trust domain, in PEM. The first one is that of this side's own domain, others are
    /// federated.
    pub fn trust_domain(mut self, domain: TrustDomain, bundle: impl Into<PathBuf>) -> Self {
        self.paths.bundles.push((Some(domain), bundle.into()));
        self
    }

    /// Revocation lists, in PEM or DER; may be called for each file.
    pub fn revocation_lists(mut self, lists: impl Into<PathBuf>) -> Self {
        self.paths.revocation_lists.push(lists.into());
        self
    }

    /// What becomes of peers whose revocation status is not known: see
    /// [`Trust::unknown_status`](crate::Trust::unknown_status).
    pub fn unknown_status(mut self, unknown: UnknownStatus) -> Self {
        self.paths.unknown_status = unknown;
        self
    }

    /// How often the files are read, whatever the events say: 100 ms to 1 day, give or take a tenth at random.
    /// Default: 10 s.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = Some(interval);
        self
    }

    /// How long the files have to stay the same until a change is taken: 1 ms to 1 min. Default: 100 ms.
    pub fn settle(mut self, settle: Duration) -> Self {
        self.settle = Some(settle);
        self
    }

    /// Does without events of the system, and reads the files at `interval` only.
    pub fn polls_only(mut self) -> Self {
        self.polls_only = true;
        self
    }

    /// Is told what happens.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Checks the settings. It reads no file.
    pub fn build(self) -> Result<Files, InvalidSetting> {
        let interval = self.interval.unwrap_or(DEFAULT_INTERVAL);
        if !(MIN_INTERVAL..=MAX_INTERVAL).contains(&interval) {
            let value = format!("{interval:?}");
            return Err(InvalidSetting::new("interval", value, "100 ms to 1 day"));
        }
        let settle = self.settle.unwrap_or(DEFAULT_SETTLE);
        if !(MIN_SETTLE..=MAX_SETTLE).contains(&settle) {
            let value = format!("{settle:?}");
            return Err(InvalidSetting::new("settle", value, "1 ms to 1 min"));
        }
        self.paths.check()?;
        Ok(Files {
            paths: Arc::new(self.paths),
            interval,
            settle,
            events: !self.polls_only,
            observer: self.observer,
        })
    }
}

impl Paths {
    fn check(&self) -> Result<(), InvalidSetting> {
        let plain = self.bundles.iter().any(|(domain, _)| domain.is_none());
        if plain && self.bundles.len() > 1 {
            let allowed = "one bundle of a plain PKI, or one for each trust domain";
            return Err(InvalidSetting::new(
                "trust",
                "more than one bundle",
                allowed,
            ));
        }
        let domains = || {
            self.bundles
                .iter()
                .filter_map(|(domain, _)| domain.as_ref())
        };
        let twice = |domain: &&TrustDomain| domains().filter(|other| other == domain).count() > 1;
        if let Some(domain) = domains().find(twice) {
            let value = format!("{domain} twice");
            let allowed = "one file for each trust domain";
            return Err(InvalidSetting::new("trust_domain", value, allowed));
        }
        if self.bundles.is_empty() && !self.revocation_lists.is_empty() {
            let allowed = "none without a trust bundle";
            return Err(InvalidSetting::new("revocation_lists", "given", allowed));
        }
        match self.bundles.is_empty() && self.credentials.is_none() {
            true => Err(InvalidSetting::new("files", "none", "at least one")),
            false => Ok(()),
        }
    }

    fn all(&self) -> impl Iterator<Item = &PathBuf> {
        let credentials = self.credentials.iter();
        let credentials = credentials.flat_map(|(chain, key)| [chain, key]);
        let bundles = self.bundles.iter().map(|(_, path)| path);
        credentials.chain(bundles).chain(&self.revocation_lists)
    }
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Files")
            .field("paths", &self.paths)
            .field("interval", &self.interval)
            .field("settle", &self.settle)
            .field("events", &self.events)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for FilesBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FilesBuilder")
            .field("paths", &self.paths)
            .finish_non_exhaustive()
    }
}

const DEFAULT_INTERVAL: Duration = Duration::from_secs(10);
const MIN_INTERVAL: Duration = Duration::from_millis(100);
const MAX_INTERVAL: Duration = Duration::from_secs(86_400);
const DEFAULT_SETTLE: Duration = Duration::from_millis(100);
const MIN_SETTLE: Duration = Duration::from_millis(1);
const MAX_SETTLE: Duration = Duration::from_secs(60);
