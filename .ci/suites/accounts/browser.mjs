// A browser for sign-ins without a person: it follows redirects and keeps cookies.
//
// browser.mjs URL signs in as $ACCOUNT and visits the redirect URI of the client, as the
// browser that a program opens does.
import { fileURLToPath } from 'node:url';

// signIn visits an authorization URL of the provider, and returns the redirect URI of the
// client with the code. The account consents to all scopes, or to some.
export async function signIn(url, account, consent = '') {
  const { origin } = new URL(url);
  const cookies = { account, consent: encodeURIComponent(consent) };
  for (let location = new URL(url); ; ) {
    if (location.origin !== origin) return location;
    const header = Object.entries(cookies).map((pair) => pair.join('=')).join('; ');
    const response = await fetch(location, { redirect: 'manual', headers: { Cookie: header } });
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      if (value) cookies[name] = value;
      else delete cookies[name];
    }
    if (!response.headers.has('location')) throw new Error(`${location}: ${response.status} ${await response.text()}`);
    location = new URL(response.headers.get('location'), location);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const response = await fetch(await signIn(process.argv[2], process.env.ACCOUNT));
  if (!response.ok) throw new Error(`the client refused: ${response.status} ${await response.text()}`);
}
