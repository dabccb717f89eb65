"""Records anew what the programs beside it write when they fail: `make record-failures`.

Each runs as in a container, stdout and stderr into one log. A language that is not installed is left out.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
PROGRAMS, RECORDED = HERE / "programs", HERE / "recorded"

COMMANDS = {
    ".py": "python3 {program}",
    ".go": "go run {program}",
    ".java": "java {program}",
    ".rs": "rustc -o {built} {program} && {built}",
    ".js": "node {program}",
    ".cpp": "g++ -g $(sed -n 's|^// ||p' {program}) -o {built} {program} && {built}",
    ".sh": "bash {program}",
    ".pl": "perl {program}",
    ".mk": "make -f {program}",
}
"""By the ending of the program's name; `built` is a file for what a compiler makes."""


def main() -> None:
    """Write what each program says."""
    for program in sorted(PROGRAMS.iterdir()):
        command = COMMANDS[program.suffix]
        if shutil.which(command.split()[0]) is None:
            print(f"not installed: {command.split()[0]}")
            continue
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(program, folder)
            line = command.format(program=program.name, built="./built")
            run = subprocess.run(
                ["bash", "-c", f"{{ {line}; }} 2>&1 | cat"],
                cwd=folder,
                stdout=subprocess.PIPE,
                check=True,
                timeout=120,
                env={
                    **os.environ,
                    "HOME": os.environ.get("HOME", "/root"),
                    "LC_ALL": "C.UTF-8",
                    "PYTHONUNBUFFERED": "",
                },
            )
            said = run.stdout.decode().replace(f"{folder}/", "/app/")
        (RECORDED / f"{program.name}.txt").write_text(said)


if __name__ == "__main__":
    main()
