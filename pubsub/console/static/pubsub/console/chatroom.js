/**
 * A client for the chat room's WebSocket API, in one module without dependencies.
 *
 *     import { connect } from "https://chat.example.org/static/pubsub/console/chatroom.js";
 *
 *     const room = connect("wss://chat.example.org/ws");
 *     await room.subscribe("orders", { onEvent: (event) => console.log(event.message.payload) });
 *     await room.publish("orders", { name: "Ann", text: "Hello" });
 *
 * Guarantees:
 *
 * - It connects immediately and reconnects automatically, after a random delay whose upper bound
 *   doubles with every failure, or when a stopping server has asked it to. Only `close()`, close
 *   codes from 3500 to 3999, and the expiry of a token without a function to get another stop it.
 *   After 1009 (frame too large) it reconnects as well, because it never sends the same frame twice.
 * - After reconnecting it subscribes again, and notifies each subscription of messages that may be
 *   missing (`onNotice` with kind "gap").
 * - `publish` settles exactly once: with the server's acknowledgement or with a `ChatError`. A
 *   publication that is in flight when the connection is lost fails with `unknownFate`. It is not
 *   retried, because it may have arrived. Without a connection, `publish` fails immediately;
 *   nothing is queued for later.
 * - With a function as `token`, every connection gets a new token, and an open connection renews its
 *   token before it expires. Tokens never appear in a URL or in an event.
 * - Every buffer is bounded.
 *
 * @module chatroom
 */

/** @typedef {"connecting" | "open" | "waiting" | "closed"} State */

/**
 * @typedef {object} ChatEvent A message published to a topic.
 * @property {string} topic
 * @property {{id: string, payload: unknown}} message
 * @property {string} ts When the server accepted the message (RFC 3339, UTC).
 * @property {string} [user] The user who published it, according to the server. Left out if the
 *     publisher was not authenticated.
 * @property {string} text The frame as received, with every number exactly as it was written.
 */

/**
 * The server dropped messages because this client read too slowly.
 *
 * @typedef {object} SlowNotice
 * @property {"slow"} kind
 * @property {string} topic
 * @property {number} dropped How many messages were dropped.
 */

/**
 * The connection was lost for a while, and messages may be missing.
 *
 * @typedef {object} GapNotice
 * @property {"gap"} kind
 * @property {string} topic
 * @property {Date} from When the last frame arrived before the connection was lost.
 * @property {Date} until When the subscription was restored.
 */

/**
 * The subscription has ended: the topic was deleted, or subscribing again was refused.
 *
 * @typedef {object} DeletedNotice
 * @property {"deleted"} kind
 * @property {string} topic
 * @property {ChatError} [error] Why subscribing again was refused, if it was.
 */

/**
 * The subscription has ended, because a renewed token does not cover the topic or the user has lost
 * the permission. It is not restored by a reconnection.
 *
 * @typedef {object} RevokedNotice
 * @property {"revoked"} kind
 * @property {string} topic
 */

/**
 * News of a subscription, other than messages.
 *
 * @typedef {SlowNotice | GapNotice | DeletedNotice | RevokedNotice} Notice
 */

/**
 * A token, or a function that gets one. A function is called before each connection and before each
 * renewal; if it returns nothing, the connection is made without a token.
 *
 * @typedef {string | (() => MaybeToken | Promise<MaybeToken>)} Token
 */
/** @typedef {string | null | undefined | void} MaybeToken */

/**
 * @typedef {object} Frame A text frame as it was on the wire.
 * @property {"in" | "out"} direction
 * @property {string} text In a frame that this module sends to authenticate, "•••" takes the place
 *     of the token.
 * @property {Date} time
 */

/**
 * @typedef {object} StateChange
 * @property {State} state
 * @property {number} [code] The close code of the last connection, if it has ended.
 * @property {string} [reason] The reason that came with the close code.
 * @property {Date} [retryAt] When the next attempt is due, in the state "waiting".
 */

/**
 * @typedef {object} ChatRoomEvents What the `detail` of each event is.
 * @property {StateChange} state
 * @property {Frame} frame
 * @property {ChatEvent} event
 * @property {Notice} notice
 * @property {ChatError} refusal
 * @property {ChatError} tokenerror
 * @property {Expiring} expiring
 */

/**
 * @typedef {object} Expiring
 * @property {number} seconds How long the token is still valid.
 */

/**
 * @typedef {object} Options
 * @property {Token} [token] Who the client is; without it, it is anonymous.
 * @property {number} [minDelay] Upper bound of the first delay in milliseconds (500).
 * @property {number} [maxDelay] Upper bound of every delay in milliseconds (20,000), except for one
 *     that a stopping server asks for.
 * @property {number} [idle] Milliseconds without a frame before a ping is sent (25,000).
 * @property {number} [patience] Milliseconds to wait for the pong before the connection is
 *     considered lost (10,000).
 * @property {number} [maxInFlight] Maximum number of unanswered commands (1,000).
 * @property {number} [maxBuffered] Maximum number of bytes buffered in the browser (4 MiB).
 */

/** @typedef {{type: "ack", request_id?: string, topic: string, status: string, ts: string}} Ack */
/**
 * @typedef {{type: "ack", request_id?: string, status: string, ts: string, client_id: string,
 *     user: string, expires_in?: number}} AuthAck The answer to a token.
 */
/** @typedef {{type: "pong", request_id?: string, ts: string}} Pong */
/**
 * @typedef {{type: "info", topic?: string, msg: string, reconnect_in_ms?: number,
 *     expires_in?: number}} Info
 */
/** @typedef {{type: "event"} & Omit<ChatEvent, "text">} EventMessage */

/**
 * @typedef {object} ErrorMessage
 * @property {"error"} type
 * @property {string} [request_id]
 * @property {string} [topic]
 * @property {{code: string, message: string}} error
 * @property {number} [dropped] With `SLOW_CONSUMER`.
 */

/**
 * @typedef {object} Command
 * @property {"subscribe" | "unsubscribe" | "publish" | "ping" | "auth"} type
 * @property {string} [topic]
 * @property {string} [token]
 * @property {number} [last_n]
 * @property {{id: string, payload: unknown}} [message]
 */

/**
 * An event target whose listeners receive a `CustomEvent` with a known `detail`.
 *
 * @template {object} Details
 * @typedef {{addEventListener<Type extends keyof Details & string>(
 *     type: Type, listener: (event: CustomEvent<Details[Type]>) => void): void
 * } & EventTarget} Dispatcher
 */

/** @typedef {Required<Omit<Options, "token">>} Settings */

/** @type {Settings} */
const DEFAULTS = {
  minDelay: 500,
  maxDelay: 20_000,
  idle: 25_000,
  patience: 10_000,
  maxInFlight: 1000,
  maxBuffered: 4 << 20,
};

/** Milliseconds after which a connection is considered stable and the backoff is reset. */
const STABLE = 5000;

/** Upper bound in milliseconds of the delay that a stopping server may ask for. */
const MAX_ASKED_DELAY = 120_000;

/** How many ids of this client's own messages to remember, to filter them out of replays. */
const OWN_IDS = 1000;

/** The subprotocol of the chat room, and the beginning of the one that carries a token. */
const SUBPROTOCOL = "chatroom.v1";
const BEARER = "chatroom.bearer.";

/**
 * A token that can be a subprotocol (RFC 9110 §5.6.2) in a header that every proxy accepts. Others
 * are sent in the first message.
 */
const FITS_IN_HEADER = /^[!#$%&'*+\-.^_`|~\w]{1,4000}$/;

/** The close code of a token that has expired. */
const EXPIRED = 3005;

/** @type {Record<number, string>} The close codes that are about the token. */
const TOKEN_PROBLEMS = {
  [EXPIRED]: "the token has expired",
  3500: "the token is invalid",
  3502: "the client did not authenticate in time",
};

/** Errors that mean there was no answer; the next connection subscribes again. */
const UNANSWERED = new Set(["NOT_CONNECTED", "CONNECTION_LOST"]);

/** Errors after which subscribing is retried on the same connection. */
const BUSY = new Set(["RATE_LIMITED", "TOO_MANY_IN_FLIGHT"]);

/**
 * A command failed. `code` is one of the server's error codes, or one of this module's own:
 * `NOT_CONNECTED`, `CONNECTION_LOST`, `TOO_MANY_IN_FLIGHT`, `CANCELLED`, `NO_TOKEN`.
 */
export class ChatError extends Error {
  /**
   * @param {string} code
   * @param {string} message
   * @param {{topic?: string, unknownFate?: boolean, cause?: unknown}} [more]
   */
  constructor(code, message, { topic, unknownFate = false, cause } = {}) {
    super(message, { cause });
    this.name = "ChatError";
    this.code = code;
    this.topic = topic;
    /** Whether the server may have carried out the command anyway. */
    this.unknownFate = unknownFate;
  }
}

/**
 * Open a connection that reconnects automatically.
 *
 * @param {string | URL} url
 * @param {Options} [options]
 * @returns {ChatRoom}
 */
export function connect(url, options) {
  return new ChatRoom(url, options);
}

/**
 * Return a random UUID (RFC 9562, version 4). It works outside secure contexts too, where
 * `crypto.randomUUID` does not exist: on `http://192.168…`, for example.
 *
 * @returns {string}
 */
export function newId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte, index) => {
    if (index === 6) return (byte & 0x0f) | 0x40; // the version
    if (index === 8) return (byte & 0x3f) | 0x80; // the variant
    return byte;
  });
  const hex = bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

const ChatRoomTarget = /** @type {new () => Dispatcher<ChatRoomEvents>} */ (EventTarget);

/**
 * One connection that reconnects automatically. It dispatches these events, each a `CustomEvent`
 * with this `detail`:
 *
 * - `state`: a `StateChange`
 * - `frame`: a `Frame`, for every text frame in either direction
 * - `event`: a `ChatEvent`, for every message, in addition to the subscription's `onEvent`
 * - `notice`: a `Notice`, in addition to the subscription's `onNotice`
 * - `refusal`: a `ChatError` that does not answer any command in flight
 * - `tokenerror`: a `ChatError`, when the server rejects the token (`UNAUTHORIZED`; `FORBIDDEN` if a
 *   renewed one is another user's) or the function `token` fails (`NO_TOKEN`, and the function is
 *   called again after a delay)
 * - `expiring`: an `Expiring`, a minute before the token expires; if `token` is a function, the token
 *   is renewed automatically
 */
export class ChatRoom extends ChatRoomTarget {
  /** @type {State} */ state = "connecting";
  /** @type {Settings} */ #options;
  /** @type {Token} */ #token;
  /** @type {WebSocket | null} */ #socket = null;
  /** @type {Map<string, Subscription>} */ #subscriptions = new Map();
  /**
   * Commands that are waiting for an answer, by request id.
   *
   * @type {Map<string, {resolve: (reply: any) => void, reject: (error: ChatError) => void,
   *     topic: string | undefined}>}
   */
  #inFlight = new Map();
  /** @type {Set<string>} */ #ownIds = new Set();
  #url;
  #commands = 0;
  #failures = 0;
  #openedAt = 0;
  #lastFrameAt = new Date();
  /** @type {number | undefined} Milliseconds that the server, which is stopping, has asked for. */
  #askedDelay;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #retryTimer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #idleTimer;
  /** Changes whenever a connection is begun or abandoned. */ #attempt = 0;
  #tokenAt = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #renewalTimer;
  /** @type {ChatError | null} Why the server rejected the latest token of this connection. */
  #rejection = null;

  /**
   * @param {string | URL} url
   * @param {Options} [options]
   */
  constructor(url, { token = "", ...options } = {}) {
    super();
    this.#url = String(url);
    this.#token = token;
    this.#options = { ...DEFAULTS, ...options };
    this.#open();
  }

  /** The topics that are subscribed to, or will be once there is a connection. */
  get topics() {
    return [...this.#subscriptions.keys()];
  }

  /**
   * Subscribe to a topic, now and after every reconnection. Subscribing again to the same topic
   * replaces the callbacks.
   *
   * @param {string} topic
   * @param {object} [options]
   * @param {number} [options.lastN] How many past messages to replay, if the topic keeps history.
   * @param {(event: ChatEvent) => void} [options.onEvent]
   * @param {(notice: Notice) => void} [options.onNotice]
   * @returns {Promise<Ack>} The server's ack; pending until there is a connection. Rejected with a
   *     `ChatError`, and without a subscription, if the server refuses or the client is closed
   *     first.
   */
  subscribe(topic, { lastN = 0, onEvent, onNotice } = {}) {
    const known = this.#subscriptions.get(topic);
    if (known) {
      Object.assign(known, { lastN, onEvent, onNotice });
      return known.ready;
    }
    const subscription = new Subscription(topic, lastN, onEvent, onNotice);
    this.#subscriptions.set(topic, subscription);
    if (this.state === "open") this.#request(subscription);
    else if (this.state === "closed") this.#refuse(subscription, notConnected(topic));
    return subscription.ready;
  }

  /**
   * End a subscription. None of its events are delivered from now on, whatever the server answers.
   *
   * @param {string} topic
   * @returns {Promise<Ack | undefined>} The server's ack, or `undefined` without a connection.
   */
  async unsubscribe(topic) {
    const subscription = this.#subscriptions.get(topic);
    if (!subscription) {
      throw new ChatError("NOT_SUBSCRIBED", "not subscribed to this topic", { topic });
    }
    this.#subscriptions.delete(topic);
    subscription.reject(new ChatError("CANCELLED", "unsubscribed before the server answered", { topic }));
    if (this.state !== "open") return undefined;
    return this.#command({ type: "unsubscribe", topic });
  }

  /**
   * Publish a message.
   *
   * @param {string} topic
   * @param {unknown} payload Any value that can be serialized as JSON.
   * @param {{id?: string}} [options] `id`: the UUID of the message; random by default.
   * @returns {Promise<Ack>} The server's ack. Rejected with a `ChatError`.
   */
  async publish(topic, payload, { id = newId() } = {}) {
    this.#ownIds.add(id);
    const [oldest] = this.#ownIds;
    if (oldest && this.#ownIds.size > OWN_IDS) this.#ownIds.delete(oldest);
    return this.#command({ type: "publish", topic, message: { id, payload: payload ?? null } });
  }

  /**
   * Measure a round trip to the server.
   *
   * @returns {Promise<number>} The round-trip time in milliseconds.
   */
  async ping() {
    const start = performance.now();
    await this.#command({ type: "ping" });
    return performance.now() - start;
  }

  /**
   * Use another token, or another function, from now on. An open connection is authenticated with it
   * in place; if the server refuses it, the previous one stays in use. Without a connection, the
   * next one uses it.
   *
   * @param {Token} token
   * @returns {Promise<AuthAck | undefined>} The server's ack, or `undefined` if there is no open
   *     connection. Rejected with a `ChatError`: `FORBIDDEN` if the token is another user's.
   */
  async setToken(token) {
    if (this.state !== "open") {
      this.#token = token;
      return undefined;
    }
    const ack = await this.#present(token);
    clearTimeout(this.#renewalTimer);
    this.#token = token;
    return ack;
  }

  /**
   * Send any text as one frame. The client does not interpret it: a subscription made this way is
   * not restored after a reconnection.
   *
   * @param {string} text
   */
  sendRaw(text) {
    if (this.state !== "open") throw notConnected();
    this.#send(text);
  }

  /** Connect now if the client is waiting for its next attempt or is closed. */
  reconnect() {
    if (this.state !== "waiting" && this.state !== "closed") return;
    clearTimeout(this.#retryTimer);
    this.#failures = 0;
    this.#open();
  }

  /** Close the connection and do not reconnect. */
  close() {
    clearTimeout(this.#retryTimer);
    this.#drop();
    this.#end({ code: 1000, reason: "" });
  }

  // --- The connection ---

  #onOnline = () => {
    if (this.state === "waiting") this.reconnect();
  };

  // Each method announces a new state last, because a listener may change the state again.

  #open() {
    this.#attempt += 1;
    this.#rejection = null;
    this.#askedDelay = undefined;
    if (typeof this.#token === "function") this.#openWithNewToken(this.#token);
    else this.#openSocket(this.#token);
    globalThis.addEventListener?.("online", this.#onOnline);
    this.#setState("connecting");
  }

  /** @param {string} token */
  #openSocket(token) {
    const isOffered = FITS_IN_HEADER.test(token);
    const bearer = isOffered ? [BEARER + token] : [];
    const socket = new WebSocket(this.#url, token ? [SUBPROTOCOL, ...bearer] : []);
    this.#socket = socket;
    // The server judges the token of the handshake before it reads the first command.
    socket.onopen = () => (token && !isOffered ? this.#introduce(token) : this.#onOpen());
    socket.onmessage = ({ data }) => this.#onFrame(data);
    socket.onclose = ({ code, reason }) => this.#onLost(code, reason);
  }

  #onOpen() {
    this.#openedAt = performance.now();
    this.#lastFrameAt = new Date();
    this.state = "open";
    this.#watch();
    for (const subscription of this.#subscriptions.values()) this.#request(subscription);
    if (this.state === "open") this.#setState("open");
  }

  /**
   * @param {number} code
   * @param {string} reason
   */
  #onLost(code, reason) {
    const stable = this.state === "open" && performance.now() - this.#openedAt > STABLE;
    if (stable) this.#failures = 0;
    this.#drop();
    const problem = this.#tokenProblem(code);
    if ((code >= 3500 && code <= 3999) || (code === EXPIRED && isFixed(this.#token))) {
      this.#end({ code, reason });
    } else {
      this.#retry({ code, reason });
    }
    if (problem) this.#emit("tokenerror", problem);
  }

  /** @param {{code?: number, reason: string}} cause */
  #retry(cause) {
    const delay = this.#askedDelay ?? this.#backoff(this.#failures);
    this.#failures += 1;
    this.#retryTimer = setTimeout(() => this.#open(), delay);
    this.#setState("waiting", { ...cause, retryAt: new Date(Date.now() + delay) });
  }

  /** @param {number} failures */
  #backoff(failures) {
    const { minDelay, maxDelay } = this.#options;
    return Math.random() * Math.min(maxDelay, minDelay * 2 ** failures);
  }

  /**
   * Stop reconnecting. Subscriptions that the server has acknowledged are kept for `reconnect()`.
   *
   * @param {{code: number, reason: string}} close
   */
  #end(close) {
    globalThis.removeEventListener?.("online", this.#onOnline);
    for (const subscription of this.#subscriptions.values()) {
      if (!subscription.lostAt) this.#refuse(subscription, notConnected(subscription.topic));
    }
    this.#setState("closed", close);
  }

  /** Abandon the socket, which may take a minute to notice that the network is gone. */
  #drop() {
    for (const subscription of this.#subscriptions.values()) {
      if (subscription.active) subscription.lostAt ??= this.#lastFrameAt;
      subscription.active = false;
    }
    this.#attempt += 1;
    clearTimeout(this.#idleTimer);
    clearTimeout(this.#renewalTimer);
    const socket = this.#socket;
    this.#socket = null;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
    const pending = [...this.#inFlight.values()];
    this.#inFlight.clear();
    for (const { reject, topic } of pending) {
      const message = "the connection was lost before the server answered";
      reject(new ChatError("CONNECTION_LOST", message, { topic, unknownFate: true }));
    }
  }

  /** Ping the server when it has been silent for a while, to detect a lost network. */
  #watch() {
    clearTimeout(this.#idleTimer);
    this.#idleTimer = setTimeout(() => {
      const last = this.#lastFrameAt;
      if (Date.now() - last.getTime() < this.#options.idle) {
        this.#watch();
        return;
      }
      this.ping().catch(() => {}); // any frame proves that the connection works, even an error
      this.#idleTimer = setTimeout(() => {
        if (this.#lastFrameAt === last) this.#onLost(1006, "");
        else this.#watch();
      }, this.#options.patience);
    }, this.#options.idle);
  }

  /**
   * @param {State} state
   * @param {Omit<StateChange, "state">} [more]
   */
  #setState(state, more = {}) {
    this.state = state;
    this.#emit("state", { state, ...more });
  }

  // --- The token ---

  /**
   * @param {Token} token
   * @returns {Promise<string>} The token; empty if there is none. Rejected with `NO_TOKEN` if the
   *     function fails.
   */
  async #take(token) {
    let taken;
    try {
      taken = typeof token === "function" ? ((await token()) ?? "") : token;
      if (typeof taken !== "string") throw new TypeError("the token is not a string");
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new ChatError("NO_TOKEN", `there is no token: ${reason}`, { cause });
    }
    this.#tokenAt = performance.now();
    return taken;
  }

  /** @param {Token} token */
  async #openWithNewToken(token) {
    const attempt = this.#attempt;
    await undefined; // so that the function may use what `connect` returns
    if (attempt !== this.#attempt) return;
    let taken;
    try {
      taken = await this.#take(token);
    } catch (error) {
      if (attempt === this.#attempt) this.#retryWithoutToken(error);
      return;
    }
    if (attempt === this.#attempt) this.#openSocket(taken);
  }

  /** @param {unknown} error */
  #retryWithoutToken(error) {
    this.#drop();
    this.#retry({ reason: "no token" });
    this.#emit("tokenerror", /** @type {ChatError} */ (error));
  }

  /**
   * Authenticate with the first message of a connection.
   *
   * @param {string} token
   */
  async #introduce(token) {
    const attempt = this.#attempt;
    this.#lastFrameAt = new Date();
    this.#watch();
    try {
      await this.#authenticate(token);
    } catch (error) {
      const { code } = /** @type {ChatError} */ (error);
      if (attempt !== this.#attempt || code === "UNAUTHORIZED") return; // the server disconnects
      // BAD_REQUEST: authentication is off, so nobody needs the token.
      if (code !== "BAD_REQUEST") {
        this.#retryWithoutToken(error);
        return;
      }
    }
    if (attempt === this.#attempt) this.#onOpen();
  }

  /**
   * Authenticate an open connection.
   *
   * @param {Token} token
   * @returns {Promise<AuthAck>}
   */
  async #present(token) {
    const attempt = this.#attempt;
    const taken = await this.#take(token);
    if (!taken) throw new ChatError("NO_TOKEN", "there is no token");
    if (attempt !== this.#attempt) throw notConnected();
    return this.#authenticate(taken);
  }

  /**
   * @param {string} token
   * @returns {Promise<AuthAck>}
   */
  async #authenticate(token) {
    try {
      const ack = await this.#command({ type: "auth", token });
      this.#rejection = null;
      return ack;
    } catch (error) {
      const rejection = /** @type {ChatError} */ (error);
      if (rejection.code === "UNAUTHORIZED") this.#rejection = rejection;
      throw error;
    }
  }

  /** @param {number} seconds How long the token is still valid. */
  #onExpiring(seconds) {
    if (typeof this.#token === "function") {
      // A token that lives shorter than two minutes is renewed when half of its life is over.
      const age = performance.now() - this.#tokenAt;
      const delay = Math.max(this.#options.minDelay, (seconds * 1000 - age) / 2);
      clearTimeout(this.#renewalTimer);
      this.#renewalTimer = setTimeout(() => this.#renew(), delay);
    }
    this.#emit("expiring", { seconds });
  }

  async #renew(failures = 0) {
    const attempt = this.#attempt;
    try {
      await this.#present(this.#token);
    } catch (error) {
      const problem = /** @type {ChatError} */ (error);
      if (attempt !== this.#attempt) return;
      // Another user's token needs another connection, which follows when this token has expired.
      if (problem.code !== "FORBIDDEN") {
        const again = () => this.#renew(failures + 1);
        this.#renewalTimer = setTimeout(again, this.#backoff(failures));
      }
      this.#emit("tokenerror", problem);
    }
  }

  /**
   * Return what is wrong with the token, if that is why the connection was closed.
   *
   * @param {number} code The close code.
   * @returns {ChatError | null}
   */
  #tokenProblem(code) {
    const reason = TOKEN_PROBLEMS[code];
    if (!reason) return null;
    // A token that expires in the course of a connection is no problem if there will be another.
    if (code === EXPIRED && !this.#rejection && !isFixed(this.#token)) return null;
    return this.#rejection ?? new ChatError("UNAUTHORIZED", reason);
  }

  // --- Commands ---

  /**
   * @param {string} text
   * @param {string} [shown] What listeners of `frame` see.
   */
  #send(text, shown = text) {
    if (!this.#socket) throw notConnected();
    if (this.#socket.bufferedAmount > this.#options.maxBuffered) throw tooMany();
    this.#socket.send(text);
    this.#emit("frame", { direction: "out", text: shown, time: new Date() });
  }

  /**
   * @param {Command} command
   * @returns {Promise<any>} The server's reply.
   */
  #command(command) {
    return new Promise((resolve, reject) => {
      if (this.#inFlight.size >= this.#options.maxInFlight) throw tooMany(command.topic);
      this.#commands += 1;
      const request_id = `c${this.#commands}`;
      const text = JSON.stringify({ ...command, request_id });
      // Registered before it is sent: a listener of `frame` may close the connection.
      this.#inFlight.set(request_id, { resolve, reject, topic: command.topic });
      try {
        if (command.type !== "auth") this.sendRaw(text);
        else this.#send(text, JSON.stringify({ ...command, token: "•••", request_id }));
      } catch (error) {
        this.#inFlight.delete(request_id);
        throw error;
      }
    });
  }

  /** @param {Subscription} subscription */
  #request(subscription) {
    const { topic, lastN } = subscription;
    subscription.replayed = subscription.overlaps = false;
    /** @type {Command} */
    const command = { type: "subscribe", topic };
    if (lastN) command.last_n = lastN;
    this.#command(command).then(
      (ack) => this.#onSubscribed(subscription, ack),
      (error) => this.#onRefused(subscription, error),
    );
  }

  /**
   * @param {Subscription} subscription
   * @param {Ack} ack
   */
  #onSubscribed(subscription, ack) {
    if (!this.#isCurrent(subscription)) return;
    subscription.active = true;
    subscription.resolve(ack);
    if (!subscription.lostAt) {
      subscription.replayed = true;
      return;
    }
    if (subscription.lastN === 0) {
      this.#endGap(subscription);
      return;
    }
    // The pong follows the replay, so the gap ends even if the replay is empty.
    const afterReplay = () => {
      if (this.#isCurrent(subscription)) this.#endGap(subscription);
    };
    this.ping().then(afterReplay, () => {});
  }

  /**
   * @param {Subscription} subscription
   * @param {ChatError} error
   */
  #onRefused(subscription, error) {
    if (!this.#isCurrent(subscription) || UNANSWERED.has(error.code)) return;
    if (!BUSY.has(error.code)) {
      this.#refuse(subscription, error);
      return;
    }
    const socket = this.#socket;
    const retry = () => {
      if (this.#socket === socket && this.#isCurrent(subscription)) this.#request(subscription);
    };
    setTimeout(retry, 1000 * (1 + Math.random()));
  }

  /**
   * @param {Subscription} subscription
   * @param {ChatError} error
   */
  #refuse(subscription, error) {
    const { topic } = subscription;
    this.#subscriptions.delete(topic);
    subscription.reject(error);
    if (subscription.lostAt) this.#notify(subscription, { kind: "deleted", topic, error });
  }

  /** @param {Subscription} subscription */
  #isCurrent(subscription) {
    return this.#subscriptions.get(subscription.topic) === subscription;
  }

  /** @param {Subscription} subscription */
  #endGap(subscription) {
    subscription.replayed = true;
    // Nothing is missing if the replay reaches back to messages seen before the connection was lost.
    if (subscription.overlaps) subscription.lostAt = null;
    if (!subscription.lostAt) return;
    const { topic, lostAt } = subscription;
    subscription.lostAt = null;
    this.#notify(subscription, { kind: "gap", topic, from: lostAt, until: new Date() });
  }

  // --- Incoming messages ---

  /** @param {unknown} text */
  #onFrame(text) {
    this.#lastFrameAt = new Date();
    if (typeof text !== "string") return;
    this.#emit("frame", { direction: "in", text, time: this.#lastFrameAt });
    /** @type {Ack | Pong | Info | EventMessage | ErrorMessage} */
    const message = JSON.parse(text);
    if (message.type === "event") this.#onEvent({ ...message, text });
    else if (message.type === "info") this.#onInfo(message);
    else if (message.type === "error" && message.error.code === "SLOW_CONSUMER") {
      this.#onSlow(message);
    } else this.#onReply(message);
  }

  /** @param {Ack | Pong | ErrorMessage} message */
  #onReply(message) {
    const { request_id = "" } = message;
    const command = this.#inFlight.get(request_id);
    this.#inFlight.delete(request_id);
    if (message.type !== "error") {
      command?.resolve(message);
      return;
    }
    const { code, message: text } = message.error;
    const error = new ChatError(code, text, { topic: message.topic });
    if (command) {
      command.reject(error);
      return;
    }
    if (code === "UNAUTHORIZED") this.#rejection = error; // of the token in the handshake
    this.#emit("refusal", error);
  }

  /** @param {ChatEvent} event */
  #onEvent(event) {
    const subscription = this.#subscriptions.get(event.topic);
    if (subscription) {
      if (!subscription.active) return; // it belongs to an earlier, ended subscription
      if (!subscription.replayed) {
        if (subscription.hasSeen(event) || this.#ownIds.has(event.message.id)) return;
        this.#endGap(subscription);
      }
      subscription.see(event);
      subscription.onEvent?.(event);
    }
    this.#emit("event", event);
  }

  /** @param {ErrorMessage} message */
  #onSlow({ topic = "", dropped = 0 }) {
    this.#notify(this.#subscriptions.get(topic), { kind: "slow", topic, dropped });
  }

  /** @param {Info} message */
  #onInfo({ topic = "", msg, reconnect_in_ms = -1, expires_in = 0 }) {
    if (msg === "shutdown" && Number.isFinite(reconnect_in_ms) && reconnect_in_ms >= 0) {
      this.#askedDelay = Math.min(reconnect_in_ms, MAX_ASKED_DELAY);
    }
    if (msg === "token_expiring") this.#onExpiring(expires_in);
    if (msg !== "topic_deleted" && msg !== "permission_revoked") return;
    const subscription = this.#subscriptions.get(topic);
    if (subscription && !subscription.active) return; // its own ack is still to come
    this.#subscriptions.delete(topic);
    this.#notify(subscription, { kind: msg === "topic_deleted" ? "deleted" : "revoked", topic });
  }

  /**
   * @param {Subscription | undefined} subscription
   * @param {Notice} notice
   */
  #notify(subscription, notice) {
    subscription?.onNotice?.(notice);
    this.#emit("notice", notice);
  }

  /**
   * @template {keyof ChatRoomEvents} Type
   * @param {Type} type
   * @param {ChatRoomEvents[Type]} detail
   */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** One subscription across all connections. */
class Subscription {
  active = false;
  /** @type {Date | null} When the connection was lost, until the gap has been dealt with. */
  lostAt = null;
  /** Whether incoming events are live: the replay is over, or there was nothing to replay. */
  replayed = false;
  /** Whether the replay contains an event that was received before. */
  overlaps = false;
  #lastTs = "";
  /** @type {Set<string>} The ids of all messages with that timestamp. */ #lastIds = new Set();

  /**
   * @param {string} topic
   * @param {number} lastN
   * @param {((event: ChatEvent) => void) | undefined} onEvent
   * @param {((notice: Notice) => void) | undefined} onNotice
   */
  constructor(topic, lastN, onEvent, onNotice) {
    this.topic = topic;
    this.lastN = lastN;
    this.onEvent = onEvent;
    this.onNotice = onNotice;
    /** @type {(ack: Ack) => void} */ this.resolve = () => {};
    /** @type {(error: ChatError) => void} */ this.reject = () => {};
    /** @type {Promise<Ack>} */
    this.ready = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.ready.catch(() => {}); // callers may ignore the promise
  }

  /**
   * Return whether a replayed event was received before. `ts` never decreases within a topic.
   *
   * @param {ChatEvent} event
   */
  hasSeen({ ts, message }) {
    const seen = ts < this.#lastTs || (ts === this.#lastTs && this.#lastIds.has(message.id));
    this.overlaps ||= seen;
    return seen;
  }

  /** @param {ChatEvent} event */
  see({ ts, message }) {
    if (ts !== this.#lastTs) this.#lastIds.clear();
    this.#lastTs = ts;
    this.#lastIds.add(message.id);
  }
}

/** @param {string} [topic] */
function notConnected(topic) {
  return new ChatError("NOT_CONNECTED", "there is no connection", { topic });
}

/** @param {string} [topic] */
function tooMany(topic) {
  const message = "too many commands or bytes are waiting for the server";
  return new ChatError("TOO_MANY_IN_FLIGHT", message, { topic });
}

/**
 * Return whether there is a token, and no way to get another.
 *
 * @param {Token} token
 */
function isFixed(token) {
  return Boolean(token) && typeof token === "string";
}
