//! Starts the gateways: the one that is measured, its replicas, and another build beside it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::rc::Rc;

use super::{BESIDE_KEY, BESIDE_RS256, MANY_TEAMS, Peer, Proxy, Shown, Starter, key, token};
use crate::credentials::Credentials;
use crate::load::Target;
use crate::outcome::Outcome;
use crate::process::{PROXY_CORE, Process};
use crate::{gateway, job};

impl Starter<'_> {
    /// One gateway process serves all lines but that of many teams.
    pub(super) async fn gateways(&mut self, redis: SocketAddr) -> Outcome<()> {
        let binary = &*self.options.gateway_bin;
        let mut lines =
            [("gateway-key", key as Shown), ("gateway-rs256", token), ("gateway-1-team", key)]
                .to_vec();
        lines.retain(|(name, _)| self.options.wants(name));
        if !lines.is_empty() {
            let (proxy, listen) =
                self.gateway(("gateway", binary), redis, &Rc::clone(&self.credentials)).await?;
            for (name, credential) in lines {
                self.add(name, listen, Some(Rc::clone(&proxy)), credential);
            }
        }
        if let Some(peer) = self.peers.iter_mut().find(|peer| peer.name == "gateway-1-team") {
            peer.fast = peer.fast.of_one_team();
        }
        if self.options.wants("gateway-200-teams") {
            let many = Rc::new(Credentials::new(MANY_TEAMS)?);
            let (proxy, listen) = self.gateway(("gateway-200-teams", binary), redis, &many).await?;
            let ours = std::mem::replace(&mut self.credentials, many);
            self.add("gateway-200-teams", listen, Some(proxy), key);
            self.credentials = ours;
        }
        Ok(())
    }

    /// Another build of the gateway, with a store of its own.
    pub(super) async fn beside(
        &mut self,
        binary: &Path,
        redis: SocketAddr,
    ) -> Outcome<impl Iterator<Item = &mut Peer>> {
        let ours = Rc::clone(&self.credentials);
        let (proxy, listen) = self.gateway(("beside", binary), redis, &ours).await?;
        let before = self.peers.len();
        self.add(BESIDE_KEY, listen, Some(Rc::clone(&proxy)), key);
        self.add(BESIDE_RS256, listen, Some(proxy), token);
        Ok(self.peers.iter_mut().skip(before))
    }

    /// Gateways that share a store and a team, and how that team calls each.
    pub(super) async fn replicas(
        &mut self,
        redis: SocketAddr,
    ) -> Outcome<Vec<(Rc<Proxy>, Target)>> {
        let (mut replicas, binary) = (Vec::new(), &*self.options.gateway_bin);
        let count = if self.options.wants("gateway-replicas") { self.options.replicas } else { 0 };
        for number in 0..count {
            let (proxy, listen) = self
                .gateway(
                    (&format!("replica-{number}"), binary),
                    redis,
                    &Rc::clone(&self.credentials),
                )
                .await?;
            replicas.push((proxy, self.target(listen, job::FAST, key).of_one_team()));
        }
        Ok(replicas)
    }

    /// Starts a gateway with a folder of its own, that knows these teams.
    async fn gateway(
        &mut self,
        (name, binary): (&str, &Path),
        redis: SocketAddr,
        credentials: &Credentials,
    ) -> Outcome<(Rc<Proxy>, SocketAddr)> {
        let folder = self.folder.join(name);
        if !binary.is_file() {
            return Err(format!("there is no gateway at {}", binary.display()).into());
        }
        std::fs::create_dir_all(&folder)?;
        let (listen, admin) = (self.ports.next()?, self.ports.next()?);
        let neighbours = gateway::Neighbours { listen, admin, upstream: self.upstream()?, redis };
        let file = gateway::configure(&folder, &neighbours, credentials)?.display().to_string();
        let first = credentials.teams.first().map(key).unwrap_or_default();
        self.up(first, || {
            let arguments = ["serve", "--config", &file];
            Ok((
                Process::start_file(binary, &arguments, PROXY_CORE, &folder, Stdio::null())?,
                listen,
            ))
        })
        .await
    }
}
