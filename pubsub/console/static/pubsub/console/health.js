/**
 * The server's health: figures, and charts of the last two minutes.
 *
 * @module health
 */

import { Chart } from "./chart.js";
import { byId, element } from "./dom.js";
import { RestError } from "./rest.js";

/**
 * The seconds between two samples from which a rate is calculated: closer samples make it jump, and
 * older ones make it meaningless.
 */
const SHORTEST = 1;
const LONGEST = 30;

const KEY_NEEDED = "The server shows these figures only to requests with an API key.";

/** @typedef {import("./rest.js").Totals} Totals */

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
  /** @type {{totals: Totals, at: number, uptime: number} | null} */ #last = null;

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
  #show({ health, stats, at }) {
    this.#uptime.textContent = health.uptime_sec === undefined ? "–" : duration(health.uptime_sec);
    this.#rooms.textContent = health.topics?.toLocaleString("en") ?? "–";
    this.#subscriptions.textContent = health.subscribers?.toLocaleString("en") ?? "–";
    this.#dropped.textContent = stats?.totals.dropped.toLocaleString("en") ?? "–";
    this.#state.textContent = stats ? "" : KEY_NEEDED;
    byId("charts").hidden = !stats;
    if (!stats) return;
    const { totals } = stats;
    const last = this.#last;
    const seconds = last ? (at - last.at) / 1000 : Infinity;
    if (seconds < SHORTEST) return;
    this.#last = { totals, at, uptime: stats.uptime_sec };
    this.#clients.add(health.clients ?? 0);
    if (!last || seconds > LONGEST) return;
    // A restart resets all counters, so there is no rate across it.
    if (stats.uptime_sec < last.uptime || totals.messages < last.totals.messages) return;
    /** @param {keyof Totals} name */
    const rate = (name) => (totals[name] - last.totals[name]) / seconds;
    this.#in.add(rate("messages"));
    this.#out.add(rate("delivered"));
    this.#drops.add(rate("dropped"));
  }
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

/** @type {[number, string][]} */
const UNITS = [[86_400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

/**
 * Format a duration with its two largest units: "2 d 3 h", "4 min 10 s".
 *
 * @param {number} seconds
 */
function duration(seconds) {
  const first = UNITS.findIndex(([length]) => seconds >= length);
  if (first < 0) return "0 s";
  const parts = [];
  let rest = seconds;
  for (const [length, name] of UNITS.slice(first, first + 2)) {
    parts.push(`${Math.floor(rest / length)} ${name}`);
    rest %= length;
  }
  return parts.join(" ");
}
