//! Who is owed the next request: an ejected endpoint its probe, a newcomer its first one.

use std::sync::Arc;

use super::{Member, Register, case::Stage, register::NEVER, standing::Probe};
use crate::sync::Ordering;

impl<M: Member + ?Sized> Register<M> {
    /// An endpoint has joined others that are established. Unless it gets a request before `due`
    /// it is owed one then.
    pub(crate) fn join(&self, member: &Arc<M>, due: u64) {
        self.lock().open(member, Stage::Newcomer, due);
    }

    /// Whether somebody is owed a request. A cheap look for each of them.
    pub(crate) fn is_due(&self, now: u64) -> bool {
        self.next_due.load(Ordering::Relaxed) <= now
            && self.not_before.load(Ordering::Relaxed) <= now
    }

    /// When somebody is to be owed a request, if anybody is.
    pub(crate) fn next_due(&self) -> Option<u64> {
        let next = self.next_due.load(Ordering::Relaxed);
        (next != NEVER).then(|| next.max(self.not_before.load(Ordering::Relaxed)))
    }

    /// Finds an endpoint that is owed a request, among those for which `find` has an answer, and
    /// says which probe that is, if it is one. Nothing if somebody else is looking.
    pub(crate) fn claim<T>(
        &self,
        now: u64,
        rate: f64,
        find: impl Fn(&Arc<M>) -> Option<T>,
    ) -> Option<(T, Option<Probe>)> {
        for _ in 0..MOST_ASKED {
            let member = self.first_due(now)?;
            // Without the lock: it may ask whoever uses the balancer.
            let found = find(&member);
            let mut cases = self.lock();
            let Some(mut case) = cases.find(&member).filter(|case| case.is_due(now)) else {
                continue;
            };
            let Some(found) = found else {
                // It is not ready, or not for this request.
                case.due = now.saturating_add(LATER);
                continue;
            };
            let is_probe = case.is_ejected();
            let probe = is_probe.then(|| member.standing().begin_probe());
            if is_probe {
                case.stage = Stage::Probing;
                // One that hangs, or is a poll that waits for news, must not be the last.
                case.due = now.saturating_add(case.nanos.max(self.settings.window));
            } else {
                drop(case);
                cases.close(&member);
            }
            // Many that are due at once must not take all the requests.
            let pause = (REQUESTS_BETWEEN / rate.max(1e-9) * 1e9) as u64;
            let next = now.saturating_add(pause.min(LATER));
            self.not_before.store(next, Ordering::Relaxed);
            return Some((found, probe));
        }
        None
    }

    /// Forgets those that are owed nothing any more.
    fn first_due(&self, now: u64) -> Option<Arc<M>> {
        let mut cases = self.try_lock()?;
        for _ in 0..MOST_FORGOTTEN {
            let case = cases.first_due(now)?;
            let member = case.member.upgrade().filter(|member| match case.stage {
                // It has had its first request, or has not failed for long enough.
                Stage::Newcomer => member.outcomes().totals().total() == 0,
                Stage::Recovered => false,
                Stage::Ejected | Stage::Probing | Stage::Probation(_) => true,
            });
            if member.is_some() {
                return member;
            }
            drop(case);
            cases.close_first();
        }
        None
    }
}

/// 100 ms.
pub(super) const LATER: u64 = 100_000_000;
/// By one request, of those that are due.
const MOST_ASKED: usize = 8;
/// Likewise, of those that are owed nothing any more.
const MOST_FORGOTTEN: usize = 64;
/// Of eight requests one may be owed to somebody.
const REQUESTS_BETWEEN: f64 = 8.0;
