// A client of another project signs in at the provider and generates an image.
//
// client.mjs KIND ENDPOINT ACCOUNT PROMPT [SECONDS] [CONSENT]
//
// It writes what happened as JSON. With SECONDS it then lists images again and again, for
// that time. With CONSENT, the account consents to these scopes only at first.
import { setTimeout as sleep } from 'node:timers/promises';
import { Client as Client1 } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport as SSE1 } from '@modelcontextprotocol/sdk/client/sse.js';
import { StdioClientTransport as Stdio1 } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport as HTTP1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { Client as Client2, SSEClientTransport as SSE2, StreamableHTTPClientTransport as HTTP2 } from '@modelcontextprotocol/client';
import { signIn } from './browser.mjs';

const [kind, endpoint, account, prompt, seconds = '0', consent = ''] = process.argv.slice(2);
const info = { name: 'accounts', version: '1' };
const outcome = { registrations: 0, signIns: 0, asked: '', resource: '', calls: 0, failed: [] };

// session is what an OAuth client keeps. Both versions of the SDK use the same methods.
class Session {
  #information;
  #tokens;
  #verifier;
  #discovered;
  redirectUrl = 'http://127.0.0.1:1/callback';
  clientMetadata = {
    client_name: kind, redirect_uris: [this.redirectUrl], token_endpoint_auth_method: 'none',
    grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'],
  };
  clientInformation = () => this.#information;
  saveClientInformation = (information) => { outcome.registrations++; this.#information = information; };
  tokens = () => this.#tokens;
  saveTokens = (tokens) => { this.#tokens = tokens; };
  codeVerifier = () => this.#verifier;
  saveCodeVerifier = (verifier) => { this.#verifier = verifier; };
  discoveryState = () => this.#discovered;
  saveDiscoveryState = (state) => { this.#discovered = state; };
  async redirectToAuthorization(url) {
    outcome.signIns++;
    outcome.asked = url.searchParams.get('scope');
    outcome.resource = url.searchParams.get('resource');
    this.callback = await signIn(url, account, outcome.signIns === 1 ? consent : '');
  }
}
const session = new Session();

const kinds = {
  'ts1-http': [() => new Client1(info), () => new HTTP1(new URL(endpoint), { authProvider: session })],
  'ts1-sse': [() => new Client1(info), () => new SSE1(new URL(endpoint), { authProvider: session })],
  'ts2-http': [() => new Client2(info, { versionNegotiation: { mode: 'legacy' } }), () => new HTTP2(new URL(endpoint), { authProvider: session })],
  'ts2-sse': [() => new Client2(info, { versionNegotiation: { mode: 'legacy' } }), () => new SSE2(new URL(endpoint), { authProvider: session })],
  'ts2-pinned': [() => new Client2(info, { versionNegotiation: { mode: { pin: '2026-07-28' } } }), () => new HTTP2(new URL(endpoint), { authProvider: session })],
  'mcp-remote': [() => new Client1(info), () => new Stdio1({
    command: process.execPath, args: ['node_modules/mcp-remote/dist/proxy.js', endpoint, '--allow-http'],
    env: { ...process.env, ACCOUNT: account }, stderr: 'inherit',
  })],
};
const [newClient, newTransport] = kinds[kind];

// signedIn runs an action. If the client has to sign in for it, the action is repeated.
async function signedIn(transport, action) {
  const before = outcome.signIns;
  try {
    return await action();
  } catch (error) {
    if (outcome.signIns === before) throw error;
    await transport().finishAuth(kind.startsWith('ts1') ? session.callback.searchParams.get('code') : session.callback.searchParams);
    return action();
  }
}

let client, transport;
await signedIn(() => transport, async () => {
  [client, transport] = [newClient(), newTransport()];
  await client.connect(transport);
});
async function call(name, args) {
  outcome.calls++;
  const params = { name, arguments: args };
  const result = await signedIn(() => transport, () => (client instanceof Client1 ? client.callTool(params, undefined) : client.callTool(params)));
  if (result.isError) throw new Error(result.content[0].text);
  return result;
}
const generated = await call('generate_image', { prompt, size: '512x512' });
outcome.id = generated.structuredContent.images[0].id;
for (const end = Date.now() + 1000 * Number(seconds); Date.now() < end; await sleep(250)) {
  await call('list_images', {}).catch((error) => outcome.failed.push(String(error)));
}
console.log(JSON.stringify(outcome));
await client.close();
process.exit(0);
