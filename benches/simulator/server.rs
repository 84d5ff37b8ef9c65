//! A server: one queue, some workers, and what can go wrong with it.

use std::collections::VecDeque;

use super::{
    endpoint::{CallHandle, Request},
    event::Nanos,
};

/// A queue before `workers` that share one speed. Time goes by only through its methods.
pub(super) struct Server {
    workers: usize,
    expired: Expired,
    speed: f64,
    longer: f64,
    stalled: bool,
    mode: Mode,
    queue: VecDeque<Job>,
    busy: Vec<Job>,
    queued_work: f64,
    since: Nanos,
    version: u64,
}

/// What a server does with requests that come in now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Mode {
    Works,
    /// This share of requests fails, without any work.
    Fails(Failure, f64),
    /// Requests are taken and never answered.
    Hangs,
}

/// What a server does with requests that were given up before it came to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expired {
    Skipped,
    /// As if somebody still waited: it cannot know, or does not ask.
    Worked,
}

/// How a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// An answer that says so, after 1 ms.
    Status,
    /// No connection, after 0.2 ms.
    Refused,
    /// A connection that breaks, after 5 ms.
    Reset,
}

/// A request at its server, and the work that is left of it.
pub(super) struct Job {
    pub(super) call: CallHandle,
    left: f64,
}

impl Server {
    pub(super) fn new(workers: usize, expired: Expired) -> Self {
        Self {
            workers,
            expired,
            speed: 1.0,
            longer: 1.0,
            stalled: false,
            mode: Mode::Works,
            queue: VecDeque::new(),
            busy: Vec::new(),
            queued_work: 0.0,
            since: 0,
            version: 0,
        }
    }

    /// Queues a request. True if that changes when the next one ends.
    pub(super) fn submit(&mut self, request: &Request, call: CallHandle, now: Nanos) -> bool {
        self.work_until(now);
        let left = request.work * self.longer;
        self.queued_work += left;
        self.queue.push_back(Job { call, left });
        self.start()
    }

    /// Whether this is the version of the schedule that is in force.
    pub(super) fn is_current(&self, version: u64) -> bool {
        self.version == version
    }

    /// Ends what is done.
    pub(super) fn finish(&mut self, now: Nanos, mut done: impl FnMut(Job)) {
        self.work_until(now);
        let mut index = 0;
        while index < self.busy.len() {
            if self.busy[index].left <= ROUNDING * self.speed {
                done(self.busy.swap_remove(index));
            } else {
                index += 1;
            }
        }
        self.start();
    }

    /// When the next request ends as things are, and the version of this schedule.
    pub(super) fn schedule(&mut self, now: Nanos) -> Option<(Nanos, u64)> {
        self.version += 1;
        let least = self.busy.iter().map(|job| job.left);
        let least = least.min_by(f64::total_cmp)?;
        let speed = self.speed();
        let wait = (speed > 0.0).then(|| least / speed)?;
        Some((now + wait.ceil() as Nanos, self.version))
    }

    pub(super) fn set_speed(&mut self, speed: f64, now: Nanos) {
        self.work_until(now);
        self.speed = speed;
    }

    pub(super) fn set_longer(&mut self, longer: f64) {
        self.longer = longer;
    }

    pub(super) fn set_stalled(&mut self, stalled: bool, now: Nanos) {
        self.work_until(now);
        self.stalled = stalled;
    }

    pub(super) fn set_mode(&mut self, mode: Mode) {
        self.mode = mode;
    }

    pub(super) fn mode(&self) -> Mode {
        self.mode
    }

    /// How long a request of this much work would take that came now, if nothing changes:
    /// infinitely long where it would fail, hang or meet a stall.
    pub(super) fn time_to_finish(&self, work: f64, now: Nanos) -> f64 {
        if self.stalled || self.mode != Mode::Works {
            return f64::INFINITY;
        }
        let work = work * self.longer;
        if self.busy.len() < self.workers {
            return work / self.speed;
        }
        let gone = (now - self.since) as f64 * self.speed;
        let first = self.busy.iter().map(|job| job.left - gone);
        let first = first.min_by(f64::total_cmp).unwrap_or(0.0).max(0.0);
        (first + self.queued_work / self.workers as f64 + work) / self.speed
    }

    /// How long a request of average work takes that finds so many before it, in units of that
    /// work: infinitely long where it would fail, hang or meet a stall.
    pub(super) fn average_time_behind(&self, others: u32) -> f64 {
        if self.stalled || self.mode != Mode::Works {
            return f64::INFINITY;
        }
        let turns = (f64::from(others) + 1.0) / self.workers as f64;
        turns.max(1.0) * self.longer / self.speed
    }

    fn speed(&self) -> f64 {
        if self.stalled { 0.0 } else { self.speed }
    }

    fn work_until(&mut self, now: Nanos) {
        let done = (now - self.since) as f64 * self.speed();
        self.since = now;
        for job in &mut self.busy {
            job.left -= done;
        }
    }

    /// Gives free workers what waits.
    fn start(&mut self) -> bool {
        let mut started = false;
        while self.busy.len() < self.workers {
            let Some(job) = self.queue.pop_front() else {
                break;
            };
            self.queued_work -= job.left;
            if self.expired == Expired::Worked || !job.call.is_cancelled() {
                self.busy.push(job);
                started = true;
            }
        }
        started
    }
}

impl Failure {
    /// Nanoseconds until the client knows.
    pub(super) fn delay(self) -> Nanos {
        match self {
            Self::Status => 1_000_000,
            Self::Refused => 200_000,
            Self::Reset => 5_000_000,
        }
    }
}

/// A schedule is in whole nanoseconds, rounded up.
const ROUNDING: f64 = 1.0;
