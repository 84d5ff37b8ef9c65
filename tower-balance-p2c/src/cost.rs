//! What it costs to send one more request to an endpoint. A pure function.

/// `latency` in nanoseconds, `success` in `(0, 1]`. Latency waits for those before it, and a
/// failure is worth far less than its own share: an endpoint where half of the requests fail
/// costs eight times as much.
pub(crate) fn cost(latency: f64, in_flight: usize, success: f64) -> f64 {
    let queue = in_flight as f64 + 1.0;
    latency.max(LEAST_LATENCY) * queue / success.powi(SEVERITY)
}

/// Keeps the number in flight in the product when latencies are immeasurably small: 1 µs.
const LEAST_LATENCY: f64 = 1e3;
const SEVERITY: i32 = 3;
