//! The set as requests see it: immutable, and replaced as a whole.

use std::{ops::Range, sync::Arc};

use crate::{
    attributes::Attributes, cost::Differences, endpoint::Endpoint, load::Load, sampler::Sampler,
    weights::unit,
};

pub(crate) struct Snapshot<K, S> {
    /// Those of the client's own zone first.
    entries: Box<[Entry<K, S>]>,
    near: Sampler,
    far: Sampler,
    differences: Differences,
}

pub(crate) struct Entry<K, S> {
    pub(crate) endpoint: Arc<Endpoint<K, S>>,
    /// The endpoint's, without the way over it.
    pub(crate) load: Arc<Load<K>>,
    pub(crate) attributes: Attributes,
}

impl<K, S> Snapshot<K, S> {
    /// Without a `zone`, or without endpoints in it, all are near.
    pub(crate) fn new(
        endpoints: impl Iterator<Item = (Arc<Endpoint<K, S>>, Attributes)>,
        zone: Option<&str>,
    ) -> Self {
        let is_near = |attributes: &Attributes| {
            zone.is_none_or(|zone| attributes.zone_name().is_some_and(|name| **name == *zone))
        };
        let (mut entries, mut far): (Vec<_>, Vec<_>) = endpoints
            .map(|(endpoint, attributes)| Entry {
                load: Arc::clone(&endpoint.load),
                endpoint,
                attributes,
            })
            .partition(|entry| is_near(&entry.attributes));
        let near = if entries.is_empty() {
            far.len()
        } else {
            entries.len()
        };
        entries.append(&mut far);

        let given = |entry: &Entry<K, S>| entry.attributes.weight_value();
        let unit = unit(entries.iter().map(given));
        for (index, entry) in entries.iter().enumerate() {
            entry.load.set_weight(given(entry) / unit);
            entry.load.set_index(index);
        }
        let weights = |range: Range<usize>| {
            let offset = range.start;
            let weights: Vec<_> = entries[range].iter().map(given).collect();
            Sampler::new(offset, &weights)
        };
        let is_weighted = entries.iter().any(|entry| given(entry) != unit);
        Self {
            differences: if is_weighted {
                Differences::Great
            } else {
                Differences::All
            },
            near: weights(0..near),
            far: weights(near..entries.len()),
            entries: entries.into_boxed_slice(),
        }
    }

    pub(crate) fn entries(&self) -> &[Entry<K, S>] {
        &self.entries
    }

    /// `None` for one that is not in this set, or that a newer set is about to have elsewhere.
    pub(crate) fn find<L: ?Sized>(&self, load: &Arc<Load<L>>) -> Option<(usize, &Entry<K, S>)> {
        let index = load.index();
        let entry = self.entries.get(index)?;
        let is_it = std::ptr::addr_eq(Arc::as_ptr(&entry.load), Arc::as_ptr(load));
        is_it.then_some((index, entry))
    }

    /// Where all weigh the same every difference in latency counts.
    pub(crate) fn differences(&self) -> Differences {
        self.differences
    }

    pub(crate) fn is_weighted(&self) -> bool {
        self.differences == Differences::Great
    }

    pub(crate) fn near(&self) -> &Sampler {
        &self.near
    }

    pub(crate) fn far(&self) -> &Sampler {
        &self.far
    }
}

impl<K, S> Default for Snapshot<K, S> {
    fn default() -> Self {
        Self::new(std::iter::empty(), None)
    }
}
