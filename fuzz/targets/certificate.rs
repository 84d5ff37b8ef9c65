//! Chains as a peer sends them: what is accepted is signed by the authority, and nothing panics.
//!
//! The input is a chain of certificates in DER, each behind its length in two bytes.
#![no_main]

use std::{sync::LazyLock, time::SystemTime};

use libfuzzer_sys::fuzz_target;
use tower_mtls::dev::{Authority, Side, judge};

fuzz_target!(|bytes: &[u8]| {
    let chain = chain(bytes);
    let now = SystemTime::now();
    for side in [Side::Client, Side::Server] {
        for trust in [AUTHORITY.trust_bundle(), AUTHORITY.plain_trust_bundle()] {
            // The key of this run's authority is in no input.
            assert!(judge(trust, &chain, side, now).is_err());
        }
    }
});

fn chain(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut chain = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
        let (certificate, rest) = rest.split_at(length);
        chain.push(certificate);
        bytes = rest;
    }
    chain
}

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| {
    let domain = "example.org".parse().expect("a trust domain");
    Authority::new(domain).expect("an authority")
});
