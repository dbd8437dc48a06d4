"""The built-in desk as a destination: the Open311 client on our own base address, over HTTP as any city's would be."""

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType

from assistant.db.models import now
from assistant.dispatch.destinations.open311 import Open311Destination

DESK_PATH = "/desk/open311/v2"


def desk_destination(
    base_url: str,
    *,
    api_key: str,
    element_names: Mapping[str, str] = MappingProxyType({}),
    clock: Callable[[], datetime] = now,
) -> Open311Destination:
    """`base_url`: where this application listens, without a path; `api_key`: one the desk accepts."""
    address = f"{base_url.rstrip('/')}{DESK_PATH}"
    # Our own address is never behind the proxy that the environment may name.
    return Open311Destination(address, api_key=api_key, element_names=element_names, trust_env=False, clock=clock)
