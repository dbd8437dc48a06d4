"""What a city pack holds, checked by pydantic."""

from datetime import date, time
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

Kind = Literal["component", "event"]
Urgency = Literal["特急", "紧急", "一般"]
RequestType = Literal["咨询", "求助", "投诉", "举报", "建议", "表扬"]

REQUEST_TYPES: tuple[RequestType, ...] = ("咨询", "求助", "投诉", "举报", "建议", "表扬")
URGENCIES: tuple[Urgency, ...] = ("特急", "紧急", "一般")


def _as_tuple(value: object) -> object:
    return (value,) if isinstance(value, str) else value


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class District(_Model):
    """A district, county-level city or functional zone. `code`: two digits of the ticket number.

    `own_names`: those of the aliases that mean nothing else wherever they stand (中牟, but not 上街 or 高新).
    """

    name: str = Field(min_length=2)
    code: str = Field(pattern=r"^\d{2}$")
    short: str
    backstop: str
    aliases: tuple[str, ...] = ()
    own_names: tuple[str, ...] = ()


class Merging(_Model):
    """Requests that tell of the same event. `window_days`: how far back open tickets are compared with.

    `automatic`: from which score (0..1) on a ticket is merged by itself; None: people merge.
    """

    window_days: float = Field(default=30, gt=0, le=365)
    automatic: float | None = Field(default=None, ge=0.5, le=1)


class CityFacts(_Model):
    """city.yml."""

    name: str
    province: str
    time_zone: str
    hotline: str
    jurisdiction_id: str
    ticket_prefix: str = Field(pattern=r"^[A-Z]{2}$")
    districts: tuple[District, ...] = Field(min_length=1)
    elsewhere: tuple[str, ...] = ()
    bounds: tuple[float, float, float, float] | None = None  # west, south, east, north in degrees, WGS 84
    merging: Merging = Merging()


class CategoryEntry(_Model):
    name: str
    code: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    kind: Kind
    deadline: str = "general"
    keywords: tuple[str, ...]
    description: str


class CategoryGroup(_Model):
    """One first-level category of categories.yml."""

    name: str
    code: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    description: str
    level2: tuple[CategoryEntry, ...] = Field(min_length=1)


class Category(_Model):
    """A second-level category. `service_code`: ASCII, for Open311."""

    level1: str
    level2: str
    service_code: str
    kind: Kind
    deadline: str
    keywords: tuple[str, ...]
    description: str


class Unit(_Model):
    """A responsible unit. `kind`: centre, bureau, utility, party, district, social (no part of government), other."""

    name: str
    full: str
    kind: Literal["centre", "bureau", "utility", "party", "district", "social", "other"]
    aliases: tuple[str, ...] = ()


class UnitsFile(_Model):
    units: tuple[Unit, ...]
    district_departments: tuple[str, ...]


class FirstHandler(_Model):
    """A unit of kind social that has a request first, for so many real or working hours (one of the two).

    `when`: words of which one must be said, where there are any. `unless`: words with which a request goes to the lead
    unit at once: the handler itself is complained about.
    """

    handler: str
    hours: float | None = Field(default=None, gt=0)
    working_hours: float | None = Field(default=None, gt=0)
    when: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()


class Sayings(_Model):
    """How residents speak of a matter without its name. `a+b`: both are said. `vague`: said of other matters too."""

    clear: tuple[str, ...] = ()
    vague: tuple[str, ...] = ()


class Rule(_Model):
    """One row of the responsibility matrix; see the head of responsibility.yml. `sayings` come from sayings.yml."""

    category: Annotated[tuple[str, ...], BeforeValidator(_as_tuple)] = Field(min_length=1)
    matter: str | None = None
    words: tuple[str, ...] = ()
    kind: Kind | None = None
    owner: str | None = None
    department: str | None = None
    local: bool = True
    assist: tuple[str, ...] = ()
    deadline: str | None = None
    first_handler: FirstHandler | None = None
    basis: str = Field(min_length=2)
    sayings: Sayings = Field(default=Sayings(), exclude=True)

    @property
    def name(self) -> str:
        """The matter, or the category of a rule without one."""
        return self.matter or self.category[0]


class ResponsibilityFile(_Model):
    first_receiver: str
    threshold: float = Field(ge=0, le=1)
    dangers: dict[str, str] = {}  # kind of danger → 一级/二级
    rules: tuple[Rule, ...]


class DeadlineClass(_Model):
    """Exactly one of the three lengths is set."""

    label: str
    hours: float | None = Field(default=None, gt=0)
    working_hours: float | None = Field(default=None, gt=0)
    working_days: float | None = Field(default=None, gt=0)


class DeadlineRule(_Model):
    """Conditions that must all hold; an absent one always does."""

    class_: str = Field(alias="class")
    urgency: tuple[Urgency, ...] = ()
    request_type: tuple[RequestType, ...] = ()
    deadline: tuple[str, ...] = ()


class TimedSteps(_Model):
    """What happens by itself. 督办 comes so many real hours after the due time.

    `answer_wait_days`: working days that a ticket waits for the resident's answer. `callback_wait_days`: days that a
    resolved ticket waits for the resident to say whether it is solved.
    """

    supervise_after_hours: float = Field(default=0, ge=0)
    answer_wait_days: float = Field(default=5, gt=0)
    callback_wait_days: float = Field(default=7, gt=0)


class DeadlinesFile(_Model):
    classes: dict[str, DeadlineClass]
    rules: tuple[DeadlineRule, ...] = Field(min_length=1)
    steps: TimedSteps = TimedSteps()


def _ordered(value: tuple[tuple[time, time], ...]) -> tuple[tuple[time, time], ...]:
    flat = [moment for pair in value for moment in pair]
    if not flat or any(a >= b for a, b in pairwise(flat)):
        raise ValueError("working hours must be pairs of rising times that do not overlap")
    return value


class Calendar(_Model):
    """Working hours, public holidays and make-up days, in the city's time zone."""

    working_hours: Annotated[tuple[tuple[time, time], ...], AfterValidator(_ordered)]
    known_through: date
    holidays: dict[str, tuple[date, ...]]
    makeup_days: dict[str, tuple[date, ...]]

    def is_working_day(self, day: date) -> bool:
        """Monday to Friday unless a holiday; Saturday and Sunday only as a make-up day."""
        if any(day in days for days in self.makeup_days.values()):
            return True
        return day.weekday() < 5 and not any(day in days for days in self.holidays.values())


class Reply(_Model):
    """A canned reply for agents: what residents ask (words of a question) and what to answer."""

    question: str = Field(min_length=4)
    reply: str = Field(min_length=10)
    category: str | None = None
