//! What each path answers.

use std::{sync::Arc, time::SystemTime};

use bytes::Bytes;
use futures::future::join_all;
use http::{HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use tokio::sync::watch;

use super::{Admin, HEADER_TIMEOUT, guard};
use crate::{
    cluster::Cluster,
    drain::Phase,
    telemetry::{self, LogFilter, NotOurLog, Scrape},
};

type Answer = Response<Full<Bytes>>;

/// A path, and the methods that it takes, as `Allow` lists them.
struct Path(&'static str, &'static str);

/// Why a request is not done.
enum Refused {
    /// There is no such path.
    NoPath,
    /// The path takes others, these.
    Method(&'static str),
    /// For a reason that is told.
    Because(StatusCode, &'static str),
}

/// Answers a request; `claimed` is set where its connection is the one that drains the process.
pub(super) async fn answer(
    admin: &Admin,
    claimed: &watch::Sender<bool>,
    request: Request<Incoming>,
) -> Answer {
    let (head, body) = request.into_parts();
    if let Err(refused) = admit(&head) {
        return refused.answer();
    }
    if !writes(&head.method) {
        return shown(admin, head.uri.path()).await;
    }
    let body = match read(body).await {
        Ok(body) => body,
        Err(refused) => return refused.answer(),
    };
    match head.uri.path() {
        "/log-level" => set_log_level(&body),
        "/drain" => drain(admin, claimed),
        _ => text(
            StatusCode::NOT_IMPLEMENTED,
            "reloading is not supported yet: restart the process to change its configuration",
        ),
    }
}

/// Refuses what no path takes, and what a web page may have sent.
fn admit(head: &Parts) -> Result<(), Refused> {
    let path = PATHS.iter().find(|path| path.0 == head.uri.path());
    let Path(path, allowed) = path.ok_or(Refused::NoPath)?;
    if !allowed.split(", ").any(|method| head.method == method) {
        return Err(Refused::Method(allowed));
    }
    let checked = match writes(&head.method) {
        true => guard::no_web_page(head).and_then(|()| guard::no_name(head)),
        false if *path == "/config" => guard::no_name(head),
        false => Ok(()),
    };
    checked.map_err(|reason| Refused::Because(StatusCode::FORBIDDEN, reason))
}

fn writes(method: &Method) -> bool {
    [Method::POST, Method::PUT].contains(method)
}

/// The whole body of a request that may have one.
async fn read(body: Incoming) -> Result<Bytes, Refused> {
    let reading = Limited::new(body, LONGEST_BODY).collect();
    let (status, reason) = match tokio::time::timeout(HEADER_TIMEOUT, reading).await {
        Ok(Ok(body)) => return Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "the body is longer than 4 KiB",
        ),
        Ok(Err(_)) => (StatusCode::BAD_REQUEST, "the body broke off"),
        Err(_) => (StatusCode::REQUEST_TIMEOUT, "the body did not come in time"),
    };
    Err(Refused::Because(status, reason))
}

impl Refused {
    fn answer(self) -> Answer {
        match self {
            Self::NoPath => {
                let paths: Vec<_> = PATHS.iter().map(|path| path.0).collect();
                let line = format!("no such path; there are {}", paths.join(", "));
                text(StatusCode::NOT_FOUND, &line)
            }
            Self::Method(allowed) => {
                let line = format!("this path takes {allowed}");
                let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, &line);
                let allowed = HeaderValue::from_static(allowed);
                answer.headers_mut().insert(header::ALLOW, allowed);
                answer
            }
            Self::Because(status, reason) => text(status, reason),
        }
    }
}

/// What is read, not done.
async fn shown(admin: &Admin, path: &str) -> Answer {
    match path {
        "/live" => text(StatusCode::OK, "live"),
        "/ready" => ready(admin).await,
        "/metrics" => metrics(&admin.scrape),
        "/clusters" => clusters(&admin.clusters),
        "/log-level" => log_level(telemetry::log_filter()),
        _ => with_type(admin.config.clone(), "application/json"),
    }
}

/// Ready while the process takes requests, peers would accept us, and each cluster has an endpoint.
async fn ready(admin: &Admin) -> Answer {
    if admin.phase.phase() > Phase::Running {
        return text(StatusCode::SERVICE_UNAVAILABLE, "draining");
    }
    if let Some(whose) = admin.sources.expired(SystemTime::now()) {
        let reason = format!("the certificate of {whose} has expired");
        return text(StatusCode::SERVICE_UNAVAILABLE, &reason);
    }
    let clusters = &admin.clusters;
    // At once: a probe has little time.
    let ready = join_all(clusters.iter().map(|cluster| cluster.is_ready())).await;
    match clusters.iter().zip(ready).find(|(_, ready)| !ready) {
        Some((cluster, _)) => {
            let reason = format!("cluster {} has no ready endpoint", cluster.name());
            text(StatusCode::SERVICE_UNAVAILABLE, &reason)
        }
        None => text(StatusCode::OK, "ready"),
    }
}

fn metrics(scrape: &Scrape) -> Answer {
    match scrape.text() {
        Ok(metrics) => with_type(
            metrics,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn clusters(clusters: &[Arc<Cluster>]) -> Answer {
    let status: Vec<_> = clusters.iter().map(|cluster| cluster.status()).collect();
    match serde_json::to_string_pretty(&status) {
        Ok(json) => with_type(json + "\n", "application/json"),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn log_level(filter: Result<String, NotOurLog>) -> Answer {
    match filter {
        Ok(filter) => text(StatusCode::OK, &filter),
        Err(error) => text(StatusCode::NOT_IMPLEMENTED, &error.to_string()),
    }
}

fn set_log_level(body: &[u8]) -> Answer {
    let filter = String::from_utf8_lossy(body).parse::<LogFilter>();
    match filter {
        Ok(filter) => {
            tracing::info!(%filter, "the log's filter changes");
            log_level(telemetry::set_log_filter(&filter))
        }
        Err(error) => text(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

/// The drain begins when this answer has been sent.
fn drain(admin: &Admin, claimed: &watch::Sender<bool>) -> Answer {
    if admin.phase.phase() > Phase::Running || !admin.drain.claim() {
        return text(StatusCode::ACCEPTED, "already draining");
    }
    claimed.send_replace(true);
    let mut answer = text(StatusCode::ACCEPTED, "draining");
    let close = HeaderValue::from_static("close");
    answer.headers_mut().insert(header::CONNECTION, close);
    answer
}

fn text(status: StatusCode, line: &str) -> Answer {
    let mut answer = with_type(format!("{line}\n"), "text/plain; charset=utf-8");
    *answer.status_mut() = status;
    answer
}

fn with_type(body: String, content_type: &'static str) -> Answer {
    let mut answer = Response::new(Full::from(body));
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

const PATHS: [Path; 8] = [
    Path("/live", READ),
    Path("/ready", READ),
    Path("/metrics", READ),
    Path("/clusters", READ),
    Path("/config", READ),
    Path("/log-level", "GET, HEAD, PUT"),
    Path("/drain", "POST"),
    Path("/reload", "POST"),
];

const READ: &str = "GET, HEAD";

/// Enough for a filter of the log.
const LONGEST_BODY: usize = 4096;
