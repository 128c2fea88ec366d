/** Types of client.js, the browser client of flask_sse_push. */

/** "connecting" lasts until the first answer; during later reconnects it is "waiting". */
export type State = "connecting" | "open" | "waiting" | "closed";

/**
 * Why a stream is closed: the server removed the client ("removed"), refused to open
 * the stream ("refused": status 204, 401 or 403), or `close()` was called ("closed").
 */
export type Reason = "removed" | "refused" | "closed";

/** Events after `since` and up to `oldest` may be missing: load the data again. */
export interface Gap {
  /** The last event id that the client had; null if unknown. */
  since: string | null;
  /** No event after this id is missing; null if unknown. */
  oldest: string | null;
}

/** The server closes this connection. The client reconnects, except after "removed". */
export interface Closing {
  reason: "removed" | "shutdown" | "age" | "overflow" | (string & {});
}

export interface ControlEvents {
  "sse-push-open": Record<string, never>;
  "sse-push-gap": Gap;
  "sse-push-closing": Closing;
}

/**
 * `data` is the event's decoded JSON, or text if it is not JSON. A handler may be async:
 * the event is handled when the handler has ended without an error. Its result is ignored.
 */
export type Handler<Data> = (data: Data, event: MessageEvent<string>) => unknown;

export type Handlers<Events> = {
  [Name in keyof Events]?: Handler<Events[Name]>;
};

/**
 * A value, or a function that returns it. The function is called at each attempt to
 * connect, again after a status 401, and after an acknowledgement was answered with 401.
 * If it throws, the attempt has failed, and the next one follows later.
 */
export type Renewable<Value> = Value | (() => Value | Promise<Value>);

export interface Options<Events = Record<string, any>> {
  /** Handlers by event name, as for `Push.on`. */
  events?: Handlers<Events & ControlEvents>;
  /** Headers for the stream and acknowledgements; the stream is then read with fetch. */
  headers?: Renewable<HeadersInit>;
  /** "fetch" reads the stream with fetch instead of EventSource. */
  transport?: "fetch";
  /**
   * If the server has `SSE_PUSH_ACKNOWLEDGE = "explicit"`: acknowledge each event of the
   * mailbox automatically when its handlers have handled it. Default: true.
   */
  acknowledge?: boolean;
  /** Default: `ack`, relative to the stream's URL, with the stream's query. */
  acknowledgeUrl?: string;
  /** Send cookies to other origins too, as for EventSource. Default: false. */
  withCredentials?: boolean;
}

/**
 * `Events` maps event names to their data:
 * `connect<{ "order-status": OrderStatus }>("/sse/stream")`.
 */
export interface Push<Events = Record<string, any>> {
  readonly state: State;
  readonly reason: Reason | null;
  /** The id of the newest event received, "" before the first. */
  readonly lastEventId: string;
  /** Returns a function that removes the handler. */
  on<Name extends keyof ControlEvents>(
    name: Name,
    handler: Handler<ControlEvents[Name]>,
  ): () => void;
  on<Name extends keyof Events & string>(
    name: Name,
    handler: Handler<Events[Name]>,
  ): () => void;
  /** Called now and at each change. Returns a function that removes the handler. */
  onState(handler: (state: State, reason: Reason | null) => void): () => void;
  /**
   * Acknowledge all events up to an id, or the single events of a list of ids, so that
   * the server removes them from the user's mailbox. Resolves to whether the server
   * accepted the request.
   */
  acknowledge(id: string | string[]): Promise<boolean>;
  /** Close the stream and do not reconnect. */
  close(): void;
}

/** @param url the stream's URL, relative to the page. Default: "/sse/stream". */
export function connect<Events = Record<string, any>>(
  url?: Renewable<string | URL>,
  options?: Options<Events>,
): Push<Events>;
