//! The bucket under every interleaving that loom can think of.

use loom::{sync::Arc, thread};

mod sync {
    pub(crate) use loom::sync::atomic::*;
}

#[allow(
    dead_code,
    reason = "the core is compiled a second time, with loom's atomics"
)]
#[path = "../src/bucket.rs"]
mod bucket;

use bucket::{Bucket, TOKEN};

const SECOND: u64 = 1_000_000_000;

/// An empty bucket for three tokens: a success pays one, and so does a second.
fn empty() -> Arc<Bucket> {
    let bucket = Bucket::new(3 * TOKEN, TOKEN, TOKEN as u64);
    for _ in 0..3 {
        bucket.withdraw(0).expect("full");
    }
    Arc::new(bucket)
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
    thread::spawn(move || run(&bucket))
}

#[test]
fn one_token_goes_to_one_of_two_threads() {
    loom::model(|| {
        let bucket = empty();
        bucket.deposit();
        let other = spawn(&bucket, |bucket| bucket.withdraw(0).is_ok());
        let mine = bucket.withdraw(0).is_ok();
        assert!(mine ^ other.join().unwrap());
        assert_eq!(bucket.balance(0), 0);
    });
}

#[test]
fn one_token_goes_to_one_of_three_threads() {
    model_of_three(|| {
        let bucket = empty();
        bucket.deposit();
        let others = [0, 0].map(|now| spawn(&bucket, move |bucket| bucket.withdraw(now).is_ok()));
        let mine = usize::from(bucket.withdraw(0).is_ok());
        let theirs = others.map(|other| usize::from(other.join().unwrap()));
        assert_eq!(mine + theirs[0] + theirs[1], 1);
    });
}

#[test]
fn no_deposit_is_lost_beside_a_withdrawal() {
    model_of_three(|| {
        let bucket = empty();
        bucket.deposit();
        let withdrawer = spawn(&bucket, |bucket| bucket.withdraw(0).is_ok());
        let depositor = spawn(&bucket, Bucket::deposit);
        bucket.deposit();
        depositor.join().unwrap();
        assert!(withdrawer.join().unwrap(), "there was a token all the time");
        assert_eq!(bucket.balance(0), 2 * TOKEN);
    });
}

#[test]
fn a_refund_beside_a_withdrawal_is_neither_lost_nor_doubled() {
    loom::model(|| {
        let bucket = empty();
        let refunder = spawn(&bucket, Bucket::refund);
        let granted = bucket.withdraw(0).is_ok();
        refunder.join().unwrap();
        let again = bucket.withdraw(0).is_ok();
        assert!(granted ^ again);
    });
}

#[test]
fn a_refill_is_claimed_once_and_by_somebody() {
    loom::model(|| {
        let bucket = empty();
        let other = spawn(&bucket, |bucket| bucket.withdraw(SECOND).is_ok());
        let mine = bucket.withdraw(SECOND).is_ok();
        assert!(mine ^ other.join().unwrap());
    });
}

#[test]
fn threads_that_disagree_about_the_time_share_what_has_accrued() {
    loom::model(|| {
        let bucket = empty();
        let early = spawn(&bucket, |bucket| {
            usize::from(bucket.withdraw(SECOND).is_ok())
        });
        let late = usize::from(bucket.withdraw(2 * SECOND).is_ok());
        let mut granted = early.join().unwrap() + late;
        while bucket.withdraw(SECOND).is_ok() {
            granted += 1;
        }
        assert_eq!(granted, 2);
    });
}

#[test]
fn a_full_bucket_never_holds_more_than_its_burst() {
    loom::model(|| {
        let bucket = Arc::new(Bucket::new(TOKEN, TOKEN, 0));
        let depositor = spawn(&bucket, |bucket| {
            bucket.deposit();
            bucket.deposit();
        });
        let first = usize::from(bucket.withdraw(0).is_ok());
        depositor.join().unwrap();
        assert!(bucket.balance(0) <= TOKEN);
        let second = usize::from(bucket.withdraw(0).is_ok());
        assert_eq!(first, 1);
        assert!(
            bucket.withdraw(0).is_err(),
            "{} granted and one left",
            first + second
        );
    });
}
