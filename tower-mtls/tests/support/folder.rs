//! Folders of credentials, as administrators and Kubernetes write them.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::{sleep, timeout};
use tower_mtls::{
    Expected, MtlsLayer, Source,
    accept::Acceptor,
    dev::Authority,
    source::{Event, Files, FilesBuilder},
};

use super::handshake;

/// A folder of files, gone with the test.
pub struct Folder {
    pub path: PathBuf,
    pub authority: Authority,
    _temporary: tempfile::TempDir,
}

impl Folder {
    pub fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Self {
            path: temporary.path().join("certs"),
            authority: authority(),
            _temporary: temporary,
        };
        fs::create_dir(&folder.path).unwrap();
        folder.write(&folder.authority, "/one");
        folder
    }

    pub fn files(&self) -> FilesBuilder {
        Files::builder()
            .credentials(self.path.join(CHAIN), self.path.join(KEY))
            .trust_domain("example.org".parse().unwrap(), self.path.join(BUNDLE))
            .settle(Duration::from_millis(50))
    }

    pub fn write(&self, authority: &Authority, path: &str) {
        write(&self.path, authority, path);
    }

    pub fn write_beside(&self, authority: &Authority, path: &str) {
        let beside = self.path.with_extension("new");
        fs::create_dir_all(&beside).unwrap();
        write(&beside, authority, path);
        for name in [CHAIN, KEY, BUNDLE] {
            fs::rename(beside.join(name), self.path.join(name)).unwrap();
        }
    }
}

/// A volume as Kubernetes makes it: the files are links through `..data`, which is a link to a folder.
pub struct Volume(pub Folder);

impl Volume {
    pub fn new() -> Self {
        let folder = Folder::new();
        for name in [CHAIN, KEY, BUNDLE] {
            fs::remove_file(folder.path.join(name)).unwrap();
            let target = Path::new("..data").join(name);
            std::os::unix::fs::symlink(target, folder.path.join(name)).unwrap();
        }
        Self(folder)
    }

    pub fn swap(&self, authority: &Authority, path: &str) {
        let folder = &self.0.path;
        let old = fs::read_link(folder.join("..data")).ok();
        let new = tempfile::Builder::new()
            .prefix("..2026_")
            .tempdir_in(folder)
            .unwrap()
            .keep();
        write(&new, authority, path);
        std::os::unix::fs::symlink(new.file_name().unwrap(), folder.join("..data_tmp")).unwrap();
        fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
        if let Some(old) = old {
            fs::remove_dir_all(folder.join(old)).unwrap();
        }
    }
}

/// What an observer was told.
#[derive(Clone, Default)]
pub struct Told(Arc<Mutex<Vec<&'static str>>>);

impl Told {
    pub fn observer(&self) -> impl Fn(&Event<'_>) + Send + Sync + 'static {
        let told = self.0.clone();
        move |event| {
            told.lock().unwrap().push(match event {
                Event::Rotated { .. } => "rotated",
                Event::Failed { .. } => "failed",
                Event::Recovered => "recovered",
                Event::ExpiresSoon { .. } => "expires soon",
                _ => "something else",
            });
        }
    }

    pub fn all(&self) -> Vec<&'static str> {
        self.0.lock().unwrap().clone()
    }
}

pub fn authority() -> Authority {
    Authority::new("example.org".parse().unwrap()).unwrap()
}

pub fn write(folder: &Path, authority: &Authority, path: &str) {
    let issued = authority.svid(path).unwrap();
    fs::write(folder.join(CHAIN), issued.chain_pem()).unwrap();
    fs::write(folder.join(KEY), issued.key_pem()).unwrap();
    fs::write(folder.join(BUNDLE), authority.ca_pem()).unwrap();
}

/// Who a server with this source is, told by a client with it.
pub async fn id(source: &Source) -> String {
    let acceptor = Acceptor::rotating(source).build().unwrap();
    let layer = MtlsLayer::rotating(source).expect(Expected::TrustDomain);
    let (client, _) = handshake(&layer.build().unwrap(), &acceptor).await.both();
    client.peer().unwrap().to_string()
}

pub fn in_force(source: &Source, path: &str) -> bool {
    let snapshot = source.snapshot().unwrap();
    let id = snapshot.credentials().unwrap().spiffe_id();
    id.is_some_and(|id| id.path() == path)
}

pub async fn rotated(source: &Source) {
    let before = source.stats().rotations();
    until(|| source.stats().rotations() > before).await;
}

pub async fn until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LONG, wait).await.expect("in time");
}

/// How many inotify instances this process has.
pub fn watchers() -> usize {
    let open = fs::read_dir("/proc/self/fd").unwrap();
    let targets = open.filter_map(|open| fs::read_link(open.ok()?.path()).ok());
    targets
        .filter(|target| target.ends_with("anon_inode:inotify"))
        .count()
}

pub const CHAIN: &str = "tls.crt";
pub const KEY: &str = "tls.key";
pub const BUNDLE: &str = "ca.crt";
pub const LISTS: &str = "ca.crl";
pub const FAST: Duration = Duration::from_millis(100);
pub const LONG: Duration = Duration::from_secs(20);
pub const DAY: Duration = Duration::from_secs(86_400);
