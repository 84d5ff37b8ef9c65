//! Answers that are not there at once, as those of a network are not.

use benches::{
    measure,
    service::{Later, subject_later},
    table,
};

use super::subjects::{OURS_HEDGE, TOWER_HEDGE, hedge, tower_hedge};

pub(super) fn hedges() -> String {
    let measured = measure(vec![
        subject_later("bare service", Later),
        subject_later(OURS_HEDGE, hedge(Later)),
        subject_later(TOWER_HEDGE, tower_hedge(Later)),
    ]);
    table("hedge, answer at the second poll", &measured, TOWER_HEDGE)
}
