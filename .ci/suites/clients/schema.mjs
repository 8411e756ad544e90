// Holds every line that the program writes on stdio against the official JSON
// schema of the protocol version that was negotiated. schema.mjs FOLDER checks
// what is recorded there, after it has shown that broken sessions are noticed.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import vm from 'node:vm';
import Ajv from 'ajv';
import Ajv2020 from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';

export const modern = '2026-07-28';
export const revisions = ['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25', modern];
const metaVersion = 'io.modelcontextprotocol/protocolVersion';

// The schemas come with the official conformance suite, as literals of its one
// file, oldest first. It has none for 2024-11-05: what our messages may not have
// there is audio, which 2025-03-26 brought; further fields both allow.
function schemas() {
  const source = readFileSync('node_modules/@modelcontextprotocol/conformance/dist/index.js', 'utf8');
  const found = [...source.matchAll(/\{\$schema:`http[^`]*`,(?:definitions|\$defs):\{Annotations/g)].map(({ index }) => {
    let depth = 0, quoted = false, end = index;
    do {
      const c = source[end++];
      if (quoted && c === '\\') end++;
      else if (c === '`') quoted = !quoted;
      else if (!quoted) depth += { '{': 1, '}': -1 }[c] ?? 0;
    } while (depth > 0);
    return vm.runInNewContext(`(${source.slice(index, end)})`);
  });
  assert.equal(found.length, 4, 'schemas in the suite');
  return Object.fromEntries(revisions.map((revision, i) => [revision, found[Math.max(0, i - 1)]]));
}

const results = {
  initialize: 'InitializeResult', 'server/discover': 'DiscoverResult', ping: 'EmptyResult',
  'tools/list': 'ListToolsResult', 'tools/call': 'CallToolResult', 'prompts/list': 'ListPromptsResult', 'prompts/get': 'GetPromptResult',
  'resources/list': 'ListResourcesResult', 'resources/templates/list': 'ListResourceTemplatesResult', 'resources/read': 'ReadResourceResult',
  'resources/subscribe': 'EmptyResult', 'resources/unsubscribe': 'EmptyResult', 'completion/complete': 'CompleteResult',
  'subscriptions/listen': 'SubscriptionsListenResult',
};

export class Schemas {
  #validators = new Map();
  #byRevision = schemas();

  // wrong says what is wrong with a message that a definition describes, '' for nothing.
  wrong(revision, names, message) {
    const schema = this.#byRevision[revision];
    const key = schema.$defs ? '$defs' : 'definitions';
    const name = names.find((n) => schema[key][n]);
    assert.ok(name, `${revision} defines ${names}`);
    const id = `${revision}#${name}`;
    if (!this.#validators.has(id)) {
      const ajv = schema.$defs ? new Ajv2020({ strict: false }) : new Ajv({ strict: false });
      addFormats(ajv);
      this.#validators.set(id, ajv.compile({ ...schema, $ref: `#/${key}/${name}` }));
    }
    const validate = this.#validators.get(id);
    return validate(message) ? '' : `${name} of ${revision}: ${JSON.stringify(validate.errors).slice(0, 500)}`;
  }
}

// checkSession checks the lines of one session, both ways, and gives how many the
// program wrote, by revision.
export function checkSession(official, sent, written) {
  const asked = new Map(), answered = new Set(), tokens = new Map(), counts = {};
  const lines = (text) => text.split('\n').filter(Boolean).map((line) => JSON.parse(line));
  for (const request of lines(sent)) {
    if (request.id === undefined || !request.method) continue;
    asked.set(request.id, request);
    tokens.set(request.params?._meta?.progressToken, request.id);
  }
  let negotiated = '';
  for (const message of lines(written)) {
    const request = asked.get(message.id);
    if (request?.method === 'initialize') negotiated = message.result?.protocolVersion ?? negotiated;
    // What is said unasked in a session without handshake is of the version without handshakes.
    const revision = revisions.find((r) => r === request?.params?._meta?.[metaVersion]) ?? (negotiated || modern);
    const says = (problem) => assert.equal(problem, '', `${problem}\n${JSON.stringify(message).slice(0, 300)}`);
    counts[revision] = (counts[revision] ?? 0) + 1;
    if (message.method) {
      says(official.wrong(revision, ['ServerNotification'], message));
      const owner = tokens.get(message.params?.progressToken);
      assert.ok(message.method !== 'notifications/progress' || (owner !== undefined && !answered.has(owner)), 'progress before its answer');
      continue;
    }
    assert.ok(request || message.error, `nobody asked for ${message.id}`);
    assert.ok(!answered.has(message.id), `a second answer to ${message.id}`);
    answered.add(message.id);
    if (message.error) {
      if (message.id !== null) says(official.wrong(revision, ['JSONRPCErrorResponse', 'JSONRPCError'], message));
      continue;
    }
    says(official.wrong(revision, ['JSONRPCResultResponse', 'JSONRPCResponse'], message));
    assert.ok(results[request.method], request.method);
    says(official.wrong(revision, [results[request.method]], message.result));
    if (revision === revisions[0]) assert.ok(!(message.result.content ?? []).some((c) => c.type === 'audio'), 'audio came later');
  }
  return counts;
}

// controls breaks a sound session in several ways; each must be noticed.
function controls(official, revision, sent, written) {
  const answer = written.split('\n').find((line) => line.includes('"structuredContent"') && line.includes('"type":"image"'));
  const broken = {
    'no content': written.replace(answer, answer.replace('"content":', '"contents":')),
    'an unknown type of content': written.replace(answer, answer.replace('"type":"image"', '"type":"picture"')),
    ...(revision === revisions[0] && { audio: written.replace(answer, answer.replace('"type":"image"', '"type":"audio"')) }),
    'a second answer': `${written}\n${answer}`,
    'an answer to nobody': `${written}\n{"jsonrpc":"2.0","id":4711,"result":{}}`,
    'late progress': `${written}\n{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p","progress":9}}`,
    'an unknown notification': `${written}\n{"jsonrpc":"2.0","method":"notifications/made_up"}`,
  };
  checkSession(official, sent, written);
  for (const [what, lines] of Object.entries(broken)) assert.throws(() => checkSession(official, sent, lines), undefined, `not noticed: ${what}`);
  return Object.keys(broken).length;
}

function main(folder) {
  const official = new Schemas();
  const file = (name) => readFileSync(join(folder, name), 'utf8');
  const recorded = readdirSync(folder).filter((name) => name.endsWith('.out')).map((name) => name.slice(0, -4));
  for (const revision of revisions) console.log(`${controls(official, revision, file(`lines-${revision}.in`), file(`lines-${revision}.out`))} broken sessions of ${revision} noticed`);
  const total = {};
  for (const name of recorded) {
    try {
      for (const [revision, n] of Object.entries(checkSession(official, file(`${name}.in`), file(`${name}.out`)))) total[revision] = (total[revision] ?? 0) + n;
    } catch (problem) {
      problem.message = `${name}: ${problem.message}`;
      throw problem;
    }
  }
  console.log(`${recorded.length} sessions over stdio, lines that fit the official schema (2024-11-05: that of 2025-03-26, without audio):`, total);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main(process.argv[2]);
