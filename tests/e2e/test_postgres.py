"""The whole application on PostgreSQL and Redis, as a city runs it: tables, tracker store and lock store."""

import time
from pathlib import Path

import pytest

from tests.application import serve
from tests.e2e.test_resident import desk_requests, file_ticket

pytestmark = [pytest.mark.engine, pytest.mark.postgres]


def test_a_complaint_on_postgresql_and_redis(tmp_path: Path, postgres_url: str, redis_url: str) -> None:
    settings = {"database_url": postgres_url, "tracker_database_url": postgres_url, "redis_url": redis_url}
    with serve(tmp_path / "data", **settings) as server:
        resident = server.resident()
        number = file_ticket(resident)["number"]
        deadline = time.monotonic() + 30
        while not desk_requests(server, number) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert len(desk_requests(server, number)) == 1
        assert number in resident.hear("我的工单处理到哪一步了")
        assert not list((tmp_path / "data").glob("*.db"))
