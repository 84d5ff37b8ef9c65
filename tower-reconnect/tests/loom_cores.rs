//! What threads share, under every interleaving.
#![allow(clippy::unwrap_used, reason = "a test may")]

#[path = "../src/backoff.rs"]
#[allow(dead_code, reason = "covered elsewhere")]
mod backoff;
#[path = "../src/current.rs"]
#[allow(dead_code, reason = "covered elsewhere")]
mod current;
#[path = "../src/limits.rs"]
#[allow(dead_code, reason = "covered elsewhere")]
mod limits;
#[path = "../src/machine.rs"]
#[allow(dead_code, reason = "covered elsewhere")]
mod machine;
#[path = "../src/pace.rs"]
#[allow(dead_code, reason = "covered elsewhere")]
mod pace;
#[path = "../src/stats.rs"]
#[allow(dead_code, unreachable_pub, reason = "as the crate has it")]
mod stats;
#[path = "../src/task.rs"]
#[allow(dead_code, reason = "covered elsewhere")]
mod task;
#[path = "../src/waiters.rs"]
#[allow(dead_code, reason = "covered elsewhere")]
mod waiters;

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
}

use std::{
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    task::{Wake, Waker},
    time::Duration,
};

use backoff::Backoff;
use current::Current;
use loom::{
    sync::{Arc, Mutex},
    thread,
};
use machine::{Loss, Machine, Phase, Step};
use task::Task;
use waiters::{Waiters, wake_all};

const NOW: Duration = Duration::from_secs(60);

/// A handle that said that it is ready keeps its promise while its connection is replaced.
#[test]
fn what_is_let_go_of_alive_is_current_or_draining_at_any_moment() {
    loom::model(|| {
        let current = Arc::new(Current::new());
        current.replace(Some(1));
        let racing = Arc::clone(&current);
        let thread = thread::spawn(move || {
            racing.drain();
            racing.replace(Some(2));
        });
        assert!(current.is(1) || current.is_draining(1));
        thread.join().unwrap();
        assert!(current.is(2) && !current.is(1) && current.is_draining(1));
    });
}

#[test]
fn one_that_died_is_neither() {
    loom::model(|| {
        let current = Arc::new(Current::new());
        current.replace(Some(1));
        let racing = Arc::clone(&current);
        let thread = thread::spawn(move || racing.replace(None));
        let seen = current.is(1);
        thread.join().unwrap();
        assert!(!current.is(1) && !current.is_draining(1), "seen: {seen}");
    });
}

/// Of requests and looks that race, no request is missed by both the look that it races and the
/// next one.
#[test]
fn no_use_is_overlooked() {
    loom::model(|| {
        let current = Arc::new(Current::new());
        current.touch();
        let racing = Arc::clone(&current);
        let thread = thread::spawn(move || racing.touch());
        let racing_look = current.look();
        thread.join().unwrap();
        assert!(racing_look || current.look());
        current.touch();
        assert!(current.look(), "after a look, a use is seen again");
        assert!(!current.look());
    });
}

/// Whoever has something to do either finds a task that will ask again, or starts one.
#[test]
fn nothing_to_do_is_left_without_a_task() {
    loom::model(|| {
        let shared = Arc::new((Mutex::new(Task::Resting), Mutex::new(0)));
        let racing = Arc::clone(&shared);
        let thread = thread::spawn(move || demand(&racing));
        demand(&shared);
        thread.join().unwrap();
        let (task, to_do) = &*shared;
        assert_eq!(*to_do.lock().unwrap(), 0);
        assert!(matches!(*task.lock().unwrap(), Task::Resting));
    });
}

/// Has something to do, and is the task if there is none.
fn demand((task, to_do): &(Mutex<Task>, Mutex<u32>)) {
    *to_do.lock().unwrap() += 1;
    if !task.lock().unwrap().call() {
        return;
    }
    loop {
        task.lock().unwrap().ask();
        let done = std::mem::take(&mut *to_do.lock().unwrap());
        if done == 0 && task.lock().unwrap().rest() {
            return;
        }
    }
}

struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// What handles and the task share under their lock, and the generation beside it.
struct Shared {
    inner: Mutex<Inner>,
    current: Current,
}

struct Inner {
    machine: Machine<&'static str>,
    waiters: Waiters,
}

impl Shared {
    fn new() -> Arc<Self> {
        let second = Duration::from_secs(1);
        Arc::new(Self {
            inner: Mutex::new(Inner {
                machine: Machine::new(Backoff::new(second, second), second),
                waiters: Waiters::default(),
            }),
            current: Current::new(),
        })
    }

    /// As a handle without a connection does. Returns whether there is one by now.
    fn demand(&self, key: &mut Option<u64>, waker: &Waker) -> bool {
        let mut inner = self.inner.lock().unwrap();
        if let Phase::Connected { .. } = inner.machine.phase() {
            return true;
        }
        inner.waiters.register(key, waker, None);
        false
    }

    /// As the task does with a dial that is under way.
    fn connect(&self) -> u64 {
        let mut inner = self.inner.lock().unwrap();
        let generation = inner.machine.connected(NOW).unwrap();
        self.current.replace(Some(generation));
        let wakers = inner.waiters.take_all();
        drop(inner);
        wake_all(wakers);
        generation
    }

    /// As a handle does whose connection is dead.
    fn lose(&self, generation: u64) -> Loss {
        let mut inner = self.inner.lock().unwrap();
        let loss = inner.machine.lost(generation, 2 * NOW, "reset", 0);
        if loss != Loss::Known {
            self.current.replace(None);
        }
        loss
    }

    fn dial(&self) {
        let step = self.inner.lock().unwrap().machine.next(NOW, true);
        assert_eq!(step, Step::Dial);
    }
}

#[test]
fn whoever_waits_is_woken_by_the_connection() {
    loom::model(|| {
        let shared = Shared::new();
        shared.dial();
        let racing = Arc::clone(&shared);
        let task = thread::spawn(move || racing.connect());
        let woken = std::sync::Arc::new(Woken(AtomicUsize::new(0)));
        let mut key = None;
        let connected = shared.demand(&mut key, &Waker::from(woken.clone()));
        let generation = task.join().unwrap();
        let woken = woken.0.load(SeqCst) == 1;
        assert!(connected ^ woken, "either there was one, or it came");
        assert!(shared.current.is(generation));
        assert!(!shared.inner.lock().unwrap().waiters.any());
    });
}

/// Of two handles that find the same connection dead, one reports it, and neither takes the next
/// one away.
#[test]
fn a_connection_is_lost_once_and_its_successor_is_not_lost_with_it() {
    loom::model(|| {
        let shared = Shared::new();
        shared.dial();
        let first = shared.connect();
        let racing = Arc::clone(&shared);
        let handle = thread::spawn(move || racing.lose(first) == Loss::Stable);
        let mine = shared.lose(first) == Loss::Stable;
        let second = mine.then(|| {
            shared.dial();
            shared.connect()
        });
        let theirs = handle.join().unwrap();
        assert!(mine ^ theirs, "one of them was first");
        assert!(second.is_none_or(|second| shared.current.is(second)));
        assert!(!shared.current.is(first));
    });
}
