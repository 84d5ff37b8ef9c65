//! What was reached for, and whether it was reached.

use std::fmt;

use benches::{Measured, threads::Scaling};

use super::{memory::Memory, subjects::Kind};

/// All that was measured.
#[derive(Debug)]
pub(super) struct Results {
    pub(super) one_thread: Vec<Measured>,
    pub(super) two_threads: Vec<Scaling>,
    pub(super) memory: Memory,
}

impl Results {
    /// What, the bound from above, and what was measured.
    fn marks(&self) -> Vec<(&'static str, f64, f64)> {
        let Self { memory, .. } = self;
        let one = |kind| {
            self.one_thread(kind)
                .map_or(f64::NAN, Measured::nanoseconds)
        };
        let two = |kind| self.two_threads(kind);
        let allocations = [Kind::Kept, Kind::Cloned].map(|kind| {
            let measured = self.one_thread(kind);
            measured.map_or(f64::NAN, Measured::allocations)
        });
        vec![
            (
                "a clone for each request, ns above the shared Arc, one thread",
                20.0,
                one(Kind::Cloned) - one(Kind::Floor),
            ),
            (
                "the same, two threads",
                20.0,
                two(Kind::Cloned) - two(Kind::Floor),
            ),
            (
                "a handle that is kept / tower",
                1.5,
                one(Kind::Kept) / one(Kind::TowerKept),
            ),
            (
                "allocations for a request",
                0.0,
                allocations.into_iter().fold(0.0, f64::max),
            ),
            (
                "bytes of an idle endpoint, with one handle",
                512.0,
                memory.heap + memory.handle as f64,
            ),
        ]
    }

    fn one_thread(&self, kind: Kind) -> Option<&Measured> {
        let mut measured = self.one_thread.iter();
        measured.find(|measured| measured.name() == kind.name())
    }

    /// Nanoseconds for a request, as the table has it.
    fn two_threads(&self, kind: Kind) -> f64 {
        let mut measured = self.two_threads.iter();
        let measured = measured.find(|measured| measured.name == kind.name());
        measured.map_or(f64::NAN, |measured| measured.usual.two)
    }
}

/// A Markdown table.
impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| mark | bound | measured | |\n| --- | ---: | ---: | --- |"
        )?;
        for (name, bound, measured) in self.marks() {
            let verdict = if measured <= bound { "met" } else { "missed" };
            writeln!(f, "| {name} | ≤ {bound} | {measured:.2} | {verdict} |")?;
        }
        Ok(())
    }
}
