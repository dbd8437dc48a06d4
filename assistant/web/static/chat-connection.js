// The public HTTP API of the assistant, as the chat element needs it.

const SILENCE_MS = 50_000; // a stream that says nothing for so long (the server pings) is taken for dead

/** An answer that is not 2xx, or no answer at all (`status` 0). `detail` is Chinese, for the resident. */
export class ApiError extends Error {
  constructor(status, detail, retryAfterS = 0) {
    super(detail);
    this.status = status;
    this.detail = detail;
    this.retryAfterS = retryAfterS;
  }
  /** Whether the same message may be accepted later: no network, an overload, a fault of the server. */
  get passing() { return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500; }
  /** Whether the server no longer knows this conversation. */
  get lost() { return this.status === 401 || this.status === 403 || this.status === 404; }
}

export class Connection {
  /** @param {string} server origin of the assistant, without a trailing slash */
  constructor(server) { this.root = `${server}/api/v1/conversations`; }

  /** Opens a conversation: `{id, token}`. */
  open() { return this.#json("", { method: "POST", body: "{}" }); }

  /** Sends one message; the same `clientMessageId` twice has one effect. */
  send(conversation, text, clientMessageId) {
    const body = JSON.stringify({ text, client_message_id: clientMessageId });
    return this.#json(`/${conversation.id}/messages`, { method: "POST", body }, conversation.token);
  }

  /** Every message with an id greater than `after`. */
  since(conversation, after) {
    return this.#json(`/${conversation.id}/messages?after=${after}`, {}, conversation.token);
  }

  /** Server-sent events, read with fetch because EventSource cannot send a header. Ends when the server closes. */
  async *events(conversation, after, signal) {
    const silence = new AbortController();
    const stop = () => silence.abort();
    signal.addEventListener("abort", stop);
    let timer = setTimeout(stop, SILENCE_MS);
    try {
      const response = await this.#request(`/${conversation.id}/events?after=${after}`, {
        headers: { Accept: "text/event-stream", "Last-Event-ID": String(after) }, signal: silence.signal, cache: "no-store",
      }, conversation.token);
      if (!response.body || !(response.headers.get("Content-Type") || "").startsWith("text/event-stream")) {
        throw new ApiError(0, "这个网络不支持实时消息。");
      }
      const reader = response.body.getReader();
      const decoder = new TextDecoder();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        clearTimeout(timer);
        timer = setTimeout(stop, SILENCE_MS);
        const blocks = (rest + decoder.decode(value, { stream: true })).replace(/\r\n?/g, "\n").split("\n\n");
        rest = blocks.pop();
        for (const block of blocks) yield parseEvent(block);
      }
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
      silence.abort();
    }
  }

  async #json(path, options, token) {
    const response = await this.#request(path, options, token);
    try {
      return await response.json();
    } catch {
      throw new ApiError(0, "网络不稳定，答复没有收全。");
    }
  }

  async #request(path, options, token) {
    const headers = { ...options.headers };
    if (options.body) headers["Content-Type"] = "application/json";
    if (token) headers.Authorization = `Bearer ${token}`;
    let response;
    try {
      response = await fetch(this.root + path, { ...options, headers, credentials: "omit" });
    } catch (error) {
      if (options.signal?.aborted) throw error;
      throw new ApiError(0, "网络不通。");
    }
    if (response.ok) return response;
    const problem = await response.json().catch(() => ({}));
    const detail = typeof problem.detail === "string" ? problem.detail : "系统暂时无法处理。";
    throw new ApiError(response.status, detail, Number(response.headers.get("Retry-After")) || 0);
  }
}

function parseEvent(block) {
  const event = { type: "message", id: "", data: "" };
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") event.type = value;
    else if (field === "id") event.id = value;
    else if (field === "data") event.data += (event.data ? "\n" : "") + value;
  }
  return event;
}
