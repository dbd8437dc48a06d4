"""The examples of docs/guide/operators.md do what they say."""

import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar, get_args

import pytest
import yaml

from assistant.db.models import now
from assistant.dispatch.choice import DestinationChoice
from assistant.dispatch.definitions import build
from assistant.dispatch.destinations.log import LogDestination
from assistant.dispatch.reports import Report
from assistant.dispatch.signature import is_fresh, is_genuine
from tests.dispatch.test_with_tickets import CITY

SECRET = "the secret of the water company"
GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "guide" / "operators.md").read_text(encoding="utf-8")


def example(language: str, containing: str) -> str:
    (found,) = [text for text in re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL) if containing in text]
    return str(found)


class Ear(BaseHTTPRequestHandler):
    """Keeps what it hears."""

    heard: ClassVar[list[tuple[str, dict[str, str], bytes]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.heard.append((self.path, dict(self.headers), body))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"applied": true}')

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def ear() -> Iterator[str]:
    Ear.heard.clear()
    with HTTPServer(("127.0.0.1", 0), Ear) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join(10)


def check_heard() -> Report:
    ((path, headers, body),) = Ear.heard
    assert path == "/webhooks/dispatch/water"
    assert is_genuine(SECRET, headers["Minsheng-Timestamp"], body, headers["Minsheng-Signature"])
    assert is_fresh(headers["Minsheng-Timestamp"], now())
    return Report.model_validate(json.loads(body))


def test_the_shell_example_signs_rightly(ear: str, tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "water").write_text(SECRET + "\n")
    environment = {**os.environ, "MINSHENG": ear, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    done = subprocess.run(
        ["bash", "-euc", example("sh", "openssl dgst")], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == '{"applied": true}'
    assert (check_heard().state, check_heard().public_reply) == ("resolved", "已恢复供水")


def test_the_python_example_signs_rightly(ear: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    names: dict[str, Any] = {}
    exec(example("python", "def report"), names)
    answer = names["report"](ear, "water", SECRET, delivery_id="R-1", ticket="ZZ1", state="ask", note="几号楼？")
    assert answer == {"applied": True}
    assert (check_heard().state, check_heard().note) == ("ask", "几号楼？")


async def test_the_files_of_the_guide_are_right(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "water").write_text(SECRET)
    path = tmp_path / "destinations.yml"
    path.write_text(example("yaml", "kind: webhook"))
    found = build(LogDestination(), path, environment={"CITY_311_KEY": "k"})
    assert set(found) == {"desk", "log", "city", "water"} and found.secrets == {"water": SECRET}
    await found.close()
    (tmp_path / "dispatch.yml").write_text(example("yaml", "rules:"))
    choice = DestinationChoice.load(tmp_path, CITY, list(found))
    assert choice("市水利局", "城乡建设", None) == "water"
    assert yaml.safe_load(example("yaml", "rules:"))["default"] == choice.default == "city"


def test_the_table_of_states_is_whole() -> None:
    told = re.findall(r"^\| `(\w+)` \| ", GUIDE[GUIDE.index("报告办理情况") :], re.MULTILINE)
    assert set(told) - {"state"} == set(get_args(Report.model_fields["state"].annotation))
