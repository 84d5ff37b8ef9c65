//! Whether an answer is worth a retry, whatever an endpoint says, and after how long: never after
//! longer than is allowed.
#![no_main]

mod answer;

use std::{convert::Infallible, time::Duration};

use http::{Request, Response};
use libfuzzer_sys::fuzz_target;
use tower_retry_budget::{
    Policy, Verdict,
    http::{GrpcPolicy, StatusPolicy},
};

fuzz_target!(|bytes: &[u8]| {
    let fields = [
        "grpc-status",
        "grpc-retry-pushback-ms",
        "retry-after",
        "content-type",
    ];
    if let Some(response) = answer::answer(bytes, &fields) {
        judge(&StatusPolicy::new().max_after(LONGEST), &response);
        judge(&GrpcPolicy::new().max_after(LONGEST), &response);
    }
});

fn judge(policy: &impl Policy<Request<()>, Response<()>, Infallible>, response: &Response<()>) {
    if let Verdict::Retry(again) = policy.classify(Ok(response)) {
        assert!(again.after.is_none_or(|wait| wait <= LONGEST));
    }
}

const LONGEST: Duration = Duration::from_secs(5);
