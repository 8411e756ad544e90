// Runs in the browser, on the page of a host of MCP Apps: the official host side, with
// the official client, which asks the program. viewer.mjs bundles it and calls show.
import { AppBridge, PostMessageTransport, RESOURCE_MIME_TYPE, getToolUiResourceUri } from '@modelcontextprotocol/ext-apps/app-bridge';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

const info = { name: 'host', version: '1' };
const all = {
  openLinks: {}, downloadFile: {}, serverTools: {}, serverResources: {}, logging: {}, updateModelContext: { text: {} }, message: { text: {} },
};
let bridge, client;

// log has what the viewer asked of the host.
window.log = { calls: [], reads: [], links: [], downloads: [], messages: [], contexts: [], modes: [], errors: [] };

// show connects in an era of the protocol, calls a tool, and shows the result in a frame.
window.show = async ({ url, mode, tool, args, width = 754, context = {}, capabilities = all }) => {
  await client?.close();
  for (const list of Object.values(window.log)) list.length = 0;
  client = new Client(info, { versionNegotiation: { mode }, capabilities: { extensions: { 'io.modelcontextprotocol/ui': { mimeTypes: [RESOURCE_MIME_TYPE] } } } });
  await client.connect(new StreamableHTTPClientTransport(new URL(url)));
  const { tools } = await client.listTools();
  const uris = tools.map((t) => getToolUiResourceUri(t));
  const { contents: [page] } = await client.readResource({ uri: uris[0] });

  document.querySelector('iframe')?.remove();
  const frame = document.createElement('iframe');
  frame.sandbox = 'allow-scripts allow-forms';
  frame.width = width;
  frame.height = 200;
  document.body.append(frame);
  const csp = page._meta.ui.csp;
  const domains = (list, otherwise) => list?.join(' ') || otherwise;
  const policy = `default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src ${domains(csp.resourceDomains, "'none'")}; connect-src ${domains(csp.connectDomains, "'none'")}`;

  bridge = new AppBridge(null, info, capabilities, {
    hostContext: { theme: 'light', locale: 'en-US', timeZone: 'UTC', displayMode: 'inline', availableDisplayModes: ['inline', 'fullscreen'], ...context },
  });
  bridge.onerror = (error) => window.log.errors.push(String(error));
  bridge.onsizechange = ({ height }) => { if (height) frame.height = height; };
  const record = (list, result, ask) => async (params) => {
    window.log[list].push(params);
    return ask ? ask(params) : typeof result === 'function' ? result(params) : result;
  };
  if (capabilities.serverTools) bridge.oncalltool = record('calls', 0, (p) => client.callTool(p));
  if (capabilities.serverResources) bridge.onreadresource = record('reads', 0, (p) => client.readResource(p));
  bridge.onopenlink = record('links', {});
  bridge.ondownloadfile = record('downloads', {});
  bridge.onmessage = record('messages', {});
  bridge.onupdatemodelcontext = record('contexts', {});
  bridge.onrequestdisplaymode = record('modes', ({ mode: wanted }) => ({ mode: wanted }));
  const ready = new Promise((done) => { bridge.oninitialized = done; });
  await bridge.connect(new PostMessageTransport(frame.contentWindow, frame.contentWindow));
  frame.srcdoc = page.text.replace(/<head[^>]*>/, (head) => `${head}<meta http-equiv="Content-Security-Policy" content="${policy}">`);
  await ready;
  await bridge.sendToolInput({ arguments: args });
  const result = await client.callTool({ name: tool, arguments: args });
  await bridge.sendToolResult(result);
  return {
    version: client.getNegotiatedProtocolVersion(), extensions: Object.keys(client.getServerCapabilities().extensions ?? {}),
    uris, mimeType: page.mimeType, app: bridge.getAppVersion(), modes: bridge.getAppCapabilities().availableDisplayModes, error: !!result.isError,
    ids: result.structuredContent?.images?.map((i) => i.id),
  };
};
window.change = (context) => bridge.setHostContext(context);
window.tearDown = () => bridge.teardownResource({});
