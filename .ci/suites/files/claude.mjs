// Runs Claude Code in a project with the program as its MCP server, and without an
// account: claude.mjs PROGRAM CLAUDE
//
// A local server takes the place of the model. It answers each request of Claude Code with
// the next call of a tool, as a model does that was asked for a hero image of a certain
// size at a certain place.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const [program, claude] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), 'claude-'));
const project = join(folder, 'project'), home = join(folder, 'home');
const hero = join(project, 'assets', 'hero.webp');
for (const dir of [project, home]) mkdirSync(dir);

// turns are the calls of the model. Each is a function of the text of the previous result.
const turns = [
  () => ['mcp__img__generate_image', { prompt: 'a lighthouse at dawn', size: '1344x768' }],
  (result) => ['mcp__img__export_image', { id: /[0-9a-z]{26}/.exec(result)[0], size: '1200x630', save_as: 'assets/hero.webp' }],
  (result) => ['Read', { file_path: /(?<=[\s"])\/[^\s"]*hero\.webp/.exec(result)[0] }],
];

// events returns a message of the model with one block.
function events(block, delta, reason) {
  const message = { id: 'msg_1', type: 'message', role: 'assistant', model: 'test', content: [], stop_reason: null, stop_sequence: null, usage: { input_tokens: 1, output_tokens: 1 } };
  return [
    { type: 'message_start', message },
    { type: 'content_block_start', index: 0, content_block: block },
    { type: 'content_block_delta', index: 0, delta },
    { type: 'content_block_stop', index: 0 },
    { type: 'message_delta', delta: { stop_reason: reason, stop_sequence: null }, usage: { output_tokens: 1 } },
    { type: 'message_stop' },
  ].map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join('');
}

const results = [];
let problem;
function next({ messages, tools = [] }) {
  const answers = messages.flatMap(({ content }) => (Array.isArray(content) ? content : [])).filter(({ type }) => type === 'tool_result');
  if (!tools.some(({ name }) => name === turns[0]()[0]) || answers.length === turns.length) {
    if (answers.length === turns.length) results.splice(0, Infinity, ...answers);
    return events({ type: 'text', text: '' }, { type: 'text_delta', text: 'done' }, 'end_turn');
  }
  const content = answers.at(-1)?.content ?? [];
  const last = Array.isArray(content) ? content.map(({ text }) => text).join('\n') : content;
  assert.ok(!answers.at(-1)?.is_error, last);
  const [name, input] = turns[answers.length](last);
  return events({ type: 'tool_use', id: `toolu_${answers.length}`, name, input: {} }, { type: 'input_json_delta', partial_json: JSON.stringify(input) }, 'tool_use');
}

const api = createServer((request, response) => {
  let body = '';
  request.on('data', (data) => { body += data; }).on('end', () => {
    if (!/^\/v1\/messages(\?|$)/.test(request.url)) {
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"input_tokens":1}');
      return;
    }
    try {
      const answer = next(JSON.parse(body));
      response.writeHead(200, { 'content-type': 'text/event-stream' }).end(answer);
    } catch (error) {
      problem ??= error;
      response.writeHead(400, { 'content-type': 'application/json' }).end('{"type":"error","error":{"type":"invalid_request_error","message":"the test failed"}}');
    }
  });
});
await new Promise((resolve) => api.listen(0, '127.0.0.1', resolve));

// The server starts in /, so only CLAUDE_PROJECT_DIR can tell it where the project is.
const server = { command: 'sh', args: ['-c', 'cd / && exec "$0" --sandbox', program], env: { ZAI_IMAGE_STORE: join(folder, 'images') } };
const config = join(folder, 'mcp.json');
writeFileSync(config, JSON.stringify({ mcpServers: { img: server } }));
const child = spawn(claude, [
  '-p', 'make a hero image and save it as assets/hero.webp at 1200x630', '--mcp-config', config, '--strict-mcp-config',
  '--allowedTools', 'mcp__img__generate_image,mcp__img__export_image,Read',
], {
  cwd: project, stdio: ['ignore', 'pipe', 'inherit'],
  env: {
    PATH: process.env.PATH, HOME: home, TMPDIR: folder, ANTHROPIC_BASE_URL: `http://127.0.0.1:${api.address().port}`, ANTHROPIC_API_KEY: 'none',
    ENABLE_TOOL_SEARCH: 'false', CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1', DISABLE_AUTOUPDATER: '1',
  },
});
let said = '';
child.stdout.on('data', (data) => { said += data; });
const code = await new Promise((resolve) => child.on('close', resolve));
api.close();

try {
  if (problem) throw problem;
  assert.equal(code, 0, said);
  assert.equal(results.length, turns.length, said);
  for (const { is_error: failed, content } of results) assert.ok(!failed, JSON.stringify(content));
  assert.ok(JSON.stringify(results[2].content).includes('"type":"image"'), 'Claude Code reads the file as an image');
  const description = execFileSync('file', ['--brief', hero], { encoding: 'utf8' }).trim();
  const size = execFileSync('identify', ['-format', '%m %wx%h', hero], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  assert.match(description, /Web\/P image/);
  assert.equal(size, 'WEBP 1200x630');
  assert.deepEqual(readdirSync(project, { recursive: true }).sort(), ['assets', 'assets/hero.webp']);
  console.log(`assets/hero.webp: ${description}, ${size}`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exit(0);
