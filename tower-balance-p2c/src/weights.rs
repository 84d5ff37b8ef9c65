//! What weights mean for a choice: an endpoint of weight three is three endpoints of weight one, over
//! which its requests are spread evenly. Pure.

use rand::{Rng, RngExt as _};

use crate::pick::{Best, Found, Offer, TIE};

/// By what weights are divided, so that one request fills one of the endpoints that the lightest
/// one stands for; or a thousandth of what a middling one does, if the lightest is that light.
pub(crate) fn unit(weights: impl Iterator<Item = f64> + Clone) -> f64 {
    let (sum, count, least) = weights.fold((0.0, 0.0, f64::INFINITY), |(sum, count, least), w| {
        (sum + w, count + 1.0, w.min(least))
    });
    if count == 0.0 {
        return 1.0;
    }
    least.max(sum / count / MOST_PARTS)
}

/// The queue of an endpoint, for who looks at all of them, and how much room there is before it
/// grows.
#[inline]
pub(crate) fn level(in_flight: u32, weight: f64) -> (f64, f64) {
    if weight == 1.0 {
        return (in_flight.into(), 1.0);
    }
    let level = (f64::from(in_flight) / weight).floor();
    (level, (level + 1.0) * weight - f64::from(in_flight))
}

/// The same where the weight is less than one, so that the endpoint is only there for a part of
/// the choices: `chance` from 0 to 1 tells for which. An idle one would else look as empty as a heavy
/// one that is idle.
pub(crate) fn level_of_part(in_flight: u32, weight: f64, chance: f64) -> (f64, f64) {
    (((f64::from(in_flight) + chance) / weight).floor(), 1.0)
}

/// The same for who has drawn the endpoint by its weight, which is to have met one of those that
/// it stands for: `chance` from 0 to 1 tells which.
pub(crate) fn drawn_level(in_flight: u32, weight: f64, chance: f64) -> f64 {
    (f64::from(in_flight) / weight + chance).floor()
}

/// Keeps the best of each weight. Those of the least cost are chosen from in proportion to the
/// room that there is at each weight; among those of one weight it is the least busy one.
#[derive(Default)]
pub(crate) struct BestByWeight {
    least: f64,
    classes: [Option<Class>; MOST_CLASSES],
}

#[derive(Clone, Copy)]
struct Class {
    weight: f64,
    room: f64,
    index: usize,
    in_flight: u32,
    /// So many are as busy.
    equals: f64,
}

impl Best for BestByWeight {
    const IS_WEIGHTED: bool = true;

    fn take<R: Rng + ?Sized>(&mut self, index: usize, offer: Offer, rng: &mut R) {
        let is_first = self.classes[0].is_none();
        if is_first || offer.cost < self.least * (1.0 - TIE) {
            self.classes = [None; MOST_CLASSES];
            self.least = offer.cost;
        } else if offer.cost > self.least * (1.0 + TIE) {
            return;
        }
        self.least = self.least.min(offer.cost);
        let mut classes = self.classes.iter_mut();
        let place =
            classes.position(|class| class.is_none_or(|class| class.weight == offer.weight));
        // More weights than places: the last one stands for the rest.
        let place = &mut self.classes[place.unwrap_or(MOST_CLASSES - 1)];
        let Some(class) = place else {
            *place = Some(Class::of(index, offer));
            return;
        };
        class.room += offer.room;
        if class.weight != offer.weight {
            if rng.random::<f64>() * class.room < offer.room {
                class.index = index;
            }
        } else if offer.in_flight < class.in_flight {
            *class = Class {
                room: class.room,
                ..Class::of(index, offer)
            };
        } else if offer.in_flight == class.in_flight {
            class.equals += 1.0;
            if rng.random::<f64>() * class.equals < 1.0 {
                class.index = index;
            }
        }
    }

    fn found<R: Rng + ?Sized>(self, rng: &mut R) -> Option<Found> {
        let classes = || self.classes.iter().flatten();
        let room: f64 = classes().map(|class| class.room).sum();
        let mut left = rng.random::<f64>() * room;
        let chosen = classes().find(|class| {
            left -= class.room;
            left < 0.0
        });
        let Class { index, .. } = *chosen.or_else(|| classes().next())?;
        Some(Found { index })
    }
}

impl Class {
    fn of(index: usize, offer: Offer) -> Self {
        Self {
            weight: offer.weight,
            room: offer.room,
            index,
            in_flight: offer.in_flight,
            equals: 1.0,
        }
    }
}

const MOST_PARTS: f64 = 1024.0;
const MOST_CLASSES: usize = 16;
