//! Forbids core dumps of this process: its memory holds the shared key, and a dump is a file that outlives it.
//!
//! The limit alone does not do: where `core_pattern` names a program (systemd-coredump, apport), the kernel hands it the dump
//! whatever the limit is. A process that is not dumpable is handed to nobody, and its memory is also closed to debuggers of the
//! same user (`ptrace`, `/proc/PID/mem`). The price: files of `/proc/PID` belong to root, so a profiler needs `CAP_SYS_PTRACE`.
//! What the process reads of itself stays open to it.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};

/// Forbids them for as long as the process lives. Threads and children inherit the limit.
///
/// # Errors
/// The system does not let it.
pub fn forbid() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}
