// Checks every line that the program writes on stdio against the official JSON
// schema of the negotiated protocol version. schema.mjs FOLDER first proves that
// it rejects broken sessions, then checks the sessions recorded in FOLDER.
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

// schemas reads the schemas from the official conformance suite, whose single
// file contains them as literals, oldest first. It has no schema for 2024-11-05. For
// our messages, that version differs from 2025-03-26 only in that it has no audio;
// both allow further fields.
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

  // wrong returns how a message violates the first of these definitions that the
  // revision has, or '' if it is valid.
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

// checkSession checks the lines that the program wrote in one session, and returns
// their number by revision. It reads the sent lines only to find the requests.
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
    // In a session without a handshake, notifications have the version that has no handshake.
    const revision = revisions.find((r) => r === request?.params?._meta?.[metaVersion]) ?? (negotiated || modern);
    const valid = (problem) => assert.equal(problem, '', `${problem}\n${JSON.stringify(message).slice(0, 300)}`);
    counts[revision] = (counts[revision] ?? 0) + 1;
    if (message.method) {
      valid(official.wrong(revision, ['ServerNotification'], message));
      const owner = tokens.get(message.params?.progressToken);
      assert.ok(message.method !== 'notifications/progress' || (owner !== undefined && !answered.has(owner)), 'progress precedes its answer');
      continue;
    }
    assert.ok(request || message.error, `no request has the id ${message.id}`);
    assert.ok(!answered.has(message.id), `a second answer to ${message.id}`);
    answered.add(message.id);
    if (message.error) {
      if (message.id !== null) valid(official.wrong(revision, ['JSONRPCErrorResponse', 'JSONRPCError'], message));
      continue;
    }
    valid(official.wrong(revision, ['JSONRPCResultResponse', 'JSONRPCResponse'], message));
    assert.ok(results[request.method], request.method);
    valid(official.wrong(revision, [results[request.method]], message.result));
    if (revision === revisions[0]) assert.ok(!(message.result.content ?? []).some((c) => c.type === 'audio'), '2024-11-05 has no audio');
  }
  return counts;
}

// controls breaks a valid session in several ways. checkSession must reject each.
function controls(official, revision, sent, written) {
  const answer = written.split('\n').find((line) => line.includes('"structuredContent"') && line.includes('"type":"image"'));
  const broken = {
    'no content': written.replace(answer, answer.replace('"content":', '"contents":')),
    'an unknown type of content': written.replace(answer, answer.replace('"type":"image"', '"type":"picture"')),
    ...(revision === revisions[0] && { audio: written.replace(answer, answer.replace('"type":"image"', '"type":"audio"')) }),
    'a second answer': `${written}\n${answer}`,
    'an answer without a request': `${written}\n{"jsonrpc":"2.0","id":4711,"result":{}}`,
    'late progress': `${written}\n{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p","progress":9}}`,
    'an unknown notification': `${written}\n{"jsonrpc":"2.0","method":"notifications/made_up"}`,
  };
  checkSession(official, sent, written);
  for (const [what, lines] of Object.entries(broken)) assert.throws(() => checkSession(official, sent, lines), undefined, `not rejected: ${what}`);
  return Object.keys(broken).length;
}

function main(folder) {
  const official = new Schemas();
  const file = (name) => readFileSync(join(folder, name), 'utf8');
  const recorded = readdirSync(folder).filter((name) => name.endsWith('.out')).map((name) => name.slice(0, -4));
  for (const revision of revisions) console.log(`${controls(official, revision, file(`lines-${revision}.in`), file(`lines-${revision}.out`))} broken sessions of ${revision} rejected`);
  const total = {};
  for (const name of recorded) {
    try {
      for (const [revision, n] of Object.entries(checkSession(official, file(`${name}.in`), file(`${name}.out`)))) total[revision] = (total[revision] ?? 0) + n;
    } catch (problem) {
      problem.message = `${name}: ${problem.message}`;
      throw problem;
    }
  }
  console.log(`${recorded.length} sessions over stdio, lines that match the official schema (2024-11-05: that of 2025-03-26, without audio):`, total);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main(process.argv[2]);
