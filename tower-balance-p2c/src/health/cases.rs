//! The cases of a register: each is found by its endpoint and by when it is due, in steps that grow
//! with the logarithm of their number. In an outage a set of ten thousand has thousands.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::{Deref, DerefMut},
    sync::Arc,
};

use super::{
    case::{Case, Stage},
    register::NEVER,
};
use crate::sync::{AtomicU64, MutexGuard, Ordering};

pub(super) struct Cases<M: ?Sized> {
    by_endpoint: BTreeMap<Address, Filed<M>>,
    by_due: BTreeSet<Place>,
    opened: u64,
}

/// The cases under their lock. Who releases it says when somebody is to be owed a request.
pub(super) struct Locked<'a, M: ?Sized> {
    cases: MutexGuard<'a, Cases<M>>,
    next_due: &'a AtomicU64,
}

/// When the ejections are over of those that were ejected at one moment.
#[derive(Debug, Default)]
pub(crate) struct Releases {
    /// In the order of the addresses.
    due: Vec<(Address, u64)>,
}

/// Of an endpoint: nobody else's while there is a case, which refers to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Address(usize);

/// A case that may be changed. When it is dropped it goes to its new place among those that are due.
pub(super) struct CaseMut<'a, M: ?Sized> {
    filed: &'a mut Filed<M>,
    by_due: &'a mut BTreeSet<Place>,
}

struct Filed<M: ?Sized> {
    case: Case<M>,
    place: Place,
}

/// Of those that are due at one time the one that was opened first comes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    due: u64,
    opened: u64,
    of: Address,
}

impl<M: ?Sized> Cases<M> {
    pub(super) fn new() -> Self {
        Self {
            by_endpoint: BTreeMap::new(),
            by_due: BTreeSet::new(),
            opened: 0,
        }
    }

    pub(super) fn find(&mut self, member: &Arc<M>) -> Option<CaseMut<'_, M>> {
        self.at(Address::of(member))
    }

    /// The endpoint's case, or a new one.
    pub(super) fn open(&mut self, member: &Arc<M>, stage: Stage, due: u64) -> CaseMut<'_, M> {
        let of = Address::of(member);
        let filed = self.by_endpoint.entry(of).or_insert_with(|| {
            self.opened += 1;
            let place = Place {
                due,
                opened: self.opened,
                of,
            };
            self.by_due.insert(place);
            Filed {
                case: Case::new(member, stage, due),
                place,
            }
        });
        CaseMut {
            filed,
            by_due: &mut self.by_due,
        }
    }

    pub(super) fn close(&mut self, member: &Arc<M>) -> Option<Case<M>> {
        let Filed { case, place } = self.by_endpoint.remove(&Address::of(member))?;
        self.by_due.remove(&place);
        Some(case)
    }

    /// The one that is due first, unless that is later than `now`.
    pub(super) fn first_due(&mut self, now: u64) -> Option<CaseMut<'_, M>> {
        let first = self.by_due.first().filter(|place| place.due <= now)?;
        self.at(first.of)
    }

    /// Likewise, and forgets it.
    pub(super) fn close_first(&mut self) {
        if let Some(Place { of, .. }) = self.by_due.pop_first() {
            self.by_endpoint.remove(&of);
        }
    }

    pub(super) fn next_due(&self) -> Option<u64> {
        Some(self.by_due.first()?.due)
    }

    pub(super) fn releases(&self) -> Releases {
        let filed = self.by_endpoint.iter();
        let ejected = filed.filter(|(_, filed)| matches!(filed.case.stage, Stage::Ejected));
        Releases {
            due: ejected.map(|(&of, filed)| (of, filed.case.due)).collect(),
        }
    }

    fn at(&mut self, of: Address) -> Option<CaseMut<'_, M>> {
        Some(CaseMut {
            filed: self.by_endpoint.get_mut(&of)?,
            by_due: &mut self.by_due,
        })
    }
}

impl Address {
    fn of<M: ?Sized>(member: &Arc<M>) -> Self {
        // What a pointer to a trait object says of its type is of no interest.
        Self(Arc::as_ptr(member).cast::<()>().addr())
    }
}

impl<'a, M: ?Sized> Locked<'a, M> {
    pub(super) fn new(cases: MutexGuard<'a, Cases<M>>, next_due: &'a AtomicU64) -> Self {
        Self { cases, next_due }
    }
}

impl<M: ?Sized> Deref for Locked<'_, M> {
    type Target = Cases<M>;

    fn deref(&self) -> &Cases<M> {
        &self.cases
    }
}

impl<M: ?Sized> DerefMut for Locked<'_, M> {
    fn deref_mut(&mut self) -> &mut Cases<M> {
        &mut self.cases
    }
}

impl<M: ?Sized> Drop for Locked<'_, M> {
    fn drop(&mut self) {
        let next = self.cases.next_due().unwrap_or(NEVER);
        self.next_due.store(next, Ordering::Relaxed);
    }
}

impl Releases {
    /// `None` for one that was not ejected, or was being probed.
    pub(crate) fn of<M: ?Sized>(&self, member: &Arc<M>) -> Option<u64> {
        let of = Address::of(member);
        let index = self.due.binary_search_by_key(&of, |&(of, _)| of).ok()?;
        Some(self.due[index].1)
    }
}

impl<M: ?Sized> Deref for CaseMut<'_, M> {
    type Target = Case<M>;

    fn deref(&self) -> &Case<M> {
        &self.filed.case
    }
}

impl<M: ?Sized> DerefMut for CaseMut<'_, M> {
    fn deref_mut(&mut self) -> &mut Case<M> {
        &mut self.filed.case
    }
}

impl<M: ?Sized> Drop for CaseMut<'_, M> {
    fn drop(&mut self) {
        let Filed { case, place } = &mut *self.filed;
        if case.due != place.due {
            self.by_due.remove(place);
            place.due = case.due;
            self.by_due.insert(*place);
        }
    }
}
