//! The ring of checkpoints under every interleaving that loom can think of.

use std::cell::Cell;

use loom::{sync::Arc, thread::JoinHandle};

#[path = "support/loom_sync.rs"]
#[allow(dead_code, reason = "each test file uses a part")]
mod sync;

#[path = "../src/checkpoints.rs"]
#[allow(
    dead_code,
    reason = "the core is compiled a second time, with loom's atomics"
)]
mod checkpoints;

use checkpoints::{Checkpoints, Outcomes};

/// Checkpoints are two apart.
const WINDOW: u64 = 8;

/// Ten successes and three failures at each tick.
fn steady(now: u64) -> Outcomes {
    Outcomes {
        funded: 10 * now,
        failed: 3 * now,
    }
}

/// With so few slots that two checkpoints go round.
fn ring() -> Arc<Checkpoints<2>> {
    Arc::new(Checkpoints::new(WINDOW))
}

/// Another thread that adds a checkpoint at each of these times.
fn writer(ring: &Arc<Checkpoints<2>>, times: &'static [u64]) -> JoinHandle<()> {
    let ring = Arc::clone(ring);
    sync::spawn(move || {
        for now in times {
            ring.recent(*now, || steady(*now));
        }
    })
}

/// The reader knows which checkpoint is the newest. Then the ring goes round, but for a writer that
/// writes to the very slot that is read.
#[test]
fn no_checkpoint_is_torn() {
    loom::model(|| {
        let ring = ring();
        let overtaken = Cell::new(None);
        let seen = ring.recent(100, || {
            overtaken.replace(match overtaken.take() {
                None => {
                    ring.recent(2, || steady(2));
                    Some(writer(&ring, &[4]))
                }
                overtaken => overtaken,
            });
            steady(100)
        });
        // One that is put together from two is not on the line.
        assert_eq!(seen, steady(WINDOW));
        overtaken.take().unwrap().join().unwrap();
    });
}

#[test]
fn a_window_is_never_longer_than_it_should_be() {
    loom::model(|| {
        let ring = ring();
        let writer = writer(&ring, &[2, 6]);
        let Outcomes { funded, failed } = ring.recent(11, || steady(11));
        assert!(funded <= 10 * WINDOW, "{funded}");
        assert_eq!(funded * 3, failed * 10, "of one moment");
        writer.join().unwrap();
    });
}

#[test]
fn of_two_that_are_due_together_one_is_written() {
    loom::model(|| {
        let ring = ring();
        let a_hundred = || Outcomes {
            funded: 100,
            failed: 0,
        };
        let writing = Arc::clone(&ring);
        let writer = sync::spawn(move || writing.recent(2, a_hundred));
        ring.recent(2, a_hundred);
        writer.join().unwrap();
        // Nothing has happened since: without the checkpoint there would be a line from the epoch.
        assert_eq!(ring.recent(100, a_hundred), Outcomes::default());
    });
}

/// Two that write one slot would leave it with the time of one and the counts of the other.
#[test]
fn two_that_are_due_together_do_not_mix() {
    loom::model(|| {
        let ring = ring();
        let writer = writer(&ring, &[2]);
        ring.recent(4, || steady(4));
        writer.join().unwrap();
        assert_eq!(ring.recent(100, || steady(100)), steady(WINDOW));
    });
}
