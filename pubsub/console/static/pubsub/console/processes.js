/**
 * A server of several processes: which one this page is connected to, and all of them. Nothing is
 * shown, and nothing is asked, if the server is a single process.
 *
 * @module processes
 */

import { byId, duration, element } from "./dom.js";

/** How many characters of an id to show; the whole one is in its tooltip. */
const SHORT = 8;

/** How many processes to list. */
const LISTED = 10;

/** @type {Record<string, string>} What is wrong with the figures, by the readiness of the server. */
const PROBLEMS = {
  degraded:
    "A process cannot reach the others: these figures are its own, and messages may not reach everyone.",
  draining: "A process is stopping, so these figures are incomplete.",
};

const INCOMPLETE = "Some processes did not answer, so these figures are incomplete.";

/** @typedef {import("./rest.js").Process} Process */

export class Processes {
  #chat;
  #pill = byId("connection-process");
  #table = byId("processes");
  #rows = byId("processes-rows");
  #more = byId("processes-more");
  #problem = byId("processes-problem");
  /** The process that this page is connected to; empty if that is unknown. */ #own = "";
  #isAsked = false;
  /** @type {Process[]} */ #all = [];

  /**
   * @param {import("./chatroom.js").ChatRoom} chat
   * @param {import("./poll.js").Poll} poll
   */
  constructor(chat, poll) {
    this.#chat = chat;
    chat.addEventListener("state", () => {
      this.#own = "";
      this.#isAsked = false;
      this.#draw();
    });
    poll.addEventListener("figures", ({ detail }) => this.#onFigures(detail));
    poll.addEventListener("failure", () => (this.#problem.hidden = true));
  }

  /** @param {import("./poll.js").Figures} figures */
  #onFigures({ processes = [], isComplete, readiness }) {
    this.#all = [...processes].sort((a, b) => (a.id < b.id ? -1 : 1));
    this.#problem.hidden = isComplete;
    const problem = isComplete ? "" : (PROBLEMS[readiness] ?? INCOMPLETE);
    // Screen readers announce the text again whenever it is set.
    if (this.#problem.textContent !== problem) this.#problem.textContent = problem;
    this.#ask();
    this.#draw();
  }

  /** Ask once on each connection. */
  async #ask() {
    if (this.#isAsked || !this.#all.length || this.#chat.transport !== "websocket") return;
    this.#isAsked = true;
    try {
      this.#own = (await this.#chat.process()) ?? "";
    } catch {
      return; // the next connection asks again
    }
    this.#draw();
  }

  #draw() {
    const place = this.#all.findIndex(({ id }) => id === this.#own) + 1;
    const among = place ? ` · ${place} of ${this.#all.length}` : "";
    this.#pill.textContent = this.#own && `Process ${this.#own.slice(0, SHORT)}${among}`;
    this.#pill.title = this.#own && `This page is connected to the process ${this.#own}`;
    this.#table.hidden = !this.#all.length;
    this.#rows.replaceChildren(...this.#all.slice(0, LISTED).map((process) => this.#row(process)));
    const unlisted = this.#all.length - LISTED;
    this.#more.hidden = unlisted <= 0;
    this.#more.textContent = `and ${unlisted.toLocaleString("en")} more`;
  }

  /** @param {Process} process */
  #row({ id, uptime_sec, clients, age_ms }) {
    const name = element("code", { title: id }, id.slice(0, SHORT));
    const own = id === this.#own ? [element("span", { class: "quiet" }, " this page")] : [];
    return element(
      "tr",
      {},
      element("th", { scope: "row" }, name, ...own),
      element("td", {}, duration(uptime_sec)),
      element("td", {}, clients.toLocaleString("en")),
      element("td", {}, `${(age_ms / 1000).toFixed(1)} s old`),
    );
  }
}
