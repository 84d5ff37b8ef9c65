//! Names of workloads: what is taken for one is written as it was read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tower_mtls::{DnsName, Identity, SpiffeId, TrustDomain};

fuzz_target!(|text: &str| {
    if let Ok(id) = text.parse::<SpiffeId>() {
        assert_eq!(id.to_string(), text);
        assert!(id.path().starts_with('/') && !id.path().ends_with('/'));
        let domain: Result<TrustDomain, _> = id.trust_domain().as_str().parse();
        assert!(domain.is_ok_and(|domain| domain == *id.trust_domain()));
    }
    if let Ok(name) = text.parse::<DnsName>() {
        let again: Result<DnsName, _> = name.as_str().parse();
        assert!(again.is_ok_and(|again| again == name));
    }
    let _ = text.parse::<TrustDomain>();
    let _ = text.parse::<Identity>();
});
