"""`minsheng kb`: what is printed, what is refused, and that a dry run stores nothing."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import openpyxl
import pytest
import structlog
from typer.testing import CliRunner

from assistant.settings import get_settings
from kb import cli, cli_import
from kb.embedding import BulkEncoder
from tests.kb.conftest import HashEncoder
from tests.kb.files import pdf_of


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator["Runner"]:
    monkeypatch.setenv("MINSHENG_DATA_DIR", str(tmp_path / "var"))
    monkeypatch.setattr(cli.Reader, "load", lambda *_, **__: HashEncoder())
    monkeypatch.setattr(cli_import.BulkEncoder, "load", lambda *_, **__: BulkEncoder(HashEncoder(), threads=2))
    get_settings.cache_clear()
    handlers, level = logging.root.handlers[:], logging.root.level
    yield Runner()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    structlog.reset_defaults()
    get_settings.cache_clear()


class Runner:
    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(cli.app, list(arguments))
        return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "heating.md").write_text(
        "---\nid: heating\nissuer: 城管局\n---\n# 居民供热办法\n## 室温\n室内温度不低于18摄氏度。", encoding="utf-8"
    )
    return folder


def test_import_list_and_search(run: Runner, files: Path) -> None:
    code, out, _ = run("import", str(files), "--json")
    assert code == 0
    assert {k: json.loads(out)[k] for k in ("added", "passages", "refused")} == {
        "added": 1,
        "passages": 1,
        "refused": [],
    }
    code, out, _ = run("list", "--json")
    (row,) = json.loads(out)
    assert (code, row["id"], row["status"], row["passages"]) == (0, "heating", "published", 1)
    code, out, _ = run("search", "室内温度不低于多少", "--json")
    found = json.loads(out)
    assert found["hits"][0]["document"] == "heating"
    assert found["outcome"] in ("answered", "not_found")
    code, out, _ = run("search", "室内温度")
    assert code == 0
    assert "居民供热办法" in out


def test_search_keeps_to_region_audience_and_category(run: Runner, files: Path) -> None:
    (files / "other.md").write_text(
        "---\nid: other\nregion: 开封市\naudience: 单位\ncategory: 供电\n---\n# 单位供热办法\n"
        "## 室温\n室内温度不低于20摄氏度。",
        encoding="utf-8",
    )
    assert run("import", str(files))[0] == 0

    def found(*options: str) -> set[str]:
        code, out, _ = run("search", "室内温度不低于多少", "--json", *options)
        assert code == 0
        told = json.loads(out)
        hits = {hit["document"] for hit in told["hits"]}
        assert {c["document"] for c in told["citations"]} <= hits
        return hits

    assert found() == {"heating", "other"}
    assert found("--region", "郑州市") == {"heating"}
    assert found("--audience", "个人") == {"heating"}
    assert found("--category", "供电") == {"other"}
    assert found("--category", "供电", "--region", "郑州市") == set()


def test_a_language_model_without_a_name_is_told(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINSHENG_LLM_URL", "http://127.0.0.1:9/v1")
    code, _, err = run("search", "室内温度")
    assert (code, "MINSHENG_LLM_MODEL" in err) == (2, True)


def test_brackets_in_a_document_are_no_markup(run: Runner, files: Path) -> None:
    (files / "a.md").write_text("# 办法[/b]\n见[a]附件[/i]。", encoding="utf-8")
    code, out, _ = run("import", str(files), "--dry-run")
    assert code == 0
    assert "办法[/b]" in out
    assert "见[a]附件[/i]。" in out
    assert run("import", str(files))[0] == 0
    assert "办法[/b]" in run("list")[1]


def test_a_dry_run_shows_the_passages_and_stores_nothing(run: Runner, files: Path) -> None:
    code, out, _ = run("import", str(files), "--dry-run", "--json")
    assert code == 0
    assert json.loads(out)["documents"][0]["passages"] == [{"article": "室温", "text": "室内温度不低于18摄氏度。"}]
    assert json.loads(run("list", "--json")[1]) == []


def test_a_refused_file_is_named_and_the_rest_imported(run: Runner, files: Path) -> None:
    (files / "broken.pdf").write_bytes(b"no")
    code, out, err = run("import", str(files))
    assert code == 1
    assert "新增 1 份" in out
    assert "broken.pdf" in err
    assert "扩展名" in err


def test_a_template_that_was_filled_in_is_imported(run: Runner, tmp_path: Path) -> None:
    sheet = tmp_path / "问答.xlsx"
    assert run("template", str(sheet))[0] == 0
    assert run("template", str(sheet))[0] == 2
    assert run("template", str(tmp_path / "a.docx"))[0] == 2
    book = openpyxl.load_workbook(sheet)
    book["问答"].append(["居住证怎么办？", "带身份证到派出所。"])
    book.save(sheet)
    code, out, _ = run("import", str(sheet), "--json")
    assert code == 0
    assert (json.loads(out)["added"], json.loads(out)["notes"]) == (1, [])


def test_pages_without_text_are_told_with_the_report(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "half.pdf").write_bytes(pdf_of("The first page has text.", None))
    code, out, err = run("import", str(tmp_path / "half.pdf"))
    assert (code, "新增 1 份" in out) == (0, True)
    assert "第 2 页没有文字" in err.replace("\n", "")


def test_eval_leaves_the_real_base_alone(run: Runner, tmp_path: Path) -> None:
    corpus, questions = tmp_path / "d.jsonl", tmp_path / "q.jsonl"
    corpus.write_text(json.dumps({"docid": "a", "title": "供热办法", "text": "室温不低于18度。"}), encoding="utf-8")
    questions.write_text(json.dumps({"question": "室温", "docid": "a", "answer": "18度"}), encoding="utf-8")
    code, out, _ = run("eval", "--corpus", str(corpus), "--questions", str(questions), "--json")
    assert code == 0
    result = json.loads(out)
    assert {"n", "recall@1", "recall@5", "recall@10", "mrr@10", "rouge_l", "ms_p50", "ms_p95"} <= set(result)
    assert (result["n"], result["recall@1"]) == (1, 1.0)
    assert not (tmp_path / "var").exists()


def test_a_broken_corpus_is_refused_in_chinese(run: Runner, tmp_path: Path) -> None:
    corpus = tmp_path / "d.jsonl"
    corpus.write_text("{", encoding="utf-8")
    code, _, err = run("eval", "--corpus", str(corpus), "--questions", str(corpus))
    assert code == 2
    assert "JSON" in err
