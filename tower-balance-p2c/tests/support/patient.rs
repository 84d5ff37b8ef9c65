//! An endpoint that has nothing but its health, for the register.
#![allow(dead_code, unreachable_pub, reason = "each test uses a part")]

use std::sync::Arc;

use crate::{
    health::{EjectionNanos, Member, Register, Spared, Standing, State, Surroundings, Ticket},
    outcomes::Outcomes,
};

pub const SECOND: u64 = 1_000_000_000;

pub struct Patient {
    standing: Standing,
    outcomes: Outcomes,
    spared: Spared,
}

impl Patient {
    pub fn new() -> Self {
        Self {
            standing: Standing::new(),
            outcomes: Outcomes::new(10 * SECOND),
            spared: Spared::new(),
        }
    }

    pub fn state(&self) -> State {
        self.standing.state()
    }

    pub fn ejections(&self) -> u32 {
        self.standing.ejections()
    }

    pub fn ticket(&self, is_probe: bool) -> Ticket {
        Ticket {
            ejections: self.ejections(),
            probe: is_probe.then(|| self.standing.probe()),
        }
    }
}

impl Member for Patient {
    fn standing(&self) -> &Standing {
        &self.standing
    }

    fn outcomes(&self) -> &Outcomes {
        &self.outcomes
    }

    fn spared(&self) -> &Spared {
        &self.spared
    }
}

/// As `Ejection::new` has them.
pub fn defaults() -> EjectionNanos {
    EjectionNanos {
        consecutive: 3,
        ratio: 0.8,
        window: 10 * SECOND,
        min_requests: 20,
        base: SECOND,
        max: 60 * SECOND,
        requests_per_probe: 8_500,
        max_ejected: 0.5,
        panic: 0.5,
        max_pushback: 30 * SECOND,
    }
}

/// Where others hardly fail, at 1,000 requests a second.
pub fn around(now: u64) -> Surroundings {
    Surroundings {
        now,
        failing: 0.0,
        rate: 1000.0,
        chance: 0.0,
    }
}

pub fn set(register: &Register<Patient>, patients: usize) -> Vec<Arc<Patient>> {
    register.set_members(patients);
    (0..patients).map(|_| Arc::new(Patient::new())).collect()
}

/// An ordinary request fails.
pub fn fail(register: &Register<Patient>, patient: &Arc<Patient>, around: Surroundings) {
    patient.outcomes.record_failure(around.now);
    register.failed(patient, patient.ticket(false), around);
}

/// An ordinary request goes well.
pub fn succeed(register: &Register<Patient>, patient: &Arc<Patient>, now: u64) {
    patient.outcomes.flights().started(now, u64::MAX);
    patient.outcomes.answered_and_released(true, now);
    if patient.state() != State::Admitted {
        register.succeeded(patient, patient.ticket(false), now);
    }
}

pub fn fail_probe(register: &Register<Patient>, patient: &Arc<Patient>, around: Surroundings) {
    patient.outcomes.record_failure(around.now);
    register.failed(patient, patient.ticket(true), around);
    assert_eq!(patient.state(), State::Ejected);
}

pub fn claim(register: &Register<Patient>, now: u64) -> Option<(Arc<Patient>, bool)> {
    let claimed = register.claim(now, 1000.0, |member| Some(Arc::clone(member)));
    claimed.map(|(member, probe)| (member, probe.is_some()))
}
