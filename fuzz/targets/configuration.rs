//! The proxy's configuration: good, or an error that can be shown.
#![no_main]

use std::path::Path;

use examples::config::Config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(error) = Config::parse(text, Path::new("proxy.toml")) {
        assert!(!error.to_string().is_empty());
    }
});
