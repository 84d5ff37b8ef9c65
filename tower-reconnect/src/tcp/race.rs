//! Several attempts, of which the first to succeed wins.

use std::{
    collections::VecDeque, future::poll_fn, net::SocketAddr, pin::Pin, task::Poll, time::Duration,
};

use tokio::time::timeout;

/// Tries `addresses` in their order: the next one when the last has failed, or after `delay`. The
/// first to succeed wins, and the others are dropped. If none does, all failures come back in the
/// order in which they came.
pub(crate) async fn race<F, S, E>(
    mut addresses: VecDeque<SocketAddr>,
    delay: Duration,
    connect: impl Fn(SocketAddr) -> F,
) -> Result<S, Vec<(SocketAddr, E)>>
where
    F: Future<Output = Result<S, E>>,
{
    let mut attempts = Attempts(Vec::new());
    let mut failures = Vec::new();
    loop {
        if let Some(address) = addresses.pop_front() {
            attempts.0.push((address, Box::pin(connect(address))));
        }
        if attempts.0.is_empty() {
            return Err(failures);
        }
        let ended = match addresses.is_empty() {
            true => Ok(attempts.next().await),
            false => timeout(delay, attempts.next()).await,
        };
        match ended {
            Ok((_, Ok(stream))) => return Ok(stream),
            Ok((address, Err(error))) => failures.push((address, error)),
            // It goes on beside the next one.
            Err(_) => {}
        }
    }
}

struct Attempts<F>(Vec<(SocketAddr, Pin<Box<F>>)>);

impl<F: Future> Attempts<F> {
    /// Waits for the end of one, of which there must be some.
    async fn next(&mut self) -> (SocketAddr, F::Output) {
        poll_fn(|context| {
            for index in 0..self.0.len() {
                let (address, attempt) = &mut self.0[index];
                if let Poll::Ready(output) = attempt.as_mut().poll(context) {
                    let address = *address;
                    drop(self.0.swap_remove(index));
                    return Poll::Ready((address, output));
                }
            }
            Poll::Pending
        })
        .await
    }
}
