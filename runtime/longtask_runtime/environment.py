"""Reads settings from the environment; exits with a message for each invalid variable."""

import sys
from typing import TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsError

Settings = TypeVar("Settings", bound=BaseSettings)


def read(kind: type[Settings]) -> Settings:
    """The settings. Exits with code 2 after naming each missing or invalid variable on stderr."""
    try:
        return kind()
    except SettingsError as error:
        sys.stderr.write(f"{kind.__name__}: {error}: {error.__cause__}\n")
        sys.exit(2)
    except ValidationError as error:
        prefix = kind.model_config.get("env_prefix", "").rstrip("_")
        for each in error.errors():
            variable = "_".join([prefix, *(str(part).upper() for part in each["loc"])])
            sys.stderr.write(f"{variable}: {each['msg']}\n")
        sys.exit(2)
