//! The memory of all bodies under every interleaving that loom can think of.

use loom::thread;

mod sync {
    pub(crate) use loom::sync::atomic::*;
}

#[allow(
    dead_code,
    unreachable_pub,
    reason = "the core is compiled a second time, with loom's atomics"
)]
#[path = "../src/http/memory.rs"]
mod memory;

use memory::{BodyMemory, Charge};

/// Three threads, with as many preemptions as take a second or so.
fn model_of_three(run: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(run);
}

fn spawn<T: 'static>(
    memory: &BodyMemory,
    run: impl FnOnce(&BodyMemory, Charge) -> T + 'static,
) -> thread::JoinHandle<T> {
    let memory = memory.clone();
    thread::spawn(move || {
        let charge = memory.charge();
        run(&memory, charge)
    })
}

#[test]
fn what_is_left_goes_to_one_of_two_bodies() {
    loom::model(|| {
        let memory = BodyMemory::new(100);
        let other = spawn(&memory, |_, mut charge| charge.grow(60).then_some(charge));
        let mut charge = memory.charge();
        let mine = charge.grow(60);
        let theirs = other.join().unwrap();
        assert!(mine ^ theirs.is_some());
        assert_eq!((memory.used(), memory.refused()), (60, 1));
    });
}

#[test]
fn it_is_never_above_the_limit_not_even_for_a_moment() {
    model_of_three(|| {
        let memory = BodyMemory::new(100);
        let others = [70, 80].map(|bytes| {
            spawn(&memory, move |_, mut charge| {
                charge.grow(bytes);
                charge.grow(10);
            })
        });
        assert!(memory.used() <= 100);
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(memory.used(), 0);
    });
}

#[test]
fn what_one_body_gives_back_another_can_have() {
    loom::model(|| {
        let memory = BodyMemory::new(100);
        let mut charge = memory.charge();
        assert!(charge.grow(100));
        let other = spawn(&memory, |_, mut charge| {
            while !charge.grow(40) {
                thread::yield_now();
            }
            charge
        });
        charge.shrink(50);
        let theirs = other.join().unwrap();
        assert_eq!(memory.used(), 90);
        drop(charge);
        assert_eq!(memory.used(), 40);
        drop(theirs);
        assert_eq!(memory.used(), 0);
    });
}

#[test]
fn nothing_is_lost_between_bodies_that_come_and_go() {
    model_of_three(|| {
        let memory = BodyMemory::new(100);
        let others = [(); 2].map(|()| {
            spawn(&memory, |memory, mut charge| {
                assert!(charge.grow(30), "there is enough for all");
                charge.release();
                assert!(memory.used() <= 70, "its own 30 are back");
            })
        });
        let mut charge = memory.charge();
        assert!(charge.grow(40));
        for other in others {
            other.join().unwrap();
        }
        assert_eq!((memory.used(), memory.refused()), (40, 0));
    });
}
