//! Answers of the SPIFFE Workload API, as an agent sends them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tower_mtls::source::Snapshot;

fuzz_target!(|bytes: &[u8]| {
    let _ = Snapshot::from_workload_api(bytes);
});
