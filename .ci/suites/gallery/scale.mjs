// Compares the gallery of a library of 100,000 images with that of one of 100.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { ask, cleanUp, folder, generateMany, newPage, serve } from './rig.mjs';

after(cleanUp);

// fastest returns the shortest time in milliseconds that each path took. The paths take
// turns, so that a busy machine delays all of them.
async function fastest(rounds, requests) {
  const times = requests.map(() => Infinity);
  for (let n = 0; n < rounds; n++) {
    for (const [i, [server, path]] of requests.entries()) {
      const began = performance.now();
      assert.equal((await ask(server, path)).status, 200, path);
      times[i] = Math.min(times[i], performance.now() - began);
    }
  }
  return times;
}

test('100,000 images', async (t) => {
  const store = folder();
  generateMany(store, 100);
  const small = await serve({ store });
  const large = await serve({ store: process.env.GALLERY_LARGE });
  const day = new Date(Date.now() - 1000 * 86_400_000).toISOString().slice(0, 10);
  const [few, first, absent, middle] = await fastest(15, [
    [small, '/gallery/'], [large, '/gallery/'], [large, '/gallery/?q=absent'], [large, `/gallery/?date=${day}`],
  ]);
  t.diagnostic(`first page ${first.toFixed(1)} ms, of 100 images ${few.toFixed(1)} ms; absent word ${absent.toFixed(0)} ms; a day ${middle.toFixed(1)} ms`);
  assert.ok(first <= 1.5 * few, `the first page takes ${first} ms, that of 100 images ${few} ms`);
  assert.ok(middle <= 3 * few, `a day takes ${middle} ms`);
  assert.ok(absent <= 250, `an absent word takes ${absent} ms`);

  const { page, finish } = await newPage();
  await page.goto(`${large.base}/gallery/`);
  const wanted = 600;
  for (let count = 0; count < wanted;) {
    count = await page.waitForFunction((known) => {
      scrollTo(0, document.documentElement.scrollHeight);
      const { length } = document.querySelectorAll('.grid a');
      return length > known && length;
    }, count).then((found) => found.jsonValue());
  }
  await page.waitForFunction(() => [...document.querySelectorAll('.grid img')].some((image) => image.complete && image.naturalWidth > 0));
  await finish();
});
