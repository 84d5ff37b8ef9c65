//! Numbers.

/// What has happened to the connections of a layer since it was applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Dials that were begun.
    pub dials: u64,
    /// Dials that failed.
    pub failures: u64,
    /// Connections that were made.
    pub connections: u64,
    /// Connections that are there now. A replaced one that drains does not count.
    pub open: u64,
    /// Connections that were lost.
    pub lost: u64,
    /// Those of the lost ones that had not been up long enough to be stable.
    pub unstable: u64,
    /// Those of the lost ones that the other end had retired, after their work or before.
    pub retired: u64,
    /// Connections that were replaced at their maximum age.
    pub replaced: u64,
    /// Connections that were closed because nobody used them, or had before they were too old.
    pub unused: u64,
}
