// Tests who can use the gallery, with and without tokens: pages of other sites in Chromium,
// and requests that no browser sends.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ask, cleanUp, generate, newPage, otherSite, serve, signIn, until } from './rig.mjs';

const alice = 'alice-0123456789abcdef', bob = 'bob-0123456789abcdefgh';
const form = 'application/x-www-form-urlencoded';

after(cleanUp);

// attempts are what a page of another site tries with an image's page. They run in that page
// and return true if they got at something. For some of them it cannot know.
const attempts = {
  frame: (target) => new Promise((resolve) => {
    const frame = document.createElement('iframe');
    frame.onload = () => resolve(false); // also after a refusal; what it shows is checked below
    frame.src = target;
    document.body.append(frame);
  }),
  fetch: (target) => fetch(target, { credentials: 'include' }).then(() => true, () => false),
  'blind fetch': (target) => fetch(target, { mode: 'no-cors', credentials: 'include' }).then((response) => response.ok, () => false),
  'blind deletion': (target) => fetch(`${target}/delete`, { method: 'POST', mode: 'no-cors', credentials: 'include' }).then((response) => response.ok, () => false),
  ...Object.fromEntries(['', '.png', '/preview', '/exports/webp-20x10-cover.webp'].map((file) => [`image${file}`, (target, path) => new Promise((resolve) => {
    const image = new Image();
    image.onload = () => resolve(true);
    image.onerror = () => resolve(false);
    image.src = target.replace('/gallery/', '/gallery/images/') + path;
  })])),
  script: (target) => new Promise((resolve) => {
    const script = document.createElement('script');
    script.onload = () => resolve(true);
    script.onerror = () => resolve(false);
    script.src = target.replace(/[^/]+$/, 'assets/gallery.js');
    document.body.append(script);
  }),
};

// submit sends a form from a page, and returns the status of the page that it leads to.
async function submit(page, action, fields = {}) {
  const [response] = await Promise.all([
    page.waitForNavigation(),
    page.evaluate(([address, values]) => {
      const element = document.createElement('form');
      element.method = 'post';
      element.action = address;
      for (const [name, value] of Object.entries(values)) {
        const input = document.createElement('input');
        [input.name, input.value] = [name, value];
        element.append(input);
      }
      document.body.append(element);
      element.submit();
    }, [action, fields]),
  ]);
  return response.status();
}

for (const tokens of [undefined, [`alice:${alice}`, `bob:${bob}`]]) {
  describe(tokens ? 'with tokens' : 'without tokens', () => {
    let server, sites, id, page, context;
    before(async () => {
      server = await serve({ tokens });
      sites = await otherSite();
      id = await generate(server, 'a fox in the snow', tokens && alice);
      ({ page, context } = await newPage());
      if (tokens) await signIn(page, server, alice);
      await page.goto(`${server.base}/gallery/${id}`);
      assert.match(await page.textContent('#prompt'), /a fox in the snow/);
      await watch();
    });
    after(() => context.close());
    // asked are the ids of the requests of an attempt, and statuses those of the answers,
    // which pages do not learn. Their events come in any order.
    const asked = new Set(), statuses = new Map();
    const answers = () => [...asked].map((request) => statuses.get(request));
    const watch = async () => {
      const session = await context.newCDPSession(page);
      session.on('Network.requestWillBeSent', ({ requestId, request }) => {
        if (request.url.startsWith(server.base)) asked.add(requestId);
      });
      session.on('Network.responseReceivedExtraInfo', ({ requestId, statusCode }) => statuses.set(requestId, statusCode));
      await session.send('Network.enable');
    };
    // works fails unless the user still has the image and its page.
    const works = async () => {
      const response = await page.goto(`${server.base}/gallery/${id}`);
      assert.equal(response.status(), 200);
      assert.equal(await page.locator('#prompt').count(), 1, 'signed in');
    };

    for (const site of ['another site', 'another port of the host']) {
      for (const [name, attempt] of Object.entries(attempts)) {
        test(`${site}: ${name}`, async () => {
          await page.goto(sites[site]);
          asked.clear();
          const file = name.startsWith('image') ? name.slice('image'.length) : '';
          assert.equal(await page.evaluate(`(${attempt})(${JSON.stringify(`${server.base}/gallery/${id}`)}, ${JSON.stringify(file)})`), false);
          if (name === 'frame' || name.startsWith('blind')) {
            await until('the server answers', () => asked.size && !answers().includes(undefined));
            assert.deepEqual([...new Set(answers())], [403]);
          }
          for (const frame of page.frames().slice(1)) assert.doesNotMatch(await frame.content(), /a fox/);
        });
      }
      test(`${site}: form`, async () => {
        await page.goto(sites[site]);
        assert.equal(await submit(page, `${server.base}/gallery/${id}/delete`), 403);
        await works();
      });
      test(`${site}: the user follows a link and is signed in`, async () => {
        await page.goto(sites[site]);
        await page.evaluate((address) => {
          const link = document.createElement('a');
          [link.href, link.textContent] = [address, 'look'];
          document.body.append(link);
        }, `${server.base}/gallery/${id}`);
        await Promise.all([page.waitForURL(/\/gallery\//), page.click('text=look')]);
        assert.match(await page.textContent('#prompt'), /a fox in the snow/);
      });
      test(`${site}: a window that it opens`, async () => {
        await page.goto(sites[site]);
        const [opened] = await Promise.all([
          context.waitForEvent('page'), page.evaluate((address) => { globalThis.opened = open(address); }, `${server.base}/gallery/${id}`),
        ]);
        await opened.waitForSelector('#prompt');
        await page.waitForFunction(() => globalThis.opened.closed, null, { timeout: 10_000 }); // the window has no opener any more
        await opened.close();
      });
    }

    test('another Host or Origin', async () => {
      const cookie = (await context.cookies(`${server.base}/gallery/`)).map(({ name, value }) => `${name}=${value}`).join('; ');
      const remove = (headers) => ask(server, `/gallery/${id}/delete`, { method: 'POST', body: '', headers: { 'Content-Type': form, Cookie: cookie, ...headers } });
      for (const headers of [
        {}, { Origin: 'null' }, { Origin: 'https://evil.example' }, { Origin: sites['another port of the host'].slice(0, -1) },
        { Origin: server.base, Host: 'evil.example' }, { Origin: 'http://evil.example', Host: 'evil.example' }, { Origin: `${server.base}.evil.example` },
      ]) assert.equal((await remove(headers)).status, 403, JSON.stringify(headers));
      for (const headers of [
        { Host: 'evil.example' }, { Host: `evil.example:${server.address.split(':')[1]}` }, { Origin: 'https://evil.example' },
        { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Dest': 'iframe' }, { 'Sec-Fetch-Site': 'same-site', 'Sec-Fetch-Mode': 'no-cors', 'Sec-Fetch-Dest': 'document' },
        { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Dest': 'object' },
      ]) assert.equal((await ask(server, `/gallery/${id}`, { headers: { Cookie: cookie, ...headers } })).status, 403, JSON.stringify(headers));
      // Navigation from elsewhere reaches the gallery alone.
      const navigate = { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Dest': 'document' };
      for (const path of ['/mcp', '/metrics', '/readyz']) assert.equal((await ask(server, path, { headers: { Cookie: cookie, ...navigate } })).status, 403, path);
      await works();
    });

    test('an origin of --allow-origin may not delete', async () => {
      const allowed = await serve({ tokens, store: server.store, args: ['--allow-origin', 'https://app.example'] });
      const response = await ask(allowed, `/gallery/${id}/delete`, { method: 'POST', body: '', headers: { 'Content-Type': form, Origin: 'https://app.example' } });
      assert.equal(response.status, 403);
      await allowed.stop();
      await works();
    });

    test('a large form', async () => {
      const response = await ask(server, '/gallery/login', { method: 'POST', body: `token=${'x'.repeat(10_000)}`, headers: { 'Content-Type': form, Origin: server.base } });
      assert.ok(response.status >= 400 && response.status < 500, String(response.status));
    });
  });
}

describe('sessions', () => {
  let server, ofAlice, ofBob, page, context, cookie;
  before(async () => {
    server = await serve({ tokens: [`alice:${alice}`, `bob:${bob}`] });
    ofAlice = await generate(server, 'a fox of Alice', alice);
    ofBob = await generate(server, 'an owl of Bob', bob);
    ({ page, context } = await newPage());
    await signIn(page, server, alice);
    [cookie] = await context.cookies(`${server.base}/gallery/`);
  });
  after(() => context.close());
  const get = (path, headers = {}) => ask(server, path, { headers: { Cookie: `${cookie.name}=${cookie.value}`, ...headers } });
  const post = (path, body = '', headers = {}) => ask(server, path, {
    method: 'POST', body, headers: { 'Content-Type': form, Origin: server.base, Cookie: `${cookie.name}=${cookie.value}`, ...headers },
  });
  const isLogin = ({ status, headers, text }) => (status === 303 ? /\/gallery\/login(\?|$)/.test(headers.location) : status === 401 && !/an? (fox|owl)/.test(text));

  test('the cookie', () => {
    assert.equal(cookie.path, '/gallery/');
    assert.equal(cookie.httpOnly, true);
    assert.equal(cookie.sameSite, 'Lax');
    assert.ok(!cookie.value.includes(alice), 'the cookie does not contain the token');
  });

  test('the cookie opens nothing else', async () => {
    for (const path of ['/mcp', '/readyz', '/metrics', `/images/${ofAlice}`, `/images/${ofAlice}/preview`]) {
      assert.ok([401, 403].includes((await get(path)).status), path);
    }
    assert.equal((await post('/mcp', '{}', { 'Content-Type': 'application/json' })).status, 401);
    assert.equal((await get(`/gallery/images/${ofAlice}`)).status, 200, 'the control');
  });

  test('a forged cookie', async () => {
    const flip = (text, at) => text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1);
    const { length } = cookie.value;
    for (const value of [
      '', 'x', alice, 'a.b.c', cookie.value.slice(0, -2), `${cookie.value}AA`,
      ...[0, 1, 2, 3, 4].map((n) => flip(cookie.value, Math.floor((n * (length - 3)) / 4))),
      ...cookie.value.split('.').map((part, n, parts) => parts.with(n, /^\d+$/.test(part) ? String(Number(part) + 86_400) : flip(part, 1)).join('.')),
    ]) assert.ok(isLogin(await get('/gallery/', { Cookie: `${cookie.name}=${value}` })), `the cookie ${value}`);
  });

  test('images of another owner', async () => {
    for (const path of [
      `/gallery/${ofBob}`, `/gallery/images/${ofBob}`, `/gallery/images/${ofBob}.png`, `/gallery/images/${ofBob}/preview`, `/gallery/images/${ofBob}/exports/webp-20x10-cover.webp`,
    ]) {
      assert.equal((await get(path)).status, 404, path);
      assert.equal((await get(path.replace(ofBob, ofAlice))).status, 200, 'the control');
    }
    assert.equal((await post(`/gallery/${ofBob}/delete`)).status, 404);
    for (const path of ['/gallery/', '/gallery/?q=owl', `/gallery/?before=${ofBob}`, `/gallery/${ofAlice}`, '/gallery/spending']) {
      const { text } = await get(path);
      assert.ok(!text.includes(ofBob) && !text.includes('of Bob'), path);
    }
  });

  test('the address after signing in', async () => {
    for (const to of ['//evil.example/', 'https://evil.example/', '/\\evil.example', '/gallery/../../x', 'javascript:alert(1)', '\t//evil.example', '/gallery/%2e%2e/mcp']) {
      const response = await post('/gallery/login', new URLSearchParams({ token: alice, to }).toString(), { Cookie: '' });
      assert.equal(response.status, 303, to);
      const { origin, pathname } = new URL(response.headers.location, `${server.base}/gallery/login`);
      assert.equal(origin, server.base, to);
      assert.ok(pathname.startsWith('/gallery/'), `${to} leads to ${pathname}`);
      assert.doesNotMatch(response.headers.location, /evil/, to);
    }
  });

  test('signing in from another site, and with a wrong token', async () => {
    const sites = await otherSite();
    const stranger = await newPage();
    for (const site of Object.values(sites)) {
      await stranger.page.goto(site);
      assert.equal(await submit(stranger.page, `${server.base}/gallery/login`, { token: bob }), 403);
    }
    assert.deepEqual(await stranger.context.cookies(), []);
    await stranger.page.goto(`${server.base}/gallery/`);
    await stranger.page.fill('input[name=token]', 'wrong');
    await stranger.page.click('main button');
    await stranger.page.waitForSelector('[role=alert]');
    assert.deepEqual(await stranger.context.cookies(), []);
    await stranger.context.close();
  });

  test('a link of a stranger leads to the image after signing in', async () => {
    const stranger = await newPage();
    await stranger.page.goto(`${server.base}/gallery/${ofAlice}`);
    await stranger.page.fill('input[name=token]', alice);
    await Promise.all([stranger.page.waitForURL(`${server.base}/gallery/${ofAlice}`), stranger.page.click('main button')]);
    assert.match(await stranger.page.textContent('#prompt'), /of Alice/);
    await stranger.page.click('text=Sign out');
    await stranger.page.waitForSelector('input[name=token]');
    await stranger.page.goto(`${server.base}/gallery/`);
    assert.equal(await stranger.page.locator('input[name=token]').count(), 1);
    await stranger.context.close();
  });

  test('an image that is deleted', async () => {
    const id = await generate(server, 'a hen', alice);
    assert.equal((await post(`/gallery/${id}/delete`)).status, 303);
    for (const path of [`/gallery/${id}`, `/gallery/images/${id}`, `/gallery/images/${id}/preview`]) assert.equal((await get(path)).status, 404, path);
  });

  test('a token that is removed', async () => {
    assert.equal((await get('/gallery/')).status, 200);
    server.writeTokens([`bob:${bob}`]);
    server.child.kill('SIGHUP');
    await until('the session ends', async () => isLogin(await get('/gallery/')));
    assert.ok(isLogin(await get(`/gallery/${ofAlice}`)));
    assert.notEqual((await get(`/gallery/images/${ofAlice}`)).status, 200);
    assert.notEqual((await post(`/gallery/${ofAlice}/delete`)).status, 303);
  });
});
