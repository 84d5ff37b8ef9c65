//! What the attempts of one request share: the client's body, and what was kept of it.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use ::http::HeaderMap;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// Kept frames, followed by the client's body from where they end.
pub(super) struct Tape<B> {
    source: Source<B>,
    /// The newest attempt, the only one that may read from the source.
    newest: u32,
    /// Where the newest attempt has waited for the source.
    reader: Option<Waker>,
    /// Where older attempts wait for the end.
    superseded: Vec<Waiting>,
    keeping: bool,
    data: Vec<Bytes>,
    trailers: Option<HeaderMap>,
    /// Bytes of data kept.
    length: u64,
    /// What all that is kept counts for.
    weight: u64,
    limit: u64,
}

impl<B: Body<Data = Bytes>> Tape<B> {
    /// A tape for attempt number 0.
    pub(super) fn new(body: B, limit: usize) -> Self {
        Self {
            source: Source::Live(Box::pin(body)),
            newest: 0,
            reader: None,
            superseded: Vec::new(),
            keeping: true,
            data: Vec::new(),
            trailers: None,
            length: 0,
            weight: 0,
            limit: limit as u64,
        }
    }

    /// Whether a new attempt can have the whole body.
    pub(super) fn is_replayable(&self) -> bool {
        self.keeping
    }

    /// Hands the source to a new attempt, if that can have the whole body. The source will wake
    /// that one only: those that are given back with it are to be woken and register anew.
    pub(super) fn next_attempt(&mut self) -> Option<(u32, Vec<Waiting>)> {
        if !self.keeping {
            return None;
        }
        let mut waiting = mem::take(&mut self.superseded);
        waiting.extend(self.reader.take().map(|waker| (self.newest, waker)));
        self.newest += 1;
        Some((self.newest, waiting))
    }

    /// The older attempts for which there is nothing more to wait for. They are to be woken.
    pub(super) fn settled(&mut self) -> Vec<Waiting> {
        if self.superseded.is_empty() || (self.keeping && !self.has_ended()) {
            return Vec::new();
        }
        mem::take(&mut self.superseded)
    }

    /// Whether the frame at `position` is kept.
    pub(super) fn holds(&self, position: usize) -> bool {
        position < self.data.len() + usize::from(self.trailers.is_some())
    }

    /// The kept frame at `position`.
    pub(super) fn kept(&self, position: usize) -> Option<Frame<Bytes>> {
        match self.data.get(position) {
            Some(data) => Some(Frame::data(data.clone())),
            None if self.holds(position) => self.trailers.clone().map(Frame::trailers),
            None => None,
        }
    }

    /// The next frame of the source, for an attempt that has read all that is kept.
    pub(super) fn poll_source(
        &mut self,
        attempt: u32,
        alone: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if attempt != self.newest {
            return self.poll_superseded(attempt, cx);
        }
        if alone {
            self.release();
        }
        let Source::Live(body) = &mut self.source else {
            return Poll::Ready(None);
        };
        let Poll::Ready(frame) = body.as_mut().poll_frame(cx) else {
            self.reader
                .get_or_insert_with(|| cx.waker().clone())
                .clone_from(cx.waker());
            return Poll::Pending;
        };
        match &frame {
            Some(Ok(frame)) => self.keep(frame),
            Some(Err(_)) => {
                self.source = Source::Failed;
                self.release();
            }
            None => self.source = Source::Ended,
        }
        Poll::Ready(frame)
    }

    /// Whether an attempt that has read `position` frames has nothing more to read.
    pub(super) fn is_at_end(&self, position: usize, attempt: u32) -> bool {
        !self.holds(position)
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
        let rest = if self.keeping { self.length - read } else { 0 };
        let source = match &self.source {
            Source::Live(body) => body.size_hint(),
            Source::Ended | Source::Failed => SizeHint::with_exact(0),
        };
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
        if self.has_ended() {
            return Poll::Ready(None);
        }
        match self
            .superseded
            .iter_mut()
            .find(|(number, _)| *number == attempt)
        {
            Some((_, waker)) => waker.clone_from(cx.waker()),
            None => self.superseded.push((attempt, cx.waker().clone())),
        }
        Poll::Pending
    }

    /// Whether the source has given all that it had.
    fn has_ended(&self) -> bool {
        match &self.source {
            Source::Live(body) => body.is_end_stream(),
            Source::Ended => true,
            Source::Failed => false,
        }
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
        let weight = self.weight.saturating_add(weigh(frame));
        if weight.saturating_add(self.announced()) > self.limit {
            return self.release();
        }
        match (frame.data_ref(), frame.trailers_ref()) {
            (Some(data), _) if self.trailers.is_none() => {
                self.length += data.len() as u64;
                self.data.push(data.clone());
            }
            (_, Some(trailers)) if self.trailers.is_none() => {
                self.trailers = Some(trailers.clone());
            }
            // Nothing that HTTP can carry.
            _ => return self.release(),
        }
        self.weight = weight;
    }

    /// What the source says is still to come.
    fn announced(&self) -> u64 {
        match &self.source {
            Source::Live(body) => body.size_hint().lower(),
            Source::Ended | Source::Failed => 0,
        }
    }

    fn release(&mut self) {
        self.keeping = false;
        self.data = Vec::new();
        self.trailers = None;
    }
}

/// The number of an attempt, and where it waits.
pub(super) type Waiting = (u32, Waker);

enum Source<B> {
    /// In a box, because it is pinned while the attempts that read it come and go.
    Live(Pin<Box<B>>),
    Ended,
    Failed,
}

/// What a frame counts for: at least what it costs to keep it.
fn weigh(frame: &Frame<Bytes>) -> u64 {
    let data = frame.data_ref().map_or(0, |data| data.len().max(MIN_FRAME));
    let trailers = frame.trailers_ref().into_iter().flatten();
    let trailers = trailers.map(|(name, value)| name.as_str().len() + value.len() + PER_TRAILER);
    (data + trailers.sum::<usize>()) as u64
}

const MIN_FRAME: usize = 64;

const PER_TRAILER: usize = 32;
