//! How the benches measure: subjects take turns, so that a noisy machine is noisy for all of them.
//!
//! What is reported is the median over many short rounds, beside a peer in the same run. Absolute times do not travel between machines; ratios and allocations do.

pub mod instructions;
pub mod service;
pub mod simulation;
pub mod threads;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    fmt,
};

use tokio::time::Instant;

/// The system's allocator, which counts the allocations of each thread, and the bytes of those that
/// it has not freed.
#[derive(Debug)]
pub struct CountingAllocator;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static LIVE_BYTES: Cell<i64> = const { Cell::new(0) };
}

/// What this thread has allocated less what it has freed. Only differences mean something, and only
/// where no other thread frees what this one allocated.
pub fn live_bytes() -> i64 {
    LIVE_BYTES.get()
}

// SAFETY: every call is handed to the system's allocator unchanged; counting touches a plain
// thread-local cell, which does not allocate.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that is ending has no counter any more.
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        let size = layout.size() as i64;
        let _ = LIVE_BYTES.try_with(|bytes| bytes.set(bytes.get().wrapping_add(size)));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let size = layout.size() as i64;
        let _ = LIVE_BYTES.try_with(|bytes| bytes.set(bytes.get().wrapping_sub(size)));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Something that is measured: a name, and a way to send many requests.
pub struct Subject<'a> {
    name: &'static str,
    run: Box<dyn FnMut(u32) + 'a>,
}

/// What was measured of one subject.
#[derive(Debug)]
pub struct Measured {
    name: &'static str,
    nanoseconds: f64,
    allocations: f64,
}

impl<'a> Subject<'a> {
    /// `run(n)` sends `n` requests.
    pub fn new(name: &'static str, run: impl FnMut(u32) + 'a) -> Self {
        Self {
            name,
            run: Box::new(run),
        }
    }

    /// As in the tables.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Sends `requests`.
    pub fn run(&mut self, requests: u32) {
        (self.run)(requests);
    }
}

impl Measured {
    /// The subject's.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The median over the rounds, for one request.
    pub fn nanoseconds(&self) -> f64 {
        self.nanoseconds
    }

    /// For one request.
    pub fn allocations(&self) -> f64 {
        self.allocations
    }
}

impl fmt::Debug for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Measures all subjects, in turns.
pub fn measure(mut subjects: Vec<Subject<'_>>) -> Vec<Measured> {
    let mut rounds = vec![Vec::new(); subjects.len()];
    let mut allocations = vec![0; subjects.len()];
    for subject in &mut subjects {
        (subject.run)(WARM_UP);
    }
    for _ in 0..ROUNDS {
        for (index, subject) in subjects.iter_mut().enumerate() {
            let counted = ALLOCATIONS.get();
            let begun = Instant::now();
            (subject.run)(REQUESTS);
            let elapsed = Instant::now().saturating_duration_since(begun);
            allocations[index] += ALLOCATIONS.get() - counted;
            rounds[index].push(elapsed.as_nanos() as f64 / f64::from(REQUESTS));
        }
    }
    let measured = subjects.iter().zip(rounds).zip(allocations);
    measured
        .map(|((subject, rounds), allocations)| Measured {
            name: subject.name,
            nanoseconds: median(rounds),
            allocations: allocations as f64 / f64::from(ROUNDS * REQUESTS),
        })
        .collect()
}

/// A Markdown table; ratios are to the subject named `peer`.
pub fn table(title: &str, measured: &[Measured], peer: &str) -> String {
    use fmt::Write as _;
    let base = measured.iter().find(|measured| measured.name == peer);
    let base = base.map_or(f64::NAN, |peer| peer.nanoseconds);
    let mut table =
        format!("| {title} | ns | x {peer} | allocations |\n| --- | ---: | ---: | ---: |\n");
    for Measured {
        name,
        nanoseconds,
        allocations,
    } in measured
    {
        let ratio = nanoseconds / base;
        // Writing to a string cannot fail.
        let _ = writeln!(
            table,
            "| {name} | {nanoseconds:.1} | {ratio:.2} | {allocations:.2} |"
        );
    }
    table
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

const WARM_UP: u32 = 20_000;
/// So short that on a busy machine few of them are interrupted.
const ROUNDS: u32 = 2_000;
const REQUESTS: u32 = 200;
