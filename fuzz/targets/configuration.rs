//! The proxy's configuration: one that can be shown, or an error that can.
#![no_main]

use std::path::Path;

use examples::config::Config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Config::parse(text, Path::new("proxy.toml")) {
        Ok(config) => assert!(config.to_json().is_ok()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
