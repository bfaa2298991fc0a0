//! The README's smallest installation, typed as printed: a token, a configuration, a key, a
//! picture.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::support::firemoon::{Firemoon, SHARED_KEY, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::operator::moongate;
use crate::support::redis::wait_until;

/// Where everybody may read what is written, unless the line says otherwise.
fn typed(line: &str, folder: &Path) {
    let shell =
        Command::new("sh").arg("-c").arg(format!("umask 022; {line}")).current_dir(folder).status();
    assert!(shell.is_ok_and(|status| status.success()), "{line}");
}

/// The block of one language that is the first after a heading of the README.
fn block<'a>(readme: &'a str, heading: &str, language: &str) -> &'a str {
    let (_, section) = readme.split_once(heading).expect(heading);
    let (_, block) = section.split_once(&format!("```{language}\n")).expect(language);
    block.split("```").next().expect("an end")
}

#[tokio::test]
async fn the_readmes_smallest_installation_runs_as_printed() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon);
    let folder = installation.folder();
    let readme = std::fs::read_to_string("README.md").unwrap();
    let operating = std::fs::read_to_string("deploy/operating.md").unwrap();
    for line in block(&operating, "## Operators", "sh").lines() {
        typed(line, &folder);
    }
    let made = std::fs::metadata(folder.join("ops-token")).unwrap();
    assert_eq!(made.permissions().mode() & 0o077, 0, "nobody else reads the token");
    for name in ["ops-token", "ops-token.sha256", "moongate.yaml"] {
        std::fs::remove_file(folder.join(name)).unwrap();
    }
    let init = || Command::new(env!("CARGO_BIN_EXE_moongate")).arg("init").arg(&folder).output();
    assert!(init().unwrap().status.success());
    for (name, mode) in [("ops-token", 0o600), ("firemoon-key", 0o600), ("moongate.yaml", 0o644)] {
        let written = std::fs::metadata(folder.join(name)).unwrap();
        assert_eq!(written.permissions().mode() & 0o777, mode, "{name}");
    }
    let again = init().unwrap();
    let err = String::from_utf8(again.stderr).unwrap();
    assert_eq!(again.status.code(), Some(2), "{err}");
    assert!(err.contains("nothing was written") && err.contains("ops-token"), "{err}");

    // Replaced is only what this machine cannot have: the upstream, and ports that may be taken.
    let ports = "listen: { address: 127.0.0.1:0 }\nadmin: { address: 127.0.0.1:0,";
    let written = std::fs::read_to_string(installation.path()).unwrap();
    assert_eq!(written, block(&readme, "## The smallest installation", "yaml"));
    let yaml = written
        .replace("http://127.0.0.1:9400/api", &firemoon.base_url())
        .replace("admin: {", ports);
    installation.replace(&yaml);
    std::fs::write(folder.join("firemoon-key"), SHARED_KEY).unwrap();
    let command = || Command::new(env!("CARGO_BIN_EXE_moongate"));
    let checked = command().args(["check", "--config"]).arg(installation.path()).output().unwrap();
    let err = String::from_utf8(checked.stderr).unwrap();
    assert_eq!(checked.status.code(), Some(0), "{err}");
    assert!(err.ends_with("moongate.yaml: OK\n"), "{err}");

    let mut gateway = Gateway::start_with(command(), &installation).await;
    gateway.forbid(std::fs::read_to_string(folder.join("ops-token")).unwrap().trim());
    wait_until("the gateway is ready", || async { gateway.readiness().await.0 == 200 }).await;
    let ready = gateway.readiness().await.1;
    assert!(ready.get("issuers").is_none(), "no issuer is configured, so none is listed: {ready}");
    let (code, out, err) =
        moongate(&gateway, &installation, &["keys", "create", "--team", "design", "--name", "ci"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let key = out.lines().find_map(|line| line.strip_prefix("The key, shown this once: ")).unwrap();
    gateway.forbid(key.rsplit('_').next().unwrap());
    assert_eq!(gateway.send(&picture().with(key)).await.status, 200);
}
