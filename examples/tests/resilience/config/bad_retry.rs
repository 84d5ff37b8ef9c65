//! Kinds of bad `[cluster.retry]`.

use super::{Bad, CLUSTER};

macro_rules! retry {
    ($table:literal => $($says:literal),+ $(,)?) => {
        Bad {
            from: CLUSTER,
            to: concat!("endpoints = [\"127.0.0.1:9001\"]\nretry = ", $table, "\n"),
            says: &[$($says),+],
        }
    };
}

pub(super) const BAD: &[Bad] = &[
    // The budget.
    retry!("{ min_per_second = ^20000 }" => "`min_per_second` is 20000", "to 10000"),
    retry!("{ clients = ^0 }" => "`clients` is 0", "use 1 to"),
    retry!("{ clients = ^-1 }" => "`clients`", "write a whole number"),
    retry!("{ window = ^\"1ms\" }" => "`window` is 1ms", "10 ms to 1 hour"),
    retry!("{ window = ^4 }" => "`window` cannot be 4", "\"10s\""),
    retry!("{ burst = ^0 }" => "`burst` is 0", "use 1 to"),
    retry!("{ reserve = ^20, burst = 10 }" => "`reserve` is 20", "1 to `burst`"),
    retry!("{ reserve = ^0 }" => "`reserve` is 0", "1 to `burst`"),
    retry!("{ prices = { timeout = ^20 }, burst = 10 }" => "`prices.timeout` is 20", "to `burst`"),
    retry!("{ prices = { hedge = ^0 } }" => "`prices.hedge` is 0", "to `burst`"),
    retry!("{ prices = { ^slow = 2 } }" => "`slow`", "transient, throttled, timeout, hedge"),
    retry!("{ prices = { timeout = ^\"10\" } }" => "`timeout` cannot be \"10\"", "write a number"),
    retry!("{ prices = ^2 }" => "`prices` cannot be 2", "{ timeout = 10 }"),
    // The waits.
    retry!("{ backoff = { factor = ^0 } }" => "`backoff.factor` is 0", "1 to 100"),
    retry!("{ backoff = { jitter = ^\"some\" } }" => "`some`", "full, equal, decorrelated"),
    retry!("{ backoff = { jitter = ^\"decorrelated\", factor = 1 } }" => "backoff", "decorrelated"),
    retry!("{ retry_after = ^\"never\" }" => "`never`", "\"10s\"", "\"off\""),
    retry!("{ retry_after = ^10 }" => "`retry_after` cannot be 10", "\"off\"", "\"10s\""),
    // What.
    retry!("{ grpc_statuses = ^[\"unavailable\"] }" => "by their names", "[\"UNAVAILABLE\""),
    retry!("{ grpc_statuses = ^[\"OK\"] }" => "but for OK", "[\"UNAVAILABLE\""),
    retry!("{ grpc_statuses = ^[14] }" => "\"UNAVAILABLE\""),
    retry!("{ grpc_trailers = ^\"1MiB\" }" => "`grpc_trailers` is 1048576", "0 to 65536"),
    retry!("{ grpc_trailers = ^\"off\" }" => "`off`", "\"64KiB\""),
    retry!("{ grpc_trailers = ^true }" => "`grpc_trailers` cannot be true", "\"64KiB\""),
    retry!("{ idempotency_key = ^\"yes\" }" => "`idempotency_key`", "true or false"),
    retry!("{ attempt_header = ^\"host\" }" => "`host`", "x-retry-attempt"),
    retry!("{ attempt_header = ^\"x-two words\" }" => "`x-two words`", "x-retry-attempt"),
    retry!("{ attempt_header = ^true }" => "`attempt_header` cannot be true", "x-retry-attempt"),
    // Bodies.
    retry!("{ body_limit = ^\"1MiB\", body_memory = \"64KiB\" }" => "`body_limit` is 1048576", "`body_memory`", "at most 65536"),
    // Hedges and the throttle.
    retry!("{ hedge = ^\"on\" }" => "hedge = \"on\"", "hedge = \"off\"", "{ quantile = 0.95 }"),
    retry!("{ hedge = ^0.95 }" => "`hedge` cannot be 0.95", "\"off\"", "{ quantile = 0.95 }"),
    retry!("{ hedge = { quantile = ^95.0 } }" => "`hedge.quantile` is 95", "0.5 to 0.9999"),
    retry!("{ hedge = { window = ^\"1ms\" } }" => "`hedge.window` is 1ms", "1 second to 1 hour"),
    retry!("{ hedge = { ^percentile = 95 } }" => "`percentile`", "quantile, min_samples"),
    retry!("{ throttle = ^true }" => "`throttle` cannot be true", "\"off\"", "{ multiplier = 2.0 }"),
    retry!("{ throttle = { multiplier = ^0.5 } }" => "`throttle.multiplier` is 0.5", "1 to 100"),
    retry!("{ throttle = { patience = ^\"10s\" } }" => "`throttle.patience` is 10s", "half the window"),
];
