// Runs one session in each protocol version, without a client library: every
// method, requests that the server refuses, and a host that cancels a call.
// lines.mjs PROGRAM FOLDER records the sessions in FOLDER.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { modern, revisions } from './schema.mjs';

const [program, folder] = process.argv.slice(2);

async function session(revision) {
  const child = spawn(program, ['--sandbox'], { stdio: ['pipe', 'pipe', 'ignore'] });
  const sent = [], written = [], waiting = new Map();
  createInterface({ input: child.stdout }).on('line', (line) => {
    written.push(line);
    const { id } = JSON.parse(line);
    waiting.get(id)?.(JSON.parse(line));
  });
  const send = (message) => {
    sent.push(JSON.stringify({ jsonrpc: '2.0', ...message }));
    child.stdin.write(`${sent.at(-1)}\n`);
  };
  let last = 0;
  const ask = (method, params = {}, meta = {}) => {
    const _meta = revision === modern
      ? { 'io.modelcontextprotocol/protocolVersion': revision, 'io.modelcontextprotocol/clientCapabilities': {}, 'io.modelcontextprotocol/clientInfo': { name: 'lines', version: '1' }, ...meta }
      : meta;
    const id = ++last;
    send({ id, method, params: Object.keys(_meta).length ? { ...params, _meta } : params });
    return new Promise((resolve) => waiting.set(id, resolve));
  };
  const call = (name, args, meta) => ask('tools/call', { name, arguments: args }, meta);

  if (revision === modern) {
    assert.ok((await ask('server/discover')).result.supportedVersions.includes(modern));
    ask('subscriptions/listen', { notifications: { resourcesListChanged: true } });
  } else {
    const { result } = await ask('initialize', { protocolVersion: revision, capabilities: {}, clientInfo: { name: 'lines', version: '1' } });
    assert.equal(result.protocolVersion, revision);
    send({ method: 'notifications/initialized' });
    await ask('ping');
  }
  const generated = await call('generate_image', { prompt: `a fox of ${revision}`, size: '512x512' }, { progressToken: 'p' });
  const uri = generated.result.content.find((c) => c.uri)?.uri ?? generated.result.structuredContent.images[0].uri;
  for (const [method, params] of [
    ['tools/list'], ['prompts/list'], ['resources/list'], ['resources/templates/list'],
    ['resources/read', { uri }], ['resources/read', { uri: `${uri}/preview` }], ['resources/read', { uri: `${uri}/metadata` }], ['resources/read', { uri: `${uri}/exports/webp-300x200-contain` }], ['resources/read', { uri: 'zai-image://models' }],
    ['prompts/get', { name: 'food_promotion', arguments: { dish: 'ramen' } }],
    ['completion/complete', { ref: { type: 'ref/prompt', name: 'food_promotion' }, argument: { name: 'style', value: '' } }],
    ['completion/complete', { ref: { type: 'ref/resource', uri: 'zai-image://images/{id}' }, argument: { name: 'id', value: '0' } }],
  ]) assert.ok((await ask(method, params)).result, method);
  for (const [method, params] of [
    ['resources/read', { uri: 'zai-image://images/01m7wnsdj83vthhjy68qfe1hke' }], ['prompts/get', { name: 'food_promotion' }], ['prompts/get', { name: 'none' }],
    ['tools/call', { name: 'none' }], ['resources/list', { cursor: 'none' }], ['no/such/method'],
  ]) assert.ok((await ask(method, params)).error, method);
  for (const args of [{ prompt: '' }, { prompt: 'sandbox:content_blocked' }, { prompt: 'x', colour: 'red' }]) assert.ok((await call('generate_image', args)).result.isError);
  const id = uri.split('/').pop();
  assert.ok((await call('get_image', { id })).result);
  assert.ok(!(await call('export_image', { id, size: '300x200' })).result.isError);
  assert.ok(!(await call('export_image', { id, set: 'favicon' })).result.isError);
  for (const args of [{}, { id, size: '0x0' }, { id, set: 'favicon', size: '300x200' }, { id, save_as: '../x.png' }]) assert.ok((await call('export_image', args)).result.isError);
  assert.ok((await call('list_images', {})).result);
  if (revision !== modern) {
    await ask('resources/subscribe', { uri });
    await ask('resources/unsubscribe', { uri });
  }
  call('generate_image', { prompt: `sandbox:delay=1500ms cancelled in ${revision}` }, { progressToken: 'cancelled' });
  const cancelled = last;
  await new Promise((resolve) => setTimeout(resolve, 100));
  send({ method: 'notifications/cancelled', params: { requestId: cancelled, reason: 'the user cancelled' } });
  child.stdin.write('this is not JSON\n');
  child.stdin.end();
  assert.equal(await new Promise((resolve) => child.on('close', resolve)), 0, 'exit code');
  assert.ok(!written.some((line) => JSON.parse(line).id === cancelled), 'no answer to a cancelled call');
  writeFileSync(join(folder, `lines-${revision}.in`), sent.join('\n'));
  writeFileSync(join(folder, `lines-${revision}.out`), written.join('\n'));
}

for (const revision of revisions) await session(revision);
