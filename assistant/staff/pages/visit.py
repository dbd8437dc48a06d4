"""One open page of one member of staff: who it is, what they may do, and how errors reach them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec

import structlog
from fastapi import Request
from nicegui import ui

from assistant.errors import MinshengError, NotAllowed
from assistant.staff.audit import Audit
from assistant.staff.login import PREFIX, VISITOR_KEY, WORKBENCH_KEY, Sessions
from assistant.staff.services import StaffServices
from assistant.staff.suggest import Suggester
from assistant.staff.users import StaffUser, Users

log = structlog.get_logger()
P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Workbench:
    """Everything the pages of one application share."""

    services: StaffServices
    users: Users
    audit: Audit
    sessions: Sessions
    suggester: Suggester


class SessionEnded(Exception):
    """The account was disabled or its password changed while the page was open."""


class Visit:
    """A page that is open. `role`: the role the page needs."""

    def __init__(self, bench: Workbench, user: StaffUser, role: str | None) -> None:
        self.bench = bench
        self.services = bench.services
        self.user = user
        self.role = role

    @classmethod
    def of(cls, request: Request, role: str | None) -> "Visit":
        """The visit of a request that the guard let through. Raises NotAllowed without the page's role."""
        user = request.scope[VISITOR_KEY]
        if role is not None and not user.has_role(role):
            raise NotAllowed
        return cls(request.scope[WORKBENCH_KEY], user, role)

    async def check(self) -> StaffUser:
        """The user as they are now. Raises SessionEnded or NotAllowed."""
        user = await self.bench.sessions.refresh(self.user.id, self.user.fingerprint)
        if user is None:
            raise SessionEnded
        if self.role is not None and not user.has_role(self.role):
            raise NotAllowed
        self.user = user
        return user

    async def audit(self, event: str, object_: str, *, success: bool = True) -> None:
        await self.bench.audit.record(self.user.name, event, object_, success=success)

    def step(self, work: Callable[P, Awaitable[None]]) -> Callable[P, Awaitable[None]]:
        """Wraps what a click or a timer does: checks the user first, and tells them in Chinese what went wrong."""

        @wraps(work)
        async def checked(*args: P.args, **kwargs: P.kwargs) -> None:
            try:
                await self.check()
                await work(*args, **kwargs)
            except SessionEnded:
                ui.navigate.to("/login")
            except MinshengError as error:
                ui.notify(error.detail, type="warning", position="top", timeout=8000, close_button="知道了")
            except Exception as error:
                # The text of an unforeseen error may hold what a resident wrote.
                log.error("staff.step_failed", page=self.role, step=work.__qualname__, error=type(error).__name__)
                ui.notify("出了点问题，请刷新页面再试。", type="negative", position="top")

        return checked


def staff_href(path: str) -> str:
    """The address of a page for a link: `staff_href("queue")`."""
    return f"{PREFIX}/{path}"
