//! What is known of one endpoint, and what its requests add to that.

use std::{fmt::Debug, sync::Arc, time::Duration};

use crate::{
    Event,
    common::{Common, Lens, Name},
    cost::{MOST_SILENT, Signals, cost, expected},
    flights::Flights,
    health::{Member, Probe, Spared, Standing, State, Ticket},
    latency::{Latency, float, places},
    outcomes::Outcomes,
    sync::{AtomicU64, Ordering},
    weights::level,
};

/// Belongs to a key rather than to a service: it outlives the service when discovery inserts the
/// key again.
///
/// What each choice reads of an endpoint, which is most of what each request writes, is the first
/// cache line.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Load<K: ?Sized> {
    latency: Latency,
    standing: Standing,
    /// When it was first ready, zero before; [`OLD`] for one that has not joined others.
    began: AtomicU64,
    outcomes: Outcomes,
    spared: Spared,
    /// Bits of an `f64`, in the set's unit.
    weight: AtomicU64,
    /// Where it is in the set that was made last.
    index: AtomicU64,
    pub(crate) common: Arc<Common>,
    pub(crate) key: K,
}

impl<K> Load<K> {
    /// An endpoint of a set that is new itself, or one that joins others.
    pub(crate) fn new(key: K, common: Arc<Common>, joins: bool, now: u64) -> Self {
        let window = common.register.window();
        Self {
            latency: Latency::new(now),
            standing: Standing::new(),
            began: AtomicU64::new(if joins { 0 } else { OLD }),
            outcomes: Outcomes::new(window),
            spared: Spared::new(),
            weight: AtomicU64::new(1f64.to_bits()),
            index: AtomicU64::new(u64::MAX),
            common,
            key,
        }
    }
}

impl<K: ?Sized> Load<K> {
    /// Returns the queue that there was before, in units of the weight.
    pub(crate) fn started(&self, now: u64) -> u32 {
        let patience = self.common.typical.drift();
        let before = self.flights().started(now, patience);
        level(before, self.weight()).0 as u32
    }

    pub(crate) fn weight(&self) -> f64 {
        f64::from_bits(self.weight.load(Ordering::Relaxed))
    }

    pub(crate) fn set_weight(&self, weight: f64) {
        if self.weight() != weight {
            self.weight.store(weight.to_bits(), Ordering::Relaxed);
        }
    }

    pub(crate) fn index(&self) -> usize {
        self.index.load(Ordering::Relaxed) as usize
    }

    pub(crate) fn set_index(&self, index: usize) {
        self.index.store(index as u64, Ordering::Relaxed);
    }

    pub(crate) fn flights(&self) -> &Flights {
        self.outcomes.flights()
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.flights().in_flight()
    }

    /// An answer has begun well.
    pub(crate) fn answered_well(&self, latency: u64, ahead: u32, now: u64) {
        let typical = &self.common.typical;
        typical.first(float(latency) / places(ahead));
        self.latency.record(latency, ahead, now, typical.decay());
    }

    /// A request was given up at `age`. True if that is longer than it should have taken.
    pub(crate) fn cancelled(&self, age: u64, ahead: u32, now: u64) -> bool {
        let typical = &self.common.typical;
        let (usual, drift) = (typical.per_place(), typical.drift());
        let hung = float(age) > self.per_place(now) * places(ahead);
        self.latency.record_at_least(age, ahead, usual, now, drift);
        hung
    }

    /// In units of the weight.
    pub(crate) fn queue(&self) -> f64 {
        level(self.in_flight(), self.weight()).0
    }

    /// What one more request behind this `queue` costs.
    #[inline]
    pub(crate) fn cost(&self, lens: &Lens, queue: f64) -> f64 {
        let per_place = self.latency.per_place(lens.usual, lens.now, lens.drift);
        let signals = Signals {
            per_place: per_place.unwrap_or(lens.usual),
            silence: self.flights().silence(lens.now),
            drift: lens.drift,
            queue,
            success: self.outcomes.ratio(lens.now),
        };
        cost(signals, lens.usual, lens.differences)
    }

    /// The latency that one more request may expect, in nanoseconds, and more where requests fail. An
    /// endpoint of which nothing is known lately is taken for a `usual` one.
    pub(crate) fn expected(&self, now: u64, usual: f64) -> f64 {
        let drift = self.common.typical.drift();
        let per_place = self.latency.per_place(usual, now, drift);
        let signals = Signals {
            per_place: per_place.unwrap_or(usual),
            silence: self.flights().silence(now),
            drift,
            queue: self.queue(),
            success: self.outcomes.ratio(now),
        };
        expected(signals, usual)
    }

    pub(crate) fn per_place(&self, now: u64) -> f64 {
        self.measured(now)
            .unwrap_or_else(|| self.common.typical.per_place())
    }

    /// The estimate for one place in the queue; `None` without samples.
    pub(crate) fn measured(&self, now: u64) -> Option<f64> {
        let typical = &self.common.typical;
        self.latency
            .per_place(typical.per_place(), now, typical.drift())
    }

    pub(crate) fn latency(&self) -> Option<Duration> {
        let nanos = self.latency.whole()?;
        Some(Duration::from_nanos(nanos as u64))
    }

    pub(crate) fn silence(&self, now: u64) -> Duration {
        Duration::from_nanos(self.flights().silence(now))
    }

    /// For how much of the requests the endpoint is a candidate.
    pub(crate) fn share(&self, now: u64) -> f64 {
        if !self.is_newcomer(now) {
            return 1.0;
        }
        let began = self.began.load(Ordering::Relaxed);
        self.common.slow_start.share(age(began, now))
    }

    /// Whether it has joined others, be it long ago.
    #[inline]
    pub(crate) fn joined(&self) -> bool {
        self.began.load(Ordering::Relaxed) != OLD
    }

    #[inline]
    pub(crate) fn is_newcomer(&self, now: u64) -> bool {
        let began = self.began.load(Ordering::Relaxed);
        began != OLD && age(began, now) < self.common.slow_start.window_nanos()
    }

    /// The endpoint is ready. True if it is so for the first time, and a newcomer.
    pub(crate) fn begins(&self, now: u64) -> bool {
        let is_first = self.began.load(Ordering::Relaxed) == 0;
        if is_first {
            self.began.store(now.clamp(1, OLD - 1), Ordering::Relaxed);
        }
        is_first && self.is_newcomer(now)
    }

    /// Whether it may get a request as far as its health goes.
    #[inline]
    pub(crate) fn may_serve(&self, now: u64) -> bool {
        self.standing.is_admitted() || self.is_on_probation_with_room(now, false)
    }

    /// Likewise, where nobody else can, so that one request that hangs does not shut out all of
    /// them.
    pub(crate) fn may_serve_alone(&self, now: u64) -> bool {
        self.standing.is_admitted() || self.is_on_probation_with_room(now, true)
    }

    #[cold]
    fn is_on_probation_with_room(&self, now: u64, is_alone: bool) -> bool {
        matches!(self.standing.state(), State::Probation(most) if self.has_room(most, now, is_alone))
    }

    /// Requests that take long, be it that others were answered meanwhile, or that they have been
    /// waited for long enough, keep nobody out.
    fn has_room(&self, most: u32, now: u64, is_alone: bool) -> bool {
        let flights = self.flights();
        if flights.unanswered() < most || !flights.owes() {
            return true;
        }
        let patience = if is_alone {
            (self.per_place(now) * MOST_SILENT) as u64
        } else {
            self.common.register.window()
        };
        flights.silence(now) > patience.min(self.common.typical.drift())
    }

    /// Whether it is left alone.
    pub(crate) fn is_ejected(&self) -> bool {
        matches!(self.standing.state(), State::Ejected | State::Probing)
    }

    /// The share of its requests that have failed within the window. `None` if it had none.
    pub(crate) fn failing(&self, now: u64) -> Option<f64> {
        if !self.outcomes.has_failed(now) {
            return (self.outcomes.totals().total() > 0).then_some(0.0);
        }
        let counts = self.outcomes.in_window(now);
        let total = counts.total();
        (total > 0).then(|| counts.failures as f64 / total as f64)
    }

    /// Whether half of the last eight requests have failed, with the one that is failing now.
    pub(crate) fn fails_often(&self, now: u64) -> bool {
        let before = self.outcomes.history(now) & 0x7f;
        before.count_ones() >= 3
    }

    pub(crate) fn is_admitted(&self) -> bool {
        self.standing.is_admitted()
    }

    pub(crate) fn state(&self) -> State {
        self.standing.state()
    }

    pub(crate) fn outcomes(&self) -> &Outcomes {
        &self.outcomes
    }

    pub(crate) fn ticket(&self, probe: Option<Probe>) -> Ticket {
        Ticket {
            ejections: self.standing.ejections(),
            probe,
        }
    }
}

impl<K: Name + ?Sized> Load<K> {
    pub(crate) fn tell(&self, event: impl FnOnce(&'_ dyn Debug) -> Event<'_>) {
        self.common.told.tell(&event(&&self.key));
    }
}

impl<K: ?Sized> Member for Load<K> {
    fn standing(&self) -> &Standing {
        &self.standing
    }

    fn outcomes(&self) -> &Outcomes {
        &self.outcomes
    }

    fn spared(&self) -> &Spared {
        &self.spared
    }
}

/// Since it was first ready.
fn age(began: u64, now: u64) -> u64 {
    if began == 0 {
        0
    } else {
        now.saturating_sub(began)
    }
}

const OLD: u64 = u64::MAX;
