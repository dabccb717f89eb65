"""`python -m tests.cluster COMMAND`, from the root of the repository."""

import argparse
import sys
from pathlib import Path

import tests.cluster as api
from tests.cluster import base_image, images, kwok, packages, programs, system_images
from tests.cluster.errors import ClusterError
from tests.cluster.lock import exclusively
from tests.cluster.provider import choose
from tests.cluster.steps import say


def main() -> int:
    arguments = _parser().parse_args()
    try:
        code: int | None = arguments.command(arguments)
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; `down` removes what is half done", file=sys.stderr)
        return 130
    return code or 0


def up(arguments: argparse.Namespace) -> None:
    cluster = api.ensure()
    if arguments.kwok:
        start_kwok(arguments)
    print(cluster.exports())


def down(_: argparse.Namespace) -> None:
    provider = choose()
    with exclusively():
        kwok.stop(provider.describe())
        provider.down()


def status(_: argparse.Namespace) -> int:
    provider = choose()
    cluster = provider.describe()
    if not provider.answers():
        say(f"{cluster.kind}: down")
        return 1
    say(f"{cluster.kind}: up")
    print(cluster.kubectl("get", "nodes,pods", "--all-namespaces"), end="")
    return 0


def env(_: argparse.Namespace) -> None:
    print(choose().describe().exports())


def build(arguments: argparse.Namespace) -> None:
    with exclusively():
        if choose().describe().kind == "local":
            packages.install()
            programs.build(programs.CLUSTER)
            system_images.ensure()
            base_image.ensure()
        else:
            programs.build(programs.CLIENTS)
        if arguments.kwok:
            programs.build_kwok()


def load(arguments: argparse.Namespace) -> None:
    api.load_image(arguments.archive)


def build_image(arguments: argparse.Namespace) -> None:
    with exclusively():
        archive = images.build(
            context=arguments.context,
            dockerfile=arguments.file or arguments.context / "Dockerfile",
            tag=arguments.tag,
            build_arguments=arguments.build_arg,
        )
        provider = choose()
        if provider.describe().kind != "existing" and provider.answers():
            provider.load_image(archive)
    print(archive)


def start_kwok(_: argparse.Namespace) -> None:
    with exclusively():
        kwok.start(choose().describe())


def stop_kwok(_: argparse.Namespace) -> None:
    with exclusively():
        kwok.stop(choose().describe())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("up", help="bring the cluster up; does nothing if it is")
    command.add_argument("--kwok", action="store_true", help="with ten fake nodes for load")
    command.set_defaults(command=up)

    command = commands.add_parser("kwok", help="add ten fake nodes to the cluster that is up")
    command.set_defaults(command=start_kwok)

    command = commands.add_parser("kwok-stop", help="remove the fake nodes again")
    command.set_defaults(command=stop_kwok)

    command = commands.add_parser("down", help="remove the cluster and prove that nothing is left")
    command.set_defaults(command=down)

    command = commands.add_parser("status", help="exit code 0 if the cluster is up; its pods")
    command.set_defaults(command=status)

    command = commands.add_parser("env", help="print exports for a shell's eval")
    command.set_defaults(command=env)

    command = commands.add_parser("build", help="build all that `up` needs, start nothing")
    command.add_argument("--kwok", action="store_true", help="kwok too")
    command.set_defaults(command=build)

    command = commands.add_parser("load", help="load an image archive into the cluster")
    command.add_argument("archive", type=Path)
    command.set_defaults(command=load)

    command = commands.add_parser("image-build", help="build an image; load it if a cluster is up")
    command.add_argument("context", type=Path)
    command.add_argument("--file", type=Path, help="the Dockerfile, by default the context's")
    command.add_argument("--tag", required=True, help="such as localhost/longtask:dev")
    command.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    command.set_defaults(command=build_image)
    return parser


if __name__ == "__main__":
    sys.exit(main())
