// A client of the TypeScript SDK, run by .venv-node: its last argument is 1 or 2, whose handshake is that of 2025-11-25 in both. It
// speaks as tests/mcp/frameworks_client.py does.
import { createInterface } from "node:readline";

async function sdk() {
  if (process.argv.at(-1) === "2") return await import("@modelcontextprotocol/client");
  const { Client } = await import("@modelcontextprotocol/sdk/client/index.js");
  const { StreamableHTTPClientTransport } = await import("@modelcontextprotocol/sdk/client/streamableHttp.js");
  return { Client, StreamableHTTPClientTransport };
}

const { Client, StreamableHTTPClientTransport } = await sdk();
const headers = { Authorization: `Bearer ${process.env.MCP_TOKEN}` };
const client = new Client({ name: "tests", version: "1" });
await client.connect(new StreamableHTTPClientTransport(new URL(process.env.MCP_URL), { requestInit: { headers } }));
const { tools } = await client.listTools();
console.log(JSON.stringify(tools.map((tool) => tool.name)));
for await (const line of createInterface({ input: process.stdin })) {
  const [name, given] = JSON.parse(line);
  console.log(JSON.stringify(JSON.stringify(await client.callTool({ name, arguments: given }))));
}
