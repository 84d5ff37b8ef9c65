//! What a balancer should know after a history, in plain sequential code.

use std::{collections::BTreeMap, time::Duration};

use tower_balance_p2c::{EndpointStats, Health};

pub type Key = u8;

/// Where a window of time, the least ratio of successes and the share that may be ejected are set
/// as here, ratios over time are not looked at, and the median endpoint never fails.
pub const WINDOW: Duration = Duration::from_secs(5);
pub const MAX_EJECTED: f64 = 0.3;
const RATIO: f64 = 0.8;
const USUAL: f64 = 0.01;

#[derive(Debug, Default)]
pub struct Reference {
    pub now: Duration,
    pub members: BTreeMap<Key, Member>,
    joined: u64,
    probes: u64,
}

/// An endpoint from its first insertion to its removal.
#[derive(Clone, Debug, Default)]
pub struct Member {
    /// Tells one that was removed from its successor.
    pub number: u64,
    /// Which service is to be called.
    pub instance: usize,
    pub in_flight: usize,
    pub requests: u64,
    pub failures: u64,
    unanswered: usize,
    /// Of the first request since the last answer.
    owed_since: Option<Duration>,
    /// True for a failure, the latest last.
    history: Vec<bool>,
    last_failure: Option<Duration>,
    pub ejections: u64,
    /// Of the last one.
    duration: Duration,
    pub state: State,
    /// The last one.
    probe: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum State {
    #[default]
    Admitted,
    /// Not to be probed before.
    Ejected(Duration),
    /// Until another request may find out.
    Probing(Duration),
    Probation {
        most: u32,
        successes: u32,
        failures: u32,
        step: u32,
    },
}

/// A request that was sent.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    pub key: Key,
    number: u64,
    at: Duration,
    ejections: u64,
    /// Which of all there were.
    probe: Option<u64>,
}

impl Reference {
    pub fn insert(&mut self, key: Key, instance: usize) {
        self.joined += 1;
        let number = self.joined;
        let member = self.members.entry(key).or_insert_with(|| Member {
            number,
            ..Member::default()
        });
        member.instance = instance;
    }

    pub fn sent(&mut self, key: Key, instance: usize, is_probe: bool) -> Sent {
        let now = self.now;
        self.probes += u64::from(is_probe);
        let probe = is_probe.then_some(self.probes);
        let mut others = self.members.iter().filter(|(other, _)| **other != key);
        let is_alone = others.all(|(_, other)| other.state != State::Admitted);
        let member = self.members.get_mut(&key).expect("it is in the set");
        member.probe = probe.or(member.probe);
        assert_eq!(member.instance, instance, "the service that was last named");
        match member.state {
            State::Admitted => assert!(!is_probe),
            State::Ejected(due) => {
                assert!(is_probe && now >= due, "too soon by {:?}", due - now);
                member.state = State::Probing(now + member.duration);
            }
            State::Probing(due) => {
                assert!(is_probe && now >= due, "there is a probe already");
                member.state = State::Probing(now + member.duration);
            }
            State::Probation { most, .. } => {
                // What was sent before the last answer takes its time, and keeps nobody out.
                let has_room = member.unanswered < most as usize || member.owed_since.is_none();
                let is_patient = is_alone || member.silence(now) > WINDOW;
                assert!(!is_probe && (has_room || is_patient));
            }
        }
        member.owed_since.get_or_insert(now);
        member.unanswered += 1;
        member.in_flight += 1;
        Sent {
            key,
            number: member.number,
            at: now,
            ejections: member.ejections,
            probe,
        }
    }

    /// True if the endpoint is to be ejected now.
    pub fn answered(&mut self, sent: Sent, is_failure: bool) -> bool {
        let (now, ejected) = (self.now, self.ejected());
        let most = (self.members.len() as f64 * MAX_EJECTED) as usize;
        let Some(member) = member_of(&mut self.members, sent) else {
            return false;
        };
        member.in_flight -= 1;
        member.unanswered -= 1;
        member.owed_since = None;
        member.requests += 1;
        let is_current = sent.ejections == member.ejections;
        if !is_failure {
            member.history.push(false);
            if is_current {
                member.proved_well(sent.probe.is_some());
            }
            return false;
        }
        member.failures += 1;
        if is_current {
            member.fail(now);
        }
        let is_bad = is_current && member.is_bad(sent.probe.is_some());
        let is_out = matches!(member.state, State::Ejected(_) | State::Probing(_));
        is_bad && (is_out || ejected < most)
    }

    pub fn cancelled(&mut self, sent: Sent) {
        let now = self.now;
        if let Some(member) = member_of(&mut self.members, sent) {
            member.in_flight -= 1;
            member.unanswered -= 1;
            member.owed_since = member.owed_since.filter(|&since| since != sent.at);
            // Another may be under way, which this one says nothing of.
            let is_last = sent.probe.is_some() && sent.probe == member.probe;
            let is_current = is_last && sent.ejections == member.ejections;
            if is_current && matches!(member.state, State::Probing(_)) {
                member.state = State::Ejected(now);
            }
        }
    }

    pub fn ejected_for(&mut self, key: Key, duration: Duration) {
        let now = self.now;
        let member = self.members.get_mut(&key).expect("it is in the set");
        member.state = State::Ejected(now + duration);
        // One that hangs for that long is not waited for.
        member.duration = duration.max(WINDOW);
        member.ejections += 1;
        member.forgive();
    }

    fn ejected(&self) -> usize {
        let is_out =
            |member: &&Member| matches!(member.state, State::Ejected(_) | State::Probing(_));
        self.members.values().filter(is_out).count()
    }

    pub fn check(&self, seen: &[EndpointStats<Key>]) {
        assert_eq!(seen.len(), self.members.len());
        for seen in seen {
            let member = &self.members[&seen.key];
            let context = format!("{member:?} at {:?}, seen as {seen:?}", self.now);
            assert_eq!(seen.in_flight, member.in_flight, "{context}");
            assert_eq!(seen.requests, member.requests, "{context}");
            assert_eq!(seen.failures, member.failures, "{context}");
            assert_eq!(seen.ejections, member.ejections, "{context}");
            assert_eq!(seen.silence, member.silence(self.now), "{context}");
            let success = member.success(self.now);
            assert!(
                (seen.success - success).abs() < 1e-9,
                "{success}: {context}"
            );
            let is_same = match member.state {
                State::Admitted => seen.health == Health::Admitted,
                State::Ejected(_) => matches!(seen.health, Health::Ejected { .. }),
                State::Probing(_) => seen.health == Health::Probing,
                State::Probation { most, .. } => {
                    seen.health == Health::Probation { at_a_time: most }
                }
            };
            assert!(is_same, "{context}");
        }
    }
}

fn member_of(members: &mut BTreeMap<Key, Member>, sent: Sent) -> Option<&mut Member> {
    let member = members.get_mut(&sent.key)?;
    (member.number == sent.number).then_some(member)
}

impl Member {
    fn fail(&mut self, now: Duration) {
        if self.last_failure.is_none_or(|last| now - last > WINDOW) {
            self.history.clear();
        }
        self.history.push(true);
        self.last_failure = Some(now);
    }

    fn forgive(&mut self) {
        self.history.clear();
        self.last_failure = None;
    }

    fn silence(&self, now: Duration) -> Duration {
        self.owed_since.map_or(Duration::ZERO, |since| now - since)
    }

    /// The last outcome counts an eighth, each one before it an eighth less.
    fn success(&self, now: Duration) -> f64 {
        if self.last_failure.is_none_or(|last| now - last > WINDOW) {
            return 1.0;
        }
        let latest = self.history.iter().rev().take(64).enumerate();
        let failing = latest.filter(|(_, failed)| **failed);
        let failing: f64 = failing
            .map(|(age, _)| 0.875f64.powi(age as i32) / 8.0)
            .sum();
        (1.0 - failing).max(0.01)
    }

    fn proved_well(&mut self, is_probe: bool) {
        match &mut self.state {
            // One that has come late still tells, as long as no other has.
            State::Ejected(_) | State::Probing(_) if is_probe => {
                self.forgive();
                self.state = State::Probation {
                    most: 1,
                    successes: 1,
                    failures: 0,
                    step: 0,
                };
            }
            State::Probation {
                most,
                successes,
                step,
                ..
            } => {
                *successes += 1;
                *step += 1;
                if step == most {
                    *step = 0;
                    *most *= 2;
                    if *most > 16 {
                        self.state = State::Admitted;
                    }
                }
            }
            _ => {}
        }
    }

    /// Whether the failure that came last is one too many.
    fn is_bad(&mut self, is_probe: bool) -> bool {
        match &mut self.state {
            State::Admitted => self.fails_too_often(),
            State::Ejected(_) | State::Probing(_) => is_probe,
            State::Probation {
                successes,
                failures,
                ..
            } => {
                *failures += 1;
                let good = f64::from(*successes) + 1.0;
                good / (good + f64::from(*failures)) < RATIO
            }
        }
    }

    fn fails_too_often(&self) -> bool {
        let latest = |count: usize| self.history.iter().rev().take(count);
        let row = latest(64).take_while(|failed| **failed).count();
        if row >= 3 && is_no_accident(row, row) {
            return true;
        }
        [8, 16, 32, 64].into_iter().any(|count| {
            let failures = latest(count).filter(|failed| **failed).count();
            let most = 1.0 - RATIO * (1.0 - USUAL);
            failures >= 5
                && failures as f64 > most * count as f64
                && is_no_accident(failures, count)
        })
    }
}

/// Less likely than 1 : 100,000 where one request in a hundred fails, by Chernoff's bound.
fn is_no_accident(failures: usize, requests: usize) -> bool {
    let share = failures as f64 / requests as f64;
    let mut exponent = share * (share / USUAL).ln();
    if share < 1.0 {
        exponent += (1.0 - share) * ((1.0 - share) / (1.0 - USUAL)).ln();
    }
    share > USUAL && exponent * requests as f64 >= 11.5
}
