//! What a crash leaves behind: no core dump, which would hold the shared key, and nothing for a
//! debugger of the same user.

use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::firemoon::Firemoon;
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::redis::wait_until;

/// Whom the gateway runs as: to root all memory is open, so that nothing could be seen.
fn someone() -> u32 {
    let own = rustix::process::geteuid().as_raw();
    if own == 0 { 65_534 } else { own }
}

/// The gateway's program and configuration, as someone may read them.
fn given_to(user: u32, installation: &Installation) -> std::path::PathBuf {
    let program = installation.folder().join("moongate");
    let built = Path::new(env!("CARGO_BIN_EXE_moongate"));
    if std::fs::hard_link(built, &program).is_err() {
        std::fs::copy(built, &program).unwrap();
    }
    chown(installation.folder(), Some(user), None).unwrap();
    program
}

/// Whether a process of this user may look at another one's memory.
fn may_look(user: u32, process: u32) -> bool {
    let looked =
        Command::new("cat").arg(format!("/proc/{process}/maps")).uid(user).output().unwrap();
    looked.status.success() && !looked.stdout.is_empty()
}

#[tokio::test]
async fn no_crash_or_debugger_reveals_the_memory() {
    let (firemoon, user) = (Firemoon::start(), someone());
    let installation = Installation::before(&firemoon);
    let mut command = Command::new(given_to(user, &installation));
    command.uid(user);
    let gateway = Gateway::start_with(command, &installation).await;
    let process = gateway.process();
    let limits = std::fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
    let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().collect::<Vec<_>>(), ["0", "0", "bytes"]);

    let mut other =
        Command::new("sleep").arg("60").uid(user).stdout(Stdio::null()).spawn().unwrap();
    wait_until("another process of the user is open to it", || async {
        may_look(user, other.id())
    })
    .await;
    assert!(!may_look(user, process));
    assert_eq!(
        std::fs::metadata(format!("/proc/{process}/environ")).unwrap().uid(),
        0,
        "it is not dumpable"
    );
    other.kill().unwrap();
    other.wait().unwrap();

    // What it reads of itself stays open to it.
    for number in ["open_fds", "max_fds", "resident_memory_bytes", "cpu_seconds_total", "threads"] {
        let read = gateway.metric(&format!("process_{number}")).await;
        assert!(read.is_some(), "process_{number}");
    }
    assert!(gateway.metric("process_open_fds").await.unwrap() > 3.0);
    assert!(gateway.metric("process_resident_memory_bytes").await.unwrap() > 1e6);
    wait_until("it is ready", || async { gateway.readiness().await.0 == 200 }).await;
}
