// Builds what is shown of a message. Data reaches the page as text nodes only, never as markup.

const ZONE = "Asia/Shanghai";
const SENDERS = { assistant: "助手", agent: "座席", system: "系统", resident: "我" };
const DAY = new Intl.DateTimeFormat("zh-CN", { timeZone: ZONE, month: "long", day: "numeric", weekday: "short" });
const CLOCK = new Intl.DateTimeFormat("zh-CN", { timeZone: ZONE, hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
// A number that the text tells the resident to call: on a phone one tap calls it.
const CALL = /((?:拨打|致电|电话)[:：]?\s*)(\d{3,5}(?:-\d{7,8})?|\d{7,12})(?!\d)/g;

/** An element with attributes (`on…` are listeners) and children; a string child is text. */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
}

export const day = (iso) => (iso ? DAY.format(new Date(iso)) : "");

/** One entry of the list. `choose(payload)` is called when a button of the message is pressed. */
export function messageItem(message, choose) {
  const sender = SENDERS[message.sender] ? message.sender : "system";
  const item = element("li", { class: `message ${sender}`, "data-id": message.id, "data-day": day(message.created_at) });
  item.append(byline(SENDERS[sender], message.created_at));
  if (sender !== "resident" && "speechSynthesis" in window) item.firstChild.append(speaker(message.text));
  if (message.text) item.append(element("p", { class: "text" }, ...withCalls(message.text, sender)));
  if (message.ticket?.number) item.append(ticketCard(message.ticket));
  if (message.citations?.length) {
    item.append(element("div", { class: "sources" }, ...byDocument(message.citations).map(sourceCard)));
  }
  if (message.buttons?.length) {
    item.append(element("div", { class: "choices" }, ...message.buttons.map((button) =>
      element("button", { type: "button", class: "choice", onclick: () => choose(button.payload || button.title) }, button.title))));
  }
  return item;
}

export function byline(name, createdAt) {
  const time = createdAt ? element("time", { datetime: createdAt }, CLOCK.format(new Date(createdAt))) : null;
  return element("div", { class: "byline" }, element("span", {}, name), time);
}

/** Reads a message aloud; shown in elder mode. A second press stops. */
function speaker(text) {
  const speak = () => {
    if (speechSynthesis.speaking) return speechSynthesis.cancel();
    const words = new SpeechSynthesisUtterance(text);
    words.lang = "zh-CN";
    words.rate = 0.9;
    speechSynthesis.speak(words);
  };
  return element("button", { type: "button", class: "speak", onclick: speak }, "朗读");
}

function withCalls(text, sender) {
  if (sender === "resident") return [text];
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(CALL)) {
    const start = match.index + match[1].length;
    parts.push(text.slice(end, start), element("a", { href: `tel:${match[2]}` }, match[2]));
    end = start + match[2].length;
  }
  parts.push(text.slice(end));
  return parts;
}

function rows(pairs) {
  return element("dl", {}, ...pairs.filter(([, value]) => value).flatMap(([name, value]) =>
    [element("dt", {}, name), element("dd", {}, value)]));
}

/** One citation a document, with all of its articles. */
function byDocument(citations) {
  const documents = new Map();
  for (const citation of citations) {
    const key = JSON.stringify({ ...citation, article: null });
    const articles = documents.get(key)?.articles || [];
    documents.set(key, { ...citation, articles: citation.article ? [...articles, citation.article] : articles });
  }
  return [...documents.values()].map(({ articles, ...citation }) => ({ ...citation, article: articles.join("、") }));
}

/** Where an answer comes from; folded to one line, opened by a tap. */
function sourceCard(citation) {
  const title = `《${(citation.title || citation.document || "").replace(/^《|》$/g, "")}》`;
  const valid = validity(citation);
  const article = citation.article ? `${/^第/.test(citation.article) ? "" : " · "}${citation.article}` : "";
  const show = (event) => event.target.open && event.target.scrollIntoView({ block: "nearest" });
  return element("details", { class: valid.over ? "source over" : "source", ontoggle: show },
    element("summary", {}, element("span", { class: "mark" }, "依据"), title + article),
    rows([["文件", title], ["条款", citation.article], ["发布机关", citation.issuer || "未注明"], ["有效期", valid.words]]));
}

function validity({ valid_from: from, valid_to: to }) {
  const words = (iso) => iso.replace(/^(\d+)-0?(\d+)-0?(\d+).*$/, "$1年$2月$3日");
  const today = new Date(Date.now() + 8 * 3600_000).toISOString().slice(0, 10);
  if (to && to < today) return { over: true, words: `已于 ${words(to)} 到期，请以最新规定为准` };
  if (from && to) return { words: `${words(from)} 至 ${words(to)}` };
  if (from) return { words: `${words(from)} 起施行，现行有效` };
  return { words: to ? `有效至 ${words(to)}` : "文件未注明" };
}

/** The receipt: what a resident notes down. */
function ticketCard(ticket) {
  const number = element("output", { class: "number" }, ticket.number);
  const copy = element("button", { type: "button", class: "copy", onclick: () => copyNumber(number, copy) }, "复制");
  return element("section", { class: "ticket", "aria-label": `工单 ${ticket.number}` },
    element("div", { class: "stub" }, element("span", { class: "label" }, "工单号"), number, copy),
    element("div", { class: "body" },
      rows([["承办单位", ticket.unit || "正在确定"], ["办结时限", ticket.due_at ? deadline(ticket.due_at) : ""]]),
      element("span", { class: "stamp" }, ticket.state || "已受理")));
}

/** "11月25日 周三 18:00 前（还有 3 天）": the moment and how far away it is. */
export function deadline(iso, now = Date.now()) {
  const at = new Date(iso);
  const hours = (at - now) / 3600_000;
  const left = hours <= 0 ? "已到时限"
    : hours < 1 ? `还有 ${Math.max(1, Math.round(hours * 60))} 分钟`
    : hours < 48 ? `还有 ${Math.round(hours)} 小时`
    : `还有 ${Math.round(hours / 24)} 天`;
  return `${DAY.format(at)} ${CLOCK.format(at)} 前（${left}）`;
}

async function copyNumber(number, button) {
  try {
    await navigator.clipboard.writeText(number.textContent);
  } catch { // no clipboard on plain http: select it, so that one gesture copies
    const range = document.createRange();
    range.selectNodeContents(number);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    if (!document.execCommand?.("copy")) { button.textContent = "请长按复制"; return; }
  }
  button.textContent = "已复制";
  setTimeout(() => { button.textContent = "复制"; }, 2500);
}
