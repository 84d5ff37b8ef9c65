//! The `grpc-timeout` header, both ways.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tower_timeout_ewma::grpc_timeout::GrpcTimeout;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(timeout) = GrpcTimeout::parse(bytes) {
        let written = GrpcTimeout::round_up(timeout.duration());
        assert!(written.duration() >= timeout.duration() || written == GrpcTimeout::MAX);
        let read = GrpcTimeout::parse(written.to_string().as_bytes());
        assert_eq!(read.as_ref(), Ok(&written));
    }
});
