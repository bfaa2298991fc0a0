//! Where the gateway listens: on an address that no other process has, for IPv4 and IPv6 callers.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::support::caller::Call;
use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::redis::wait_until;

/// A command that is expected to end by itself.
struct Running(Child);

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_moongate"));
        let command = command.args(arguments).env_remove("MOONGATE_LOG").stdin(Stdio::null());
        Self(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// The exit code, and the line that says why.
    async fn ended(mut self) -> (Option<i32>, String) {
        let child = Mutex::new(&mut self.0);
        let ended = || child.lock().unwrap().try_wait().unwrap();
        wait_until("the command ends", || async { ended().is_some() }).await;
        let code = ended().unwrap().code();
        let err = std::io::read_to_string(self.0.stderr.take().unwrap()).unwrap();
        let why = err
            .lines()
            .find(|line| line.starts_with("moongate: "))
            .unwrap_or_else(|| panic!("{err}"));
        (code, why.to_owned())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The address that `moongate check` shows for a file that has none.
fn listens_by_default(installation: &Installation) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_moongate"));
    let output = command.args(["check", "--config"]).arg(installation.path()).output().unwrap();
    let effective: Value =
        serde_saphyr::from_str(std::str::from_utf8(&output.stdout).unwrap()).unwrap();
    effective["listen"]["address"].as_str().unwrap().to_owned()
}

const IN_USE: &str = "Address already in use (os error 98)";

#[tokio::test]
async fn a_second_gateway_on_an_address_names_the_key() {
    let firemoon = Firemoon::start();
    let first = Gateway::serve(&Installation::before(&firemoon)).await;
    for (pointer, address, listener) in [
        ("/listen/address", first.team(), "the team listener"),
        ("/admin/address", first.operator(), "the operator's listener"),
    ] {
        let installation = Installation::before(&firemoon).set(pointer, json!(address));
        let second = Running::start(&["serve", "--config", installation.path().to_str().unwrap()]);
        let key = pointer.trim_start_matches('/').replace('/', ".");
        let why = format!(
            "moongate: {listener} cannot listen on {address}: {IN_USE}; `{key}` says \
             where it listens"
        );
        assert_eq!(second.ended().await, (Some(1), why));
    }
    assert_eq!(first.send(&Call::get("/api/models")).await.status, 200);
}

#[tokio::test]
async fn demo_and_simulator_name_the_flag_for_another_address() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (command, flag, other) in [
        ("demo", "--address", "--admin-address"),
        ("demo", "--admin-address", "--address"),
        ("simulate", "--address", "--media-address"),
        ("simulate", "--media-address", "--address"),
    ] {
        let (code, why) =
            Running::start(&[command, flag, &address, other, "127.0.0.1:0"]).ended().await;
        assert_eq!(code, Some(1), "{command} {flag}");
        assert!(
            why.ends_with(&format!(
                "cannot listen on {address}: {IN_USE}; {flag} says where it listens"
            )),
            "{why}"
        );
    }
}

#[tokio::test]
async fn callers_and_probes_of_both_families_are_answered() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon).set("/admin/address", json!("[::]:0"));
    // Where it listens when nobody says where, but on a free port.
    let installation = installation.set("/listen", json!({ "workers": 2 }));
    let default = listens_by_default(&installation);
    let (address, _) = default.rsplit_once(':').unwrap();
    let installation = installation.set("/listen/address", json!(format!("{address}:0")));
    let gateway = Gateway::serve(&installation).await;
    let ports = [gateway.team(), gateway.operator()]
        .map(|address| address.rsplit_once(':').unwrap().1.to_owned());
    let has_ipv6 = TcpListener::bind("[::1]:0").is_ok();
    for host in ["127.0.0.1", "[::1]"].into_iter().take(if has_ipv6 { 2 } else { 1 }) {
        let [team, operator] = ports.each_ref().map(|port| format!("{host}:{port}"));
        let answer = picture().with(installation.key("design")).send(&team).await;
        assert_eq!(answer.status, 200, "{host}: {}", answer.text());
        assert_eq!(Call::get("/readyz").send_uninspected(&operator).await.status, 200, "{host}");
    }
}
