//! What the attempts of one request share: the client's body, and what was kept of it.

use std::{
    mem,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::{frames::Frames, leftovers::Leftovers, memory::Charge, source::Source};

/// Kept frames, followed by the client's body from where they end.
pub(super) struct Tape<B> {
    source: Source<B>,
    /// Whether the source had given all that it had when it was last read or handed over.
    ended: bool,
    /// Attempts made after the first.
    made: u32,
    /// The newest attempt, the only one that may read from the source.
    newest: u32,
    newest_lives: bool,
    /// Whether it is gone and was never sent, so that an older one may be the newest again.
    vacant: bool,
    /// How many of the frames kept the newest attempt has read.
    position: usize,
    /// Attempts that still exist.
    readers: u32,
    /// Whether there can be another one.
    spare: bool,
    /// Where the newest attempt has waited for the source.
    reader: Option<Waker>,
    /// Where older attempts wait for the end.
    superseded: Vec<(u32, Waker)>,
    /// Whether all that the source has given is kept.
    keeping: bool,
    frames: Frames,
    left: Leftovers<B>,
}

impl<B: Body<Data = Bytes>> Tape<B> {
    /// A tape for attempt number 0, and a spare.
    pub(super) fn new(body: B, limit: usize, charge: Charge) -> Self {
        Self {
            source: Source::Live(Box::pin(body)),
            ended: false,
            made: 0,
            newest: 0,
            newest_lives: true,
            vacant: false,
            position: 0,
            readers: 1,
            spare: true,
            reader: None,
            superseded: Vec::new(),
            keeping: true,
            frames: Frames::new(limit, charge),
            left: Leftovers::default(),
        }
    }

    /// Whether a new attempt can have the whole body.
    pub(super) fn is_replayable(&self) -> bool {
        self.keeping
    }

    /// Whether the whole body is kept.
    pub(super) fn is_complete(&self) -> bool {
        self.keeping && self.source.has_ended()
    }

    /// Hands the source to a new attempt, if that can have the whole body. The source will wake
    /// that one only: the others are woken now, to register anew.
    pub(super) fn next_attempt(&mut self) -> Option<u32> {
        if !self.keeping {
            return None;
        }
        self.wake_superseded();
        self.left.wake(self.reader.take());
        // It may have ended since it was read, and then the older ones do without the new one.
        self.ended = self.source.has_ended();
        self.made += 1;
        self.newest = self.made;
        self.newest_lives = true;
        self.vacant = false;
        self.position = 0;
        self.readers += 1;
        Some(self.newest)
    }

    /// Wakes the older attempts if there is nothing more for them to wait for.
    pub(super) fn settle(&mut self) {
        if !self.superseded.is_empty() && (!self.keeping || self.source.has_ended()) {
            self.wake_superseded();
        }
    }

    /// The kept frame at `position`.
    pub(super) fn kept(&self, position: usize) -> Option<Frame<Bytes>> {
        self.frames.get(position)
    }

    /// Whether what an attempt has just read at `position` is kept. If so, it has read that.
    pub(super) fn advance(&mut self, attempt: u32, position: usize) -> bool {
        let kept = self.frames.holds(position);
        if kept && attempt == self.newest {
            self.position = position + 1;
            self.forget();
        }
        kept
    }

    /// The next frame of the source, for an attempt that has read all that is kept.
    pub(super) fn poll_source(
        &mut self,
        attempt: u32,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if attempt != self.newest {
            if !(self.vacant && self.keeping) {
                return self.poll_superseded(attempt, cx);
            }
            self.succeed(attempt);
        }
        let Source::Live(body) = &mut self.source else {
            return Poll::Ready(None);
        };
        let Poll::Ready(frame) = body.as_mut().poll_frame(cx) else {
            if !is_woken_by(self.reader.as_ref(), cx) {
                self.left.waker(self.reader.replace(cx.waker().clone()));
            }
            return Poll::Pending;
        };
        match &frame {
            Some(Ok(frame)) => self.keep(frame),
            Some(Err(_)) => {
                self.end(Source::Failed);
                self.release();
            }
            None => self.end(Source::Ended),
        }
        self.ended = self.source.has_ended();
        Poll::Ready(frame)
    }

    /// Whether an attempt that has read `position` frames has nothing more to read.
    pub(super) fn is_at_end(&self, position: usize, attempt: u32) -> bool {
        !self.frames.holds(position)
            && match &self.source {
                Source::Live(body) => self.is_whole_for(attempt) && body.is_end_stream(),
                Source::Ended => self.is_whole_for(attempt),
                Source::Failed => attempt == self.newest,
            }
    }

    /// What is left for an attempt that has read `read` bytes of those that are kept.
    pub(super) fn size_hint(&self, read: u64, attempt: u32) -> SizeHint {
        if !self.is_whole_for(attempt) {
            return SizeHint::default();
        }
        let rest = if self.keeping {
            self.frames.length() - read
        } else {
            0
        };
        let source = self.source.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(source.lower().saturating_add(rest));
        if let Some(upper) = source.upper().and_then(|upper| upper.checked_add(rest)) {
            hint.set_upper(upper);
        }
        hint
    }
}

impl<B: Body<Data = Bytes>> Tape<B> {
    /// An older attempt must not read what the newest one needs, nor seem to be complete.
    fn poll_superseded(
        &mut self,
        attempt: u32,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        // Once something is lost, it will never have the whole body.
        if !self.keeping {
            return Poll::Pending;
        }
        if self.source.has_ended() {
            return Poll::Ready(None);
        }
        let place = self.waiting_place(attempt);
        let waker = place.map(|place| &mut self.superseded[place].1);
        if is_woken_by(waker.as_deref(), cx) {
            return Poll::Pending;
        }
        let new = cx.waker().clone();
        match waker {
            Some(waker) => self.left.waker(Some(mem::replace(waker, new))),
            None => self.superseded.push((attempt, new)),
        }
        Poll::Pending
    }

    /// Whether an attempt that reads the tape to its end will have had the whole body.
    fn is_whole_for(&self, attempt: u32) -> bool {
        self.keeping || attempt == self.newest
    }

    /// Keeps what the source has just given, or nothing at all if it comes to too much.
    fn keep(&mut self, frame: &Frame<Bytes>) {
        if !self.keeping || frame.data_ref().is_some_and(Bytes::is_empty) {
            return;
        }
        let announced = self.source.size_hint().lower();
        if self.frames.push(frame, announced).is_err() {
            self.release();
        }
    }
}

impl<B> Tape<B> {
    /// What is to be done when the tape is unlocked.
    pub(super) fn leftovers(&mut self) -> Option<Leftovers<B>> {
        self.left.take()
    }

    fn end(&mut self, end: Source<B>) {
        if let Source::Live(body) = mem::replace(&mut self.source, end) {
            self.left.source(body);
        }
    }

    /// There will be no attempt after those that exist.
    pub(super) fn without_spare(&mut self) {
        self.spare = false;
        self.forget();
    }

    /// An attempt was never asked for a frame, and is about to leave. If it has taken the source from
    /// an older one, that goes on: its answer may be the one that counts.
    pub(super) fn hand_back(&mut self, attempt: u32) {
        if attempt == self.newest && self.keeping {
            self.vacant = true;
            self.wake_superseded();
        }
    }

    /// An older attempt, which has read all that is kept, takes the vacant place of the newest.
    fn succeed(&mut self, attempt: u32) {
        self.newest = attempt;
        self.newest_lives = true;
        self.vacant = false;
        self.position = self.frames.count();
        self.forget();
    }

    /// An attempt exists no more.
    pub(super) fn leave(&mut self, attempt: u32) {
        self.readers -= 1;
        let waker = if attempt == self.newest {
            self.newest_lives = false;
            self.reader.take()
        } else {
            let place = self.waiting_place(attempt);
            place.map(|place| self.superseded.swap_remove(place).1)
        };
        self.left.waker(waker);
        self.forget();
    }

    fn wake_superseded(&mut self) {
        let waiting = self.superseded.drain(..);
        self.left.wake(waiting.map(|(_, waker)| waker));
    }

    fn waiting_place(&self, attempt: u32) -> Option<usize> {
        let mut numbers = self.superseded.iter().map(|(number, _)| *number);
        numbers.position(|number| number == attempt)
    }

    /// Gives back what nobody can ask for again.
    fn forget(&mut self) {
        if self.spare {
            return;
        }
        match (self.newest_lives, self.readers) {
            (true, 1) if self.frames.holds(self.position) => {
                self.frames.forget_before(self.position, &mut self.left);
            }
            (true, 1) => self.release(),
            // The older ones will never have what nobody reads any more.
            (false, _) if !(self.ended || self.vacant) => self.release(),
            _ => {}
        }
    }

    fn release(&mut self) {
        self.keeping = false;
        self.frames.clear(&mut self.left);
    }
}

fn is_woken_by(waker: Option<&Waker>, cx: &Context<'_>) -> bool {
    waker.is_some_and(|waker| waker.will_wake(cx.waker()))
}
