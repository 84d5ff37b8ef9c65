//! One run: clients, servers and what happens between them, in virtual time.
//!
//! Open loop: requests come at their times, whatever becomes of those before. The runtime's clock
//! is paused and moved to each event's nanosecond, so that the balancers measure exact latencies;
//! nothing waits in real time, and nothing but the balancers uses the runtime's timers.

use std::{cell::Cell, rc::Rc, time::Duration};

use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use tokio::{runtime, task::unconstrained, time};

use super::{
    endpoint::{Answer, CallHandle, Inbox, Request, Response, Submission, Unanswered},
    event::{Agenda, Event, Nanos, seconds},
    policy::{Policy, PolicyKind, View},
    record::{Figures, Record},
    scenario::{Change, Condition, Scenario, exponential},
    server::{Failure, Mode, Server},
    tasks::{Ended, TaskId, Tasks},
};

/// Runs a scenario once.
pub(super) fn run(scenario: &Scenario, policy: PolicyKind, seed: u64) -> Figures {
    let runtime = runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O needs nothing of the system");
    // Without tokio's budget, which would count all requests of a moment as one task.
    runtime.block_on(unconstrained(async {
        let mut world = World::new(scenario, policy, seed);
        world.run().await;
        world.record.figures(&world.clients)
    }))
}

struct World<'a> {
    scenario: &'a Scenario,
    clock: Rc<Cell<Nanos>>,
    agenda: Agenda,
    plan: Vec<Condition>,
    inbox: Inbox,
    servers: Vec<Server>,
    clients: Vec<Box<dyn Policy>>,
    tasks: Tasks,
    background: usize,
    in_flight: usize,
    record: Record,
    chance: Chance,
}

/// Where randomness comes from. Each kind has its own source, so that a policy's doings do not
/// change what comes next.
struct Chance {
    arrivals: SmallRng,
    requests: SmallRng,
    retries: SmallRng,
}

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario, policy: PolicyKind, seed: u64) -> Self {
        let random =
            |kind: u64| SmallRng::seed_from_u64(seed.wrapping_mul(1_000).wrapping_add(kind));
        let seeds = (0..scenario.clients as u64).map(|client| (seed << 20) + client);
        let mut world = Self {
            scenario,
            clock: Rc::default(),
            agenda: Agenda::default(),
            plan: (scenario.plan)(&mut random(1)),
            inbox: Inbox::default(),
            servers: (0..scenario.servers)
                .map(|_| Server::new(scenario.workers, scenario.expired))
                .collect(),
            clients: seeds.map(|seed| policy.build(seed)).collect(),
            tasks: Tasks::default(),
            background: 0,
            in_flight: 0,
            record: Record::new(scenario),
            chance: Chance {
                arrivals: random(2),
                requests: random(3),
                retries: random(4),
            },
        };
        world.prepare();
        world
    }

    /// Everything that is there before the first request.
    fn prepare(&mut self) {
        let late = |server| {
            let mut plan = self.plan.iter();
            plan.any(|line| line.server == server && matches!(line.change, Change::Joins))
        };
        let early: Vec<usize> = (0..self.servers.len())
            .filter(|&server| !late(server))
            .collect();
        for server in early {
            self.join(server);
        }
        for client in &mut self.clients {
            if let Some(task) = client.background() {
                self.tasks.spawn(task, 0);
                self.background += 1;
            }
        }
        for (index, line) in self.plan.iter().enumerate() {
            self.agenda.plan(line.at, Event::Condition(index));
        }
        self.settle();
        self.plan_arrival();
    }

    async fn run(&mut self) {
        let end = seconds(self.scenario.duration);
        while let Some((at, event)) = self.agenda.pop() {
            let over = at > end && self.in_flight == 0;
            if over || at > end + seconds(AFTER_THE_END) {
                break;
            }
            self.advance(at).await;
            self.act(event);
            self.settle();
        }
        let now = self.clock.get();
        for begun in self.tasks.clear().into_iter().skip(self.background) {
            self.record.answered(begun, now);
        }
    }

    /// In steps, so that the policies' own timers are not late.
    async fn advance(&mut self, until: Nanos) {
        let needs_clock = self
            .clients
            .first()
            .is_some_and(|client| client.needs_clock());
        let longest = seconds(self.scenario.tick);
        while self.clock.get() < until {
            let now = self.clock.get();
            let step = if needs_clock {
                (until - now).min(longest)
            } else {
                until - now
            };
            self.clock.set(now + step);
            if needs_clock {
                time::advance(Duration::from_nanos(step)).await;
                self.settle();
            }
        }
    }

    fn act(&mut self, event: Event) {
        match event {
            Event::Arrival => self.arrive(),
            Event::Finish { server, version } => self.finish(server, version),
            Event::Answer(Answer { call, result }) => call.answer(result),
            Event::Timeout(task) => self.time_out(task),
            Event::Condition(line) => self.change(self.plan[line]),
        }
    }

    fn plan_arrival(&mut self) {
        let wait = exponential(1.0 / self.scenario.rate, &mut self.chance.arrivals);
        let at = self.clock.get() + seconds(wait);
        if at < seconds(self.scenario.duration) {
            self.agenda.plan(at, Event::Arrival);
        }
    }

    fn arrive(&mut self) {
        let now = self.clock.get();
        let random = &mut self.chance.requests;
        let request = Request {
            client: random.random_range(0..self.clients.len()),
            begun: now,
            work: self.scenario.service.draw(random),
            luck: random.random(),
        };
        let view = View {
            clock: &self.clock,
            servers: &self.servers,
        };
        let task = self.clients[request.client].send(request, view);
        let task = self.tasks.spawn(task, now);
        self.in_flight += 1;
        if let Some(timeout) = self.scenario.timeout {
            self.agenda
                .plan(now + seconds(timeout), Event::Timeout(task));
        }
        self.plan_arrival();
    }

    fn finish(&mut self, server: usize, version: u64) {
        if !self.servers[server].is_current(version) {
            return;
        }
        let now = self.clock.get();
        let healthy = Ok(Response { failed: false });
        self.servers[server].finish(now, |job| job.call.answer(healthy));
        self.reschedule(server);
    }

    fn time_out(&mut self, task: TaskId) {
        if let Some(begun) = self.tasks.cancel(task) {
            self.in_flight -= 1;
            self.record.gave_up(begun, self.clock.get());
        }
    }

    fn change(&mut self, line: Condition) {
        let Condition { at, server, change } = line;
        match change {
            Change::Speed(speed) => self.servers[server].set_speed(speed, at),
            Change::Longer(longer) => self.servers[server].set_longer(longer),
            Change::Stalled(stalled) => self.servers[server].set_stalled(stalled, at),
            Change::Mode(mode) => self.servers[server].set_mode(mode),
            Change::Joins => self.join(server),
        }
        self.reschedule(server);
    }

    fn join(&mut self, server: usize) {
        for client in &mut self.clients {
            client.insert(self.inbox.endpoint(server));
        }
    }

    /// Lets everything happen that needs no time.
    fn settle(&mut self) {
        let now = self.clock.get();
        for _ in 0..MOST_ROUNDS {
            let (record, in_flight) = (&mut self.record, &mut self.in_flight);
            let any = self.tasks.poll_woken(|finished| match finished.ended {
                Ended::Answered => {
                    *in_flight -= 1;
                    record.answered(finished.begun, now);
                }
                Ended::Failed => {
                    *in_flight -= 1;
                    record.failed(finished.begun);
                }
                Ended::Background => {}
            });
            for submission in self.inbox.take() {
                self.submit(submission);
            }
            if !any {
                return;
            }
        }
    }

    fn submit(&mut self, submission: Submission) {
        let Submission {
            server,
            request,
            call,
        } = submission;
        let now = self.clock.get();
        self.record.sent(server, &request, now);
        let luck = if self.scenario.new_luck && now > request.begun {
            self.chance.retries.random()
        } else {
            request.luck
        };
        let fails = luck < self.scenario.errors;
        match self.servers[server].mode() {
            _ if fails => self.fail(call, Failure::Status),
            Mode::Fails(failure, share) if luck < share => self.fail(call, failure),
            Mode::Hangs => {}
            Mode::Works | Mode::Fails(..) => {
                if self.servers[server].submit(&request, call, now) {
                    self.reschedule(server);
                }
            }
        }
    }

    fn fail(&mut self, call: CallHandle, failure: Failure) {
        let result = match failure {
            Failure::Status => Ok(Response { failed: true }),
            Failure::Refused | Failure::Reset => Err(Unanswered),
        };
        let at = self.clock.get() + failure.delay();
        self.agenda.plan(at, Event::Answer(Answer { call, result }));
    }

    fn reschedule(&mut self, server: usize) {
        if let Some((at, version)) = self.servers[server].schedule(self.clock.get()) {
            self.agenda.plan(at, Event::Finish { server, version });
        }
    }
}

/// What is in flight at the end is waited for, but not for ever.
const AFTER_THE_END: f64 = 10.0;
/// A task that keeps waking itself must not stop time.
const MOST_ROUNDS: u32 = 100_000;
