//! `moongate healthcheck`: what a container's probe learns about a gateway, and how long it waits.

use std::net::TcpListener;
use std::process::ExitCode;

use clap::Parser;
use moongate::cli::Cli;

use crate::admin::listener::Operator;

fn healthcheck(arguments: &[&str]) -> (ExitCode, String) {
    let arguments = ["moongate", "healthcheck"].iter().chain(arguments);
    let mut err = Vec::new();
    let code =
        Cli::try_parse_from(arguments).expect("good arguments").run(&mut Vec::new(), &mut err);
    (code, String::from_utf8(err).expect("text"))
}

#[test]
fn the_healthcheck_command_succeeds_only_on_a_ready_gateway() {
    let operator = Operator::start();
    let admin = format!("http://{}", operator.address);
    let (code, err) = healthcheck(&["--admin", &admin]);
    assert_eq!(code, ExitCode::FAILURE);
    assert!(err.contains("\"ledger\":\"it has not answered yet\""), "{err}");
    assert_eq!(healthcheck(&["--admin", &admin, "--live"]), (ExitCode::SUCCESS, String::new()));
    operator.make_ready();
    assert_eq!(healthcheck(&["--admin", &admin]), (ExitCode::SUCCESS, String::new()));
    drop(operator);
    let (code, err) = healthcheck(&["--admin", &admin, "--live"]);
    assert_eq!(code, ExitCode::FAILURE);
    assert!(err.contains(&format!("no gateway answers at {admin}")), "{err}");
}

#[test]
fn the_healthcheck_command_still_takes_the_address_of_earlier_releases() {
    let operator = Operator::start();
    operator.make_ready();
    let address = operator.address.to_string();
    let elsewhere = ["--admin", "http://127.0.0.1:1"];
    assert_eq!(healthcheck(&elsewhere).0, ExitCode::FAILURE);
    let both = [&elsewhere[..], &["--address", &address]].concat();
    assert_eq!(healthcheck(&both), (ExitCode::SUCCESS, String::new()));
}

#[test]
fn the_healthcheck_command_waits_no_longer_than_it_was_told() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let admin = format!("http://{}", silent.local_addr().expect("an address"));
    let (code, err) = healthcheck(&["--admin", &admin, "--timeout", "1"]);
    assert_eq!(code, ExitCode::FAILURE);
    assert!(err.contains("nothing within 1 s"), "{err}");
}
