//! The configurations of nginx and HAProxy: as much of the gateway's job as each can do by itself,
//! tuned as their manuals say.
//!
//! None writes a log: what the gateway's access lines and ledger cost is part of the gateway's
//! figures only.

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::credentials::{AUDIENCE, Credentials, ISSUER};
use crate::job::SHARED_KEY;
use crate::outcome::Outcome;
use crate::process::{NGINX_LUA, NGINX_MODULES};

/// nginx: keys in a map, a local limit per team, the shared key in the place of the team's.
///
/// # Errors
/// A file cannot be written.
pub fn nginx(
    folder: &Path,
    listen: SocketAddr,
    upstream: SocketAddr,
    credentials: &Credentials,
) -> Outcome<PathBuf> {
    let mut keys = String::new();
    for team in &credentials.teams {
        writeln!(keys, "    \"Bearer {}\" {};", team.key.text.expose(), team.name)?;
    }
    let here = folder.display();
    let text = format!(
        "daemon off;\nworker_processes 1;\nworker_rlimit_nofile 20000;\npid {here}/nginx.pid;\n\
         error_log stderr error;\n\
         events {{ worker_connections 16384; }}\n\
         http {{\n  access_log off;\n  client_body_temp_path {here}/nginx-body;\n\
         \x20 proxy_temp_path {here}/nginx-proxy;\n\
         \x20 fastcgi_temp_path {here}/nginx-fastcgi;\n  uwsgi_temp_path {here}/nginx-uwsgi;\n\
         \x20 scgi_temp_path {here}/nginx-scgi;\n\
         \x20 tcp_nodelay on;\n  keepalive_requests 1000000000;\n  map_hash_bucket_size 256;\n\
         \x20 map $http_authorization $team {{\n    default \"\";\n{keys}  }}\n\
         \x20 limit_req_zone $team zone=teams:1m rate=1000000r/s;\n\
         \x20 upstream firemoon {{\n    server {upstream};\n    keepalive 128;\n\
         \x20   keepalive_requests 1000000000;\n  }}\n\
         \x20 server {{\n    listen {listen} backlog=4096;\n\
         \x20   if ($team = \"\") {{ return 401; }}\n\
         \x20   location /api/v1/ {{\n      limit_req zone=teams burst=100000 nodelay;\n\
         \x20     proxy_pass http://firemoon;\n\
         \x20     proxy_http_version 1.1;\n      proxy_set_header Connection \"\";\n\
         \x20     proxy_set_header Authorization \"Bearer {SHARED_KEY}\";\n    }}\n  }}\n}}\n"
    );
    write(folder, "nginx.conf", &text)
}

/// nginx with Lua, as the gateways do it that are built on it: whose key it is stands in Redis, and
/// each call is counted there for its team and minute. Both are asked each time, over connections
/// that are kept.
///
/// # Errors
/// A file cannot be written.
pub fn nginx_lua(
    folder: &Path,
    listen: SocketAddr,
    upstream: SocketAddr,
    redis: SocketAddr,
) -> Outcome<PathBuf> {
    let (here, host, port) = (folder.display(), redis.ip(), redis.port());
    let text = format!(
        "load_module {NGINX_MODULES}/ndk_http_module.so;\n\
         load_module {NGINX_MODULES}/{NGINX_LUA};\n\
         daemon off;\nworker_processes 1;\nworker_rlimit_nofile 20000;\n\
         pid {here}/nginx-lua.pid;\nerror_log stderr error;\n\
         events {{ worker_connections 16384; }}\n\
         http {{\n  access_log off;\n  client_body_temp_path {here}/lua-body;\n\
         \x20 proxy_temp_path {here}/lua-proxy;\n\
         \x20 fastcgi_temp_path {here}/lua-fastcgi;\n  uwsgi_temp_path {here}/lua-uwsgi;\n\
         \x20 scgi_temp_path {here}/lua-scgi;\n\
         \x20 tcp_nodelay on;\n  keepalive_requests 1000000000;\n\
         \x20 init_by_lua_block {{ redis_host, redis_port = \"{host}\", {port} }}\n\
         \x20 upstream firemoon {{\n    server {upstream};\n    keepalive 128;\n\
         \x20   keepalive_requests 1000000000;\n  }}\n\
         \x20 server {{\n    listen {listen} backlog=4096;\n\
         \x20   location /api/v1/ {{\n      access_by_lua_block {{{COUNT_IN_REDIS}}}\n\
         \x20     proxy_pass http://firemoon;\n      proxy_http_version 1.1;\n\
         \x20     proxy_set_header Connection \"\";\n\
         \x20     proxy_set_header Authorization \"Bearer {SHARED_KEY}\";\n    }}\n  }}\n}}\n"
    );
    write(folder, "nginx-lua.conf", &text)
}

/// Two round trips: whose key it is, then the count of its team's minute, which ends by itself.
const COUNT_IN_REDIS: &str = r#"
        local redis = ngx.socket.tcp()
        redis:settimeout(1000)
        if not redis:connect(redis_host, redis_port) then return ngx.exit(503) end
        local name = "bench:key:" .. string.sub(ngx.var.http_authorization or "", 8)
        redis:send("*2\r\n$3\r\nGET\r\n$" .. #name .. "\r\n" .. name .. "\r\n")
        local length = tonumber(string.sub(redis:receive() or "", 2))
        if not length then return ngx.exit(503) end
        if length < 0 then redis:setkeepalive(60000, 256) return ngx.exit(401) end
        local team = string.sub(redis:receive(length + 2), 1, length)
        local window = "bench:count:" .. team .. ":" .. math.floor(ngx.time() / 60)
        redis:send("*2\r\n$4\r\nINCR\r\n$" .. #window .. "\r\n" .. window .. "\r\n"
            .. "*3\r\n$6\r\nEXPIRE\r\n$" .. #window .. "\r\n" .. window .. "\r\n$3\r\n120\r\n")
        local count = tonumber(string.sub(redis:receive() or "", 2))
        redis:receive()
        redis:setkeepalive(60000, 256)
        if not count then return ngx.exit(503) end
        if count > 100000000 then return ngx.exit(429) end
      "#;

/// Writes down in Redis whose key each is, for [`nginx_lua`].
///
/// # Errors
/// Redis does not take it.
pub async fn tell_keys(redis: SocketAddr, credentials: &Credentials) -> Outcome<()> {
    let mut store =
        redis::Client::open(format!("redis://{redis}"))?.get_multiplexed_async_connection().await?;
    for team in &credentials.teams {
        let name = format!("bench:key:{}", team.key.text.expose());
        redis::cmd("SET").arg(name).arg(&team.name).exec_async(&mut store).await?;
    }
    Ok(())
}

/// What [`nginx_lua`] has counted by now in Redis is at least one call of each team.
///
/// # Errors
/// It has not.
pub async fn has_counted(redis: SocketAddr, credentials: &Credentials) -> Outcome<()> {
    let mut store =
        redis::Client::open(format!("redis://{redis}"))?.get_multiplexed_async_connection().await?;
    for team in &credentials.teams {
        let windows: Vec<String> = redis::cmd("KEYS")
            .arg(format!("bench:count:{}:*", team.name))
            .query_async(&mut store)
            .await?;
        if windows.is_empty() {
            return Err(format!("nginx-lua: no call of {} was counted in Redis", team.name).into());
        }
    }
    Ok(())
}

/// HAProxy: keys in a map, a stick table that counts per team, the shared key in the place of the
/// team's.
///
/// # Errors
/// A file cannot be written.
pub fn haproxy(
    folder: &Path,
    listen: SocketAddr,
    upstream: SocketAddr,
    credentials: &Credentials,
) -> Outcome<PathBuf> {
    let mut keys = String::new();
    for team in &credentials.teams {
        writeln!(keys, "{} {}", team.key.text.expose(), team.name)?;
    }
    let map = write(folder, "keys.map", &keys)?;
    let identify = format!(
        "  http-request set-var(txn.team) http_auth_bearer,map_str({})\n\
         \x20 http-request deny deny_status 401 unless {{ var(txn.team) -m found }}\n",
        map.display()
    );
    write(folder, "haproxy.cfg", &haproxy_text(listen, upstream, &identify))
}

/// HAProxy: tokens verified, their issuer, audience and expiry checked, the rest as before. It
/// verifies every token every time.
///
/// # Errors
/// A file cannot be written.
pub fn haproxy_rs256(
    folder: &Path,
    listen: SocketAddr,
    upstream: SocketAddr,
    credentials: &Credentials,
) -> Outcome<PathBuf> {
    let key = write(folder, "issuer.pem", &credentials.public_pem)?;
    let identify = format!(
        "  http-request set-var(txn.token) http_auth_bearer\n\
         \x20 http-request deny deny_status 401 unless \
         {{ var(txn.token),jwt_header_query('$.alg') -m str RS256 }}\n\
         \x20 http-request deny deny_status 401 unless \
         {{ var(txn.token),jwt_payload_query('$.iss') -m str {ISSUER} }}\n\
         \x20 http-request deny deny_status 401 unless \
         {{ var(txn.token),jwt_payload_query('$.aud') -m str {AUDIENCE} }}\n\
         \x20 http-request set-var(txn.exp) var(txn.token),jwt_payload_query('$.exp','int')\n\
         \x20 http-request set-var(txn.now) date()\n\
         \x20 http-request deny deny_status 401 if {{ var(txn.exp),sub(txn.now) -m int lt 0 }}\n\
         \x20 http-request deny deny_status 401 unless \
         {{ var(txn.token),jwt_verify(\"RS256\",\"{}\") -m int 1 }}\n\
         \x20 http-request set-var(txn.team) var(txn.token),jwt_payload_query('$.team')\n",
        key.display()
    );
    write(folder, "haproxy-rs256.cfg", &haproxy_text(listen, upstream, &identify))
}

fn haproxy_text(listen: SocketAddr, upstream: SocketAddr, identify: &str) -> String {
    format!(
        "global\n  nbthread 1\n  maxconn 8000\n\
         defaults\n  mode http\n  timeout connect 3s\n  timeout client 30s\n  timeout server 30s\n\
         \x20 option http-keep-alive\n  http-reuse always\n\
         frontend teams\n  bind {listen} backlog 4096\n{identify}\
         \x20 http-request track-sc0 var(txn.team) table counters\n\
         \x20 http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt 100000000 }}\n\
         \x20 http-request set-header authorization \"Bearer {SHARED_KEY}\"\n\
         \x20 default_backend firemoon\n\
         backend counters\n\
         \x20 stick-table type string len 32 size 10k expire 2m store http_req_rate(60s)\n\
         backend firemoon\n  server firemoon {upstream}\n"
    )
}

fn write(folder: &Path, name: &str, text: &str) -> Outcome<PathBuf> {
    let file = folder.join(name);
    fs::write(&file, text)?;
    Ok(file)
}
