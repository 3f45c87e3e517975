/**
 * A client for the chat room's WebSocket, in one module without dependencies.
 *
 *     import { connect } from "https://chat.example.org/static/pubsub/console/chatroom.js";
 *
 *     const room = connect("wss://chat.example.org/ws");
 *     await room.subscribe("orders", { onEvent: (event) => console.log(event.message.payload) });
 *     await room.publish("orders", { name: "Ann", text: "Hello" });
 *
 * What it promises:
 *
 * - It connects at once and reconnects by itself, after a random delay that doubles its upper bound
 *   with every failure. Close codes from 3500 to 3999 end it; so does `close()`; all others do not.
 *   1009 (a frame too large) is no exception, because nothing that was sent is ever sent again.
 * - After a reconnection it subscribes again, and tells each subscription what may be missing
 *   (`onNotice` with kind "gap").
 * - `publish` settles exactly once: with the server's acknowledgement or with a `ChatError`. A
 *   publication that was under way when the connection broke fails with `unknownFate`; it is not
 *   repeated, because it may have arrived. While there is no connection it fails at once; nothing
 *   is kept for later.
 * - Everything that it keeps has a bound.
 *
 * @module chatroom
 */

/** @typedef {"connecting" | "open" | "waiting" | "closed"} State */

/**
 * @typedef {object} ChatEvent A message of a topic.
 * @property {string} topic
 * @property {{id: string, payload: unknown}} message
 * @property {string} ts When the server accepted it (RFC 3339, UTC).
 * @property {string} text The whole frame as it came: numbers in it are as they were written.
 */

/**
 * @typedef {object} Notice News of a subscription that are not messages.
 * @property {"slow" | "gap" | "deleted"} kind "slow": the server dropped messages for this client.
 *     "gap": there was no connection for a while. "deleted": the subscription has ended, because
 *     the topic is gone or because subscribing again was refused.
 * @property {string} topic
 * @property {number} [dropped] Of "slow": how many messages.
 * @property {Date} [from] Of "gap": when the last frame came before the connection broke.
 * @property {Date} [until] Of "gap": when the subscription was there again.
 * @property {ChatError} [error] Of "deleted": why subscribing again was refused, if it was.
 */

/**
 * @typedef {object} Frame A text frame as it was on the wire.
 * @property {"in" | "out"} direction
 * @property {string} text
 * @property {Date} time
 */

/**
 * @typedef {object} Options
 * @property {number} [minDelay] Upper bound of the first delay in milliseconds (500).
 * @property {number} [maxDelay] Upper bound of every delay in milliseconds (20,000).
 * @property {number} [idle] Milliseconds without a frame after which a ping is sent (25,000).
 * @property {number} [patience] Milliseconds that a ping may take before the connection counts as
 *     lost (10,000).
 * @property {number} [maxInFlight] Commands that may wait for an answer (1,000).
 * @property {number} [maxBuffered] Bytes that may wait in the browser for the network (4 MiB).
 */

/** @type {Required<Options>} */
const DEFAULTS = {
  minDelay: 500,
  maxDelay: 20_000,
  idle: 25_000,
  patience: 10_000,
  maxInFlight: 1000,
  maxBuffered: 4 << 20,
};

/** Milliseconds after which a connection counts as stable, and delays start small again. */
const STABLE = 5000;

/** Ids of one's own messages that are remembered, so that a replay does not bring them back. */
const OWN_IDS = 1000;

/** Why a subscription was not asked for, or not answered: the next connection brings it. */
const UNASKED = new Set(["NOT_CONNECTED", "CONNECTION_LOST"]);

/** Why a subscription is asked for again a little later. */
const BUSY = new Set(["RATE_LIMITED", "TOO_MANY_IN_FLIGHT"]);

/**
 * A command failed. `code` is one of the server's error codes, or one of this module's own:
 * `NOT_CONNECTED`, `CONNECTION_LOST`, `TOO_MANY_IN_FLIGHT`, `CANCELLED`.
 */
export class ChatError extends Error {
  /**
   * @param {string} code
   * @param {string} message
   * @param {{topic?: string, unknownFate?: boolean}} [more]
   */
  constructor(code, message, { topic, unknownFate = false } = {}) {
    super(message);
    this.name = "ChatError";
    this.code = code;
    this.topic = topic;
    /** Whether the server may have carried out the command all the same. */
    this.unknownFate = unknownFate;
  }
}

/**
 * Open a connection that lasts.
 *
 * @param {string | URL} url
 * @param {Options} [options]
 * @returns {ChatRoom}
 */
export function connect(url, options) {
  return new ChatRoom(url, options);
}

/**
 * Return a random UUID (RFC 9562, version 4), also where the page is not a secure context and
 * `crypto.randomUUID` is missing: on `http://192.168…`, for instance.
 *
 * @returns {string}
 */
export function newId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/**
 * One lasting connection. It dispatches these events, each a `CustomEvent` whose `detail` is:
 *
 * - `state`: `{state, code, reason, retryAt}`; code and reason of the close frame, and the time of
 *   the next attempt, where there are any
 * - `frame`: a `Frame`, for every text frame in either direction
 * - `event`: a `ChatEvent`, for every message, in addition to the subscription's `onEvent`
 * - `notice`: a `Notice`, in addition to the subscription's `onNotice`
 * - `refusal`: a `ChatError` that answers none of the commands that wait for an answer
 */
export class ChatRoom extends EventTarget {
  /** @type {State} */ state = "connecting";
  /** @type {Required<Options>} */ #options;
  /** @type {WebSocket | null} */ #socket = null;
  /** @type {Map<string, Subscription>} */ #subscriptions = new Map();
  /** @type {Map<string, {resolve: Function, reject: Function, topic?: string}>} */
  #inFlight = new Map();
  /** @type {Set<string>} */ #ownIds = new Set();
  #url;
  #commands = 0;
  #failures = 0;
  #openedAt = 0;
  #lastFrameAt = new Date();
  #retryTimer = 0;
  #idleTimer = 0;

  /**
   * @param {string | URL} url
   * @param {Options} [options]
   */
  constructor(url, options = {}) {
    super();
    this.#url = String(url);
    this.#options = { ...DEFAULTS, ...options };
    this.#open();
  }

  /** The topics that are subscribed to, or will be as soon as there is a connection. */
  get topics() {
    return [...this.#subscriptions.keys()];
  }

  /**
   * Subscribe to a topic, now and after every reconnection. Subscribing again replaces the
   * callbacks.
   *
   * @param {string} topic
   * @param {object} [options]
   * @param {number} [options.lastN] How many past messages the server is to replay, if it has any.
   * @param {(event: ChatEvent) => void} [options.onEvent]
   * @param {(notice: Notice) => void} [options.onNotice]
   * @returns {Promise<object>} The server's ack; it waits for a connection. Rejected with a
   *     `ChatError` if the server refuses, or if the connection ends for good before that; there is
   *     no subscription then.
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
   * End a subscription. No more of its events are delivered, whatever the server answers.
   *
   * @param {string} topic
   * @returns {Promise<object | undefined>} The server's ack, or nothing without a connection.
   */
  async unsubscribe(topic) {
    const subscription = this.#subscriptions.get(topic);
    if (!subscription) throw new ChatError("NOT_SUBSCRIBED", "not subscribed to this topic", { topic });
    this.#subscriptions.delete(topic);
    subscription.reject(new ChatError("CANCELLED", "unsubscribed before it was there", { topic }));
    if (this.state !== "open") return undefined;
    return this.#command({ type: "unsubscribe", topic });
  }

  /**
   * Publish a message.
   *
   * @param {string} topic
   * @param {unknown} payload Anything that JSON has a form for.
   * @param {{id?: string}} [options] `id`: a UUID of one's own choice for the message.
   * @returns {Promise<object>} The server's ack. Rejected with a `ChatError`.
   */
  async publish(topic, payload, { id = newId() } = {}) {
    this.#ownIds.add(id);
    if (this.#ownIds.size > OWN_IDS) this.#ownIds.delete(firstOf(this.#ownIds));
    return this.#command({ type: "publish", topic, message: { id, payload: payload ?? null } });
  }

  /**
   * Ask the server for a sign of life.
   *
   * @returns {Promise<number>} Milliseconds until the answer.
   */
  async ping() {
    const start = performance.now();
    await this.#command({ type: "ping" });
    return performance.now() - start;
  }

  /**
   * Send any text as one frame. Nothing is noted of what it means: a subscription that is made in
   * this way is not renewed after a reconnection.
   *
   * @param {string} text
   */
  sendRaw(text) {
    if (this.state !== "open" || !this.#socket) throw notConnected();
    if (this.#socket.bufferedAmount > this.#options.maxBuffered) throw tooMany();
    this.#socket.send(text);
    this.#emit("frame", { direction: "out", text, time: new Date() });
  }

  /** Connect now if the client waits, or was told not to come back. */
  reconnect() {
    if (this.state !== "waiting" && this.state !== "closed") return;
    clearTimeout(this.#retryTimer);
    this.#failures = 0;
    this.#open();
  }

  /** Close the connection for good. */
  close() {
    clearTimeout(this.#retryTimer);
    this.#drop();
    this.#end({ code: 1000, reason: "" });
  }

  // --- The connection ---

  #onOnline = () => {
    if (this.state === "waiting") this.reconnect();
  };

  // A new state is told last, because whoever hears of it may change it again.

  #open() {
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    socket.onopen = () => this.#onOpen();
    socket.onmessage = ({ data }) => this.#onFrame(data);
    socket.onclose = ({ code, reason }) => this.#onLost(code, reason);
    globalThis.addEventListener?.("online", this.#onOnline);
    this.#setState("connecting");
  }

  #onOpen() {
    this.#openedAt = performance.now();
    this.#lastFrameAt = new Date();
    this.state = "open";
    this.#watch();
    for (const subscription of this.#subscriptions.values()) this.#request(subscription);
    if (this.state === "open") this.#setState("open");
  }

  #onLost(code, reason) {
    const stable = this.state === "open" && performance.now() - this.#openedAt > STABLE;
    if (stable) this.#failures = 0;
    this.#drop();
    if (code >= 3500 && code <= 3999) {
      this.#end({ code, reason });
      return;
    }
    const { minDelay, maxDelay } = this.#options;
    const delay = Math.random() * Math.min(maxDelay, minDelay * 2 ** this.#failures);
    this.#failures += 1;
    this.#retryTimer = setTimeout(() => this.#open(), delay);
    this.#setState("waiting", { code, reason, retryAt: new Date(Date.now() + delay) });
  }

  /** Stay away. Subscriptions that the server has acknowledged are kept for `reconnect()`. */
  #end(close) {
    globalThis.removeEventListener?.("online", this.#onOnline);
    for (const subscription of this.#subscriptions.values()) {
      if (!subscription.lostAt) this.#refuse(subscription, notConnected(subscription.topic));
    }
    this.#setState("closed", close);
  }

  /** Let go of the socket, which may take a minute to notice that its network is gone. */
  #drop() {
    for (const subscription of this.#subscriptions.values()) {
      if (subscription.active) subscription.lostAt ??= this.#lastFrameAt;
      subscription.active = false;
    }
    clearTimeout(this.#idleTimer);
    const socket = this.#socket;
    this.#socket = null;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
    const pending = [...this.#inFlight.values()];
    this.#inFlight.clear();
    for (const { reject, topic } of pending) {
      const message = "the connection broke before the server answered";
      reject(new ChatError("CONNECTION_LOST", message, { topic, unknownFate: true }));
    }
  }

  /** Send a ping when nothing has come for a while: a network can vanish without a word. */
  #watch() {
    clearTimeout(this.#idleTimer);
    this.#idleTimer = setTimeout(() => {
      const last = this.#lastFrameAt;
      if (Date.now() - last.getTime() < this.#options.idle) return this.#watch();
      this.ping().catch(() => {}); // whatever comes is a sign of life, a refusal as well
      this.#idleTimer = setTimeout(() => {
        if (this.#lastFrameAt === last) this.#onLost(1006, "");
        else this.#watch();
      }, this.#options.patience);
    }, this.#options.idle);
  }

  #setState(state, more = {}) {
    this.state = state;
    this.#emit("state", { state, ...more });
  }

  // --- Commands ---

  /** @returns {Promise<object>} */
  #command(command) {
    return new Promise((resolve, reject) => {
      if (this.#inFlight.size >= this.#options.maxInFlight) throw tooMany(command.topic);
      this.#commands += 1;
      const request_id = `c${this.#commands}`;
      const text = JSON.stringify({ ...command, request_id });
      // Noted before it is sent: whoever hears of the frame may close the connection.
      this.#inFlight.set(request_id, { resolve, reject, topic: command.topic });
      try {
        this.sendRaw(text);
      } catch (error) {
        this.#inFlight.delete(request_id);
        throw error;
      }
    });
  }

  #request(subscription) {
    const { topic, lastN } = subscription;
    subscription.replayed = subscription.overlaps = false;
    const command = { type: "subscribe", topic };
    if (lastN) command.last_n = lastN;
    this.#command(command).then(
      (ack) => this.#onSubscribed(subscription, ack),
      (error) => this.#onRefused(subscription, error),
    );
  }

  #onSubscribed(subscription, ack) {
    if (!this.#isCurrent(subscription)) return;
    subscription.active = true;
    subscription.resolve(ack);
    if (!subscription.lostAt) {
      subscription.replayed = true;
      return;
    }
    if (subscription.lastN === 0) this.#endGap(subscription);
    // The pong comes after the replay, so that an empty replay is noticed too.
    else this.ping().then(() => this.#isCurrent(subscription) && this.#endGap(subscription), () => {});
  }

  #onRefused(subscription, error) {
    if (!this.#isCurrent(subscription) || UNASKED.has(error.code)) return;
    if (!BUSY.has(error.code)) return this.#refuse(subscription, error);
    const socket = this.#socket;
    const again = () =>
      this.#socket === socket && this.#isCurrent(subscription) && this.#request(subscription);
    setTimeout(again, 1000 * (1 + Math.random()));
  }

  #refuse(subscription, error) {
    const { topic } = subscription;
    this.#subscriptions.delete(topic);
    subscription.reject(error);
    if (subscription.lostAt) this.#notify(subscription, { kind: "deleted", topic, error });
  }

  #isCurrent(subscription) {
    return this.#subscriptions.get(subscription.topic) === subscription;
  }

  #endGap(subscription) {
    subscription.replayed = true;
    // Of a replay that reaches back to what was seen before, nothing is missing.
    if (subscription.overlaps) subscription.lostAt = null;
    if (!subscription.lostAt) return;
    const { topic, lostAt } = subscription;
    subscription.lostAt = null;
    this.#notify(subscription, { kind: "gap", topic, from: lostAt, until: new Date() });
  }

  // --- What comes in ---

  #onFrame(text) {
    this.#lastFrameAt = new Date();
    if (typeof text !== "string") return;
    this.#emit("frame", { direction: "in", text, time: this.#lastFrameAt });
    const message = JSON.parse(text);
    if (message.type === "event") this.#onEvent({ ...message, text });
    else if (message.type === "info") this.#onInfo(message);
    else if (message.error?.code === "SLOW_CONSUMER") this.#onSlow(message);
    else this.#onReply(message);
  }

  #onReply(message) {
    const command = this.#inFlight.get(message.request_id);
    this.#inFlight.delete(message.request_id);
    if (message.type !== "error") {
      command?.resolve(message);
      return;
    }
    const error = new ChatError(message.error.code, message.error.message, message);
    if (command) command.reject(error);
    else this.#emit("refusal", error);
  }

  #onEvent(event) {
    const subscription = this.#subscriptions.get(event.topic);
    if (subscription) {
      if (!subscription.active) return; // of the one before it, which was ended
      if (!subscription.replayed) {
        if (subscription.hasSeen(event) || this.#ownIds.has(event.message.id)) return;
        this.#endGap(subscription);
      }
      subscription.see(event);
      subscription.onEvent?.(event);
    }
    this.#emit("event", event);
  }

  #onSlow({ topic, dropped }) {
    this.#notify(this.#subscriptions.get(topic), { kind: "slow", topic, dropped });
  }

  #onInfo({ topic, msg }) {
    if (msg !== "topic_deleted") return;
    const subscription = this.#subscriptions.get(topic);
    if (subscription && !subscription.active) return; // its own answer is still to come
    this.#subscriptions.delete(topic);
    this.#notify(subscription, { kind: "deleted", topic });
  }

  #notify(subscription, notice) {
    subscription?.onNotice?.(notice);
    this.#emit("notice", notice);
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** What is known of one subscription, over all connections. */
class Subscription {
  active = false;
  /** @type {Date | null} */ lostAt = null;
  /** Whether what comes is live: the replay is over, or there was nothing to make up for. */
  replayed = false;
  /** Whether the replay began with something that was seen before. */
  overlaps = false;
  #lastTs = "";
  /** @type {Set<string>} Ids of the messages of that moment. */ #lastIds = new Set();

  constructor(topic, lastN, onEvent, onNotice) {
    Object.assign(this, { topic, lastN, onEvent, onNotice });
    this.ready = new Promise((resolve, reject) => Object.assign(this, { resolve, reject }));
    this.ready.catch(() => {}); // nobody has to wait for it
  }

  /** Tell whether a replay brings an event that came before; `ts` is in order within a topic. */
  hasSeen({ ts, message }) {
    const seen = ts < this.#lastTs || (ts === this.#lastTs && this.#lastIds.has(message.id));
    this.overlaps ||= seen;
    return seen;
  }

  see({ ts, message }) {
    if (ts !== this.#lastTs) this.#lastIds.clear();
    this.#lastTs = ts;
    this.#lastIds.add(message.id);
  }
}

function firstOf(set) {
  return set.values().next().value;
}

function notConnected(topic) {
  return new ChatError("NOT_CONNECTED", "there is no connection", { topic });
}

function tooMany(topic) {
  return new ChatError("TOO_MANY_IN_FLIGHT", "too much waits for the server already", { topic });
}
