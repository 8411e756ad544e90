// A small server for images on the TypeScript SDK and sharp, as a user would write it: it
// requests a picture, downloads it, makes a preview of it and saves it. It reads the
// program's environment variables for the API, the folders and the transport.
import { randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const require = createRequire(`${process.env.ZAI_BENCH_SHARP}/`);
const { McpServer, ResourceTemplate } = require('@modelcontextprotocol/sdk/server/mcp.js');
const { StdioServerTransport } = require('@modelcontextprotocol/sdk/server/stdio.js');
const { StreamableHTTPServerTransport } = require('@modelcontextprotocol/sdk/server/streamableHttp.js');
const sharp = require('sharp');
const { z } = require('zod');

const { ZAI_API_KEY: key, ZAI_BASE_URL: api, ZAI_IMAGE_STORE: folder, ZAI_IMAGE_PROJECT: project } = process.env;
const template = 'zai-image://images/{id}';
const uriOf = (id) => template.replace('{id}', id);
const images = new Map(); // path and MIME type by id

async function request(prompt) {
  const answer = await fetch(`${api}/images/generations`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'cogview-4-250304', prompt, size: '1024x1024' }),
  });
  if (!answer.ok) throw new Error(`${answer.status}`);
  const { data } = await answer.json();
  const download = await fetch(data[0].url);
  if (!download.ok) throw new Error(`${download.status}`);
  return Buffer.from(await download.arrayBuffer());
}

async function generate({ prompt }) {
  const file = await request(prompt);
  const image = sharp(file);
  const { format, width, height } = await image.metadata();
  const preview = await image.resize(512, 512, { fit: 'inside' }).jpeg({ quality: 80 }).toBuffer();
  const id = randomUUID();
  const uri = uriOf(id), path = join(folder, `${id}.${format}`), type = `image/${format}`;
  await writeFile(path, file);
  images.set(id, { path, type });
  const described = { id, status: 'saved', uri, path, mime_type: type, width, height, bytes: file.length, prompt };
  return {
    content: [
      { type: 'text', text: `Saved ${path}` },
      { type: 'image', data: preview.toString('base64'), mimeType: 'image/jpeg' },
      { type: 'resource_link', uri, name: prompt, mimeType: type },
    ],
    structuredContent: { images: [described] },
  };
}

async function exportImage({ id, size, save_as: name }) {
  const [width, height] = size.split('x').map(Number);
  const resized = sharp(images.get(id).path).resize(width, height, { fit: 'cover' });
  const file = name.endsWith('.webp') ? resized.webp({ quality: 90 }) : resized.jpeg({ quality: 90 });
  await file.toFile(join(project, name));
  return { content: [{ type: 'text', text: `Saved ${name}` }], structuredContent: { images: [{ id, status: 'saved', saved_as: name }] } };
}

async function read(uri, { id }) {
  const { path, type } = images.get(id);
  const blob = (await readFile(path)).toString('base64');
  return { contents: [{ uri: uri.href, mimeType: type, blob }] };
}

function newServer() {
  const server = new McpServer({ name: 'sharp', version: '1' });
  server.registerTool('generate_image', {
    description: 'Make a picture from text with Z.AI. Returns a preview and a resource of the original.',
    inputSchema: { prompt: z.string() },
  }, generate);
  server.registerTool('export_image', {
    description: 'Make a file of exact size and format from a picture.',
    inputSchema: { id: z.string(), size: z.string(), save_as: z.string() },
  }, exportImage);
  const list = () => ({ resources: [...images.keys()].map((id) => ({ uri: uriOf(id), name: id })) });
  server.registerResource('image', new ResourceTemplate(template, { list }), {}, read);
  return server;
}

// serve answers requests over Streamable HTTP, with a server for each session.
function serve() {
  const sessions = new Map();
  const open = async () => {
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      enableJsonResponse: true,
      onsessioninitialized: (id) => sessions.set(id, transport),
    });
    await newServer().connect(transport);
    return transport;
  };
  // By default Node.js closes connections that are idle for five seconds, which resets those
  // that the client uses again at that moment.
  const listener = createServer({ keepAliveTimeout: 600_000 }, async (request, response) => {
    const transport = sessions.get(request.headers['mcp-session-id']) ?? (await open());
    await transport.handleRequest(request, response);
  });
  listener.listen(0, '127.0.0.1', () => {
    console.error(JSON.stringify({ msg: 'listening', address: `127.0.0.1:${listener.address().port}` }));
  });
}

if (process.env.ZAI_IMAGE_TRANSPORT === 'http') {
  serve();
} else {
  await newServer().connect(new StdioServerTransport());
}
