//! The demo, where its output is read by another program.

use crate::support::process::run;

#[tokio::test]
async fn the_demo_ends_with_a_table_and_says_whether_it_kept_its_promise() {
    let demo = run(&["demo", "--seconds", "6"]).await;
    assert_eq!(demo.code, Some(0), "{}{}", demo.stdout, demo.stderr);
    assert_eq!(demo.stderr, "");
    assert!(
        !demo.stdout.contains('\x1b'),
        "control characters in a pipe"
    );
    let seconds = (1..=5).filter(|second| {
        demo.stdout
            .lines()
            .any(|line| line.starts_with(&format!("{second:>4} s |")))
    });
    assert!(seconds.count() >= 4, "a line a second: {}", demo.stdout);
    for word in [
        "[[cluster]]",
        "/metrics",
        "dead",
        "slow x20",
        "fails 50 %",
        "balancer says",
        "in flight",
        "cost",
        "ready ",
        "p99",
    ] {
        assert!(demo.stdout.contains(word), "no {word:?} in {}", demo.stdout);
    }

    let widest = demo.stdout.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(100), "{}", demo.stdout);

    let (_, table) = demo.stdout.split_once("In all:\n").unwrap();
    let rows = table
        .lines()
        .filter(|line| line.contains(" % ") && line.contains(" ms"))
        .count();
    assert_eq!(rows, 3, "{table}");
    let last = demo.stdout.trim_end().lines().last().unwrap();
    let success: f64 = last
        .strip_prefix("The proxy answered ")
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!((99.9..=100.0).contains(&success), "{last}");
    assert!(last.contains("at least the 99.9 %"), "{last}");
}

#[tokio::test]
async fn chaos_prints_the_seed_that_it_comes_from() {
    let demo = run(&["demo", "--chaos", "--seconds", "4"]).await;
    // Whether the promise is kept depends on the seed: both endings are honest ones.
    assert!(
        matches!(demo.code, Some(0 | 1)),
        "{:?} {}{}",
        demo.code,
        demo.stdout,
        demo.stderr
    );
    let (_, seed) = demo.stdout.split_once("Chaos from seed ").expect("a seed");
    let seed = seed.split(';').next().unwrap();
    assert!(seed.parse::<u64>().is_ok(), "{seed}");
    assert!(demo.stdout.contains("In all:"), "{}", demo.stdout);
}
