// Tests the gallery command: its address works once, and nothing else is served.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { after, test } from 'node:test';
import { ask, cleanUp, folder, newPage, program, start } from './rig.mjs';

after(cleanUp);

const store = folder();
execFileSync(program, ['generate', '--sandbox', '--store', store, 'a fox in the snow'], { stdio: 'ignore' });

test('the gallery command', async () => {
  const command = start(['gallery', '--store', store, '--no-open']);
  const [link] = await command.line(/http:\/\/127\.0\.0\.1:\d+\/gallery\/\?key=\S+/);
  const server = { address: new URL(link).host };

  for (const path of ['/gallery/', '/gallery/?key=', '/gallery/?key=wrong', '/gallery/spending']) {
    const { status, text } = await ask(server, path);
    assert.ok(status !== 200 && !text.includes('fox'), path);
  }
  for (const path of ['/mcp', '/sse', '/images/', '/metrics', '/readyz']) assert.notEqual((await ask(server, path)).status, 200, path);

  const { page, context, finish } = await newPage();
  await page.goto(link);
  assert.equal(page.url(), new URL('/gallery/', link).href, 'the address shows no key');
  assert.equal(await page.locator('.grid a').count(), 1);
  assert.ok(await page.waitForFunction(() => document.querySelector('.grid img').naturalWidth > 0));
  const [cookie] = await context.cookies();
  assert.ok(!cookie.value.includes(new URL(link).searchParams.get('key')), 'the cookie is not the key');
  await page.goto(link);
  assert.equal(await page.locator('.grid a').count(), 1, 'the same browser may use the address again');
  await finish();

  const second = await ask(server, new URL(link).pathname + new URL(link).search);
  assert.ok(second.status >= 300 && !second.headers['set-cookie'] && !second.text.includes('fox'), 'the key opens the gallery once');
  for (const headers of [{ Host: 'evil.example' }, { Origin: 'https://evil.example' }]) {
    assert.equal((await ask(server, '/gallery/', { headers: { Cookie: `${cookie.name}=${cookie.value}`, ...headers } })).status, 403);
  }
  await command.stop();
});

test('a listener beyond loopback is refused', () => {
  const { status, stderr } = spawnSync(program, ['gallery', '--store', store, '--listen', '0.0.0.0:0', '--no-open'], { encoding: 'utf8', timeout: 30_000 });
  assert.ok(status > 0, stderr);
  assert.match(stderr, /127\.0\.0\.1/);
});
