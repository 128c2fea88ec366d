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
 * EventSource reconnects after a lost connection, but never again after any status other
 * than 200 (WHATWG HTML, 9.2.3 "fail the connection"). `connect` then opens a new one,
 * after growing random delays, and resumes after the newest event it has received.
 */

const CONTROL = "sse-push-";
const OPENING = "sse-push-open";
const GAP = "sse-push-gap";
const CLOSING = "sse-push-closing";
const CLOSED = 2; // EventSource.CLOSED

const FIRST_DELAY_MS = 800;
const LONGEST_DELAY_MS = 20000;
/** A stream that was open for longer than this is not counted as a failure. */
const STEADY_MS = 5000;
// Many pages may get an event at once: a random delay spreads their requests.
const ACKNOWLEDGE_MS = 500;
const ACKNOWLEDGE_SPREAD_MS = 1500;
const MOST_ACKNOWLEDGED = 500;

/** Statuses after which another attempt would get the same answer. */
const FINAL_STATUSES = new Set([204, 401, 403]);

/** Ids are positions in the server's event log; "m" marks an event of the mailbox. */
const ID = /^(\d+-\d+)(m?)$/;

/** Open a stream of events; client.d.ts documents it. */
export function connect(url = "/sse/stream", options = {}) {
  return new Push(url, options);
}

class Push {
  #url;
  #options;
  #isRenewable;
  #credentials;
  // The URL and headers of the last attempt, which functions may have returned.
  #place = null;
  #headers;
  #source = null;
  #attempt = 0;
  #opened = Infinity;
  #failures = 0;
  #isRenewed = false;
  #timer = null;
  #handlers = new Map();
  #stateHandlers = new Set();
  #state = "connecting";
  #reason = null;
  #wasOpen = false;
  // The id to resume from, and the newest event seen, by which repeated events are
  // recognized. They are separate because a gap resets only the second.
  #cursor = "";
  #seen = null;
  #acknowledger = new Acknowledger((ids) => this.#post({ ids }));

  constructor(url, options) {
    this.#url = typeof url === "function" ? url : new URL(url, document.baseURI);
    this.#options = options;
    this.#isRenewable = [url, options.headers].some((v) => typeof v === "function");
    this.#credentials = options.withCredentials ? "include" : "same-origin";
    for (const [name, handler] of Object.entries(options.events ?? {})) {
      this.on(name, handler);
    }
    addEventListener("online", this.#wake);
    addEventListener("pageshow", this.#wake);
    addEventListener("pagehide", this.#flush);
    document.addEventListener("visibilitychange", this.#wake);
    this.#open();
  }

  get state() {
    return this.#state;
  }

  get reason() {
    return this.#reason;
  }

  get lastEventId() {
    return this.#cursor;
  }

  on(name, handler) {
    if (!this.#handlers.has(name)) {
      this.#handlers.set(name, new Set());
      if (this.#source) this.#listen(name);
    }
    const handlers = this.#handlers.get(name);
    handlers.add(handler);
    return () => handlers.delete(handler);
  }

  onState(handler) {
    this.#stateHandlers.add(handler);
    call(handler, this.#state, this.#reason);
    return () => this.#stateHandlers.delete(handler);
  }

  async acknowledge(id) {
    const status = await this.#post(Array.isArray(id) ? { ids: id } : { id });
    return status === 200;
  }

  close() {
    this.#end("closed");
  }

  /** Get the URL and the headers; call the functions that return them, if any. */
  async #ask() {
    const { headers } = this.#options;
    const [url, fresh] = await Promise.all([valueOf(this.#url), valueOf(headers)]);
    this.#place = new URL(url, document.baseURI);
    this.#headers = fresh;
  }

  async #open() {
    clearTimeout(this.#timer);
    this.#timer = null;
    const attempt = ++this.#attempt;
    this.#source?.close();
    // FetchSource also knows ids that came without an event.
    this.#cursor = ID.exec(this.#source?.lastEventId)?.[1] ?? this.#cursor;
    try {
      await this.#ask();
    } catch (error) {
      reportError(error);
      if (attempt === this.#attempt) this.#later();
    }
    if (attempt === this.#attempt && !this.#timer) this.#start();
  }

  #start() {
    // The cursor comes with the first event. If the stream was cut off before it, the new
    // EventSource cannot resume, so this reports a gap.
    const blind = this.#wasOpen && !this.#cursor;
    const url = new URL(this.#place);
    if (this.#cursor) url.searchParams.set("lastEventId", this.#cursor);
    const { withCredentials = false, transport, headers } = this.#options;
    const source =
      headers || transport === "fetch"
        ? new FetchSource(url, this.#headers, this.#credentials)
        : new EventSource(url, { withCredentials });
    this.#source = source;
    source.addEventListener("open", (event) => {
      if (event instanceof MessageEvent) return;
      this.#opened = Date.now();
      this.#isRenewed = false;
      this.#setState("open");
      this.#wasOpen = true;
    });
    if (blind) {
      const data = JSON.stringify({ since: null, oldest: null });
      const gap = new MessageEvent(GAP, { data });
      source.addEventListener("open", () => source.dispatchEvent(gap), { once: true });
    }
    source.addEventListener("error", (event) => {
      // Events of the server can have the name "error", too.
      if (event instanceof MessageEvent) return;
      // EventSource reconnects by itself, but always with its first URL.
      if (source.readyState === CLOSED || this.#isRenewable) this.#lost(source);
      else this.#setState("waiting");
    });
    for (const name of new Set([OPENING, CLOSING, ...this.#handlers.keys()])) {
      this.#listen(name);
    }
  }

  #listen(name) {
    // The same listener is called only once, even if it is added twice.
    this.#source.addEventListener(name, this.#receive);
  }

  /** Reconnect later, unless the status shows that another attempt would fail, too. */
  async #lost(source) {
    const isFailed = source.readyState === CLOSED;
    source.close();
    this.#later(source.retry);
    let { status } = source;
    // EventSource does not show the status, so send a request to get it.
    if (isFailed) status ??= await statusOf(source.url, this.#credentials);
    if (this.#source !== source || this.#state === "closed") return;
    if (status === 401 && this.#isRenewable && !this.#isRenewed) {
      this.#isRenewed = true;
      this.#open();
    } else if (FINAL_STATUSES.has(status)) {
      this.#end("refused");
    }
  }

  #later(retry) {
    if (Date.now() - this.#opened > STEADY_MS) this.#failures = 0;
    this.#opened = Infinity;
    const first = retry || FIRST_DELAY_MS;
    const most = Math.max(first, LONGEST_DELAY_MS);
    const delay = Math.min(most, first * 2 ** this.#failures);
    this.#failures += 1;
    this.#timer = setTimeout(() => this.#open(), delay * (1 + Math.random() / 2));
    this.#setState("waiting");
  }

  #receive = async (event) => {
    if (!(event instanceof MessageEvent)) return;
    const { type } = event;
    const data = decode(event.data);
    const control = type.startsWith(CONTROL);
    const [, id, mark] = ID.exec(event.lastEventId) ?? [];
    if (type === GAP) this.#seen = null;
    if (id) {
      if (!control) {
        if (this.#isRepeated(id, event)) return;
        this.#seen = { id, type, data: event.data };
      }
      this.#cursor = id;
    }
    const done = [...(this.#handlers.get(type) ?? [])].map((handler) =>
      call(handler, data, event),
    );
    if (type === CLOSING && data?.reason === "removed") this.#end("removed");
    // An event is acknowledged when all its handlers have ended without an error.
    if (!mark || control || !done.length || this.#options.acknowledge === false) return;
    if ((await Promise.all(done)).every(Boolean)) this.#acknowledger.add(id);
  };

  /**
   * Whether the event was received before. An event without an id has the id of the
   * previous event, so comparing ids is not enough.
   */
  #isRepeated(id, { type, data }) {
    const seen = this.#seen;
    if (seen === null) return false;
    const order = compareIds(id, seen.id);
    return order < 0 || (order === 0 && type === seen.type && data === seen.data);
  }

  /** The network or the page is available again: reconnect now, without the delay. */
  #wake = () => {
    if (document.visibilityState !== "hidden" && this.#timer) this.#open();
  };

  #flush = () => this.#acknowledger.flush();

  /** Send an acknowledgement; returns the status, 0 if there is no answer. */
  async #post(body) {
    const { acknowledgeUrl } = this.#options;
    try {
      if (!this.#place) await this.#ask();
      for (let isLast = !this.#isRenewable; ; isLast = true) {
        const url = new URL(acknowledgeUrl ?? "ack", this.#place);
        // The query of the stream's URL may contain a token.
        if (!acknowledgeUrl) url.search = this.#place.search;
        const headers = new Headers(this.#headers);
        headers.set("Content-Type", "application/json");
        const { status } = await fetch(url, {
          method: "POST",
          headers,
          body: JSON.stringify(body),
          credentials: this.#credentials,
          keepalive: true,
        });
        if (status !== 401 || isLast) return status;
        await this.#ask();
      }
    } catch {
      return 0;
    }
  }

  #end(reason) {
    if (this.#state === "closed") return;
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#attempt += 1;
    this.#source?.close();
    removeEventListener("online", this.#wake);
    removeEventListener("pageshow", this.#wake);
    removeEventListener("pagehide", this.#flush);
    document.removeEventListener("visibilitychange", this.#wake);
    this.#flush();
    this.#reason = reason;
    this.#setState("closed");
  }

  #setState(state) {
    if (this.#state === state || this.#state === "closed") return;
    this.#state = state;
    for (const handler of this.#stateHandlers) call(handler, state, this.#reason);
  }
}

/** Collects ids, sends them together after a delay, and retries if that fails. */
class Acknowledger {
  #send;
  #ids = new Set();
  #timer = null;
  #failures = 0;

  constructor(send) {
    this.#send = send;
  }

  add(id) {
    this.#ids?.add(id);
    this.#schedule();
  }

  async flush() {
    clearTimeout(this.#timer);
    this.#timer = null;
    const ids = [...(this.#ids ?? [])].slice(0, MOST_ACKNOWLEDGED);
    if (!ids.length) return;
    for (const id of ids) this.#ids.delete(id);
    const status = await this.#send(ids);
    if (status >= 400 && status < 500 && status !== 429) {
      this.#ids = null; // A later request would get the same answer.
    } else if (status !== 200) {
      for (const id of ids) this.#ids?.add(id);
      this.#failures += 1;
    } else {
      this.#failures = 0;
    }
    this.#schedule();
  }

  #schedule() {
    if (!this.#ids?.size) return;
    const delay = ACKNOWLEDGE_MS + Math.random() * ACKNOWLEDGE_SPREAD_MS;
    const factor = 2 ** Math.min(this.#failures, 4);
    this.#timer ??= setTimeout(() => this.flush(), delay * factor);
  }
}

/**
 * A replacement for EventSource that uses fetch, and therefore can send headers and knows
 * the status. It does not reconnect by itself; `retry` is the server's `retry:` value in
 * milliseconds.
 */
class FetchSource extends EventTarget {
  readyState = 0;
  lastEventId = "";
  status = 0;
  #aborter = new AbortController();

  constructor(url, headers, credentials) {
    super();
    this.#run(url, new Headers(headers), credentials);
  }

  close() {
    this.readyState = CLOSED;
    this.#aborter.abort();
  }

  async #run(url, headers, credentials) {
    headers.set("Accept", "text/event-stream");
    const { signal } = this.#aborter;
    try {
      const response = await fetch(url, { headers, credentials, signal, cache: "no-store" });
      this.status = response.status;
      const type = response.headers.get("Content-Type") ?? "";
      if (response.status === 200 && /^text\/event-stream\b/i.test(type)) {
        this.readyState = 1;
        this.dispatchEvent(new Event("open"));
        // The decoder removes a BOM, and joins characters that are split between chunks.
        const text = response.body.pipeThrough(new TextDecoderStream()).getReader();
        const parse = this.#parser();
        for (let part; !(part = await text.read()).done; ) parse(part.value);
      }
    } catch {
      // The connection failed or was lost.
    }
    if (this.readyState === CLOSED) return;
    this.close();
    this.dispatchEvent(new Event("error"));
  }

  /** WHATWG HTML, 9.2.6 "Interpreting an event stream". */
  #parser() {
    let [rest, type, data, id] = ["", "", "", ""];
    let endsInCr = false;
    return (text) => {
      if (endsInCr && text.startsWith("\n")) text = text.slice(1);
      endsInCr = text.endsWith("\r");
      const lines = (rest + text).split(/\r\n|\r|\n/);
      rest = lines.pop();
      for (const line of lines) {
        if (this.readyState === CLOSED) return;
        const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line);
        if (!line) {
          this.lastEventId = id;
          const event = { data: data.slice(0, -1), lastEventId: id };
          if (data) this.dispatchEvent(new MessageEvent(type || "message", event));
          type = data = "";
        } else if (field === "data") {
          data += `${value}\n`;
        } else if (field === "event") {
          type = value;
        } else if (field === "id" && !value.includes("\0")) {
          id = value;
        } else if (field === "retry" && /^\d+$/.test(value)) {
          this.retry = Number(value);
        }
      }
    };
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

function valueOf(given) {
  return typeof given === "function" ? given() : given;
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

/**
 * Call a handler; return whether it ended without an error. An error is reported to the
 * console, so that the other handlers still run.
 */
async function call(handler, ...values) {
  try {
    await handler(...values);
    return true;
  } catch (error) {
    reportError(error);
    return false;
  }
}
