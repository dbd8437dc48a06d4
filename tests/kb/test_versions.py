"""Editing: a new version each time, only the changed passages embedded anew, and nobody's work lost."""

import asyncio
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, event, select

from assistant.db.models import KbPassage, KbVersion
from assistant.db.session import Database
from kb.compare import Gap, compare, shortened
from kb.documents import FIELD_NAMES, NewDocument
from kb.errors import DocumentChanged, DocumentNotFound, InvalidDocument, VersionNotFound
from kb.passages import split
from kb.service import KbSettings, KnowledgeBase
from kb.text import sentences
from kb.versions import joined
from tests.kb.conftest import HashEncoder, dogs, heating

QUESTION = "室内温度不低于多少"
LAW = """第一章 总则
第一条 为了供热，制定本办法。
第二条 室温不低于18摄氏度。
第二章 附则
第三条 本办法自公布之日起施行。"""


@pytest.fixture
def base(db: Database, encoder: HashEncoder, settings: KbSettings) -> KnowledgeBase:
    return KnowledgeBase(db, encoder, settings=settings)


async def test_the_first_version_of_every_way_in_is_kept(base: KnowledgeBase) -> None:
    await base.import_documents([heating()], publish=True)
    await base.add_draft(dogs(), by="editor")
    (imported,) = await base.versions("heating")
    (drafted,) = await base.versions("dogs")
    assert (imported.number, imported.changed_by) == (1, "import")
    assert (drafted.number, drafted.changed_by) == (1, "editor")
    kept = await base.version("dogs", 1)
    assert (kept.text, kept.fields["title"], kept.fields["issuer"]) == (dogs().text, "养犬登记办法", "公安局")


async def test_the_first_versions_of_an_import_are_written_at_once(base: KnowledgeBase, db: Database) -> None:
    seen: list[tuple[bool, int]] = []

    def noting(_c: object, _u: object, statement: str, parameters: object, _x: object, many: bool) -> None:
        if statement.startswith("INSERT INTO kb_versions"):
            seen.append((many, len(parameters) if isinstance(parameters, list) else 1))

    event.listen(db.engine.sync_engine, "before_cursor_execute", noting)
    await base.import_documents([heating(f"h{i}") for i in range(10)], publish=True)
    assert seen == [(True, 10)]


async def test_an_edit_of_text_is_answered_from_at_once_and_kept(base: KnowledgeBase) -> None:
    await base.import_documents([heating()], publish=True)
    assert "18摄氏度" in (await base.answer(QUESTION)).text
    text = heating(degrees=21).text
    edited = await base.edit("heating", {"text": text, "region": "全市"}, base_version=1, by="陈编辑")
    assert (edited.version, edited.region, edited.status) == (2, "全市", "published")
    found = await base.answer(QUESTION)
    assert "21摄氏度" in found.text
    assert "18" not in found.text
    newest, first = await base.versions("heating")
    assert (newest.number, newest.changed_by, first.number) == (2, "陈编辑", 1)
    comparison = await base.compare("heating", 1, 2)
    assert [(c.label, c.before, c.after) for c in comparison.fields] == [("适用地区", "", "全市")]
    assert [(line.kind, "18" in line.text, "21" in line.text) for line in comparison.lines if line.kind != "same"] == [
        ("removed", True, False),
        ("added", False, True),
    ]


async def test_only_passages_that_changed_are_embedded(base: KnowledgeBase, encoder: HashEncoder) -> None:
    await base.import_documents([heating(), dogs()], publish=True)
    await base.load()
    encoder.embedded.clear()
    await base.edit("heating", {"text": heating(degrees=21).text}, base_version=1)
    await base.edit("dogs", {"audience": "养犬人"}, base_version=1)
    await base.load()
    assert len(encoder.embedded) == 1
    assert "21摄氏度" in encoder.embedded[0]
    await base.edit("heating", {"title": "供热办法"}, base_version=2)
    await base.load()
    assert len(encoder.embedded) == 3


async def test_a_draft_is_edited_and_stays_a_draft(base: KnowledgeBase) -> None:
    await base.add_draft(heating())
    edited = await base.edit("heating", {"text": heating(degrees=21).text}, base_version=1)
    assert edited.status == "draft"
    assert (await base.answer(QUESTION)).outcome == "not_found"


async def test_saving_without_a_change_makes_no_version(base: KnowledgeBase) -> None:
    await base.import_documents([heating()], publish=True)
    same = await base.edit("heating", {"title": heating().title, "text": heating().text}, base_version=1)
    assert same.version == 1
    assert len(await base.versions("heating")) == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"title": " "}, "标题"),
        ({"text": ""}, "正文"),
        ({"text": "\u200b\u200b"}, "没有可以引用"),
        ({"valid_from": date(2026, 2, 1), "valid_to": date(2026, 1, 1)}, "早于"),
        ({"issuer": "局" * 121}, "发文单位"),
        ({"status": "published"}, "status"),
    ],
)
async def test_a_bad_edit_changes_nothing(base: KnowledgeBase, changes: dict[str, object], said: str) -> None:
    await base.import_documents([heating()], publish=True)
    with pytest.raises(InvalidDocument) as error:
        await base.edit("heating", changes, base_version=1)
    assert said in error.value.detail
    assert len(await base.versions("heating")) == 1
    assert "18摄氏度" in (await base.answer(QUESTION)).text


async def test_of_two_who_edit_at_once_the_second_hears_of_it_and_nothing_is_lost(base: KnowledgeBase) -> None:
    await base.import_documents([heating()], publish=True)
    results = await asyncio.gather(
        base.edit("heating", {"text": heating(degrees=21).text}, base_version=1, by="甲"),
        base.edit("heating", {"issuer": "住建局"}, base_version=1, by="乙"),
        return_exceptions=True,
    )
    (refused,) = [r for r in results if isinstance(r, BaseException)]
    assert isinstance(refused, DocumentChanged)
    assert refused.version == 2
    assert refused.by in ("甲", "乙")
    assert refused.by in refused.detail
    # Whoever was slower takes the newest version as theirs: what they did not touch stays as the other left it.
    late = {"乙": {"text": heating(degrees=21).text}, "甲": {"issuer": "住建局"}}[refused.by]
    await base.edit("heating", late, base_version=2)
    both = await base.version("heating")
    assert (both.number, both.fields["issuer"]) == (3, "住建局")
    assert "21摄氏度" in both.text


async def test_an_import_after_an_edit_is_one_more_version(base: KnowledgeBase) -> None:
    await base.import_documents([heating()], publish=True)
    await base.edit("heating", {"text": heating(degrees=21).text}, base_version=1, by="陈编辑")
    await base.import_documents([heating(degrees=22)], publish=True)
    assert [(v.number, v.changed_by) for v in await base.versions("heating")] == [
        (3, "import"),
        (2, "陈编辑"),
        (1, "import"),
    ]
    assert "21摄氏度" in (await base.version("heating", 2)).text


@pytest.mark.parametrize("document", [heating(), NewDocument(id="heating", title="供热办法", text=LAW)])
async def test_a_document_stored_before_versions_were_kept_can_be_edited(
    base: KnowledgeBase, db: Database, document: NewDocument
) -> None:
    await base.import_documents([document], publish=True)
    async with db.begin() as session:
        await session.execute(delete(KbVersion))
    assert await base.versions("heating") == []
    text = (await base.version("heating")).text
    assert split(text, document.title) == split(document.text, document.title)
    await base.edit("heating", {"text": text.replace("18", "21")}, base_version=1)
    comparison = await base.compare("heating", 1, 2)
    assert (comparison.added, comparison.removed) == (1, 1)


async def test_what_does_not_exist(base: KnowledgeBase) -> None:
    for asked in (base.versions("none"), base.version("none"), base.edit("none", {}, base_version=1)):
        with pytest.raises(DocumentNotFound):
            await asked
    await base.import_documents([heating()], publish=True)
    with pytest.raises(VersionNotFound):
        await base.version("heating", 7)


async def test_an_edit_leaves_other_documents_alone(base: KnowledgeBase, db: Database) -> None:
    async def of_dogs() -> list[int]:
        async with db.read() as session:
            query = select(KbPassage.id).where(KbPassage.document_id == "dogs")
            return list(await session.scalars(query))

    await base.import_documents([heating(), dogs()], publish=True)
    before = await of_dogs()
    await base.edit("heating", {"text": heating(degrees=21).text}, base_version=1)
    assert await of_dogs() == before


LINES = st.lists(st.sampled_from([f"第{i}句话。" for i in range(8)] + ["收费50元。", "收费80元。"]), max_size=12)


@given(LINES, LINES)
def test_a_comparison_gives_both_texts_back(old: list[str], new: list[str]) -> None:
    lines = compare({}, "".join(old), {}, "".join(new)).lines
    assert [line.text for line in lines if line.kind != "added"] == old
    assert [line.text for line in lines if line.kind != "removed"] == new
    assert all("".join(text for text, _ in line.parts) == line.text for line in lines if line.parts)
    short = shortened(lines)
    assert sum(part.count if isinstance(part, Gap) else 1 for part in short) == len(lines)
    assert [p for p in short if not isinstance(p, Gap) and p.kind != "same"] == [x for x in lines if x.kind != "same"]


def test_a_comparison_marks_what_differs_in_a_sentence() -> None:
    removed, added = compare({}, "每户补助500元，一次发放。", {}, "每户补助800元，一次发放。").lines
    assert [text for text, differs in removed.parts if differs] == ["500"]
    assert [text for text, differs in added.parts if differs] == ["800"]


def test_a_comparison_names_every_field_that_differs() -> None:
    before = dict.fromkeys([*FIELD_NAMES, "superseded_by"])
    after = before | {"valid_to": date(2026, 1, 1), "issuer": "", "superseded_by": "new"}
    changes = [(c.label, c.before, c.after) for c in compare(before, "", after, "").fields]
    assert changes == [("失效日期", "", "2026-01-01"), ("替代它的文件", "", "new")]


@given(st.lists(st.text("句子长短不一，", min_size=1, max_size=60), min_size=1, max_size=20))
def test_windows_joined_again_hold_every_sentence_once(parts: list[str]) -> None:
    text = "".join(f"{i}、{part}。" for i, part in enumerate(parts))
    again = joined([(piece.article, piece.text) for piece in split(text)])
    assert sentences(again.replace("\n", "")) == sentences(text)
