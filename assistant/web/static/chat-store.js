// What survives a reload: which conversation, what is not sent yet, the draft, the reading mode.
// The transcript itself stays with the server.

const EMPTY = { conversation: null, pending: [], draft: "" };

export class Store {
  /** @param {string} server origin of the assistant: two assistants on one site keep apart */
  constructor(server) {
    this.key = `minsheng-chat ${server}`;
    this.state = { ...EMPTY, ...this.#read(this.key) };
    if (!Array.isArray(this.state.pending)) this.state.pending = [];
  }

  /** Keeps `changes`; without storage (private mode) the conversation lives until the page closes. */
  save(changes) {
    Object.assign(this.state, changes);
    this.#write(this.key, this.state);
  }

  clear() { this.save({ ...EMPTY, pending: [] }); }

  get elder() { return this.#read("minsheng-chat elder") === true; }
  set elder(on) { this.#write("minsheng-chat elder", on); }

  #read(key) {
    try { return JSON.parse(localStorage.getItem(key)); } catch { return null; }
  }

  #write(key, value) {
    try { localStorage.setItem(key, JSON.stringify(value)); } catch { /* full or forbidden */ }
  }
}

/** A name for one message. `crypto.randomUUID` exists on https only; a city may start on plain http. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `web-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
