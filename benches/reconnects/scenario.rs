//! What a server does, and to how many.

/// Times are seconds since the trouble begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) clients: usize,
    /// Whether all clients are connected before, and for long, so that all lose it at zero.
    pub(super) connected: bool,
    /// From when to when it accepts. It closes all its connections at the end of each time.
    pub(super) up: &'static [(f64, f64)],
    /// Accepts nobody who has got as far as TLS.
    pub(super) rejects: bool,
    /// How long it keeps a connection.
    pub(super) keeps: f64,
    /// Whether it says so when it ends one, as by a GOAWAY.
    pub(super) sends_away: bool,
    /// How long is looked on.
    pub(super) duration: f64,
}

impl Scenario {
    /// When it is up for good, if it is.
    pub(super) fn back_at(&self) -> Option<f64> {
        let (from, _) = *self.up.last()?;
        (self.keeps.is_infinite() && !self.rejects).then_some(from)
    }

    /// Until when a connection lives that is asked for now, or nothing if it is refused.
    pub(super) fn accepts(&self, now: f64) -> Option<f64> {
        let mut up = self.up.iter();
        let &(_, until) = up.find(|(from, until)| (*from..*until).contains(&now))?;
        (!self.rejects).then(|| until.min(now + self.keeps))
    }
}
