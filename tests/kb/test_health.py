"""What is found, what is left alone, and what becomes of a finding that is fixed, comes back, or is waved off."""

import asyncio
import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import func, select, update
from structlog.testing import capture_logs

from assistant.db.models import KbDocument, KbFinding, KbHits, KbUnanswered, now
from assistant.db.session import Database
from kb.answer_log import AnswerLog
from kb.documents import Document, NewDocument, Passage
from kb.errors import KbError
from kb.health import claims
from kb.health import look as room
from kb.health.contradictions import contradictions
from kb.health.dates import never_hit, run_out
from kb.health.duplicates import duplicates
from kb.health.facts import Fact, facts
from kb.health.finding import Entry, Finding
from kb.health.look import Material, Seen, look, look_elsewhere
from kb.health.near import neighbours
from kb.health.references import dead_references
from kb.health.service import Health
from kb.health.tasks import FindingNotFound, Task
from kb.health.unanswered import Asked, clusters
from kb.passages import split
from kb.search import search_text
from kb.service import KbSettings, KnowledgeBase
from kb.tables import markdown_tables
from tests.kb.conftest import TODAY, HashEncoder, dogs, heating

PAIRS = Path(__file__).parent / "contradictions.jsonl"


def entry(id_: str, title: str, text: str, **fields: object) -> Entry:
    document = Document(id_, title, "published", **fields)  # type: ignore[arg-type]
    pieces = split(text, title)
    passages = [Passage(n, id_, n, piece.article, piece.text) for n, piece in enumerate(pieces)]
    vectors = HashEncoder().embed([search_text(title, p.article, p.text) for p in passages], "passage")
    return Entry(document, passages, vectors)


# --- numbers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("每人每月发放1,500元。", [("元每月", "1500")]),
        ("每季度300元，按季发放。", [("元每月", "100")]),
        ("最高不超过100万元。", [("元", "1000000")]),
        ("报销百分之六十五。", [("百分比", "65")]),
        ("报销比例65%。", [("百分比", "65")]),
        ("自受理之日起十五个工作日内办结。", [("工作日", "15")]),
        ("时效期间为一年。", [("时长", "360")]),
        ("应当在30日内提出。", [("时长", "30")]),
        ("年满十六周岁。", [("年龄", "16")]),
        ("80至89周岁的老年人。", [("年龄段", "80-90")]),
        ("年满80周岁不满90周岁的老年人。", [("年龄段", "80-90")]),
        ("拨打0371-68890222报修。", [("电话", "037168890222")]),
        ("夜间22:00-6:00禁止施工。", [("时段", "1320-360")]),
        ("营业时间20:00-8:00。", [("时段", "1200-480")]),
        ("晚上7点到9点开放。", [("时段", "1140-1260")]),
        ("供热期为11月15日至次年3月15日。", [("日期", "11-15"), ("日期", "3-15")]),
        ("自2025年7月1日起施行。", [("年份", "2025年7月1日")]),
        ("依照第十二条第二款处理，郑政〔2024〕12号。", []),
        ("一次性告知，一律公示。", []),
        ("每人限领3张。", [("张", "3")]),
        ("提交复印件3张。", [("张", "3")]),
        ("大厅有3张桌子。", []),
        ("每公里多收4角。", [("元", "0.4")]),
        ("每年补贴2.4万元。", [("元每月", "2000")]),
        ("一次给予一万二千元。", [("元", "12000")]),
        ("一次性补贴1万5千元。", [("元", "15000")]),
        ("一次性补贴1万五千元。", [("元", "15000")]),
        ("奖励3万2元。", [("元", "32000")]),
        ("奖励三万二元。", [("元", "32000")]),
        ("奖励1万1块钱。", [("元", "11000")]),
        ("罚款2千5百元。", [("元", "2500")]),
        ("罚款2千5元。", [("元", "2500")]),
        ("罚款1万零500元。", [("元", "10500")]),
        ("罚款一百零五元。", [("元", "105")]),
        ("投资1亿2千万元。", [("元", "120000000")]),
        ("投资1亿 2千万元。", [("元", "120000000")]),
        ("投资两千五百万元。", [("元", "25000000")]),
        ("起付线5百元，封顶1,500元。", [("元", "1500"), ("元", "500")]),
        ("月最低工资标准为2100元。", [("元每月", "2100")]),
        ("每户每年用水180立方米以内。", [("立方米每月", "15")]),
        ("最多领一年半。", [("时长", "540")]),
        ("半个工作日内回复。", [("工作日", "0.5")]),
        ("身高1.2米以下。", [("米", "1.2")]),
        ("个头在120厘米以下。", [("米", "1.2")]),
        ("每小时不能超过15公里。", [("时速", "15")]),
        ("时速不得超过十五公里。", [("时速", "15")]),
        ("每季度至少清洗一次。", [("次每年", "4")]),
        ("狂犬病疫苗每两年接种一次。", [("次每年", "0.5")]),
        ("工作日十二时至十四时禁止施工。", [("时段", "720-840")]),
        ("中午12:00—14:30不得施工。", [("时段", "720-870")]),
        ("晚上十点到第二天早上六点。", [("时段", "1320-360")]),
        ("上午8点到下午5点半。", [("时段", "480-1050")]),
        ("16:00停止入馆。", [("时刻", "960")]),
        ("租金打八五折。", [("折", "85")]),
        ("闯红灯记6分。", [("记分", "6")]),
    ],
)
def test_numbers_are_read_with_their_unit(sentence: str, expected: list[tuple[str, str]]) -> None:
    assert sorted((f.kind, f.value) for f in facts(sentence)) == expected


def test_a_bound_is_read_with_its_number() -> None:
    said = ("不低于18摄氏度", "15日内答复", "收费20元", "不要低于18℃", "年满60周岁", "不满60周岁", "低于15平方米")
    bounds = [fact.bound for sentence in said for fact in facts(sentence)]
    assert bounds == ["min", "max", "", "min", "min", "max", "max"]
    start, fare = facts("3公里以内8元起步")
    assert (start.bound, fare.bound) == ("max", "min")


def test_what_an_amount_is_counted_by_is_read_with_it() -> None:
    found = facts("每小时5元，普通护照每本收费120元，停车2元/次，首次20元")
    assert [fact.of for fact in found] == ["小时", "本", "次", ""]


# --- contradictions --------------------------------------------------------------------------------------------------


def test_pairs_written_by_hand() -> None:
    """By their words alone; with the shipped encoder, and blind pairs: `benchmarks.kb_contradictions`."""
    right = {"build": [0, 0], "held_out": [0, 0]}
    for line in PAIRS.read_text(encoding="utf-8").splitlines():
        pair = json.loads(line)
        if found_between(pair["a"], pair["b"]):
            right[pair["split"]][0 if pair["contradiction"] else 1] += 1
    assert right["build"][0] >= 68 and right["build"][1] <= 3
    assert right["held_out"][0] >= 13 and right["held_out"][1] == 0


def found_between(a: dict[str, str], b: dict[str, str]) -> list[Finding]:
    texts = [entry(id_, **one | {"text": markdown_tables(one["text"])}) for id_, one in (("a", a), ("b", b))]
    return list(contradictions(texts, this_year=TODAY.year))


@pytest.mark.parametrize(
    ("a", "b", "values"),
    [
        (
            "自受理之日起15个工作日内制发居住证。",
            "公安机关应当在10个工作日内发放居住证。",
            ["15个工作日", "10个工作日"],
        ),
        ("自受理之日起15个工作日内制发居住证。", "公安机关应当在十五个工作日内发放居住证。", None),
        ("自受理之日起15个工作日内制发居住证。", "居住证遗失补领的，10个工作日内发放居住证。", None),
        ("居住证最少15个工作日制发。", "居住证最多10个工作日制发。", None),
        ("居住证收费每本20元。", "居住证收费每次30元。", None),
        ("年满60周岁不满70周岁的老人，居住证收费20元。", "年满70周岁的老人，居住证收费10元。", None),
        ("管城分理处办理居住证，10个工作日办结。", "金水分理处办理居住证，15个工作日办结。", None),
        ("居住证自受理之日起10个工作日制发。", "自2099年起，居住证自受理之日起5个工作日制发。", None),
        ("居住证有效期半年。", "居住证有效期6个月。", None),
    ],
)
def test_two_sentences_on_one_matter(a: str, b: str, values: list[str] | None) -> None:
    found = found_between({"title": "居住证办理指南", "text": a}, {"title": "居住证办理须知", "text": b})
    assert [finding.more["values"] for finding in found] == ([values] if values else [])


def test_a_row_of_a_table_and_an_answer_to_a_question_are_read_with_what_they_stand_under() -> None:
    table = "| 材料 | 要求 |\n|---|---|\n| 继承人身份证 | 复印件两份 |\n| 死亡证明 | 原件一份 |"
    listed = "- 继承人身份证复印件3份；\n- 死亡证明原件1份。"
    (found,) = found_between({"title": "继承登记材料清单", "text": table}, {"title": "继承登记指南", "text": listed})
    assert found.more["values"] == ["两份", "3份"]
    answer = "**问：城市低保标准是多少？**\n\n答：每人每月800元。"
    text = "城市低保标准为每人每月760元。"
    (found,) = found_between({"title": "城市低保标准通知", "text": text}, {"title": "城市低保问答", "text": answer})
    assert found.more["values"] == ["760元", "800元"]


def test_a_contradiction_names_both_sentences() -> None:
    one = entry("old", "居住证办理指南", "## 多久办好\n自受理之日起15个工作日内制发居住证。", owner="王五")
    two = entry("new", "居住证办理须知", "## 时限\n公安机关应当在10个工作日内发放居住证。")
    (found,) = contradictions([one, two])
    assert found.documents == ("new", "old")
    assert "10个工作日" in found.summary and "15个工作日" in found.summary
    assert {quote.article for quote in found.quotes} == {"时限", "多久办好"}
    assert found.owner == "王五"
    (again,) = contradictions([two, one])
    assert again.key == found.key


def test_texts_for_other_places_or_people_do_not_contradict_each_other() -> None:
    text = "普通护照每本收费120元。"
    a = entry("a", "护照收费", text, region="郑州市")
    b = entry("b", "护照收费标准", text.replace("120", "160"), region="洛阳市")
    assert not list(contradictions([a, b]))
    c = entry("c", "护照收费标准", text.replace("120", "160"), region="郑州市金水区")
    assert len(list(contradictions([a, c]))) == 1
    d = entry("d", "护照收费标准", text.replace("120", "160"), audience="外国人")
    e = entry("e", "护照收费", text, audience="本市居民")
    assert not list(contradictions([d, e]))


# --- duplicates ------------------------------------------------------------------------------------------------------

RULES = """第一条 为了规范养犬行为，维护公共秩序和市容环境卫生，制定本办法。
第二条 养犬人应当携带犬只免疫证明到居住地派出所办理养犬登记。
第三条 携犬外出应当束犬链，并及时清除犬只粪便，避让老年人和儿童。
第四条 禁止携犬乘坐公共汽车、轨道交通等公共交通工具，导盲犬除外。"""


def test_a_copy_with_small_changes_is_a_duplicate_with_its_sentences() -> None:
    copy = RULES.replace("派出所", "公安派出所").replace("制定本办法", "特制定本办法")
    other = entry("c", "居民供热办法", "供热期内卧室温度不低于18摄氏度，低于标准的可以退还热费。")
    (found,) = duplicates([entry("a", "养犬办法", RULES), entry("b", "文明养犬规定", copy), other])
    assert set(found.documents) == {"a", "b"}
    assert found.more["share"] == 1.0
    assert any("派出所" in quote.text for quote in found.quotes)


def test_a_shared_sentence_or_another_district_is_no_duplicate() -> None:
    formula = "本办法由市人民政府负责解释并组织实施。"
    one = entry("a", "养犬办法", f"{RULES}\n第五条 {formula}")
    two = entry(
        "b", "停车办法", f"第一条 停车场应当公示收费标准和监督电话。\n第二条 路内停车按小时计费。\n第三条 {formula}"
    )
    assert not list(duplicates([one, two]))
    here, there = entry("a", "养犬办法", RULES, region="金水区"), entry("b", "养犬办法", RULES, region="中原区")
    assert not list(duplicates([here, there]))


# --- references ------------------------------------------------------------------------------------------------------

LAW = """第一条 为了管理供热，制定本条例。
第二条 本市行政区域内适用本条例。
第三条 依照{own}处理。
第四条 本条例自发布之日起施行。"""


@pytest.mark.parametrize(
    ("own", "dead"),
    [
        ("第二条", False),
        ("第九条", True),
        ("本条例第九条", True),
        ("本条例第二条、第四条", False),
        ("本条例第二条、第十四条", True),
        ("《郑州市集中供热管理办法》第三条", False),
        ("《郑州市集中供热管理办法》第三十条", True),
        ("《中华人民共和国行政处罚法》第八十条", False),
        ("行政处罚法第八十条", False),
        ("原条例第八十条", False),
    ],
)
def test_an_article_that_does_not_exist_is_found(own: str, dead: bool) -> None:
    law = entry("law", "郑州市供热条例", LAW.format(own=own))
    cited = entry("cited", "郑州市集中供热管理办法（试行）", LAW.format(own="第二条"))
    found = list(dead_references([law, cited], [law.document, cited.document], TODAY))
    assert bool(found) == dead
    if dead:
        assert found[0].documents[0] == "law"
        assert "第三条" in found[0].summary


def test_a_document_that_has_ended_and_is_still_cited_is_found() -> None:
    old = Document("old", "郑州市养犬管理办法", "superseded")
    citing = entry("a", "养犬登记指南", "## 依据\n按照《郑州市养犬管理办法》办理登记，携带免疫证明。")
    ending = entry("b", "养犬条例", "## 附则\n《郑州市养犬管理办法》同时废止，以本条例为准。")
    (found,) = dead_references([citing, ending], [old, citing.document, ending.document], TODAY)
    assert found.documents == ("a", "old")
    new = Document("new", "郑州市养犬管理办法", "published")
    assert not list(dead_references([citing], [old, new, citing.document], TODAY))
    run_out = Document("old", "郑州市养犬管理办法", "published", valid_to=TODAY - timedelta(days=1))
    assert len(list(dead_references([citing], [run_out], TODAY))) == 1


# --- days ------------------------------------------------------------------------------------------------------------


def test_the_last_day_is_in_force_and_thirty_days_are_looked_ahead() -> None:
    def ends(days: int, **more: object) -> Document:
        return Document(f"d{days}", "办法", "published", valid_to=TODAY + timedelta(days=days), **more)  # type: ignore[arg-type]

    found = list(run_out([ends(-1), ends(0), ends(30), ends(31), ends(5, superseded_by="x")], TODAY))
    assert [(f.kind, f.documents[0]) for f in found] == [("expired", "d-1"), ("expiring", "d0"), ("expiring", "d30")]
    assert "今天是最后一天" in found[1].summary


def test_an_entry_nobody_was_answered_from_is_found_once_there_was_time() -> None:
    documents = [Document(name, name, "published") for name in ("asked", "silent", "fresh")]
    long_ago, lately = TODAY - timedelta(days=80), TODAY - timedelta(days=5)
    created = {"asked": long_ago, "silent": long_ago, "fresh": lately}
    found = never_hit(documents, created, {"asked": lately}, long_ago, TODAY)
    assert [f.documents for f in found] == [("silent",)]
    assert not list(never_hit(documents, created, {}, lately, TODAY))
    assert not list(never_hit(documents, created, {}, None, TODAY))


# --- unanswered ------------------------------------------------------------------------------------------------------


def asked(*questions: str) -> list[Asked]:
    encoder = HashEncoder()
    return [Asked(n, q, now(), encoder.embed([q], "query")[0]) for n, q in enumerate(questions, start=1)]


def test_questions_about_the_same_are_one_cluster() -> None:
    questions = asked(
        "新能源汽车充电桩怎么申请安装",
        "宠物猫要不要办证",
        "小区里申请安装充电桩找谁",
        "充电桩安装申请要什么材料",
        "宠物猫办证在哪里",
    )
    centre = HashEncoder().embed(["办理居住证需要的材料", "申请公共租赁住房的条件"], "passage").mean(axis=0)
    found = clusters(questions, centre)
    assert found == [[0, 2, 3], [1, 4]]
    assert clusters([], centre) == []
    assert clusters(questions[:1], centre) == [[0]]


def test_average_linkage_agrees_with_trying_every_pair() -> None:
    from kb.health.unanswered import _average_linkage

    chance = np.random.default_rng(5)
    for _ in range(20):
        points = chance.normal(size=(14, 3)).astype(np.float32)
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        alike = points @ points.T
        assert sorted(_average_linkage(alike, 0.4)) == _slow_linkage(alike, 0.4)


def _slow_linkage(alike: np.ndarray, threshold: float) -> list[list[int]]:
    found = [[n] for n in range(len(alike))]
    while len(found) > 1:
        mean, a, b = max(
            (float(alike[np.ix_(found[a], found[b])].mean()), a, b) for a in range(len(found)) for b in range(a)
        )
        if mean < threshold:
            break
        found[b] = sorted(found[a] + found[b])
        del found[a]
    return sorted(found)


def test_neighbours_are_the_same_however_many_are_compared_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = np.random.default_rng(5)
    vectors = chance.normal(size=(60, 8)).astype(np.float32)
    owner = np.repeat(np.arange(20), 3)
    at_once = set(neighbours(vectors, owner, 4))
    monkeypatch.setattr("kb.health.near._MOST_SCORES", 120)
    assert set(neighbours(vectors, owner, 4)) == at_once != set()


def test_neighbours_are_of_other_documents_and_come_once() -> None:
    vectors = HashEncoder().embed(["甲乙丙", "甲乙丁", "甲乙戊", "庚辛壬"], "passage")
    pairs = list(neighbours(vectors, np.array([0, 0, 1, 2]), 1))
    assert len(pairs) == len(set(pairs))
    assert all(i < j for i, j in pairs) and (0, 1) not in pairs
    assert (0, 2) in pairs or (1, 2) in pairs


# --- the whole -------------------------------------------------------------------------------------------------------


async def in_this_process(material: Material) -> Seen:
    return await asyncio.to_thread(look, material)


class Nights:
    """A base, its health, and a clock that a test sets."""

    def __init__(self, db: Database, encoder: HashEncoder, settings: KbSettings) -> None:
        self.db = db
        self.kb = KnowledgeBase(db, encoder, settings=settings)
        self.answers = AnswerLog(db, encoder, self.kb.today)
        self.now = datetime.now(UTC)
        self.health = Health(
            db, self.kb, lambda: encoder.encoder_id, answers=self.answers, look=in_this_process, clock=lambda: self.now
        )

    async def check(self, *kinds: str) -> list[Task]:
        """One run, now; returns all tasks of these kinds."""
        self.now = datetime.now(UTC)
        await self.health.check()
        return await self.health.tasks(kinds=kinds)

    async def ask(self, question: str) -> str:
        answer = await self.kb.answer(question)
        self.answers.note(question, answer)
        return answer.outcome


@pytest.fixture
def nights(db: Database, encoder: HashEncoder, settings: KbSettings) -> Nights:
    return Nights(db, encoder, settings)


def ending(days: int, id_: str = "heating") -> NewDocument:
    return heating(id_, valid_to=TODAY + timedelta(days=days), owner="张三")


async def test_an_empty_base_is_healthy(nights: Nights) -> None:
    assert await nights.check() == []
    assert nights.health.last is not None and nights.health.last[1].documents == 0


async def test_found_again_it_is_one_task_and_gone_it_is_closed(nights: Nights) -> None:
    await nights.kb.import_documents([ending(-1)], publish=True)
    (task,) = await nights.check()
    assert (task.kind, task.state, task.owner, task.documents) == ("expired", "待处理", "张三", ["heating"])
    await nights.health.change(task.id, by="editor", state="处理中", owner="李四")
    (again,) = await nights.check()
    assert (again.id, again.state, again.owner) == (task.id, "处理中", "李四")
    assert again.seen_at > task.seen_at
    await nights.kb.move("heating", "suspend")
    (closed,) = await nights.check()
    assert (closed.id, closed.state, closed.changed_by) == (task.id, "已处理", "自动")


async def test_back_after_done_it_is_open_again_and_never_after_waved_off(nights: Nights) -> None:
    await nights.kb.import_documents([ending(3), ending(4, "water")], publish=True)
    first, second = sorted(await nights.check("expiring"), key=lambda task: task.documents)
    await nights.health.change(first.id, by="editor", state="已处理")
    await nights.health.change(second.id, by="editor", state="不处理")
    states = {task.documents[0]: task.state for task in await nights.check("expiring")}
    assert states == {"heating": "待处理", "water": "不处理"}
    for document in ("heating", "water"):
        await nights.kb.suspend(document)
    states = {task.documents[0]: task.state for task in await nights.check("expiring")}
    assert states == {"heating": "已处理", "water": "不处理"}
    for document in ("heating", "water"):
        await nights.kb.publish(document)
    states = {task.documents[0]: task.state for task in await nights.check("expiring")}
    assert states == {"heating": "待处理", "water": "不处理"}


async def test_what_a_person_finished_during_a_run_is_not_opened_again(nights: Nights) -> None:
    await nights.kb.import_documents([ending(3)], publish=True)
    (task,) = await nights.check("expiring")

    async def meanwhile(material: Material) -> Seen:
        await nights.health.change(task.id, by="editor", state="已处理")
        return look(material)

    nights.health._look = meanwhile
    (after,) = await nights.check("expiring")
    assert after.state == "已处理"


async def test_two_runs_at_once_make_one_task(nights: Nights, encoder: HashEncoder) -> None:
    await nights.kb.import_documents([ending(3)], publish=True)
    other = Health(nights.db, nights.kb, lambda: encoder.encoder_id, look=in_this_process)
    await asyncio.gather(nights.health.check(), other.check(), nights.health.check())
    async with nights.db.read() as session:
        assert await session.scalar(select(func.count()).select_from(KbFinding)) == 1


async def test_a_state_or_a_task_that_does_not_exist_is_refused(nights: Nights) -> None:
    with pytest.raises(FindingNotFound):
        await nights.health.change(999, by="editor", state="已处理")
    await nights.kb.import_documents([ending(3)], publish=True)
    (task,) = await nights.check()
    with pytest.raises(KbError, match="待处理"):
        await nights.health.change(task.id, by="editor", state="好了")


async def test_what_is_not_in_force_is_not_looked_at(nights: Nights) -> None:
    await nights.kb.import_documents(
        [
            NewDocument("old", "护照收费", "普通护照每本收费160元。", valid_to=TODAY - timedelta(days=9)),
            NewDocument("new", "护照收费标准", "普通护照每本收费120元。"),
        ],
        publish=True,
    )
    await nights.kb.add_draft(NewDocument("draft", "护照收费说明", "普通护照每本收费100元。"))
    assert await nights.check("contradiction") == []
    await nights.kb.publish("draft")
    (task,) = await nights.check("contradiction")
    assert sorted(task.documents) == ["draft", "new"]
    assert task.detail["values"] == ["100元", "120元"]


async def test_hits_and_unanswered_questions_are_stored_in_the_background(nights: Nights) -> None:
    await nights.kb.import_documents([heating()], publish=True)
    assert await nights.ask("室内温度不低于多少") == "answered"
    assert await nights.ask("室内温度不低于多少") == "answered"
    assert await nights.ask("宠物猫打针我的电话13812345678") == "not_found"
    assert await nights.ask("？？？") == "not_found"
    stop = asyncio.Event()
    work = asyncio.create_task(nights.answers.run(stop))
    stop.set()
    await work
    await nights.ask("室内温度不低于多少")
    await nights.answers.store()
    async with nights.db.read() as session:
        assert [(r.document_id, r.day, r.count) for r in await session.scalars(select(KbHits))] == [
            ("heating", TODAY, 3)
        ]
        (row,) = await session.scalars(select(KbUnanswered))
    assert row.question == "宠物猫打针我的电话138****5678"
    assert row.encoder == "hash-1"


async def test_two_processes_count_into_one_row(nights: Nights, encoder: HashEncoder) -> None:
    await nights.kb.import_documents([heating()], publish=True)
    logs = [nights.answers, AnswerLog(nights.db, encoder, nights.kb.today)]
    answer = await nights.kb.answer("室内温度不低于多少")
    for each in logs * 5:
        each.note("室内温度不低于多少", answer)
    await asyncio.gather(*(each.store() for each in logs))
    async with nights.db.read() as session:
        assert await session.scalar(select(KbHits.count)) == 10


async def test_what_could_not_be_stored_is_stored_later(nights: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    await nights.kb.import_documents([heating()], publish=True)
    await nights.ask("室内温度不低于多少")
    await nights.ask("宠物猫打针在哪里")
    with monkeypatch.context() as broken:

        def away(*_: object) -> None:
            raise ConnectionError

        broken.setattr(nights.db, "begin", away)
        await nights.answers.store()
    await nights.answers.store()
    async with nights.db.read() as session:
        assert await session.scalar(select(KbHits.count)) == 1
        assert await session.scalar(select(func.count()).select_from(KbUnanswered)) == 1


async def test_unanswered_questions_become_one_task_that_grows_and_ends(nights: Nights) -> None:
    await nights.kb.import_documents([heating(owner="张三"), dogs()], publish=True)
    for question in ("小区里充电桩怎么申请安装", "充电桩安装怎么申请", "充电桩安装申请要多久"):
        assert await nights.ask(question) == "not_found"
    await nights.ask("天上有几颗星星呀")
    (task,) = await nights.check("unanswered")
    assert task.detail["count"] == 3
    assert task.owner in ("张三", "公安局", "城市管理局")
    await nights.health.change(task.id, by="editor", state="已处理")
    (still,) = await nights.check("unanswered")
    assert still.state == "已处理", "nobody has asked since"
    await nights.ask("充电桩申请安装")
    (grown,) = await nights.check("unanswered")
    assert (grown.id, grown.detail["count"], grown.state) == (task.id, 4, "待处理")
    text = "## 怎么申请\n充电桩怎么申请安装：小区里充电桩安装申请要多久办好，充电桩申请安装找供电公司。"
    await nights.kb.import_documents([NewDocument("pile", "小区充电桩安装申请办法", text)], publish=True)
    (ended,) = await nights.check("unanswered")
    assert (ended.state, ended.changed_by) == ("已处理", "自动")
    await nights.answers.forget_old()
    assert await nights.health.tasks(kinds=["unanswered"]) == [ended]
    async with nights.db.begin() as session:
        await session.execute(update(KbUnanswered).values(asked_at=now() - timedelta(days=91)))
    await nights.answers.forget_old()
    assert await nights.health.tasks(kinds=["unanswered"]) == [], "what it quotes is older than may be kept"


async def test_questions_are_forgotten_after_ninety_days(nights: Nights) -> None:
    await nights.kb.import_documents([heating()], publish=True)
    await nights.ask("充电桩怎么申请安装")
    await nights.answers.store()
    assert await nights.answers.forget_old() == 0
    async with nights.db.begin() as session:
        await session.execute(update(KbUnanswered).values(asked_at=now() - timedelta(days=91)))
    assert await nights.answers.forget_old() == 1


async def test_an_entry_never_hit_is_a_task(nights: Nights) -> None:
    await nights.kb.import_documents([heating(), dogs()], publish=True)
    long_ago = datetime.combine(TODAY - timedelta(days=60), datetime.min.time(), UTC)
    async with nights.db.begin() as session:
        await session.execute(update(KbDocument).values(created_at=long_ago))
        session.add(KbHits(document_id="heating", day=long_ago.date(), count=1))
    (task,) = await nights.check("never_hit")
    assert task.documents == ["dogs"]


async def test_the_nightly_run_is_due_once_a_night(nights: Nights) -> None:
    await nights.kb.import_documents([ending(3)], publish=True)
    nights.now = datetime(2027, 3, 1, 18, 59, tzinfo=UTC)  # 02:59 in Zhengzhou
    assert await nights.health.is_due()
    await nights.health.check()
    assert not await nights.health.is_due()
    nights.now = datetime(2027, 3, 1, 19, 0, tzinfo=UTC)
    assert await nights.health.is_due()


async def test_what_another_process_looked_at_tonight_is_not_looked_at_again(nights: Nights) -> None:
    await nights.kb.import_documents([ending(3)], publish=True)
    await nights.check()
    other = Health(nights.db, nights.kb, lambda: "hash-1", look=in_this_process)
    assert not await other.is_due()


async def test_the_look_runs_in_a_process_of_its_own() -> None:
    one = entry("a", "护照收费", "普通护照每本收费120元。")
    two = entry("b", "护照收费标准", "普通护照每本收费160元。")
    material = Material([one, two], [one.document, two.document], TODAY, asked("猫证", "猫证"), one.vectors[0] * 0)
    seen = await look_elsewhere(material)
    assert seen == look(material)
    assert [finding.kind for finding in seen.findings] == ["contradiction", "duplicate"]


def test_the_process_of_its_own_gets_all_that_there_is() -> None:
    one = entry("a", "护照收费", "普通护照每本收费120元。", valid_to=TODAY, owner="张三")
    draft = replace(one.document, id="b", status="draft", updated_at=now())
    full = Material([one], [one.document, draft], TODAY, asked("猫证", "狗证"), one.vectors[0], "hash-1")
    for material in (full, Material([], [], TODAY, [], np.zeros(1, dtype=np.float32))):
        with tempfile.TemporaryFile() as file:
            room._write(material, file)
            got = room._read(file)
        assert (got.documents, got.today, got.encoder_id) == (material.documents, TODAY, material.encoder_id)
        for mine, theirs in zip(got.entries, material.entries, strict=True):
            assert (mine.document, mine.passages) == (theirs.document, theirs.passages)
            assert np.array_equal(mine.vectors, theirs.vectors)
        for mine, theirs in zip(got.asked, material.asked, strict=True):
            assert (mine.id, mine.question, mine.at) == (theirs.id, theirs.question, theirs.at)
            assert np.array_equal(mine.vector, theirs.vector)
        assert np.array_equal(got.centre, material.centre)


async def test_a_sentence_that_cannot_be_read_is_left_out_and_counted(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    await nights.kb.import_documents(
        [
            NewDocument(id="a", title="护照收费", text="普通护照每本收费120元。加急护照每本收费300元。"),
            NewDocument(id="b", title="护照收费标准", text="普通护照每本收费160元。"),
        ],
        publish=True,
    )

    def broken(text: str) -> list[Fact]:
        if "加急" in text:
            raise ValueError(text)
        return facts(text)

    monkeypatch.setattr(claims, "facts", broken)
    with capture_logs() as logs:
        tasks = await nights.check("contradiction")
    assert [task.kind for task in tasks] == ["contradiction"]
    assert nights.health.last is not None and nights.health.last[1].unread == 1
    found = await nights.kb.get("a")
    assert found is not None
    (told,) = [entry for entry in logs if entry["event"] == "kb_health_unread"]
    assert (told["sentences"], told["passages"]) == (1, [found.passages[0].id])
    assert "加急" not in str(logs)


async def test_a_process_that_fails_is_an_error_and_changes_no_task(nights: Nights) -> None:
    await nights.kb.import_documents([ending(3)], publish=True)
    (task,) = await nights.check()

    async def fail(_: Material) -> Seen:
        raise RuntimeError("ended with 1")

    nights.health._look = fail
    with pytest.raises(RuntimeError):
        await nights.health.check()
    assert not nights.health.running
    assert nights.health.failed
    assert await nights.health.tasks() == [task]
    nights.health._look = in_this_process
    await nights.check()
    assert not nights.health.failed


def test_a_finding_is_named_by_what_it_is_about() -> None:
    def finding(*about: str, summary: str = "") -> Finding:
        return Finding("expired", about, ("d",), summary)

    keys: Sequence[str] = [finding("a", "b").key, finding("ab").key, finding("a", "b", summary="x").key]
    assert keys[0] != keys[1] and keys[0] == keys[2]
    assert all(len(key) <= 160 for key in keys)
