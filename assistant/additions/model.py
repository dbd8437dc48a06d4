"""An addition as forms, files and pages see it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from assistant.city import City
from assistant.city_models import Category, Rule
from assistant.db.models import Addition as AdditionRow
from assistant.errors import BadInput
from nlu.extend import Kind
from nlu.labels import FALLBACK, INTENTS
from nlu.trial import Lesson

KINDS: Final[dict[Kind, str]] = {"category": "类别", "intent": "意图"}
TRIED, LIVE, OFF = "试训", "已启用", "已停用"
MAX_NAME_CHARS, MAX_REPLY_CHARS = 20, 1000


@dataclass(frozen=True, slots=True)
class NewAddition:
    """What staff wrote. `examples` are lines, empty ones included, so that an error can name the line."""

    kind: Kind
    name: str
    examples: tuple[str, ...]
    level1: str = ""
    unit: str = ""
    reply: str = ""

    def checked(self, city: City) -> NewAddition:
        """Without blanks around values. Raises BadInput for a name, first level, unit or reply that cannot be used."""
        if self.kind not in KINDS:
            raise BadInput("请选择要教的是类别还是意图。")
        name, reply = " ".join(self.name.split()), self.reply.strip()
        if not 2 <= len(name) <= MAX_NAME_CHARS or "/" in name:
            raise BadInput(f"名称应为 2 到 {MAX_NAME_CHARS} 个字，不能有“/”。")
        if self.kind == "intent":
            if name in INTENTS or name == FALLBACK:
                raise BadInput(f"“{name}”是系统自带的意图，请换一个名称。")
            if not reply:
                raise BadInput("请填写答复：居民问到时，助手就说这段话。")
            if len(reply) > MAX_REPLY_CHARS:
                raise BadInput(f"答复有 {len(reply)} 个字，最多 {MAX_REPLY_CHARS} 个字。")
            return replace(self, name=name, reply=reply, level1="", unit="")
        if self.level1 not in city.level1:
            raise BadInput(f"没有“{self.level1}”这个一级类别，可选：{'、'.join(city.level1)}。")
        if self.unit not in city.units:
            raise BadInput(f"没有“{self.unit}”这个单位，请从承办单位里选。")
        if (self.level1, name) in city.own_categories:
            raise BadInput(f"“{self.level1}”下已经有“{name}”这个类别。")
        return replace(self, name=name, reply="")

    def lesson(self) -> Lesson:
        return Lesson(self.kind, self.name, self.examples, self.level1)


@dataclass(frozen=True, slots=True)
class AdditionView:
    """A stored addition without what was learned. `report`: `nlu.trial.Report.as_dict()`, or `problem` in Chinese."""

    id: int
    kind: Kind
    name: str
    level1: str
    code: str
    unit: str
    reply: str
    examples: tuple[str, ...]
    model_version: str
    encoder_id: str
    report: dict[str, Any]
    state: str
    changed_by: str
    changed_at: datetime

    @classmethod
    def of(cls, row: AdditionRow) -> AdditionView:
        return cls(
            id=row.id,
            kind="intent" if row.kind == "intent" else "category",
            name=row.name,
            level1=row.level1 or "",
            code=row.code or "",
            unit=row.unit or "",
            reply=row.reply or "",
            examples=tuple(row.examples),
            model_version=row.model_version,
            encoder_id=row.encoder_id,
            report=row.report,
            state=row.state,
            changed_by=row.changed_by,
            changed_at=row.changed_at,
        )

    @property
    def label(self) -> str:
        """As it is called in the language model."""
        return f"{self.level1}/{self.name}" if self.kind == "category" else self.name

    def lesson(self) -> Lesson:
        return Lesson(self.kind, self.name, self.examples, self.level1)

    def category(self) -> Category:
        """The city's category of that name."""
        return Category(
            level1=self.level1,
            level2=self.name,
            service_code=self.code,
            kind="event",
            deadline="general",
            keywords=(self.name,),
            description=f"{self.name}（工作人员新增）",
        )

    def rule(self) -> Rule:
        """Its row of the responsibility matrix: the unit that staff chose leads, wherever it happens."""
        return Rule(category=(self.label,), owner=self.unit, local=False, basis="工作人员新增类别时确定的承办单位")

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        named = ("id", "kind", "name", "level1", "code", "unit", "reply", "model_version", "report", "state")
        return {name: getattr(self, name) for name in named} | {
            "examples": list(self.examples),
            "changed_by": self.changed_by,
            "changed_at": self.changed_at.isoformat(),
        }


def service_code(city: City, level1: str, name: str) -> str:
    """An Open311 service code for a new category: ASCII, and the same for the same name."""
    return f"{city.group_code(level1)}.added_{hashlib.sha256(f'{level1}/{name}'.encode()).hexdigest()[:8]}"
