/**
 * The REST endpoints.
 *
 * @module rest
 */

/** Milliseconds to wait for an answer. */
const TIMEOUT = 10_000;

/** Pages of topics to request at a time, of 1,000 each. */
const PAGES = 10;

const base = new URL(document.documentElement.dataset.rest ?? "", location.href);

/** The token that requests carry; empty if there is none. It is kept here and nowhere else. */
let token = "";

/** @param {string} value */
export function setToken(value) {
  token = value;
}

/** @typedef {{messages: number, delivered: number, dropped: number}} Totals */

/**
 * @typedef {object} Process One process of a server of several.
 * @property {string} id
 * @property {number} uptime_sec
 * @property {number} clients
 * @property {number} age_ms How old its figures are.
 */

/**
 * @typedef {object} Room What answers about the whole room have in common.
 * @property {Process[]} [processes] The living ones, if there may be several.
 * @property {boolean} [complete] `false` if one of them did not answer.
 */

/**
 * @typedef {object} HealthAnswerFields Where access is controlled, it has none of these.
 * @property {number} [uptime_sec]
 * @property {number} [topics]
 * @property {number} [clients]
 * @property {number} [subscribers]
 */

/** @typedef {Room & HealthAnswerFields} HealthAnswer */

/**
 * @typedef {object} TopicsAnswerFields
 * @property {{name: string, subscribers: number}[]} topics
 * @property {string} [next] The cursor of the next page, if there is one.
 * @property {number} [total] The number of topics on all pages.
 */

/** @typedef {Room & TopicsAnswerFields} TopicsAnswer */

/**
 * @typedef {object} StatsAnswerFields
 * @property {Record<string, {subscribers: number}>} topics
 * @property {Totals} totals
 * @property {number} uptime_sec
 * @property {string} [next] The cursor of the next page, if there is one.
 * @property {number} [total] The number of topics on all pages.
 */

/** @typedef {Room & StatsAnswerFields} StatsAnswer */

/** The server refused a request, or did not answer. */
export class RestError extends Error {
  /**
   * @param {string} message
   * @param {string} [code] The server's error code, if it answered with one.
   * @param {string} [challenge] The credentials that the server asks for (RFC 9110 §11.6.1).
   */
  constructor(message, code, challenge = "") {
    super(message);
    this.name = "RestError";
    this.code = code;
    this.challenge = challenge;
  }

  /** Whether the server refused the request because of who sent it. */
  get isRefusal() {
    return this.code === "UNAUTHORIZED" || this.code === "FORBIDDEN";
  }

  /** Whether another token would help. Some endpoints accept only API keys, which no page has. */
  get wantsToken() {
    return this.code === "UNAUTHORIZED" && !/^X-API-Key/i.test(this.challenge);
  }
}

/**
 * @param {string} method
 * @param {string} path Relative to the page.
 * @param {object} [body]
 * @returns {Promise<any>} The JSON of a successful answer. Rejected with a `RestError`.
 */
async function request(method, path, body) {
  /** @type {RequestInit} */
  const init = { method, cache: "no-store", signal: AbortSignal.timeout(TIMEOUT) };
  if (body) {
    init.body = JSON.stringify(body);
    init.headers = { "Content-Type": "application/json" };
  }
  if (token) init.headers = { ...init.headers, Authorization: `Bearer ${token}` };
  let response, answer;
  try {
    response = await fetch(new URL(path, base), init);
    answer = await response.json();
  } catch {
    throw new RestError(response ? `HTTP ${response.status}` : "the server is not responding");
  }
  if (response.ok) return answer;
  const { message = `HTTP ${response.status}`, code } = answer.error ?? {};
  throw new RestError(message, code, response.headers.get("WWW-Authenticate") ?? "");
}

/** @returns {Promise<HealthAnswer>} */
export function health() {
  return request("GET", "health");
}

/** @returns {Promise<string>} Whether the server welcomes new clients: `ok`, or why it does not. */
export async function readiness() {
  const init = { cache: /** @type {const} */ ("no-store"), signal: AbortSignal.timeout(TIMEOUT) };
  try {
    const response = await fetch(new URL("readyz", base), init);
    const { status } = await response.json();
    return String(status);
  } catch {
    return "unknown";
  }
}

/**
 * Request a list page by page, up to `PAGES`.
 *
 * @param {string} path
 * @param {(first: any, page: any) => void} append Adds the rows of a page to those of the first.
 * @returns {Promise<any>} The first page with the rows of all of them, and the `next` of the last.
 */
async function pages(path, append) {
  const first = await request("GET", path);
  let page = first;
  for (let count = 1; page.next && count < PAGES; count += 1) {
    page = await request("GET", `${path}?cursor=${encodeURIComponent(page.next)}`);
    append(first, page);
    if (page.complete === false) first.complete = false;
  }
  return { ...first, next: page.next };
}

/** @returns {Promise<StatsAnswer>} The figures of all topics. */
export function stats() {
  return pages("stats", (first, page) => Object.assign(first.topics, page.topics));
}

/** @returns {Promise<TopicsAnswer>} The topics that this page may see. */
export function topics() {
  return pages("topics", (first, page) => first.topics.push(...page.topics));
}

/** @typedef {{history?: number, presence?: boolean}} TopicOptions What is left out is the default. */

/**
 * @param {string} name
 * @param {TopicOptions} [options]
 */
export function createTopic(name, options) {
  return request("POST", "topics", { name, ...options });
}

/**
 * @param {string} name
 * @returns {Promise<TopicOptions>}
 */
export async function topic(name) {
  return request("GET", pathOf(name));
}

/** @param {string} name */
export async function deleteTopic(name) {
  return request("DELETE", pathOf(name));
}

/** @param {string} name */
function pathOf(name) {
  // URL parsers treat these names as path segments to resolve, even when they are percent-encoded.
  if (name === "." || name === "..") {
    throw new RestError("browsers cannot request a URL with this name");
  }
  return `topics/${encodeURIComponent(name)}`;
}
