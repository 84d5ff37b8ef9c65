//! The bucket against a plain model, over histories with clocks that jump both ways.

use proptest::prelude::*;

mod sync {
    pub(crate) use std::sync::atomic::*;
}

#[allow(
    dead_code,
    reason = "the core is compiled a second time, to be driven by hand"
)]
#[path = "../src/bucket.rs"]
mod bucket;

use bucket::{Bucket, MAX_PER_SECOND, TOKEN};

#[derive(Clone, Debug)]
enum Step {
    Forward(u64),
    Back(u64),
    Deposit,
    Withdraw,
    Refund,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..5_000_000_000_u64).prop_map(Step::Forward),
        (0..1_000_u64).prop_map(Step::Forward),
        (0..10_000_000_000_u64).prop_map(Step::Back),
        Just(Step::Deposit),
        Just(Step::Deposit),
        Just(Step::Withdraw),
        Just(Step::Withdraw),
        Just(Step::Withdraw),
        Just(Step::Refund),
    ]
}

/// One number, capped at each step, and time that never goes back.
struct Model {
    balance: i128,
    capacity: i128,
    per_deposit: i128,
    per_second: i128,
    latest: u64,
}

impl Model {
    fn add(&mut self, amount: i128) {
        self.balance = (self.balance + amount).min(self.capacity);
    }

    fn withdraw(&mut self, now: u64) -> bool {
        let now = now.max(self.latest);
        self.add(self.accrued(now) - self.accrued(self.latest));
        self.latest = now;
        let granted = self.balance >= i128::from(TOKEN);
        if granted {
            self.balance -= i128::from(TOKEN);
        }
        granted
    }

    fn accrued(&self, now: u64) -> i128 {
        i128::from(now) * self.per_second / 1_000_000_000
    }
}

#[derive(Clone, Copy, Default)]
struct Totals {
    /// The latest time that a withdrawal has seen.
    time: u64,
    /// Tokens taken, less those given back.
    taken: i128,
    deposits: i128,
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_does_what_a_plain_model_does_and_keeps_the_bound_over_any_window(
        burst in 1..40_i64,
        per_deposit in 0..=10 * TOKEN,
        per_second in prop_oneof![0..=10 * TOKEN as u64, 0..=MAX_PER_SECOND],
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let capacity = burst * TOKEN;
        let bucket = Bucket::new(capacity, per_deposit, per_second);
        let mut model = Model {
            balance: capacity.into(),
            capacity: capacity.into(),
            per_deposit: per_deposit.into(),
            per_second: per_second.into(),
            latest: 0,
        };
        let (mut now, mut unsent) = (0_u64, 0);
        let mut totals = Totals::default();
        let mut history = vec![totals];
        for step in steps {
            match step {
                Step::Forward(nanos) => now += nanos,
                Step::Back(nanos) => now = now.saturating_sub(nanos),
                Step::Deposit => {
                    bucket.deposit();
                    model.add(model.per_deposit);
                    totals.deposits += 1;
                }
                Step::Withdraw => {
                    let granted = bucket.withdraw(now).is_ok();
                    prop_assert_eq!(granted, model.withdraw(now));
                    unsent += u32::from(granted);
                    totals.taken += i128::from(granted);
                    totals.time = totals.time.max(now);
                }
                Step::Refund if unsent > 0 => {
                    bucket.refund();
                    model.add(TOKEN.into());
                    unsent -= 1;
                    totals.taken -= 1;
                }
                Step::Refund => {}
            }
            prop_assert_eq!(i128::from(bucket.balance(model.latest)), model.balance);
            prop_assert!(bucket.balance(now) <= capacity);
            history.push(totals);
        }
        for (index, from) in history.iter().enumerate() {
            for to in &history[index..] {
                let paid = model.per_deposit * (to.deposits - from.deposits);
                let accrued = model.accrued(to.time) - model.accrued(from.time);
                let taken = i128::from(TOKEN) * (to.taken - from.taken);
                prop_assert!(taken <= paid + accrued + model.capacity);
            }
        }
    }

    #[test]
    fn a_refill_loses_nothing_to_rounding(
        per_second in 0..=10 * TOKEN as u64,
        mut times in prop::collection::vec(0..100_000_000_000_u64, 1..100),
    ) {
        // Room for all that accrues, so that only rounding could lose any.
        let bucket = Bucket::new(1_200 * TOKEN, 0, per_second);
        for _ in 0..1_100 {
            prop_assert!(bucket.withdraw(0).is_ok());
        }
        times.sort_unstable();
        let mut taken = 0;
        for now in &times {
            taken += i64::from(bucket.withdraw(*now).is_ok());
        }
        let last = times.last().copied().unwrap_or_default();
        let accrued = (u128::from(last) * u128::from(per_second) / 1_000_000_000) as i64;
        prop_assert_eq!(bucket.balance(last), 100 * TOKEN + accrued - taken * TOKEN);
    }

    #[test]
    fn no_argument_makes_it_panic(
        capacity in 1..=i64::from(u32::MAX) * TOKEN,
        per_deposit in 0..=10 * TOKEN,
        per_second in 0..=MAX_PER_SECOND,
        times in prop::collection::vec(any::<u64>(), 1..20),
    ) {
        let bucket = Bucket::new(capacity, per_deposit, per_second);
        for now in times {
            let _ = bucket.withdraw(now);
            bucket.deposit();
            prop_assert!((0..=capacity).contains(&bucket.balance(now)));
        }
    }
}

#[test]
fn the_rate_is_exact_over_ten_minutes_of_odd_steps() {
    let bucket = Bucket::new(TOKEN, 0, 10 * TOKEN as u64);
    bucket.withdraw(0).unwrap();
    let (mut now, mut granted) = (0, 0);
    while now < 600 * 1_000_000_000 {
        now += 1_003_000;
        granted += u32::from(bucket.withdraw(now).is_ok());
    }
    // The burst of one token loses what accrues above it before the next look.
    assert!((5_940..=6_000).contains(&granted), "{granted}");
}

#[test]
fn a_jump_of_the_clock_and_back_costs_no_tokens() {
    let bucket = Bucket::new(2 * TOKEN, TOKEN / 5, 10 * TOKEN as u64);
    bucket.withdraw(0).unwrap();
    bucket.withdraw(3_600_000_000_000).unwrap();
    bucket.withdraw(1_000).unwrap();
    assert!(bucket.withdraw(1_000).is_err());
    for _ in 0..5 {
        bucket.deposit();
    }
    bucket.withdraw(1_000).unwrap();
}

#[test]
fn where_nothing_is_withdrawn_deposits_do_not_pile_up() {
    // As large as if there had been many.
    let bucket = Bucket::new(TOKEN, i64::MAX / 8, 0);
    for _ in 0..10 {
        bucket.deposit();
    }
    bucket.withdraw(0).unwrap();
    assert!(bucket.withdraw(0).is_err());
}

#[test]
fn a_month_of_idling_is_one_step_and_fills_it_once() {
    let month = 30 * 86_400 * 1_000_000_000;
    let bucket = Bucket::new(3 * TOKEN, TOKEN, TOKEN as u64);
    for start in [0, month, 100 * month] {
        assert!((0..3).all(|_| bucket.withdraw(start).is_ok()));
        assert!(bucket.withdraw(start).is_err());
    }
}
