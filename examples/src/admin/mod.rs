//! The admin listener: health, metrics, what the clusters are doing; drain and log level.

mod answer;
mod guard;
mod seats;

use std::{convert::Infallible, sync::Arc, time::Duration};

use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time::sleep,
};

use self::seats::{Seat, Seats};
use crate::{
    cluster::Cluster,
    credentials::Sources,
    drain::{DrainRequest, Observed},
    listen::ACCEPT_REST,
    telemetry::Scrape,
};

/// What the admin listener shows, and what it can do.
#[derive(Debug)]
pub struct Admin {
    /// `/metrics`.
    pub scrape: Scrape,
    /// `/clusters`, and what `/ready` is about.
    pub clusters: Arc<[Arc<Cluster>]>,
    /// Our own certificates, which `/ready` is about too.
    pub sources: Sources,
    /// `/config`, as it is shown.
    pub config: String,
    /// The process's phase.
    pub phase: Observed,
    /// `/drain`.
    pub drain: DrainRequest,
}

/// Serves the admin paths until the process ends.
pub async fn run(socket: TcpListener, admin: Admin) {
    let admin = Arc::new(admin);
    let seats = Seats::new(MAX_CONNECTIONS);
    loop {
        match socket.accept().await {
            Ok((stream, _)) => {
                let seat = seats.take().await;
                tokio::spawn(serve(stream, admin.clone(), seat));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept an admin connection; trying again soon");
                sleep(ACCEPT_REST).await;
            }
        }
    }
}

/// One connection, until it ends or a newer one needs its seat.
async fn serve(stream: TcpStream, admin: Arc<Admin>, mut seat: Seat) {
    let claimed = Arc::new(watch::Sender::new(false));
    let mut drains = claimed.subscribe();
    let occupant = seat.occupant();
    let service = service_fn(|request: Request<Incoming>| {
        let (admin, claimed, occupant) = (admin.clone(), claimed.clone(), occupant.clone());
        async move {
            let answer = answer::answer(&admin, &claimed, request).await;
            Ok::<_, Infallible>(answer.map(|body| occupant.sending(body)))
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT);
    let connection = http.serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        ended = connection => if let Err(error) = ended {
            tracing::debug!(%error, "admin connection ended");
        },
        () = late(&mut drains) => tracing::debug!("who asked for the drain does not read the answer"),
        () = seat.wanted() => tracing::debug!("an idle admin connection made room for a new one"),
    }
    // Only now, so that who asked for the end has been told that it comes.
    if *claimed.borrow() {
        admin.drain.begin();
    }
}

/// Waits until an answer should have been read that says that the process drains.
async fn late(drains: &mut watch::Receiver<bool>) {
    if drains.wait_for(|drains| *drains).await.is_ok() {
        sleep(TELLING).await;
    }
}

/// Scrapes and people; a new one takes the place of the one that has been idle for longest.
const MAX_CONNECTIONS: usize = 64;

/// Between the first and the last byte of a head or of a body, and between two requests.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a drain waits until whoever asked for it has been told.
const TELLING: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use tokio::time::advance;
    use tokio_test::{assert_pending, assert_ready, task::spawn};

    use super::*;

    /// Who reads slowly, or not at all, does not keep the process from its end.
    #[tokio::test(start_paused = true)]
    async fn a_drain_waits_a_second_until_it_is_told() {
        let claimed = watch::Sender::new(false);
        let mut drains = claimed.subscribe();
        let mut waiting = spawn(late(&mut drains));
        advance(TELLING * 7).await;
        assert_pending!(waiting.poll());
        claimed.send_replace(true);
        assert_pending!(waiting.poll());
        advance(Duration::from_millis(997)).await;
        assert_pending!(waiting.poll());
        advance(Duration::from_millis(11)).await;
        assert_ready!(waiting.poll());
    }
}
