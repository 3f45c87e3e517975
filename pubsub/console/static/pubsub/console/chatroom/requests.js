/**
 * The REST requests of a client without a WebSocket.
 *
 * @module requests
 */

/** The server has refused a request. */
export class Refusal extends Error {
  /**
   * @param {number} status
   * @param {{code: string, message: string}} error
   * @param {boolean} [unknownFate] Whether the server may have carried it out anyway.
   */
  constructor(status, error, unknownFate) {
    super(error.message);
    this.status = status;
    this.error = error;
    this.unknownFate = unknownFate;
  }
}

/** Sends requests with the client's token, and with the id of its stream. */
export class Requests {
  /** The id that the server has given to the client's stream. */
  clientId = "";
  #base;

  /**
   * @param {string} base The URL of the REST endpoints.
   * @param {string} token Empty if there is none.
   */
  constructor(base, token) {
    this.#base = base;
    this.token = token;
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {{body?: string, token?: string, signal?: AbortSignal}} [options]
   * @returns {Promise<Response>} Rejected with a `Refusal` if the server refuses.
   */
  async send(method, path, { body, token = this.token, signal } = {}) {
    /** @type {Record<string, string>} */
    const headers = {};
    if (token) headers.Authorization = `Bearer ${token}`;
    if (body) headers["Content-Type"] = "application/json";
    // So that the server leaves out the client's own messages, live and when it recovers others.
    if ((body || signal) && this.clientId) headers["X-Client-Id"] = this.clientId;
    const url = new URL(path, this.#base);
    const response = await fetch(url, { method, headers, body, signal, cache: "no-store" });
    if (response.ok) return response;
    const { error, unknown_fate } = await response.json();
    throw new Refusal(response.status, error, unknown_fate);
  }

  /**
   * Send a request, and read the whole answer.
   *
   * @param {string} method
   * @param {string} path
   * @param {{body?: string, token?: string}} [options]
   * @returns {Promise<string>} The body of the answer.
   */
  async text(method, path, options) {
    const response = await this.send(method, path, options);
    return response.text();
  }
}

/**
 * Return the path of a topic, or of something below it.
 *
 * @param {{topic?: string}} command
 * @param {string[]} more
 * @throws {Refusal} URL parsers treat this name as a path segment to resolve.
 */
export function pathOf({ topic = "" }, ...more) {
  if (topic === "." || topic === "..") {
    const message = "browsers cannot request a URL with this name";
    throw new Refusal(400, { code: "BAD_REQUEST", message });
  }
  return ["topics", encodeURIComponent(topic), ...more].join("/");
}

/** @param {import("./types.js").Command} command */
export function pathOfHistory(command) {
  const { since, limit } = command;
  const query = new URLSearchParams();
  if (limit) query.set("limit", String(limit));
  if (since) query.set("since_offset", String(since.offset));
  if (since) query.set("epoch", since.epoch);
  return `${pathOf(command, "messages")}?${query}`;
}
