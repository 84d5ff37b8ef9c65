//! Credentials and trust from an agent of SPIFFE, by its Workload API.

use std::{env, fmt, path::PathBuf, sync::Arc, time::Duration};

use prost::Message;
use rand::RngExt;
use tokio::{select, time::sleep};

use self::message::X509SvidResponse;
use super::{Observer, Snapshot, Source, Updater};
use crate::{
    SpiffeId, UnknownStatus,
    error::{Failure, InvalidSetting, SourceError},
};

mod agent;
mod message;

/// A [`Source`] of what a SPIFFE agent, such as SPIRE's, hands out by the Workload API: this workload's X.509-SVID, the
/// bundle of its trust domain, those of federated ones, and revocation lists.
///
/// ```no_run
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tower_mtls::BoxError> {
/// use std::time::Duration;
/// use tower_mtls::{accept::Acceptor, source::WorkloadApi};
///
/// let source = WorkloadApi::builder().socket("/run/spire/agent/public/api.sock").build()?.start();
/// tokio::time::timeout(Duration::from_secs(30), source.ready()).await?;
/// let acceptor = Acceptor::rotating(&source).build()?;
/// # let _ = acceptor;
/// # Ok(())
/// # }
/// ```
///
/// The agent sends a new snapshot whenever something changes. While it is gone the last one stays in force, and it
/// is called again after 1 s, then after twice as long each time, up to 30 s, with jitter. Until the first answer handshakes
/// fail with [`NoCredentials`](crate::error::Reason::NoCredentials). What the agent says is logged, but no byte of a key.
///
/// The agent knows the workload by its process, so there is nothing secret to configure.
#[derive(Clone)]
pub struct WorkloadApi {
    socket: PathBuf,
    choice: Choice,
    observer: Option<Arc<dyn Observer>>,
}

/// Settings of a [`WorkloadApi`].
#[derive(Clone, Default)]
#[must_use]
pub struct WorkloadApiBuilder {
    socket: Option<PathBuf>,
    choice: Choice,
    observer: Option<Arc<dyn Observer>>,
}

/// Which of several SVIDs is this side's.
#[derive(Clone, Debug, Default)]
struct Choice {
    id: Option<SpiffeId>,
    hint: Option<String>,
    unknown_status: UnknownStatus,
}

impl WorkloadApi {
    /// Begins with the socket in the environment variable `SPIFFE_ENDPOINT_SOCKET`, if nothing else is said.
    pub fn builder() -> WorkloadApiBuilder {
        WorkloadApiBuilder::default()
    }

    /// Calls the agent, now and as long as anybody uses the source. [`Source::ready`] waits for its first answer.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, and in one without time and I/O.
    pub fn start(&self) -> Source {
        let updater = match &self.observer {
            Some(observer) => Updater::observed_by(observer.clone()),
            None => Updater::new(),
        };
        let source = updater.source();
        let api = self.clone();
        drop(tokio::spawn(async move {
            select! {
                () = updater.closed() => {}
                () = api.follow(&updater) => {}
            }
        }));
        source
    }

    async fn follow(&self, updater: &Updater) {
        let mut failures = 0;
        loop {
            let error = match agent::open(&self.socket).await {
                Ok(mut answers) => loop {
                    match answers.message().await {
                        Ok(Some(answer)) => {
                            failures = 0;
                            self.take(answer, updater);
                        }
                        Ok(None) => {
                            let detail = "the agent of the SPIFFE Workload API ended the stream";
                            break SourceError::new(Failure::Unavailable, detail);
                        }
                        Err(status) => break agent::refused(&status),
                    }
                },
                Err(error) => error,
            };
            updater.fail(&error);
            failures += 1;
            sleep(backoff(failures)).await;
        }
    }

    fn take(&self, answer: X509SvidResponse, updater: &Updater) {
        match answer.snapshot(&self.choice) {
            // An expired one is told by the source.
            Ok(snapshot) => drop(updater.update(snapshot)),
            Err(error) => updater.fail(&error),
        }
    }
}

impl WorkloadApiBuilder {
    /// The agent's Unix socket.
    pub fn socket(mut self, path: impl Into<PathBuf>) -> Self {
        self.socket = Some(path.into());
        self
    }

    /// Takes the SVID of this ID, where the agent has several for this workload. Default: the first.
    pub fn spiffe_id(mut self, id: SpiffeId) -> Self {
        self.choice.id = Some(id);
        self
    }

    /// Takes the first SVID with this hint, which the operator of the agent sets, such as `internal`.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.choice.hint = Some(hint.into());
        self
    }

    /// What becomes of peers whose revocation status is not known, where the agent sends lists: see
    /// [`Trust::unknown_status`](crate::Trust::unknown_status).
    pub fn unknown_status(mut self, unknown: UnknownStatus) -> Self {
        self.choice.unknown_status = unknown;
        self
    }

    /// Is told what happens.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Checks the settings, and reads the environment where no socket was given. It does not call the agent.
    pub fn build(self) -> Result<WorkloadApi, InvalidSetting> {
        let socket = match self.socket {
            Some(socket) => socket,
            None => from_environment(env::var(VARIABLE).ok().as_deref())?,
        };
        Ok(WorkloadApi {
            socket,
            choice: self.choice,
            observer: self.observer,
        })
    }
}

impl Snapshot {
    /// Reads an answer of the Workload API, an encoded `X509SVIDResponse`, and takes its first SVID: for those who
    /// have a connection to the agent of their own.
    pub fn from_workload_api(answer: &[u8]) -> Result<Self, SourceError> {
        let answer = X509SvidResponse::decode(answer).map_err(|error| {
            let detail = format!("the answer of the SPIFFE Workload API is damaged: {error}");
            SourceError::new(Failure::Malformed, detail).with_source(error)
        })?;
        answer.snapshot(&Choice::default())
    }
}

impl fmt::Debug for WorkloadApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkloadApi")
            .field("socket", &self.socket)
            .field("choice", &self.choice)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for WorkloadApiBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkloadApiBuilder")
            .field("socket", &self.socket)
            .field("choice", &self.choice)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.id, &self.hint) {
            (None, None) => f.write_str("at all: is this workload registered?"),
            (Some(id), None) => write!(f, "{id}"),
            (None, Some(hint)) => write!(f, "with the hint {hint:?}"),
            (Some(id), Some(hint)) => write!(f, "{id} with the hint {hint:?}"),
        }
    }
}

/// The path in an address as the standard writes it: `unix:///path` or `unix:/path`.
fn from_environment(address: Option<&str>) -> Result<PathBuf, InvalidSetting> {
    let invalid = |value: String| {
        let allowed = "a path, or `unix:///path` in SPIFFE_ENDPOINT_SOCKET";
        InvalidSetting::new("socket", value, allowed)
    };
    let address = address.ok_or_else(|| invalid("not given".to_owned()))?;
    let path = address
        .strip_prefix("unix://")
        .or_else(|| address.strip_prefix("unix:"))
        .filter(|path| path.starts_with('/'));
    path.map(PathBuf::from)
        .ok_or_else(|| invalid(format!("{address:?}")))
}

/// How long to wait after that many failures: twice as long each time, and anywhere in its upper half, so that the
/// workloads of a host do not call an agent all at once that has just come back.
fn backoff(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(MAX_DOUBLINGS);
    let longest = FIRST_BACKOFF
        .saturating_mul(1 << doublings)
        .min(LONGEST_BACKOFF);
    longest.mul_f64(rand::rng().random_range(0.5..1.0))
}

const VARIABLE: &str = "SPIFFE_ENDPOINT_SOCKET";
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);
const MAX_DOUBLINGS: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backoff_doubles_up_to_its_longest() {
        for (failures, longest) in [(1, 1), (2, 2), (3, 4), (5, 16), (6, 30), (u32::MAX, 30)] {
            let longest = Duration::from_secs(longest);
            for _ in 0..100 {
                let wait = backoff(failures);
                assert!(
                    wait >= longest / 2 && wait <= longest,
                    "{failures}: {wait:?}"
                );
            }
        }
    }

    #[test]
    fn the_socket_is_named_as_the_standard_names_it() {
        let path = PathBuf::from("/run/agent.sock");
        for address in ["unix:///run/agent.sock", "unix:/run/agent.sock"] {
            assert_eq!(from_environment(Some(address)).unwrap(), path);
        }
        for address in [
            "tcp://127.0.0.1:8000",
            "unix:agent.sock",
            "unix://host/x",
            "/run/x",
            "",
        ] {
            assert!(from_environment(Some(address)).is_err(), "{address}");
        }
        assert!(from_environment(None).is_err());
    }
}
