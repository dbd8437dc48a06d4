// <minsheng-chat>: the resident's conversation as one element for any page.
//
//   <script type="module" src="https://assistant.example/static/minsheng-chat.js"></script>
//   <minsheng-chat></minsheng-chat>
//
// Attributes: `server` (origin of the assistant; where this file came from), `heading`, `elder` (large print).

import { ApiError, Connection } from "./chat-connection.js";
import { byline, element, messageItem } from "./chat-cards.js";
import { buildFrame } from "./chat-frame.js";
import { Store, newKey } from "./chat-store.js";

const HERE = new URL(".", import.meta.url);
const MAX_CHARS = 8000;
const RETRY_MS = [2_000, 4_000, 8_000, 15_000, 30_000];
const POLL_MS = 4_000;
const SLOW_MS = 6_000;

class MinshengChat extends HTMLElement {
  #store; #connection; #ui; #life; #follow; #retryTimer; #draining = false; #retries = 0;
  #seen = new Map(); // id → list item
  #cursor = 0; // everything up to here has been received in order
  #echoes = []; // my messages that the server has not shown yet: {key, text, state, problem, item}

  connectedCallback() {
    const server = (this.getAttribute("server") || HERE.origin).replace(/\/$/, "");
    this.#store = new Store(server);
    this.#connection = new Connection(server);
    this.#life = new AbortController();
    this.toggleAttribute("elder", this.#store.elder || this.hasAttribute("elder"));
    this.#build();
    for (const { key, text } of this.#store.state.pending) this.#addEcho(key, text);
    const { signal } = this.#life;
    addEventListener("online", () => this.#drain(), { signal });
    addEventListener("offline", () => this.#notice("网络断开了。您写的内容都会保存，联网后自动发出。"), { signal });
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.#listen(); }, { signal });
    this.#resume();
  }

  disconnectedCallback() {
    this.#life?.abort();
    this.#follow?.abort();
    clearTimeout(this.#retryTimer);
  }

  // --- what is on the screen -----------------------------------------------------------------------------------

  #build() {
    const root = this.shadowRoot || this.attachShadow({ mode: "open" });
    const ui = (this.#ui = buildFrame({
      heading: this.getAttribute("heading") || "民声助手",
      seal: new URL("seal.svg", HERE).href,
      elder: this.hasAttribute("elder"),
      say: (text) => this.#say(text),
      submit: () => this.#submit(),
      typed: () => this.#typed(),
      key: (event) => this.#key(event),
      toggleElder: () => this.#toggleElder(),
      askRestart: (open) => this.#askRestart(open),
      restart: () => this.#restart(),
      scrollDown: () => this.#scrollDown(),
      scrolled: () => { if (this.#atEnd()) ui.latest.hidden = true; },
    }));
    ui.frame.hidden = true; // until the style is here: no flash of bare text on a slow phone
    const show = () => { ui.frame.hidden = false; this.#grow(); this.#scrollDown(); };
    root.replaceChildren(
      element("link", { rel: "stylesheet", href: new URL("minsheng-chat.css", HERE).href, onload: show, onerror: show }), ui.frame);
    ui.text.value = this.#store.state.draft || "";
  }

  #typed() {
    this.#grow();
    this.#store.save({ draft: this.#ui.text.value });
    const over = this.#ui.text.value.length - MAX_CHARS;
    this.#ui.limit.hidden = over <= -500;
    this.#ui.limit.textContent = over > 0 ? `超出 ${over} 字，请缩短或分两次发。` : `还可以写 ${-over} 字。`;
  }

  #grow() {
    const { text } = this.#ui;
    text.style.height = "auto";
    text.style.height = `${text.scrollHeight + 4}px`;
  }

  #key(event) {
    // While an input method composes (keyCode 229 in older browsers), Enter picks a word and must not send.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    this.#submit();
  }

  #toggleElder() {
    const on = this.toggleAttribute("elder");
    this.#store.elder = on;
    this.#ui.elder.setAttribute("aria-pressed", String(on));
    this.#grow();
    this.#scrollDown();
  }

  #notice(text) {
    const end = this.#atEnd();
    this.#ui.notice.hidden = !text;
    this.#ui.notice.textContent = text || "";
    if (end) this.#scrollDown();
  }

  #atEnd() {
    const { scroll } = this.#ui;
    return scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 80;
  }

  #scrollDown() {
    this.#ui.scroll.scrollTop = this.#ui.scroll.scrollHeight;
    this.#ui.latest.hidden = true;
  }

  /** Runs a change of the list; follows it only if the resident was reading the end. */
  #change(work, follow = this.#atEnd()) {
    work();
    this.#ui.welcome.hidden = this.#seen.size + this.#echoes.length > 0;
    if (follow) this.#scrollDown();
    else this.#ui.latest.hidden = false;
  }

  // --- what comes from the server ------------------------------------------------------------------------------

  #receive(messages) {
    const fresh = messages.filter(({ id }) => !this.#seen.has(id)).sort((a, b) => a.id - b.id);
    if (!fresh.length) return;
    this.#change(() => {
      for (const message of fresh) {
        if (message.sender === "resident") this.#confirm(message);
        const item = messageItem(message, (payload) => this.#say(payload));
        const after = [...this.#seen.entries()].filter(([id]) => id > message.id).sort(([a], [b]) => a - b)[0];
        this.#ui.log.insertBefore(item, after ? after[1] : null);
        this.#seen.set(message.id, item);
      }
      this.#settle();
    });
  }

  /** The server shows a message of mine: its echo has done its work. */
  #confirm(message) {
    const echo = this.#echoes.find(({ key }) => key === message.client_message_id);
    if (echo) this.#dropEcho(echo);
  }

  /** Headings between days; only the newest buttons can still be pressed. */
  #settle() {
    const items = [...this.#ui.log.children];
    const lastOwn = Math.max(-1, ...items.map((item, index) => (item.classList.contains("resident") ? index : -1)));
    items.forEach((item, index) => {
      const newDay = item.dataset.day && item.dataset.day !== items[index - 1]?.dataset.day;
      item.classList.toggle("newday", Boolean(newDay) && items[0].dataset.day !== items.at(-1).dataset.day);
      item.classList.toggle("past", index < lastOwn || this.#echoes.length > 0);
    });
  }

  #handover(handover) {
    const { queue, person } = this.#ui;
    const end = this.#atEnd();
    queue.hidden = !handover;
    person.disabled = Boolean(handover);
    person.textContent = !handover ? "转人工" : handover.state === "agent" ? "人工已接通" : "正在转人工";
    queue.textContent = !handover ? "" : handover.state === "agent" ? "人工座席正在为您服务，请直接留言。"
      : `已为您呼叫人工座席，${handover.ahead > 0 ? `前面还有 ${handover.ahead} 位` : "您是下一位"}。您可以先把情况写下来。`;
    if (end) this.#scrollDown();
  }

  #take(answer, inOrder) {
    const messages = Array.isArray(answer.messages) ? answer.messages : [];
    this.#receive(messages);
    if (inOrder) for (const { id } of messages) this.#cursor = Math.max(this.#cursor, id);
    if ("handover" in answer) this.#handover(answer.handover);
  }

  /** After a reload: the transcript from the server, then whatever was not sent. */
  async #resume() {
    const { conversation } = this.#store.state;
    if (conversation) {
      try {
        this.#take(await this.#connection.since(conversation, 0), true);
        this.#listen();
      } catch (error) {
        if (!this.#life.signal.aborted) this.#failed(error);
      }
      if (this.#store.state.conversation && !this.#follow) this.#listen();
    }
    this.#ui.log.setAttribute("aria-busy", "false");
    this.#drain();
  }

  /** Follows the conversation: a stream where the network lets it through, questions every few seconds where not. */
  async #listen() {
    this.#follow?.abort();
    const follow = (this.#follow = new AbortController());
    const { signal } = follow;
    let failures = 0;
    while (!signal.aborted && !this.#life.signal.aborted && this.#store.state.conversation) {
      const { conversation } = this.#store.state;
      try {
        for await (const event of this.#connection.events(conversation, this.#cursor, signal)) {
          if (signal.aborted) return;
          failures = 0;
          if (!event.data) continue;
          const data = JSON.parse(event.data);
          if (event.type === "message") this.#take({ messages: [data] }, true);
          else if (event.type === "handover") this.#handover(data?.state ? data : null);
        }
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof ApiError && error.lost) return this.#forget();
      }
      failures += 1;
      await pause(document.hidden ? 8 * POLL_MS : failures > 1 ? POLL_MS : 500, signal);
      if (signal.aborted) return;
      try {
        this.#take(await this.#connection.since(conversation, this.#cursor), true);
        if (this.#echoes.length === 0) this.#notice("");
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof ApiError && error.lost) return this.#forget();
        this.#notice("暂时连不上，正在重试……");
      }
    }
  }

  // --- what the resident says ------------------------------------------------------------------------------------

  #submit() {
    const { text } = this.#ui;
    const words = text.value.trim();
    if (!words) { text.focus(); return; }
    if (words.length > MAX_CHARS) { this.#typed(); return; }
    text.value = "";
    this.#typed();
    this.#say(words);
    text.focus();
  }

  #say(text) {
    const key = newKey();
    this.#store.save({ pending: [...this.#store.state.pending, { key, text }] });
    this.#change(() => this.#addEcho(key, text), true);
    this.#drain();
  }

  #addEcho(key, text) {
    const echo = { key, text, state: "waiting" };
    echo.status = element("div", { class: "status", role: "status" });
    echo.item = element("li", { class: "message resident echo" }, byline("我"), element("p", { class: "text" }, text), echo.status);
    this.#echoes.push(echo);
    this.#ui.outbox.append(echo.item);
    this.#ui.welcome.hidden = true;
    this.#settle();
  }

  #dropEcho(echo) {
    echo.item.remove();
    this.#echoes = this.#echoes.filter((other) => other !== echo);
    this.#unpend(echo);
  }

  #unpend({ key }) {
    this.#store.save({ pending: this.#store.state.pending.filter((other) => other.key !== key) });
  }

  #mark(echo, state, problem = "") {
    echo.state = state;
    const act = (label, onclick) => element("button", { type: "button", class: "choice", onclick }, label);
    echo.status.replaceChildren(...(state === "failed" ? [
      element("span", {}, `没有发出：${problem}`),
      act("重发", () => { this.#mark(echo, "waiting"); this.#drain(); }),
      act("修改", () => this.#edit(echo)),
    ] : problem ? [element("span", {}, problem), act("现在重发", () => this.#drain())] : []));
  }

  /** Takes a message that was not accepted back into the composer. */
  #edit(echo) {
    const { text } = this.#ui;
    this.#change(() => this.#dropEcho(echo));
    text.value = [echo.text, text.value].filter(Boolean).join("\n");
    this.#typed();
    text.focus();
  }

  /** Sends what waits, one after the other, each with the key it got when it was written. */
  async #drain() {
    clearTimeout(this.#retryTimer);
    if (this.#draining) return;
    this.#draining = true;
    try {
      let echo;
      while ((echo = this.#echoes.find(({ state }) => state === "waiting")) && !this.#life.signal.aborted) {
        if (!(await this.#deliver(echo))) break;
      }
    } finally {
      this.#draining = false;
      this.#ui.typing.hidden = true;
    }
  }

  async #deliver(echo) {
    const { typing } = this.#ui;
    const slow = setTimeout(() => { typing.lastChild.textContent = "还在处理，请稍等"; }, SLOW_MS);
    typing.lastChild.textContent = "正在答复";
    this.#change(() => { typing.hidden = this.#ui.person.disabled; }, this.#atEnd());
    let conversation;
    const abandoned = () => conversation && this.#store.state.conversation?.id !== conversation.id; // started afresh
    try {
      conversation = await this.#conversation();
      this.#mark(echo, "sending");
      const answer = await this.#connection.send(conversation, echo.text, echo.key);
      if (abandoned()) return true;
      this.#unpend(echo);
      echo.state = "sent";
      this.#retries = 0;
      this.#notice("");
      // Answers may overtake the resident's own message: take everything in the order of the transcript.
      if (this.#echoes.includes(echo)) this.#take(await this.#connection.since(conversation, this.#cursor).catch(() => answer), true);
      this.#take(answer, false);
      if (this.#echoes.includes(echo)) this.#change(() => this.#dropEcho(echo));
      return true;
    } catch (error) {
      return abandoned() || this.#failed(error, echo);
    } finally {
      clearTimeout(slow);
    }
  }

  /** The words stay whatever happens: on the list to be sent again, or marked, to be changed. */
  #failed(error, echo) {
    if (!(error instanceof ApiError)) throw error;
    if (error.lost && !echo?.moved) {
      if (echo) {
        echo.moved = true; // once: a server that refuses every conversation is not asked for ever
        this.#mark(echo, "waiting");
      }
      return this.#forget();
    }
    if (error.passing) {
      const wait = error.retryAfterS * 1000 || RETRY_MS[Math.min(this.#retries++, RETRY_MS.length - 1)];
      this.#retryTimer = setTimeout(() => this.#drain(), wait);
      if (echo) this.#mark(echo, "waiting", error.status === 429 ? error.detail : "还没送到，内容已保存，会自动重发。");
      this.#notice(error.status === 0 ? "网络不通。您写的内容都会保存，联网后自动发出。" : error.detail);
      return false;
    }
    if (echo) this.#mark(echo, "failed", error.detail);
    return true; // the next one may go
  }

  async #conversation() {
    if (!this.#store.state.conversation) {
      const { id, token } = await this.#connection.open();
      this.#store.save({ conversation: { id, token } });
      this.#listen();
    }
    return this.#store.state.conversation;
  }

  /** The server does not know the conversation any more: what waits goes into a new one. */
  #forget() {
    this.#store.save({ conversation: null });
    this.#reset();
    this.#notice("之前的对话已过期，已为您重新开始。");
    if (!this.#draining) this.#drain();
    return true;
  }

  #reset() {
    this.#follow?.abort();
    this.#follow = null;
    this.#seen.clear();
    this.#cursor = 0;
    this.#ui.log.replaceChildren();
    this.#handover(null);
    this.#ui.welcome.hidden = this.#echoes.length > 0;
  }

  #askRestart(open) {
    this.#ui.sure.hidden = !open;
    (open ? this.#ui.sure.querySelector("button") : this.#ui.restart).focus();
  }

  #restart() {
    clearTimeout(this.#retryTimer);
    this.#store.clear();
    for (const echo of [...this.#echoes]) this.#dropEcho(echo);
    this.#reset();
    this.#notice("");
    this.#askRestart(false);
    this.#ui.text.value = "";
    this.#typed();
    this.#ui.text.focus();
  }
}

function pause(ms, signal) {
  return new Promise((done) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", () => { clearTimeout(timer); done(); }, { once: true });
  });
}

customElements.define("minsheng-chat", MinshengChat);
