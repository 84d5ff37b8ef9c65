//! The PROXY protocol's header: read as far as it goes, and no less is enough.
#![no_main]

use examples::listen::proxy_header::{LONGEST, Start, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let start = read(bytes);
    match start {
        Ok(Start::Header { length, .. }) => {
            assert!(length <= bytes.len().min(LONGEST));
            assert_eq!(read(&bytes[..length]), start);
            assert_eq!(read(&bytes[..length - 1]), Ok(Start::Incomplete));
        }
        Ok(Start::Incomplete) => assert!(bytes.len() < LONGEST),
        Ok(Start::Absent) | Err(_) => {}
    }
});
