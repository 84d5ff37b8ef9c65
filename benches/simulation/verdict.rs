//! What was judged, as a Markdown table. A mark that is missed is printed like one that is met.

use std::fmt;

/// One thing that ours was judged by.
#[derive(Debug)]
pub struct Verdict {
    /// Where.
    pub scenario: &'static str,
    /// By what.
    pub mark: String,
    /// What was measured.
    pub ours: String,
    /// What was to be reached.
    pub bar: String,
    /// Whether it was.
    pub met: bool,
}

/// All verdicts, the missed first.
pub(super) fn table(mut verdicts: Vec<Verdict>) -> String {
    verdicts.sort_by_key(|verdict| verdict.met);
    let missed = verdicts.iter().filter(|verdict| !verdict.met).count();
    let lines = verdicts.iter().map(|verdict| format!("{verdict}\n"));
    format!(
        "### Marks: {missed} missed, {} met\n\n\
         | scenario | mark | ours | bar | |\n| --- | --- | ---: | ---: | --- |\n{}",
        verdicts.len() - missed,
        lines.collect::<String>(),
    )
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            scenario,
            mark,
            ours,
            bar,
            met,
        } = self;
        let met = if *met { "met" } else { "MISSED" };
        write!(f, "| {scenario} | {mark} | {ours} | {bar} | {met} |")
    }
}
