/**
 * Requests `/health` and `/stats` every two seconds while the page is visible, or `/topics` where
 * `/stats` is not open to this page.
 *
 * @module poll
 */

import * as rest from "./rest.js";

const INTERVAL = 2000;

/**
 * @typedef {object} Figures
 * @property {rest.HealthAnswer} health
 * @property {rest.StatsAnswer | null} stats `null` if the server does not show them to this page.
 * @property {Map<string, number>} topics The number of subscribers by topic.
 * @property {number} [total] The number of topics, if not all of them are in `topics`.
 * @property {rest.Process[]} [processes] Those of the server, if there may be several.
 * @property {boolean} isComplete Whether the figures are those of all processes.
 * @property {string} readiness `ok`, or if they are not complete, what may be the reason.
 * @property {number} at When the answers arrived, in milliseconds of `performance.now()`.
 */

/** @typedef {{figures: Figures, failure: unknown}} PollEvents */

const PollTarget = /** @type {new () => import("./chatroom.js").Dispatcher<PollEvents>} */ (
  EventTarget
);

/**
 * Dispatches `figures` with the answers, and `failure` with the error. After a failure for want of a
 * token it requests nothing until the next `now()`.
 */
export class Poll extends PollTarget {
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;
  #isRequesting = false;
  #again = false;
  /** Whether the server has not refused the statistics, as far as this connection knows. */
  #mayReadStats = true;

  /** Start polling; it pauses while the page is hidden. */
  start() {
    document.addEventListener("visibilitychange", () => this.now());
    this.now();
  }

  /** Find out anew whether the statistics are open to this page. */
  reset() {
    this.#mayReadStats = true;
  }

  /** Request the figures immediately. */
  async now() {
    clearTimeout(this.#timer);
    this.#again = this.#isRequesting;
    if (document.hidden || this.#isRequesting) return;
    this.#isRequesting = true;
    let isStopped = false;
    try {
      const [health, figures] = await Promise.all([rest.health(), this.#figures()]);
      const isComplete = health.complete !== false && figures.isComplete;
      const readiness = isComplete ? "ok" : await rest.readiness();
      const { processes = health.processes } = figures;
      const at = performance.now();
      const detail = { health, ...figures, processes, isComplete, readiness, at };
      this.dispatchEvent(new CustomEvent("figures", { detail }));
    } catch (error) {
      isStopped = error instanceof rest.RestError && error.wantsToken;
      this.dispatchEvent(new CustomEvent("failure", { detail: error }));
    }
    this.#isRequesting = false;
    if (this.#again) this.now();
    else if (!document.hidden && !isStopped) this.#timer = setTimeout(() => this.now(), INTERVAL);
  }

  /** @returns {Promise<Omit<Figures, "health" | "readiness" | "at">>} */
  async #figures() {
    if (this.#mayReadStats) {
      try {
        const stats = await rest.stats();
        const entries = Object.entries(stats.topics);
        const topics = new Map(entries.map(([name, topic]) => [name, topic.subscribers]));
        return { stats, topics, ...ofRoom(stats) };
      } catch (error) {
        if (!(error instanceof rest.RestError && error.isRefusal)) throw error;
        this.#mayReadStats = false;
      }
    }
    const answer = await rest.topics();
    const topics = new Map(answer.topics.map((topic) => [topic.name, topic.subscribers]));
    return { stats: null, topics, ...ofRoom(answer) };
  }
}

/** @param {rest.StatsAnswer | rest.TopicsAnswer} answer */
function ofRoom({ next, total, processes, complete }) {
  return { total: next ? total : undefined, processes, isComplete: complete !== false };
}
