/**
 * The types of the messages on the wire; docs/protocol.md describes them.
 *
 * @module messages
 */

export {};

/**
 * @typedef {object} Position A place in the history of a topic.
 * @property {string} epoch It changes when the topic is created anew.
 * @property {number} offset It grows with each message of the topic.
 */

/**
 * @typedef {object} Command
 * @property {"subscribe" | "unsubscribe" | "publish" | "ping" | "auth" | "history" | "presence"} type
 * @property {string} [topic]
 * @property {string} [token]
 * @property {number} [last_n]
 * @property {Position & {client_id?: string}} [recover]
 * @property {boolean} [presence]
 * @property {{id: string, payload: unknown}} [message]
 * @property {boolean} [once]
 * @property {Position} [since]
 * @property {number} [limit]
 */

/**
 * @typedef {object} Ack
 * @property {"ack"} type
 * @property {string} [request_id]
 * @property {string} topic
 * @property {string} status
 * @property {string} ts
 * @property {string} [epoch] Of a subscription to a topic that keeps history, with `offset`.
 * @property {number} [offset] The position of the topic, or that of the publication.
 * @property {string} [client_id]
 * @property {boolean} [recovered] Whether everything after the position in `recover` follows.
 * @property {number} [replayed]
 * @property {boolean} [duplicate] Whether the publication had already been accepted.
 */

/**
 * @typedef {{type: "ack", request_id?: string, status: string, ts: string, client_id?: string,
 *     user?: string, expires_in?: number}} AuthAck The answer to a token; without a WebSocket,
 *     it has neither `client_id` nor `user`.
 */
/** @typedef {{type: "pong", request_id?: string, ts: string}} Pong */
/**
 * @typedef {{type: "info", topic?: string, msg: string, reconnect_in_ms?: number,
 *     expires_in?: number, epoch?: string, offset?: number}} Info
 */

/**
 * @typedef {object} EventMessage
 * @property {"event"} type
 * @property {string} topic
 * @property {{id: string, payload: unknown}} message
 * @property {string} ts
 * @property {number} [offset]
 * @property {string} [user]
 */

/**
 * @typedef {object} ErrorMessage
 * @property {"error"} type
 * @property {string} [request_id]
 * @property {string} [topic]
 * @property {{code: string, message: string}} error
 * @property {number} [dropped] With `SLOW_CONSUMER`.
 * @property {number} [first] The offset of the first message that was dropped.
 * @property {number} [last]
 */

/**
 * @typedef {{offset: number, message: {id: string, payload: unknown}, ts: string, user?: string}}
 *     KeptMessage
 */

/**
 * @typedef {object} HistoryMessage
 * @property {"history"} type
 * @property {string} [request_id]
 * @property {string} topic
 * @property {string} epoch
 * @property {number} offset The offset of the topic's newest message.
 * @property {boolean} complete Whether nothing is missing between `since` and the last message.
 * @property {KeptMessage[]} messages
 */

/** @typedef {{user?: string, client_id?: string, info?: object, clients?: number}} Member */

/**
 * @typedef {object} PresenceMessage
 * @property {"presence"} type
 * @property {string} [request_id]
 * @property {string} topic
 * @property {number} clients
 * @property {number} users
 * @property {Member[]} [members]
 * @property {Member[]} [joined]
 * @property {Member[]} [left]
 * @property {boolean} [truncated]
 */

/**
 * @typedef {Ack | AuthAck | Pong | Info | EventMessage | ErrorMessage | HistoryMessage |
 *     PresenceMessage} ServerMessage
 */
