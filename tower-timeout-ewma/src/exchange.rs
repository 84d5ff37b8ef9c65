use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    Classify, RequestLimit,
    error::Elapsed,
    limiter::{Limiter, since},
    scope::Scope,
    sent::Sent,
    timer::Timer,
};

/// A request under its limit, and what is learnt from how it ends.
pub struct Exchange<C> {
    limiter: Limiter<C>,
    start: Instant,
    limit: Duration,
    /// The longest limit that this request may have.
    cap: Duration,
    /// Present if the limit runs from then on.
    sent: Option<Sent>,
}

impl<C> Exchange<C> {
    // `inline(always)`, here and below: the compiler calls them else, for 45 instructions of 670.
    #[inline(always)]
    pub(crate) fn new(
        limiter: Limiter<C>,
        start: Instant,
        limit: RequestLimit,
        sent: Option<Sent>,
    ) -> Self {
        let (limiter, limit, cap) = match limit {
            RequestLimit::Learnt => {
                let limit = limiter.limit();
                (limiter, limit, Duration::MAX)
            }
            RequestLimit::AtMost(cap) => {
                let limit = limiter.limit().min(cap);
                (limiter, limit, cap)
            }
            RequestLimit::Fixed(limit) => (Limiter::fixed(limit), limit, Duration::MAX),
            RequestLimit::Unlimited => {
                let limit = Duration::MAX;
                (Limiter::fixed(limit), limit, limit)
            }
        };
        Self {
            limiter,
            start,
            limit,
            cap,
            sent,
        }
    }

    /// The limit that is in force for what begins now.
    #[cfg(feature = "http")]
    pub(crate) fn limit_now(&self) -> Duration {
        self.limiter.limit().min(self.cap)
    }

    /// When to look for the first time whether the limit has passed.
    pub(crate) fn first_due(&self) -> Option<Instant> {
        self.due(self.start)
    }

    /// Ready when the limit has passed.
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
    fn due(&self, now: Instant) -> Option<Instant> {
        match &self.sent {
            None => self.start.checked_add(self.limit),
            Some(sent) => match sent.at() {
                Some(at) => at.checked_add(self.limit),
                None => now.checked_add(self.limit.max(TICK)),
            },
        }
    }

    /// Reads the clock only for what is learnt from.
    #[inline(always)]
    pub(crate) fn answered<T>(&self, response: &T)
    where
        C: Classify<T>,
    {
        match &self.sent {
            None => self.limiter.answered(self.start, response),
            Some(_) if self.is_sample(response) => self.ended(),
            Some(_) => {}
        }
    }

    /// Whether the time to the end of this response, or of its body, is to be learnt.
    pub(crate) fn is_sample<T>(&self, response: &T) -> bool
    where
        C: Classify<T>,
    {
        self.limiter.is_sample(response)
    }

    /// What was waited for is there, and is a sample. Karn's rule: what was sent again is none.
    pub(crate) fn ended(&self) {
        match &self.sent {
            Some(sent) if sent.is_again() => {}
            _ => {
                if let Some(start) = self.begun() {
                    self.limiter.sample(start);
                }
            }
        }
    }

    /// Whether the limit has passed.
    #[cfg(feature = "http")]
    pub(crate) fn is_over(&self) -> bool {
        let due = self.begun().and_then(|begun| begun.checked_add(self.limit));
        due.is_some_and(|due| due <= Instant::now())
    }

    /// A pause, one of many in this exchange, ended with what was waited for.
    #[cfg(feature = "http")]
    pub(crate) fn resumed(&self, paused: Instant) {
        self.limiter.sample(paused);
    }

    pub(crate) fn timed_out(&self, scope: Scope) -> Elapsed {
        let start = self.begun().unwrap_or(self.start);
        self.gave_up(scope, start, self.limit)
    }

    /// Nothing came within `limit` from `start`.
    pub(crate) fn gave_up(&self, scope: Scope, start: Instant, limit: Duration) -> Elapsed {
        let elapsed = Elapsed::new(limit, since(start), scope);
        tracing::trace!(limit = ?elapsed.limit(), elapsed = ?elapsed.elapsed(), %scope, "timed out");
        // A limit of the request's own says nothing of the learnt one, but that it took so long.
        if limit < self.cap {
            self.limiter.timed_out(limit);
        } else {
            self.limiter.cancelled(start);
        }
        elapsed
    }

    /// The caller does not wait any more.
    pub(crate) fn cancelled(&self) {
        if let Some(start) = self.begun() {
            self.limiter.cancelled(start);
        }
    }

    /// The caller does not wait any more for a pause to end.
    #[cfg(feature = "http")]
    pub(crate) fn cancelled_pause(&self, paused: Instant) {
        self.limiter.cancelled(paused);
    }

    fn begun(&self) -> Option<Instant> {
        match &self.sent {
            None => Some(self.start),
            Some(sent) => sent.at(),
        }
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
