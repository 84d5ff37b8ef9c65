use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::Instant;

use crate::{error::Elapsed, exchange::Exchange, scope::Scope, timer::Timer};

/// What a body's limit is for, and where it is with it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Limit {
    Whole {
        is_sample: bool,
    },
    Idle {
        is_sample: bool,
        pause: Option<Pause>,
    },
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Pause {
    began: Instant,
    limit: Duration,
}

/// What the body did.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// Nothing yet.
    Waits,
    Frame,
    /// It ended, perhaps with this frame.
    End,
    /// It broke off, or its trailers say that it is of no use.
    Failure,
}

impl Limit {
    pub(super) fn whole(is_sample: bool) -> Self {
        Self::Whole { is_sample }
    }

    pub(super) fn idle(is_sample: bool) -> Self {
        Self::Idle {
            is_sample,
            pause: None,
        }
    }

    /// Ready if the step is to be passed on, or if the limit has passed.
    pub(super) fn poll<C>(
        &mut self,
        cx: &mut Context<'_>,
        exchange: &mut Exchange<C>,
        timer: &mut Option<Pin<Box<Timer>>>,
        step: Step,
    ) -> Poll<Option<Elapsed>> {
        match self {
            Self::Whole { is_sample } => {
                match step {
                    Step::Waits => {
                        let new = || Box::pin(Timer::new(exchange.first_due()));
                        let timer = timer.get_or_insert_with(new);
                        ready!(exchange.poll_due(timer.as_mut(), cx));
                    }
                    Step::Frame if exchange.is_over() => {}
                    Step::End if *is_sample => {
                        exchange.ended();
                        return Poll::Ready(None);
                    }
                    Step::Frame | Step::End | Step::Failure => return Poll::Ready(None),
                }
                Poll::Ready(Some(exchange.timed_out(Scope::WholeBody)))
            }
            Self::Idle { is_sample, pause } => match (step, *pause) {
                (Step::Waits, _) => {
                    let pause = *pause.get_or_insert_with(|| {
                        let pause = Pause::begins(exchange.limit_now());
                        if *is_sample {
                            exchange.pauses(pause.began);
                        }
                        pause
                    });
                    ready!(pause.poll(cx, timer));
                    let Pause { began, limit } = pause;
                    Poll::Ready(Some(exchange.gave_up(Scope::BodyIdle, began, limit)))
                }
                (Step::Frame | Step::End, Some(Pause { began, .. })) => {
                    *pause = None;
                    if *is_sample {
                        exchange.resumed(began);
                    }
                    Poll::Ready(None)
                }
                _ => Poll::Ready(None),
            },
        }
    }

    /// The reader has left.
    pub(super) fn cancelled<C>(self, exchange: &mut Exchange<C>) {
        match self {
            Self::Whole { .. } => exchange.cancelled(),
            Self::Idle { pause, .. } => {
                if let Some(pause) = pause {
                    exchange.cancelled_pause(pause.began);
                }
            }
        }
    }
}

impl Pause {
    fn begins(limit: Duration) -> Self {
        Self {
            began: Instant::now(),
            limit,
        }
    }

    /// Ready when it was too long. The timer of an earlier pause is left to run: most pauses end
    /// before it.
    fn poll(self, cx: &mut Context<'_>, timer: &mut Option<Pin<Box<Timer>>>) -> Poll<()> {
        let due = self.began.checked_add(self.limit);
        let timer = timer.get_or_insert_with(|| Box::pin(Timer::new(due)));
        if timer.is_after(due) {
            timer.as_mut().reset(due);
        }
        ready!(timer.as_mut().poll(cx));
        if timer.is_before(due) {
            timer.as_mut().reset(due);
            ready!(timer.as_mut().poll(cx));
        }
        Poll::Ready(())
    }
}
