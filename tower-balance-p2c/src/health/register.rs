//! The endpoints that are not like the others: who is ejected, who is being probed, who is on
//! probation, and who has just joined. No clock and no randomness: both come in.
//!
//! Cases behind a lock, which requests take only for an endpoint that has one or is about to:
//! `next_due` and the endpoint's own word tell the others that there is nothing to do.

use std::{
    fmt,
    sync::{Arc, PoisonError, TryLockError},
};

use super::{
    EjectionNanos, EjectionReason, State,
    case::Stage,
    cases::{CaseMut, Cases, Locked, Releases},
    evidence::judge,
    report::{Report, Surroundings, Ticket},
    standing::{Spared, Standing},
};
use crate::{
    outcomes::Outcomes,
    sync::{AtomicU64, Mutex, Ordering},
};

/// Whom the register knows.
pub(crate) trait Member {
    fn standing(&self) -> &Standing;
    fn outcomes(&self) -> &Outcomes;
    fn spared(&self) -> &Spared;
}

pub(crate) struct Register<M: ?Sized> {
    pub(super) settings: EjectionNanos,
    pub(super) next_due: AtomicU64,
    /// Until when nobody gets what is due, so that it is a part of the requests.
    pub(super) not_before: AtomicU64,
    ejected: AtomicU64,
    members: AtomicU64,
    /// One while too few endpoints can be used to leave any alone.
    panicking: AtomicU64,
    cases: Mutex<Cases<M>>,
}

impl<M: Member + ?Sized> Register<M> {
    pub(crate) fn new(settings: EjectionNanos) -> Self {
        Self {
            settings,
            next_due: AtomicU64::new(NEVER),
            not_before: AtomicU64::new(0),
            ejected: AtomicU64::new(0),
            members: AtomicU64::new(0),
            panicking: AtomicU64::new(0),
            cases: Mutex::new(Cases::new()),
        }
    }

    pub(crate) fn window(&self) -> u64 {
        self.settings.window
    }

    pub(crate) fn ejected(&self) -> usize {
        self.ejected.load(Ordering::Relaxed) as usize
    }

    pub(crate) fn is_panicking(&self) -> bool {
        self.panicking.load(Ordering::Relaxed) != 0 && self.ejected() > 0
    }

    /// Looks whether so many endpoints that can be used are enough.
    pub(crate) fn weigh(&self, usable: usize) -> bool {
        let members = self.members.load(Ordering::Relaxed);
        let panics = self.ejected() > 0 && (usable as f64) < members as f64 * self.settings.panic;
        if panics != self.is_panicking() {
            self.panicking.store(panics.into(), Ordering::Relaxed);
        }
        panics
    }

    pub(crate) fn set_members(&self, members: usize) {
        self.members.store(members as u64, Ordering::Relaxed);
    }

    /// The endpoint is no longer in the set.
    pub(crate) fn leave(&self, member: &Arc<M>) {
        let mut cases = self.lock();
        if cases.close(member).is_some_and(|case| case.is_ejected()) {
            self.ejected.fetch_sub(1, Ordering::Relaxed);
        }
        member.standing().set(State::Gone);
    }

    /// The request of `ticket` was a success. Only to be told of an endpoint that is not admitted.
    pub(crate) fn succeeded(&self, member: &Arc<M>, ticket: Ticket, now: u64) -> Option<Report> {
        let mut cases = self.lock();
        let mut case = current(&mut cases, member, ticket)?;
        match &mut case.stage {
            // Another may have been given up since.
            Stage::Probing | Stage::Ejected if ticket.probe.is_some() => {
                // Stragglers from before are not held against it.
                member.outcomes().forgive();
                self.ejected.fetch_sub(1, Ordering::Relaxed);
                case.begin_probation(member.standing());
                Some(Report::Readmitted)
            }
            Stage::Probation(probation) => {
                if probation.succeeded(member.standing()) {
                    case.stage = Stage::Recovered;
                    case.due = now.saturating_add(case.nanos.max(self.settings.window));
                    Some(Report::Recovered)
                } else {
                    None
                }
            }
            _ => None,
        }
    }

    /// The request of `ticket` was a failure, and the endpoint's outcomes know it already.
    pub(crate) fn failed(
        &self,
        member: &Arc<M>,
        ticket: Ticket,
        around: Surroundings,
    ) -> Option<Report> {
        if self.settings.max_ejected == 0.0 {
            return None;
        }
        let was_admitted = member.standing().is_admitted();
        let accident = if was_admitted {
            let (failing, now) = (around.failing, around.now);
            Some(judge(member.outcomes(), failing, &self.settings, now)?)
        } else {
            None
        };
        let mut cases = self.lock();
        let is_current = ticket.ejections == member.standing().ejections();
        // Where probation has just ended it was not judged.
        if !is_current || member.standing().is_admitted() != was_admitted {
            return None;
        }
        if let Some(reason) = accident {
            return self.eject(&mut cases, member, reason, None, around);
        }
        let least = 1.0 - self.settings.most_failing(around.failing);
        let mut case = current(&mut cases, member, ticket)?;
        let reason = match &mut case.stage {
            Stage::Probing | Stage::Ejected if ticket.probe.is_some() => EjectionReason::Probe,
            Stage::Probation(probation) => {
                if !probation.failed(least) {
                    return None;
                }
                EjectionReason::Relapse
            }
            _ => return None,
        };
        drop(case);
        self.eject(&mut cases, member, reason, None, around)
    }

    /// The endpoint asks to be left alone for so many nanoseconds.
    pub(crate) fn pushed_back(
        &self,
        member: &Arc<M>,
        ticket: Ticket,
        nanos: u64,
        around: Surroundings,
    ) -> Option<Report> {
        if self.settings.max_ejected == 0.0 {
            return None;
        }
        let nanos = nanos.min(self.settings.max_pushback);
        let mut cases = self.lock();
        if nanos == 0 || ticket.ejections != member.standing().ejections() {
            return None;
        }
        let reason = EjectionReason::Pushback;
        self.eject(&mut cases, member, reason, Some(nanos), around)
    }

    /// A probe has ended without a verdict: its place is free, unless another has taken it. If it
    /// has `hung` the next one waits as after one that failed, else it may come at once, and later
    /// each time.
    pub(crate) fn unproven(
        &self,
        member: &Arc<M>,
        ticket: Ticket,
        hung: bool,
        around: Surroundings,
    ) {
        let now = around.now;
        let mut cases = self.lock();
        let Some(mut case) = current(&mut cases, member, ticket) else {
            return;
        };
        let is_last = ticket.probe == Some(member.standing().probe());
        if is_last && matches!(case.stage, Stage::Probing) {
            case.stage = Stage::Ejected;
            let pause = if hung {
                let (nanos, row) = self.length(case.row, around);
                (case.nanos, case.row) = (nanos, row);
                nanos
            } else {
                case.pause()
            };
            case.due = now.saturating_add(pause);
            if pause == 0 {
                self.not_before.store(now, Ordering::Relaxed);
            }
            member.standing().set(State::Ejected);
        }
    }

    /// When the ejections of those that are ejected now are over.
    pub(crate) fn releases(&self) -> Releases {
        if self.ejected() == 0 {
            return Releases::default();
        }
        self.lock().releases()
    }

    fn eject(
        &self,
        cases: &mut Cases<M>,
        member: &Arc<M>,
        reason: EjectionReason,
        nanos: Option<u64>,
        around: Surroundings,
    ) -> Option<Report> {
        if member.standing().state() == State::Gone {
            return None;
        }
        let is_out = cases.find(member).is_some_and(|case| case.is_ejected());
        let members = self.members.load(Ordering::Relaxed) as usize;
        if !is_out && self.ejected() >= self.settings.most_ejected(members) {
            // Once in a while, and not for each request that fails meanwhile.
            let is_news = member.spared().is_news(around.now, self.settings.window);
            return is_news.then_some(Report::Spared(reason));
        }
        let mut case = cases.open(member, Stage::Ejected, NEVER);
        if reason == EjectionReason::Relapse {
            // A probe had gone well: it is worth asking again soon.
            case.row = case.row.saturating_sub(STEPS_BACK);
        }
        let (least, next) = self.length(case.row, around);
        if nanos.is_none() || is_out {
            case.row = next;
        }
        case.unproven = 0;
        // Who asks for a moment only must not be probed by each request.
        let nanos = nanos.unwrap_or(0).max(least);
        case.stage = Stage::Ejected;
        case.nanos = nanos;
        case.due = around.now.saturating_add(nanos);
        if !is_out && self.ejected.fetch_add(1, Ordering::Relaxed) == 0 {
            // What was so the last time that anybody was ejected is long over.
            self.panicking.store(0, Ordering::Relaxed);
        }
        member.standing().count_ejection();
        member.standing().set(State::Ejected);
        member.outcomes().forgive();
        Some(Report::Ejected { reason, nanos })
    }

    /// Of an ejection that follows so many, and how many that makes.
    fn length(&self, row: u32, around: Surroundings) -> (u64, u32) {
        let Surroundings { rate, chance, .. } = around;
        let (longest, next) = self.settings.length(row, rate);
        ((longest as f64 * (1.0 - chance * JITTER)) as u64, next)
    }

    pub(super) fn lock(&self) -> Locked<'_, M> {
        // Nothing between the lock and its release can leave the cases half done.
        let cases = self.cases.lock().unwrap_or_else(PoisonError::into_inner);
        Locked::new(cases, &self.next_due)
    }

    /// Unless somebody else has it.
    pub(super) fn try_lock(&self) -> Option<Locked<'_, M>> {
        let cases = match self.cases.try_lock() {
            Ok(cases) => cases,
            Err(TryLockError::Poisoned(error)) => error.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        Some(Locked::new(cases, &self.next_due))
    }
}

/// The case of a member, unless the ticket is from before its last ejection.
fn current<'a, M: Member + ?Sized>(
    cases: &'a mut Cases<M>,
    member: &Arc<M>,
    ticket: Ticket,
) -> Option<CaseMut<'a, M>> {
    if ticket.ejections != member.standing().ejections() {
        return None;
    }
    cases.find(member)
}

/// Ejections are up to a fifth shorter, at random.
const JITTER: f64 = 0.2;
/// From one ejection to one of the same length, and to half of that.
const STEPS_BACK: u32 = 2;
pub(super) const NEVER: u64 = u64::MAX;

impl<M: ?Sized> fmt::Debug for Register<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Register")
            .field("ejected", &self.ejected.load(Ordering::Relaxed))
            .finish_non_exhaustive()
    }
}
