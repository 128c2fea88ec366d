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

export type Handler<Data> = (data: Data, event: MessageEvent<string>) => void;

export type Handlers<Events> = {
  [Name in keyof Events]?: Handler<Events[Name]>;
};

export interface Options<Events = Record<string, any>> {
  /** Handlers by event name, as `Push.on`. */
  events?: Handlers<Events & ControlEvents>;
  /** Acknowledge by itself after an event's handlers ran. Default: true. */
  acknowledge?: boolean;
  /** Default: `ack` beside the stream. */
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
  /** Resolves to whether the server accepted. */
  acknowledge(id: string): Promise<boolean>;
  /** End the stream for good. */
  close(): void;
}

export function connect<Events = Record<string, any>>(
  url?: string,
  options?: Options<Events>,
): Push<Events>;
