use std::{
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::Duration,
};

use futures::{FutureExt, future::join_all};
use tokio::time::{Instant, timeout};

use super::*;

#[tokio::test(start_paused = true)]
async fn no_more_dials_are_under_way_than_may_be() {
    let peer = Peer::default();
    let dials = peer.dials(3);
    let begun = Instant::now();
    let connections = join_all((0..9).map(|_| dials.connect())).await;
    assert!(connections.iter().all(Result::is_ok));
    assert_eq!((peer.0.most.load(SeqCst), peer.dialled()), (3, 9));
    let took = Instant::now().saturating_duration_since(begun);
    assert!((DIAL * 3..DIAL * 4).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_dial_that_fails_is_told_to_all_who_wait_and_not_tried_again() {
    let peer = Peer::default();
    peer.0.refuses.store(true, SeqCst);
    let dials = peer.dials(2);
    let refused = join_all((0..5).map(|_| dials.connect())).await;
    for connection in refused {
        let error = connection.map(drop).unwrap_err();
        assert_eq!(error.to_string(), "nobody listens");
    }
    assert_eq!(peer.dialled(), 2);
    assert!(dials.gate().is_failing());
    let next = dials.connect().now_or_never().unwrap();
    assert!(next.is_err(), "at once");
    assert_eq!(peer.dialled(), 2);

    peer.0.refuses.store(false, SeqCst);
    dials.connect_when_due().await.map(drop).unwrap();
    assert!(!dials.gate().is_failing());
}

#[tokio::test(start_paused = true)]
async fn what_was_dialled_for_one_who_left_is_for_the_next() {
    let peer = Peer::default();
    let dials = peer.dials(2);
    assert!(timeout(DIAL / 2, dials.connect()).await.is_err());
    sleep(DIAL * 2).await;
    let next = dials.connect().now_or_never().unwrap();
    assert_eq!(next.unwrap().0.0, 1);
    assert_eq!(peer.dialled(), 1);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_longer_than_the_connect_timeout_for_their_turn() {
    let peer = Peer::default();
    let dials = peer.dials(1);
    let connections = join_all((0..30).map(|_| dials.connect())).await;
    let late = connections.iter().filter(|it| it.is_err()).count();
    assert!((15..=25).contains(&late), "{late}");
}

/// The number of a connection.
struct Numbered(usize);

impl MayEnd for Numbered {
    fn has_ended(&self) -> bool {
        false
    }
}

#[derive(Clone, Default)]
struct Peer(Arc<Counts>);

#[derive(Default)]
struct Counts {
    refuses: AtomicBool,
    dialled: AtomicUsize,
    under_way: AtomicUsize,
    most: AtomicUsize,
}

impl Peer {
    fn dials(&self, max_dials: usize) -> Dials<Numbered> {
        let config = ReconnectConfig {
            max_dials,
            ..ReconnectConfig::default()
        };
        let peer = self.clone();
        let address = ([127, 0, 0, 1], 9).into();
        let gate = Gate::new(ConnectionLog::default());
        Dials::new(address, &config, gate, move || peer.clone().dial()).unwrap()
    }

    fn dialled(&self) -> usize {
        self.0.dialled.load(SeqCst)
    }

    async fn dial(self) -> Result<Numbered, BoxError> {
        let number = self.0.dialled.fetch_add(1, SeqCst) + 1;
        let under_way = self.0.under_way.fetch_add(1, SeqCst) + 1;
        self.0.most.fetch_max(under_way, SeqCst);
        sleep(DIAL).await;
        self.0.under_way.fetch_sub(1, SeqCst);
        match self.0.refuses.load(SeqCst) {
            true => Err("nobody listens".into()),
            false => Ok(Numbered(number)),
        }
    }
}

const DIAL: Duration = Duration::from_millis(101);
