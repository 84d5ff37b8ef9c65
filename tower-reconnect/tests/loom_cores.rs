//! What threads share, under every interleaving.
#![allow(clippy::unwrap_used, reason = "a test may")]

#[path = "../src/backoff.rs"]
#[allow(dead_code, reason = "covered elsewhere")]
mod backoff;
#[path = "../src/bounds.rs"]
#[allow(dead_code, reason = "covered elsewhere")]
mod bounds;
#[path = "../src/current.rs"]
#[allow(dead_code, reason = "covered elsewhere")]
mod current;
#[path = "../src/history.rs"]
#[allow(dead_code, reason = "covered elsewhere")]
mod history;
#[path = "../src/life.rs"]
#[allow(dead_code, reason = "covered elsewhere")]
mod life;
#[path = "../src/limits.rs"]
#[allow(dead_code, reason = "covered elsewhere")]
mod limits;
#[path = "../src/loss.rs"]
#[allow(dead_code, reason = "covered elsewhere")]
mod loss;
#[path = "../src/machine.rs"]
#[allow(dead_code, reason = "covered elsewhere")]
mod machine;
#[path = "../src/moment.rs"]
#[allow(dead_code, reason = "covered elsewhere")]
mod moment;
#[path = "../src/pace.rs"]
#[allow(dead_code, reason = "covered elsewhere")]
mod pace;
#[path = "../src/rule.rs"]
#[allow(dead_code, reason = "covered elsewhere")]
mod rule;
#[path = "../src/stats.rs"]
#[allow(dead_code, unreachable_pub, reason = "as the crate has it")]
mod stats;
#[path = "../src/task.rs"]
#[allow(dead_code, reason = "covered elsewhere")]
mod task;
#[path = "../src/view.rs"]
#[allow(dead_code, reason = "covered elsewhere")]
mod view;
#[path = "../src/waiters.rs"]
#[allow(dead_code, reason = "covered elsewhere")]
mod waiters;
#[path = "../src/work.rs"]
#[allow(dead_code, reason = "covered elsewhere")]
mod work;

mod sync {
    pub(crate) use loom::sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    };
    pub(crate) use std::sync::PoisonError;

    /// Stands for tokio's, with a wait that blocks.
    #[derive(Debug)]
    pub(crate) struct Notify(loom::sync::Notify);

    impl Notify {
        pub(crate) fn new() -> Self {
            Self(loom::sync::Notify::new())
        }

        pub(crate) fn notify_one(&self) {
            self.0.notify();
        }

        pub(crate) fn wait(&self) {
            self.0.wait();
        }
    }
}

use std::{
    convert::Infallible,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    task::{Wake, Waker},
    time::Duration,
};

use backoff::Backoff;
use bounds::Bounds;
use current::Current;
use limits::Limits;
use loom::{
    sync::{Arc, Mutex},
    thread,
};
use loss::Loss;
use machine::{Machine, Step};
use rule::Rule;
use sync::Notify;
use task::{Call, Post};
use view::Phase;
use waiters::{Waiters, wake_all};
use work::Work as Done;

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

/// Up to what is enough, no answer is missed.
#[test]
fn answers_are_counted_up_to_enough() {
    loom::model(|| {
        let done = Arc::new(Done::new(2, Rule::default()));
        let racing = Arc::clone(&done);
        let thread = thread::spawn(move || racing.answered());
        done.answered();
        thread.join().unwrap();
        assert_eq!(done.answers(), 2);
        done.answered();
        assert_eq!(done.answers(), 2, "it was enough");
    });
}

/// What the task works on, as the driver has it.
struct Work {
    post: Post<&'static str>,
    to_do: Mutex<u32>,
    /// Whether there is something to wait for besides a call, such as a dial.
    waits: bool,
}

impl Work {
    fn new(waits: bool) -> Arc<Self> {
        Arc::new(Self {
            post: Post::new("tools"),
            to_do: Mutex::new(0),
            waits,
        })
    }

    /// Has something to do, and is the task if there is none.
    fn demand(&self) {
        *self.to_do.lock().unwrap() += 1;
        let Ok(call) = self.post.call(|| Ok::<_, Infallible>(()));
        if let Call::Start(tools, (), wake) = call {
            self.run(tools, &wake);
        }
    }

    /// As the driver's task does.
    fn run(&self, mut tools: &'static str, wake: &Notify) {
        while !self.post.is_stopped() {
            self.post.ask();
            if std::mem::take(&mut *self.to_do.lock().unwrap()) > 0 {
                continue;
            }
            if self.waits {
                wake.wait();
                continue;
            }
            match self.post.rest(tools) {
                Some(again) => tools = again,
                None => return,
            }
        }
    }
}

/// Whoever has something to do either finds a task that will ask again, or starts one.
#[test]
fn nothing_to_do_is_left_without_a_task() {
    loom::model(|| {
        let work = Work::new(false);
        let racing = Arc::clone(&work);
        let thread = thread::spawn(move || racing.demand());
        work.demand();
        thread.join().unwrap();
        assert_eq!(*work.to_do.lock().unwrap(), 0);
        assert!(work.post.rests(), "with its tools");
    });
}

/// A task that waits for something else hears of each call, and of the end: else it would wait for
/// ever, which loom would find.
#[test]
fn a_task_that_waits_hears_of_a_call_and_of_the_end() {
    loom::model(|| {
        let work = Work::new(true);
        let racing = Arc::clone(&work);
        let task = thread::spawn(move || racing.demand());
        work.post.nudge();
        work.post.stop();
        task.join().unwrap();
        assert!(work.post.is_stopped() && !work.post.rests());
    });
}

/// No task begins after the end, and none that comes to rest then leaves its tools behind.
#[test]
fn the_end_is_final() {
    loom::model(|| {
        let work = Work::new(false);
        let racing = Arc::clone(&work);
        let thread = thread::spawn(move || racing.demand());
        work.post.stop();
        thread.join().unwrap();
        let Ok(call) = work.post.call(|| Ok::<_, Infallible>(()));
        assert!(matches!(call, Call::Stopped));
    });
}

/// Where no task can be started the call fails, and a later one starts it.
#[test]
fn a_call_that_cannot_start_a_task_leaves_the_tools() {
    loom::model(|| {
        let post = Post::new("tools");
        assert!(post.call(|| Err::<(), _>("no runtime")).is_err());
        assert!(post.rests());
        assert!(matches!(
            post.call(|| Ok::<_, Infallible>(())),
            Ok(Call::Start("tools", (), _))
        ));
    });
}

struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

fn bounds(stable_after: Duration) -> Bounds {
    Bounds {
        backoff: Backoff::new(stable_after, stable_after),
        first_dial_jitter: Duration::ZERO,
        stable_after,
        worked_after: 1,
        max_dials: 1,
        limits: Limits::default(),
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
                machine: Machine::new(std::sync::Arc::new(bounds(second)), 0, 0),
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
