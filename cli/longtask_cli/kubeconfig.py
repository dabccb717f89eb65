"""The cluster, the user and the namespace that a kubeconfig names."""

import logging
import os
import re
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config.kube_config import ConfigNode, KubeConfigLoader, KubeConfigMerger

from longtask_cli.problem import Problem

USER_AGENT = "longtask-cli"
"""Also the field manager of what the command line writes."""
DEFAULT_NAMESPACE = "longtask-tasks"
"""The task namespace that the chart makes by default."""
NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
IN_A_POD = "the pod's service account"


@dataclass(frozen=True)
class Chosen:
    """What the options of a command say."""

    kubeconfig: str | None = None
    context: str | None = None
    namespace: str | None = None


class Connection:
    """A client for the chosen cluster. Its credentials are read again when they may have changed."""

    def __init__(self, chosen: Chosen, client: ApiClient, context: str, namespace: str, source: str) -> None:
        self.client = client
        self.context = context
        self.namespace = namespace
        self.namespace_source = source
        """Where the namespace comes from, in words."""
        self._chosen = chosen

    @property
    def server(self) -> str:
        """URL of the API server."""
        return str(self.client.configuration.host)

    async def renew(self) -> None:
        """Read the credentials again: a token may have expired that a file or a plugin has renewed. Raises Problem."""
        fresh = Configuration()
        if self.context == IN_A_POD:
            config.load_incluster_config(client_configuration=fresh)
        else:
            await _load(_read(self._chosen), self._chosen, fresh)
        self.client.configuration.api_key = fresh.api_key


async def connect(chosen: Chosen) -> Connection:
    """A connection to the cluster that the options, KUBECONFIG or ~/.kube/config name; in a pod without any, to its
    own. Raises Problem.
    """
    configuration = Configuration()
    configuration.client_session_kwargs = {"trust_env": False}  # with it, aiohttp would read ~/.netrc
    if _is_in_a_pod(chosen):
        config.load_incluster_config(client_configuration=configuration)
        return _connection(chosen, configuration, IN_A_POD, _own_namespace(), {})
    merged = _read(chosen)
    loader = await _load(merged, chosen, configuration)
    context = loader.current_context
    if configuration.proxy is None:
        configuration.proxy = _proxy(configuration.host)
    return _connection(chosen, configuration, context["name"], context["context"].get("namespace"), _user(loader))


def contexts(chosen: Chosen) -> list[str]:
    """The names of the kubeconfig's contexts. Raises Problem."""
    merged = _read(chosen)
    return sorted(str(each["name"]) for each in _nodes(merged, "contexts"))


def _connection(
    chosen: Chosen, configuration: Configuration, context: str, own: str | None, user: Mapping[str, Any]
) -> Connection:
    named = (
        (chosen.namespace, "--namespace"),
        (os.environ.get("LONGTASK_NAMESPACE"), "LONGTASK_NAMESPACE"),
        (own, f"context {context}"),
    )
    default = DEFAULT_NAMESPACE, "the default of the chart"
    namespace, source = next(((name, source) for name, source in named if name), default)
    if not NAMESPACE.fullmatch(namespace):
        raise Problem(f"{namespace!r} (from {source}) is no name of a namespace: it has a-z, 0-9 and -")
    try:
        client = ApiClient(configuration)
    except (OSError, ValueError) as error:  # a certificate that is none
        raise Problem(f"context {context}: its certificates cannot be used: {_said(error)}") from error
    client.user_agent = USER_AGENT
    if user.get("as"):
        client.default_headers["Impersonate-User"] = str(user["as"])
    return Connection(chosen, client, context, namespace, source)


def _is_in_a_pod(chosen: Chosen) -> bool:
    named = chosen.kubeconfig or chosen.context or os.environ.get("KUBECONFIG")
    return not named and "KUBERNETES_SERVICE_HOST" in os.environ and not Path("~/.kube/config").expanduser().exists()


def _own_namespace() -> str | None:
    return OWN_NAMESPACE.read_text().strip() if OWN_NAMESPACE.exists() else None


def _paths(chosen: Chosen) -> str:
    return chosen.kubeconfig or os.environ.get("KUBECONFIG") or str(Path("~/.kube/config").expanduser())


def _read(chosen: Chosen) -> Any:
    """The merged kubeconfig. Raises Problem."""
    paths = _paths(chosen)
    try:
        with _Silenced():
            merged = KubeConfigMerger(paths).config
            if merged is not None and not isinstance(merged.value, dict):
                raise ValueError("it is not a YAML object")
    except Exception as error:  # of any kind: the library does not look before it uses what it has read
        raise Problem(f"kubeconfig {paths} cannot be read: {_said(error)}. Correct it, or name another") from error
    if merged is None:
        raise Problem(
            f"there is no kubeconfig at {paths}. Name one with --kubeconfig or KUBECONFIG; your cluster's own tool "
            "writes it, or its administrator gives it to you"
        )
    return merged


async def _load(merged: Any, chosen: Chosen, configuration: Configuration) -> KubeConfigLoader:
    """Set host and credentials of the configuration. Raises Problem."""
    paths = _paths(chosen)
    known = [str(each["name"]) for each in _nodes(merged, "contexts")]
    name = chosen.context or merged.safe_get("current-context")
    listed = f"It has {', '.join(sorted(known))}" if known else "It has none"
    if not name:
        raise Problem(f"kubeconfig {paths} has no current context. {listed}: choose one with --context")
    if name not in known:
        raise Problem(f"kubeconfig {paths} has no context {str(name)!r}. {listed}")
    try:
        with _Silenced() as silenced:
            loader = KubeConfigLoader(config_dict=merged, active_context=name, config_base_path=None)
            loader._user = loader._user or ConfigNode("user", {})  # else the library fails where there is none
            await loader.load_and_set(configuration)
    except Exception as error:  # as above
        raise Problem(f"context {name} of kubeconfig {paths} cannot be used: {_said(error)}") from error
    if silenced.errors and not configuration.api_key and not configuration.cert_file:
        raise Problem(
            f"context {name} gets no credentials: {'; '.join(silenced.errors)}. Run the login of your cluster, and try "
            "`kubectl auth whoami` with the same context"
        )
    return loader


def _nodes(merged: Any, kind: str) -> list[Any]:
    return list(merged.value.get(kind) or [])


def _user(loader: KubeConfigLoader) -> Mapping[str, Any]:
    user = loader._user.value
    return user if isinstance(user, Mapping) else {}


def _proxy(host: str) -> str | None:
    """The proxy that HTTPS_PROXY, HTTP_PROXY and NO_PROXY say, as for kubectl."""
    url = urlsplit(host)
    if not url.hostname or urllib.request.proxy_bypass(url.hostname):
        return None
    return urllib.request.getproxies().get(url.scheme)


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__


class _Silenced(logging.Handler):
    """Keeps what the library logs of a plugin that failed, instead of printing it."""

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[str] = []
        self._log = logging.getLogger("kubernetes.aio.config.kube_config")

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.ERROR:
            self.errors.append(record.getMessage())

    def __enter__(self) -> "_Silenced":
        self._log.addHandler(self)
        self._propagated, self._log.propagate = self._log.propagate, False
        return self

    def __exit__(self, *_: object) -> None:
        self._log.removeHandler(self)
        self._log.propagate = self._propagated
