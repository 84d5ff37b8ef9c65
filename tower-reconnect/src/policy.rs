//! What handles do, and does not change.

use crate::{chance::Chance, mode::Mode, rule::Rule};

pub(crate) struct Policy {
    pub(crate) mode: Mode,
    /// Whether a connection is wanted even if nobody asks for it.
    pub(crate) eager: bool,
    /// Whether a handle lets go of its clone of a shared connection with each request, so that it
    /// keeps none alive that has been replaced or closed.
    pub(crate) releases: bool,
    pub(crate) chance: Chance,
    pub(crate) retired: Rule,
    pub(crate) unsent: Rule,
}
