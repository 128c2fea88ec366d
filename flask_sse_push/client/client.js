/**
 * The browser client of flask_sse_push: an EventSource that does not give up.
 *
 *     <script type="module">
 *       import { connect } from "/sse/client.js";
 *
 *       const push = connect("/sse/stream");
 *       push.on("order-status", (data) => console.log(data.orderId, data.status));
 *       push.onState((state) => console.log(state));
 *     </script>
 *
 * EventSource reconnects after a lost connection, but stops for good at any status other
 * than 200 (WHATWG HTML, 9.2.3 "fail the connection"). `connect` then opens a new one,
 * with back-off and jitter, and resumes after the newest event it has received.
 */

const GAP = "sse-push-gap";
const CLOSING = "sse-push-closing";
const FIRST_DELAY_MS = 1000;
const LONGEST_DELAY_MS = 30000;
// Every page acknowledges a broadcast: a random delay spreads the requests.
const ACKNOWLEDGE_MS = 1000;
const ACKNOWLEDGE_SPREAD_MS = 4000;

/** Statuses after which another attempt would get the same answer. */
const FINAL_STREAM_STATUSES = new Set([204, 401, 403]);
const FINAL_ACKNOWLEDGE_STATUSES = new Set([401, 403, 404]);

/**
 * Open a stream of events.
 *
 * @param {string} url the stream's URL, relative to the page.
 * @param {object} [options]
 * @param {Object<string, Function>} [options.events] handlers by event name, as for `on`.
 * @param {boolean} [options.acknowledge] false: do not acknowledge automatically.
 * @param {string} [options.acknowledgeUrl] default: `ack`, relative to the stream's URL.
 * @param {boolean} [options.withCredentials] send cookies to other origins too.
 * @returns {Push}
 */
export function connect(url = "/sse/stream", options = {}) {
  return new Push(url, options);
}

/** One stream. `state` is "connecting", "open", "waiting" or "closed". */
class Push {
  #url;
  #withCredentials;
  #source = null;
  #handlers = new Map();
  #stateHandlers = new Set();
  #state = "connecting";
  #reason = null;
  #wasOpen = false;
  #failures = 0;
  #retryTimer = null;
  // The id to resume from, and the newest event seen, by which repeated events are
  // recognized. They are separate because a gap resets only the second.
  #cursor = "";
  #seen = null;
  #acknowledger;

  constructor(url, options) {
    this.#url = new URL(url, document.baseURI);
    this.#withCredentials = options.withCredentials ?? false;
    this.#acknowledger = new Acknowledger(
      new URL(options.acknowledgeUrl ?? "ack", this.#url),
      this.#credentials,
      options.acknowledge ?? true,
    );
    for (const [name, handler] of Object.entries(options.events ?? {})) {
      this.on(name, handler);
    }
    addEventListener("online", this.#wake);
    addEventListener("pageshow", this.#wake);
    addEventListener("pagehide", this.#flush);
    document.addEventListener("visibilitychange", this.#wake);
    this.#open();
  }

  /** "connecting", "open", "waiting" (disconnected, will try again) or "closed". */
  get state() {
    return this.#state;
  }

  /** Why the stream is closed: "removed", "refused", "closed"; otherwise null. */
  get reason() {
    return this.#reason;
  }

  /** The id of the newest event received, "" before the first. */
  get lastEventId() {
    return this.#cursor;
  }

  /**
   * Call `handler(data, event)` for each event of this name.
   *
   * `data` is the event's decoded JSON. Returns a function that removes the handler.
   */
  on(name, handler) {
    if (!this.#handlers.has(name)) {
      this.#handlers.set(name, new Set());
      if (name !== CLOSING) this.#source?.addEventListener(name, this.#receive);
    }
    const handlers = this.#handlers.get(name);
    handlers.add(handler);
    return () => handlers.delete(handler);
  }

  /**
   * Call `handler(state, reason)` now and at each change of state.
   *
   * Returns a function that removes the handler.
   */
  onState(handler) {
    this.#stateHandlers.add(handler);
    call(handler, this.#state, this.#reason);
    return () => this.#stateHandlers.delete(handler);
  }

  /**
   * Acknowledge all events up to this id, so that the server removes them from the
   * user's mailbox. Resolves to whether the server accepted.
   */
  acknowledge(id) {
    return this.#acknowledger.send(id);
  }

  /** Close the stream and do not reconnect. */
  close() {
    this.#end("closed");
  }

  get #credentials() {
    return this.#withCredentials ? "include" : "same-origin";
  }

  #open() {
    clearTimeout(this.#retryTimer);
    this.#retryTimer = null;
    this.#source?.close();
    // An id without data sets the cursor inside EventSource, where it cannot be read. If
    // no event was received, the new EventSource cannot resume, so this reports a gap.
    const blind = this.#wasOpen && !this.#cursor;
    const url = new URL(this.#url);
    if (this.#cursor) url.searchParams.set("lastEventId", this.#cursor);
    const source = new EventSource(url, {
      withCredentials: this.#withCredentials,
    });
    this.#source = source;
    source.addEventListener("open", () => {
      this.#failures = 0;
      this.#setState("open");
      this.#wasOpen = true;
    });
    if (blind) {
      const data = JSON.stringify({ since: null, oldest: null });
      const gap = new MessageEvent(GAP, { data });
      source.addEventListener("open", () => source.dispatchEvent(gap), { once: true });
    }
    source.addEventListener("error", (event) => {
      // An event of the stream may have the name "error", too.
      if (event instanceof MessageEvent) return;
      this.#setState("waiting");
      if (source.readyState === EventSource.CLOSED) this.#retry();
    });
    source.addEventListener(CLOSING, this.#receive);
    for (const name of this.#handlers.keys()) {
      if (name !== CLOSING) source.addEventListener(name, this.#receive);
    }
  }

  /** EventSource has given up. It hides the status it got, so ask for it. */
  async #retry() {
    const source = this.#source;
    const longest = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** this.#failures);
    this.#failures += 1;
    const delay = longest * (0.5 + Math.random() / 2);
    this.#retryTimer = setTimeout(() => this.#open(), delay);
    const status = await statusOf(this.#url, this.#credentials);
    if (this.#source === source && FINAL_STREAM_STATUSES.has(status)) {
      this.#end("refused");
    }
  }

  #receive = (event) => {
    if (!(event instanceof MessageEvent)) return;
    const data = decode(event.data);
    const control = event.type === GAP || event.type === CLOSING;
    if (event.type === GAP) this.#seen = null;
    const id = event.lastEventId;
    if (isId(id)) {
      if (!control) {
        if (this.#isRepeated(event)) return;
        this.#seen = { id, type: event.type, data: event.data };
      }
      this.#cursor = id;
    }
    for (const handler of this.#handlers.get(event.type) ?? []) {
      call(handler, data, event);
    }
    if (event.type === CLOSING && data?.reason === "removed") this.#end("removed");
    else if (isId(id) && !control) this.#acknowledger.schedule(id);
  };

  /**
   * Whether the event was received before. An event without an id has the id of the one
   * before it, so comparing ids is not enough.
   */
  #isRepeated(event) {
    const seen = this.#seen;
    if (seen === null) return false;
    const order = compareIds(event.lastEventId, seen.id);
    return (
      order < 0 ||
      (order === 0 && event.type === seen.type && event.data === seen.data)
    );
  }

  /** The network or the page is back: reconnect now, without waiting for the delay. */
  #wake = () => {
    const away = document.visibilityState === "hidden";
    const dead = this.#source.readyState === EventSource.CLOSED;
    if (!away && dead && this.#state !== "closed") this.#open();
  };

  #flush = () => this.#acknowledger.flush();

  #end(reason) {
    if (this.#state === "closed") return;
    clearTimeout(this.#retryTimer);
    this.#source.close();
    removeEventListener("online", this.#wake);
    removeEventListener("pageshow", this.#wake);
    removeEventListener("pagehide", this.#flush);
    document.removeEventListener("visibilitychange", this.#wake);
    this.#acknowledger.flush();
    this.#reason = reason;
    this.#setState("closed");
  }

  #setState(state) {
    if (this.#state === state || this.#state === "closed") return;
    this.#state = state;
    for (const handler of this.#stateHandlers) call(handler, state, this.#reason);
  }
}

/** Acknowledges the newest id, at most once in `ACKNOWLEDGE_MS`. */
class Acknowledger {
  #url;
  #credentials;
  #active;
  #waiting = null;
  #timer = null;

  constructor(url, credentials, active) {
    this.#url = url;
    this.#credentials = credentials;
    this.#active = active;
  }

  schedule(id) {
    this.#waiting = id;
    const delay = ACKNOWLEDGE_MS + Math.random() * ACKNOWLEDGE_SPREAD_MS;
    this.#timer ??= setTimeout(() => this.flush(), delay);
  }

  flush() {
    clearTimeout(this.#timer);
    this.#timer = null;
    const id = this.#waiting;
    this.#waiting = null;
    // A failed request is not repeated: the next acknowledgement covers its id, too.
    if (id !== null && this.#active) this.send(id);
  }

  async send(id) {
    try {
      const response = await fetch(this.#url, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ id }),
        credentials: this.#credentials,
        keepalive: true,
      });
      if (FINAL_ACKNOWLEDGE_STATUSES.has(response.status)) this.#active = false;
      return response.ok;
    } catch {
      return false;
    }
  }
}

/** The status that a request for the stream gets; 0 if there is no answer. */
async function statusOf(url, credentials) {
  try {
    const response = await fetch(url, { method: "HEAD", credentials, cache: "no-store" });
    return response.status;
  } catch {
    return 0;
  }
}

/** Ids are positions in the server's event log, `<milliseconds>-<sequence>`. */
function isId(id) {
  return /^\d+-\d+$/.test(id);
}

function compareIds(a, b) {
  const [aTime, aSequence] = a.split("-").map(Number);
  const [bTime, bSequence] = b.split("-").map(Number);
  return aTime - bTime || aSequence - bSequence;
}

function decode(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Report an error of a handler to the console, so that the other handlers still run. */
function call(handler, ...values) {
  try {
    handler(...values);
  } catch (error) {
    reportError(error);
  }
}
