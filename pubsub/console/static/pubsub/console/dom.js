/**
 * DOM helpers. Text from the network becomes text nodes, never markup.
 *
 * @module dom
 */

/**
 * Return the element of the page with this id.
 *
 * @template {HTMLElement} [Type=HTMLElement]
 * @param {string} id
 * @param {new () => Type} [type] The class that the element must have.
 * @returns {Type}
 */
export function byId(id, type = /** @type {new () => Type} */ (HTMLElement)) {
  const node = document.getElementById(id);
  if (!(node instanceof type)) throw new TypeError(`the page has no ${type.name} #${id}`);
  return node;
}

/** @typedef {Record<string, string | number | boolean | ((event: any) => void)>} Attributes */

/**
 * Create an HTML element.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Attributes} [attributes] Functions become listeners. `true` adds an attribute without a
 *     value, `false` adds nothing.
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function element(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/**
 * Create an SVG element.
 *
 * @template {keyof SVGElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Attributes} [attributes]
 * @param {...(Node | string)} children
 * @returns {SVGElementTagNameMap[Tag]}
 */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

/**
 * @template {Element} Node_
 * @param {Node_} node
 * @param {Attributes} attributes
 * @param {(Node | string)[]} children
 */
function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false) node.setAttribute(name, String(value));
  }
  node.append(...children);
  return node;
}

/**
 * Show a message in an element, or hide the element if the message is empty.
 *
 * @param {HTMLElement} node
 * @param {string} message
 */
export function showMessage(node, message) {
  node.textContent = message;
  node.hidden = !message;
}

/**
 * Return what went wrong as text.
 *
 * @param {unknown} error
 */
export function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Format a number with its noun: "1 message", "12,345 messages".
 *
 * @param {number} number
 * @param {string} noun
 */
export function count(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

/**
 * Format a number of bytes: "812 B", "58.6 KB".
 *
 * @param {number} bytes
 */
export function size(bytes) {
  return bytes < 1000 ? `${bytes} B` : `${(bytes / 1000).toFixed(1)} KB`;
}

const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const full = new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeStyle: "long" });

/**
 * Format a time in the user's time zone: "10:01:07".
 *
 * @param {Date} date
 */
export function timeOf(date) {
  return clock.format(date);
}

/**
 * Create a `<time>` element that shows the time, with the full date in its title.
 *
 * @param {Date} date
 */
export function timeElement(date) {
  const attributes = { datetime: date.toISOString(), title: full.format(date) };
  return element("time", attributes, timeOf(date));
}

/** @type {[number, string][]} */
const UNITS = [[86_400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

/**
 * Format a duration with its two largest units: "2 d 3 h", "4 min 10 s".
 *
 * @param {number} seconds
 */
export function duration(seconds) {
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
