use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// After closes at these moments, each with its idle time, in milliseconds.
fn after(closes: &[(u64, u64)]) -> (IdleLimit, Instant) {
    let begun = Instant::now();
    let mut limit = IdleLimit::default();
    for &(at, idle) in closes {
        limit.closed(ms(idle), begun + ms(at));
    }
    let end = closes.last().map_or(0, |&(at, _)| at);
    (limit, begun + ms(end))
}

fn limit(closes: &[(u64, u64)]) -> Option<Duration> {
    let (limit, now) = after(closes);
    limit.limit(now)
}

#[test]
fn two_closes_after_the_same_idle_time_teach_it() {
    assert_eq!(limit(&[(0, 1000)]), None);
    assert_eq!(limit(&[(0, 1010), (2000, 1000)]), Some(ms(900)));
    assert_eq!(limit(&[(0, 60_000), (90_000, 60_010)]), Some(SECOND * 54));
    assert_eq!(limit(&[(0, 1000), (2000, 1500)]), None);
}

#[test]
fn closes_at_one_moment_are_one() {
    assert_eq!(limit(&[(0, 1000), (5, 1005), (20, 1020)]), None);
    assert_eq!(
        limit(&[(0, 1000), (5, 1005), (2000, 1000), (2003, 1003)]),
        Some(ms(900))
    );
}

#[test]
fn a_restart_teaches_nothing_and_costs_nothing() {
    assert_eq!(limit(&[(0, 300), (1, 5000), (2, 40_000)]), None);
    assert_eq!(
        limit(&[(0, 700), (1, 5000), (9000, 700), (9001, 3000)]),
        None
    );
    let learnt = [(0, 5000), (9000, 5000), (20_000, 700), (20_001, 3000)];
    assert_eq!(limit(&learnt), Some(ms(4500)));
    let by_chance = [(0, 700), (9000, 700), (9001, 3000)];
    assert_eq!(limit(&by_chance), None, "the first of them seemed to agree");
}

#[test]
fn a_few_that_were_seen_late_do_not_spoil_a_moment() {
    let closes = [(0, 1000), (9000, 1000), (9001, 1003), (9020, 1300)];
    assert_eq!(limit(&closes), Some(ms(900)));
    let closes = [(0, 1000), (9000, 1300), (9001, 1000), (9020, 1010)];
    assert_eq!(limit(&closes), Some(ms(900)));
}

#[test]
fn what_is_too_short_to_stay_below_is_no_timeout() {
    assert_eq!(limit(&[(0, 10), (1000, 10), (2000, 12)]), None);
}

#[test]
fn a_shorter_timeout_replaces_a_longer_one() {
    let closes = [(0, 5000), (9000, 5000), (20_000, 1000), (30_000, 1000)];
    assert_eq!(limit(&closes), Some(ms(900)));
    assert_eq!(limit(&closes[..3]), Some(ms(4500)), "one may be chance");
}

#[test]
fn a_longer_timeout_replaces_a_shorter_one_slowly() {
    let mut closes = vec![(0, 1000), (9000, 1000), (20_000, 1000)];
    assert_eq!(limit(&closes), Some(ms(900)));
    closes.push((30_000, 5000));
    assert_eq!(limit(&closes), Some(ms(900)));
    closes.push((40_000, 5000));
    assert_eq!(limit(&closes), Some(ms(4500)));
}

#[test]
fn connections_that_live_longer_make_it_forgotten() {
    let (mut limit, now) = after(&[(0, 1000), (9000, 1000), (20_000, 1000)]);
    limit.open(ms(1050));
    limit.open(ms(900));
    assert!(limit.limit(now).is_some());
    limit.open(ms(1200));
    assert!(limit.limit(now).is_some(), "one survivor is not enough");
    limit.open(ms(1200));
    assert_eq!(limit.limit(now), None);
}

#[test]
fn what_was_long_not_seen_is_forgotten() {
    let (limit, now) = after(&[(0, 1000), (9000, 1000)]);
    assert!(limit.limit(now + FORGOTTEN_AFTER - SECOND).is_some());
    assert_eq!(limit.limit(now + FORGOTTEN_AFTER), None);
}

#[test]
fn a_response_may_tell() {
    let tells = |value: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(KEEP_ALIVE, value.parse().unwrap());
        told(&headers)
    };
    assert_eq!(tells("timeout=1"), Some(ms(900)));
    assert_eq!(tells("max=100, Timeout = \"60\""), Some(SECOND * 54));
    assert_eq!(tells("timeout=0"), Some(Duration::ZERO));
    assert_eq!(tells("timeout=5, timeout=2"), Some(ms(1800)));
    for none in ["max=5", "timeout", "timeout=soon", "timeout=-1", ""] {
        assert_eq!(tells(none), None, "{none}");
    }
    assert_eq!(told(&HeaderMap::new()), None);
}

proptest! {
    /// Whatever came before: the endpoint's own timeout is learnt, with jitter, and held.
    #[test]
    fn a_steady_timeout_is_always_learnt(
        noise in prop::collection::vec((0..100_000_u64, 0..100_000_u64), 0..20),
        timeout in 300..80_000_u64,
        jitter in prop::collection::vec(0..25_u64, 8),
    ) {
        let begun = Instant::now();
        let mut limit = IdleLimit::default();
        let mut now = begun;
        for (pause, idle) in noise {
            now += ms(pause);
            limit.closed(ms(idle), now);
        }
        for jitter in jitter {
            now += ms(timeout + 1000);
            limit.closed(ms(timeout + jitter), now);
        }
        let learnt = limit.limit(now).unwrap();
        prop_assert!(learnt <= less_a_margin(ms(timeout + 25)), "{learnt:?}");
        prop_assert!(learnt >= less_a_margin(ms(timeout)) * 8 / 10, "{learnt:?}");
    }

    /// One restart, however many connections it ends, never teaches anything.
    #[test]
    fn a_single_moment_teaches_nothing(
        closes in prop::collection::vec((0..99_u64, 0..100_000_u64), 0..50),
    ) {
        let begun = Instant::now();
        let mut limit = IdleLimit::default();
        let mut closes = closes;
        closes.sort_unstable();
        for (at, idle) in closes {
            limit.closed(ms(idle), begun + ms(at));
            prop_assert_eq!(limit.limit(begun + ms(at)), None);
        }
    }

    /// Never longer than what was told or seen, and at least half of it.
    #[test]
    fn a_limit_is_below_its_timeout_and_useful(timeout in 250..1_000_000_u64) {
        let limit = less_a_margin(ms(timeout));
        prop_assert!(limit < ms(timeout));
        prop_assert!(limit * 2 >= ms(timeout));
    }
}
