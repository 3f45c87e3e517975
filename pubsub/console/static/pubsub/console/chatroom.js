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
 * - After reconnecting it subscribes again. If the topic keeps history, it recovers what was missed,
 *   in order and without repetition, and likewise what the server dropped because the client was too
 *   slow. It notifies each subscription of messages that are or may be lost (`onNotice` with kind
 *   "gap" or "slow").
 * - `publish` settles exactly once: with the server's acknowledgement or with a `ChatError`. A
 *   publication that is in flight when the connection is lost, or whose fate the server itself does
 *   not know, fails with `unknownFate`, because it may have arrived; with `once`, it is repeated
 *   instead, and the server delivers it once. Without a connection, `publish` fails immediately;
 *   nothing is queued for later.
 * - Where no WebSocket can be opened, it uses server-sent events and REST, until a WebSocket works.
 * - With a function as `token`, every connection gets a new token, and an open connection renews its
 *   token before it expires. Tokens never appear in a URL or in an event.
 * - Every buffer is bounded.
 *
 * @module chatroom
 */

import { ChatError, notConnected, tooMany } from "./chatroom/errors.js";
import { OwnIds, newId } from "./chatroom/ids.js";
import { BUSY, Recovery, pause } from "./chatroom/recovery.js";
import { SocketLink } from "./chatroom/socket-link.js";
import { StreamLink } from "./chatroom/stream-link.js";
import { Subscription } from "./chatroom/subscription.js";

export { ChatError, newId };

/** @typedef {"connecting" | "open" | "waiting" | "closed"} State */

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

/** @typedef {"websocket" | "sse"} Transport `sse`: server-sent events, with REST for commands. */

/**
 * @typedef {object} StateChange
 * @property {State} state
 * @property {Transport} [transport] In the state "open".
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
 * @property {Presence} presence
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
 * @property {boolean} [fallback] Whether to use server-sent events where no WebSocket can be opened
 *     (true).
 * @property {string | URL} [rest] The URL of the REST endpoints, ending in a slash; it may be relative
 *     to that of the WebSocket. By default, they are beside the WebSocket.
 */

/** @typedef {import("./chatroom/members.js").Presence} Presence */
/** @typedef {import("./chatroom/types.js").ChatEvent} ChatEvent */
/** @typedef {import("./chatroom/types.js").SlowNotice} SlowNotice */
/** @typedef {import("./chatroom/types.js").RecoveredNotice} RecoveredNotice */
/** @typedef {import("./chatroom/types.js").GapNotice} GapNotice */
/** @typedef {import("./chatroom/types.js").DeletedNotice} DeletedNotice */
/** @typedef {import("./chatroom/types.js").RevokedNotice} RevokedNotice */
/** @typedef {import("./chatroom/types.js").Notice} Notice */
/** @typedef {import("./chatroom/types.js").Ack} Ack */
/** @typedef {import("./chatroom/types.js").AuthAck} AuthAck */
/** @typedef {import("./chatroom/types.js").Command} Command */
/** @typedef {import("./chatroom/types.js").ErrorMessage} ErrorMessage */
/** @typedef {import("./chatroom/types.js").Info} Info */
/** @typedef {import("./chatroom/types.js").Pong} Pong */
/** @typedef {import("./chatroom/types.js").Position} Position */
/** @typedef {import("./chatroom/types.js").PresenceMessage} PresenceMessage */
/** @typedef {import("./chatroom/types.js").ServerMessage} ServerMessage */
/** @typedef {import("./chatroom/socket-link.js").Link} Link */
/** @typedef {import("./chatroom/subscription.js").SubscriptionOptions} SubscriptionOptions */
/** @typedef {import("./chatroom/recovery.js").HistoryPage} HistoryPage */

/**
 * An event target whose listeners receive a `CustomEvent` with a known `detail`.
 *
 * @template {object} Details
 * @typedef {{addEventListener<Type extends keyof Details & string>(
 *     type: Type, listener: (event: CustomEvent<Details[Type]>) => void): void
 * } & EventTarget} Dispatcher
 */

/** @typedef {Required<Omit<Options, "token" | "rest">>} Settings */

/** @type {Settings} */
const DEFAULTS = {
  minDelay: 500,
  maxDelay: 20_000,
  idle: 25_000,
  patience: 10_000,
  maxInFlight: 1000,
  maxBuffered: 4 << 20,
  fallback: true,
};

/** Milliseconds after which a connection is considered stable and the backoff is reset. */
const STABLE = 5000;

/** Upper bound in milliseconds of the delay that a stopping server may ask for. */
const MAX_ASKED_DELAY = 120_000;

/** How many ids of this client's own messages to remember, to filter them out of replays. */
const OWN_IDS = 1000;

/** How many handshakes in a row may fail before server-sent events are used. */
const HANDSHAKES = 2;

/** Milliseconds between attempts to return from server-sent events to a WebSocket. */
const RETURN_INTERVAL = 180_000;

/**
 * Milliseconds after which a publication is no longer repeated, because the server may have
 * forgotten its id. The server remembers it for `CHATROOM_ONCE_SECONDS`, by default 300.
 */
const ONCE_WINDOW = 240_000;

/** The close code of a token that has expired. */
const EXPIRED = 3005;

/** @type {Record<number, string>} The close codes that are about the token. */
const TOKEN_PROBLEMS = {
  [EXPIRED]: "the token has expired",
  3500: "the token is invalid",
  3502: "the client did not authenticate in time",
};

/** Errors after which a publication whose fate is unknown is still repeated. */
const TEMPORARY = new Set(["NOT_CONNECTED", "UNAVAILABLE"]);

/** Errors that mean there was no answer; the next connection subscribes again. */
const UNANSWERED = new Set(["NOT_CONNECTED", "CONNECTION_LOST"]);

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

const ChatRoomTarget = /** @type {new () => Dispatcher<ChatRoomEvents>} */ (EventTarget);

/**
 * One connection that reconnects automatically. It dispatches these events, each a `CustomEvent`
 * with this `detail`:
 *
 * - `state`: a `StateChange`
 * - `frame`: a `Frame`, for every text frame in either direction
 * - `event`: a `ChatEvent`, for every message, in addition to the subscription's `onEvent`
 * - `notice`: a `Notice`, in addition to the subscription's `onNotice`
 * - `presence`: a `Presence`, in addition to the subscription's `onPresence`
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
  /** @type {Link | null} */ #link = null;
  /** @type {Map<string, Subscription>} */ #subscriptions = new Map();
  /**
   * Commands that are waiting for an answer, by request id.
   *
   * @type {Map<string, {resolve: (reply: any) => void, reject: (error: ChatError) => void,
   *     topic: string | undefined}>}
   */
  #inFlight = new Map();
  #ownIds = new OwnIds(OWN_IDS);
  #recovery = new Recovery({
    history: (topic, options) => this.history(topic, options),
    isOwn: (id) => this.#ownIds.has(id),
    deliver: (subscription, event) => this.#deliver(subscription, event),
    notify: (subscription, notice) => this.#notify(subscription, notice),
  });
  #url;
  #rest;
  #commands = 0;
  #failures = 0;
  /** How many handshakes of WebSockets have failed in a row. */ #failedHandshakes = 0;
  /** @type {Set<(isOpen: boolean) => void>} Called once there is a connection, or will be none. */
  #waiting = new Set();
  #openedAt = 0;
  #lastFrameAt = new Date();
  /** @type {number | undefined} Milliseconds that the server, which is stopping, has asked for. */
  #askedDelay;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #retryTimer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #idleTimer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #returnTimer;
  /** Changes whenever a connection is begun or abandoned. */ #attempt = 0;
  #tokenAt = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #renewalTimer;
  /** @type {ChatError | null} Why the server rejected the latest token of this connection. */
  #rejection = null;

  /**
   * @param {string | URL} url
   * @param {Options} [options]
   */
  constructor(url, { token = "", rest, ...options } = {}) {
    super();
    this.#url = String(url);
    const { href } = new URL(this.#url, location.href);
    this.#rest = String(new URL(rest ?? ".", href.replace(/^ws/, "http")));
    this.#token = token;
    this.#options = { ...DEFAULTS, ...options };
    this.#open();
  }

  /** @returns {Transport | null} How the client is connected; `null` without a connection. */
  get transport() {
    return this.state === "open" && this.#link ? this.#link.transport : null;
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
   * @param {SubscriptionOptions} [options]
   * @returns {Promise<Ack>} The server's ack; pending until there is a connection. Rejected with a
   *     `ChatError`, and without a subscription, if the server refuses or the client is closed
   *     first.
   */
  subscribe(topic, options = {}) {
    const known = this.#subscriptions.get(topic);
    if (known) return this.#resubscribe(known, options);
    const subscription = new Subscription(topic, options);
    this.#subscriptions.set(topic, subscription);
    if (this.state === "open") this.#request(subscription);
    else if (this.state === "closed") this.#refuse(subscription, notConnected(topic));
    return subscription.ready;
  }

  /**
   * @param {Subscription} subscription
   * @param {SubscriptionOptions} options
   * @returns {Promise<Ack>}
   */
  async #resubscribe(subscription, options) {
    const { active, topic, presence } = subscription;
    subscription.configure(options);
    if (!active || presence || !options.presence) return subscription.ready;
    try {
      return await this.#command({ type: "subscribe", topic, presence: true });
    } catch (error) {
      subscription.presence = false;
      throw error;
    }
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
    subscription.end();
    subscription.reject(new ChatError("CANCELLED", "unsubscribed before the server answered", { topic }));
    if (this.state !== "open") return undefined;
    return this.#command({ type: "unsubscribe", topic });
  }

  /**
   * Publish a message.
   *
   * @param {string} topic
   * @param {unknown} payload Any value that can be serialized as JSON.
   * @param {object} [options]
   * @param {string} [options.id] The UUID of the message; random by default.
   * @param {boolean} [options.once] Whether to publish it again if the connection is lost before the
   *     server has answered, or the server does not know its fate. The server delivers it once; the
   *     ack of a repetition has `duplicate`.
   * @returns {Promise<Ack>} The server's ack. Rejected with a `ChatError`.
   */
  async publish(topic, payload, { id = newId(), once = false } = {}) {
    this.#ownIds.add(id);
    /** @type {Command} */
    const command = { type: "publish", topic, message: { id, payload: payload ?? null } };
    if (once) command.once = true;
    const ack = await (once ? this.#repeat(command) : this.#command(command));
    if (ack.offset !== undefined) this.#subscriptions.get(topic)?.own(ack.offset);
    return ack;
  }

  /**
   * Request past messages of a topic that keeps history, without subscribing to it.
   *
   * @param {string} topic
   * @param {{since?: Position, limit?: number}} [options] `since`: the position after which they
   *     begin; by default, they are the newest. `limit`: how many, up to 1,000 (100).
   * @returns {Promise<HistoryPage>}
   */
  history(topic, { since, limit } = {}) {
    return this.#command({ type: "history", topic, since, limit });
  }

  /**
   * Ask who is in a topic that has presence.
   *
   * @param {string} topic
   * @returns {Promise<PresenceMessage>}
   */
  presence(topic) {
    return this.#command({ type: "presence", topic });
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
   * Ask which process of a server of several processes this connection leads to. It may be another
   * one after each reconnection.
   *
   * @returns {Promise<string | undefined>} Its id, which is new whenever it is started; `undefined`
   *     if the server is a single process, or without a WebSocket.
   */
  async process() {
    /** @type {Pong} */
    const pong = await this.#command({ type: "ping", process: true });
    return pong.process;
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
   * not restored after a reconnection. It needs a WebSocket (`NEEDS_WEBSOCKET`).
   *
   * @param {string} text
   */
  sendRaw(text) {
    if (this.state !== "open") throw notConnected();
    if (this.transport !== "websocket") {
      throw new ChatError("NEEDS_WEBSOCKET", "there is no WebSocket to send it on");
    }
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
    else this.#openLink(this.#token);
    globalThis.addEventListener?.("online", this.#onOnline);
    this.#setState("connecting");
  }

  /** @param {string} token */
  #openLink(token) {
    const link = new SocketLink(this.#url, token, {
      onOpen: () => {
        this.#failedHandshakes = 0;
        // The server judges the token of the handshake before it reads the first command.
        if (link.needsToken) this.#introduce(token);
        else this.#onOpen();
      },
      onFrame: (data) => this.#onFrame(data),
      onAlive: () => {},
      onLost: (code, reason) => {
        const hasFailed = !link.wasOpen && code === 1006;
        if (hasFailed) this.#failedHandshakes += 1;
        const isBlocked = hasFailed && this.#failedHandshakes >= HANDSHAKES;
        if (isBlocked && this.#options.fallback) this.#openStream(token);
        else this.#onLost(code, reason);
      },
    });
    this.#link = link;
  }

  /**
   * Connect without a WebSocket, because none could be opened.
   *
   * @param {string} token
   */
  #openStream(token) {
    this.#link?.close();
    const silence = this.#options.idle + this.#options.patience;
    /** @param {string} topic */
    const positionOf = (topic) => this.#subscriptions.get(topic)?.position ?? null;
    this.#link = new StreamLink(this.#rest, token, { silence, positionOf }, {
      onOpen: () => this.#onOpen(),
      onFrame: (data) => this.#onFrame(data),
      onAlive: () => (this.#lastFrameAt = new Date()),
      onLost: (code, reason) => this.#onLost(code, reason),
    });
  }

  /** Try a WebSocket from time to time, and reconnect if one can be opened. */
  #awaitReturn() {
    clearTimeout(this.#returnTimer);
    if (this.transport !== "sse") return;
    const attempt = this.#attempt;
    this.#returnTimer = setTimeout(() => {
      const probe = new SocketLink(this.#url, "", {
        onOpen: () => {
          probe.close();
          if (attempt === this.#attempt) this.#return();
        },
        onFrame: () => {},
        onAlive: () => {},
        onLost: () => {
          probe.close();
          if (attempt === this.#attempt) this.#awaitReturn();
        },
      });
    }, RETURN_INTERVAL);
  }

  /** Leave the stream for a WebSocket, as soon as no answer is outstanding. */
  #return() {
    if (this.#inFlight.size) {
      this.#returnTimer = setTimeout(() => this.#return(), 1000);
      return;
    }
    this.#drop();
    this.#open();
  }

  #onOpen() {
    this.#openedAt = performance.now();
    this.#lastFrameAt = new Date();
    this.state = "open";
    this.#watch();
    this.#awaitReturn();
    this.#settleWaiting(true);
    for (const subscription of this.#subscriptions.values()) this.#request(subscription);
    if (this.transport) this.#setState("open", { transport: this.transport });
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
    this.#settleWaiting(false);
    this.#setState("closed", close);
  }

  /** Abandon the connection. */
  #drop() {
    for (const subscription of this.#subscriptions.values()) subscription.suspend(this.#lastFrameAt);
    this.#attempt += 1;
    clearTimeout(this.#idleTimer);
    clearTimeout(this.#renewalTimer);
    clearTimeout(this.#returnTimer);
    this.#link?.close();
    this.#link = null;
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
    if (attempt === this.#attempt) this.#openLink(taken);
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
   * @param {Command & {request_id: string}} [command] What the text says, unless it is raw.
   */
  #send(text, command) {
    if (!this.#link) throw notConnected();
    if (this.#link.bufferedAmount > this.#options.maxBuffered) throw tooMany();
    this.#link.send(text, command);
    const shown = command?.type === "auth" ? JSON.stringify({ ...command, token: "•••" }) : text;
    this.#emit("frame", { direction: "out", text: shown, time: new Date() });
  }

  /**
   * @param {Command} command
   * @returns {Promise<any>} The server's reply.
   */
  #command(command) {
    return new Promise((resolve, reject) => {
      if (this.#inFlight.size >= this.#options.maxInFlight) throw tooMany(command.topic);
      if (this.state !== "open" && command.type !== "auth") throw notConnected();
      this.#commands += 1;
      const request_id = `c${this.#commands}`;
      const request = { ...command, request_id };
      // Registered before it is sent: a listener of `frame` may close the connection.
      this.#inFlight.set(request_id, { resolve, reject, topic: command.topic });
      try {
        this.#send(JSON.stringify(request), request);
      } catch (error) {
        this.#inFlight.delete(request_id);
        throw error;
      }
    });
  }

  /**
   * Publish, and publish again whenever the fate of the publication is unknown: on the next
   * connection if one is lost before the answer, or after a pause if the server does not know.
   *
   * @param {Command} command
   * @returns {Promise<Ack>}
   */
  async #repeat(command) {
    const deadline = performance.now() + ONCE_WINDOW;
    /** @type {ChatError | null} */
    let lost = null;
    let pauses = 0;
    do {
      try {
        return await this.#command(command);
      } catch (problem) {
        const error = /** @type {ChatError} */ (problem);
        if (error.unknownFate) lost = error;
        else if (!lost || !TEMPORARY.has(error.code)) {
          error.unknownFate = lost !== null;
          throw error;
        }
        if (this.state === "open") await pause(pauses++);
      }
    } while (await this.#reopened(deadline));
    throw lost;
  }

  /**
   * Wait for a connection.
   *
   * @param {number} deadline In milliseconds of `performance.now()`.
   * @returns {Promise<boolean>} Whether there is one in time.
   */
  async #reopened(deadline) {
    const remaining = deadline - performance.now();
    if (this.state === "closed" || remaining <= 0) return false;
    if (this.state === "open") return true;
    return new Promise((resolve) => {
      /** @param {boolean} isOpen */
      const settle = (isOpen) => {
        clearTimeout(timer);
        this.#waiting.delete(settle);
        resolve(isOpen);
      };
      const timer = setTimeout(() => settle(false), remaining);
      this.#waiting.add(settle);
    });
  }

  /** @param {boolean} isOpen */
  #settleWaiting(isOpen) {
    for (const settle of [...this.#waiting]) settle(isOpen);
  }

  // --- Subscriptions ---

  /** @param {Subscription} subscription */
  #request(subscription) {
    const { topic, lastN, position, clientId, presence } = subscription;
    subscription.replayed = subscription.overlaps = false;
    /** @type {Command} */
    const command = { type: "subscribe", topic };
    if (lastN) command.last_n = lastN;
    if (position) command.recover = { ...position, client_id: clientId || undefined };
    if (presence) command.presence = true;
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
    subscription.refusals = 0;
    subscription.clientId = ack.client_id ?? "";
    subscription.resolve(ack);
    if (this.#onResumed(subscription, ack)) return;
    subscription.begin(ack);
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
    if (error.code === "BAD_REQUEST" && subscription.lostAt && subscription.presence) {
      subscription.presence = false; // the topic was created again without it
      this.#request(subscription);
      return;
    }
    if (!BUSY.has(error.code)) {
      this.#refuse(subscription, error);
      return;
    }
    const link = this.#link;
    pause(subscription.refusals++).then(() => {
      if (this.#link === link && this.#isCurrent(subscription)) this.#request(subscription);
    });
  }

  /**
   * @param {Subscription} subscription
   * @param {ChatError} error
   */
  #refuse(subscription, error) {
    const { topic } = subscription;
    this.#subscriptions.delete(topic);
    subscription.end();
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
    const until = new Date();
    this.#notify(subscription, { kind: "gap", topic, cause: "disconnected", from: lostAt, until });
  }

  // --- Recovery ---

  /**
   * Continue a subscription at its position, if it has one that the server knows.
   *
   * @param {Subscription} subscription
   * @param {Ack} ack
   * @returns {boolean} Whether it continues.
   */
  #onResumed(subscription, { topic, recovered, replayed = 0, ...server }) {
    const { offset = 0 } = server;
    if (!subscription.isComparable(server)) return false;
    subscription.replayed = true;
    if (!recovered && offset > subscription.horizon) {
      this.#recovery.begin(subscription);
      return true;
    }
    subscription.lostAt = null;
    subscription.recoverUntil(offset);
    if (replayed) this.#notify(subscription, { kind: "recovered", topic, count: replayed });
    else subscription.receive(offset);
    return true;
  }

  // --- Incoming messages ---

  /** @param {unknown} text */
  #onFrame(text) {
    this.#lastFrameAt = new Date();
    if (typeof text !== "string") return;
    this.#emit("frame", { direction: "in", text, time: this.#lastFrameAt });
    /** @type {ServerMessage} */
    const message = JSON.parse(text);
    if (message.type === "event") this.#onEvent({ ...message, text });
    else if (message.type === "info") this.#onInfo(message);
    else if (message.type === "error" && message.error.code === "SLOW_CONSUMER") {
      this.#onSlow(message);
    } else if (message.type === "error" && message.error.code === "RELAY_GAP") {
      const { topic = "", dropped: lost, at_most: atMost } = message;
      this.#notifyOfLoss(topic, { cause: "relay", lost, atMost });
    } else if (message.type === "presence" && message.request_id === undefined) {
      this.#onPresence(message);
    } else if (message.type === "history") this.#onReply({ ...message, text });
    else this.#onReply(message);
  }

  /** @param {Ack | AuthAck | Pong | ErrorMessage | HistoryPage | PresenceMessage} message */
  #onReply(message) {
    const { request_id = "" } = message;
    const command = this.#inFlight.get(request_id);
    this.#inFlight.delete(request_id);
    if (message.type !== "error") {
      if (command) command.resolve(message);
      else if (message.type === "ack" && "topic" in message) this.#onContinued(message);
      return;
    }
    const { code, message: text } = message.error;
    const { topic, unknown_fate: unknownFate } = message;
    const error = new ChatError(code, text, { topic, unknownFate });
    if (command) {
      command.reject(error);
      return;
    }
    if (code === "UNAUTHORIZED") this.#rejection = error; // of the token in the handshake
    this.#emit("refusal", error);
  }

  /** Another stream has taken over a subscription. @param {Ack} ack */
  #onContinued(ack) {
    const subscription = this.#subscriptions.get(ack.topic);
    if (!subscription?.active) return;
    subscription.clientId = ack.client_id ?? "";
    const isBehind = subscription.isComparable(ack) && (ack.offset ?? 0) > subscription.horizon;
    if (ack.recovered === false && isBehind) this.#recovery.begin(subscription);
  }

  /** @param {ChatEvent} event */
  #onEvent(event) {
    const subscription = this.#subscriptions.get(event.topic);
    if (!subscription) {
      this.#emit("event", event);
      return;
    }
    if (!subscription.active) return; // it belongs to an earlier, ended subscription
    if (subscription.recovery) {
      subscription.skip(event.offset);
      return;
    }
    if (subscription.isRepeated(event)) return;
    const isRecovered = subscription.isRecovered(event);
    const isPast = !subscription.replayed || isRecovered || this.transport === "sse";
    if (isPast && this.#ownIds.has(event.message.id)) {
      subscription.see(event);
      return;
    }
    if (!subscription.replayed) {
      if (subscription.hasSeen(event)) return;
      this.#endGap(subscription);
    }
    this.#deliver(subscription, isRecovered ? { ...event, recovered: true } : event);
  }

  /**
   * @param {Subscription} subscription
   * @param {ChatEvent} event
   */
  #deliver(subscription, event) {
    subscription.see(event);
    try {
      subscription.onEvent?.(event);
      this.#emit("event", event);
    } catch (error) {
      reportError(error); // the messages behind it must not suffer
    }
  }

  /** @param {ErrorMessage} message */
  #onSlow({ topic = "", dropped = 0, first, last }) {
    const subscription = this.#subscriptions.get(topic);
    if (!subscription?.active || first === undefined || last === undefined || !subscription.position) {
      this.#notify(subscription, { kind: "slow", topic, dropped });
    } else if (last > subscription.horizon) {
      this.#recovery.begin(subscription, { dropped, first, last });
    }
  }

  /**
   * A topic has a new history. Two streams that overlap may both say so, and an ack before.
   *
   * @param {Subscription} subscription
   * @param {Partial<Position>} position
   */
  #onReset(subscription, position) {
    if (subscription.position?.epoch === position.epoch) return;
    subscription.begin(position);
    this.#notifyOfLoss(subscription.topic, { cause: "reset" });
  }

  /**
   * Report messages that were lost although the connection was not.
   *
   * @param {string} topic
   * @param {Pick<GapNotice, "cause" | "lost" | "atMost">} loss
   */
  #notifyOfLoss(topic, loss) {
    const now = new Date();
    const notice = /** @type {GapNotice} */ ({ kind: "gap", topic, from: now, until: now, ...loss });
    this.#notify(this.#subscriptions.get(topic), notice);
  }

  /** @param {PresenceMessage} message */
  #onPresence(message) {
    const subscription = this.#subscriptions.get(message.topic);
    if (!subscription?.active) return;
    const presence = subscription.members.apply(message);
    subscription.onPresence?.(presence);
    this.#emit("presence", presence);
  }

  /** @param {Info} message */
  #onInfo({ topic = "", msg, reconnect_in_ms = -1, expires_in = 0, ...position }) {
    if (msg === "shutdown" && Number.isFinite(reconnect_in_ms) && reconnect_in_ms >= 0) {
      this.#askedDelay = Math.min(reconnect_in_ms, MAX_ASKED_DELAY);
    }
    if (msg === "token_expiring") this.#onExpiring(expires_in);
    const subscription = this.#subscriptions.get(topic);
    if (msg === "position_reset" && subscription?.active) this.#onReset(subscription, position);
    if (msg !== "topic_deleted" && msg !== "permission_revoked") return;
    if (subscription && !subscription.active) return; // its own ack is still to come
    this.#subscriptions.delete(topic);
    subscription?.end();
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

/**
 * Return whether there is a token, and no way to get another.
 *
 * @param {Token} token
 */
function isFixed(token) {
  return Boolean(token) && typeof token === "string";
}
