//! The replayed body against a plain model, under random histories.
#![cfg(feature = "http")]

use std::{pin::Pin, task::Poll};

use bytes::Bytes;
use http::Request;
use http_body::Body;
use proptest::prelude::*;
use tower_retry_budget::{
    Replay,
    http::{BodyMemory, BodyReplay, ReplayBody, Spare},
};

use bodies::{Scripted, Step, poll};

#[path = "support/bodies.rs"]
mod bodies;

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 2_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn it_does_what_a_plain_model_does(
        script in prop::collection::vec(step(), 0..8),
        events in prop::collection::vec(event(), 1..50),
    ) {
        let mut run = Run::new(script);
        for event in &events {
            run.event(event);
            run.check();
        }
        let memory = run.memory.clone();
        drop(run);
        prop_assert_eq!(memory.used(), 0);
    }
}

/// Of the body of the client.
fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..250_usize).prop_map(|length| Step::Data(vec![7; length].into())),
        3 => Just(Step::Pending),
        1 => Just(Step::Trailers),
        1 => Just(Step::Error),
    ]
}

#[derive(Clone, Debug)]
enum Event {
    Poll(usize),
    Again,
    Last,
    DropAttempt(usize),
    DropSpare,
    /// Other bodies keep so many bytes from now on.
    Others(usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        20 => any::<usize>().prop_map(Event::Poll),
        4 => Just(Event::Again),
        1 => Just(Event::Last),
        3 => any::<usize>().prop_map(Event::DropAttempt),
        1 => Just(Event::DropSpare),
        2 => (0..MEMORY).prop_map(Event::Others),
    ]
}

/// The real thing, and the model beside it.
struct Run {
    memory: BodyMemory,
    spare: Option<Spare<Scripted>>,
    others: Option<Spare<Scripted>>,
    others_keep: usize,
    attempts: Vec<Attempt>,
    made: usize,
    newest: usize,
    /// Whether the newest is gone and was never polled.
    vacant: bool,
    script: std::vec::IntoIter<Step>,
    source: Source,
    /// All that the client's body has given, but for empty frames.
    given: Vec<Given>,
    /// Whether all of that is kept.
    keeping: bool,
}

struct Attempt {
    number: usize,
    body: Pin<Box<ReplayBody<Scripted>>>,
    polled: bool,
    /// How much of what was given it has read.
    read: usize,
}

#[derive(Clone, Debug, PartialEq)]
enum Given {
    Data(Bytes),
    Trailers,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Source {
    Live,
    Ended,
    Failed,
}

#[derive(Debug, PartialEq)]
enum Read {
    Frame(Given),
    Error,
    End,
    Pending,
}

impl Run {
    fn new(script: Vec<Step>) -> Self {
        let memory = BodyMemory::new(MEMORY);
        let replay = BodyReplay::new(LIMIT).memory(memory.clone());
        let (first, spare) = replay.first(Request::new(Scripted::new(script.clone())));
        let mut run = Self {
            memory,
            spare,
            others: None,
            others_keep: 0,
            attempts: Vec::new(),
            made: 0,
            newest: 0,
            vacant: false,
            script: script.into_iter(),
            source: Source::Live,
            given: Vec::new(),
            keeping: true,
        };
        run.attempt(first);
        run
    }

    fn attempt(&mut self, request: Request<ReplayBody<Scripted>>) {
        self.made += 1;
        self.newest = self.made;
        self.vacant = false;
        self.attempts.push(Attempt {
            number: self.newest,
            body: Box::pin(request.into_body()),
            polled: false,
            read: 0,
        });
    }

    fn event(&mut self, event: &Event) {
        let count = self.attempts.len().max(1);
        match event {
            Event::Poll(which) if !self.attempts.is_empty() => self.poll(which % count),
            Event::DropAttempt(which) if !self.attempts.is_empty() => {
                let gone = self.attempts.swap_remove(which % count);
                self.vacant |= gone.number == self.newest && !gone.polled;
            }
            Event::Again => {
                let spare = self.spare.as_mut();
                let next = spare.map(|spare| BodyReplay::default().again(spare));
                self.next(next);
            }
            Event::Last => {
                let spare = self.spare.take();
                let next = spare.map(|spare| BodyReplay::default().last(spare));
                self.next(next);
            }
            Event::DropSpare => self.spare = None,
            Event::Others(bytes) => {
                self.others = None;
                let weight = if *bytes == 0 { 0 } else { (*bytes).max(64) };
                let fits = weight <= MEMORY - self.memory.used();
                self.others_keep = if fits { weight } else { 0 };
                let replay = BodyReplay::new(MEMORY).memory(self.memory.clone());
                let body = Scripted::new([Step::Data(vec![0; *bytes].into())]);
                let (first, spare) = replay.first(Request::new(body));
                bodies::rest(&mut Box::pin(first.into_body()));
                self.others = spare;
            }
            Event::Poll(_) | Event::DropAttempt(_) => {}
        }
        self.forget();
    }

    fn next(&mut self, next: Option<Option<Request<ReplayBody<Scripted>>>>) {
        let Some(next) = next else { return };
        assert_eq!(next.is_some(), self.keeping);
        if let Some(next) = next {
            self.attempt(next);
        }
    }

    fn poll(&mut self, which: usize) {
        let free = MEMORY - self.memory.used();
        let read = match poll(&mut self.attempts[which].body) {
            Poll::Ready(Some(Ok(frame))) => Read::Frame(match frame.into_data() {
                Ok(data) => Given::Data(data),
                Err(_) => Given::Trailers,
            }),
            Poll::Ready(Some(Err(_))) => Read::Error,
            Poll::Ready(None) => Read::End,
            Poll::Pending => Read::Pending,
        };
        assert_eq!(read, self.expected(which, free));
        // Whatever is kept: it had all if it ends, and all so far in its order.
        if read == Read::End && self.source == Source::Ended {
            assert_eq!(self.attempts[which].read, self.given.len());
        }
    }

    fn expected(&mut self, which: usize, free: usize) -> Read {
        let attempt = &mut self.attempts[which];
        attempt.polled = true;
        let (number, read) = (attempt.number, attempt.read);
        if self.vacant && self.keeping && read == self.given.len() {
            (self.newest, self.vacant) = (number, false);
        }
        let is_newest = number == self.newest;
        if let Some(given) = self.given.get(read).cloned()
            && (self.keeping || is_newest)
        {
            self.attempts[which].read += 1;
            return Read::Frame(given);
        }
        if !is_newest {
            let ends = self.keeping && self.source == Source::Ended;
            return if ends { Read::End } else { Read::Pending };
        }
        if self.source != Source::Live {
            return Read::End;
        }
        let given = match self.script.next() {
            Some(Step::Data(data)) => Given::Data(data),
            Some(Step::Trailers) => Given::Trailers,
            Some(Step::Pending) => return Read::Pending,
            Some(Step::Error | Step::Panic) => {
                self.source = Source::Failed;
                self.keeping = false;
                return Read::Error;
            }
            None => {
                self.source = Source::Ended;
                return Read::End;
            }
        };
        if given != Given::Data(Bytes::new()) {
            let weight = weigh(&given);
            let all: usize = self.given.iter().map(weigh).sum();
            let fits = weight + all <= LIMIT && weight <= free;
            self.keeping &= fits && !self.given.contains(&Given::Trailers);
            self.given.push(given.clone());
            self.attempts[which].read += 1;
        }
        Read::Frame(given)
    }

    /// Nothing is kept that nobody can use.
    fn forget(&mut self) {
        if self.spare.is_some() {
            return;
        }
        let newest = self.newest();
        self.keeping &= match newest {
            Some(newest) => self.attempts.len() > 1 || newest.read < self.given.len(),
            None => !self.attempts.is_empty() && (self.vacant || self.source == Source::Ended),
        };
    }

    fn newest(&self) -> Option<&Attempt> {
        self.attempts
            .iter()
            .find(|attempt| attempt.number == self.newest)
    }

    fn check(&self) {
        let mut expected = self.others_keep;
        if self.keeping {
            let from = match self.newest() {
                Some(newest) if self.spare.is_none() && self.attempts.len() == 1 => newest.read,
                _ => 0,
            };
            expected += self.given[from..].iter().map(weigh).sum::<usize>();
        }
        assert_eq!(self.memory.used(), expected);
        if let Some(spare) = &self.spare {
            let replay = BodyReplay::default();
            assert_eq!(replay.replayable(spare), self.keeping);
            let complete = self.keeping && self.source == Source::Ended;
            assert_eq!(replay.complete(spare), complete);
        }
        for attempt in &self.attempts {
            self.check_hints(attempt);
        }
    }

    fn check_hints(&self, attempt: &Attempt) {
        let is_newest = attempt.number == self.newest;
        let left = &self.given[attempt.read..];
        let at_end = match self.source {
            Source::Live => false,
            Source::Ended => (self.keeping || is_newest) && left.is_empty(),
            Source::Failed => is_newest,
        };
        assert_eq!(attempt.body.is_end_stream(), at_end);
        let hint = attempt.body.size_hint();
        if !self.keeping && !is_newest {
            assert_eq!((hint.lower(), hint.upper()), (0, None));
            return;
        }
        let left: usize = left.iter().map(length).sum();
        assert_eq!(hint.lower(), left as u64);
        assert_eq!(hint.exact().is_some(), self.source != Source::Live);
    }
}

fn length(given: &Given) -> usize {
    match given {
        Given::Data(data) => data.len(),
        Given::Trailers => 0,
    }
}

fn weigh(given: &Given) -> usize {
    match given {
        Given::Data(data) => data.len().max(64),
        Given::Trailers => "checksum".len() + "abc".len() + 32,
    }
}

/// Of the body.
const LIMIT: usize = 600;

/// Of the body and what others keep.
const MEMORY: usize = 800;
