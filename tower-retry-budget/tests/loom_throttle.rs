//! The throttle's counts under every interleaving that loom can think of.

use loom::{sync::Arc, thread};

mod sync {
    pub(crate) use loom::sync::atomic::*;
}

#[allow(
    dead_code,
    reason = "the core is compiled a second time, with loom's atomics"
)]
#[path = "../src/throttle/window.rs"]
mod window;

use window::{Counts, PERIODS, Ring, Window};

/// Periods that share a slot.
const OLD: u32 = 3;
const NEW: u32 = OLD + PERIODS as u32;

fn spawn<T: 'static, C: 'static>(
    core: &Arc<C>,
    run: impl FnOnce(&C) -> T + 'static,
) -> thread::JoinHandle<T> {
    let core = Arc::clone(core);
    thread::spawn(move || run(&core))
}

/// Three threads, with as many preemptions as take a second or so.
fn model_of_three(run: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(run);
}

fn of(ring: &Ring, period: u32) -> u64 {
    ring.sum(period, period + 1)
}

#[test]
fn no_count_is_lost_in_a_period_that_begins() {
    model_of_three(|| {
        let ring = Arc::new(Ring::new());
        ring.add(OLD);
        let others = [0, 0].map(|_| spawn(&ring, |ring| ring.add(NEW)));
        ring.add(NEW);
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(of(&ring, NEW), 3);
    });
}

#[test]
fn who_is_late_by_a_window_changes_nothing() {
    model_of_three(|| {
        let ring = Arc::new(Ring::new());
        ring.add(OLD);
        let late = spawn(&ring, |ring| ring.add(OLD));
        let gone = spawn(&ring, |ring| ring.take_back(OLD));
        ring.add(NEW);
        late.join().unwrap();
        gone.join().unwrap();
        assert_eq!((of(&ring, OLD), of(&ring, NEW)), (0, 1));
    });
}

#[test]
fn a_count_is_never_that_of_another_period() {
    loom::model(|| {
        let ring = Arc::new(Ring::new());
        ring.add(OLD);
        ring.add(OLD);
        let writer = spawn(&ring, |ring| ring.add(NEW));
        let seen = (of(&ring, OLD), of(&ring, NEW));
        // Each is one read: the period turns between them, or it does not.
        assert!([(2, 0), (2, 1), (0, 1)].contains(&seen), "{seen:?}");
        writer.join().unwrap();
    });
}

#[test]
fn each_request_counts_once_whatever_becomes_of_it_at_the_same_time() {
    model_of_three(|| {
        let window = Arc::new(Window::new(PERIODS as u64, Some(1)));
        for _ in 0..3 {
            window.sent(0);
        }
        let accepted = spawn(&window, |window| window.accepted(0, 5));
        let refused = spawn(&window, |window| window.refused(0, 5));
        window.given_up(0, 0);
        accepted.join().unwrap();
        refused.join().unwrap();
        assert_eq!(
            window.counts(6),
            Counts {
                requests: 2,
                accepted: 1
            }
        );
    });
}
