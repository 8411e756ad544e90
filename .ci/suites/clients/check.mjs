// Uses the server as a host does, through clients of other projects: both
// versions of the official TypeScript client, and Vercel's. The messages of
// sessions over stdio are recorded in FOLDER.
//
// check.mjs PROGRAM BASE-URL FOLDER
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { Client as Client1 } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport as SSE1 } from '@modelcontextprotocol/sdk/client/sse.js';
import { StdioClientTransport as Stdio1 } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport as HTTP1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { Client as Client2, SSEClientTransport as SSE2, StreamableHTTPClientTransport as HTTP2 } from '@modelcontextprotocol/client';
import { StdioClientTransport as Stdio2 } from '@modelcontextprotocol/client/stdio';
import { createMCPClient } from '@ai-sdk/mcp';
import { Experimental_StdioMCPTransport as StdioAI } from '@ai-sdk/mcp/mcp-stdio';
import { modern } from './schema.mjs';

const [program, base, folder] = process.argv.slice(2);
const recorder = 'tee "$1/client-$$.in" | "$0" --sandbox | tee "$1/client-$$.out"';
const stdio = { command: 'sh', args: ['-c', recorder, program, folder], env: { ...process.env }, stderr: 'ignore' };
const through = (path, transport) => ({
  command: process.execPath, args: ['node_modules/mcp-remote/dist/proxy.js', `${base}/${path}`, '--allow-http', '--transport', transport], env: { ...process.env }, stderr: 'ignore',
});
const info = { name: 'check', version: '1' };
const url = (path) => new URL(base + path);
const newClient2 = (mode) => new Client2(info, mode && { versionNegotiation: { mode } });
const pinned = { pin: modern };

const official = {
  '1.x stdio': [() => new Client1(info), () => new Stdio1(stdio)],
  '1.x sse': [() => new Client1(info), () => new SSE1(url('/sse'))],
  '1.x http': [() => new Client1(info), () => new HTTP1(url('/mcp'))],
  '1.x through mcp-remote': [() => new Client1(info), () => new Stdio1(through('mcp', 'http-only'))],
  '1.x through mcp-remote over sse': [() => new Client1(info), () => new Stdio1(through('sse', 'sse-only'))],
  '2.x legacy stdio': [() => newClient2('legacy'), () => new Stdio2(stdio)],
  '2.x legacy sse': [() => newClient2('legacy'), () => new SSE2(url('/sse'))],
  '2.x legacy http': [() => newClient2('legacy'), () => new HTTP2(url('/mcp'))],
  '2.x auto stdio': [() => newClient2('auto'), () => new Stdio2(stdio)],
  '2.x auto http': [() => newClient2('auto'), () => new HTTP2(url('/mcp'))],
  '2.x pinned stdio': [() => newClient2(pinned), () => new Stdio2(stdio)],
  '2.x pinned http': [() => newClient2(pinned), () => new HTTP2(url('/mcp'))],
};

let checks = 0;
const check = (value, text) => { checks++; assert.ok(value, text); };

async function useOfficial(name, client) {
  check((await client.listTools()).tools.length === 4, 'four tools');
  const progress = [];
  const call = (params, options) => (client instanceof Client1 ? client.callTool(params, undefined, options) : client.callTool(params, options));
  const generated = await call(
    { name: 'generate_image', arguments: { prompt: `a fox for ${name}`, size: '512x512' } }, { onprogress: (p) => progress.push(p) },
  );
  check(!generated.isError, JSON.stringify(generated.content?.[0]));
  check(generated.content.map((c) => c.type).join() === 'text,image,resource_link', 'text, preview, link');
  const image = generated.structuredContent.images[0];
  check(image.status === 'saved' && /^[0-9a-z]{26}$/.test(image.id), 'a saved image');
  const bytes = async ({ uri }) => createHash('sha256').update(Buffer.from((await client.readResource({ uri })).contents[0].blob, 'base64')).digest('hex');
  check(await bytes(image) === image.sha256, 'the exact bytes');
  const exported = await call({ name: 'export_image', arguments: { id: image.id, size: '300x200' } });
  check(!exported.isError, JSON.stringify(exported.content?.[0]));
  const [small] = exported.structuredContent.images;
  check(small.width === 300 && small.height === 200 && small.uri === `${image.uri}/exports/png-300x200-cover`, 'an export');
  check(await bytes(small) === small.sha256, 'the exact bytes of the export');
  check((await client.listResources()).resources.some((r) => r.uri === image.uri), 'the image is listed');
  check((await client.listResourceTemplates()).resourceTemplates.length === 4, 'four templates');
  check((await client.listPrompts()).prompts.length === 6, 'six prompts');
  const prompt = await client.getPrompt({ name: 'food_promotion', arguments: { dish: 'noodle soup' } });
  check(prompt.messages[0].content.text.includes('noodle soup'), 'the prompt has its argument');
  await assert.rejects(client.getPrompt({ name: 'food_promotion', arguments: {} }), /dish/);
  await assert.rejects(client.readResource({ uri: 'zai-image://images/01m7wnsdj83vthhjy68qfe1hke' }));
  const refused = await call({ name: 'generate_image', arguments: { prompt: 'sandbox:content_blocked' } });
  check(refused.isError && /\(kind: content_blocked\)$/.test(refused.content[0].text), 'an error with its kind');
  const complete = await client.complete({ ref: { type: 'ref/prompt', name: 'food_promotion' }, argument: { name: 'style', value: 'ru' } });
  check(complete.completion.values.join() === 'rustic', 'completion');
  checks += 2;
  return progress.length;
}

for (const [name, [make, transport]] of Object.entries(official)) {
  const client = make();
  await client.connect(transport());
  const version = client instanceof Client1 ? '' : client.getNegotiatedProtocolVersion();
  if (version) check((version === modern) === /auto|pinned/.test(name), `${name} negotiated ${version}`);
  const notifications = await useOfficial(name, client);
  check(notifications > 0, `${name}: progress`);
  await client.close();
  console.log(`${name}: ok, ${notifications} progress notifications${version && `, protocol ${version}`}`);
}

for (const [name, transport] of Object.entries({
  'ai-sdk stdio': () => new StdioAI(stdio), 'ai-sdk http': () => ({ type: 'http', url: `${base}/mcp` }), 'ai-sdk sse': () => ({ type: 'sse', url: `${base}/sse` }),
})) {
  const client = await createMCPClient({ transport: transport() });
  const tools = await client.tools();
  check(Object.keys(tools).sort().join() === 'export_image,generate_image,get_image,list_images', 'four tools');
  const generated = await tools.generate_image.execute({ prompt: `an owl for ${name}`, size: '512x512' }, { messages: [], toolCallId: '1' });
  check(!generated.isError && generated.content.some((c) => c.type === 'image'), 'an image');
  const exported = await tools.export_image.execute({ id: generated.structuredContent.images[0].id, size: '300x200' }, { messages: [], toolCallId: '2' });
  check(!exported.isError && exported.content.some((c) => c.type === 'image'), 'an export');
  await client.close();
  console.log(`${name}: ok`);
}
console.log(`${checks} checks passed`);
process.exit(0);
