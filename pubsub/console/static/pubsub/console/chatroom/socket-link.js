/**
 * A connection over a WebSocket.
 *
 * @module socket-link
 */

/**
 * One connection to the server, of either kind. It is abandoned when it is lost or closed.
 *
 * @typedef {object} Link
 * @property {"websocket" | "sse"} transport
 * @property {boolean} wasOpen Whether it was established.
 * @property {number} bufferedAmount Bytes that are not sent yet.
 * @property {(text: string, command?: Command & {request_id: string}) => void} send Sends a command,
 *     given as JSON and as a value. Only a WebSocket sends a text that is no command.
 * @property {() => void} close Ends the connection. None of the handlers is called any more.
 */
/** @typedef {import("./types.js").Command} Command */

/**
 * What happens to a connection.
 *
 * @typedef {object} Handlers
 * @property {() => void} onOpen It is established.
 * @property {(text: unknown) => void} onFrame A message has arrived.
 * @property {() => void} onAlive There is a sign of life other than a message.
 * @property {(code: number, reason: string) => void} onLost It has ended, with a WebSocket's close
 *     code and reason.
 */

/** Milliseconds after which a handshake that nobody has answered has failed. */
const HANDSHAKE_TIMEOUT = 10_000;

/** The subprotocol of the chat room, and the beginning of the one that carries a token. */
const SUBPROTOCOL = "chatroom.v1";
const BEARER = "chatroom.bearer.";

/**
 * A token that can be a subprotocol (RFC 9110 §5.6.2) in a header that every proxy accepts. Others
 * are sent in the first message.
 */
const FITS_IN_HEADER = /^[!#$%&'*+\-.^_`|~\w]{1,4000}$/;

/** @implements {Link} */
export class SocketLink {
  /** @type {"websocket"} */ transport = "websocket";
  wasOpen = false;
  /** Whether the token is still to be sent, because it did not fit into the handshake. */
  needsToken;
  #socket;
  #timer;

  /**
   * @param {string} url
   * @param {string} token Empty if there is none.
   * @param {Handlers} handlers
   */
  constructor(url, token, { onOpen, onFrame, onLost }) {
    const isOffered = FITS_IN_HEADER.test(token);
    const bearer = isOffered ? [BEARER + token] : [];
    const socket = new WebSocket(url, token ? [SUBPROTOCOL, ...bearer] : []);
    this.#socket = socket;
    this.needsToken = Boolean(token) && !isOffered;
    socket.onopen = () => {
      clearTimeout(this.#timer);
      this.wasOpen = true;
      onOpen();
    };
    socket.onmessage = ({ data }) => onFrame(data);
    socket.onclose = ({ code, reason }) => onLost(code, reason);
    this.#timer = setTimeout(() => onLost(1006, ""), HANDSHAKE_TIMEOUT);
  }

  get bufferedAmount() {
    return this.#socket.bufferedAmount;
  }

  /** @param {string} text */
  send(text) {
    this.#socket.send(text);
  }

  /** The socket may take a minute to notice that the network is gone, so it is not listened to. */
  close() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }
}
