//! `moongate check-token`: what it prints about a token, its exit code, and that it never repeats
//! the token.

use std::io::Write;
use std::process::{Command, Stdio};

use moongate::cli::Ended;
use moongate::cli::check_token::CheckToken;
use moongate::team::TeamId;
use serde_json::{Value, json};

use crate::support::authenticators::eventually;
use crate::support::installation::{ISSUER, Installation, claims};
use crate::support::issuer::{Answer, IssuerServer};
use crate::support::tokens::{SigningKey, key_set};

/// Runs the command on a thread of its own, as it brings its own runtime: exit code and output, or
/// what it complains of.
async fn check(
    installation: &Installation,
    token: &str,
    team: Option<&str>,
    json: bool,
) -> Result<(u8, String), Ended> {
    let team = team.and_then(TeamId::parse);
    let (command, input) =
        (CheckToken { config: installation.path(), team, json }, token.to_owned());
    let ran = tokio::task::spawn_blocking(move || {
        let mut out = Vec::new();
        let code = command.run(&mut input.as_bytes(), &mut out)?;
        Ok((code, String::from_utf8(out).unwrap()))
    });
    let ended = ran.await.unwrap();
    if let Ok((_, out)) = &ended {
        let (_, signature) = token.trim().rsplit_once('.').unwrap_or(("", "no signature at all"));
        assert!(!out.contains(token.trim()) && !out.contains(signature), "{out}");
    }
    ended
}

fn installation() -> Installation {
    Installation::before_url("http://127.0.0.1:1/api")
}

fn token(changes: Value) -> String {
    let mut claims = claims("ann");
    changes.as_object().unwrap().iter().for_each(|(name, value)| claims[name] = value.clone());
    SigningKey::rsa(0).token(&claims)
}

/// The token's user is named too.
#[tokio::test]
async fn a_good_token_passes_every_check_and_names_its_team() {
    let installation = installation();
    let good = installation.token("ann");
    for pasted in [good.clone(), format!("  {good}\n"), format!("Bearer {good}\n")] {
        let (code, out) = check(&installation, &pasted, None, false).await.unwrap();
        assert_eq!(code, 0, "{out}");
        assert_eq!(out.lines().count(), 10, "{out}");
        assert!(out.lines().take(9).all(|line| line.contains(" ok ")), "{out}");
        assert!(out.ends_with("accepted: team design, user ann\n"), "{out}");
    }
    let (code, out) = check(&installation, &good, None, true).await.unwrap();
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (code, &report["accepted"], &report["team"], &report["user"]),
        (0, &json!(true), &json!("design"), &json!("ann"))
    );
    assert_eq!(
        (&report["issuer"], report["checks"].as_array().unwrap().len()),
        (&json!(ISSUER), 9)
    );
}

/// The report says what the caller is answered, too.
#[tokio::test]
async fn a_refused_token_is_reported_with_its_failed_check() {
    let installation = installation();
    for (changes, check_named, failed, code, words) in [
        (
            json!({ "aud": "account" }),
            "audience",
            "audience",
            "401 credential_invalid",
            "\"account\"",
        ),
        (
            json!({ "iss": format!("{ISSUER}/") }),
            "issuer",
            "issuer",
            "401 credential_invalid",
            "differs by a slash",
        ),
        (json!({ "sub": 7 }), "user", "user", "401 credential_invalid", "/sub is a number"),
        (
            json!({ "exp": 1 }),
            "lifetime",
            "expired",
            "401 credential_expired",
            "1970-01-01T00:00:01Z",
        ),
        (
            json!({ "groups": ["staff"] }),
            "team",
            "team_unknown",
            "403 team_unknown",
            "/groups is \"staff\"",
        ),
        (
            json!({ "groups": ["grp-closed"] }),
            "suspension",
            "team_suspended",
            "403 team_suspended",
            "suspended",
        ),
    ] {
        let token = token(changes);
        let (ended, out) = check(&installation, &token, None, false).await.unwrap();
        assert_eq!(ended, 1, "{out}");
        let line = out.lines().find(|line| line.contains("FAILED")).unwrap();
        assert!(line.starts_with(check_named) && line.contains(words), "{out}");
        let verdict = format!("refused: the caller gets {code}; log and metric say {failed}\n");
        assert!(out.ends_with(&verdict), "{out}");
        let (ended, out) = check(&installation, &token, None, true).await.unwrap();
        let report: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(
            (ended, &report["accepted"], &report["failed"]),
            (1, &json!(false), &json!(failed))
        );
    }
}

#[tokio::test]
async fn a_token_signed_by_no_known_key_is_explained() {
    let installation = installation();
    let (ours, theirs, claims) = (SigningKey::rsa(0), SigningKey::rsa(1), claims("ann"));
    for (token, failed, lines) in [
        (
            SigningKey::ec("rsa-0").token(&claims),
            "algorithm",
            &["algorithm   FAILED it is signed with ES256; this issuer may use RS256"][..],
        ),
        (
            theirs.sign(&ours.header(), &claims),
            "signature",
            &[
                "algorithm   ok     RS256",
                "signature   FAILED the signature is of none of the keys it may be of \
                 (kid \"rsa-0\")",
            ],
        ),
        (
            theirs.token(&claims),
            "key_unknown",
            &["signature   FAILED kid \"rsa-1\"; the key set has \"rsa-0\""],
        ),
    ] {
        let (code, out) = check(&installation, &token, None, false).await.unwrap();
        let printed: Vec<&str> = out.lines().collect();
        assert!(code == 1 && lines.iter().all(|line| printed.contains(line)), "{out}");
        // The checks that pass are printed as well: one run shows all there is to mend.
        assert!(
            out.contains("issuer      ok ")
                && out.contains("team        ok     design, by /groups"),
            "{out}"
        );
        assert!(
            out.ends_with(&format!("401 credential_invalid; log and metric say {failed}\n")),
            "{out}"
        );
    }
}

/// The command says which of the groups are known.
#[test]
fn the_command_reads_stdin_and_lists_the_tokens_groups() {
    let installation = installation();
    for (token, code, last) in [
        (installation.token("ann"), 0, "accepted: team design, user ann\n"),
        (token(json!({ "groups": ["staff", "finance"] })), 1, "log and metric say team_unknown\n"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_moongate"));
        command
            .args(["check-token", "--config"])
            .arg(installation.path())
            .env_remove("MOONGATE_CONFIG");
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = pipes.spawn().unwrap();
        // Dropped at the end of the statement: that is the end of the input.
        running.stdin.take().unwrap().write_all(token.as_bytes()).unwrap();
        let ended = running.wait_with_output().unwrap();
        let [out, err] = [ended.stdout, ended.stderr].map(|text| String::from_utf8(text).unwrap());
        assert_eq!((ended.status.code(), err.as_str()), (Some(code), ""), "{out}");
        assert!(out.ends_with(last) && !out.contains(&token), "{out}");
        let no_team = "team        FAILED no team matches: /groups is \"staff\", \"finance\"; \
                       this issuer's teams are of \"grp-closed\", \"grp-design\", \"grp-growth\"";
        assert_eq!(out.lines().any(|line| line == no_team), code == 1, "{out}");
    }
}

#[tokio::test]
async fn a_team_among_several_is_chosen_as_by_the_header() {
    let installation = installation();
    let both = token(json!({ "groups": ["grp-growth", "grp-design"] }));
    let (code, out) = check(&installation, &both, None, false).await.unwrap();
    assert!(
        code == 1 && out.contains("growth, design") && out.contains("say team_ambiguous"),
        "{out}"
    );
    let (code, out) = check(&installation, &both, Some("growth"), false).await.unwrap();
    assert!(code == 0 && out.ends_with("accepted: team growth, user ann\n"), "{out}");
    let (code, out) = check(&installation, &both, Some("closed"), false).await.unwrap();
    assert!(code == 1 && out.contains("say team_not_theirs"), "{out}");
}

#[tokio::test]
async fn the_issuers_keys_are_fetched_or_the_failure_explained() {
    let issuer = IssuerServer::start().await;
    let name = issuer.url("/realm");
    let installation = installation()
        .set("/identity/issuers/0/issuer", json!(name))
        .set("/identity/issuers/0/jwks", json!({ "discovery": true }));
    let token = token(json!({ "iss": name }));
    let (code, out) = check(&installation, &token, None, false).await.unwrap();
    assert!(
        code == 1
            && out.contains("the issuer answered 404")
            && out.contains("503 identity_unavailable"),
        "{out}"
    );
    let document = |issuer: &str, keys: &str| {
        Answer::Ok(json!({ "issuer": issuer, "jwks_uri": keys }).to_string().into())
    };
    issuer.answer(
        "/realm/.well-known/openid-configuration",
        document("https://other.example.com", &issuer.url("/jwks")),
    );
    let (_, out) = check(&installation, &token, None, false).await.unwrap();
    assert!(
        out.contains(&name) && out.contains("https://other.example.com"),
        "both issuers: {out}"
    );
    issuer.answer("/realm/.well-known/openid-configuration", document(&name, &issuer.url("/jwks")));
    issuer.publish(&key_set(&[SigningKey::rsa(0)]));
    eventually("the port", || issuer.requested() > 0).await;
    let (code, out) = check(&installation, &token, None, false).await.unwrap();
    assert_eq!(code, 0, "{out}");
}

#[tokio::test]
async fn what_is_no_token_and_a_wrong_configuration_are_misuse() {
    let installation = installation();
    for (input, why) in [
        ("", "no token"),
        (" \n", "no token"),
        (installation.key("design"), "gateway key is no token"),
    ] {
        let misused = check(&installation, input, None, false).await;
        assert!(
            matches!(&misused, Err(Ended::Misused(message)) if message.contains(why)),
            "{misused:?}"
        );
    }
    installation.replace("listen: {");
    let misused = check(&installation, "a.b.c", None, false).await;
    assert!(matches!(misused, Err(Ended::Misused(_))), "{misused:?}");
}
