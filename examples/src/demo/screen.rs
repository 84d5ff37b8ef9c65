//! The demo's table: redrawn in place on a terminal, a few lines a second elsewhere.

use std::{
    collections::HashMap,
    fmt::Write as _,
    io::{self, Write},
    net::SocketAddr,
    time::Duration,
};

use super::{
    Summary,
    figures::{Figures, Row, WINDOWS},
    upstream::Upstream,
    world::World,
};
use crate::cluster::{ClusterStatus, EndpointStatus};

/// Where the demo is drawn.
#[derive(Debug)]
pub(super) struct Screen {
    terminal: bool,
    /// Lines of the last table, to be drawn over.
    drawn: usize,
    second: u64,
    /// Requests that each endpoint had served a second ago, and its share since then.
    served: HashMap<SocketAddr, (u64, f64)>,
}

impl Screen {
    pub(super) fn new(terminal: bool) -> Self {
        Self {
            terminal,
            drawn: 0,
            second: 0,
            served: HashMap::new(),
        }
    }

    /// Shows the world as it is now.
    pub(super) fn draw(
        &mut self,
        out: &mut impl Write,
        elapsed: Duration,
        world: &World,
        clusters: &[ClusterStatus],
        figures: &Figures,
    ) -> io::Result<()> {
        let endpoints: Vec<_> = clusters
            .iter()
            .flat_map(|cluster| &cluster.endpoints)
            .collect();
        let second = elapsed.as_secs();
        let turned = second > self.second;
        if turned {
            self.second = second;
            self.measure_shares(&endpoints);
        }
        if self.terminal {
            let table = self.table(elapsed, world, &endpoints, figures);
            self.redraw(out, &table)?;
        } else if turned {
            write!(out, "{}", self.lines(second, world, &endpoints, figures))?;
        }
        if turned {
            figures.turn();
        }
        out.flush()
    }

    /// Leaves the final figures behind.
    pub(super) fn finish(
        &mut self,
        out: &mut impl Write,
        figures: &Figures,
        summary: &Summary,
    ) -> io::Result<()> {
        let kept = if summary.kept() {
            "at least"
        } else {
            "LESS THAN"
        };
        writeln!(out, "\nIn all:\n{}", arms_table(&figures.total()))?;
        writeln!(
            out,
            "The proxy answered {:.3} % of {} requests with success, {kept} the {:.1} % that it promises.",
            summary.success * 100.0,
            summary.requests,
            Summary::PROMISE * 100.0,
        )
    }

    fn measure_shares(&mut self, endpoints: &[&EndpointStatus]) {
        let before = |screen: &Self, endpoint: &EndpointStatus| {
            screen
                .served
                .get(&endpoint.address)
                .map_or(0, |(requests, _)| *requests)
        };
        let total: u64 = endpoints
            .iter()
            .map(|endpoint| endpoint.requests.saturating_sub(before(self, endpoint)))
            .sum();
        for endpoint in endpoints {
            let served = endpoint.requests.saturating_sub(before(self, endpoint));
            let share = served as f64 / total.max(1) as f64;
            self.served
                .insert(endpoint.address, (endpoint.requests, share));
        }
    }

    fn share(&self, endpoint: &EndpointStatus) -> f64 {
        self.served
            .get(&endpoint.address)
            .map_or(0.0, |(_, share)| *share)
    }

    fn table(
        &self,
        elapsed: Duration,
        world: &World,
        endpoints: &[&EndpointStatus],
        figures: &Figures,
    ) -> String {
        let mut table = format!("{:>5.1} s  {}\n", elapsed.as_secs_f64(), Upstream::TITLES);
        for &endpoint in endpoints {
            // Writing to a string cannot fail.
            let _ = writeln!(table, "         {}", self.upstream(world, endpoint));
        }
        let _ = write!(
            table,
            "\nLast {WINDOWS} s:\n{}\nIn all:\n{}",
            arms_table(&figures.recent()),
            arms_table(&figures.total())
        );
        table
    }

    fn redraw(&mut self, out: &mut impl Write, table: &str) -> io::Result<()> {
        if self.drawn > 0 {
            write!(out, "\x1b[{}A", self.drawn)?;
        }
        for line in table.lines() {
            writeln!(out, "\x1b[2K{line}")?;
        }
        self.drawn = table.lines().count();
        Ok(())
    }

    /// The same for who reads line by line.
    fn lines(
        &self,
        second: u64,
        world: &World,
        endpoints: &[&EndpointStatus],
        figures: &Figures,
    ) -> String {
        let mut lines = String::new();
        if second % BETWEEN_TITLES == 1 {
            let _ = writeln!(lines, "       | {}", Upstream::TITLES);
        }
        for &endpoint in endpoints {
            let _ = writeln!(lines, "{second:>4} s | {}", self.upstream(world, endpoint));
        }
        let arms = figures.recent().into_iter().map(|row| {
            let p99 = row.latencies[1].as_secs_f64() * 1e3;
            format!("{} {p99:.0} ms {:.1} %", row.name, row.success * 100.0)
        });
        let arms: Vec<_> = arms.collect();
        let _ = writeln!(lines, "{second:>4} s | p99: {}", arms.join(", "));
        lines
    }

    fn upstream<'a>(&self, world: &World, endpoint: &'a EndpointStatus) -> Upstream<'a> {
        Upstream {
            endpoint,
            mood: world.mood(endpoint.address),
            share: self.share(endpoint),
        }
    }
}

fn arms_table(rows: &[Row]) -> String {
    let mut table = format!(
        "         {:<16} {:>9} {:>10} {:>10} {:>10} {:>10}\n",
        "way", "requests", "success", "p50", "p99", "p99.9"
    );
    for row in rows {
        let [p50, p99, p999] = row.latencies.map(milliseconds);
        let _ = writeln!(
            table,
            "         {:<16} {:>9} {:>8.3} % {p50:>10} {p99:>10} {p999:>10}",
            row.name,
            row.requests,
            row.success * 100.0,
        );
    }
    table
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}

/// In seconds.
const BETWEEN_TITLES: u64 = 10;
