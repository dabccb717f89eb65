"""Settings from the environment, or the end of the process with a sentence for each that is wrong."""

import sys
from typing import TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings

Settings = TypeVar("Settings", bound=BaseSettings)


def read(kind: type[Settings]) -> Settings:
    """The settings. Exits with code 2 after naming each variable that is missing or does not fit."""
    try:
        return kind()
    except ValidationError as error:
        prefix = kind.model_config.get("env_prefix", "").rstrip("_")
        for each in error.errors():
            variable = "_".join([prefix, *(str(part).upper() for part in each["loc"])])
            sys.stderr.write(f"{variable}: {each['msg']}\n")
        sys.exit(2)
