/**
 * The rooms: which ones there are, which are joined, and what was said in those.
 *
 * @module rooms
 */

import { History, entryOf } from "./history.js";
import { joined } from "./storage.js";
import { timeOf } from "./dom.js";
import { newId } from "./chatroom.js";

/** Messages that the server is asked to replay; it has some if the topic keeps a history. */
const REPLAY = 100;

/**
 * A joined room. `state`: "joining" until the server has acknowledged; "gone" when it says that
 * there is no such topic; "refused" for any other reason, which `problem` gives.
 */
class Joined {
  /** @type {"joining" | "joined" | "gone" | "refused"} */ state = "joining";
  problem = "";
  unread = 0;
  draft = "";
  /** Whether it was joined before the page was loaded, and has not been since. */
  restored = false;
  history = new History();

  constructor(name) {
    this.name = name;
  }
}

/**
 * Dispatches `change` (something to be seen in the list), `membership`
 * (the server has noted that a room was joined or left), `added` (`{room, entry}`: a new entry),
 * and `entry` (`{room, entry}`: an entry has changed).
 */
export class Rooms extends EventTarget {
  /** Subscribers by topic, as the server last said; nothing before the first answer.
   * @type {Map<string, number> | null} */
  topics = null;
  /** @type {Map<string, Joined>} */ joined = new Map();
  #chat;

  /** @param {import("./chatroom.js").ChatRoom} chat */
  constructor(chat) {
    super();
    this.#chat = chat;
    chat.addEventListener("state", ({ detail }) => detail.state === "open" && this.#askAgain());
    for (const name of joined.get()) this.join(name).restored = true;
  }

  /** Take note of the server's topics; a joined room that was gone and is there again is joined again. */
  update(topics) {
    this.topics = topics;
    for (const room of this.joined.values()) {
      if (room.state === "gone" && topics.has(room.name)) this.#subscribe(room);
    }
    this.#changed();
  }

  /** @returns {Joined} */
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

  leave(name) {
    const room = this.joined.get(name);
    if (!room) return;
    this.joined.delete(name);
    if (this.#chat.topics.includes(name)) {
      const left = () => this.dispatchEvent(new Event("membership"));
      this.#chat.unsubscribe(name).then(left, () => {});
    }
    this.#remember();
  }

  /** Publish a chat message, or a refused one again; it is in the history at once. */
  send(room, { name, text }) {
    const entry = { kind: "chat", time: new Date(), id: newId(), name, text, mine: true };
    room.history.add(entry);
    this.#publish(room, entry);
    this.dispatchEvent(new CustomEvent("added", { detail: { room, entry } }));
  }

  retry(room, entry) {
    this.#publish(room, entry);
    this.dispatchEvent(new CustomEvent("entry", { detail: { room, entry } }));
  }

  /** Say something in a joined room, to its reader alone. */
  note(name, text) {
    const room = this.joined.get(name);
    if (room) this.#add(room, notice(text));
  }

  #publish(room, entry) {
    const { id, name, text } = entry;
    entry.status = "sending";
    const settle = (change) => {
      Object.assign(entry, change);
      this.dispatchEvent(new CustomEvent("entry", { detail: { room, entry } }));
    };
    this.#chat.publish(room.name, { name, text }, { id }).then(
      ({ ts }) => settle({ status: "acknowledged", time: new Date(ts) }),
      ({ code, message, unknownFate }) => {
        const problem = unknownFate ? `${message}; it may have been sent.` : `${message}.`;
        settle({ status: "refused", code, problem });
        if (code === "TOPIC_NOT_FOUND") this.#lose(room);
      },
    );
  }

  #subscribe(room) {
    const wasGone = room.state === "gone";
    room.state = "joining";
    const callbacks = {
      onEvent: (event) => this.#add(room, entryOf(event)),
      onNotice: (notice) => this.#onNotice(room, notice),
    };
    this.#chat.subscribe(room.name, { lastN: REPLAY, ...callbacks }).then(
      () => {
        room.restored = false;
        this.#setState(room, "joined");
        this.dispatchEvent(new Event("membership"));
        if (wasGone) this.#add(room, notice("The room is there again."));
      },
      (error) => {
        if (error.code === "TOPIC_NOT_FOUND") this.#lose(room);
        else if (error.code !== "CANCELLED") this.#refuse(room, error);
      },
    );
  }

  /** On a new connection, for the rooms that were refused on the last one. */
  #askAgain() {
    for (const room of this.joined.values()) if (room.state === "refused") this.#subscribe(room);
  }

  #lose(room) {
    if (room.restored && room.history.end === 0) {
      this.leave(room.name); // it went while this tab was away
      return;
    }
    this.topics?.delete(room.name);
    this.#setState(room, "gone");
  }

  #refuse(room, { code, message }) {
    this.#setState(room, "refused", `${code}: ${message}`);
  }

  #setState(room, state, problem = "") {
    Object.assign(room, { state, problem });
    this.#changed();
  }

  #onNotice(room, { kind, dropped, from, until, error }) {
    const fate = error ? "The room was deleted, or the server has forgotten it." : "The room was deleted.";
    const entry = notice(fate);
    if (kind === "slow") {
      entry.code = "SLOW_CONSUMER";
      entry.text = `${dropped.toLocaleString("en")} ${dropped === 1 ? "message was" : "messages were"} dropped here, because this page did not read fast enough.`;
    } else if (kind === "gap") {
      entry.text = `There was no connection from ${timeOf(from)} to ${timeOf(until)}. What was said in between may be missing here.`;
    } else if (error && error.code !== "TOPIC_NOT_FOUND") {
      this.#refuse(room, error);
      entry.code = error.code;
      entry.text = `The room could not be joined again: ${error.message}.`;
    } else {
      this.#lose(room);
    }
    this.#add(room, entry);
  }

  #add(room, entry) {
    room.history.add(entry);
    this.dispatchEvent(new CustomEvent("added", { detail: { room, entry } }));
  }

  #remember() {
    joined.set([...this.joined.keys()]);
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

function notice(text) {
  return { kind: "notice", time: new Date(), text };
}
