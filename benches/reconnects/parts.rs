//! What [`simulation::main`] makes a report of.

use std::{io, path::Path};

use benches::simulation::{self, Results, Theory, Verdict};

use super::{
    figure::Figure, plot, policy::PolicyKind, record::Figures, scenario::Scenario, scenarios,
    theory, verdicts, world,
};

impl simulation::Scenario for Scenario {
    type Policy = PolicyKind;
    type Figure = Figure;

    const ALL: &'static [Self] = scenarios::ALL;

    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn run(&self, policy: PolicyKind, seed: u64) -> Figures {
        world::run(self, policy, seed)
    }

    fn judge(results: &Results<'_, Self>) -> Vec<Verdict> {
        verdicts::judge(results)
    }

    fn plot(directory: &Path, all: &[Results<'_, Self>]) -> io::Result<()> {
        plot::write(directory, all)
    }

    fn theory(threads: usize) -> Option<Theory> {
        let compared = theory::compare_all(threads);
        Some(Theory::new(theory::HEADING, &compared))
    }
}
