"""The destinations of this installation: those built in, and those of the file that MINSHENG_DESTINATIONS names.

The file lies outside the city folder, because it belongs to an installation and not to a city. It maps a name to

    kind: open311 or webhook
    url: https://…
    api_key: {file: PATH} or {env: NAME}       # open311
    jurisdiction: …                            # open311
    format: json or xml                        # open311
    secret: {file: PATH} or {env: NAME}        # webhook: signs both ways; open311: lets the city report by webhook
    status_url: https://…                      # webhook: where it can be asked
    timeout_s: 10

Secrets never stand in the file itself. A relative PATH starts at the file's folder.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from assistant.city_files import Source, parse, read_yaml
from assistant.dispatch.destinations.base import Destination
from assistant.dispatch.destinations.log import LogDestination
from assistant.dispatch.destinations.open311 import Open311Destination
from assistant.dispatch.destinations.webhook import WebhookDestination
from assistant.dispatch.signature import MIN_SECRET_CHARS
from assistant.errors import ConfigError

_NAME = r"^[a-z][a-z0-9_-]{0,39}$"
_Url = Annotated[str, Field(pattern=r"^https?://[^\s]+$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SecretReference(_Model):
    """Where a secret is: in a file of its own, or in a variable of the environment."""

    file: Path | None = None
    env: str | None = None

    @model_validator(mode="after")
    def _one(self) -> "SecretReference":
        if (self.file is None) == (self.env is None):
            raise ValueError("write exactly one of file and env")
        return self


class Open311Definition(_Model):
    kind: Literal["open311"]
    url: _Url
    api_key: SecretReference | None = None
    jurisdiction: str = ""
    format: Literal["json", "xml"] = "json"
    secret: SecretReference | None = None
    timeout_s: float = Field(default=10.0, gt=0, le=40)


class WebhookDefinition(_Model):
    kind: Literal["webhook"]
    url: _Url
    secret: SecretReference
    status_url: _Url | Literal[""] = ""
    timeout_s: float = Field(default=10.0, gt=0, le=40)


_Definition = Annotated[Open311Definition | WebhookDefinition, Field(discriminator="kind")]


@dataclass(slots=True)
class Destinations(Mapping[str, Destination]):
    """Destinations by name. `asked`: those that can be asked for states. `secrets`: of those that report by webhook."""

    by_name: dict[str, Destination]
    asked: frozenset[str] = frozenset()
    secrets: dict[str, str] = field(default_factory=dict, repr=False)

    def __getitem__(self, name: str) -> Destination:
        return self.by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.by_name)

    def __len__(self) -> int:
        return len(self.by_name)

    @property
    def pollable(self) -> dict[str, Destination]:
        return {name: each for name, each in self.by_name.items() if name in self.asked}

    async def close(self) -> None:
        for destination in self.by_name.values():
            await destination.close()


def build(
    desk: Destination,
    path: Path | None,
    *,
    open311: Destination | None = None,
    element_names: Mapping[str, str] = MappingProxyType({}),
    environment: Mapping[str, str] = os.environ,
) -> Destinations:
    """The built-in destinations and those of the file at `path` (None: no file); `open311`: the one of the settings.

    `element_names`: what people call the elements of categories, by code.
    Raises ConfigError naming file, line and remedy.
    """
    found = Destinations({"desk": desk, "log": LogDestination()}, frozenset({"desk"}))
    if open311 is not None:
        found.by_name["open311"], found.asked = open311, frozenset({"desk", "open311"})
    if path is None:
        return found
    if not path.is_file():
        raise ConfigError(f"{path}: MINSHENG_DESTINATIONS names this file, and there is none: correct the path")
    source = read_yaml(path)
    definitions = parse(source, dict[Annotated[str, Field(pattern=_NAME)], _Definition])
    for name, definition in definitions.items():
        if name in found:
            source.fail(f"{name} is built in, or defined by MINSHENG_OPEN311_URL: choose another name", name)
        secret = _secret(source, definition.secret, environment, name, "secret")
        if definition.secret is not None and len(secret) < MIN_SECRET_CHARS:
            source.fail(
                f"the secret has fewer than {MIN_SECRET_CHARS} characters: use a longer random one", name, "secret"
            )
        if isinstance(definition, WebhookDefinition):
            found.by_name[name] = WebhookDestination(
                definition.url,
                secret=secret,
                status_url=definition.status_url,
                timeout_s=definition.timeout_s,
                element_names=element_names,
            )
        else:
            found.by_name[name] = Open311Destination(
                definition.url,
                api_key=_secret(source, definition.api_key, environment, name, "api_key"),
                jurisdiction_id=definition.jurisdiction,
                answer_format=definition.format,
                timeout_s=definition.timeout_s,
                element_names=element_names,
            )
        if isinstance(definition, Open311Definition) or definition.status_url:
            found.asked |= {name}
        if secret:
            found.secrets[name] = secret
    return found


def _secret(
    source: Source, reference: SecretReference | None, environment: Mapping[str, str], name: str, field_name: str
) -> str:
    if reference is None:
        return ""
    if reference.env is not None:
        value = environment.get(reference.env, "").strip()
        if not value:
            source.fail(f"the environment has no {reference.env}: set it", name, field_name)
        return value
    assert reference.file is not None
    path = source.path.parent / reference.file
    try:
        value = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        source.fail(f"{path} cannot be read: put the secret there, readable for this program", name, field_name)
    if not value:
        source.fail(f"{path} is empty: put the secret there", name, field_name)
    return value
