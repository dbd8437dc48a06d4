"""A city whose matrix does not know yet what residents say about dogs, and tickets that are returned for it."""

import json
import shutil
import uuid
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import yaml

from assistant.city import City
from assistant.crypto import Vault
from assistant.db.session import Database
from assistant.db.ticket_store import SqlTicketStore
from assistant.returns.trial import FILE
from assistant.settings import PROJECT_ROOT
from assistant.tickets.model import TicketView
from assistant.tickets.service import TicketService
from tests.tickets.drafts import draft

DEMO = PROJECT_ROOT / "city" / "demo"
CLEANERS, POLICE = "金水区城市管理局", "金水区公安分局"
CITY_WORKS = ("城乡建设", "城市建设和市政管理")
DOGS = (
    "有人遛狗从来不牵绳，昨天扑到老太太身上",
    "楼下遛狗的不牵绳，娃娃吓得直哭",
    "一个男的天天放两条大狼狗出来，不牵绳也不戴嘴套",
    "早上遛狗的一大群，狗都不牵绳，路过的人躲着走",
    "邻居家大狼狗不牵绳，在电梯口冲人叫",
    "大狼狗没人管，遛狗的人还说不咬人",
)
MORE_DOGS = "散步碰见遛狗不牵绳的，大狼狗差点咬了俺孙女"
OTHERS = (
    "门口的人行道塌陷了一大块，老人走路都绕着走",
    "一下雨路口就积水，孩子上学都蹚水",
    "垃圾三天没人清运，臭得开不了窗",
    "流动摊贩把人行道占完了，推车都过不去",
    "绿化带的树枝挡住了红绿灯，很危险",
    "整条街的路灯都不亮，晚上走路害怕",
    "井盖晃得厉害，车一过哐当响",
    "公交车四十分钟不来一趟，天天迟到",
    "建筑垃圾倒在路边一个星期了，没人管",
    "公厕里面又脏又臭，也没有人打扫",
    "修路修了半年还没有修好，车都过不去",
    "下水道堵了，污水都流到路上来了",
    "小广告贴得到处都是，撕了又贴",
    "夜市一直到两点，吵得人睡不着",
    "盲道上的地砖碎了一片，绊倒好几个人",
    "公园里的花坛叫人踩坏了，希望补种",
)
CASES = [
    {
        "id": f"own-{index:03d}",
        "text": text,
        "category1": category1,
        "category2": category2,
        "place": place,
        "lead": lead,
    }
    for index, (text, category1, category2, place, lead) in enumerate(
        [
            ("家里停水一整天了", *CITY_WORKS, "金水区经三路", "郑州水务"),
            ("垃圾清运不及时，臭气熏天", *CITY_WORKS, "金水区花园路", CLEANERS),
            ("井盖没了，差点掉进去", *CITY_WORKS, "二七区淮河路", "市城市管理局"),
            ("遛狗不牵绳，见人就扑", *CITY_WORKS, "金水区花园路", POLICE),
        ],
        start=1,
    )
]


def write_city(folder: Path) -> Path:
    """The demo city in `folder`, with one word left for dogs and a small frozen test set."""
    shutil.copytree(DEMO, folder)
    for name, text in _without_dogs().items():
        (folder / name).write_text(text, encoding="utf-8")
    lines = (json.dumps(case, ensure_ascii=False) for case in CASES)
    (folder / FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@cache
def _without_dogs() -> dict[str, str]:
    matrix, sayings = (
        yaml.load((DEMO / name).read_text(encoding="utf-8"), yaml.CSafeLoader)
        for name in ("responsibility.yml", "sayings.yml")
    )
    for rule in matrix["rules"]:
        if rule.get("matter") == "养犬":
            rule["words"] = ["犬证"]
    sayings.pop("养犬", None)
    written = {"responsibility.yml": matrix, "sayings.yml": sayings}
    return {name: yaml.dump(each, Dumper=yaml.CSafeDumper, allow_unicode=True) for name, each in written.items()}


class Desk:
    """Files, returns and rules on tickets at a time of its choice."""

    def __init__(self, db: Database, city: City) -> None:
        self.now = datetime.now(UTC)
        vault = Vault("a secret of the tests, long enough to be taken")
        self.tickets = TicketService(SqlTicketStore(db), city, vault, clock=lambda: self.now)
        self._keys = uuid.uuid4().hex
        self._count = 0

    def _key(self) -> str:
        self._count += 1
        return f"{self._keys}-{self._count}"

    def go_back(self, **length: float) -> None:
        self.now = datetime.now(UTC) - timedelta(**length)

    async def file(self, text: str, unit: str | None = None, **changes: object) -> TicketView:
        """File a request; where the matrix does not send it to `unit` by itself, a person does."""
        values = {"category1": CITY_WORKS[0], "category2": CITY_WORKS[1], "title": text[:20], "description": text}
        view = await self.tickets.submit(draft(**{**values, **changes}), key=self._key(), actor="resident")
        if unit is not None and (view.routing.review or view.lead_unit != unit):
            view = await self.tickets.assign(view.number, unit, "按经验", key=self._key(), actor="zhao")
        return view

    async def give_back(self, number: str, reason: str = "权属不清") -> TicketView:
        return await self.tickets.return_ticket(
            number, reason_code=reason, note="不归本单位", key=self._key(), actor="destination:desk"
        )

    async def rule(self, number: str, unit: str = POLICE) -> TicketView:
        self.now += timedelta(hours=3)
        return await self.tickets.assign(number, unit, "养犬归公安", key=self._key(), actor="zhao")

    async def returned(self, text: str, *, reason: str = "权属不清", unit: str = POLICE, **changes: object) -> str:
        """A request that went to the cleaners, came back and was ruled on; its number."""
        view = await self.file(text, CLEANERS, **changes)
        await self.give_back(view.number, reason)
        await self.rule(view.number, unit)
        return view.number
