//! What an endpoint takes up on the heap, of a set that is all ready.

use benches::{live_bytes, service::send};
use tokio::runtime::Runtime;

use super::subjects::{ours, tower};

/// Bytes for each endpoint.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    pub(super) endpoints: usize,
    pub(super) ours: f64,
    pub(super) tower: f64,
}

/// The endpoint's service has no size, nor has its key more than a word.
pub(super) fn measure(runtime: &Runtime, endpoints: usize) -> Memory {
    let each = |bytes: i64| bytes as f64 / endpoints as f64;
    let before = live_bytes();
    let mut ours = ours(runtime, endpoints, None);
    send(&mut ours, 1);
    let after_ours = live_bytes();
    let mut tower = tower(endpoints);
    send(&mut tower, 1);
    let after_towers = live_bytes();
    Memory {
        endpoints,
        ours: each(after_ours - before),
        tower: each(after_towers - after_ours),
    }
}

/// A Markdown table.
pub(super) fn table(memory: Memory) -> String {
    let Memory {
        endpoints,
        ours,
        tower,
    } = memory;
    format!(
        "| heap, {endpoints} endpoints | bytes for each |\n| --- | ---: |\n\
         | ours | {ours:.0} |\n| tower Balance<PeakEwma> | {tower:.0} |\n"
    )
}
