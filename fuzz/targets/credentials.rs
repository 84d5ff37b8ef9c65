//! Certificates, keys and bundles, as files have them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tower_mtls::{Credentials, TrustBundle};

fuzz_target!(|bytes: &[u8]| {
    let _ = TrustBundle::from_pem(bytes);
    let middle = bytes.len() / 2;
    let _ = Credentials::from_pem(&bytes[..middle], &bytes[middle..]);
    let _ = Credentials::from_pem(bytes, bytes);
});
