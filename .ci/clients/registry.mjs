// Holds server.json against the registry's schema: registry.mjs SCHEMA SERVER.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import Ajv from 'ajv';
import addFormats from 'ajv-formats';

const [schema, server] = process.argv.slice(2).map((file) => JSON.parse(readFileSync(file, 'utf8')));
const ajv = new Ajv({ strict: false });
addFormats(ajv);
const validate = ajv.compile(schema);
assert.ok(validate(server), JSON.stringify(validate.errors));
for (const broken of [{ ...server, version: undefined }, { ...server, name: 'no slash' }, { ...server, packages: [{}] }]) assert.ok(!validate(JSON.parse(JSON.stringify(broken))), 'what is broken is noticed');
console.log(`server.json: valid, ${server.packages.length} packages, 3 broken ones noticed`);
