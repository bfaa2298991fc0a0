//! The README's smallest installation, typed as it stands: a token, a configuration, a key,
//! a picture.

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
    let shell = Command::new("sh").arg("-c").arg(format!("umask 022; {line}")).current_dir(folder).status();
    assert!(shell.is_ok_and(|status| status.success()), "{line}");
}

/// The block of one language that is the first after a heading of the README.
fn block<'a>(readme: &'a str, heading: &str, language: &str) -> &'a str {
    let (_, section) = readme.split_once(heading).expect(heading);
    let (_, block) = section.split_once(&format!("```{language}\n")).expect(language);
    block.split("```").next().expect("an end")
}

#[tokio::test]
async fn the_smallest_installation_of_the_readme_runs_as_it_is_printed() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon);
    let folder = installation.folder();
    let readme = std::fs::read_to_string("README.md").unwrap();
    let shell = block(&readme, "## The smallest installation", "sh");
    let operating = std::fs::read_to_string("deploy/operating.md").unwrap();
    for line in shell.lines().filter(|line| !line.starts_with("cargo ")) {
        typed(line, &folder);
        assert!(operating.contains(line), "the operator's page makes a token in another way");
    }
    let token = std::fs::metadata(folder.join("ops-token")).unwrap();
    assert_eq!(token.permissions().mode() & 0o077, 0, "nobody else reads the token");

    // Only what this machine cannot have is another: the upstream, and ports that may be taken.
    let ports = "listen: { address: 127.0.0.1:0 }\nadmin: { address: 127.0.0.1:0,";
    let yaml = block(&readme, "## The smallest installation", "yaml")
        .replace("https://firemoon.studio/api", &firemoon.base_url())
        .replace("admin: {", ports);
    installation.replace(&yaml);
    let command = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_moongate"));
        command.env("FIREMOON_API_KEY", SHARED_KEY);
        command
    };
    let checked = command().args(["check", "--config"]).arg(installation.path()).output().unwrap();
    assert_eq!((checked.status.code(), String::from_utf8(checked.stderr).unwrap()), (Some(0), String::new()));

    let mut gateway = Gateway::start_with(command(), &installation).await;
    gateway.forbid(std::fs::read_to_string(folder.join("ops-token")).unwrap().trim());
    wait_until("the gateway is ready", || async { gateway.readiness().await.0 == 200 }).await;
    let ready = gateway.readiness().await.1;
    assert!(ready.get("issuers").is_none(), "no issuer is configured, so none is spoken of: {ready}");
    let (code, out, err) = moongate(&gateway, &installation, &["keys", "create", "--team", "design", "--name", "ci"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let key = out.lines().find_map(|line| line.strip_prefix("The key, shown this once: ")).unwrap();
    gateway.forbid(key.rsplit('_').next().unwrap());
    assert_eq!(gateway.send(&picture().with(key)).await.status, 200);
}
