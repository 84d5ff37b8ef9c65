//! What was reached for, and whether it was reached.

use std::fmt;

use benches::{Measured, threads::Scaling};

use super::{memory::Memory, subjects::Kind, threads::UNSHARED};

/// All that was measured.
#[derive(Debug)]
pub(super) struct Results {
    pub(super) sizes: Vec<Size>,
    pub(super) memory: Memory,
}

/// Of one number of endpoints.
#[derive(Debug)]
pub(super) struct Size {
    pub(super) endpoints: usize,
    pub(super) one_thread: Vec<Measured>,
    pub(super) two_threads: Vec<Scaling>,
}

/// A line of the table.
struct Mark {
    name: String,
    /// A bound from above, unless it is `at_least`.
    bound: f64,
    at_least: bool,
    measured: f64,
    detail: String,
}

impl Results {
    fn marks(&self) -> Vec<Mark> {
        let marks = [
            Some(self.allocations()),
            self.beside_tower(Kind::OursOfTwo),
            self.beside_tower(Kind::Least),
            self.of_two_choices(),
            self.worst_scan(),
            self.beside_buffer(Kind::Ours),
            self.beside_buffer(Kind::OursOfTwo),
            self.beside_buffer_on_two(Kind::Ours),
            self.beside_buffer_on_two(Kind::OursOfTwo),
            self.beside_buffer_on_two(Kind::Least),
            self.scaling(Kind::Ours),
            self.scaling(Kind::OursOfTwo),
            self.of_big_set(),
            Some(self.heap()),
        ];
        marks.into_iter().flatten().collect()
    }

    fn allocations(&self) -> Mark {
        let ours = [Kind::Ours, Kind::OursCloned, Kind::OursOfTwo].map(Kind::name);
        let measured = self.sizes.iter().flat_map(|size| &size.one_thread);
        let allocations = measured
            .filter(|measured| ours.contains(&measured.name()))
            .map(Measured::allocations);
        Mark::at_most(
            "allocations by the balancer",
            0.0,
            allocations.fold(0.0, f64::max),
        )
    }

    fn beside_tower(&self, kind: Kind) -> Option<Mark> {
        let (ratio, detail) =
            self.worst(|size| Some(size.nanoseconds(kind)? / size.nanoseconds(Kind::Tower)?))?;
        let name = format!("{} / tower by &mut", kind.name());
        Some(Mark::at_most(name, 0.2, ratio).with(detail))
    }

    fn of_two_choices(&self) -> Option<Mark> {
        let (nanos, detail) = self.worst(|size| size.nanoseconds(Kind::OursOfTwo))?;
        Some(Mark::at_most("choices = 2, ns", 120.0, nanos).with(detail))
    }

    fn worst_scan(&self) -> Option<Mark> {
        let nanos = self.size(16)?.nanoseconds(Kind::Ours)?;
        Some(Mark::at_most("all of 16 endpoints, ns", 250.0, nanos))
    }

    fn beside_buffer(&self, kind: Kind) -> Option<Mark> {
        let (ratio, detail) = self
            .worst(|size| Some(size.nanoseconds(kind)? / size.nanoseconds(Kind::TowerBuffered)?))?;
        let name = format!("{} / tower Buffer, one thread", kind.name());
        Some(Mark::at_most(name, 0.2, ratio).with(detail))
    }

    fn beside_buffer_on_two(&self, kind: Kind) -> Option<Mark> {
        let (ratio, detail) = self.worst(|size| {
            Some(
                size.scaling(kind.name())?.usual.two
                    / size.scaling(Kind::TowerBuffered.name())?.usual.two,
            )
        })?;
        let name = format!("{} / tower Buffer, two threads", kind.name());
        Some(Mark::at_most(name, 0.1, ratio).with(detail))
    }

    fn scaling(&self, kind: Kind) -> Option<Mark> {
        let size = self.size(100)?;
        let (shared, unshared) = (size.scaling(kind.name())?, size.scaling(UNSHARED)?);
        Some(Mark {
            name: format!("{}, N = 100: two threads / one", kind.name()),
            bound: 1.6,
            at_least: true,
            measured: shared.usual.ratio(),
            detail: format!(
                "{:.2} in the quickest tenth; sharing nothing {:.2} and {:.2}",
                shared.calm.ratio(),
                unshared.usual.ratio(),
                unshared.calm.ratio(),
            ),
        })
    }

    fn of_big_set(&self) -> Option<Mark> {
        let of = |endpoints| self.size(endpoints)?.nanoseconds(Kind::OursOfTwo);
        let (small, big) = (of(3)?, of(10_000)?);
        let mark = Mark::at_most("choices = 2, N = 10,000 / N = 3", 1.3, big / small);
        Some(mark.with(format!("{big:.0} / {small:.0} ns")))
    }

    fn heap(&self) -> Mark {
        let Memory {
            endpoints,
            ours,
            tower,
        } = self.memory;
        let mark = Mark::at_most("heap bytes for an endpoint", 500.0, ours);
        mark.with(format!("N = {endpoints}; tower {tower:.0}"))
    }

    /// The highest of all sizes, and each of them.
    fn worst(&self, of: impl Fn(&Size) -> Option<f64>) -> Option<(f64, String)> {
        let values = self
            .sizes
            .iter()
            .filter_map(|size| Some((size.endpoints, of(size)?)));
        let values: Vec<_> = values.collect();
        let each = values.iter().map(|(endpoints, value)| {
            let decimals = if *value < 10.0 { 2 } else { 0 };
            format!("N = {endpoints}: {value:.decimals$}")
        });
        let each: Vec<_> = each.collect();
        let worst = values
            .iter()
            .map(|(_, value)| *value)
            .max_by(f64::total_cmp)?;
        Some((worst, each.join(", ")))
    }

    fn size(&self, endpoints: usize) -> Option<&Size> {
        self.sizes.iter().find(|size| size.endpoints == endpoints)
    }
}

impl Size {
    fn nanoseconds(&self, kind: Kind) -> Option<f64> {
        let mut measured = self.one_thread.iter();
        let measured = measured.find(|measured| measured.name() == kind.name())?;
        Some(measured.nanoseconds())
    }

    fn scaling(&self, name: &str) -> Option<&Scaling> {
        let mut measured = self.two_threads.iter();
        measured.find(|measured| measured.name == name)
    }
}

impl Mark {
    fn at_most(name: impl Into<String>, bound: f64, measured: f64) -> Self {
        Self {
            name: name.into(),
            bound,
            at_least: false,
            measured,
            detail: String::new(),
        }
    }

    fn with(self, detail: String) -> Self {
        Self { detail, ..self }
    }

    fn is_met(&self) -> bool {
        if self.at_least {
            self.measured >= self.bound
        } else {
            self.measured <= self.bound
        }
    }
}

/// A Markdown table of those marks for which the sizes were measured.
impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| mark | bound | measured | | |\n| --- | ---: | ---: | --- | --- |"
        )?;
        for mark in self.marks() {
            let verdict = if mark.is_met() { "met" } else { "missed" };
            let sign = if mark.at_least { "≥" } else { "≤" };
            let Mark {
                name,
                bound,
                measured,
                detail,
                ..
            } = mark;
            writeln!(
                f,
                "| {name} | {sign} {bound} | {measured:.2} | {verdict} | {detail} |"
            )?;
        }
        Ok(())
    }
}
