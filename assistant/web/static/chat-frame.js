// The fixed parts of the chat: letterhead, list, notices, composer. What they do is told by the element.

import { element } from "./chat-cards.js";

const SUGGESTIONS = ["办事咨询", "我要投诉", "查工单进度"];
const EMERGENCY = ["119", "110", "120"];

/** @param {object} act what to call: say, submit, typed, key, toggleElder, askRestart, restart, scrollDown, scrolled;
 *  and `heading`, `seal` (address of the picture), `elder`. Returns the parts by name; `frame` holds them all. */
export function buildFrame(act) {
  const button = (label, attributes, onclick) => element("button", { type: "button", ...attributes, onclick }, label);
  const ui = {
    log: element("ol", { class: "log", role: "log", "aria-live": "polite", "aria-label": "对话", "aria-busy": "true" }),
    outbox: element("ol", { class: "log outbox", "aria-label": "还没送到的话" }),
    typing: element("p", { class: "typing", hidden: true }, element("i"), element("i"), element("i"), element("span", {}, "正在答复")),
    notice: element("p", { class: "notice", role: "status", hidden: true }),
    queue: element("p", { class: "queue", role: "status", hidden: true }),
    text: element("textarea", {
      rows: 1, id: "text", enterkeyhint: "send", autocomplete: "off", placeholder: "请写下您的问题或诉求",
      "aria-describedby": "limit", oninput: act.typed, onkeydown: act.key,
    }),
    limit: element("p", { class: "limit", id: "limit", role: "status", hidden: true }),
    person: button("转人工", { class: "person" }, () => act.say("转人工")),
    elder: button("长辈版", { class: "plain", "aria-pressed": String(act.elder) }, act.toggleElder),
    restart: button("重新开始", { class: "plain" }, () => act.askRestart(true)),
    latest: button("看最新消息", { class: "latest", hidden: true }, act.scrollDown),
    sure: element("div", { class: "sure", role: "group", "aria-label": "重新开始", hidden: true },
      element("p", {}, "清空这里的对话，从头说起？已生成的工单不受影响。"),
      button("清空", { class: "choice" }, act.restart),
      button("不清空", { class: "choice" }, () => act.askRestart(false))),
    welcome: element("section", { class: "welcome", "aria-label": "欢迎" },
      element("p", { class: "hello" }, "您好，我是市民诉求助手。"),
      element("p", {}, "想问政策、反映问题，还是查工单？直接说就行。"),
      element("div", { class: "choices" }, ...SUGGESTIONS.map((text) => button(text, { class: "choice" }, () => act.say(text)))),
      element("p", { class: "example" }, "可以这样说：“人民路 20 号院门口的路灯坏了三天，晚上很黑。”"),
      element("p", { class: "danger" }, "有人身危险，请先拨打 ", ...EMERGENCY.flatMap((number, index) =>
        [index ? "、" : "", element("a", { href: `tel:${number}` }, number)]), "。")),
  };
  ui.scroll = element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "对话内容" },
    ui.welcome, ui.log, ui.outbox, ui.typing);
  ui.scroll.addEventListener("scroll", act.scrolled, { passive: true });
  ui.frame = element("div", { class: "frame" },
    element("header", {},
      element("img", { src: act.seal, alt: "", width: 40, height: 40 }), element("h2", {}, act.heading), ui.elder, ui.restart),
    ui.sure, ui.queue, ui.scroll, ui.latest, ui.notice,
    element("form", { class: "composer", onsubmit: (event) => { event.preventDefault(); act.submit(); } },
      element("label", { for: "text", class: "unseen" }, "您的问题或诉求"), ui.text, ui.limit,
      element("div", { class: "actions" }, ui.person, element("button", { type: "submit", class: "send" }, "发送"))));
  return ui;
}
