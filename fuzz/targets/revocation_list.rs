//! Revocation lists, as files have them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tower_mtls::RevocationLists;

fuzz_target!(|bytes: &[u8]| {
    let der = RevocationLists::from_der(bytes);
    let pem = RevocationLists::from_pem(bytes);
    for lists in [&der, &pem].into_iter().flatten() {
        assert!(lists.len() > 0);
        assert_eq!(lists.and(lists).len(), 2 * lists.len());
        assert_eq!(lists.and(lists).next_update(), lists.next_update());
    }
});
