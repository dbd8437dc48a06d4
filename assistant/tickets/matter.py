"""Which matter of the responsibility matrix a request is about, before it is a ticket."""

from collections.abc import Mapping
from typing import Any

from assistant.city import City
from assistant.tickets.routing import Router

__all__ = ["Matters"]

_LIKELY = 0.5


class Matters:
    """Names matters of one city."""

    def __init__(self, city: City) -> None:
        self._city, self._router = city, Router(city)

    def named(
        self, category1: str, category2: str | None, text: str, confidences: Mapping[str, Any] | None = None
    ) -> str | None:
        """The most likely matter, where a word of it was said; None where nothing is likely.

        To ask a question needs less certainty than to choose a unit.
        """
        best = self._router.route(category1, category2, text, self._city.resolve_place(""), confidences)
        matter, sure = best.routing.candidates[0].matter, best.routing.candidates[0].confidence
        if sure < _LIKELY:
            return None
        words = next((rule.words for rule in self._city.matrix.rules if rule.matter == matter), ())
        return matter if any(word in text for word in words) else None
