//! Two threads that share a service, beside one that has it to itself.
//!
//! The time of two is from the moment when both set out to that when the later of them is done.
//! Others may use the machine at that moment, and it may not have two whole cores to give: so each
//! table should have two threads that share nothing, of which the rest is to be judged.

use std::{
    fmt::{self, Write as _},
    hint, io,
    sync::atomic::{AtomicU32, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use tokio::{
    runtime::{Builder, Runtime},
    time::Instant,
};
use tower::Service;

use crate::service::send;

/// One subject, alone and in company.
pub struct Pair<'a> {
    name: &'static str,
    alone: Box<dyn FnMut(u32) -> Duration + 'a>,
    /// Each of two sends that many.
    together: Box<dyn FnMut(u32) -> Duration + 'a>,
}

/// What was measured of it.
#[derive(Debug)]
pub struct Scaling {
    /// Of the subject.
    pub name: &'static str,
    /// The median of the rounds.
    pub usual: Times,
    /// Of the quickest tenth of the rounds, in which others left the machine alone.
    pub calm: Times,
}

/// Nanoseconds for a request.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// One thread.
    pub one: f64,
    /// Two threads need twice that for a request each.
    pub two: f64,
}

impl Times {
    /// The throughput of two threads in relation to that of one.
    pub fn ratio(self) -> f64 {
        self.one / self.two
    }
}

impl fmt::Debug for Pair<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl<'a> Pair<'a> {
    /// For what has to bring its own threads. Both return how long it took.
    pub fn of_times(
        name: &'static str,
        alone: impl FnMut(u32) -> Duration + 'a,
        together: impl FnMut(u32) -> Duration + 'a,
    ) -> Self {
        Self {
            name,
            alone: Box::new(alone),
            together: Box::new(together),
        }
    }

    /// One to run alone, and two to run at a time.
    ///
    /// `run(n)` sends `n` requests.
    pub fn new<F: FnMut(u32) + Send + 'a>(name: &'static str, runs: [F; 3]) -> Self {
        let [mut alone, mut first, mut second] = runs;
        Self {
            name,
            alone: Box::new(move |requests| self::alone(&mut alone, requests)),
            together: Box::new(move |requests| together([&mut first, &mut second], requests)),
        }
    }

    /// Each thread has a handle of its own, cloned once.
    pub fn of_service<S>(name: &'static str, service: &S) -> Self
    where
        S: Service<()> + Clone + Send + 'a,
    {
        Self::new(
            name,
            [(); 3].map(|()| {
                let mut handle = service.clone();
                move |requests| send(&mut handle, requests)
            }),
        )
    }
}

/// Measures all of them, in turns.
///
/// # Panics
///
/// If a subject does.
pub fn measure(pairs: &mut [Pair<'_>]) -> Vec<Scaling> {
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

/// How long it takes.
pub fn timed(run: impl FnOnce()) -> Duration {
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
///
/// # Errors
///
/// As the runtime's builder has it.
pub fn runtime() -> io::Result<Runtime> {
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
pub fn table(title: &str, measured: &[Scaling]) -> String {
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

const WARM_UP: u32 = 100;
const ROUNDS: usize = 400;
const REQUESTS: u32 = 500;
