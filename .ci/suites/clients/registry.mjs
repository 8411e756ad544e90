// Checks server.json against the registry's schema, and its hashes against the
// bundles: registry.mjs SCHEMA SERVER FOLDER.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import Ajv from 'ajv';
import addFormats from 'ajv-formats';

const folder = process.argv[4];
const [schema, server] = process.argv.slice(2, 4).map((file) => JSON.parse(readFileSync(file, 'utf8')));
const ajv = new Ajv({ strict: false });
addFormats(ajv);
const validate = ajv.compile(schema);
assert.ok(validate(server), JSON.stringify(validate.errors));
for (const broken of [{ ...server, version: undefined }, { ...server, name: 'no slash' }, { ...server, packages: [{}] }]) assert.ok(!validate(JSON.parse(JSON.stringify(broken))), 'the schema rejects a broken entry');
for (const { identifier, fileSha256 } of server.packages) {
  assert.equal(createHash('sha256').update(readFileSync(join(folder, basename(identifier)))).digest('hex'), fileSha256, identifier);
}
console.log(`server.json: valid, ${server.packages.length} packages; 3 broken entries are rejected`);
