/**
 * A small line chart of one figure over the last two minutes.
 *
 * @module chart
 */

import { element, svg } from "./dom.js";

const POINTS = 61;
const WIDTH = 240;
const HEIGHT = 56;

export class Chart {
  /** @type {number[]} */ #values = [];
  #unit;
  #title;
  #value = element("strong", {}, "–");
  #peak = element("span", { class: "quiet" });
  #line = svg("polyline", { class: "line" });
  #area = svg("polygon", { class: "area" });
  #image = svg("svg", {
    viewBox: `0 -4 ${WIDTH} ${HEIGHT + 6}`,
    preserveAspectRatio: "none",
    role: "img",
  });

  /**
   * @param {string} title
   * @param {string} unit The text after the number.
   * @param {string} [tone] A class of the style sheet.
   */
  constructor(title, unit, tone = "") {
    this.#title = title;
    this.#unit = unit;
    const floor = svg("line", { class: "floor", x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT });
    this.#image.append(floor, this.#area, this.#line);
    this.#image.setAttribute("aria-label", `${title}: no data yet`);
    const caption = element("figcaption", {}, element("span", {}, title), this.#value);
    this.node = element("figure", { class: `chart ${tone}` }, caption, this.#image, this.#peak);
  }

  /** @param {number} value */
  add(value) {
    this.#values.push(value);
    if (this.#values.length > POINTS) this.#values.shift();
    const peak = Math.max(...this.#values);
    const now = `${format(value)}${this.#unit}`;
    this.#value.textContent = now;
    this.#peak.textContent = `peak ${format(peak)}`;
    this.#image.setAttribute(
      "aria-label",
      `${this.#title}: now ${now}, peak in the last two minutes ${format(peak)}`,
    );
    this.#draw(peak || 1);
  }

  /** @param {number} scale The value at the top of the chart. */
  #draw(scale) {
    const step = WIDTH / (POINTS - 1);
    const left = WIDTH - (this.#values.length - 1) * step;
    const points = this.#values.map((value, index) => {
      const x = (left + index * step).toFixed(1);
      const y = (HEIGHT - (value / scale) * (HEIGHT - 4)).toFixed(1);
      return `${x},${y}`;
    });
    const line = points.join(" ");
    this.#line.setAttribute("points", line);
    this.#area.setAttribute("points", `${left.toFixed(1)},${HEIGHT} ${line} ${WIDTH},${HEIGHT}`);
  }
}

/** @param {number} value */
function format(value) {
  const digits = value > 0 && value < 10 && !Number.isInteger(value) ? 1 : 0;
  return value.toLocaleString("en", { maximumFractionDigits: digits });
}
