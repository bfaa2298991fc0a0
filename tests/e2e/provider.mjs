// A real OpenID provider that issues tokens for client credentials; it can be stopped, and started
// again with other keys.

import http from "node:http";

import { exportJWK, generateKeyPair } from "jose";
import Provider from "oidc-provider";

const CLIENT = { client_id: "render-farm", client_secret: "a-secret-between-the-farm-and-its-provider" };

/** A private key as a provider keeps it. */
export async function signingKey(kid) {
  const { privateKey } = await generateKeyPair("RS256", { extractable: true });
  return { ...(await exportJWK(privateKey)), kid, alg: "RS256", use: "sig" };
}

export class OpenIdProvider {
  /** How often each path was asked for. */
  asked = {};

  /**
   * Starts on a free port, which it keeps for ever: its address is its name. The first of the keys
   * signs.
   */
  static async start(keys) {
    const provider = new OpenIdProvider();
    for (let attempt = 0; provider.server === undefined; attempt += 1) {
      // Below the range from which the system gives out ports for outgoing connections.
      provider.port = 2_048 + Math.floor(Math.random() * 8_000);
      await provider.start(keys).catch((error) => {
        if (attempt > 20 || error.code !== "EADDRINUSE") throw error;
      });
    }
    return provider;
  }

  get issuer() {
    return `http://127.0.0.1:${this.port}`;
  }

  async start(keys) {
    const provider = new Provider(this.issuer, {
      jwks: { keys },
      clients: [{
        ...CLIENT, grant_types: ["client_credentials"], redirect_uris: [], response_types: [],
        token_endpoint_auth_method: "client_secret_post",
      }],
      features: {
        clientCredentials: { enabled: true },
        devInteractions: { enabled: false },
        resourceIndicators: {
          enabled: true,
          defaultResource: () => "urn:moongate",
          useGrantedResource: () => true,
          getResourceServerInfo: () => ({
            scope: "generate", audience: "moongate", accessTokenFormat: "jwt", accessTokenTTL: 600,
            // The key set's first key that fits signs.
            jwt: { sign: { alg: "RS256" } },
          }),
        },
      },
      extraTokenClaims: () => ({ groups: ["staff", "grp-design"] }),
    });
    const answer = provider.callback();
    const server = http.createServer((request, response) => {
      this.asked[request.url] = (this.asked[request.url] ?? 0) + 1;
      answer(request, response);
    });
    await new Promise((resolve, reject) => server.once("error", reject).listen(this.port, "127.0.0.1", resolve));
    this.server = server;
  }

  /** A token, as any client of the provider gets one. */
  async token() {
    const body = new URLSearchParams({ grant_type: "client_credentials", scope: "generate", ...CLIENT });
    const answer = await fetch(`${this.issuer}/token`, { method: "POST", body, headers: { connection: "close" } });
    if (answer.status !== 200) throw new Error(`no token: ${answer.status} ${await answer.text()}`);
    return (await answer.json()).access_token;
  }

  async stop() {
    const closed = new Promise((resolve) => this.server.close(resolve));
    this.server.closeAllConnections();
    await closed;
  }
}
