/**
 * Requests the messages that a subscription has missed from the history of its topic.
 *
 * While it does, live events are skipped: the history contains them too, and so its order is that of
 * the topic. Recovery ends when the history has caught up with them.
 *
 * @module recovery
 */

import { elements, member } from "./source-text.js";

/** @typedef {import("./types.js").ChatEvent} ChatEvent */
/** @typedef {import("./types.js").Notice} Notice */
/** @typedef {import("./errors.js").ChatError} ChatError */
/** @typedef {import("./types.js").HistoryMessage} HistoryMessage */
/** @typedef {import("./types.js").Position} Position */
/** @typedef {import("./subscription.js").Loss} Loss */
/** @typedef {import("./subscription.js").Subscription} Subscription */
/** @typedef {HistoryMessage & {text: string}} HistoryPage `text`: the answer as received. */

/**
 * @typedef {object} Room What it needs of the client.
 * @property {(topic: string, options: {since?: Position, limit: number}) => Promise<HistoryPage>}
 *     history
 * @property {(id: string) => boolean} isOwn Whether this client has published a message.
 * @property {(subscription: Subscription, event: ChatEvent) => void} deliver
 * @property {(subscription: Subscription, notice: Notice) => void} notify
 */

/** How many messages to request at a time; the server's maximum. */
const PAGE = 1000;

/** Errors after which a command is repeated on the same connection. */
export const BUSY = new Set(["RATE_LIMITED", "TOO_MANY_IN_FLIGHT", "UNAVAILABLE"]);

/** Up to this number of attempts, each pause is twice as long as the one before. */
const MAX_DOUBLINGS = 3;

/**
 * Wait because the server is busy: for one to two seconds, and longer after several attempts.
 *
 * @param {number} [attempts] How many pauses there have been before.
 */
export function pause(attempts = 0) {
  const seconds = (1 + Math.random()) * 2 ** Math.min(attempts, MAX_DOUBLINGS);
  return new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
}

export class Recovery {
  #room;

  /** @param {Room} room */
  constructor(room) {
    this.#room = room;
  }

  /**
   * Recover everything after the subscription's position. If that has begun already, continue at
   * least to the end of the loss.
   *
   * @param {Subscription} subscription
   * @param {Loss} [loss] What the server has dropped, if that is why messages are missing.
   */
  begin(subscription, loss) {
    if (!subscription.recovery) {
      const cause = loss ? "slow" : "disconnected";
      this.#run(subscription, { since: subscription.lostAt ?? new Date(), cause, loss });
      return;
    }
    subscription.recovery.loss = undefined; // two losses cannot be told apart in one gap
    subscription.skip(loss?.last);
  }

  /**
   * @param {Subscription} subscription
   * @param {NonNullable<Subscription["recovery"]>} recovery
   */
  async #run(subscription, recovery) {
    subscription.recovery = recovery;
    const isCurrent = () => subscription.recovery === recovery; // until the connection is lost
    let isComplete = false;
    let refusals = 0;
    while (!isComplete) {
      const { topic, position } = subscription;
      try {
        const page = await this.#room.history(topic, { since: position ?? undefined, limit: PAGE });
        if (!isCurrent()) return;
        refusals = 0;
        this.#onPage(subscription, page);
        isComplete = !subscription.isBehind && subscription.horizon >= page.offset;
      } catch (error) {
        if (!isCurrent()) return;
        isComplete = !BUSY.has(/** @type {ChatError} */ (error).code);
        if (isComplete) this.#notifyOfGap(subscription);
        else await pause(refusals++);
      }
      if (!isCurrent()) return;
    }
    subscription.recovery = subscription.lostAt = null;
  }

  /**
   * Deliver the messages of a page, after a notice of those that the server does not have any more.
   *
   * @param {Subscription} subscription
   * @param {HistoryPage} page
   */
  #onPage(subscription, page) {
    const { topic, epoch, offset, messages, complete } = page;
    if (!subscription.isComparable(page)) {
      subscription.begin({ epoch, offset: 0 });
      this.#notifyOfGap(subscription);
    } else if (!complete) {
      const missing = this.#missing(subscription, page);
      if (missing.lost !== 0 && missing.atMost !== 0) this.#notifyOfGap(subscription, missing);
    }
    if (subscription.recovery) subscription.recovery.loss = undefined; // the next page is beyond it
    const events = eventsOf(page).filter((event) => !subscription.isRepeated(event));
    const others = events.filter(({ message }) => !this.#room.isOwn(message.id));
    const count = others.length;
    if (count) this.#room.notify(subscription, { kind: "recovered", topic, count });
    for (const event of others) if (subscription.active) this.#room.deliver(subscription, event);
    subscription.receive(messages.at(-1)?.offset ?? offset);
  }

  /**
   * Return how many messages are missing before the first one of a page.
   *
   * @param {Subscription} subscription
   * @param {HistoryPage} page
   * @returns {{lost?: number, atMost?: number}}
   */
  #missing({ horizon, recovery }, { messages, offset }) {
    const [first] = messages;
    const atMost = Math.max(0, (first?.offset ?? offset + 1) - 1 - horizon);
    const loss = recovery?.loss;
    if (!loss) return { atMost };
    if (loss.last > (messages.at(-1)?.offset ?? offset)) {
      return { atMost: Math.min(atMost, loss.dropped) };
    }
    // The server counts only messages of others.
    const found = messages.filter(
      ({ offset: at, message }) =>
        at >= loss.first && at <= loss.last && !this.#room.isOwn(message.id),
    );
    return { lost: Math.max(0, loss.dropped - found.length) };
  }

  /**
   * @param {Subscription} subscription
   * @param {{lost?: number, atMost?: number}} [missing]
   */
  #notifyOfGap(subscription, missing) {
    const { topic, recovery } = subscription;
    const until = new Date();
    const { since: from = until, cause = "disconnected" } = recovery ?? {};
    this.#room.notify(subscription, { kind: "gap", topic, cause, from, until, ...missing });
  }
}

/**
 * Return the messages of a page as events.
 *
 * @param {HistoryPage} page
 * @returns {ChatEvent[]}
 */
function eventsOf({ topic, messages, text }) {
  const sources = elements(member(text, "messages") ?? "[]");
  const beginning = `{"type":"event","topic":${JSON.stringify(topic)},`;
  return messages.map((message, index) => {
    const source = sources[index]?.slice(1) ?? "}";
    return { ...message, topic, recovered: true, text: beginning + source };
  });
}
