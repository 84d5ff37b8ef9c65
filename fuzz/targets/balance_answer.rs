//! What a balancer takes an answer for, whatever an endpoint says.
#![no_main]

mod answer;

use std::convert::Infallible;

use libfuzzer_sys::fuzz_target;
use tower_balance_p2c::{Classify, http::HttpClassify};

fuzz_target!(|bytes: &[u8]| {
    let fields = ["grpc-status", "grpc-retry-pushback-ms", "retry-after"];
    if let Some(response) = answer::answer(bytes, &fields) {
        let result: Result<_, &Infallible> = Ok(&response);
        let _ = HttpClassify.classify(result);
    }
});
