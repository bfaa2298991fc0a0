//! `moongate healthcheck`: checks that a running gateway is ready, for container probes that can
//! only run a command.

use std::time::Duration;

use clap::Args;
use http::header::HOST;
use http::{Request, StatusCode, Uri};
use http_body_util::Full;

use super::Ended;
use super::gateway::{self, Unanswered};
use super::runtime::block_on;
use crate::config::address::host_and_port;

/// Checks whether a running gateway is ready; exits 0 if it is and 1 if not.
#[derive(Clone, Debug, Args)]
pub struct Healthcheck {
    /// The operator's listener of the gateway
    #[arg(long, value_name = "URL", env = "MOONGATE_ADMIN", default_value = gateway::DEFAULT_ADMIN)]
    admin: String,
    /// Host and port alone, the older form of --admin
    // Overrides `admin`, which the environment may set beside a probe written before `--admin`
    // existed.
    #[arg(long, value_name = "HOST:PORT", value_parser = host_and_port, hide = true)]
    address: Option<String>,
    /// Check only whether the process is alive
    #[arg(long)]
    live: bool,
    /// How long to wait, in seconds
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 2,
        value_parser = clap::value_parser!(u64).range(1..=60)
    )]
    timeout: u64,
}

impl Healthcheck {
    /// Checks.
    ///
    /// # Errors
    /// It is not ready, or does not answer.
    pub fn run(&self) -> Result<(), Ended> {
        let admin = self
            .address
            .as_ref()
            .map_or_else(|| self.admin.clone(), |address| format!("http://{address}"));
        let uri = gateway::base(&admin)?;
        let path = if self.live { "/livez" } else { "/readyz" };
        let silent = |why: &dyn std::fmt::Display| {
            Ended::Failed(format!("no gateway answers at {admin}: {why}"))
        };
        let within = Duration::from_secs(self.timeout);
        let answer = block_on(async { tokio::time::timeout(within, ask(&uri, path)).await })?;
        match answer.map_err(|_| silent(&format_args!("nothing within {} s", self.timeout)))? {
            Ok((StatusCode::OK, _)) => Ok(()),
            Ok((status, body)) => Err(Ended::Failed(format!("{path} answers {status}: {body}"))),
            Err(Unanswered::NotReached(why) | Unanswered::Sent(why)) => Err(silent(&why)),
        }
    }
}

async fn ask(uri: &Uri, path: &str) -> Result<(StatusCode, String), Unanswered> {
    let host = uri.authority().map_or("", http::uri::Authority::as_str);
    let request = Request::get(path).header(HOST, host).body(Full::default());
    let request = request.map_err(|error| Unanswered::NotReached(error.into()))?;
    let (status, body) = gateway::exchange(uri, request).await?;
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}
