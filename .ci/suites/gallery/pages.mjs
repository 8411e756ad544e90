// Tests the pages in Chromium: without JavaScript, with the keyboard, on a phone, with
// hostile prompts, and with axe in light and dark.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, describe, test } from 'node:test';
import { ask, cleanUp, folder, generate, generateMany, newPage, serve, signIn } from './rig.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const token = 'alice-0123456789abcdef';
const hostile = {
  markup: '<img src=x onerror="document.title=\'broken\'"><b>bold</b> &lt;i&gt; "quotes" \'single\' {{.}} ${1}',
  script: '</script><script>document.title="broken"</script></title></textarea><!-- ]]> javascript:alert(1)',
  'right to left': 'ثعلب في الثلج \u202Eevil\u202C עברית',
  emoji: '👩‍👩‍👧‍👦 🦊 in the ❄️, a family 🏴󠁧󠁢󠁳󠁣󠁴󠁿',
  shell: "it's $(touch /tmp/x) `id` \"two\" \\ back; rm -rf ~",
  'a long word': 'fox'.repeat(1333),
  lines: `first line\nsecond line\n${'a fox in the snow, '.repeat(200)}`,
};

after(cleanUp);

let server, many, secured;
const ids = {};
let ofAlice;
before(async () => {
  const store = folder();
  generateMany(store, 150);
  many = await serve({ store });
  server = await serve();
  for (const [name, prompt] of Object.entries(hostile)) ids[name] = await generate(server, prompt);
  await generate(server, 'a hen');
  secured = await serve({ tokens: [`alice:${token}`] });
  ofAlice = await generate(secured, 'a fox of Alice', token);
});

// open opens a page in a new profile and calls a function with it.
async function open(address, options, use) {
  const tab = await newPage(options);
  await tab.page.goto(address);
  await use(tab.page, tab);
  await tab.finish();
}

test('without JavaScript', () => open(`${many.base}/gallery/`, { javaScriptEnabled: false }, async (page) => {
  assert.equal(await page.locator('.grid a').count(), 60);
  assert.ok(await page.locator('.day h2').count() > 1);
  const first = await page.locator('.grid a').first().getAttribute('href');
  let seen = 60;
  while (await page.locator('#older').count()) {
    await Promise.all([page.waitForURL(/before=/), page.click('#older')]);
    await page.waitForLoadState();
    seen += await page.locator('.grid a').count();
    assert.ok(seen <= 151, 'pages repeat images');
  }
  assert.equal(seen, 151, 'every image is on one page');
  await page.goto(many.base + first);
  const prompt = await page.textContent('#prompt');
  await Promise.all([page.waitForURL((url) => !url.href.endsWith(first)), page.click('a[rel=next]')]);
  assert.notEqual(await page.textContent('#prompt'), prompt);
  await Promise.all([page.waitForURL((url) => url.href.endsWith(first)), page.click('a[rel=prev]')]);
  await page.click('text=All images');
  await page.fill('input[type=search]', 'number 77');
  await page.press('input[type=search]', 'Enter');
  await page.waitForURL(/q=number/);
  assert.equal(await page.locator('.grid a').count(), 1);
  await page.fill('input[type=search]', 'nothing has this word');
  await page.press('input[type=search]', 'Enter');
  await page.waitForURL(/q=nothing/);
  assert.match(await page.textContent('main'), /No image/);
  const day = new Date(Date.now() - 2 * 86_400_000).toISOString().slice(0, 10);
  await page.goto(`${many.base}/gallery/`);
  await page.fill('input[type=date]', day);
  await page.press('input[type=date]', 'Enter');
  await page.waitForURL(/date=/);
  assert.equal(await page.locator('.day h2 time').first().getAttribute('datetime'), day);
  await page.click('text=Spending');
  assert.ok(await page.locator('svg.chart rect').count() > 1);
}));

test('deleting without JavaScript takes two steps', () => open(`${server.base}/gallery/?q=hen`, { javaScriptEnabled: false }, async (page) => {
  await page.click('.grid a');
  const { pathname } = new URL(page.url());
  const button = page.locator('.delete button');
  assert.equal(await button.isVisible(), false);
  await page.click('.delete summary');
  await Promise.all([page.waitForURL((url) => url.pathname !== pathname), button.click()]);
  const { status, text } = await ask(server, pathname);
  assert.equal(status, 404);
  assert.match(text, /no such image/);
}));

test('scrolling appends older images, and Back returns to them', () => open(`${many.base}/gallery/`, {}, async (page) => {
  const count = () => page.locator('.grid a').count();
  await page.waitForSelector('.grid img');
  for (let before = await count(); await page.locator('#older').count(); before = await count()) {
    // The link may be gone by now: it is removed with the last page.
    await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
    await page.waitForFunction((known) => document.querySelectorAll('.grid a').length > known || !document.querySelector('#older'), before);
  }
  const all = await page.locator('.grid a').evaluateAll((links) => links.map((a) => a.dataset.id));
  assert.ok(all.length >= 150, String(all.length));
  assert.deepEqual(all, [...new Set(all)].sort().reverse());
  const days = await page.locator('.day').evaluateAll((list) => list.map(({ id }) => id));
  assert.deepEqual(days, [...new Set(days)], 'each day has one heading');
  const scrolled = await page.evaluate(() => scrollY);
  assert.ok(scrolled > 0);
  await page.evaluate(() => { globalThis.kept = true; });
  await Promise.all([page.waitForURL(/[0-9a-z]{26}$/), page.locator('.grid a').last().click()]);
  await page.goBack({ waitUntil: 'commit' }); // a page that is restored does not load
  await page.waitForSelector('.grid a');
  assert.equal(await page.evaluate(() => globalThis.kept), true, 'the page was kept');
  assert.equal(await count(), all.length);
}));

test('keys', () => open(`${many.base}/gallery/`, {}, async (page) => {
  const focused = () => page.evaluate(() => document.activeElement.dataset.id ?? document.activeElement.name);
  const shown = await page.locator('.grid a').evaluateAll((links) => links.map((a) => a.dataset.id));
  for (const [key, at] of [['j', 0], ['ArrowRight', 1], ['j', 2], ['k', 1], ['ArrowLeft', 0], ['k', 0]]) {
    await page.keyboard.press(key);
    assert.equal(await focused(), shown[at], key);
  }
  await page.keyboard.press('/');
  assert.equal(await focused(), 'q');
  await page.keyboard.type('jk/');
  assert.equal(await page.inputValue('input[type=search]'), 'jk/');
  await page.goto(`${many.base}/gallery/${shown[1]}`);
  for (const [key, at] of [['j', 2], ['ArrowLeft', 1], ['ArrowRight', 2], ['k', 1]]) {
    await Promise.all([page.waitForURL(`**/${shown[at]}`), page.keyboard.press(key)]);
  }
  await page.keyboard.press('Control+j');
  assert.ok(page.url().endsWith(shown[1]));
  await Promise.all([page.waitForURL(/\/gallery\/\?date=/), page.keyboard.press('Escape')]);
}));

test('new images are reported', () => open('about:blank', {}, async (page) => {
  const empty = await serve();
  await page.clock.install();
  await page.goto(`${empty.base}/gallery/`);
  assert.match(await page.textContent('main'), /generate_image/);
  assert.equal(await page.isVisible('#news'), false);
  for (const text of ['1 new image', '2 new images']) {
    await generate(empty, 'a fox');
    await page.clock.runFor(16_000);
    await page.waitForFunction((expected) => document.querySelector('#news').textContent === expected, text);
  }
  await Promise.all([page.waitForNavigation(), page.click('#news')]);
  assert.equal(await page.locator('.grid a').count(), 2);
  await empty.stop();
}));

describe('hostile prompts', () => {
  for (const [name, prompt] of Object.entries(hostile)) {
    test(name, () => open(`${server.base}/gallery/`, { permissions: ['clipboard-read', 'clipboard-write'] }, async (page) => {
      const title = await page.title();
      await page.click(`.grid a[data-id="${ids[name]}"]`);
      await page.waitForSelector('#prompt');
      assert.equal(await page.textContent('#prompt'), prompt);
      assert.notEqual(await page.title(), 'broken');
      assert.notEqual(title, 'broken');
      assert.equal(await page.locator('main script, main b, main i, main img[src=x]').count(), 0);
      await page.click('text=Copy prompt');
      await page.waitForFunction(() => document.querySelector('#said').textContent === 'Copied');
      assert.equal(await page.evaluate(() => navigator.clipboard.readText()), prompt);
    }));
  }
});

describe('without a clipboard', () => {
  test('text is copied or selected', () => open(`${server.base}/gallery/${ids.shell}`, {}, async (page) => {
    await page.evaluate(() => Object.defineProperty(navigator, 'clipboard', { value: undefined }));
    await page.click('text=Copy command');
    await page.waitForFunction(() => document.querySelector('#said').textContent !== '');
    assert.equal(await page.evaluate(() => getSelection().toString().trim()), (await page.textContent('#command')).trim());
  }));
});

describe('axe and a phone', () => {
  const pages = () => [
    ['list', many, '/gallery/'], ['search without a result', many, '/gallery/?q=nothing'], ['image', server, `/gallery/${ids.lines}`], ['a long word', server, `/gallery/${ids['a long word']}`],
    ['hostile list', server, '/gallery/'], ['spending', many, '/gallery/spending'], ['error', many, '/gallery/01m8k2gwrpqvksm7m6ygfdj08x'],
    ['list of an owner', secured, '/gallery/'], ['image of an owner', secured, `/gallery/${ofAlice}`], ['login', secured, '/gallery/login'],
  ];
  for (const colorScheme of ['light', 'dark']) {
    test(colorScheme, async () => {
      const { page, finish, problems } = await newPage({ colorScheme, viewport: { width: 390, height: 844 }, bypassCSP: true });
      await signIn(page, secured, token);
      for (const [name, { base }, path] of pages()) {
        await page.goto(base + path);
        const { violations } = await page.evaluate(`${axe}; document.querySelectorAll('details').forEach((d) => { d.open = true; }); axe.run()`);
        assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]), [], name);
        assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name} scrolls sideways`);
      }
      problems.splice(0, Infinity, ...problems.filter((text) => !text.includes('404'))); // the error page
      await finish();
    });
  }
});

test('no page has inline scripts or styles, and all have the policy', async () => {
  for (const [{ base, address }, path] of [[many, '/gallery/'], [server, `/gallery/${ids.markup}`], [many, '/gallery/spending'], [secured, '/gallery/login'], [many, '/gallery/nothing']]) {
    const { headers, text } = await ask({ base, address }, path);
    assert.match(headers['content-security-policy'], /^default-src 'none';/, path);
    assert.doesNotMatch(headers['content-security-policy'], /unsafe|data:|https?:/, path);
    assert.doesNotMatch(text, /<style| style=|<script(?! src=)| on[a-z]+="/, path);
    assert.notEqual(headers['cache-control'], 'no-store', `${path} must be restored by Back`);
  }
});
