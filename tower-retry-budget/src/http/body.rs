//! A request body that can be sent again.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{memory::BodyMemory, tape::Tape};

pin_project! {
    /// The body of one attempt, made by [`BodyReplay`](super::BodyReplay).
    ///
    /// It first yields what earlier attempts have read, then reads on where they stopped. Only
    /// the newest attempt reads from the client's body. An older one that is still being sent,
    /// because the server answered early, is woken when the whole body was kept and finishes;
    /// otherwise it stays pending until its connection drops it. It never ends as if it were
    /// complete. If the newest is dropped before it was ever polled, as one that is given up before it
    /// is sent, an older one reads on in its place: the answer that counts may be the older one's.
    ///
    /// If the client's body fails, the attempt that reads it gets the error, and there is no
    /// other attempt.
    ///
    /// An empty body, and one that will not be sent again, shares nothing and allocates nothing.
    /// Otherwise the attempts share one state behind a mutex. Only the newest attempt normally
    /// still exists, so nobody waits for the lock. It cannot go: an old attempt can be alive on
    /// another task, and must lose the body in the moment in which the new one takes it.
    #[must_use = "a body does nothing unless polled"]
    pub struct ReplayBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

impl<B: Body<Data = Bytes>> ReplayBody<B> {
    /// A body for the only attempt: nothing of it is kept.
    pub fn plain(body: B) -> Self {
        Self {
            kind: Kind::Plain { body },
        }
    }

    /// The body of the first attempt, and what later ones are made from.
    pub(super) fn first(body: B, limit: usize, memory: &BodyMemory) -> (Self, Kept<B>) {
        if body.is_end_stream() {
            return (Self { kind: Kind::Empty }, Kept::Empty);
        }
        let tape = Arc::new(Mutex::new(Tape::new(body, limit, memory.charge())));
        (Self::reader(Arc::clone(&tape), 0), Kept::Tape(tape))
    }

    fn reader(tape: SharedTape<B>, attempt: u32) -> Self {
        Self {
            kind: Kind::Replay {
                reader: Reader {
                    tape,
                    attempt,
                    polled: false,
                    position: 0,
                    read: 0,
                },
            },
        }
    }
}

impl<B: Body<Data = Bytes>> Body for ReplayBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            KindProj::Empty => Poll::Ready(None),
            KindProj::Plain { body } => body.poll_frame(cx),
            KindProj::Replay { reader } => reader.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Empty => true,
            Kind::Plain { body } => body.is_end_stream(),
            Kind::Replay { reader } => {
                lock(&reader.tape).is_at_end(reader.position, reader.attempt)
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Plain { body } => body.size_hint(),
            Kind::Replay { reader } => lock(&reader.tape).size_hint(reader.read, reader.attempt),
        }
    }
}

impl<B> fmt::Debug for ReplayBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.kind {
            Kind::Empty => "empty",
            Kind::Plain { .. } => "plain",
            Kind::Replay { .. } => "replay",
        };
        f.debug_struct("ReplayBody")
            .field("kind", &kind)
            .finish_non_exhaustive()
    }
}

pin_project! {
    #[project = KindProj]
    enum Kind<B> {
        Empty,
        Plain {
            #[pin]
            body: B,
        },
        Replay {
            reader: Reader<B>,
        },
    }
}

/// What later bodies are made from.
pub(super) enum Kept<B> {
    Empty,
    Tape(SharedTape<B>),
}

impl<B: Body<Data = Bytes>> Kept<B> {
    /// Whether another attempt can have the whole body.
    pub(super) fn replayable(&self) -> bool {
        match self {
            Self::Empty => true,
            // A client's body that panicked is not to be read again.
            Self::Tape(tape) => !tape.is_poisoned() && lock(tape).is_replayable(),
        }
    }

    /// Whether the next attempt would not have to wait for the client.
    pub(super) fn complete(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Tape(tape) => !tape.is_poisoned() && lock(tape).is_complete(),
        }
    }

    /// The body of the next attempt, which takes the client's body from the one before.
    pub(super) fn next_attempt(&self) -> Option<ReplayBody<B>> {
        match self {
            Self::Empty => Some(ReplayBody { kind: Kind::Empty }),
            Self::Tape(tape) => {
                if tape.is_poisoned() {
                    return None;
                }
                let attempt = work_on(tape, Tape::next_attempt)?;
                Some(ReplayBody::reader(Arc::clone(tape), attempt))
            }
        }
    }
}

impl<B> Drop for Kept<B> {
    fn drop(&mut self) {
        if let Self::Tape(tape) = self {
            work_on(tape, Tape::without_spare);
        }
    }
}

/// One attempt's place on the tape.
struct Reader<B> {
    tape: SharedTape<B>,
    attempt: u32,
    polled: bool,
    /// Frames read of those that are kept.
    position: usize,
    /// Bytes of data in them.
    read: u64,
}

impl<B: Body<Data = Bytes>> Reader<B> {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        self.polled = true;
        let (attempt, position) = (self.attempt, self.position);
        let (polled, is_kept) = work_on(&self.tape, |tape| {
            let polled = match tape.kept(position) {
                Some(frame) => Poll::Ready(Some(Ok(frame))),
                None => tape.poll_source(attempt, cx),
            };
            let is_frame = matches!(polled, Poll::Ready(Some(Ok(_))));
            let is_kept = is_frame && tape.advance(attempt, position);
            tape.settle();
            (polled, is_kept)
        });
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && is_kept
        {
            self.position += 1;
            self.read += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        polled
    }
}

impl<B> Drop for Reader<B> {
    fn drop(&mut self) {
        work_on(&self.tape, |tape| {
            if !self.polled {
                tape.hand_back(self.attempt);
            }
            tape.leave(self.attempt);
        });
    }
}

type SharedTape<B> = Arc<Mutex<Tape<B>>>;

/// Locks the tape for a piece of work, and does what that leaves to be done when it is unlocked.
fn work_on<B, T>(tape: &Mutex<Tape<B>>, work: impl FnOnce(&mut Tape<B>) -> T) -> T {
    let mut tape = lock(tape);
    let done = work(&mut tape);
    let left = tape.leftovers();
    drop(tape);
    if let Some(left) = left {
        left.settle();
    }
    done
}

fn lock<B>(tape: &Mutex<Tape<B>>) -> MutexGuard<'_, Tape<B>> {
    tape.lock().unwrap_or_else(PoisonError::into_inner)
}
