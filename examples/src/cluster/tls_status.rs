use std::time::SystemTime;

use serde::{Serialize, Serializer};
use tower_mtls::{Stats, error::Reason};

use super::Tls;

/// TLS with the endpoints of a cluster.
#[derive(Clone, Debug, Serialize)]
pub struct TlsStatus {
    /// When our own certificate expires; `None` where we show none.
    #[serde(serialize_with = "serialize_time")]
    pub certificate_not_after: Option<SystemTime>,
    /// Handshakes by result.
    #[serde(rename = "handshakes", serialize_with = "serialize_handshakes")]
    pub stats: Stats,
}

impl TlsStatus {
    pub(super) fn of(tls: &Tls) -> Self {
        Self {
            certificate_not_after: tls.source.stats().not_after(),
            stats: tls.layer.stats(),
        }
    }
}

fn serialize_time<S: Serializer>(time: &Option<SystemTime>, to: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => to.collect_str(&humantime::format_rfc3339_seconds(*time)),
        None => to.serialize_none(),
    }
}

/// Of the reasons to fail, only those that there were.
fn serialize_handshakes<S: Serializer>(stats: &Stats, to: S) -> Result<S::Ok, S::Error> {
    let failed = Reason::ALL.iter();
    let failed = failed.map(|reason| (reason.as_str(), stats.failed(*reason)));
    let failed = failed.filter(|(_, count)| *count > 0);
    to.collect_map([("succeeded", stats.succeeded())].into_iter().chain(failed))
}
