"""`minsheng kb show | versions | diff | status`."""

import json
from pathlib import Path

from tests.kb.test_cli import Runner, files, run

__all__ = ["files", "run"]


def _write(files: Path, name: str, degrees: int, valid_from: str = "") -> None:
    head = f"---\nid: {name}\nissuer: 城管局\nvalid_from: {valid_from}\n---\n"
    text = f"# 居民供热办法\n## 室温\n室内不低于{degrees}摄氏度。"
    (files / f"{name}.md").write_text(head + text, encoding="utf-8")


def test_versions_are_listed_shown_and_compared(run: Runner, files: Path) -> None:
    for degrees in (18, 20):
        _write(files, "heating", degrees)
        assert run("import", str(files))[0] == 0
    code, out, _ = run("versions", "heating", "--json")
    assert (code, [(v["number"], v["changed_by"]) for v in json.loads(out)]) == (0, [(2, "import"), (1, "import")])
    assert "批量导入" in run("versions", "heating")[1]
    assert "18摄氏度" in json.loads(run("show", "heating", "--version", "1", "--json")[1])["text"]
    code, out, _ = run("show", "heating")
    assert (code, "城管局" in out, "20摄氏度" in out) == (0, True, True)
    code, out, _ = run("diff", "heating", "1", "2")
    assert code == 0
    assert "－ 删去 室内不低于18摄氏度。" in out
    assert "＋ 新增 室内不低于20摄氏度。" in out
    assert json.loads(run("diff", "heating", "1", "2", "--json")[1])["added"] == ["室内不低于20摄氏度。"]
    assert "两版相同" in run("diff", "heating", "2", "2")[1]


def test_a_status_is_changed_and_a_refusal_says_why(run: Runner, files: Path) -> None:
    _write(files, "heating", 18)
    _write(files, "heating-2026", 20, "2026-01-01")
    run("import", str(files))
    assert run("status", "heating", "suspended")[0] == 0
    code, _, err = run("status", "heating", "draft")
    assert (code, "published" in err) == (2, True)
    assert run("status", "heating", "published")[0] == 0
    code, out, _ = run("status", "heating", "superseded", "--by", "heating-2026", "--json")
    changed = json.loads(out)
    assert (code, changed["status"], changed["valid_to"]) == (0, "superseded", "2025-12-31")
    hits = json.loads(run("search", "室内不低于多少度", "--as-of", "2025-12-31", "--json")[1])["hits"]
    assert {hit["document"] for hit in hits} == {"heating"}
    for words, said in (
        (("status", "heating-2026", "gone"), "没有“gone”"),
        (("status", "none", "published"), "没有找到"),
        (("status", "heating-2026", "superseded"), "选择"),
        (("diff", "heating-2026", "1", "9"), "没有这一版"),
        (("show", "none"), "没有找到"),
        (("versions", "none"), "没有找到"),
    ):
        code, _, err = run(*words)
        assert (code, said in err) == (2, True)
