/** Types of client.js, the browser's side of flask_sse_push. */

/** Reconnecting is "waiting"; "connecting" is only before the first answer. */
export type State = "connecting" | "open" | "waiting" | "closed";

/**
 * Why a stream is closed: the server ended it on purpose ("removed"), will not open
 * it ("refused": status 204, 401 or 403), or `close()` was called.
 */
export type Reason = "removed" | "refused" | "closed";

/** Events after `since` and up to `oldest` are no longer kept: fetch afresh. */
export interface Gap {
  /** Where the client had got to; null where that is unknown. */
  since: string | null;
  /** Nothing is missing after this id; null where that is unknown. */
  oldest: string | null;
}

/** The server ends this connection; only after "removed" it stays ended. */
export interface Closing {
  reason: "removed" | "shutdown" | "age" | "overflow" | (string & {});
}

export interface ControlEvents {
  "sse-push-gap": Gap;
  "sse-push-closing": Closing;
}

/**
 * `data` is the event's JSON, decoded. A handler may be async: the event counts as
 * dealt with once it has ended without an error. What it returns is ignored.
 */
export type Handler<Data> = (data: Data, event: MessageEvent<string>) => unknown;

export type Handlers<Events> = {
  [Name in keyof Events]?: Handler<Events[Name]>;
};

/**
 * A value, or a function that gives it and is asked anew at each attempt to connect,
 * once more after a 401, and after an acknowledgement was answered with 401. Where it
 * throws, the attempt has failed, and the next one follows later.
 */
export type Renewable<Value> = Value | (() => Value | Promise<Value>);

export interface Options<Events = Record<string, any>> {
  /** Handlers by event name, as `Push.on`. */
  events?: Handlers<Events & ControlEvents>;
  /** Headers for the stream and acknowledgements; they need the transport "fetch". */
  headers?: Renewable<HeadersInit>;
  /** "fetch" reads the stream without EventSource. Default: only where headers are. */
  transport?: "fetch";
  /**
   * Where the server has `SSE_PUSH_ACKNOWLEDGE = "explicit"`: acknowledge by itself each
   * event of the mailbox that its handlers have dealt with. Default: true.
   */
  acknowledge?: boolean;
  /** Default: `ack` beside the stream, with the stream's query. */
  acknowledgeUrl?: string;
  /** Send cookies to another origin too, as EventSource has it. Default: false. */
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
  /** Returns a function that takes the handler off again. */
  on<Name extends keyof ControlEvents>(
    name: Name,
    handler: Handler<ControlEvents[Name]>,
  ): () => void;
  on<Name extends keyof Events & string>(
    name: Name,
    handler: Handler<Events[Name]>,
  ): () => void;
  /** Called now and at each change. Returns a function that takes it off again. */
  onState(handler: (state: State, reason: Reason | null) => void): () => void;
  /**
   * Take from the user's mailbox all events up to an id, or those of a list of ids.
   * Resolves to whether the server accepted.
   */
  acknowledge(id: string | string[]): Promise<boolean>;
  /** End the stream for good. */
  close(): void;
}

/** @param url where the stream is, relative to the page. Default: "/sse/stream". */
export function connect<Events = Record<string, any>>(
  url?: Renewable<string | URL>,
  options?: Options<Events>,
): Push<Events>;
