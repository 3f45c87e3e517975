/**
 * All rooms: which ones exist, which ones are joined, and the history of those.
 *
 * @module rooms
 */

import { newId } from "./chatroom.js";
import { count, timeOf } from "./dom.js";
import { History, entryOf } from "./history.js";
import * as rest from "./rest.js";
import { joined } from "./storage.js";

/** @typedef {import("./history.js").Entry} Entry */
/** @typedef {import("./history.js").Chat} Chat */
/** @typedef {import("./history.js").NoticeEntry} NoticeEntry */

/** @type {Record<string, {read: string, write: string}>} What refusals mean, by error code. */
const REFUSALS = {
  FORBIDDEN: { read: "You may not read this room", write: "You may not write in this room" },
  UNAUTHORIZED: { read: "Sign in to read this room", write: "Sign in to write in this room" },
};

const REVOKED = "You may no longer read this room";

/** How many messages the server is asked to replay, if the topic keeps history. */
const REPLAY = 100;

/**
 * A joined room. Its `state` is "joining" until the server acknowledges, "gone" once the server says
 * that there is no such topic, and "refused" after any other error, which `problem` describes.
 */
export class Joined {
  /** @type {"joining" | "joined" | "gone" | "refused"} */ state = "joining";
  problem = "";
  unread = 0;
  draft = "";
  /** Whether it was joined before the page was loaded, and has not been acknowledged since. */
  restored = false;
  history = new History();
  /** @type {import("./chatroom.js").Presence | null} `null` if the server does not show it. */
  presence = null;
  /**
   * The divider before the messages that are being recovered, and their number.
   *
   * @type {{entry: NoticeEntry, count: number} | null}
   */
  recovered = null;

  /** @param {string} name */
  constructor(name) {
    this.name = name;
  }
}

/**
 * @typedef {object} RoomsEvents What the `detail` of each event is.
 * @property {null} change The list has changed.
 * @property {null} membership The server has acknowledged that a room was joined or left.
 * @property {null} unauthorized The server wants a token first.
 * @property {Joined} presence Other people are in a room.
 * @property {{room: Joined, entry: Entry}} added There is a new entry.
 * @property {{room: Joined, entry: Entry}} entry An entry has changed.
 */

const RoomsTarget = /** @type {new () => import("./chatroom.js").Dispatcher<RoomsEvents>} */ (
  EventTarget
);

/** Dispatches the events of `RoomsEvents`. */
export class Rooms extends RoomsTarget {
  /**
   * Subscribers by topic, from the server's latest answer; `null` before the first one.
   *
   * @type {Map<string, number> | null}
   */
  topics = null;
  /** How many more topics the server has; they can be opened by name. */
  unlisted = 0;
  /** Whether the server shows its topics only to those who sign in. */
  isLocked = false;
  /** @type {Map<string, Joined>} */ joined = new Map();
  #chat;

  /** @param {import("./chatroom.js").ChatRoom} chat */
  constructor(chat) {
    super();
    this.#chat = chat;
    chat.addEventListener("state", ({ detail }) => {
      if (detail.state === "open") this.retryRefused();
    });
    for (const name of joined.get()) this.join(name).restored = true;
  }

  /**
   * Update the server's topics. A joined room that was gone and exists again is joined again.
   *
   * @param {Map<string, number>} topics
   * @param {number} [total] How many topics there are, if not all are among `topics`.
   */
  update(topics, total = topics.size) {
    this.topics = topics;
    this.unlisted = Math.max(0, total - topics.size);
    this.isLocked = false;
    for (const room of this.joined.values()) {
      if (room.state === "gone" && topics.has(room.name)) this.#subscribe(room);
    }
    this.#changed();
  }

  /** The server has refused to show its topics without a token. */
  lock() {
    this.topics = null;
    this.isLocked = true;
    this.#changed();
  }

  /**
   * Add a room that has just been created, without waiting for the server's next figures.
   *
   * @param {string} name
   */
  addTopic(name) {
    if (this.topics && !this.topics.has(name)) this.topics.set(name, 0);
  }

  /**
   * @param {string} name
   * @returns {Joined}
   */
  join(name) {
    const known = this.joined.get(name);
    if (known) {
      if (known.state === "gone" || known.state === "refused") this.#subscribe(known);
      return known;
    }
    const room = new Joined(name);
    this.joined.set(name, room);
    this.#subscribe(room);
    this.#remember();
    return room;
  }

  /** @param {string} name */
  leave(name) {
    const room = this.joined.get(name);
    if (!room) return;
    this.joined.delete(name);
    if (this.#chat.topics.includes(name)) {
      const left = () => this.#emit("membership", null);
      this.#chat.unsubscribe(name).then(left, () => {});
    }
    this.#remember();
  }

  /**
   * Publish a chat message. It is added to the history immediately.
   *
   * @param {Joined} room
   * @param {{name: string, text: string}} message
   */
  send(room, { name, text }) {
    /** @type {Chat} */
    const entry = { kind: "chat", time: new Date(), id: newId(), name, text, mine: true };
    room.history.add(entry);
    this.#publish(room, entry);
    this.#emit("added", { room, entry });
  }

  /**
   * Publish a refused message again.
   *
   * @param {Joined} room
   * @param {Chat} entry
   */
  retry(room, entry) {
    this.#publish(room, entry);
    this.#emit("entry", { room, entry });
  }

  /**
   * Add a notice to a joined room; only this page shows it.
   *
   * @param {string} name
   * @param {string} text
   */
  note(name, text) {
    const room = this.joined.get(name);
    if (room) this.#add(room, notice(text));
  }

  /**
   * @param {Joined} room
   * @param {Chat} entry
   */
  #publish(room, entry) {
    const { id, name, text } = entry;
    entry.status = "sending";
    /** @param {Partial<Chat>} change */
    const settle = (change) => {
      Object.assign(entry, change);
      this.#emit("entry", { room, entry });
    };
    this.#chat.publish(room.name, { name, text }, { id }).then(
      ({ ts, scope }) => {
        settle({ status: scope ? "partial" : "acknowledged", time: new Date(ts) });
      },
      ({ code, message, unknownFate }) => {
        const known = REFUSALS[code]?.write;
        const problem = unknownFate ? `${message}; it may have been sent.` : `${known ?? message}.`;
        settle({ status: "refused", code, problem });
        if (code === "TOPIC_NOT_FOUND") this.#lose(room);
        if (code === "UNAUTHORIZED") this.#emit("unauthorized", null);
      },
    );
  }

  /** @param {Joined} room */
  #subscribe(room) {
    const wasGone = room.state === "gone";
    room.state = "joining";
    room.presence = null;
    const options = {
      lastN: REPLAY,
      /** @param {import("./chatroom.js").ChatEvent} event */
      onEvent: (event) => {
        if (!event.recovered) room.recovered = null;
        this.#add(room, entryOf(event));
      },
      /** @param {import("./chatroom.js").Notice} notice */
      onNotice: (notice) => this.#onNotice(room, notice),
      /** @param {import("./chatroom.js").Presence} presence */
      onPresence: (presence) => {
        room.presence = presence;
        this.#emit("presence", room);
      },
    };
    this.#chat.subscribe(room.name, options).then(
      () => {
        room.restored = false;
        this.#setState(room, "joined");
        this.#emit("membership", null);
        if (wasGone) this.#add(room, notice("The room was created again."));
        this.#watchPresence(room, options);
      },
      (error) => {
        if (error.code === "TOPIC_NOT_FOUND") this.#lose(room);
        else if (error.code !== "CANCELLED") this.#refuse(room, error);
      },
    );
  }

  /**
   * Ask for the members of a room, if its topic has presence.
   *
   * @param {Joined} room
   * @param {import("./chatroom.js").SubscriptionOptions} options Those of the subscription.
   */
  async #watchPresence(room, options) {
    try {
      const { presence } = await rest.topic(room.name);
      if (!presence || this.joined.get(room.name) !== room || room.state !== "joined") return;
      await this.#chat.subscribe(room.name, { ...options, presence });
    } catch {
      // The room works without it.
    }
  }

  /** Subscribe again to the rooms that were refused: on a new connection, or with a new token. */
  retryRefused() {
    for (const room of this.joined.values()) if (room.state === "refused") this.#subscribe(room);
  }

  /** @param {Joined} room */
  #lose(room) {
    if (room.restored && room.history.end === 0) {
      this.leave(room.name); // it was deleted before this page was loaded
      return;
    }
    this.topics?.delete(room.name);
    this.#setState(room, "gone");
  }

  /**
   * @param {Joined} room
   * @param {import("./chatroom.js").ChatError} error
   */
  #refuse(room, { code, message }) {
    this.#setState(room, "refused", REFUSALS[code]?.read ?? `${code}: ${message}`);
    if (code === "UNAUTHORIZED") this.#emit("unauthorized", null);
  }

  /**
   * @param {Joined} room
   * @param {Joined["state"]} state
   * @param {string} [problem]
   */
  #setState(room, state, problem = "") {
    Object.assign(room, { state, problem });
    this.#changed();
  }

  /**
   * @param {Joined} room
   * @param {import("./chatroom.js").Notice} news
   */
  #onNotice(room, news) {
    if (news.kind === "deleted") {
      this.#add(room, this.#onDeleted(room, news.error));
    } else if (news.kind === "slow") {
      const messages = news.dropped === 1 ? "message was" : "messages were";
      const dropped = `${news.dropped.toLocaleString("en")} ${messages} dropped here`;
      const text = `${dropped} because this page was not reading fast enough.`;
      this.#add(room, notice(text, "SLOW_CONSUMER"));
    } else if (news.kind === "revoked") {
      this.#setState(room, "refused", REVOKED);
      this.#add(room, notice(`${REVOKED}.`));
    } else if (news.kind === "recovered") {
      this.#onRecovered(room, news.count);
    } else {
      room.recovered = null;
      this.#add(room, notice(textOfGap(news)));
    }
  }

  /**
   * Announce messages that follow, together with those that were recovered just before.
   *
   * @param {Joined} room
   * @param {number} more How many.
   */
  #onRecovered(room, more) {
    const previous = room.recovered;
    const number = more + (previous?.count ?? 0);
    const text = `${count(number, "message")} recovered`;
    const entry = previous?.entry ?? { ...notice(text), isDivider: true };
    room.recovered = { entry, count: number };
    if (previous) {
      entry.text = text;
      this.#emit("entry", { room, entry });
    } else {
      this.#add(room, entry);
    }
  }

  /**
   * @param {Joined} room
   * @param {import("./chatroom.js").ChatError} [error] Why subscribing again was refused, if it was.
   * @returns {NoticeEntry}
   */
  #onDeleted(room, error) {
    if (error && error.code !== "TOPIC_NOT_FOUND") {
      this.#refuse(room, error);
      const why = REFUSALS[error.code]?.read ?? `The room could not be joined again: ${error.message}`;
      return notice(`${why}.`, error.code);
    }
    this.#lose(room);
    return notice(
      error ? "The room was deleted, or lost when the server restarted." : "The room was deleted.",
    );
  }

  /**
   * @param {Joined} room
   * @param {Entry} entry
   */
  #add(room, entry) {
    room.history.add(entry);
    this.#emit("added", { room, entry });
  }

  #remember() {
    joined.set([...this.joined.keys()]);
    this.#changed();
  }

  #changed() {
    this.#emit("change", null);
  }

  /**
   * @template {keyof RoomsEvents} Type
   * @param {Type} type
   * @param {RoomsEvents[Type]} detail
   */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** @param {import("./chatroom.js").GapNotice} gap */
function textOfGap({ cause, from, until, lost, atMost }) {
  if (cause === "slow") {
    const number = lost ?? atMost;
    const messages = number === undefined ? "Messages" : count(number, "message");
    const upTo = lost === undefined && number !== undefined ? "Up to " : "";
    return `${upTo}${messages} could not be recovered here, because this page was too slow.`;
  }
  if (cause === "reset") return "The server has begun a new history. Messages may be missing here.";
  if (cause === "relay") return textOfRelayLoss(lost, atMost);
  const when = `The connection was lost from ${timeOf(from)} to ${timeOf(until)}.`;
  if (atMost === undefined) return `${when} Messages sent in that time may be missing here.`;
  return `${when} Up to ${count(atMost, "message")} could not be recovered.`;
}

/**
 * @param {number} [lost]
 * @param {number} [atMost]
 */
function textOfRelayLoss(lost, atMost) {
  const number = lost ?? atMost;
  const what = number === undefined ? "Messages" : count(number, "message");
  const upTo = lost === undefined && number !== undefined ? "Up to " : "";
  return `${upTo}${what} from other parts of the room did not arrive here.`;
}

/**
 * @param {string} text
 * @param {string} [code]
 * @returns {NoticeEntry}
 */
function notice(text, code) {
  return { kind: "notice", time: new Date(), text, code };
}
