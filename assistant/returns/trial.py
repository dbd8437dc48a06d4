"""A change tried out on the city's frozen test set and on the tickets that were returned, before and after."""

import copy
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from assistant.city import City
from assistant.city_models import Rule
from assistant.errors import ConfigError
from assistant.returns.cases import ReturnCase, place_of
from assistant.tickets.routing import Route, Router

__all__ = ["FILE", "Figures", "Routing", "TestCase", "Trial", "read_cases", "try_out", "with_changes"]

FILE: Final = "routing_cases.jsonl"
Routing = Callable[[City], Router]


class TestCase(BaseModel):
    """A request with the unit that must lead, written from the matrix. `confidences`: as a ticket has them."""

    __test__ = False
    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    text: str
    category1: str
    category2: str | None = None
    place: str | None = None
    lead: str
    confidences: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts: the right unit is the first candidate, is one of three; dispatched without a person, right of those."""

    cases: int = 0
    top1: int = 0
    top3: int = 0
    automatic: int = 0
    right: int = 0

    def is_worse_than(self, other: "Figures") -> bool:
        """Whether a share has fallen: of right first or three candidates, of automatic ones, of right among those."""
        fewer = self.top1 < other.top1 or self.top3 < other.top3 or self.automatic < other.automatic
        return fewer or self.right * other.automatic < other.right * self.automatic


@dataclass(frozen=True, slots=True)
class Trial:
    """`better`, `worse`: ids of test cases. `returned`: per returned ticket where it goes before and after.

    `revision`: of the proposals in use when it was tried.
    """

    before: Figures
    after: Figures
    better: tuple[str, ...]
    worse: tuple[str, ...]
    returned: tuple[dict[str, str], ...] = field(default=())
    revision: int = 0

    def as_dict(self) -> dict[str, Any]:
        is_worse = self.after.is_worse_than(self.before) or len(self.worse) > len(self.better)
        lists = {name: list(getattr(self, name)) for name in ("better", "worse", "returned")}
        return {**asdict(self), **lists, "is_worse": is_worse}


def read_cases(path: Path) -> list[TestCase]:
    """The frozen test set, one JSON object a line; empty where the city has none. Raises ConfigError with the line."""
    if not path.is_file():
        return []
    cases: list[TestCase] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            cases.append(TestCase.model_validate(json.loads(line)))
        except (json.JSONDecodeError, ValidationError) as error:
            what = error.errors()[0]["loc"] if isinstance(error, ValidationError) else "the JSON"
            raise ConfigError(f"{path}:{number}: {what} is wrong: correct this line of the test set") from error
    return cases


def with_changes(city: City, learn: Callable[[Rule], Rule], *, on_top: bool = False) -> City:
    """A city of its own for a trial; `on_top` of what is in use, else in place of it."""
    tried = copy.copy(city)
    if on_top:
        tried.matrix = city.matrix.model_copy(update={"rules": tuple(map(learn, city.matrix.rules))})
        tried.revision += 1
    else:
        tried.set_learned(learn)
    return tried


def try_out(
    before: City,
    after: City,
    cases: Sequence[TestCase],
    returned: Iterable[ReturnCase],
    revision: int = 0,
    routing: Routing = Router,
) -> Trial:
    """Route everything by both cities; `routing` makes the router of a city."""
    former, latter = routing(before), routing(after)
    known = [case for case in cases if before.category(case.category1) is not None]
    was = [_route(before, former, case) for case in known]
    now = [_route(after, latter, case) for case in known]
    grades = [(case.id, _grade(a, case.lead), _grade(b, case.lead)) for case, a, b in zip(known, was, now, strict=True)]
    leads = [case.lead for case in known]
    return Trial(
        _figures(was, leads),
        _figures(now, leads),
        tuple(name for name, first, second in grades if second > first),
        tuple(name for name, first, second in grades if second < first),
        tuple(_returned(before, former, latter, case) for case in returned),
        revision,
    )


def _route(city: City, router: Router, case: TestCase) -> Route:
    place = place_of(city, case.place, case.text)
    return router.route(case.category1, case.category2, case.text, place, case.confidences)


def _units(route: Route) -> list[str]:
    return [candidate.unit for candidate in route.routing.candidates]


def _grade(route: Route, lead: str) -> int:
    """3 sent rightly, 2 a person would be shown the right unit first, 1 shown another first, 0 sent wrongly."""
    if route.routing.review:
        return 2 if _units(route)[0] == lead else 1
    return 3 if route.lead_unit == lead else 0


def _figures(routes: Sequence[Route], leads: Sequence[str]) -> Figures:
    pairs = list(zip(routes, leads, strict=True))
    return Figures(
        len(pairs),
        sum(_units(route)[0] == lead for route, lead in pairs),
        sum(lead in _units(route) for route, lead in pairs),
        sum(not route.routing.review for route in routes),
        sum(not route.routing.review and route.lead_unit == lead for route, lead in pairs),
    )


def _returned(city: City, former: Router, latter: Router, case: ReturnCase) -> dict[str, str]:
    ticket = case.ticket
    place = place_of(city, ticket.place, case.text)
    first, second = (
        router.route(ticket.category1, ticket.category2, case.text, place, ticket.confidences)
        for router in (former, latter)
    )
    return {
        "number": case.number,
        "ruled": case.ruled_unit or "",
        "before": first.lead_unit,
        "after": second.lead_unit,
    }
