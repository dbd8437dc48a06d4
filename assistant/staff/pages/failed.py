"""What is shown when a page cannot be built: nothing of the error, which may hold what a resident wrote."""

from nicegui import ui

from assistant.staff.login import PREFIX
from assistant.staff.pages.parts import Text, box, link
from assistant.staff.pages.visit import staff_href


def draw() -> None:
    ui.add_head_html(f'<link rel="stylesheet" href="{PREFIX}/assets/staff.css">')
    with box("plain"), box("plain-card", "main"):
        Text("h1", "页面打不开")
        Text("p", "出了点问题，请稍后刷新再试。如果一直这样，请联系管理员。")
        link("回到工作台", staff_href(""), "button")
