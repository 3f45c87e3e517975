/**
 * Types: of what a subscription brings, and of the messages on the wire, which docs/protocol.md
 * describes. There is nothing here to execute.
 *
 * @module types
 */

export {};

/** @typedef {import("./errors.js").ChatError} ChatError */

/**
 * @typedef {object} ChatEvent A message published to a topic.
 * @property {string} topic
 * @property {{id: string, payload: unknown}} message
 * @property {string} ts When the server accepted the message (RFC 3339, UTC).
 * @property {string} [user] The user who published it, according to the server. Left out if the
 *     publisher was not authenticated.
 * @property {number} [offset] Its place in the topic's history, if the topic keeps one.
 * @property {boolean} [recovered] Whether it was missed at first and requested afterwards.
 * @property {string} text The frame as received, with every number exactly as it was written.
 */

/**
 * The server dropped messages because this client read too slowly. The topic keeps no history from
 * which they could be recovered.
 *
 * @typedef {object} SlowNotice
 * @property {"slow"} kind
 * @property {string} topic
 * @property {number} dropped How many messages were dropped.
 */

/**
 * Messages that were missed follow; they are marked as `recovered`.
 *
 * @typedef {object} RecoveredNotice
 * @property {"recovered"} kind
 * @property {string} topic
 * @property {number} count How many, up to the next notice of this kind.
 */

/**
 * Messages are or may be missing, for one of these reasons:
 *
 * - `disconnected`: the connection was lost for a while.
 * - `slow`: the server dropped messages because this client read too slowly.
 * - `relay`: messages were lost between the processes of the server.
 * - `reset`: the server has lost the history of the topic, and its messages are numbered anew.
 *
 * @typedef {object} GapNotice
 * @property {"gap"} kind
 * @property {string} topic
 * @property {"disconnected" | "slow" | "relay" | "reset"} cause
 * @property {Date} from When the last frame arrived before the connection was lost. If it was not
 *     lost, when the server reported the loss.
 * @property {Date} until When the subscription was restored, or the same as `from`.
 * @property {number} [lost] Exactly how many messages are missing, if that is known.
 * @property {number} [atMost] How many messages are missing at most, if only that is known.
 */

/**
 * The subscription has ended: the topic was deleted, or subscribing again was refused.
 *
 * @typedef {object} DeletedNotice
 * @property {"deleted"} kind
 * @property {string} topic
 * @property {ChatError} [error] Why subscribing again was refused, if it was.
 */

/**
 * The subscription has ended, because a renewed token does not cover the topic or the user has lost
 * the permission. It is not restored by a reconnection.
 *
 * @typedef {object} RevokedNotice
 * @property {"revoked"} kind
 * @property {string} topic
 */

/**
 * News of a subscription, other than messages.
 *
 * @typedef {SlowNotice | RecoveredNotice | GapNotice | DeletedNotice | RevokedNotice} Notice
 */

/**
 * @typedef {object} Position A place in the history of a topic.
 * @property {string} epoch It changes when the topic is created again, and when a server of several
 *     processes has lost its history.
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
 * @property {boolean} [process]
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
 * @property {"process"} [scope] Of a publication, if it has only reached the subscribers in the
 *     process that this client is connected to, because the other ones are out of reach.
 */

/**
 * @typedef {{type: "ack", request_id?: string, status: string, ts: string, client_id?: string,
 *     user?: string, expires_in?: number}} AuthAck The answer to a token; without a WebSocket,
 *     it has neither `client_id` nor `user`.
 */
/** @typedef {{type: "pong", request_id?: string, ts: string, process?: string}} Pong */
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
 * @property {boolean} [unknown_fate] Whether the command may have been carried out anyway.
 * @property {number} [dropped] With `SLOW_CONSUMER` and `RELAY_GAP`.
 * @property {number} [at_most] With `RELAY_GAP`, where the exact number is not known.
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
