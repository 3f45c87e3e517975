/**
 * What a client knows of one of its topics: which messages it has received, and which it has not.
 *
 * @module subscription
 */

import { Members } from "./members.js";

/** @typedef {import("./types.js").ChatEvent} ChatEvent */
/** @typedef {import("./types.js").Notice} Notice */
/** @typedef {import("./errors.js").ChatError} ChatError */
/** @typedef {import("./members.js").Presence} Presence */
/** @typedef {import("./types.js").Ack} Ack */
/** @typedef {import("./types.js").Position} Position */

/**
 * @typedef {object} SubscriptionOptions
 * @property {number} [lastN] How many past messages to replay, if the topic keeps history.
 * @property {boolean} [presence] Whether to be notified of who is in the topic.
 * @property {(event: ChatEvent) => void} [onEvent]
 * @property {(notice: Notice) => void} [onNotice]
 * @property {(presence: Presence) => void} [onPresence]
 */

/**
 * A report that the server dropped messages of a topic that keeps history.
 *
 * @typedef {{dropped: number, first: number, last: number}} Loss
 */

/** How many offsets of the client's own messages to remember per topic. */
const OWN_OFFSETS = 1000;

/** One subscription across all connections. */
export class Subscription {
  active = false;
  /** @type {Date | null} When the connection was lost, until the gap has been dealt with. */
  lostAt = null;
  /** Whether incoming events are live: the replay is over, or there was nothing to replay. */
  replayed = false;
  /** Whether the replay contains an event that was received before. */
  overlaps = false;
  members = new Members();
  /**
   * Set while missed messages are being requested: when the last message before them was received,
   * why they were missed, and what the server has dropped, if that is why.
   *
   * @type {{since: Date, cause: "disconnected" | "slow", loss: Loss | undefined} | null}
   */
  recovery = null;
  /** How often in a row the server was too busy to subscribe the client. */
  refusals = 0;
  /** The id under which the client was subscribed, for the next connection. */
  clientId = "";
  #lastTs = "";
  /** @type {Set<string>} The ids of all messages with that timestamp. */ #lastIds = new Set();

  // Positions, for topics that keep history.
  /** Empty as long as the position is unknown. */ #epoch = "";
  /** The offset of the topic when the subscription began. */ #start = 0;
  /** @type {number | null} Up to this offset, every message has been received. */ #received = null;
  /** The offset of the newest event that must be requested. */ #skipped = 0;
  /** Events up to this offset are recovered. */ #recovering = 0;
  /** @type {Set<number>} The client's own messages, which it does not receive. */ #own = new Set();

  /**
   * @param {string} topic
   * @param {SubscriptionOptions} options
   */
  constructor(topic, options) {
    this.topic = topic;
    this.lastN = 0;
    this.presence = false;
    /** @type {SubscriptionOptions["onEvent"]} */ this.onEvent = undefined;
    /** @type {SubscriptionOptions["onNotice"]} */ this.onNotice = undefined;
    /** @type {SubscriptionOptions["onPresence"]} */ this.onPresence = undefined;
    this.configure(options);
    /** @type {(ack: Ack) => void} */ this.resolve = () => {};
    /** @type {(error: ChatError) => void} */ this.reject = () => {};
    /** @type {Promise<Ack>} */
    this.ready = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.ready.catch(() => {}); // callers may ignore the promise
  }

  /** @param {SubscriptionOptions} options */
  configure({ lastN = 0, presence = false, onEvent, onNotice, onPresence }) {
    Object.assign(this, { lastN, presence, onEvent, onNotice, onPresence });
  }

  /**
   * The position after which messages are missing or still to come; `null` if the topic keeps no
   * history. Before the first event, it is the one where the replay (`lastN`) begins.
   *
   * @returns {Position | null}
   */
  get position() {
    if (!this.#epoch) return null;
    const offset = this.#received ?? Math.max(0, this.#start - this.lastN);
    return { epoch: this.#epoch, offset };
  }

  /** The offset up to which no message is missing. */
  get horizon() {
    return this.#received ?? this.#start;
  }

  /** Whether an event that was skipped is still to be requested. */
  get isBehind() {
    return this.#skipped > this.horizon;
  }

  /**
   * Begin again where the server says, because there was no position, or it is worthless.
   *
   * @param {Partial<Position>} start
   */
  begin({ epoch = "", offset = 0 }) {
    this.#epoch = epoch;
    this.#start = offset;
    this.#received = this.lastN ? null : offset;
    this.#recovering = this.#skipped = 0;
    this.#own.clear();
  }

  /**
   * Whether the server has the history that the position belongs to.
   *
   * @param {Partial<Position>} server
   */
  isComparable({ epoch, offset = 0 }) {
    return this.#epoch !== "" && epoch === this.#epoch && offset >= this.horizon;
  }

  /**
   * Expect the messages between the position and `offset`, then the live ones.
   *
   * @param {number} offset
   */
  recoverUntil(offset) {
    this.#recovering = offset;
  }

  /**
   * The client's own message has this offset. It is not received, so it must not count as missing.
   *
   * @param {number} offset
   */
  own(offset) {
    this.#own.add(offset);
    const [oldest] = this.#own;
    if (oldest !== undefined && this.#own.size > OWN_OFFSETS) this.#own.delete(oldest);
    this.#advance(this.horizon);
  }

  /**
   * Every message up to this offset has been received.
   *
   * @param {number} offset
   */
  receive(offset) {
    this.#received = Math.max(this.horizon, offset);
    this.#advance(this.#received);
  }

  /** @param {number} offset */
  #advance(offset) {
    if (!this.#own.delete(offset + 1)) return;
    do offset += 1;
    while (this.#own.delete(offset + 1));
    this.#received = offset;
  }

  /**
   * An event with this offset must be requested.
   *
   * @param {number} [offset]
   */
  skip(offset = 0) {
    this.#skipped = Math.max(this.#skipped, offset);
  }

  /**
   * Return whether an event was received before, as far as its offset tells.
   *
   * @param {ChatEvent} event
   */
  isRepeated({ offset }) {
    return offset !== undefined && this.#received !== null && offset <= this.#received;
  }

  /**
   * Return whether an event is one that the connection had lost.
   *
   * @param {ChatEvent} event
   */
  isRecovered({ offset = Infinity }) {
    return offset <= this.#recovering;
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
  see({ ts, message, offset }) {
    if (ts !== this.#lastTs) this.#lastIds.clear();
    this.#lastTs = ts;
    this.#lastIds.add(message.id);
    if (offset === undefined) return;
    this.#received ??= offset; // the first event of a replay
    this.receive(offset);
  }

  /** It has ended for good. */
  end() {
    this.active = false;
    this.recovery = null;
  }

  /**
   * The connection is lost.
   *
   * @param {Date} at When the last frame arrived.
   */
  suspend(at) {
    if (this.active) this.lostAt ??= at;
    this.active = false;
    this.refusals = 0;
    this.recovery = null;
    this.#recovering = this.#skipped = 0;
  }
}
