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

/** @typedef {{messages: number, delivered: number, dropped: number}} Totals */

/**
 * @typedef {object} HealthAnswer
 * @property {number} uptime_sec
 * @property {number} topics
 * @property {number} clients
 * @property {number} subscribers
 */

/**
 * @typedef {object} StatsAnswer
 * @property {Record<string, {subscribers: number}>} topics
 * @property {Totals} totals
 * @property {number} uptime_sec
 * @property {string} [next] The cursor of the next page, if there is one.
 * @property {number} [total] The number of topics on all pages.
 */

/** The server refused a request, or did not answer. */
export class RestError extends Error {
  /**
   * @param {string} message
   * @param {string} [code] The server's error code, if it answered with one.
   */
  constructor(message, code) {
    super(message);
    this.name = "RestError";
    this.code = code;
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
  let response, answer;
  try {
    response = await fetch(new URL(path, base), init);
    answer = await response.json();
  } catch {
    throw new RestError(response ? `HTTP ${response.status}` : "the server is not responding");
  }
  if (response.ok) return answer;
  throw new RestError(answer.error?.message ?? `HTTP ${response.status}`, answer.error?.code);
}

/** @returns {Promise<HealthAnswer>} */
export function health() {
  return request("GET", "health");
}

/**
 * Request the figures of all topics, page by page, up to `PAGES`.
 *
 * @returns {Promise<StatsAnswer>} The first page with the `topics` of all of them, and the `next` of
 *   the last.
 */
export async function stats() {
  const first = await request("GET", "stats");
  let page = first;
  for (let pages = 1; page.next && pages < PAGES; pages += 1) {
    page = await request("GET", `stats?cursor=${encodeURIComponent(page.next)}`);
    Object.assign(first.topics, page.topics);
  }
  return { ...first, next: page.next };
}

/** @param {string} name */
export function createTopic(name) {
  return request("POST", "topics", { name });
}

/** @param {string} name */
export async function deleteTopic(name) {
  // URL parsers treat these names as path segments to resolve, even when they are percent-encoded.
  if (name === "." || name === "..") {
    throw new RestError("browsers cannot request a URL with this name");
  }
  return request("DELETE", `topics/${encodeURIComponent(name)}`);
}
