//! What working on a tape leaves to be done when it is unlocked.

use std::{mem, pin::Pin, task::Waker};

use ::http::HeaderMap;
use bytes::Bytes;

/// Wakers, frames and the client's body are foreign code: to wake or to drop one may drop an attempt,
/// and that locks the tape.
pub(super) struct Leftovers<B> {
    woken: Vec<Waker>,
    /// Of these there is one at the most in each piece of work.
    waker: Option<Waker>,
    source: Option<Pin<Box<B>>>,
    trailers: Option<HeaderMap>,
    /// The first one, as there is mostly one.
    frame: Option<Bytes>,
    frames: Vec<Bytes>,
}

impl<B> Leftovers<B> {
    /// All of them, if there are any. To be dropped when the tape is unlocked, by
    /// [`settle`](Self::settle).
    pub(super) fn take(&mut self) -> Option<Self> {
        let Self {
            woken,
            waker,
            source,
            trailers,
            frame,
            frames,
        } = self;
        let are_none = woken.is_empty()
            && waker.is_none()
            && source.is_none()
            && trailers.is_none()
            && frame.is_none()
            && frames.is_empty();
        (!are_none).then(|| mem::take(self))
    }

    /// Wakes, and drops the rest.
    pub(super) fn settle(self) {
        let Self { woken, .. } = self;
        woken.into_iter().for_each(Waker::wake);
    }

    pub(super) fn wake(&mut self, waiting: impl IntoIterator<Item = Waker>) {
        self.woken.extend(waiting);
    }

    pub(super) fn waker(&mut self, waker: Option<Waker>) {
        self.waker = waker;
    }

    /// After its end.
    pub(super) fn source(&mut self, source: Pin<Box<B>>) {
        self.source = Some(source);
    }

    pub(super) fn frame(&mut self, frame: Bytes) {
        if self.frame.is_none() {
            self.frame = Some(frame);
        } else {
            self.frames.push(frame);
        }
    }

    pub(super) fn frames(&mut self, frames: Vec<Bytes>, trailers: Option<HeaderMap>) {
        if self.frames.is_empty() {
            self.frames = frames;
        } else {
            self.frames.extend(frames);
        }
        self.trailers = trailers.or(self.trailers.take());
    }
}

impl<B> Default for Leftovers<B> {
    fn default() -> Self {
        Self {
            woken: Vec::new(),
            waker: None,
            source: None,
            trailers: None,
            frame: None,
            frames: Vec::new(),
        }
    }
}
