"""`longtask connect`."""

import json
from collections.abc import Callable
from typing import Final

import click

from longtask_api import constants
from longtask_cli.options import Call, cluster_options
from longtask_cli.problem import Problem

PORT: Final = 8080
URL: Final = f"http://127.0.0.1:{PORT}/mcp"


def _claude_code() -> str:
    return f"""\
In the folder of the project; the token is read from the variable at each start of Claude Code:

    claude mcp add --scope project --transport http longtask {URL} \\
        --header 'Authorization: Bearer ${{MCP_TOKEN}}'

or in .mcp.json:

{_indented(json.dumps({"mcpServers": {"longtask": _http_server()}}, indent=2))}"""


def _strands() -> str:
    return f"""\
    import os
    from datetime import timedelta

    from strands import Agent
    from strands.tools.mcp import MCPClient

    tools = MCPClient(
        url="{URL}",
        headers={{"Authorization": f"Bearer {{os.environ['MCP_TOKEN']}}"}},
        tasks_config={{"poll_timeout": timedelta(days=2)}},
    )
    agent = Agent(tools=[tools])"""


def _fastmcp() -> str:
    return f"""\
    import asyncio
    import os

    from fastmcp import Client
    from fastmcp.client.auth import BearerAuth


    async def main() -> None:
        async with Client("{URL}", auth=BearerAuth(os.environ["MCP_TOKEN"])) as client:
            print(await client.call_tool("list_tasks", {{}}))


    asyncio.run(main())"""


def _inspector() -> str:
    return f"""\
    npx @modelcontextprotocol/inspector --cli --server-url {URL} --protocol-era modern \\
        --header "Authorization: Bearer $MCP_TOKEN" --method tools/list"""


CLIENTS: Final[dict[str, Callable[[], str]]] = {
    "claude-code": _claude_code,
    "strands": _strands,
    "fastmcp": _fastmcp,
    "inspector": _inspector,
}


@click.command("connect")
@click.argument("client", type=click.Choice(list(CLIENTS)))
@click.option(
    "--account",
    metavar="NAMESPACE/NAME",
    default="research/assistant",
    help="Service account of the agent; research/assistant is an example.",
)
@click.option("--system-namespace", default="longtask-system", metavar="NAME", help="Namespace of the release.")
@click.option("--release", default="longtask", metavar="NAME", help="Name of the release.")
@cluster_options
def connect_(call: Call, client: str, account: str, system_namespace: str, release: str) -> None:
    """Print how to connect an agent's client: the way to the server, a token, and the configuration.

    Nothing is asked of the cluster, and nothing is changed.
    """
    namespace, _, name = account.partition("/")
    if not (namespace and name):
        raise Problem(f"--account {account!r}: write NAMESPACE/NAME of a service account")
    chosen = call.chosen
    flags = "".join(
        f" {option} {value}"
        for option, value in (("--kubeconfig", chosen.kubeconfig), ("--context", chosen.context))
        if value is not None
    )
    service = f"{fullname(release)}-mcp"
    tasks = chosen.namespace or "longtask-tasks"
    click.echo(f"""\
# 1. A way to the MCP server, from this machine. Leave it running; in the cluster the URL is
#    http://{service}.{system_namespace}.svc/mcp
kubectl{flags} port-forward -n {system_namespace} service/{service} {PORT}:80

# 2. Once: the service account that is the agent's identity, and its right to start tasks.
kubectl{flags} create serviceaccount {name} -n {namespace}
kubectl{flags} create rolebinding {namespace}-{name} -n {tasks} --role=longtask-user \\
    --serviceaccount={namespace}:{name}

# 3. A token of it, for at most as long as the cluster allows. It is a password: keep it out of files and logs.
export MCP_TOKEN="$(kubectl{flags} create token {name} -n {namespace} \\
    --audience {constants.AUDIENCE_MCP} --duration 8h)"

# 4. {client}
{CLIENTS[client]()}""")


def fullname(release: str) -> str:
    """Prefix of the names of a release's objects, as the chart makes it."""
    return release if "longtask" in release else f"{release}-longtask"


def _http_server() -> dict[str, object]:
    return {"type": "http", "url": URL, "headers": {"Authorization": "Bearer ${MCP_TOKEN}"}}


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
