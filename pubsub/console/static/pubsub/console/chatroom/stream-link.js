/**
 * A connection without a WebSocket: messages arrive as server-sent events, and commands are REST
 * requests. It answers commands with the messages that a WebSocket would carry.
 *
 * One stream has all topics. When they change, another stream is opened, and takes over from the
 * first one once the server has acknowledged all of its topics.
 *
 * @module stream-link
 */

import { itemsOf } from "./event-stream.js";
import { Refusal, Requests, pathOf, pathOfHistory } from "./requests.js";

/** @typedef {import("./types.js").Command & {request_id: string}} Request */
/** @typedef {import("./types.js").Position} Position */
/** @typedef {import("./socket-link.js").Link} Link */
/** @typedef {import("./socket-link.js").Handlers} Handlers */

/** Milliseconds to wait for further changes of the topics before another stream is opened. */
const TOGETHER = 20;

/**
 * Milliseconds for which a stream that was replaced is still read. What it brings was accepted
 * before its successor began.
 */
const OVERLAP = 300;

/** Milliseconds between two requests for the members of a topic. */
const PRESENCE_INTERVAL = 10_000;

/** A comment that says why the stream ends: a WebSocket's close code and reason. */
const ENDING = /^(\d{4}) (.*)$/;

/** The close code of a connection that ends without one, and those of bad tokens. */
const LOST = 1006;
const EXPIRED = 3005;
const INVALID_TOKEN = 3500;

/** A small resource that is refused with 401 if the token is bad, whatever it covers. */
const JUDGES_TOKEN = "topics?limit=1";

/**
 * @typedef {object} Entry A topic that is subscribed to.
 * @property {number} lastN
 * @property {boolean} presence
 * @property {string} [request] The id of the command, until it is answered.
 */

/** One response of `/events`. */
class Stream {
  /** @type {Set<string>} Topics that the server has acknowledged. */ acknowledged = new Set();
  /** @type {Set<string>} Events that it has brought since there is a successor. */ seen = new Set();
  /** @type {string[]} Events that it may have in common with its predecessor. */ held = [];
  #controller = new AbortController();

  /** @param {Set<string>} topics */
  constructor(topics) {
    this.topics = topics;
  }

  get signal() {
    return this.#controller.signal;
  }

  /** Whether the server has acknowledged all topics, which it does before anything else. */
  get isAcknowledged() {
    return this.acknowledged.size === this.topics.size;
  }

  end() {
    this.#controller.abort();
  }
}

/** @implements {Link} */
export class StreamLink {
  /** @type {"sse"} */ transport = "sse";
  wasOpen = false;
  bufferedAmount = 0;
  #requests;
  #silence;
  #positionOf;
  #handlers;
  /** @type {Map<string, Entry>} */ #topics = new Map();
  /** @type {Stream | null} The stream that messages come from. */ #current = null;
  /** @type {Stream | null} The one that will replace it. */ #next = null;
  /** Whether the topics have changed since the latest stream was requested. */ #isOutdated = false;
  #isClosed = false;
  /** @type {Promise<unknown>} Settles when the latest publication is answered. */
  #published = Promise.resolve();
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #changeTimer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #silenceTimer;
  /** @type {ReturnType<typeof setInterval> | undefined} */ #presenceTimer;

  /**
   * @param {string} base The URL of the REST endpoints.
   * @param {string} token Empty if there is none.
   * @param {object} options
   * @param {number} options.silence Milliseconds without a byte after which a stream is lost.
   * @param {(topic: string) => Position | null} options.positionOf Where to continue a topic.
   * @param {Handlers} handlers
   */
  constructor(base, token, { silence, positionOf }, handlers) {
    this.#requests = new Requests(base, token);
    this.#silence = silence;
    this.#positionOf = positionOf;
    this.#handlers = handlers;
    this.#presenceTimer = setInterval(() => this.#refreshPresence(), PRESENCE_INTERVAL);
    this.#open();
  }

  close() {
    this.#isClosed = true;
    clearTimeout(this.#changeTimer);
    clearTimeout(this.#silenceTimer);
    clearInterval(this.#presenceTimer);
    this.#current?.end();
    this.#next?.end();
  }

  /**
   * @param {string} text
   * @param {Request} [command]
   */
  send(text, command) {
    if (!command) throw new TypeError("not a command");
    this.bufferedAmount += text.length;
    this.#execute(command)
      .catch((error) => this.#refuse(command, error))
      .finally(() => (this.bufferedAmount -= text.length));
  }

  async #open() {
    try {
      await this.#requests.text("GET", this.#requests.token ? JUDGES_TOKEN : "livez");
    } catch (error) {
      if (error instanceof Refusal && error.status === 401) this.#onBadToken(error);
      else this.#lose();
      return;
    }
    if (this.#isClosed) return;
    this.wasOpen = true;
    this.#handlers.onOpen();
  }

  /**
   * Say why, and end with the close code that a WebSocket would have.
   *
   * @param {Refusal} refusal
   */
  #onBadToken({ error }) {
    this.#receive(JSON.stringify({ type: "error", error, ts: new Date().toISOString() }));
    this.#lose(/expired/.test(error.message) ? EXPIRED : INVALID_TOKEN);
  }

  #lose(code = LOST, reason = "") {
    if (!this.#isClosed) this.#handlers.onLost(code, reason);
  }

  // --- Commands ---

  /**
   * @param {Request} command
   * @returns {Promise<void>}
   */
  async #execute(command) {
    if (command.type === "subscribe") return this.#subscribe(command);
    if (command.type === "unsubscribe") return this.#unsubscribe(command);
    if (command.type === "publish") return this.#publish(command);
    if (command.type === "auth") return this.#authenticate(command);
    if (command.type === "ping") {
      await this.#requests.text("GET", "livez");
      return this.#answer(command, { type: "pong" });
    }
    const { request_id } = command;
    if (command.type === "presence") {
      return this.#receive(withFields(await this.#requestMembers(command), { request_id }));
    }
    const text = await this.#requests.text("GET", pathOfHistory(command));
    return this.#receive(withFields(text, { type: "history", request_id }));
  }

  /** @param {Request} command */
  async #subscribe(command) {
    const { topic = "", last_n: lastN = 0, presence = false, request_id } = command;
    // The server has to refuse presence before there is a subscription.
    const members = presence ? await this.#requestMembers(command) : "";
    const entry = this.#topics.get(topic);
    if (entry) {
      entry.presence ||= presence;
      this.#answer(command, { type: "ack", topic, status: "ok" });
      if (members) this.#receive(members);
      return;
    }
    this.#topics.set(topic, { lastN, presence, request: request_id });
    this.#change();
  }

  /** @param {Request} command */
  #unsubscribe(command) {
    const { topic = "" } = command;
    const request_id = this.#topics.get(topic)?.request;
    const ack = { type: "ack", topic, status: "ok" };
    if (request_id) this.#answer({ type: "subscribe", request_id }, ack);
    this.#topics.delete(topic);
    this.#change();
    this.#answer(command, ack);
  }

  /**
   * Publish once all earlier publications are answered, so that they keep their order.
   *
   * @param {Request} command
   */
  async #publish(command) {
    const { topic, message, once } = command;
    const body = JSON.stringify({ ...message, once });
    const publish = () => this.#requests.text("POST", pathOf(command, "messages"), { body });
    const published = this.#published.then(publish);
    this.#published = published.catch(() => {});
    const { offset, duplicate, scope } = JSON.parse(await published);
    this.#answer(command, { type: "ack", topic, status: "ok", offset, duplicate, scope });
  }

  /** @param {Request} command */
  async #authenticate(command) {
    const { token = "" } = command;
    await this.#requests.text("GET", JUDGES_TOKEN, { token });
    this.#requests.token = token;
    this.#change();
    this.#answer(command, { type: "ack", status: "ok" });
  }

  /** @param {{topic?: string}} command */
  #requestMembers(command) {
    return this.#requests.text("GET", pathOf(command, "presence"));
  }

  async #refreshPresence() {
    for (const [topic, { presence, request }] of this.#topics) {
      if (!presence || request) continue;
      try {
        this.#receive(await this.#requestMembers({ topic }));
      } catch {
        return; // the stream tells when the connection is lost or the topic is gone
      }
    }
  }

  /**
   * @param {Request} command
   * @param {object} reply
   */
  #answer({ request_id }, reply) {
    this.#receive(JSON.stringify({ ...reply, request_id, ts: new Date().toISOString() }));
  }

  /**
   * @param {Request} command
   * @param {unknown} reason
   */
  #refuse(command, reason) {
    if (!(reason instanceof Refusal)) {
      this.#lose(); // so nobody knows what became of the command
      return;
    }
    const { topic } = command;
    const { error, unknownFate: unknown_fate } = reason;
    this.#answer(command, { type: "error", topic, error, unknown_fate });
  }

  /** @param {string} text */
  #receive(text) {
    if (!this.#isClosed) this.#handlers.onFrame(text);
  }

  // --- The stream ---

  /** The topics have changed, or the token. */
  #change() {
    this.#isOutdated = true;
    clearTimeout(this.#changeTimer);
    this.#changeTimer = setTimeout(() => this.#replace(), TOGETHER);
  }

  /** Open a stream for the topics of now, unless the previous one has not taken over yet. */
  #replace() {
    if (this.#isClosed || this.#next || !this.#isOutdated) return;
    this.#isOutdated = false;
    this.#current?.seen.clear();
    if (this.#topics.size) {
      this.#next = new Stream(new Set(this.#topics.keys()));
      this.#read(this.#next);
      return;
    }
    this.#current?.end();
    this.#current = null;
    clearTimeout(this.#silenceTimer);
  }

  /** @param {Stream} stream */
  async #read(stream) {
    try {
      const { signal } = stream;
      const { body } = await this.#requests.send("GET", this.#pathOfEvents(stream.topics), { signal });
      let ending = { code: LOST, reason: "" };
      if (!body) throw new TypeError("the response has no body");
      for await (const item of itemsOf(body)) {
        if (signal.aborted) return;
        this.#watch();
        if ("data" in item) {
          this.#onMessage(stream, item.data);
          continue;
        }
        this.#handlers.onAlive();
        const [, code, reason = ""] = ENDING.exec(item.comment) ?? [];
        if (code) ending = { code: Number(code), reason };
      }
      this.#onEnd(stream, ending);
    } catch (error) {
      if (stream.signal.aborted) return;
      if (error instanceof Refusal && error.status < 500) await this.#onRefused(stream, error);
      else this.#lose();
    }
  }

  /** @param {Set<string>} topics */
  #pathOfEvents(topics) {
    const query = new URLSearchParams();
    const positions = [];
    let lastN = 0;
    for (const topic of topics) {
      query.append("topic", topic);
      const position = this.#positionOf(topic);
      if (position) positions.push(`${position.epoch}:${position.offset}`);
      lastN = Math.max(lastN, this.#topics.get(topic)?.lastN ?? 0);
    }
    if (lastN) query.set("last_n", String(lastN));
    if (positions.length) query.set("last_event_id", positions.join(","));
    return `events?${query}`;
  }

  /** A stream is lost if nothing arrives for a while: the server sends a comment every 15 s. */
  #watch() {
    clearTimeout(this.#silenceTimer);
    this.#silenceTimer = setTimeout(() => this.#lose(), this.#silence);
  }

  /**
   * @param {Stream} stream
   * @param {string} text
   */
  #onMessage(stream, text) {
    const message = JSON.parse(text);
    const { topic } = message;
    if (message.type === "ack") {
      this.#onAck(stream, message);
    } else if (topic !== undefined && !this.#topics.has(topic)) {
      return; // it was unsubscribed from
    } else if (message.type === "event" && this.#isHeld(stream, message, text)) {
      return;
    } else if (message.msg === "topic_deleted" || message.msg === "permission_revoked") {
      this.#topics.delete(topic);
      this.#receive(text);
    } else {
      this.#receive(text);
    }
  }

  /**
   * While two streams bring the same events, hold back those of the new one. Those with an offset
   * need no such care, because repetitions are recognized by it.
   *
   * @param {Stream} stream
   * @param {{topic: string, offset?: number}} event
   * @param {string} text
   */
  #isHeld(stream, { topic, offset }, text) {
    const current = this.#current;
    if (offset !== undefined || !this.#next || !current?.topics.has(topic)) return false;
    if (stream === current) current.seen.add(text);
    else stream.held.push(text);
    return stream !== current;
  }

  /**
   * @param {Stream} stream
   * @param {import("./types.js").Ack} ack
   */
  #onAck(stream, ack) {
    const { topic, client_id = "" } = ack;
    this.#requests.clientId = client_id;
    stream.acknowledged.add(topic);
    const entry = this.#topics.get(topic);
    if (entry) {
      const { request } = entry;
      entry.request = undefined;
      this.#receive(JSON.stringify({ ...ack, request_id: request }));
      if (request && entry.presence) this.#refreshPresence();
    }
    if (stream === this.#next && stream.isAcknowledged) {
      setTimeout(() => this.#adopt(stream), this.#current ? OVERLAP : 0);
    }
  }

  /** Let a stream take over. @param {Stream} stream */
  #adopt(stream) {
    if (this.#isClosed || this.#next !== stream) return;
    const seen = this.#current?.seen;
    this.#current?.end();
    this.#current = stream;
    this.#next = null;
    for (const text of stream.held) if (!seen?.has(text)) this.#receive(text);
    stream.held = [];
    this.#replace();
  }

  /**
   * @param {Stream} stream
   * @param {{code: number, reason: string}} ending
   */
  #onEnd(stream, { code, reason }) {
    if (stream === this.#current && this.#next) {
      if (this.#next.isAcknowledged) this.#adopt(this.#next);
      else this.#current = null;
    } else if ([...stream.topics].some((topic) => this.#topics.has(topic))) {
      this.#lose(code, reason);
    } else if (stream === this.#current) {
      this.#current = null;
      clearTimeout(this.#silenceTimer);
    }
  }

  /**
   * The server refuses a stream as a whole. Find out which topics are the reason.
   *
   * @param {Stream} stream
   * @param {Refusal} refusal
   */
  async #onRefused(stream, refusal) {
    this.#next = null;
    this.#isOutdated = true;
    if (refusal.status === 429 && this.#current) {
      this.#current.end(); // there is no room for two streams
      this.#current = null;
      this.#replace();
      return;
    }
    const topics = [...stream.topics].filter((topic) => this.#topics.has(topic));
    const isAllowed = await Promise.all(topics.map((topic) => this.#check(topic)));
    if (isAllowed.every(Boolean)) {
      const pending = topics.filter((topic) => this.#topics.get(topic)?.request);
      for (const topic of pending) this.#refuseTopic(topic, refusal);
      if (!pending.length) this.#lose();
    }
    this.#replace();
  }

  /**
   * Ask the server about a topic. If it refuses, the subscription ends.
   *
   * @param {string} topic
   */
  async #check(topic) {
    try {
      await this.#requests.text("GET", pathOf({ topic }));
    } catch (error) {
      if (error instanceof Refusal && error.status < 500) this.#refuseTopic(topic, error);
      else this.#lose();
      return false;
    }
    return true;
  }

  /**
   * @param {string} topic
   * @param {Refusal} refusal
   */
  #refuseTopic(topic, { status, error }) {
    const request_id = this.#topics.get(topic)?.request;
    this.#topics.delete(topic);
    if (request_id) {
      this.#answer({ type: "subscribe", request_id }, { type: "error", topic, error });
    } else {
      const msg = status === 404 ? "topic_deleted" : "permission_revoked";
      this.#receive(JSON.stringify({ type: "info", topic, msg }));
    }
  }
}

/**
 * Add fields to an object without touching how the others are written.
 *
 * @param {string} text An object as JSON; neither it nor `fields` is empty.
 * @param {object} fields
 */
function withFields(text, fields) {
  return `${JSON.stringify(fields).slice(0, -1)},${text.trim().slice(1)}`;
}
