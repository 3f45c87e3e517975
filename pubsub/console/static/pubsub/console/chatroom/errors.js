/**
 * The error of a command.
 *
 * @module errors
 */

/**
 * A command failed. `code` is one of the server's error codes, or one of this module's own:
 * `NOT_CONNECTED`, `CONNECTION_LOST`, `TOO_MANY_IN_FLIGHT`, `CANCELLED`, `NO_TOKEN`,
 * `NEEDS_WEBSOCKET`.
 */
export class ChatError extends Error {
  /**
   * @param {string} code
   * @param {string} message
   * @param {{topic?: string, unknownFate?: boolean, cause?: unknown}} [more]
   */
  constructor(code, message, { topic, unknownFate = false, cause } = {}) {
    super(message, { cause });
    this.name = "ChatError";
    this.code = code;
    this.topic = topic;
    /** Whether the server may have carried out the command anyway. */
    this.unknownFate = unknownFate;
  }
}

/** @param {string} [topic] */
export function notConnected(topic) {
  return new ChatError("NOT_CONNECTED", "there is no connection", { topic });
}

/** @param {string} [topic] */
export function tooMany(topic) {
  const message = "too many commands or bytes are waiting for the server";
  return new ChatError("TOO_MANY_IN_FLIGHT", message, { topic });
}
