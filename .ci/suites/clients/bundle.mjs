// Starts the program of an unpacked bundle as a desktop host does when the user
// fills in only the key and leaves all other fields blank: bundle.mjs FOLDER.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, readdirSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { getMcpConfigForManifest, hasRequiredConfigMissing } from '@anthropic-ai/mcpb';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';

const folder = resolve(process.argv[2]);
const manifest = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8'));
const silent = { log() {}, warn() {}, error() {} };
const configFor = (userConfig) => getMcpConfigForManifest({
  manifest, extensionPath: folder, systemDirs: { HOME: homedir() }, userConfig, pathSeparator: '/', logger: silent,
});
assert.ok(hasRequiredConfigMissing({ manifest, userConfig: {} }), 'a host does not start the bundle without a key');

for (const blank of [{}, { folder: '', project: '' }, { folder: null, project: null }]) {
  const { command, args, env } = await configFor({ api_key: 'a-key', ...blank });
  const cwd = mkdtempSync(join(tmpdir(), 'bundle-'));
  const client = new Client({ name: 'claude-ai', version: '1' });
  await client.connect(new StdioClientTransport({ command, args, env: { PATH: process.env.PATH, HOME: cwd, ...env }, cwd, stderr: 'ignore' }));
  assert.deepEqual((await client.listTools()).tools.map((tool) => tool.name).sort(), manifest.tools.map((tool) => tool.name).sort());
  assert.ok((await client.listResources()).resources.length > 0);
  await client.close();
  assert.deepEqual(readdirSync(cwd).filter((name) => name.includes('$') || name === 'null'), [], 'no folder is named after a placeholder');
}
console.log('bundle: starts with only the key');
