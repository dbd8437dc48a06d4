"""Mounts login, guard and pages under `/staff` of the application."""

import logging
import traceback
from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from nicegui import core, ui

from assistant.staff.audit import Audit
from assistant.staff.login import PREFIX, Sessions, StaffGuard, build_login_router
from assistant.staff.pages import (
    cases,
    conversation,
    document,
    failed,
    health,
    home,
    knowledge,
    queue,
    returned,
    teaching,
    ticket,
    tickets,
    undelivered,
    upload,
)
from assistant.staff.pages.visit import Workbench
from assistant.staff.services import StaffServices
from assistant.staff.suggest import Suggester
from assistant.staff.ticket_api import build_ticket_api
from assistant.staff.users import Users

_ASSETS = Path(__file__).parent / "assets"


def setup_staff(app: FastAPI, services: StaffServices) -> None:
    """Adds the workbench to `app`; call it once per application, after other routers, before the server starts.

    The pages keep no state that another process needs: any process with the same secret knows a session. An open page
    itself lives in the process that served it, so a load balancer keeps a browser on one process.
    """
    users, audit = Users(services.db), Audit(services.db)
    sessions = Sessions(users, services.vault.derive("staff-session"))
    workbench = Workbench(services=services, users=users, audit=audit, sessions=sessions, suggester=Suggester(services))

    app.include_router(build_login_router(users, sessions, audit))
    app.include_router(build_ticket_api(services.tickets, audit))
    app.mount(f"{PREFIX}/assets", StaticFiles(directory=_ASSETS), name="staff-assets")
    _forget_former_application()
    ui.run_with(
        app,
        mount_path=PREFIX,
        title="民声工作台",
        favicon="🏛",
        language="zh-CN",
        tailwind=False,
        dark=False,
        reconnect_timeout=30.0,
        show_welcome_message=False,
    )
    logging.getLogger("nicegui").addFilter(_without_what_was_written)
    core.app.on_page_exception(failed.draw)
    # Upload before document: the address of a document matches any id.
    for page in (
        home,
        queue,
        returned,
        conversation,
        knowledge,
        health,
        cases,
        upload,
        document,
        teaching,
        tickets,
        ticket,
        undelivered,
    ):
        page.register()
    app.add_middleware(StaffGuard, sessions=sessions, workbench=workbench)


def _forget_former_application() -> None:
    """NiceGUI has one application per process; a second application of ours (in tests) starts from a clean one."""
    core.app.middleware_stack = None
    core.app.user_middleware.clear()


def _without_what_was_written(record: logging.LogRecord) -> bool:
    """NiceGUI logs errors with their text, which may hold what a resident wrote: kind and place have to do."""
    error = record.msg if isinstance(record.msg, BaseException) else record.exc_info[1] if record.exc_info else None
    if error is not None:
        frames = traceback.extract_tb(error.__traceback__)
        place = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
        record.msg, record.args, record.exc_info = f"{type(error).__name__}{place}", (), None
    return True
