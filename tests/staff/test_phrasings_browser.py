"""常见问法 in a real Chromium: on a document's page, from the hit test, from a cluster of unanswered questions."""

import sqlite3

import pytest
from playwright.sync_api import expect

from tests.staff.conftest import Open, Workbench
from tests.staff.encoder import PairEncoder
from tests.staff.looking import fits, picture

pytestmark = pytest.mark.browser

RENT = "租房提取住房公积金要缴存几个月"


def stored(workbench: Workbench) -> list[tuple[str, str | None, str, str]]:
    with sqlite3.connect(workbench.database, timeout=30) as database:
        return database.execute("SELECT document_id, label, text, source FROM kb_phrasings ORDER BY id").fetchall()


def audited(workbench: Workbench, event: str) -> int:
    with sqlite3.connect(workbench.database, timeout=30) as database:
        found = database.execute("SELECT count(*) FROM audit WHERE event = ?", (event,)).fetchone()
    return int(found[0])


@pytest.mark.parametrize("width", [1280, 390])
def test_an_editor_adds_and_deletes_a_phrasing(open_as: Open, workbench: Workbench, width: int) -> None:
    page = open_as("editor", width)
    page.goto("/staff/knowledge/rent")
    expect(page.get_by_role("heading", name="常见问法")).to_be_visible()
    expect(page.get_by_text("还没有问法。")).to_be_visible()
    page.get_by_role("button", name="添加问法").click()
    expect(page.get_by_text("请先写一句居民会说的话。")).to_be_visible()
    before = audited(workbench, "kb.phrasing_add")
    page.get_by_label("居民的问法").fill("房租能拿那个钱交不 <b>13812345678</b>")
    page.get_by_role("combobox", name="写在哪一条").click()
    page.get_by_role("option", name="第二条").click()
    page.get_by_role("button", name="添加问法").click()
    expect(page.get_by_text("房租能拿那个钱交不 <b>138****5678</b>")).to_be_visible()
    assert audited(workbench, "kb.phrasing_add") == before + 1
    assert [(document, label) for document, label, _, _ in stored(workbench)] == [("rent", "第二条")]
    picture(page, f"phrasings-{width}")
    fits(page)
    page.get_by_role("button", name="删除：").click()
    expect(page.get_by_text("还没有问法。")).to_be_visible()
    assert stored(workbench) == []
    assert audited(workbench, "kb.phrasing_remove") > 0


def test_a_tried_question_is_kept_at_the_hit(open_as: Open, workbench: Workbench) -> None:
    page = open_as("editor")
    page.get_by_label("问题", exact=True).fill(RENT)
    page.get_by_role("button", name="提问").click()
    expect(page.get_by_text("会这样回答")).to_be_visible()
    page.get_by_role("button", name="这样问应找到这里").first.click()
    expect(page.get_by_text("已记为问法：《住房公积金租房提取办法》")).to_be_visible()
    page.get_by_role("button", name="提问").click()
    expect(page.get_by_text("· 问法 1.000").first).to_be_visible()
    picture(page, "hit-test-phrasing")
    fits(page)
    page.get_by_role("button", name="这样问应找到这里").first.click()
    expect(page.get_by_text("这个问法已经在这里了")).to_be_visible()
    ((document, _, text, source),) = stored(workbench)
    assert (document, text, source) == ("rent", RENT, "hit_test")


def test_unanswered_questions_are_put_to_a_place(open_as: Open, workbench: Workbench) -> None:
    asked = ["屋子冷冰冰找谁修", "屋子冷冰冰谁来修"]
    with sqlite3.connect(workbench.database, timeout=30) as database:
        database.execute("DELETE FROM kb_findings")
        database.execute("DELETE FROM kb_phrasings")
        for question in asked:
            (vector,) = PairEncoder().embed([question], "query")
            database.execute(
                "INSERT INTO kb_unanswered (question, embedding, encoder, asked_at) VALUES (?, ?, ?, ?)",
                (question, vector.tobytes(), PairEncoder.encoder_id, "2026-11-22 08:00:00.000000"),
            )
    page = open_as("editor")
    page.goto("/staff/health")
    page.get_by_role("button", name="现在体检").click()
    finding = page.get_by_role("article").filter(has_text="没有找到答案")
    finding.get_by_role("button", name="归到已有条款").click()
    dialog = page.get_by_role("dialog")
    for question in asked:
        expect(dialog.get_by_text(question)).to_be_visible()
    picture(page, "phrasings-assign")
    dialog.get_by_role("combobox", name="条款").click()
    page.get_by_role("option", name="第二条").click()
    dialog.get_by_role("button", name="保存问法").click()
    expect(page.get_by_text("已记下 2 个问法，这一条标为已处理。")).to_be_visible()
    expect(finding).to_have_count(0)
    found = stored(workbench)
    assert sorted(text for _, _, text, _ in found) == sorted(asked)
    assert {(document, label, source) for document, label, _, source in found} == {("rent", "第二条", "unanswered")}
