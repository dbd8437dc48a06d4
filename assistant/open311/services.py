"""What the Open311 server offers: services (a city's categories) and the attributes a request may carry."""

import re
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Literal, Protocol

from assistant.city import City
from assistant.elements import Element
from assistant.errors import BadInput, NotFound

DataType = Literal["string", "number", "datetime", "text", "singlevaluelist", "multivaluelist"]

MAX_ATTRIBUTE_CHARS = 1000

_NUMBER = re.compile(r"[+-]?\d{1,15}(\.\d{1,15})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Attribute:
    """One question of a service definition. `values` are (key, name) pairs of the list types; `hint` says how."""

    code: str
    description: str
    datatype: DataType = "string"
    required: bool = False
    values: tuple[tuple[str, str], ...] = ()
    hint: str = ""


def _choices(*names: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, name) for name in names)


CONFIDENTIAL = Attribute("confidential", "诉求人要求保密", "singlevaluelist", values=(("true", "是"), ("false", "否")))

# Every service of the desk takes these; none is required, so that any GeoReport client can file a request.
COMMON_ATTRIBUTES = (
    Attribute("title", "标题"),
    Attribute(
        "request_type", "诉求类型", "singlevaluelist", False, _choices("咨询", "求助", "投诉", "举报", "建议", "表扬")
    ),
    Attribute("urgency", "紧急程度", "singlevaluelist", values=_choices("特急", "紧急", "一般")),
    Attribute("event_time", "事发时间"),
    Attribute("place_grid", "所属网格"),
    Attribute("ticket_number", "来源工单编号"),
    Attribute("unit", "承办单位"),
    Attribute("assisting_units", "协办单位"),
    Attribute("due_at", "办理期限", "datetime"),
    Attribute("other_matters", "另涉及"),
    Attribute("elements", "类别要素", "text"),
    Attribute("attachments", "附件", "text"),
    CONFIDENTIAL,
)


@dataclass(frozen=True, slots=True)
class Service:
    """A kind of request that can be filed; `group` is the first-level category."""

    code: str
    name: str
    group: str
    description: str = ""
    keywords: tuple[str, ...] = ()
    attributes: tuple[Attribute, ...] = field(default=COMMON_ATTRIBUTES)

    def check(self, values: dict[str, list[str]], *, told: Container[str] = ()) -> dict[str, str | list[str]]:
        """The declared attributes among `values`, checked; attributes nobody declared are dropped.

        `told`: codes of attributes that need not be given. Raises BadInput, naming the attribute, for a missing
        required one, an unknown choice, a bad number or time.
        """
        checked: dict[str, str | list[str]] = {}
        for attribute in self.attributes:
            given = [value for value in values.get(attribute.code, []) if value]
            if not given:
                if attribute.required and attribute.code not in told:
                    raise BadInput(f"缺少必填属性 {attribute.code}（{attribute.description}）。")
                continue
            many = attribute.datatype == "multivaluelist"
            if len(given) > 1 and not many:
                raise BadInput(f"属性 {attribute.code} 只能填一个值。")
            for value in given:
                _check_value(attribute, value)
            checked[attribute.code] = given if many else given[0]
        return checked


def _check_value(attribute: Attribute, value: str) -> None:
    if len(value) > MAX_ATTRIBUTE_CHARS:
        raise BadInput(f"属性 {attribute.code} 超过 {MAX_ATTRIBUTE_CHARS} 个字。")
    if attribute.datatype in ("singlevaluelist", "multivaluelist"):
        if value not in {key for key, _ in attribute.values}:
            raise BadInput(f"属性 {attribute.code} 的值不在可选范围内。")
    elif attribute.datatype == "number":
        if not _NUMBER.fullmatch(value):
            raise BadInput(f"属性 {attribute.code} 应为数字。")
    elif attribute.datatype == "datetime":
        try:
            zoned_time(value)
        except ValueError:
            raise BadInput(f"属性 {attribute.code} 应为带时区的 ISO 8601 时间。") from None


def zoned_time(text: str, assumed: tzinfo | None = None) -> datetime:
    """An ISO 8601 time between the years 1900 and 2200; ValueError without a zone, unless one is assumed."""
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        time = time.replace(tzinfo=assumed)
    if time.tzinfo is None or not 1900 <= time.year <= 2200:
        raise ValueError("a zoned time of our centuries is wanted")
    return time


def attributes_of(elements: Iterable[Element]) -> tuple[Attribute, ...]:
    """The elements as attributes: a list where the city offers answers, else words, as a resident would give them."""
    return tuple(
        Attribute(
            element.code,
            element.name,
            "singlevaluelist" if element.values else "string",
            element.required,
            _choices(*element.values),
            element.question,
        )
        for element in elements
    )


class CityCategory(Protocol):
    """What is read of a city's category."""

    @property
    def level1(self) -> str: ...
    @property
    def level2(self) -> str: ...
    @property
    def service_code(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def keywords(self) -> tuple[str, ...]: ...


def services_of(
    categories: Iterable[CityCategory],
    attributes: Callable[[CityCategory], tuple[Attribute, ...]] = lambda _: COMMON_ATTRIBUTES,
) -> list[Service]:
    """One service per second-level category, in the order given."""
    return [
        Service(
            code=category.service_code,
            # 其他 stands under every first level.
            name=category.level2 if category.level2 != "其他" else f"{category.level1}（其他）",
            group=category.level1,
            description=category.description,
            keywords=tuple(category.keywords),
            attributes=attributes(category),
        )
        for category in categories
    ]


def public_services(city: City) -> list[Service]:
    """What third parties may file: one service per category, whose elements are the attributes."""
    return services_of(
        city.categories.values(),
        lambda category: (*attributes_of(city.elements_of(category.level1, category.level2)), CONFIDENTIAL),
    )


class Catalogue:
    """The services by code, in the order given."""

    def __init__(self, services: Iterable[Service]) -> None:
        self.replace(services)

    @classmethod
    def of_categories(cls, categories: Iterable[CityCategory]) -> "Catalogue":
        """One service per second-level category (`City.categories.values()`), as the desk takes them."""
        return cls(services_of(categories))

    def replace(self, services: Iterable[Service]) -> None:
        """Offer these from now on."""
        self._services = {service.code: service for service in services}

    def get(self, code: str) -> Service | None:
        return self._services.get(code)

    def known(self, code: str) -> Service:
        """The service of that code. Raises NotFound."""
        service = self._services.get(code)
        if service is None:
            raise NotFound("没有这个 service_code。")
        return service

    def all(self) -> Sequence[Service]:
        return list(self._services.values())
