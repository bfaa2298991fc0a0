//! Forbids core dumps: the process's memory holds the shared keys, and a dump file would outlive
//! it.
//!
//! The resource limit is not enough: where `core_pattern` names a program (systemd-coredump,
//! apport), the kernel passes it the dump whatever the limit. A process that is not dumpable is
//! never dumped, and debuggers of the same user cannot read its memory (`ptrace`, `/proc/PID/mem`).
//! The price: files in `/proc/PID` belong to root, so a profiler needs `CAP_SYS_PTRACE`. The
//! process can still read its own.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};

/// Forbids core dumps for the life of the process. Threads and children inherit the limit.
///
/// # Errors
/// The system does not allow it.
pub fn forbid() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}
