//! Hosts: those of routes, and that of a request, which passes as it came or not at all.
#![no_main]

use examples::{
    config::Limits,
    http::forward::admit,
    route::{HostPattern, RequestHost},
};
use http::{HeaderValue, Request, header::HOST, uri::Authority};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = RequestHost::of(bytes);
    if let Ok(text) = str::from_utf8(bytes) {
        pattern(text);
    }
    if let Ok(value) = HeaderValue::from_bytes(bytes) {
        request(&value);
    }
});

fn pattern(text: &str) {
    let Ok(pattern) = text.parse::<HostPattern>() else {
        return;
    };
    let shown = pattern.to_string();
    assert_eq!(shown.parse().as_ref(), Ok(&pattern));
    let (host, other) = match shown.strip_prefix("*.") {
        Some(parent) => (format!("a.{parent}:8443"), parent.to_owned()),
        None => (format!("{shown}:8443"), format!("a.{shown}")),
    };
    assert!(pattern.takes(RequestHost::of(host.as_bytes())));
    assert!(!pattern.takes(RequestHost::of(other.as_bytes())));
}

fn request(host: &HeaderValue) {
    let mut request = Request::new(());
    request.headers_mut().insert(HOST, host.clone());
    if admit(&mut request, &Limits::default()).is_err() {
        return;
    }
    assert_eq!(request.headers().get(HOST), Some(host));
    assert!(!host.as_bytes().contains(&b'@'));
    // The route that is for what `http` takes for the host is for the request.
    let authority = Authority::try_from(host.as_bytes());
    let authority = authority.expect("it was admitted as one");
    if let Ok(pattern) = authority.host().parse::<HostPattern>() {
        let is_one_name = !pattern.to_string().starts_with('*');
        assert!(!is_one_name || pattern.takes(RequestHost::of(host.as_bytes())));
    }
}
