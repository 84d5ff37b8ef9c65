//! When the files are read.

use std::{
    collections::BTreeSet,
    hash::RandomState,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use notify::{
    EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use rand::RngExt;
use tokio::{select, sync::Notify, task::spawn_blocking, time::sleep};
use tracing::warn;

use super::{
    Files, Paths,
    reading::{LastTrust, Mark, Reading},
};
use crate::{
    error::{Failure, SourceError},
    source::{Snapshot, Updater},
};

pub(super) struct Watch {
    files: Files,
    updater: Updater,
    state: Arc<State>,
    /// What the files held when they last made a snapshot or failed to.
    seen: Option<Mark>,
    /// What they held when they last made one.
    good: Option<Mark>,
    events: Option<Events>,
    /// So that a file system without events is told once.
    deaf: bool,
}

/// What the reads on other threads need.
struct State {
    hasher: RandomState,
    last_trust: Mutex<Option<LastTrust>>,
}

/// Events of the folders, until it is dropped.
struct Events {
    _watcher: RecommendedWatcher,
    seen: Arc<Notify>,
}

impl Watch {
    pub(super) fn new(files: Files, updater: Updater) -> Self {
        Self {
            files,
            updater,
            state: Arc::new(State {
                hasher: RandomState::new(),
                last_trust: Mutex::default(),
            }),
            seen: None,
            good: None,
            events: None,
            deaf: false,
        }
    }

    /// Reads the files once. Whoever starts with files that are being written learns it by the error.
    pub(super) async fn first(&mut self) -> Result<(), SourceError> {
        // Before the reading, so that no change between the two is missed.
        self.listen().await;
        let (reading, mark) = self.read().await?;
        self.take(reading, mark).await
    }

    /// The same, on this thread. Bad files are for the caller to tell.
    pub(super) fn first_blocking(&mut self) -> Result<(), SourceError> {
        if self.files.events {
            let events = Events::of(&self.files.paths);
            self.hear(events);
        }
        let (reading, mark) = self.state.read(&self.files.paths);
        let snapshot = self.state.parse(reading, &self.files.paths)?;
        self.updater.update(snapshot)?;
        self.seen = Some(mark);
        self.good.clone_from(&self.seen);
        Ok(())
    }

    /// Reads them again and again, until nobody uses the source any more.
    pub(super) async fn run(mut self) {
        let updater = self.updater.clone();
        select! {
            () = updater.closed() => {}
            // Where the runtime ends.
            _ = self.follow() => {}
        }
    }

    async fn follow(&mut self) -> Result<(), SourceError> {
        loop {
            let interval = jittered(self.files.interval);
            let by_event = select! {
                () = Events::next(self.events.as_ref()) => true,
                () = sleep(interval) => false,
            };
            let changed = self.look().await?;
            if changed && !by_event {
                // Of this change no event told: the folder may have been replaced.
                self.listen().await;
            }
            // A file beside ours that is written all the time is no reason to read all the time.
            sleep(self.files.settle).await;
        }
    }

    /// Takes a change once two readings in a row have found the same.
    async fn look(&mut self) -> Result<bool, SourceError> {
        let (_, mut mark) = self.read().await?;
        if self.seen.as_ref() == Some(&mark) {
            return Ok(false);
        }
        for _ in 0..MAX_READINGS {
            sleep(self.files.settle).await;
            let (reading, next) = self.read().await?;
            if next == mark {
                if self.good.as_ref() == Some(&mark) {
                    self.updater.unchanged();
                    self.seen = Some(mark);
                } else if self.seen.as_ref() != Some(&mark) {
                    // Told by the source.
                    let _ = self.take(reading, mark).await;
                }
                return Ok(true);
            }
            mark = next;
        }
        let detail = format!("the files were never the same for {:?}", self.files.settle);
        self.updater
            .fail(&SourceError::new(Failure::Changing, detail));
        self.seen = None;
        Ok(true)
    }

    async fn read(&self) -> Result<(Reading, Mark), SourceError> {
        let (paths, state) = (self.files.paths.clone(), self.state.clone());
        let read = spawn_blocking(move || state.read(&paths));
        read.await.map_err(|_| ending())
    }

    async fn take(&mut self, reading: Reading, mark: Mark) -> Result<(), SourceError> {
        self.seen = Some(mark);
        let (paths, state) = (self.files.paths.clone(), self.state.clone());
        let parse = spawn_blocking(move || state.parse(reading, &paths));
        match parse.await.map_err(|_| ending())? {
            Ok(snapshot) => {
                self.updater.update(snapshot)?;
                self.good.clone_from(&self.seen);
                Ok(())
            }
            Err(error) => {
                self.updater.fail(&error);
                Err(error)
            }
        }
    }

    async fn listen(&mut self) {
        if !self.files.events {
            return;
        }
        let paths = self.files.paths.clone();
        // The old events go first, because the system counts them.
        drop(self.events.take());
        if let Ok(events) = spawn_blocking(move || Events::of(&paths)).await {
            self.hear(events);
        }
    }

    fn hear(&mut self, events: notify::Result<Events>) {
        match events {
            Ok(events) => self.events = Some(events),
            Err(error) if !self.deaf => {
                self.deaf = true;
                let interval = self.files.interval;
                warn!(%error, ?interval, "no events of the files: they are read at the interval only");
            }
            Err(_) => {}
        }
    }
}

impl State {
    fn read(&self, paths: &Paths) -> (Reading, Mark) {
        let reading = Reading::of(paths);
        let mark = reading.mark(&self.hasher);
        (reading, mark)
    }

    fn parse(&self, reading: Reading, paths: &Paths) -> Result<Snapshot, SourceError> {
        let last = self.last_trust.lock();
        let mut last = last.unwrap_or_else(PoisonError::into_inner);
        reading.snapshot(paths, &self.hasher, &mut last)
    }
}

impl Events {
    fn of(paths: &Paths) -> notify::Result<Self> {
        let seen = Arc::new(Notify::new());
        let told = seen.clone();
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                // An error says that events are lost: look, too.
                if event.map_or(true, |event| changes(event.kind)) {
                    told.notify_one();
                }
            })?;
        let folders = paths.all().map(|path| folder(path));
        for folder in folders.collect::<BTreeSet<_>>() {
            watcher.watch(&folder, RecursiveMode::NonRecursive)?;
        }
        Ok(Self {
            _watcher: watcher,
            seen,
        })
    }

    async fn next(events: Option<&Self>) {
        match events {
            Some(events) => events.seen.notified().await,
            None => std::future::pending().await,
        }
    }
}

/// A read is no change: ours would follow one another for ever.
fn changes(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}

fn folder(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(rand::rng().random_range(0.9..1.1))
}

fn ending() -> SourceError {
    SourceError::new(Failure::Unreadable, "the runtime ends")
}

const MAX_READINGS: u32 = 50;
