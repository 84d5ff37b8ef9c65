//! The budget's cores against a plain model and against their bound, over histories with prices,
//! refunds, and clocks that jump both ways.

use proptest::prelude::*;

#[path = "../../src/bucket.rs"]
#[allow(
    dead_code,
    reason = "the cores are compiled again, to be driven by hand"
)]
mod bucket;
#[path = "../../src/checkpoints.rs"]
mod checkpoints;
#[path = "../../src/lanes/sum.rs"]
mod lanes;
#[path = "../../src/ledger.rs"]
#[allow(dead_code, reason = "a part is covered elsewhere")]
mod ledger;
mod reference;
#[path = "../../src/sync.rs"]
#[allow(unused_imports, reason = "the crate has them all")]
mod sync;

mod by_hand;

use bucket::{MAX_PER_SECOND, Rates, TOKEN};
use ledger::{Ledger, Terms};
use reference::Reference;

#[derive(Clone, Debug)]
enum Step {
    Forward(u64),
    Back(u64),
    Deposit(u32),
    Fail(u32),
    Withdraw(i64),
    /// That of the withdrawals that can still be refunded.
    Refund(usize),
    Look,
}

fn step() -> impl Strategy<Value = Step> {
    let price = prop_oneof![
        Just(TOKEN),
        Just(5 * TOKEN),
        Just(10 * TOKEN),
        1..=10 * TOKEN
    ];
    prop_oneof![
        2 => (0..2_000_000_000_u64).prop_map(Step::Forward),
        1 => (0..1_000_u64).prop_map(Step::Forward),
        1 => (0..10_000_000_000_u64).prop_map(Step::Back),
        3 => (0..40_u32).prop_map(Step::Deposit),
        2 => (0..40_u32).prop_map(Step::Fail),
        6 => price.prop_map(Step::Withdraw),
        2 => any::<usize>().prop_map(Step::Refund),
        1 => Just(Step::Look),
    ]
}

fn terms() -> impl Strategy<Value = Terms> {
    let per_second = prop_oneof![0..=10 * TOKEN as u64, 0..=MAX_PER_SECOND];
    let saved = (10..30_i64, 0..100_i64);
    let window = prop_oneof![
        10_000_000..1_000_000_000_u64,
        10_000_000..20_000_000_000_u64
    ];
    let all = (
        0..=10 * TOKEN,
        per_second,
        saved,
        window,
        1..=TOKEN,
        any::<bool>(),
    );
    all.prop_map(
        |(per_success, per_second, (reserve, more), window, cheapest, follow_success)| Terms {
            rates: Rates {
                per_success,
                per_second,
                burst: (reserve + more) * TOKEN,
            },
            reserve: reserve * TOKEN,
            window,
            cheapest,
            follow_success,
        },
    )
}

/// What has happened up to a moment.
#[derive(Clone, Copy)]
struct Moment {
    /// Prices taken, less those given back.
    taken: i128,
    funded: u64,
    accrued: i128,
    /// What could be saved when the next withdrawal was granted.
    cap: i64,
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_does_what_a_plain_model_does_and_keeps_the_bound_over_any_window(
        terms in terms(),
        steps in prop::collection::vec(step(), 1..150),
    ) {
        let (ledger, mut model) = (Ledger::new(terms), Reference::new(terms));
        let (mut now, mut unsent, mut taken) = (0_u64, Vec::new(), 0);
        let mut history = Vec::new();
        for step in steps {
            match step {
                Step::Forward(nanos) => now += nanos,
                Step::Back(nanos) => now = now.saturating_sub(nanos),
                Step::Deposit(count) => for _ in 0..count {
                    ledger.deposit();
                    model.deposit();
                },
                Step::Fail(count) => for _ in 0..count {
                    ledger.failed();
                    model.failed();
                },
                Step::Withdraw(base) => {
                    let (_, cap) = model.state(now);
                    let outcome = ledger.withdraw(base, now);
                    prop_assert_eq!(outcome, model.withdraw(base, now));
                    let price = outcome.unwrap_or(0);
                    history.push(Moment {
                        taken,
                        funded: ledger.outcomes().funded,
                        accrued: model.accrued(),
                        cap: if outcome.is_ok() { cap } else { terms.rates.burst },
                    });
                    taken += i128::from(price);
                    unsent.extend(outcome.ok());
                }
                Step::Refund(index) if !unsent.is_empty() => {
                    let price = unsent.swap_remove(index % unsent.len());
                    ledger.refund(price);
                    model.refund(price);
                    taken -= i128::from(price);
                }
                Step::Refund(_) => {}
                Step::Look => {
                    let (balance, _) = model.state(now);
                    let looks = ledger.looks_affordable(|| now);
                    prop_assert!(!looks || balance >= terms.cheapest, "{balance}");
                }
            }
            let (conditions, balance) = ledger.state(now);
            prop_assert_eq!((balance, conditions.cap), model.state(now));
            prop_assert!(balance >= 0);
        }
        let (_, cap) = model.state(now);
        let funded = ledger.outcomes().funded;
        history.push(Moment { taken, funded, accrued: model.accrued(), cap });
        // What is taken from one withdrawal to before another.
        for (index, from) in history.iter().enumerate() {
            for (end, to) in history[index..].iter().enumerate().skip(1) {
                let last = &history[index + end - 1];
                let funded = i128::from(last.funded - from.funded);
                let paid = funded * i128::from(terms.rates.per_success);
                let accrued = last.accrued - from.accrued;
                prop_assert!(to.taken - from.taken <= paid + accrued + i128::from(from.cap));
            }
        }
    }

    #[test]
    fn no_argument_makes_it_panic(
        terms in terms(),
        burst in 1..=i64::from(u32::MAX),
        window in any::<u64>(),
        times in prop::collection::vec(any::<u64>(), 1..20),
    ) {
        let rates = Rates { burst: terms.reserve.max(burst * TOKEN), ..terms.rates };
        let ledger = Ledger::new(Terms { rates, window, ..terms });
        for now in times {
            let _ = ledger.withdraw(TOKEN, now);
            ledger.deposit();
            ledger.failed();
            ledger.looks_affordable(|| now);
            let (conditions, balance) = ledger.state(now);
            prop_assert!((0..=conditions.cap).contains(&balance));
        }
    }
}
