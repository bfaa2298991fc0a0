//! Tests which gateway keys are accepted.

use std::sync::Arc;

use jiff::{Timestamp, ToSpan};
use moongate::identity::settings::KeySettings;
use moongate::identity::{AuthenticatorError, GatewayKey, Rejection, SecretHash};
use moongate::team::{KeyId, Limit, LimitKind, Limits, ModelRules, TeamId, UserId};

use crate::support::authenticators::{Counts, authenticator, clock, pass, reloaded, verdict};

fn settings(key: &GatewayKey, team: &str) -> KeySettings {
    KeySettings {
        id: key.id.clone(),
        sha256: key.hash,
        team: TeamId::parse(team).expect("team"),
        name: "ci".to_owned(),
        user: None,
        expires_at: None,
        models: None,
        limits: None,
    }
}

fn key() -> GatewayKey {
    GatewayKey::generate().expect("key")
}

#[test]
fn a_key_speaks_for_its_team_and_named_user() {
    let (plain, named) = (key(), key());
    let narrow = KeySettings {
        user: UserId::parse("render-farm"),
        models: Some(Arc::new(ModelRules::parse(["flux/*"]).expect("rules"))),
        limits: Some(Arc::new(Limits::new([Limit::new(LimitKind::Concurrent, 2)]))),
        ..settings(&named, "growth")
    };
    let authenticator = authenticator(vec![], vec![settings(&plain, "design"), narrow], &clock());
    assert_eq!(
        verdict(&authenticator, plain.text.expose()),
        Ok(format!("design/key:{}", plain.id))
    );
    assert_eq!(verdict(&authenticator, named.text.expose()), Ok("growth/render-farm".to_owned()));
    let (principal, _) =
        authenticator.authenticate_now(named.text.expose()).expect("now").expect("good");
    assert_eq!(
        (principal.credential.kind(), principal.credential.id()),
        ("key", named.id.as_str())
    );
    assert!(principal.key_models.is_some() && principal.key_limits.is_some());
}

#[test]
fn whatever_is_not_the_whole_right_key_is_invalid() {
    let (known, unknown) = (key(), key());
    let authenticator = authenticator(vec![], vec![settings(&known, "design")], &clock());
    let text = known.text.expose();
    // What is remembered of the right one must not help the wrong ones.
    assert!(verdict(&authenticator, text).is_ok());
    // The right id with another key's secret, its checksum made right, is the one that only the
    // hash can tell.
    let crossed = recombined(&known, &unknown);
    assert_ne!(crossed, text);
    let typo =
        format!("{}{}", &text[..text.len() - 1], if text.ends_with('a') { 'b' } else { 'a' });
    for wrong in [
        unknown.text.expose(),
        &crossed,
        &typo,
        &text[..text.len() - 6],
        &text.replacen("mgk_", "MGK_", 1),
        &text.replacen("mgk_", "mgk-", 1),
        &text.replacen("mgk_", "sk_", 1),
        &format!("{text}x"),
        &text.repeat(180),
        &known.hash.to_hex(),
        &format!("mgk_{}_{}", known.id, known.hash.to_hex()),
        known.id.as_str(),
        "mgk_",
        "mgk_é",
        &format!("mgk_{} {}", known.id, known.id),
    ] {
        assert_eq!(verdict(&authenticator, wrong), Err(Rejection::Invalid), "{wrong:.80}");
    }
    assert!(verdict(&authenticator, text).is_ok());
}

/// The key is refused from the moment at which it expires.
#[test]
fn only_the_secrets_holder_is_told_that_a_key_expired() {
    let (known, other) = (key(), key());
    let clock = clock();
    let expires_at: Timestamp = clock.now().checked_add(60.seconds()).expect("time");
    let limited = KeySettings { expires_at: Some(expires_at), ..settings(&known, "design") };
    let authenticator = authenticator(vec![], vec![limited], &clock);
    assert!(verdict(&authenticator, known.text.expose()).is_ok());
    pass(&clock, 60);
    assert_eq!(verdict(&authenticator, known.text.expose()), Err(Rejection::Expired));
    assert_eq!(verdict(&authenticator, &recombined(&known, &other)), Err(Rejection::Invalid));
}

#[test]
fn a_suspended_teams_or_users_key_is_refused_as_suspended() {
    let (of_team, of_user) = (key(), key());
    let mallory = KeySettings { user: UserId::parse("mallory"), ..settings(&of_user, "growth") };
    let authenticator =
        authenticator(vec![], vec![settings(&of_team, "closed"), mallory], &clock());
    assert_eq!(verdict(&authenticator, of_team.text.expose()), Err(Rejection::TeamSuspended));
    assert_eq!(verdict(&authenticator, of_user.text.expose()), Err(Rejection::TeamSuspended));
}

#[test]
fn a_key_removed_by_a_reload_is_refused_at_once() {
    let (kept, gone) = (key(), key());
    let clock = clock();
    let before =
        authenticator(vec![], vec![settings(&kept, "design"), settings(&gone, "design")], &clock);
    let after =
        reloaded(vec![], vec![settings(&kept, "design")], &clock, Some(&before), &Arc::default())
            .expect("directory");
    assert!(verdict(&before, gone.text.expose()).is_ok());
    assert_eq!(verdict(&after, gone.text.expose()), Err(Rejection::Invalid));
    assert!(verdict(&after, kept.text.expose()).is_ok());
}

#[test]
fn settings_that_contradict_themselves_make_no_directory() {
    let key = key();
    let counts = Arc::new(Counts::default());
    let twice = vec![settings(&key, "design"), settings(&key, "growth")];
    let made = reloaded(vec![], twice, &clock(), None, &counts);
    assert!(matches!(made, Err(AuthenticatorError::KeyTwice(id)) if id == key.id));
    let made = reloaded(vec![], vec![settings(&key, "nobody")], &clock(), None, &counts);
    let Err(AuthenticatorError::TeamUnknown { team, .. }) = made else { panic!("it is unknown") };
    assert_eq!(team.as_str(), "nobody");
}

#[test]
fn every_judgement_is_counted_once_by_kind_and_result() {
    let known = key();
    let counts = Arc::new(Counts::default());
    let authenticator = reloaded(vec![], vec![settings(&known, "design")], &clock(), None, &counts)
        .expect("directory");
    let _ = verdict(&authenticator, known.text.expose());
    let _ = verdict(&authenticator, known.text.expose());
    let _ = verdict(&authenticator, key().text.expose());
    let _ = verdict(&authenticator, "not.a.token");
    let counted = counts.authenticated.lock().expect("lock").clone();
    assert_eq!(
        counted,
        [(("key", "ok"), 2), (("key", "key_unknown"), 1), (("jwt", "malformed"), 1)].into()
    );
}

#[test]
fn nothing_that_can_be_printed_shows_a_secret() {
    let known = key();
    let settings = settings(&known, "design");
    let authenticator = authenticator(vec![], vec![settings.clone()], &clock());
    let printed = format!(
        "{known:?} {settings:?} {authenticator:?} {:?}",
        authenticator.authenticate_now(known.text.expose())
    );
    assert!(
        !printed.contains(&known.text.expose()[17..]) && !printed.contains(&known.hash.to_hex()),
        "{printed}"
    );
}

/// A key with the id of one and the secret of another, and a right checksum.
fn recombined(id_of: &GatewayKey, secret_of: &GatewayKey) -> String {
    let secret = &secret_of.text.expose()[17..49];
    assert_eq!(SecretHash::of(secret), secret_of.hash);
    assert!(KeyId::parse(id_of.id.as_str()).is_some());
    let body = format!("mgk_{}_{secret}", id_of.id);
    let mut crc = !0_u32;
    for byte in body.bytes() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { 0xEDB8_8320 ^ (crc >> 1) } else { crc >> 1 };
        }
    }
    crc = !crc;
    let digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let place = |power: u32| char::from(digits[(crc / 62_u32.pow(power) % 62) as usize]);
    format!("{body}{}", (0..6).rev().map(place).collect::<String>())
}
