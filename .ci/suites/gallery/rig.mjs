// What the tests of the gallery share: servers, images, requests and the browser.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

export const { GALLERY_PROGRAM: program, GALLERY_SEED: seed } = process.env;

const cleanups = [];
// atEnd runs a function when the tests of the file have ended.
export const atEnd = (end) => cleanups.push(end);
export async function cleanUp() {
  for (const end of cleanups.reverse()) await end();
}

export function folder() {
  const dir = mkdtempSync(join(tmpdir(), 'gallery-'));
  atEnd(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

// start runs the program, which is ended after the tests. Lines are the lines of its output
// so far; line returns the first match of a pattern in them, and waits for it.
export function start(args, env = {}) {
  const home = folder();
  const child = spawn(program, args, { env: { PATH: process.env.PATH, HOME: home, ZAI_IMAGE_DAILY_BUDGET: '0', ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = once(child, 'exit');
  const lines = [], waiting = new Set();
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line);
      for (const look of waiting) look();
    });
  }
  const line = (pattern) => new Promise((resolve, reject) => {
    const look = () => {
      const found = lines.map((text) => pattern.exec(text)).find(Boolean);
      if (!found) return;
      waiting.delete(look);
      resolve(found);
    };
    waiting.add(look);
    ended.then(() => reject(new Error(`the program ended:\n${lines.join('\n')}`)));
    look();
  });
  const stop = async () => {
    child.kill();
    await ended;
  };
  atEnd(stop);
  return { child, lines, line, stop, ended };
}

// serve starts a server with the sandbox. tokens are the lines of its token file.
export async function serve({ store = folder(), tokens, args = [] } = {}) {
  const file = join(folder(), 'tokens');
  const writeTokens = (list) => writeFileSync(file, list.join('\n'), { mode: 0o600 });
  if (tokens) writeTokens(tokens);
  const server = start([
    '--sandbox', '--transport', 'http', '--listen', '127.0.0.1:0', '--store', store, ...tokens ? ['--auth-tokens', file] : [], ...args,
  ]);
  const [, address] = await server.line(/msg=listening address=(\S+)/);
  return { ...server, address, base: `http://${address}`, store, writeTokens };
}

// ask sends a request as no browser does: with any Host and Origin. It follows no redirect.
export async function ask(server, path, { method = 'GET', headers = {}, body } = {}) {
  const [host, port] = server.address.split(':');
  const sent = request({ host, port, path, method, headers: { ...body === undefined ? {} : { 'Content-Length': Buffer.byteLength(body) }, ...headers }, agent: false });
  sent.end(body);
  const [response] = await once(sent, 'response');
  let text = '';
  for await (const part of response.setEncoding('utf8')) text += part;
  return { status: response.statusCode, headers: response.headers, text };
}

const meta = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {}, 'io.modelcontextprotocol/clientInfo': { name: 'gallery', version: '1' },
};

// generate makes an image through the server's MCP endpoint and returns its id.
export async function generate(server, prompt, token) {
  const response = await ask(server, '/mcp', {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json', Accept: 'application/json, text/event-stream', 'Mcp-Protocol-Version': '2026-07-28', 'Mcp-Method': 'tools/call', 'Mcp-Name': 'generate_image',
      ...token ? { Authorization: `Bearer ${token}` } : {},
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'generate_image', arguments: { prompt, size: '512x512' }, _meta: meta } }),
  });
  const id = /"id":"([0-9a-z]{26})"/.exec(response.text);
  assert.ok(id, response.text);
  return id[1];
}

// generateMany makes an image with the command, and older ones with the same file.
export function generateMany(store, count) {
  execFileSync(program, ['generate', '--sandbox', '--store', store, 'a fox'], { stdio: 'ignore' });
  execFileSync(seed, [store, String(count)]);
}

let browser;
// newPage opens a page of a new browser profile. Errors of its scripts, and what its content
// security policy refuses, fail the test that ends with finish.
export async function newPage(options = {}) {
  browser ??= await chromium.launch({
    executablePath: process.env.CHROMIUM,
    ignoreDefaultArgs: ['--disable-back-forward-cache'],
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-features=LocalNetworkAccessChecks'],
  }).then((b) => {
    atEnd(() => b.close());
    return b;
  });
  const context = await browser.newContext({ reducedMotion: 'reduce', ...options }); // transitions would be skipped, which is an error
  const page = await context.newPage();
  const problems = [];
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') problems.push(message.text());
  });
  return {
    page, context, problems,
    finish: async () => {
      await context.close();
      assert.deepEqual(problems, []);
    },
  };
}

// signIn signs in with a token, as a user does.
export async function signIn(page, server, token) {
  await page.goto(`${server.base}/gallery/`);
  await page.fill('input[name=token]', token);
  await Promise.all([page.waitForURL(`${server.base}/gallery/`), page.click('main button')]);
}

// otherSite serves an empty page. The browser can open it as another site and as another
// port of the gallery's host.
export async function otherSite() {
  const server = createServer((_, response) => response.setHeader('Content-Type', 'text/html').end('<!doctype html><title>Other</title>')).listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(() => server.close());
  const { port } = server.address();
  return { 'another site': `http://evil.localhost:${port}/`, 'another port of the host': `http://127.0.0.1:${port}/` };
}

// until repeats an attempt until it succeeds.
export async function until(what, attempt) {
  for (const end = Date.now() + 30_000; ; ) {
    if (await attempt()) return;
    assert.ok(Date.now() < end, `not in 30 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
