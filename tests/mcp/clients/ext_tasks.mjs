// One tool call of the official requester of MCP tasks, run by .venv-node. Standard input is JSON {url, token, tool,
// arguments, answer}; without `answer` there is no handler for questions. Prints the outcome, or the error.
import { withTasks } from "@modelcontextprotocol/ext-tasks/client";

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const plan = JSON.parse(Buffer.concat(chunks).toString());

let id = 0;
async function dispatch(request, options) {
  const params = request.params ?? {};
  const declared = params._meta?.["io.modelcontextprotocol/clientCapabilities"] ?? {};
  const _meta = {
    ...params._meta,
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": { name: "ext-tasks", version: "0.2.2" },
    "io.modelcontextprotocol/clientCapabilities": {
      ...declared,
      elicitation: {},
      extensions: { "io.modelcontextprotocol/tasks": {} },
    },
  };
  const response = await fetch(plan.url, {
    method: "POST",
    signal: options?.signal,
    headers: {
      Authorization: `Bearer ${plan.token}`,
      "Content-Type": "application/json",
      Accept: "application/json, text/event-stream",
      "MCP-Protocol-Version": "2026-07-28",
      "Mcp-Method": request.method,
      "Mcp-Name": params.taskId ?? params.name,
    },
    body: JSON.stringify({ jsonrpc: "2.0", id: (id += 1), method: request.method, params: { ...params, _meta } }),
  });
  const { result, error } = await response.json();
  return error === undefined ? { kind: "result", result } : { kind: "error", error };
}

const port = {
  endpointId: "longtask",
  taskCapabilities: { generation: "v2", capabilities: {} },
  invalidated: false,
  dispatch,
  onServerRequest: () => () => {},
  onNotification: () => () => {},
  onInvalidated: () => () => {},
};
const errors = [];
const session = withTasks(port, {
  onError: (error) => errors.push(String(error)),
  ...(plan.answer === undefined
    ? {}
    : { onInputRequest: async () => ({ action: "accept", content: { answer: plan.answer } }) }),
});
try {
  const execution = await session.callTool(plan.tool, plan.arguments);
  const { outcome } = await execution.settle();
  console.log(JSON.stringify({ kind: execution.kind, outcome, errors }));
} catch (error) {
  console.log(JSON.stringify({ error: String(error), errors }));
}
