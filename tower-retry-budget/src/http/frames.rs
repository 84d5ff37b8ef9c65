//! The frames that are kept of a body, and what they count for.

use std::mem;

use ::http::HeaderMap;
use bytes::Bytes;
use http_body::Frame;

use super::{leftovers::Leftovers, memory::Charge};

pub(super) struct Frames {
    data: Vec<Bytes>,
    trailers: Option<HeaderMap>,
    /// Bytes of data, those that were forgotten included.
    length: u64,
    /// How many frames were forgotten.
    forgotten: usize,
    charge: Charge,
    limit: u64,
}

impl Frames {
    /// Room for what counts for `limit` bytes, all of it taken by `charge`.
    pub(super) fn new(limit: usize, charge: Charge) -> Self {
        Self {
            data: Vec::new(),
            trailers: None,
            length: 0,
            forgotten: 0,
            charge,
            limit: limit as u64,
        }
    }

    /// How many there are, those that were forgotten included.
    pub(super) fn count(&self) -> usize {
        self.data.len() + usize::from(self.trailers.is_some())
    }

    /// Whether there is a frame at `position`.
    pub(super) fn holds(&self, position: usize) -> bool {
        position < self.count()
    }

    pub(super) fn get(&self, position: usize) -> Option<Frame<Bytes>> {
        match self.data.get(position) {
            Some(data) => Some(Frame::data(data.clone())),
            None if self.holds(position) => self.trailers.clone().map(Frame::trailers),
            None => None,
        }
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Keeps one frame more, if there is room for it and for the `announced` bytes after it.
    pub(super) fn push(&mut self, frame: &Frame<Bytes>, announced: u64) -> Result<(), Lost> {
        // Data after trailers, or trailers twice: nothing that HTTP can carry.
        if self.trailers.is_some() {
            return Err(Lost);
        }
        let weight = weigh(frame);
        let all = self.charge.bytes().saturating_add(weight);
        if all.saturating_add(announced) > self.limit || !self.charge.grow(weight) {
            return Err(Lost);
        }
        if let Some(data) = frame.data_ref() {
            self.length += data.len() as u64;
            self.data.push(data.clone());
        }
        self.trailers = frame.trailers_ref().cloned();
        Ok(())
    }

    /// Gives back the data before `position`, which nobody will ask for again.
    pub(super) fn forget_before<B>(&mut self, position: usize, left: &mut Leftovers<B>) {
        let end = position.min(self.data.len());
        for data in self.data.iter_mut().take(end).skip(self.forgotten) {
            self.charge.shrink(weigh_data(data));
            left.frame(mem::take(data));
        }
        self.forgotten = self.forgotten.max(end);
    }

    /// Gives everything back.
    pub(super) fn clear<B>(&mut self, left: &mut Leftovers<B>) {
        left.frames(mem::take(&mut self.data), self.trailers.take());
        self.charge.release();
    }
}

/// The frame cannot be kept.
pub(super) struct Lost;

/// What a frame counts for: at least what it costs to keep it.
fn weigh(frame: &Frame<Bytes>) -> u64 {
    let data = frame.data_ref().map_or(0, weigh_data);
    let trailers = frame.trailers_ref().into_iter().flatten();
    let trailers = trailers.map(|(name, value)| name.as_str().len() + value.len() + PER_TRAILER);
    data + trailers.sum::<usize>() as u64
}

fn weigh_data(data: &Bytes) -> u64 {
    data.len().max(MIN_FRAME) as u64
}

const MIN_FRAME: usize = 64;

const PER_TRAILER: usize = 32;
