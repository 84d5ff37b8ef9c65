//! Two threads that share a balancer, beside one that has it to itself.
//!
//! The time of two is from the moment when both set out to that when the later of them is done.
//! Others may use the machine at that moment, and it may not have two whole cores to give: so each
//! table has two threads that share nothing, of which the rest is to be judged.

use std::{
    hint::{self, black_box},
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use arc_swap::ArcSwap;
use benches::service::{Cloned, send};
use tokio::{
    runtime::{Builder, Runtime},
    time::Instant,
};
use tower::Service;

use super::{
    least::Least,
    subjects::{Kind, buffered, ours, send_buffered},
};

/// One subject, alone and in company.
pub(super) struct Pair<'a> {
    name: &'static str,
    alone: Box<dyn FnMut(u32) -> Duration + 'a>,
    /// Each of two sends that many.
    together: Box<dyn FnMut(u32) -> Duration + 'a>,
}

/// What was measured of it.
#[derive(Debug)]
pub(super) struct Scaling {
    pub(super) name: &'static str,
    pub(super) usual: Times,
    /// Of the quickest tenth of the rounds, in which others left the machine alone.
    pub(super) calm: Times,
}

/// Nanoseconds for a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) one: f64,
    /// Two threads need twice that for a request each.
    pub(super) two: f64,
}

impl Times {
    /// The throughput of two threads in relation to that of one.
    pub(super) fn ratio(self) -> f64 {
        self.one / self.two
    }
}

/// Those that are shared at all: tower's balancer without a buffer is not.
pub(super) fn balancers<'a>(one: &'a Runtime, two: &'a Runtime, endpoints: usize) -> Vec<Pair<'a>> {
    let cloned = Cloned(ours(one, endpoints, None));
    vec![
        Pair::of_service(Kind::Ours, &ours(one, endpoints, None)),
        Pair::of_service(Kind::OursCloned, &cloned),
        Pair::of_service(Kind::OursOfTwo, &ours(one, endpoints, Some(2))),
        Pair::of_service(Kind::Least, &Least::new(endpoints)),
        Pair::new(
            UNSHARED,
            [(); 3].map(|()| {
                let mut own = ours(one, endpoints, Some(2));
                move |requests| send(&mut own, requests)
            }),
        ),
        buffer(one, two, endpoints),
    ]
}

/// What a request cannot do without, or could be thought to need.
pub(super) fn floors<'a>() -> Vec<Pair<'a>> {
    let shared = Arc::new(());
    let swap = Arc::new(ArcSwap::from_pointee(()));
    vec![
        Pair::new(
            "two clock reads",
            [(); 3].map(|()| {
                repeat(|| {
                    black_box(Instant::now());
                    black_box(Instant::now());
                })
            }),
        ),
        Pair::new(
            "shared Arc, clone and drop",
            [(); 3].map(|()| {
                let shared = Arc::clone(&shared);
                repeat(move || drop(black_box(Arc::clone(&shared))))
            }),
        ),
        Pair::new(
            "shared ArcSwap, load",
            [(); 3].map(|()| {
                let swap = Arc::clone(&swap);
                repeat(move || drop(black_box(swap.load())))
            }),
        ),
    ]
}

fn repeat(mut step: impl FnMut() + Send) -> impl FnMut(u32) + Send {
    move |times| (0..times).for_each(|_| step())
}

fn buffer<'a>(one: &'a Runtime, two: &'a Runtime, endpoints: usize) -> Pair<'a> {
    let mut alone = buffered(one, endpoints);
    let shared = buffered(two, endpoints);
    Pair {
        name: Kind::TowerBuffered.name(),
        alone: Box::new(move |requests| {
            timed(|| one.block_on(send_buffered(&mut alone, requests)))
        }),
        together: Box::new(move |requests| {
            let client = || {
                let mut handle = shared.clone();
                two.spawn(async move { send_buffered(&mut handle, requests).await })
            };
            timed(|| {
                let clients = [client(), client()];
                two.block_on(async {
                    for client in clients {
                        client.await.expect("a client does not panic");
                    }
                });
            })
        }),
    }
}

impl<'a> Pair<'a> {
    /// One to run alone, and two to run at a time.
    fn new<F: FnMut(u32) + Send + 'a>(name: &'static str, runs: [F; 3]) -> Self {
        let [mut alone, mut first, mut second] = runs;
        Self {
            name,
            alone: Box::new(move |requests| self::alone(&mut alone, requests)),
            together: Box::new(move |requests| together([&mut first, &mut second], requests)),
        }
    }

    /// Each thread has a handle of its own, cloned once.
    fn of_service<S>(kind: Kind, service: &S) -> Self
    where
        S: Service<()> + Clone + Send + 'a,
    {
        Self::new(
            kind.name(),
            [(); 3].map(|()| {
                let mut handle = service.clone();
                move |requests| send(&mut handle, requests)
            }),
        )
    }
}

/// Measures all of them, in turns.
pub(super) fn measure(pairs: &mut [Pair<'_>]) -> Vec<Scaling> {
    let mut rounds = vec![(Vec::new(), Vec::new()); pairs.len()];
    for _ in 0..ROUNDS {
        for (pair, (one, two)) in pairs.iter_mut().zip(&mut rounds) {
            one.push((pair.alone)(REQUESTS).as_nanos() as f64 / f64::from(REQUESTS));
            two.push((pair.together)(REQUESTS).as_nanos() as f64 / f64::from(2 * REQUESTS));
        }
    }
    let scaling = |(pair, (mut one, mut two)): (&mut Pair<'_>, (Vec<f64>, Vec<f64>))| {
        one.sort_by(f64::total_cmp);
        two.sort_by(f64::total_cmp);
        let at = |place: usize| Times {
            one: one[place],
            two: two[place],
        };
        Scaling {
            name: pair.name,
            usual: at(ROUNDS / 2),
            calm: at(ROUNDS / 10),
        }
    };
    pairs.iter_mut().zip(rounds).map(scaling).collect()
}

fn timed(run: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    run();
    Instant::now().saturating_duration_since(begun)
}

fn alone<F: FnMut(u32) + Send>(run: &mut F, requests: u32) -> Duration {
    let alone = || {
        pin_to(0);
        run(WARM_UP);
        timed(|| run(requests))
    };
    let measured = thread::scope(|scope| scope.spawn(alone).join());
    measured.expect("a subject does not panic")
}

fn together<F: FnMut(u32) + Send>(runs: [&mut F; 2], requests: u32) -> Duration {
    let there = AtomicU32::new(0);
    let there = &there;
    let one_side = |core: usize, run: &mut F| {
        pin_to(core);
        // Here a thread makes what it makes once.
        run(WARM_UP);
        there.fetch_add(1, Ordering::AcqRel);
        while there.load(Ordering::Acquire) < 2 {
            hint::spin_loop();
        }
        let begun = Instant::now();
        run(requests);
        (begun, Instant::now())
    };
    let [first, second] = runs;
    let (first, second) = thread::scope(|scope| {
        let first = scope.spawn(|| one_side(0, first));
        let second = scope.spawn(|| one_side(1, second));
        (first.join(), second.join())
    });
    let (begun, ended) = first.expect("a subject does not panic");
    let (begun_too, ended_too) = second.expect("a subject does not panic");
    let ended = ended.max(ended_too);
    ended.saturating_duration_since(begun.min(begun_too))
}

/// A runtime of two threads on two cores.
pub(super) fn runtime() -> io::Result<Runtime> {
    let started = AtomicUsize::new(0);
    Builder::new_multi_thread()
        .worker_threads(2)
        .on_thread_start(move || pin_to(started.fetch_add(1, Ordering::Relaxed)))
        .build()
}

/// Keeps the current thread on one of the cores that it may use.
#[cfg(target_os = "linux")]
fn pin_to(core: usize) {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let Ok(may_use) = sched_getaffinity(None) else {
        return;
    };
    let cores: Vec<_> = (0..CpuSet::MAX_CPU)
        .filter(|&core| may_use.is_set(core))
        .collect();
    let mut only = CpuSet::new();
    only.set(cores[core % cores.len()]);
    // Where this is not allowed, figures are noisier.
    let _ = sched_setaffinity(None, &only);
}

#[cfg(not(target_os = "linux"))]
fn pin_to(_: usize) {}

/// A Markdown table.
pub(super) fn table(title: &str, measured: &[Scaling]) -> String {
    use std::fmt::Write as _;
    let mut table = format!(
        "| {title} | one thread, ns | two threads, ns | two / one | quickest tenth: one | two | two / one |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n"
    );
    for Scaling { name, usual, calm } in measured {
        let _ = write!(table, "| {name} |");
        for times in [usual, calm] {
            let (Times { one, two }, ratio) = (times, times.ratio());
            // Writing to a string cannot fail.
            let _ = write!(table, " {one:.1} | {two:.1} | {ratio:.2} |");
        }
        table.push('\n');
    }
    table
}

pub(super) const UNSHARED: &str = "ours, choices = 2, one for each thread";

const WARM_UP: u32 = 100;
const ROUNDS: usize = 400;
const REQUESTS: u32 = 500;
