//! The headers that deadlines travel in.
#![allow(dead_code, unreachable_pub)]

use http::{HeaderMap, HeaderValue, Request};

pub const ENVOY: &str = "x-envoy-expected-rq-timeout-ms";

pub fn request(timeouts: &[&str]) -> Request<()> {
    let mut request = Request::new(());
    for timeout in timeouts {
        let value = HeaderValue::from_bytes(timeout.as_bytes()).unwrap();
        request.headers_mut().append("grpc-timeout", value);
    }
    request
}

pub fn request_with(timeout: &str) -> Request<()> {
    request(&[timeout])
}

pub fn timeouts(headers: &HeaderMap) -> Vec<String> {
    all(headers, "grpc-timeout")
}

pub fn envoy(headers: &HeaderMap) -> Vec<String> {
    all(headers, ENVOY)
}

fn all(headers: &HeaderMap, name: &str) -> Vec<String> {
    headers
        .get_all(name)
        .iter()
        .map(|value| value.to_str().unwrap().to_owned())
        .collect()
}
