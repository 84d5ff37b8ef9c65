# The same commands by name; none of them needs `just`.

# What README.md calls the test command
test:
    cargo test --workspace --all-features

# The demo
demo *args:
    cargo run --release -- demo {{args}}

# What must hold before a change lands
ci:
    .ci/run

# Micro-costs, as ratios to the bare service and to tower
bench:
    cargo bench -p benches --bench timeout_cost
    cargo bench -p benches --bench balance
    cargo bench -p benches --bench retry
    cargo bench -p benches --bench simulator
    cargo bench -p benches --bench storm
    cargo bench -p benches --bench timeouts
    cargo bench -p benches --bench reconnect_cost
    cargo bench -p benches --bench reconnects

# One of `cargo +nightly fuzz list`, for some seconds; needs nightly and cargo-fuzz
fuzz target seconds="90":
    mkdir -p fuzz/corpus/{{target}}
    cargo +nightly fuzz run {{target}} fuzz/corpus/{{target}} fuzz/seeds/{{target}} -- -max_total_time={{seconds}}

lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --all-features -- -D warnings

docs:
    cargo doc --workspace --all-features --no-deps

# Licences, sources and banned crates; needs cargo-deny
deny:
    cargo deny check bans licenses sources
