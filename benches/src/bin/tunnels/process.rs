//! The processes of a tunnel: started with their output in a file, measured together with everything below them, and
//! ended by number however this program ends. Used by the chains.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::procfs;

/// A running process; ended when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program. What it prints goes to a file beside `name`; with `cores`, it may use
    /// the first so many only.
    ///
    /// Call it on the main thread: the system ends the process when the thread that started it is gone.
    pub(crate) fn start(mut command: Command, name: &Path, cores: Option<usize>) -> io::Result<Self> {
        let log = name.with_extension("log");
        let out = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        let cores = cores.map(first);
        // SAFETY: between fork and exec there are two system calls, and nothing is allocated.
        unsafe {
            command.pre_exec(move || {
                if let Some(cores) = &cores {
                    sched_setaffinity(None, cores)?;
                }
                Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
            });
        }
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn();
        let child = child.map_err(|error| io::Error::other(format!("cannot start {program}: {error}")))?;
        Ok(Self { child, log })
    }

    /// Its number in the operating system.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended.
    pub(crate) fn ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// The last lines that it printed.
    pub(crate) fn last_words(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().rev().take(8).collect();
        let lines: Vec<_> = lines.into_iter().rev().collect();
        format!("{}:\n{}", self.log.display(), lines.join("\n"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let below = procfs::family(&[self.id()]).split_off(1);
        for id in &below {
            if let Some(id) = i32::try_from(*id).ok().and_then(Pid::from_raw) {
                let _ = kill_process(id, Signal::KILL);
            }
        }
        // It is given the time to take note of their end: nobody else may do so.
        for _ in 0..20 {
            if below.is_empty() || procfs::family(&[self.id()]).len() == 1 {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Processor time of these processes and of those below them so far.
pub(crate) fn cpu(processes: &[Process]) -> Duration {
    family(processes).into_iter().map(procfs::cpu).sum()
}

/// Octets that they have resident.
pub(crate) fn resident(processes: &[Process]) -> u64 {
    family(processes).into_iter().map(procfs::resident).sum()
}

/// The cores that this thread may use.
pub(crate) fn cores() -> io::Result<CpuSet> {
    Ok(sched_getaffinity(None)?)
}

/// Lets the threads of this process run on these cores only.
pub(crate) fn confine_self(cores: &CpuSet) -> io::Result<()> {
    for thread in procfs::threads(std::process::id()) {
        let thread = i32::try_from(thread).ok().and_then(Pid::from_raw);
        sched_setaffinity(thread, cores)?;
    }
    Ok(())
}

/// The first so many cores.
pub(crate) fn first(cores: usize) -> CpuSet {
    let mut set = CpuSet::new();
    (0..cores).for_each(|core| set.set(core));
    set
}

fn family(processes: &[Process]) -> Vec<u32> {
    procfs::family(&processes.iter().map(Process::id).collect::<Vec<_>>())
}
