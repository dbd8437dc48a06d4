"""Building blocks that every page uses: the frame, cards, tags, buttons. Styles are in `assets/staff.css`."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

from assistant.staff.login import PAGE_ROLES, PREFIX
from assistant.staff.pages.visit import Visit, staff_href
from assistant.staff.users import ROLES

NAVIGATION = (
    ("queue", "待接"),
    ("tickets", "工单"),
    ("returns", "退单"),
    ("undelivered", "未送达"),
    ("knowledge", "知识库"),
    ("teaching", "教它新事"),
)


class Text(TextElement):
    """An element of any kind with text in it; the text is never read as markup."""

    def __init__(self, tag: str, text: str = "", classes: str = "") -> None:
        super().__init__(tag=tag, text=text)
        if classes:
            self.classes(classes)


def box(classes: str = "", tag: str = "div") -> ui.element:
    return ui.element(tag).classes(classes)


def tag(text: str, tone: str = "neutral", *, hint: str = "") -> Text:
    """A small label. `tone`: neutral, info, good, warn, bad."""
    label = Text("span", text, f"tag tag-{tone}")
    if hint:
        label.props["title"] = hint
    return label


def link(text: str, href: str, classes: str = "") -> Text:
    anchor = Text("a", text, classes)
    anchor.props["href"] = href
    return anchor


def button(text: str, on_click: Callable[..., Awaitable[None]], kind: str = "plain") -> ui.button:
    """`kind`: primary, plain, danger. Disabled while its step runs, so that a double click acts once."""

    async def once() -> None:
        control.disable()
        try:
            await on_click()
        finally:
            if not control.is_deleted:
                control.enable()

    control = ui.button(text, on_click=once, color=None).props("unelevated no-caps").classes(f"btn btn-{kind}")
    return control


@contextmanager
def card(title: str = "", *, classes: str = "") -> Iterator[ui.element]:
    with box(f"card {classes}", "section") as section:
        if title:
            Text("h2", title)
        yield section


def cell(name: str) -> ui.element:
    """A table cell; `name` is shown beside it on a phone, where the table becomes a list."""
    element = box(tag="td")
    element.props["data-name"] = name
    return element


def empty(text: str, hint: str = "") -> None:
    with box("empty"):
        Text("p", text)
        if hint:
            Text("p", hint, "muted")


def facts(rows: list[tuple[str, str]]) -> None:
    """A list of names and values; rows without a value are left out."""
    with box("facts", "dl"):
        for name, value in rows:
            if value:
                Text("dt", name)
                Text("dd", value)


@contextmanager
def frame(visit: Visit, active: str, title: str, *, wide: bool = False) -> Iterator[None]:
    """The page around its content: bar with navigation by role, heading, main landmark."""
    ui.add_head_html(f'<link rel="stylesheet" href="{PREFIX}/assets/staff.css">')
    ui.colors(primary="#1a4f8b", positive="#1d6b3c", warning="#f2c037", negative="#a8201a")
    ui.page_title(f"{title} · 民声工作台")
    link("跳到正文", "#main", "skip")
    with box("bar", "header"), box("bar-inner"):
        with link("", staff_href(""), "brand"):
            Text("span", "民声", "brand-mark")
            Text("span", "工作台")
        with box("nav", "nav").props('aria-label="主导航"'):
            for area, name in NAVIGATION:
                if visit.user.has_role(PAGE_ROLES[area]):
                    item = link(name, staff_href(area), "nav-link")
                    if area == active:
                        item.props('aria-current="page"')
        with box("who"):
            roles = "、".join(ROLES[role] for role in ROLES if role in visit.user.roles)
            Text("span", visit.user.display_name, "who-name").props["title"] = roles
            with box(tag="form").props(f'method="post" action="{PREFIX}/logout"'):
                Text("button", "退出", "link-button").props('type="submit"')
    with box("main wide" if wide else "main", "main").props('id="main" tabindex="-1"'):
        yield
