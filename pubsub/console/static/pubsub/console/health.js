/**
 * The server's health: figures, and charts of the last two minutes.
 *
 * @module health
 */

import { Chart } from "./chart.js";
import { byId, duration, element } from "./dom.js";
import { RestError } from "./rest.js";

/**
 * The seconds between two samples from which a rate is calculated: closer samples make it jump, and
 * older ones make it meaningless.
 */
const SHORTEST = 1;
const LONGEST = 30;

const KEY_NEEDED = "The server shows these figures only to requests with an API key.";

/** @typedef {import("./rest.js").Totals} Totals */

/** @type {(keyof Totals)[]} */
const COUNTS = ["messages", "delivered", "dropped"];

export class Health {
  #clients = new Chart("Clients", "");
  #in = new Chart("Messages in", "/s");
  #out = new Chart("Deliveries out", "/s");
  #drops = new Chart("Drops", "/s", "alarm");
  #uptime = addFigure("Uptime");
  #rooms = addFigure("Rooms");
  #subscriptions = addFigure("Subscriptions");
  #dropped = addFigure("Total dropped");
  #state = byId("health-state");
  /**
   * The figures of the last sample, and of which processes they are, if there are several.
   *
   * @type {{totals: Totals, at: number, uptime: number, of: string} | null}
   */
  #last = null;

  /** @param {import("./poll.js").Poll} poll */
  constructor(poll) {
    const charts = [this.#in, this.#out, this.#clients, this.#drops];
    byId("charts").append(...charts.map(({ node }) => node));
    poll.addEventListener("figures", ({ detail }) => this.#show(detail));
    poll.addEventListener("failure", ({ detail }) => {
      this.#last = null;
      const isRefusal = detail instanceof RestError && detail.isRefusal;
      this.#state.textContent = isRefusal ? KEY_NEEDED : "The server is not responding.";
    });
  }

  /** @param {import("./poll.js").Figures} figures */
  #show({ health, stats, at, processes, isComplete }) {
    const uptime = longest(processes) ?? health.uptime_sec;
    this.#uptime.textContent = uptime === undefined ? "–" : duration(uptime);
    this.#rooms.textContent = health.topics?.toLocaleString("en") ?? "–";
    this.#subscriptions.textContent = health.subscribers?.toLocaleString("en") ?? "–";
    this.#dropped.textContent = stats?.totals.dropped.toLocaleString("en") ?? "–";
    this.#state.textContent = stats ? "" : KEY_NEEDED;
    byId("charts").hidden = !stats;
    if (!stats) return;
    if (!isComplete) {
      this.#last = null;
      return;
    }
    const { totals } = stats;
    const of = (processes ?? []).map(({ id }) => id).sort().join();
    const last = this.#last;
    const seconds = last ? (at - last.at) / 1000 : Infinity;
    if (seconds < SHORTEST) return;
    this.#last = { totals, at, uptime: stats.uptime_sec, of };
    this.#clients.add(health.clients ?? 0);
    if (!last || seconds > LONGEST) return;
    // A process takes its counts with it when it ends, so there is no rate across that.
    if (of !== last.of || (!of && stats.uptime_sec < last.uptime)) return;
    if (COUNTS.some((name) => totals[name] < last.totals[name])) return;
    /** @param {keyof Totals} name */
    const rate = (name) => (totals[name] - last.totals[name]) / seconds;
    this.#in.add(rate("messages"));
    this.#out.add(rate("delivered"));
    this.#drops.add(rate("dropped"));
  }
}

/** @param {import("./rest.js").Process[]} [processes] */
function longest(processes) {
  return processes?.length ? Math.max(...processes.map((each) => each.uptime_sec)) : undefined;
}

/**
 * Add a figure to the panel and return the element that holds its value.
 *
 * @param {string} name
 */
function addFigure(name) {
  const value = element("dd", {}, "–");
  byId("figures").append(element("div", {}, element("dt", {}, name), value));
  return value;
}
