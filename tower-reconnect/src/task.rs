//! Whether there is a task, and whether it may end.

/// A task that is there only while it has something to do. It asks, does, and ends when there is
/// nothing to do and nobody has called since it asked.
#[derive(Debug)]
pub(crate) enum Task {
    /// There is none.
    Resting,
    /// `called` says whether it has to ask once more.
    Running { called: bool },
}

impl Task {
    /// There is something new to do. Returns whether a task has to be started for it.
    pub(crate) fn call(&mut self) -> bool {
        let rests = matches!(self, Self::Resting);
        *self = Self::Running { called: !rests };
        rests
    }

    /// There may be something new to do for a task that is there.
    pub(crate) fn call_if_running(&mut self) {
        if let Self::Running { called } = self {
            *called = true;
        }
    }

    /// The task is about to ask.
    pub(crate) fn ask(&mut self) {
        if let Self::Running { called } = self {
            *called = false;
        }
    }

    /// The task found nothing to do. Returns whether it ends, or is to ask again.
    pub(crate) fn rest(&mut self) -> bool {
        let ends = !matches!(self, Self::Running { called: true });
        if ends {
            *self = Self::Resting;
        }
        ends
    }
}
