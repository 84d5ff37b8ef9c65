//! The bucket under every interleaving that loom can think of.

use loom::{sync::Arc, thread};

#[path = "support/loom_sync.rs"]
#[allow(dead_code, reason = "each test file uses a part")]
mod sync;

#[path = "../src/lanes/sum.rs"]
mod lanes;

#[path = "../src/bucket.rs"]
#[allow(
    dead_code,
    reason = "the core is compiled a second time, with loom's atomics"
)]
mod bucket;

use bucket::{Bucket, Rates, TOKEN};

const SECOND: u64 = 1_000_000_000;

/// Three tokens.
const BURST: i64 = 3 * TOKEN;

/// An empty bucket: a success pays one token, and so does a second.
fn empty() -> Arc<Bucket> {
    let rates = Rates {
        per_success: TOKEN,
        per_second: TOKEN as u64,
        burst: BURST,
    };
    Arc::new(Bucket::new(rates, 0))
}

/// Takes one token at this time.
fn take(bucket: &Bucket, now: u64) -> bool {
    bucket.withdraw(TOKEN, BURST, bucket.hold(now)).is_ok()
}

fn balance(bucket: &Bucket) -> i64 {
    bucket.balance(BURST, bucket.hold(0))
}

/// Three threads, with as many preemptions as take a second or so.
fn model_of_three(run: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(run);
}

fn spawn<T: 'static>(
    bucket: &Arc<Bucket>,
    run: impl FnOnce(&Bucket) -> T + 'static,
) -> thread::JoinHandle<T> {
    let bucket = Arc::clone(bucket);
    sync::spawn(move || run(&bucket))
}

#[test]
fn one_token_goes_to_one_of_two_threads() {
    loom::model(|| {
        let bucket = empty();
        bucket.deposit();
        let other = spawn(&bucket, |bucket| take(bucket, 0));
        let mine = take(&bucket, 0);
        assert!(mine ^ other.join().unwrap());
        assert_eq!(balance(&bucket), 0);
    });
}

#[test]
fn one_token_goes_to_one_of_three_threads() {
    model_of_three(|| {
        let bucket = empty();
        bucket.deposit();
        let others = [0, 0].map(|now| spawn(&bucket, move |bucket| take(bucket, now)));
        let mine = usize::from(take(&bucket, 0));
        let theirs = others.map(|other| usize::from(other.join().unwrap()));
        assert_eq!(mine + theirs[0] + theirs[1], 1);
    });
}

#[test]
fn two_prices_never_overdraw() {
    model_of_three(|| {
        let bucket = empty();
        (0..3).for_each(|_| bucket.deposit());
        let dear = spawn(&bucket, |bucket| {
            i64::from(bucket.withdraw(2 * TOKEN, BURST, 0).is_ok())
        });
        let cheap = spawn(&bucket, |bucket| i64::from(take(bucket, 0)));
        let mine = i64::from(bucket.withdraw(2 * TOKEN, BURST, 0).is_ok());
        let (dear, cheap) = (dear.join().unwrap(), cheap.join().unwrap());
        let taken = 2 * (dear + mine) + cheap;
        assert_eq!((dear + mine, cheap), (1, 1), "there was enough for two");
        assert_eq!(balance(&bucket), BURST - taken * TOKEN);
    });
}

#[test]
fn no_deposit_is_lost_beside_a_withdrawal() {
    model_of_three(|| {
        let bucket = empty();
        bucket.deposit();
        let withdrawer = spawn(&bucket, |bucket| take(bucket, 0));
        let depositor = spawn(&bucket, Bucket::deposit);
        bucket.deposit();
        depositor.join().unwrap();
        assert!(withdrawer.join().unwrap(), "there was a token all the time");
        assert_eq!(balance(&bucket), 2 * TOKEN);
    });
}

/// Each pays for its own: a withdrawal that another one gets ahead of counts anew.
#[test]
fn no_withdrawal_is_refused_for_one_that_was_paid_for() {
    loom::model(|| {
        let bucket = empty();
        bucket.deposit();
        let other = spawn(&bucket, |bucket| {
            bucket.deposit();
            assert!(take(bucket, 0), "there are two for two");
        });
        assert!(take(&bucket, 0), "there are two for two");
        other.join().unwrap();
    });
}

#[test]
fn a_refund_beside_a_withdrawal_is_neither_lost_nor_doubled() {
    loom::model(|| {
        let bucket = empty();
        let refunder = spawn(&bucket, |bucket| bucket.refund(TOKEN));
        let granted = take(&bucket, 0);
        refunder.join().unwrap();
        let again = take(&bucket, 0);
        assert!(granted ^ again);
    });
}

#[test]
fn a_refill_is_claimed_once_and_by_somebody() {
    loom::model(|| {
        let bucket = empty();
        let other = spawn(&bucket, |bucket| take(bucket, SECOND));
        let mine = take(&bucket, SECOND);
        assert!(mine ^ other.join().unwrap());
    });
}

#[test]
fn threads_that_disagree_about_the_time_share_what_has_accrued() {
    loom::model(|| {
        let bucket = empty();
        let early = spawn(&bucket, |bucket| usize::from(take(bucket, SECOND)));
        let late = usize::from(take(&bucket, 2 * SECOND));
        let mut granted = early.join().unwrap() + late;
        while take(&bucket, SECOND) {
            granted += 1;
        }
        assert_eq!(granted, 2);
    });
}

#[test]
fn a_full_bucket_never_gives_more_than_its_cap() {
    loom::model(|| {
        let bucket = empty();
        bucket.deposit();
        let depositor = spawn(&bucket, |bucket| {
            bucket.deposit();
            bucket.deposit();
        });
        let taken = |bucket: &Bucket| usize::from(bucket.withdraw(TOKEN, TOKEN, 0).is_ok());
        let first = taken(&bucket);
        depositor.join().unwrap();
        let second = taken(&bucket);
        assert_eq!(first, 1);
        assert_eq!(taken(&bucket), 0, "{} granted and one left", first + second);
    });
}

#[test]
fn settling_takes_nothing_that_is_below_the_burst() {
    model_of_three(|| {
        let bucket = empty();
        (0..4).for_each(|_| bucket.deposit());
        let settler = spawn(&bucket, Bucket::settle);
        let withdrawer = spawn(&bucket, |bucket| take(bucket, 0));
        settler.join().unwrap();
        assert!(withdrawer.join().unwrap());
        assert_eq!(balance(&bucket), 2 * TOKEN, "three of four, less one");
    });
}

#[test]
fn a_look_that_found_enough_does_not_hide_that_it_is_gone() {
    loom::model(|| {
        let bucket = empty();
        bucket.deposit();
        let taker = spawn(&bucket, |bucket| take(bucket, 0));
        let _ = bucket.still_holds() || bucket.look(TOKEN, BURST, 0);
        assert!(taker.join().unwrap());
        assert!(!bucket.still_holds());
    });
}
