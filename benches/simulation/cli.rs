//! The command line.

use std::path::PathBuf;

use clap::Parser;

use super::{Policy, Scenario};

/// Simulates load in virtual time, and prints Markdown.
#[derive(Debug, Parser)]
#[command(name = "simulator")]
pub(super) struct Arguments<P: Policy> {
    /// Scenarios or families of them, by commas; all unless set.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    scenario: Vec<String>,
    /// Policies by commas; those that are compared unless set.
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = policy::<P>)]
    policy: Vec<P>,
    /// How many seeds.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    seeds: u64,
    /// Use seeds from 1 on, to tune with, and leave those that judge, from 1001 on, unseen.
    #[arg(long)]
    tune: bool,
    /// How many runs at a time.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=64))]
    threads: u8,
    /// Do not check the simulator itself first.
    #[arg(long)]
    unchecked: bool,
    /// Write charts into this directory.
    #[arg(long, value_name = "DIR")]
    pub(super) plots: Option<PathBuf>,
    /// What cargo says to a bench.
    #[arg(long, hide = true)]
    bench: bool,
}

impl<P: Policy> Arguments<P> {
    pub(super) fn policies(&self) -> Vec<P> {
        if self.policy.is_empty() {
            return P::ALL.to_vec();
        }
        self.policy.clone()
    }

    /// Those that are meant, or the name that means none.
    pub(super) fn scenarios<S: Scenario>(&self) -> Result<Vec<&'static S>, String> {
        if self.scenario.is_empty() {
            return Ok(S::ALL.iter().collect());
        }
        let mut meant = Vec::new();
        for name in &self.scenario {
            let before = meant.len();
            meant.extend(S::named(name));
            if meant.len() == before {
                let names: Vec<_> = S::ALL.iter().map(S::name).collect();
                return Err(format!(
                    "no scenario {name:?}: there are {}",
                    names.join(", ")
                ));
            }
        }
        Ok(meant)
    }

    pub(super) fn seeds(&self) -> Vec<u64> {
        let first = if self.tune {
            FIRST_TO_TUNE
        } else {
            FIRST_TO_JUDGE
        };
        (first..first + self.seeds).collect()
    }

    pub(super) fn threads(&self) -> usize {
        usize::from(self.threads)
    }

    pub(super) fn checks_theory(&self) -> bool {
        !self.unchecked
    }
}

fn policy<P: Policy>(name: &str) -> Result<P, String> {
    let all = || P::ALL.iter().chain(P::MORE).copied();
    all().find(|policy| policy.name() == name).ok_or_else(|| {
        let names: Vec<_> = all().map(P::name).collect();
        format!("there are {}", names.join(", "))
    })
}

const FIRST_TO_TUNE: u64 = 1;
const FIRST_TO_JUDGE: u64 = 1_001;
