// An OpenID provider for tests. Everybody who comes with the cookie "account" is signed
// in as that account, and consents to all scopes, or to those in the cookie "consent".
//
// provider.mjs PORT writes "listening" when it listens on 127.0.0.1. The environment:
//
//   TOKEN_SECONDS  lifetime of access tokens
//   CLOCK_SECONDS  difference of its clock to that of the machine
//   ACCOUNTS       names of clients, separated by commas, that get tokens for themselves
//                  (client credentials) with their name as the secret
//
// GET /control returns how often each path was requested and each grant was used. POST
// /control sets the keys: {"published": ["1", "2"], "signing": "2"}.
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';

const { TOKEN_SECONDS = '3600', CLOCK_SECONDS = '0', ACCOUNTS = '' } = process.env;
const realNow = Date.now;
Date.now = () => realNow() + 1000 * Number(CLOCK_SECONDS);
const { default: Provider } = await import('oidc-provider');

const port = Number(process.argv[2]);
const issuer = `http://127.0.0.1:${port}`;
const scopes = ['images:read', 'images:generate'];
const keys = {}; // by id
const counts = {};
const count = (what) => { counts[what] = (counts[what] ?? 0) + 1; };
let provider;

function key(id) {
  keys[id] ??= { ...generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' }), kid: id, use: 'sig', alg: 'RS256' };
  return keys[id];
}

// use makes the provider publish keys and sign with one of them. What it has issued
// before stays valid.
function use(published, signing) {
  provider = new Provider(issuer, {
    jwks: { keys: published.map(key) },
    cookies: { keys: ['a constant, so that cookies survive new keys'] },
    scopes: ['openid', 'offline_access', ...scopes],
    clients: ACCOUNTS.split(',').filter(Boolean).map((name) => ({
      client_id: name, client_secret: name, grant_types: ['client_credentials'], response_types: [], redirect_uris: [],
    })),
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    issueRefreshToken: (_, client) => client.grantTypeAllowed('refresh_token'),
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    features: {
      devInteractions: { enabled: false },
      registration: { enabled: true },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        useGrantedResource: () => true,
        getResourceServerInfo: (_, resource) => ({
          audience: resource, scope: scopes.join(' '), accessTokenFormat: 'jwt', accessTokenTTL: Number(TOKEN_SECONDS),
          jwt: { sign: { alg: 'RS256', kid: signing } },
        }),
      },
    },
  });
  provider.on('grant.success', (ctx) => count(ctx.oidc.params.grant_type));
  provider.on('server_error', (_, error) => console.error(error));
}

// interact signs in and consents, without asking.
async function interact(request, response) {
  const { prompt, params, session } = await provider.interactionDetails(request, response);
  const cookie = (name) => decodeURIComponent(new RegExp(`(?:^|; )${name}=([^;]*)`).exec(request.headers.cookie ?? '')?.[1] ?? '');
  if (prompt.name === 'login') {
    return provider.interactionFinished(request, response, { login: { accountId: cookie('account') } });
  }
  const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  const consented = (scope) => !cookie('consent') || cookie('consent').split(' ').includes(scope);
  if (prompt.details.missingOIDCScope) grant.addOIDCScope(prompt.details.missingOIDCScope.join(' '));
  for (const [resource, missing] of Object.entries(prompt.details.missingResourceScopes ?? {})) {
    for (const scope of missing) grant[consented(scope) ? 'addResourceScope' : 'rejectResourceScope'](resource, scope);
  }
  return provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } }, { mergeWithLastSubmission: true });
}

async function control(request, response) {
  if (request.method === 'POST') {
    const { published, signing } = JSON.parse(await text(request));
    use(published, signing);
  }
  response.setHeader('Content-Type', 'application/json');
  response.end(JSON.stringify(counts));
}

use(['1'], '1');
createServer(async (request, response) => {
  const { pathname } = new URL(request.url, issuer);
  try {
    if (pathname === '/control') return await control(request, response);
    count(pathname);
    if (pathname.startsWith('/interaction/')) return await interact(request, response);
    return await provider.callback()(request, response);
  } catch (error) {
    console.error(error);
    response.writeHead(500).end(String(error));
  }
}).listen(port, '127.0.0.1', () => console.log('listening'));
