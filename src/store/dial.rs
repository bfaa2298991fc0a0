//! Making of connections: one client for each topology.

use std::sync::Arc;
use std::time::Duration;

use redis::cluster::ClusterClient;
use redis::io::tcp::TcpSettings;
use redis::io::tcp::socket2::TcpKeepalive;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisError,
    TlsCertificates, TlsMode,
};
use tokio::sync::Mutex;

use super::Outage;
use super::failure::outage_of;
use super::link::Link;
use super::settings::{Settings, Topology, UnusableSettings};
use crate::secret::Secret;

/// Most batches that may wait to be written; the client's default of 50 would hold up a gateway
/// with many teams.
const PIPELINE: usize = 1024;

/// How long sent data may stay unacknowledged before the connection is closed (`TCP_USER_TIMEOUT`,
/// RFC 5482).
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(1);

/// Idle time before a keep-alive probe: shorter than any balancer or NAT table keeps an idle
/// connection. One that does not answer within [`UNACKNOWLEDGED_MAX`] is closed before it is
/// needed.
const IDLE: Duration = Duration::from_secs(10);

/// Makes connections.
pub(super) enum Dialer {
    Single(Box<Client>),
    Sentinel(Arc<Mutex<SentinelClient>>),
    Cluster(Box<ClusterClient>),
}

impl Dialer {
    /// Checks the settings without connecting.
    pub(super) fn new(settings: &Settings) -> Result<Self, UnusableSettings> {
        match &settings.topology {
            Topology::Single { url } => {
                single(settings, url).map(|client| Self::Single(Box::new(client)))
            }
            Topology::Sentinel { urls, master, username, password } => {
                let login = (username.as_deref(), password.as_ref());
                sentinel(settings, urls, master, login)
                    .map(|client| Self::Sentinel(Arc::new(Mutex::new(client))))
            }
            Topology::Cluster { urls } => {
                cluster(settings, urls).map(|client| Self::Cluster(Box::new(client)))
            }
        }
    }

    /// Makes one connection. Errors name the address; a cluster's client names it by itself.
    pub(super) async fn dial(&self) -> Result<Link, Outage> {
        // The timeouts are those of `connection`, where they bound the whole operation.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_pipeline_buffer_size(PIPELINE);
        match self {
            Self::Single(client) => connected(client, &config).await,
            Self::Sentinel(sentinel) => {
                // Asked anew each time: there may be a new primary.
                let client = sentinel.lock().await.async_get_client().await;
                connected(&client.map_err(|error| by_way_of_sentinels(&error))?, &config).await
            }
            Self::Cluster(client) => client
                .get_async_connection()
                .await
                .map(Link::to_cluster)
                .map_err(|error| outage_of(&error)),
        }
    }
}

async fn connected(client: &Client, config: &AsyncConnectionConfig) -> Result<Link, Outage> {
    let at = client.get_connection_info().addr().to_string();
    let server = client.get_multiplexed_async_connection_with_config(config).await;
    server.map(|server| Link::to_server(server, &at)).map_err(|error| match outage_of(&error) {
        Outage::Unreachable(why) => Outage::Unreachable(format!("{at}: {why}")),
        outage @ (Outage::TimedOut | Outage::Refused(_) | Outage::Lost) => outage,
    })
}

/// An error of a Sentinel, or of the primary it names, to which the client connects as well.
fn by_way_of_sentinels(error: &RedisError) -> Outage {
    let named = |why: String| format!("by way of ledger.redis.sentinel: {why}");
    match outage_of(error) {
        Outage::Unreachable(why) => Outage::Unreachable(named(why)),
        Outage::Refused(why) => Outage::Refused(named(why)),
        outage @ (Outage::TimedOut | Outage::Lost) => outage,
    }
}

fn single(settings: &Settings, url: &str) -> Result<Client, UnusableSettings> {
    let info = server(url)?;
    let mut login = info.redis_settings().clone();
    if let Some(username) = &settings.username {
        login = login.set_username(username);
    }
    if let Some(password) = &settings.password {
        login = login.set_password(password.expose());
    }
    let info = info.set_redis_settings(login);
    match certificates(settings) {
        Some(certificates) if is_tls(&info) => Client::build_with_tls(info, certificates),
        Some(_) | None => Client::open(info),
    }
    .map_err(|error| refused(&error))
}

/// `login` is for the Sentinels themselves.
fn sentinel(
    settings: &Settings,
    urls: &[String],
    master: &str,
    login: (Option<&str>, Option<&Secret>),
) -> Result<SentinelClient, UnusableSettings> {
    let servers = servers(urls)?;
    let tls = servers.iter().any(is_tls);
    let addresses: Vec<ConnectionAddr> = servers.iter().map(|info| info.addr().clone()).collect();
    let mut builder = SentinelClientBuilder::new(addresses, master, SentinelServerType::Master)
        .map_err(|error| refused(&error))?
        .set_client_to_redis_tcp_settings(tcp())
        .set_client_to_sentinel_tcp_settings(tcp());
    if let Some(username) = &settings.username {
        builder = builder.set_client_to_redis_username(username);
    }
    if let Some(password) = &settings.password {
        builder = builder.set_client_to_redis_password(password.expose());
    }
    if let Some(username) = login.0 {
        builder = builder.set_client_to_sentinel_username(username);
    }
    if let Some(password) = login.1 {
        builder = builder.set_client_to_sentinel_password(password.expose());
    }
    if tls {
        builder = builder
            .set_client_to_redis_tls_mode(TlsMode::Secure)
            .set_client_to_sentinel_tls_mode(TlsMode::Secure);
        if let Some(certificates) = certificates(settings) {
            builder = builder
                .set_client_to_redis_certificates(certificates.clone())
                .set_client_to_sentinel_certificates(certificates);
        }
    }
    builder.build().map_err(|error| refused(&error))
}

fn cluster(settings: &Settings, urls: &[String]) -> Result<ClusterClient, UnusableSettings> {
    let servers = servers(urls)?;
    let tls = servers.iter().any(is_tls);
    // A node that moved or failed is retried a few times within the deadline; operations are safe
    // to repeat.
    let mut builder = ClusterClient::builder(servers)
        .tcp_settings(tcp())
        .retries(3)
        .min_retry_wait(5)
        .max_retry_wait(50)
        .connection_timeout(Duration::from_secs(1))
        .response_timeout(settings.deadline);
    if let Some(username) = &settings.username {
        builder = builder.username(username);
    }
    if let Some(password) = &settings.password {
        builder = builder.password(password.expose());
    }
    if let Some(certificates) = certificates(settings).filter(|_| tls) {
        builder = builder.certs(certificates);
    }
    builder.build().map_err(|error| refused(&error))
}

fn servers(urls: &[String]) -> Result<Vec<ConnectionInfo>, UnusableSettings> {
    if urls.is_empty() {
        return Err(UnusableSettings::NoServer);
    }
    urls.iter().map(|url| server(url)).collect()
}

fn server(url: &str) -> Result<ConnectionInfo, UnusableSettings> {
    if !url.starts_with("redis://") && !url.starts_with("rediss://") {
        return Err(UnusableSettings::NotAUrl);
    }
    let info = url.into_connection_info().map_err(|_| UnusableSettings::NotAUrl)?;
    if info.redis_settings().password().is_some() || info.redis_settings().username().is_some() {
        return Err(UnusableSettings::CredentialInUrl);
    }
    Ok(info.set_tcp_settings(tcp()))
}

/// Sets `TCP_NODELAY`, since otherwise a small batch waits for the answer to the one before, and a
/// timeout for unacknowledged data, since a cluster's client replaces only connections that were
/// closed.
fn tcp() -> TcpSettings {
    let keepalive = TcpKeepalive::new().with_time(IDLE).with_interval(Duration::from_secs(1));
    let settings = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive);
    #[cfg(target_os = "linux")]
    let settings = settings.set_user_timeout(UNACKNOWLEDGED_MAX);
    settings
}

fn is_tls(info: &ConnectionInfo) -> bool {
    matches!(info.addr(), ConnectionAddr::TcpTls { .. })
}

fn certificates(settings: &Settings) -> Option<TlsCertificates> {
    settings
        .ca
        .as_ref()
        .map(|ca| TlsCertificates { client_tls: None, root_cert: Some(ca.to_vec()) })
}

fn refused(error: &RedisError) -> UnusableSettings {
    UnusableSettings::Refused(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn single(url: &str) -> Option<UnusableSettings> {
        Dialer::new(&Settings::new(Topology::Single { url: url.to_owned() })).err()
    }

    #[test]
    fn a_url_with_a_credential_is_refused_without_repeating_it() {
        for url in ["redis://:hunter2@127.0.0.1", "redis://ana@127.0.0.1:6379/1"] {
            assert_eq!(single(url), Some(UnusableSettings::CredentialInUrl));
        }
        assert!(!UnusableSettings::CredentialInUrl.to_string().contains("hunter2"));
    }

    #[test]
    fn what_is_not_a_redis_url_is_refused() {
        for url in ["", "127.0.0.1:6379", "http://127.0.0.1", "redis://", "unix:///tmp/redis.sock"]
        {
            assert_eq!(single(url), Some(UnusableSettings::NotAUrl), "{url}");
        }
        assert_eq!(single("redis://127.0.0.1:6379/3"), None);
        let none = Settings::new(Topology::Cluster { urls: Vec::new() });
        assert_eq!(Dialer::new(&none).err(), Some(UnusableSettings::NoServer));
    }
}
