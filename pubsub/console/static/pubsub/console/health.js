/**
 * The server's health: figures and charts of the last two minutes.
 *
 * @module health
 */

import { Chart } from "./chart.js";
import { byId, element } from "./dom.js";

/** Seconds between two answers from which a rate is made: of less it jumps, of more it is old. */
const SHORTEST = 1;
const LONGEST = 30;

export class Health {
  #clients = new Chart("Clients", "");
  #in = new Chart("Messages in", "/s");
  #out = new Chart("Deliveries out", "/s");
  #drops = new Chart("Drops", "/s", "alarm");
  #figures = {};
  #last = null;

  /** @param {import("./poll.js").Poll} poll */
  constructor(poll) {
    const charts = [this.#in, this.#out, this.#clients, this.#drops];
    byId("charts").append(...charts.map(({ node }) => node));
    for (const name of ["Uptime", "Rooms", "Subscriptions", "Dropped in all"]) {
      this.#figures[name] = element("dd", {}, "–");
      byId("figures").append(element("div", {}, element("dt", {}, name), this.#figures[name]));
    }
    poll.addEventListener("figures", ({ detail }) => this.#show(detail));
    poll.addEventListener("failure", () => {
      this.#last = null;
      byId("health-state").textContent = "The server does not answer.";
    });
  }

  #show({ health, stats, at }) {
    const { totals } = stats;
    this.#figures.Uptime.textContent = duration(health.uptime_sec);
    this.#figures.Rooms.textContent = health.topics.toLocaleString("en");
    this.#figures.Subscriptions.textContent = health.subscribers.toLocaleString("en");
    this.#figures["Dropped in all"].textContent = totals.dropped.toLocaleString("en");
    byId("health-state").textContent = "";
    const last = this.#last;
    const seconds = last ? (at - last.at) / 1000 : Infinity;
    if (seconds < SHORTEST) return;
    this.#last = { totals, at, uptime: stats.uptime_sec };
    this.#clients.add(health.clients);
    // No rate over a restart, which sets all counters to zero.
    if (stats.uptime_sec < last?.uptime || totals.messages < last?.totals.messages) return;
    if (seconds > LONGEST) return;
    const rate = (name) => (totals[name] - last.totals[name]) / seconds;
    this.#in.add(rate("messages"));
    this.#out.add(rate("delivered"));
    this.#drops.add(rate("dropped"));
  }
}

/** "2 d 3 h", "4 min 10 s". */
function duration(seconds) {
  const units = [[86_400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = units.findIndex(([length]) => seconds >= length);
  if (first < 0) return "0 s";
  const parts = [];
  let rest = seconds;
  for (const [length, name] of units.slice(first, first + 2)) {
    parts.push(`${Math.floor(rest / length)} ${name}`);
    rest %= length;
  }
  return parts.join(" ");
}
