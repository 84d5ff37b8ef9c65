use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    Classify, RequestLimit, error::Elapsed, limiter::since, scope::Scope, sent::Sent, timer::Timer,
    watch::Watch,
};

/// A request under its limit, and what is learnt from how it ends.
pub struct Exchange<C> {
    watch: Watch<C>,
    start: Instant,
    limit: Duration,
    /// The longest limit that this request may have.
    cap: Duration,
    /// Present if the limit runs from then on.
    sent: Option<Sent>,
    /// Whether it may still be told that this is in flight.
    is_new: bool,
    /// Since when that was told, of what has not ended.
    in_flight: Option<Instant>,
}

impl<C> Exchange<C> {
    // `inline(always)`, here and below: the compiler calls them else, for 45 instructions of 670.
    #[inline(always)]
    pub(crate) fn new(
        watch: Watch<C>,
        waited: Option<Instant>,
        limit: RequestLimit,
        sent: Option<Sent>,
    ) -> Self {
        let start = waited.unwrap_or_else(Instant::now);
        let (mut watch, limit, cap) = match limit {
            RequestLimit::Learnt => {
                let limit = watch.limit();
                (watch, limit, Duration::MAX)
            }
            RequestLimit::AtMost(cap) => {
                let limit = watch.limit().min(cap);
                (watch, limit, cap)
            }
            RequestLimit::Fixed(limit) => (Watch::fixed(limit), limit, Duration::MAX),
            RequestLimit::Unlimited => {
                let limit = Duration::MAX;
                (Watch::fixed(limit), limit, limit)
            }
        };
        watch.choose(start);
        Self {
            watch,
            start,
            limit,
            cap,
            sent,
            // A start long ago belongs to a time whose requests are counted.
            is_new: waited.is_none(),
            in_flight: None,
        }
    }

    /// The limit that is in force for what begins now.
    #[cfg(feature = "http")]
    pub(crate) fn limit_now(&self) -> Duration {
        self.watch.limit().min(self.cap)
    }

    /// When to look for the first time whether the limit has passed.
    #[inline]
    pub(crate) fn first_due(&self) -> Option<Instant> {
        self.due(self.start)
    }

    /// Ready when the limit has passed.
    #[inline]
    pub(crate) fn poll_due(&self, mut timer: Pin<&mut Timer>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(timer.as_mut().poll(cx));
            if self.sent.is_none() {
                return Poll::Ready(());
            }
            // The request was sent later than it was called, or it still is not sent.
            let now = Instant::now();
            match self.due(now) {
                Some(due) if due <= now => return Poll::Ready(()),
                later => timer.as_mut().reset(later),
            }
        }
    }

    /// When the limit passes; of a request that is not sent yet, the earliest that it can pass.
    #[inline]
    fn due(&self, now: Instant) -> Option<Instant> {
        match &self.sent {
            None => self.start.checked_add(self.limit),
            Some(sent) => match sent.at() {
                Some(at) => at.checked_add(self.limit),
                None => now.checked_add(self.limit.max(TICK)),
            },
        }
    }

    /// It is not there at the first poll, or at the one in which it was sent. Were it told later, only
    /// slow requests would be told of, and the service taken for slow.
    #[inline]
    pub(crate) fn waits(&mut self) {
        if self.is_new
            && let Some(begun) = self.begun()
        {
            self.is_new = false;
            if self.watch.is_for_somebody() && since(begun) <= TICK {
                self.in_flight = Some(begun);
                self.watch.waits(begun);
            }
        }
    }

    /// Reads the clock only for what is learnt from.
    #[inline(always)]
    pub(crate) fn answered<T>(&mut self, response: &T)
    where
        C: Classify<T>,
    {
        if self.is_sample(response) {
            self.ended();
        } else {
            self.left();
        }
    }

    /// Whether the time to the end of this response, or of its body, is to be learnt.
    #[inline]
    pub(crate) fn is_sample<T>(&self, response: &T) -> bool
    where
        C: Classify<T>,
    {
        self.watch.is_sample(response)
    }

    /// What was waited for is there, and is a sample. Karn's rule: what was sent again is none.
    #[inline]
    pub(crate) fn ended(&mut self) {
        match &self.sent {
            Some(sent) if sent.is_again() => self.left(),
            _ => match self.begun() {
                Some(start) => self.watch.answered(start, self.in_flight.take()),
                None => self.left(),
            },
        }
    }

    /// Whether the limit has passed.
    #[cfg(feature = "http")]
    pub(crate) fn is_over(&self) -> bool {
        let due = self.begun().and_then(|begun| begun.checked_add(self.limit));
        due.is_some_and(|due| due <= Instant::now())
    }

    /// A pause, one of many in this exchange, begins.
    #[cfg(feature = "http")]
    pub(crate) fn pauses(&mut self, now: Instant) {
        self.in_flight = Some(now);
        self.watch.waits(now);
    }

    /// It ended with what was waited for.
    #[cfg(feature = "http")]
    pub(crate) fn resumed(&mut self, paused: Instant) {
        self.watch.answered(paused, self.in_flight.take());
    }

    pub(crate) fn timed_out(&mut self, scope: Scope) -> Elapsed {
        let start = self.begun().unwrap_or(self.start);
        self.gave_up(scope, start, self.limit)
    }

    /// Nothing came within `limit` from `start`.
    pub(crate) fn gave_up(&mut self, scope: Scope, start: Instant, limit: Duration) -> Elapsed {
        let waited = self.in_flight.take();
        let elapsed = Elapsed::new(limit, since(start), scope);
        tracing::trace!(limit = ?elapsed.limit(), elapsed = ?elapsed.elapsed(), %scope, "timed out");
        // A limit of the request's own says nothing of the learnt one, but that it took so long.
        if limit < self.cap {
            self.watch.timed_out(limit, waited);
        } else {
            self.watch.cancelled(start, waited);
        }
        elapsed
    }

    /// The caller does not wait any more.
    pub(crate) fn cancelled(&mut self) {
        if let Some(start) = self.begun() {
            self.watch.cancelled(start, self.in_flight.take());
        }
    }

    /// The caller does not wait any more for a pause to end.
    #[cfg(feature = "http")]
    pub(crate) fn cancelled_pause(&mut self, paused: Instant) {
        self.watch.cancelled(paused, self.in_flight.take());
    }

    /// In flight no more, and no sample.
    #[inline]
    fn left(&mut self) {
        if let Some(waited) = self.in_flight.take() {
            self.watch.left(waited);
        }
    }

    #[inline]
    fn begun(&self) -> Option<Instant> {
        match &self.sent {
            None => Some(self.start),
            Some(sent) => sent.at(),
        }
    }
}

/// However it ends.
impl<C> Drop for Exchange<C> {
    #[inline]
    fn drop(&mut self) {
        self.left();
    }
}

impl<C> fmt::Debug for Exchange<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("start", &self.start)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// Of the timer: a limit of zero would be asked about without end.
const TICK: Duration = Duration::from_millis(1);
