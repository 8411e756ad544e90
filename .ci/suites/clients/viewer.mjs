// Shows the viewer in the official host side of MCP Apps, in Chromium, and uses every
// button as a user does. With a FOLDER, it leaves screenshots there.
//
// viewer.mjs PROGRAM [FOLDER]
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { build } from 'esbuild';
import { chromium } from 'playwright-core';
import { modern } from './schema.mjs';

const [program, folder] = process.argv.slice(2);
const origin = 'http://localhost:8999'; // the browser never connects to it
const patience = 60_000;
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

let checks = 0;
const check = (value, text) => { checks++; assert.ok(value, text); };
const equal = (got, want, text) => { checks++; assert.deepEqual(got, want, text); };

// serve starts the program and returns its address.
function serve() {
  const server = spawn(program, ['--sandbox', '--transport', 'http', '--listen', '127.0.0.1:0', '--allow-origin', origin, '--daily-budget', '0'], { stdio: ['ignore', 'ignore', 'pipe'] });
  process.on('exit', () => server.kill());
  return new Promise((done, failed) => {
    let log = '';
    server.stderr.on('data', (data) => {
      log += data;
      const found = log.match(/msg=listening address=(\S+)/);
      if (found) done(`http://${found[1]}`);
    });
    server.on('exit', (code) => failed(new Error(`the program ended with ${code}:\n${log}`)));
  });
}

const base = await serve();
const bundle = await build({ entryPoints: ['viewer-host.mjs'], bundle: true, format: 'esm', platform: 'browser', write: false, logLevel: 'error' });
const executablePath = execFileSync('sh', ['-c', 'command -v chromium'], { encoding: 'utf8' }).trim();
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu', '--disable-features=LocalNetworkAccessChecks'] });
const page = await browser.newPage({ viewport: { width: 800, height: 700 } });
page.setDefaultTimeout(patience);
page.on('pageerror', (error) => { throw error; });
await page.route(`${origin}/**`, (route) => route.fulfill(route.request().url().endsWith('.js')
  ? { contentType: 'text/javascript', body: bundle.outputFiles[0].text }
  : { contentType: 'text/html', body: '<!doctype html><title>Host</title><style>body { margin: 0 } iframe { border: 0; display: block }</style><body><script type="module" src="host.js"></script>' }));
await page.goto(`${origin}/`);
await page.waitForFunction('window.show');

// generated returns how many requests to generate an image the service has received.
async function generated() {
  const text = await (await fetch(`${base}/metrics`)).text();
  return [...text.matchAll(/^zai_image_upstream_duration_seconds_count\{(.*)\} (\d+)$/gm)].filter(([, labels]) => /generate/.test(labels)).reduce((sum, [, , n]) => sum + Number(n), 0);
}

// pictures counts the canvases and images with more than a few colors.
const pictures = (frame) => frame.evaluate(() => [...document.querySelectorAll('canvas, img')].filter((e) => {
  if (!e.checkVisibility() || !e.width || !e.height || e.complete === false || e.naturalWidth === 0) return false;
  const copy = new OffscreenCanvas(e.width, e.height).getContext('2d');
  copy.drawImage(e, 0, 0);
  return new Set(new Uint32Array(copy.getImageData(0, 0, e.width, e.height).data.buffer)).size > 8;
}).length);

// until waits for a condition.
async function until(condition, text) {
  for (const end = Date.now() + patience; !(await condition()); await new Promise((done) => setTimeout(done, 20))) {
    assert.ok(Date.now() < end, `not within ${patience} ms: ${text}`);
  }
  checks++;
}

// show shows the result of a call and waits for n pictures.
async function show(options, n) {
  const facts = await page.evaluate((o) => window.show(o), { url: `${base}/mcp`, mode: 'legacy', tool: 'generate_image', ...options });
  const frame = page.frames().at(-1);
  const inside = page.frameLocator('iframe');
  await until(async () => await pictures(frame) === n, `${n} pictures`);
  return { facts, frame, button: (name) => inside.getByRole('button', { name, exact: typeof name === 'string' }), find: () => inside.getByRole('searchbox'), field: (name) => inside.getByLabel(name, { exact: typeof name === 'string' }), text: (text) => inside.getByText(text) };
}
const log = () => page.evaluate(() => window.log);
const height = (frame) => frame.evaluate(() => document.documentElement.scrollHeight);

// settled waits until the frame is as high as the viewer.
const settled = (frame) => until(() => frame.evaluate(() => document.documentElement.scrollHeight <= innerHeight && document.documentElement.getBoundingClientRect().height <= innerHeight), 'the frame has its height');

async function screenshot(frame, name) {
  await settled(frame);
  if (folder) await page.locator('iframe').screenshot({ path: join(folder, `${name}.png`) });
}

// accessible checks the viewer with axe, on a ground of the theme.
async function accessible(frame, name, dark) {
  await frame.evaluate(axe);
  const violations = await frame.evaluate(async (ground) => {
    document.documentElement.style.background = ground; // the viewer's own is that of the host
    const found = await window.axe.run(document, { resultTypes: ['violations'] });
    document.documentElement.style.background = '';
    return found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(' ')}`);
  }, dark ? '#1f1e1d' : '#ffffff');
  equal(violations, [], `axe, ${name}`);
}

// ground paints the page as hosts do: with a scheme for its frames, or without one.
const ground = (dark, scheme = dark ? 'dark' : 'light') => page.evaluate(([d, s]) => {
  document.documentElement.style.colorScheme = s;
  document.body.style.background = d ? '#262624' : '#ffffff';
}, [dark, scheme]);

// contrast returns that of the viewer's text and what is seen behind it, at the left edge.
async function contrast(frame) {
  const box = await page.locator('iframe').boundingBox();
  const png = await page.screenshot({ clip: { x: box.x + 4, y: box.y + box.height / 2, width: 1, height: 1 } });
  return frame.evaluate(async (data) => {
    const canvas = new OffscreenCanvas(1, 1).getContext('2d');
    canvas.drawImage(await createImageBitmap(new Blob([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))])), 0, 0);
    const light = (rgb) => rgb.slice(0, 3).map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4)).reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const [dim, bright] = [light([...canvas.getImageData(0, 0, 1, 1).data]), light(getComputedStyle(document.body).color.match(/[\d.]+/g).map(Number))].sort((a, b) => a - b);
    return (bright + 0.05) / (dim + 0.05);
  }, png.toString('base64'));
}

const kitten = { prompt: 'A cute little kitten on a sunny windowsill, with curtains of white lace', size: '1152x864' };
for (const [name, mode, version] of [['2025-11-25', 'legacy', '2025-11-25'], [modern, { pin: modern }, modern]]) {
  const { facts, frame } = await show({ mode, args: kitten }, 1);
  equal(facts.version, version);
  check(facts.extensions.includes('io.modelcontextprotocol/ui'), `${name}: the extension is announced`);
  equal(new Set(facts.uris).size, 1, 'one viewer for all tools');
  equal(facts.uris.length, 4);
  equal(facts.mimeType, 'text/html;profile=mcp-app');
  check(facts.modes.includes('fullscreen') && facts.app.name, 'the viewer introduces itself');
  equal((await log()).calls, [], 'the picture comes without a call');
  check(await height(frame) <= 500, 'at most 500 px');
  await screenshot(frame, 'light');
}
console.log('eras: ok');

for (const n of [2, 3, 4]) {
  const { frame } = await show({ args: { prompt: 'Four seasons of one hill', size: '1152x864', n } }, n + 1);
  check(await height(frame) <= 500, `${n} pictures: at most 500 px`);
  await screenshot(frame, `light-${n}`);
}
console.log('several: ok');

for (const dark of [false, true]) {
  const theme = dark ? 'dark' : 'light';
  await ground(dark);
  const v = await show({ args: { ...kitten, n: 2 }, context: { theme } }, 3);
  await accessible(v.frame, theme, dark);
  if (dark) await screenshot(v.frame, 'dark');
  await v.button('Older').click();
  await until(async () => await pictures(v.frame) > 3, 'older pictures');
  await accessible(v.frame, `${theme}, older`, dark);
  await screenshot(v.frame, `${theme}-older`);
  await v.button('Back').click();
  await v.button(/^Again/).click();
  await v.button(/^Make/).waitFor();
  await accessible(v.frame, `${theme}, again`, dark);
  await screenshot(v.frame, `${theme}-again`);
}
// The browser paints a ground of its own where the color schemes of page and frame differ.
for (const dark of [false, true]) {
  for (const scheme of ['normal', 'light', 'dark']) {
    await ground(dark, scheme);
    const { frame } = await show({ tool: 'list_images', args: { query: 'seasons', limit: 1 }, context: { theme: dark ? 'dark' : 'light' } }, 1);
    const got = await contrast(frame);
    check(got >= 4.5, `${dark ? 'dark' : 'light'} theme in a page whose scheme is ${scheme}: contrast ${got}`);
  }
}
await ground(false);
for (const [name, width, n] of [['narrow', 340, 1], ['narrow-4', 340, 4]]) {
  const { frame } = await show({ args: { ...kitten, n }, width }, n + (n > 1));
  check(await height(frame) <= 500, `${name}: at most 500 px`);
  equal(await frame.evaluate(() => document.documentElement.scrollWidth - innerWidth), 0, 'no sideways scrolling');
  await screenshot(frame, name);
}
{
  const { facts, frame, text } = await show({ args: { prompt: 'sandbox:content_blocked' } }, 0);
  check(facts.error);
  await text('(kind: content_blocked)').waitFor();
  await accessible(frame, 'error', false);
  await screenshot(frame, 'error');
}
console.log('looks: ok');

// Every button, and what it costs.
{
  const v = await show({ args: { ...kitten, size: '512x512' } }, 1);
  const before = await generated();
  check(before > 0, 'the metrics count');
  await v.button('Full size').click();
  await v.button('Smaller').click();
  await v.button('Full size').waitFor();
  await v.button('Open').click();
  await v.button('Download').click();
  await until(async () => (await log()).downloads.length, 'a download');
  await v.button('Copy id').click();
  await v.text(v.facts.ids[0]).first().waitFor();
  await v.button('Use in chat').click();
  await until(async () => (await log()).messages.length, 'a message');
  await v.button('Older').click();
  await v.find().fill('seasons');
  await v.button('Search').click();
  await until(async () => await v.button('Four seasons of one hill').count() >= 4 && !await v.button(kitten.prompt).count(), 'what was found');
  await v.button('Back').click();
  await v.button(/^Again/).click();
  await v.field(/^Number/).selectOption('2');
  await v.button('Make · $0.02').waitFor();
  await v.button('Cancel').click();
  equal(await generated(), before, 'all of that is free');

  await v.button(/^Again/).click();
  await v.field('Prompt').fill('A second kitten');
  await v.button('Make · $0.01').waitFor();
  await until(async () => {
    if (!await v.button(/^Make/).count()) return true;
    await v.button(/^Make/).dblclick({ timeout: 500 }).catch(() => {});
    return (await log()).calls.some((c) => c.name === 'generate_image');
  }, 'the button takes the click');
  await v.text('A second kitten').first().waitFor();
  await until(async () => (await log()).contexts.length, 'the model is told');
  await until(async () => await pictures(v.frame) === 1, 'the new picture');
  equal(await generated(), before + 1, 'paid once');
  const { calls, links, downloads, contexts, errors } = await log();
  equal(calls.filter((c) => c.name === 'generate_image').length, 1, 'called once');
  check(links[0].url.startsWith(`${base}/images/`), 'the signed link');
  equal(downloads[0].contents[0].resource.mimeType, 'image/png');
  check(Buffer.from(downloads[0].contents[0].resource.blob, 'base64').toString('latin1', 1, 4) === 'PNG', 'the original');
  equal(contexts.length, 1);
  equal(errors, []);

  equal(await page.evaluate(() => window.tearDown()), {}, 'the teardown is answered');
}
console.log('buttons: ok');

// Hosts that can do less, and changes while the viewer is open.
{
  const v = await show({ args: { ...kitten, n: 2 }, capabilities: {} }, 3);
  for (const name of ['Open', 'Download', 'Older', /^Again/]) equal(await v.button(name).count(), 0, `no ${name}`);
  equal(await log().then((l) => [l.calls, l.reads]), [[], []]);
  await page.evaluate(() => window.change({ theme: 'dark', locale: 'de-DE', timeZone: 'UTC' }));
  await v.text(/0,01\s\$/).first().waitFor();
  equal(await v.frame.evaluate(() => getComputedStyle(document.body).colorScheme), 'dark');
}
console.log(`${checks} checks passed, in ${browser.version()}`);
await browser.close();
process.exit(0);
