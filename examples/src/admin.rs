//! The admin listener: health, metrics, what the clusters are doing.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::Semaphore};

use crate::{
    cluster::Cluster,
    drain::{Observed, Phase},
    telemetry::Scrape,
};

type Answer = Response<Full<Bytes>>;

/// Serves the admin paths until the process ends.
pub async fn run(
    socket: TcpListener,
    scrape: Scrape,
    clusters: Arc<[Arc<Cluster>]>,
    phase: Observed,
) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT);
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else {
            return;
        };
        let stream = match socket.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept an admin connection; trying again soon");
                tokio::time::sleep(ACCEPT_REST).await;
                continue;
            }
        };
        let (scrape, clusters, phase) = (scrape.clone(), clusters.clone(), phase.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let answer = answer(
                request.method(),
                request.uri().path(),
                &scrape,
                &clusters,
                phase.phase(),
            );
            async move { Ok::<_, Infallible>(answer) }
        });
        let connection = http.serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "admin connection ended");
            }
            drop(slot);
        });
    }
}

fn answer(
    method: &Method,
    path: &str,
    scrape: &Scrape,
    clusters: &[Arc<Cluster>],
    phase: Phase,
) -> Answer {
    let known = ["/live", "/ready", "/metrics", "/clusters"].contains(&path);
    if !known {
        return text(
            StatusCode::NOT_FOUND,
            "no such path: /live, /ready, /metrics or /clusters",
        );
    }
    if ![Method::GET, Method::HEAD].contains(method) {
        let mut answer = text(
            StatusCode::METHOD_NOT_ALLOWED,
            "this path is only read: GET",
        );
        answer
            .headers_mut()
            .insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    match path {
        "/live" => text(StatusCode::OK, "live"),
        "/ready" => ready(clusters, phase),
        "/metrics" => metrics(scrape),
        _ => json(clusters),
    }
}

/// Ready while the process takes requests and each cluster has an endpoint for them.
fn ready(clusters: &[Arc<Cluster>], phase: Phase) -> Answer {
    if phase > Phase::Running {
        return text(StatusCode::SERVICE_UNAVAILABLE, "draining");
    }
    let down = clusters
        .iter()
        .map(|cluster| cluster.status())
        .find(|status| status.ready == 0);
    match down {
        Some(cluster) => {
            let reason = format!("cluster {} has no ready endpoint", cluster.name);
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

fn json(clusters: &[Arc<Cluster>]) -> Answer {
    let status: Vec<_> = clusters.iter().map(|cluster| cluster.status()).collect();
    match serde_json::to_string_pretty(&status) {
        Ok(json) => with_type(json + "\n", "application/json"),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
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

/// Scrapes and people; more wait.
const MAX_CONNECTIONS: usize = 64;

/// Between the first and the last byte of a head, and between two requests.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long to wait when the system has no room for another connection.
const ACCEPT_REST: Duration = Duration::from_millis(50);
