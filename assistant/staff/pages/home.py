"""`/staff/`: the first page the user's roles open."""

from fastapi import Request
from fastapi.responses import RedirectResponse, Response
from nicegui import ui

from assistant.staff.login import PAGE_ROLES
from assistant.staff.pages.parts import NAVIGATION, empty, frame
from assistant.staff.pages.visit import Visit, staff_href


def register() -> None:
    ui.page("/")(home)


async def home(request: Request) -> Response | None:
    visit = Visit.of(request, None)
    for area, _ in NAVIGATION:
        if visit.user.has_role(PAGE_ROLES[area]):
            return RedirectResponse(staff_href(area), 303)
    with frame(visit, "", "首页"):
        empty("您的账号还没有可用的页面", "请联系管理员为您的账号添加角色。")
    return None
