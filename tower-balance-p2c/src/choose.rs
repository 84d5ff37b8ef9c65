//! Which endpoint of a set a request goes to.

use std::sync::Arc;

use rand::{RngExt as _, rngs::SmallRng};

use crate::{
    common::{Common, Lens},
    endpoint::Endpoint,
    health::Probe,
    load::Load,
    pick::{Best, BestOfEqual, Choices, Found, Offer, sample, scan},
    sampler::Sampler,
    snapshot::{Entry, Snapshot},
    weights::{BestByWeight, drawn_level, level, level_of_part},
};

/// One choice, from one set at one time.
pub(crate) struct Choice<'a, K, S> {
    pub(crate) snapshot: &'a Snapshot<K, S>,
    pub(crate) common: &'a Common,
    pub(crate) choices: Choices,
    pub(crate) lens: Lens,
    /// Whether somebody finds out which endpoints are ready.
    pub(crate) is_driven: bool,
    /// Not this one.
    pub(crate) held: Option<&'a Arc<Endpoint<K, S>>>,
}

/// What is heeded, as long as there is an endpoint to be found so.
#[derive(Clone, Copy)]
struct Terms {
    health: bool,
    /// How many requests those on probation have.
    room: bool,
    avoidance: bool,
    slow_start: bool,
}

impl<K, S> Choice<'_, K, S> {
    /// The best of the endpoints that are ready, as far as is known.
    #[inline]
    pub(crate) fn best(&self, avoids: impl Fn(&K) -> bool) -> Option<usize> {
        let health = !self.common.register.is_panicking();
        let found = self.near_or_far(Terms::all(health), &avoids);
        found.or_else(|| self.second_best(health, &avoids))
    }

    /// Only those are left that are left alone, or that nobody wants.
    #[cold]
    fn second_best(&self, health: bool, avoids: &impl Fn(&K) -> bool) -> Option<usize> {
        if !self.may_find() {
            self.common.register.weigh(0);
            return None;
        }
        let all = Terms::all(health);
        let eased = [
            Terms {
                slow_start: false,
                ..all
            },
            Terms {
                slow_start: false,
                avoidance: false,
                ..all
            },
            Terms {
                slow_start: false,
                avoidance: false,
                room: false,
                ..all
            },
        ];
        let mut eased = eased.into_iter();
        let found = eased.find_map(|terms| self.near_or_far(terms, avoids));
        found.or_else(|| {
            let panics = health && self.weigh();
            panics.then(|| self.second_best(false, avoids)).flatten()
        })
    }

    /// An endpoint that is to get the next request whatever it costs, and the probe if that is one.
    pub(crate) fn owed(&self, avoids: impl Fn(&K) -> bool) -> Option<(usize, Option<Probe>)> {
        let rate = self.common.typical.rate();
        self.common.register.claim(self.lens.now, rate, |member| {
            let (index, entry) = self.snapshot.find(member)?;
            (self.can_be_used(&entry.endpoint) && !avoids(&entry.load.key)).then_some(index)
        })
    }

    /// Looks whether too few endpoints can be used to leave any alone.
    pub(crate) fn weigh(&self) -> bool {
        let entries = self.snapshot.entries().iter();
        let usable =
            entries.filter(|entry| self.can_be_used(&entry.endpoint) && !entry.load.is_ejected());
        self.common.register.weigh(usable.count())
    }

    /// The best of the near endpoints, or of the far ones if these promise a much quicker answer.
    #[inline]
    fn near_or_far(&self, terms: Terms, avoids: &impl Fn(&K) -> bool) -> Option<usize> {
        let near = self.best_of(self.snapshot.near(), terms, avoids);
        if self.snapshot.far().len() == 0 {
            return near.map(|found| found.index);
        }
        let far = self.best_of(self.snapshot.far(), terms, avoids);
        let (near, far) = match (near, far) {
            (Some(near), Some(far)) => (near, far),
            (one, other) => return one.or(other).map(|found| found.index),
        };
        let expected = |found: Found, usual: f64| {
            let load = &self.snapshot.entries()[found.index].load;
            load.expected(self.lens.now, usual)
        };
        let typical = &self.common.typical;
        let spills = expected(near, typical.per_place()) > expected(far, typical.best()) * SPILL;
        Some(if spills { far } else { near }.index)
    }

    #[inline]
    fn best_of(
        &self,
        sampler: &Sampler,
        terms: Terms,
        avoids: &impl Fn(&K) -> bool,
    ) -> Option<Found> {
        if self.snapshot.is_weighted() {
            self.best_by::<BestByWeight>(sampler, terms, avoids)
        } else {
            self.best_by::<BestOfEqual>(sampler, terms, avoids)
        }
    }

    #[inline]
    fn best_by<B: Best>(
        &self,
        sampler: &Sampler,
        terms: Terms,
        avoids: &impl Fn(&K) -> bool,
    ) -> Option<Found> {
        let entries = self.snapshot.entries();
        self.common
            .chance
            .with(|rng| match self.choices.of(sampler.len()) {
                None => scan::<B, _>(sampler, rng, |index, rng| {
                    let entry = &entries[index];
                    self.has(entry, terms, avoids, rng)
                        .then(|| self.offer::<B>(&entry.load, rng))
                }),
                Some(choices) => sample::<B, _>(
                    sampler,
                    choices,
                    rng,
                    || self.may_find(),
                    |index, rng| {
                        let entry = &entries[index];
                        self.has(entry, terms, avoids, rng)
                            .then(|| self.drawn_offer::<B>(&entry.load, rng))
                    },
                ),
            })
    }

    /// False if there is nothing that could be used, so that not all have to be looked at.
    #[cold]
    fn may_find(&self) -> bool {
        !self.is_driven || self.common.ready.is_any()
    }

    /// Whether it is a candidate. For most it is a look at four words.
    #[inline(always)]
    fn has(
        &self,
        entry: &Entry<K, S>,
        terms: Terms,
        avoids: &impl Fn(&K) -> bool,
        rng: &mut SmallRng,
    ) -> bool {
        self.can_be_used(&entry.endpoint)
            && (!terms.health || self.may_serve(&entry.load, terms))
            && (!terms.slow_start || self.takes_part(&entry.load, rng))
            && (!terms.avoidance || !avoids(&entry.load.key))
    }

    #[inline(always)]
    fn may_serve(&self, load: &Load<K>, terms: Terms) -> bool {
        load.may_serve(self.lens.now) || !terms.room && load.may_serve_alone(self.lens.now)
    }

    /// Of one that is looked at because all are.
    #[inline]
    fn offer<B: Best>(&self, load: &Load<K>, rng: &mut SmallRng) -> Offer {
        let in_flight = load.in_flight();
        if !B::IS_WEIGHTED {
            return Offer::of_equal(self.cost(load, in_flight.into()));
        }
        let weight = load.weight();
        let (queue, room) = if weight < 1.0 {
            level_of_part(in_flight, weight, rng.random())
        } else {
            level(in_flight, weight)
        };
        Offer {
            cost: self.cost(load, queue),
            room,
            weight,
            in_flight,
        }
    }

    /// Of one that was drawn by its weight.
    #[inline]
    fn drawn_offer<B: Best>(&self, load: &Load<K>, rng: &mut SmallRng) -> Offer {
        let in_flight = load.in_flight();
        if !B::IS_WEIGHTED {
            return Offer::of_equal(self.cost(load, in_flight.into()));
        }
        let weight = load.weight();
        let queue = drawn_level(in_flight, weight, rng.random());
        Offer {
            cost: self.cost(load, queue),
            room: 1.0,
            weight,
            in_flight,
        }
    }

    #[inline]
    fn cost(&self, load: &Load<K>, queue: f64) -> f64 {
        load.cost(&self.lens, queue)
    }

    #[inline]
    fn can_be_used(&self, endpoint: &Arc<Endpoint<K, S>>) -> bool {
        if self.is_driven {
            return endpoint.is_ready();
        }
        let is_held = self.held.is_some_and(|held| Arc::ptr_eq(held, endpoint));
        !endpoint.is_removed() && !is_held
    }

    /// Whether a newcomer is a candidate this time.
    #[inline]
    fn takes_part(&self, load: &Load<K>, rng: &mut SmallRng) -> bool {
        !load.joined() || self.is_its_turn(load, rng)
    }

    fn is_its_turn(&self, load: &Load<K>, rng: &mut SmallRng) -> bool {
        !load.is_newcomer(self.lens.now) || rng.random::<f64>() < load.share(self.lens.now)
    }
}

impl Terms {
    fn all(health: bool) -> Self {
        Self {
            health,
            room: true,
            avoidance: true,
            slow_start: true,
        }
    }
}

/// A far endpoint must promise an answer in so much less time than the best near one.
const SPILL: f64 = 2.5;
