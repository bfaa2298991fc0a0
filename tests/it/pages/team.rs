//! The team page as served: its files and their headers, and that serving them needs no store and
//! no upstream.

use std::collections::BTreeSet;
use std::path::Path;

use http::Method;
use sha2::{Digest, Sha256};

use crate::support::caller::{Call, Connection, Reply};
use crate::support::firemoon::Firemoon;
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::redis::RedisServer;

async fn gateway() -> (Gateway, Installation, Firemoon) {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon);
    (Gateway::serve(&installation).await, installation, firemoon)
}

/// What a text names between these two.
fn named<'a>(text: &'a str, before: &str, after: char) -> impl Iterator<Item = &'a str> {
    text.split(before).skip(1).filter_map(move |rest| rest.split(after).next())
}

/// Every file that the page loads, by following its links and imports, with its answer.
async fn loaded(gateway: &Gateway) -> Vec<(String, Reply)> {
    let mut found: Vec<(String, Reply)> = Vec::new();
    let mut next = vec!["/".to_owned()];
    while let Some(path) = next.pop() {
        if found.iter().any(|(known, _)| *known == path) {
            continue;
        }
        let reply = gateway.send(&Call::get(&path)).await;
        assert_eq!(reply.status, 200, "{path}");
        let text = reply.text();
        let folder = &path[..=path.rfind('/').unwrap()];
        let links = ["href=\"gateway/", "src=\"gateway/"].into_iter();
        next.extend(
            links
                .flat_map(|link| named(text, link, '"'))
                .filter(|link| *link != "openapi.json")
                .map(|link| format!("/gateway/{link}")),
        );
        let imports = ["from \"./", "from\"./", "import \"./", "from \"../", "import \"../"];
        for import in imports {
            let parent = folder.trim_end_matches('/').rsplit_once('/').map_or("", |(up, _)| up);
            let base = if import.ends_with("../") { format!("{parent}/") } else { folder.into() };
            next.extend(named(text, import, '"').map(|file| format!("{base}{file}")));
        }
        found.push((path, reply));
    }
    found
}

#[tokio::test]
async fn every_file_of_the_page_has_strict_headers() {
    let (gateway, _installation, _firemoon) = gateway().await;
    let files = loaded(&gateway).await;
    assert!(files.len() > 8, "{:?}", files.iter().map(|(path, _)| path).collect::<Vec<_>>());
    for (path, reply) in files {
        let header = |name| reply.header(name).unwrap_or_else(|| panic!("{path} has no {name}"));
        let (ending, kind) = (path.rsplit('.').next().unwrap(), header("content-type"));
        let expected = match ending {
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "svg" => "image/svg+xml",
            _ => "text/html; charset=utf-8",
        };
        assert_eq!(kind, expected, "{path}");
        let policy = header("content-security-policy");
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(policy.split("; ").any(|found| found == part), "{path}: {part} in {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains(" * "), "{policy}");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("x-frame-options"), "DENY");
        assert_eq!(header("cross-origin-opener-policy"), "same-origin");
        assert_eq!(header("cross-origin-resource-policy"), "same-origin");
        assert!(header("permissions-policy").contains("camera=()"));
        let for_ever = path.contains("/vendor/");
        let kept = header("cache-control");
        assert_eq!(kept.contains("immutable"), for_ever, "{path}: {kept}");
        assert_eq!(kept == "no-cache", !for_ever, "{path}: {kept}");
        let text = reply.text();
        for outside in ["http://", "https://"] {
            let links = [format!("src=\"{outside}"), format!("from \"{outside}")];
            assert!(!links.iter().any(|link| text.contains(link)), "{path} loads from elsewhere");
        }
    }
}

#[tokio::test]
async fn pictures_come_over_https_only_but_on_one_machine() {
    let (gateway, _installation, _firemoon) = gateway().await;
    let policy = async |host: &str| {
        let reply = gateway.send(&Call::get("/").header("host", host)).await;
        reply.header("content-security-policy").unwrap().to_owned()
    };
    for host in ["127.0.0.1:8080", "localhost", "LOCALHOST:1"] {
        assert!(policy(host).await.contains("img-src 'self' data: https: http://127.0.0.1:* "));
    }
    for host in ["moongate.example.com", "localhost.example.com", "10.0.0.1:8080"] {
        let policy = policy(host).await;
        assert!(policy.contains("img-src 'self' data: https:; media-src data: https:; "));
        assert!(!policy.contains("http:"), "{host}: {policy}");
    }
    let mut http2 = Connection::open_http2(gateway.team()).await;
    let reply = http2.send(&Call::get("/")).await;
    assert!(reply.header("content-security-policy").unwrap().contains("http://127.0.0.1:*"));
}

#[tokio::test]
async fn neither_a_good_copy_nor_head_is_sent_a_body() {
    let (gateway, _installation, _firemoon) = gateway().await;
    for (path, reply) in loaded(&gateway).await {
        let etag = reply.header("etag").unwrap();
        let again = gateway.send(&Call::get(&path).header("if-none-match", etag)).await;
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        assert_eq!(again.header("etag"), Some(etag));
        assert_eq!(again.header("cache-control"), reply.header("cache-control"));
        assert!(again.header("content-security-policy").is_some(), "{path}");
        let other = gateway.send(&Call::get(&path).header("if-none-match", "\"0\"")).await;
        assert_eq!((other.status, other.body.len()), (200, reply.body.len()), "{path}");
        let head = gateway.send(&Call::new(Method::HEAD, &path)).await;
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        assert_eq!(head.header("content-length"), Some(reply.body.len().to_string().as_str()));
        assert_eq!(head.header("etag"), Some(etag));
    }
}

#[tokio::test]
async fn other_methods_are_refused_and_other_files_missing() {
    let (gateway, installation, _firemoon) = gateway().await;
    for path in ["/", "/gateway/ui/team/main.js"] {
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            let wrong = gateway.send(&Call::new(method, path)).await;
            assert_eq!(wrong.refusal(), (405, "method_not_allowed".to_owned()), "{path}");
            assert_eq!(wrong.header("allow"), Some("GET, HEAD"));
        }
    }
    for path in ["/gateway/ui/team/none.js", "/gateway/ui/team/index.html", "/gateway/ui/x/y"] {
        for call in [Call::get(path), Call::get(path).with(installation.key("design"))] {
            let missing = gateway.send(&call).await;
            assert_eq!(missing.refusal(), (404, "route_not_found".to_owned()), "{path}");
        }
    }
}

#[tokio::test]
async fn the_page_asks_no_store_and_nobody_who_they_are() {
    let (mut redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let gateway = Gateway::serve(&Installation::on(&redis, &firemoon)).await;
    redis.kill();
    for path in ["/", "/gateway/ui/team/main.js"] {
        for call in [Call::get(path), Call::get(path).with("mgk_nobody")] {
            let reply = gateway.send(&call).await;
            assert_eq!(reply.status, 200, "{path}");
            assert!(reply.header("ratelimit").is_none(), "{path}");
        }
    }
    assert_eq!(
        gateway.metric("moongate_http_requests_total{route=\"/\",code=\"200\"}").await,
        Some(2.0)
    );
}

#[test]
fn the_libraries_are_the_files_that_their_step_has_written() {
    let folder = Path::new("src/pages/vendor");
    let sums = std::fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
    let mut listed = BTreeSet::from(["SHA256SUMS", "vendor.json", "vendor.mjs"].map(str::to_owned));
    for line in sums.lines() {
        let (sum, name) = line.split_once("  ").unwrap();
        let text = std::fs::read(folder.join(name)).unwrap();
        assert_eq!(hex::encode(Sha256::digest(text)), sum, "{name}");
        listed.insert(name.to_owned());
    }
    let there = std::fs::read_dir(folder).unwrap();
    let there = there.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(there.collect::<BTreeSet<_>>(), listed);
    let step = std::fs::read_to_string(folder.join("vendor.json")).unwrap();
    let step: serde_json::Value = serde_json::from_str(&step).unwrap();
    for package in step["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        assert!(listed.contains(&format!("LICENSE-{name}")), "{name} has no licence");
        let version = package["version"].as_str().unwrap();
        let is_named = |file: &&String| file.starts_with(name) && file.contains(version);
        assert!(listed.iter().any(|file| is_named(&file)), "{name} {version}");
    }
}
