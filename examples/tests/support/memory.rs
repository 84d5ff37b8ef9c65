//! What a process holds in memory, and a ceiling over it. Linux only.

use std::{fs, io, path::PathBuf, time::Duration};

use tokio::process::Command;

use super::process::ProxyProcess;

/// Bytes that a process holds now.
pub fn resident(process: &ProxyProcess) -> usize {
    status(process, "VmRSS:")
}

/// The most bytes that a process has ever held.
pub fn peak(process: &ProxyProcess) -> usize {
    status(process, "VmHWM:")
}

fn status(process: &ProxyProcess, name: &str) -> usize {
    let id = process.child.id().expect("still running");
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes = line.unwrap().trim().trim_end_matches(" kB");
    kilobytes.parse::<usize>().unwrap() * 1024
}

/// A bound that the kernel puts over a process; who goes beyond it is killed.
pub enum Ceiling {
    /// Everything that the process makes the kernel hold.
    Cgroup(Cgroup),
    /// Where there are no cgroups, or not for us: the process's own memory, used or not.
    Rlimit { bytes: usize },
}

/// Removed when dropped, after its process has ended.
pub struct Cgroup(PathBuf);

impl Ceiling {
    pub fn new(bytes: usize) -> Self {
        match Cgroup::first_version(bytes).or_else(|_| Cgroup::second_version(bytes)) {
            Ok(cgroup) => Self::Cgroup(cgroup),
            Err(error) => {
                eprintln!("no cgroup ({error}): RLIMIT_DATA bounds the memory instead");
                Self::Rlimit { bytes }
            }
        }
    }

    /// The most bytes that the kernel has counted, where it counts.
    pub fn peak(&self) -> Option<usize> {
        let Self::Cgroup(Cgroup(folder)) = self else {
            return None;
        };
        let names = ["memory.max_usage_in_bytes", "memory.peak"];
        let read = |name| fs::read_to_string(folder.join(name)).ok();
        names.into_iter().find_map(read)?.trim().parse().ok()
    }

    /// The built proxy below this ceiling, from its first instruction on.
    pub fn proxy(&self, arguments: &str) -> Command {
        let bound = match self {
            Self::Cgroup(Cgroup(folder)) => format!("echo $$ > {}/cgroup.procs", folder.display()),
            Self::Rlimit { bytes } => format!("ulimit -d {}", bytes / 1024),
        };
        let binary = env!("CARGO_BIN_EXE_proxy");
        let mut command = Command::new("sh");
        command.args([
            "-c",
            &format!("{bound} && exec {binary} {arguments} \"$@\""),
            "sh",
        ]);
        super::process::plain(command)
    }
}

impl Cgroup {
    fn first_version(bytes: usize) -> io::Result<Self> {
        let cgroup = Self::create("/sys/fs/cgroup/memory")?;
        fs::write(cgroup.0.join("memory.limit_in_bytes"), bytes.to_string())?;
        // Only there where swapping is accounted.
        let _ = fs::write(
            cgroup.0.join("memory.memsw.limit_in_bytes"),
            bytes.to_string(),
        );
        Ok(cgroup)
    }

    fn second_version(bytes: usize) -> io::Result<Self> {
        let root = PathBuf::from("/sys/fs/cgroup");
        fs::write(root.join("cgroup.subtree_control"), "+memory")?;
        let cgroup = Self::create("/sys/fs/cgroup")?;
        fs::write(cgroup.0.join("memory.max"), bytes.to_string())?;
        let _ = fs::write(cgroup.0.join("memory.swap.max"), "0");
        Ok(cgroup)
    }

    fn create(root: &str) -> io::Result<Self> {
        let root = PathBuf::from(root);
        // Its own files appear only where this is what it seems to be.
        fs::metadata(root.join("cgroup.procs"))?;
        let name = format!(
            "proxy-test-{}-{:x}",
            std::process::id(),
            rand::random::<u32>()
        );
        let folder = root.join(name);
        fs::create_dir(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Cgroup {
    #[expect(clippy::disallowed_methods, reason = "nothing else runs in a drop")]
    fn drop(&mut self) {
        // The process has been killed, and may still be on its way out.
        for _ in 0..2000 {
            match fs::remove_dir(&self.0) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                _ => return,
            }
        }
    }
}
