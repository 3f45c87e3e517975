/**
 * Who uses the page: the token, kept in memory only, and the dialog that asks for one. Where the
 * server wants no token, none of it is visible.
 *
 * @module session
 */

import { ChatError } from "./chatroom.js";
import { byId, messageOf, showMessage } from "./dom.js";
import { setToken } from "./rest.js";
import { joined } from "./storage.js";

export class Session {
  #bar = byId("session");
  #status = byId("session-status");
  #tokenButton = byId("session-token");
  #signOutButton = byId("session-out");
  #dialog = byId("sign-in", HTMLDialogElement);
  #field = byId("sign-in-token", HTMLInputElement);
  #problem = byId("sign-in-problem");
  #chat;
  #onToken;
  /** @type {"out" | "trying" | "in"} Whether the server has accepted a token. */
  #state = "out";
  /** @type {string | null} The user of the latest token that the server accepted. */
  #user = null;
  /** The latest token that the user entered, and whose it is. */
  #candidate = { token: "", user: /** @type {string | null} */ (null) };
  /** Whether the dialog was closed without a token; from then on only the user opens it. */
  #isDeclined = false;

  /**
   * @param {import("./chatroom.js").ChatRoom} chat
   * @param {() => void} onToken Called when the server has accepted a token.
   */
  constructor(chat, onToken) {
    this.#chat = chat;
    this.#onToken = onToken;
    chat.addEventListener("tokenerror", ({ detail }) => this.#onRejected(detail));
    chat.addEventListener("state", ({ detail }) => {
      if (detail.state === "open") this.#onOpen();
    });
    chat.addEventListener("expiring", () => this.#show("Your token expires soon"));
    this.#tokenButton.addEventListener("click", () => this.#open());
    this.#signOutButton.addEventListener("click", signOut);
    byId("sign-in-cancel").addEventListener("click", () => this.#dialog.close());
    this.#dialog.addEventListener("close", () => {
      this.#isDeclined = this.#dialog.returnValue !== "token";
      this.#field.value = "";
    });
    byId("sign-in-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#onSubmit(this.#field.value.trim());
    });
  }

  /** Show that the user can sign in. */
  offer() {
    if (this.#bar.hidden) this.#show("Not signed in");
  }

  /** Ask for a token, unless there is one or the user has declined. */
  ask() {
    this.offer();
    if (this.#state === "out" && !this.#isDeclined && !this.#dialog.open) this.#open();
  }

  /** @param {string} status */
  #show(status) {
    this.#bar.hidden = false;
    this.#status.textContent = status;
    this.#status.title = status; // in case it is too long
    this.#tokenButton.textContent = this.#state === "in" ? "Change token" : "Sign in";
    this.#signOutButton.hidden = this.#state !== "in";
  }

  #open(problem = "") {
    showMessage(this.#problem, problem);
    if (document.querySelector("dialog[open]")) return;
    this.#dialog.returnValue = "";
    this.#dialog.showModal();
  }

  /** @param {string} token */
  #onSubmit(token) {
    const user = userOf(token);
    // What the page shows belongs to the current user; signing out discards it.
    if (this.#user !== null && user !== null && user !== this.#user) {
      showMessage(this.#problem, `This is a token of another user, ${user}. Sign out first.`);
      return;
    }
    this.#dialog.close("token");
    this.#candidate = { token, user };
    if (this.#state === "out") this.#state = "trying";
    if (this.#chat.state === "open") this.#renew(token);
    else this.#reconnect(token);
  }

  /** @param {string} token */
  async #renew(token) {
    try {
      await this.#chat.setToken(token);
    } catch (error) {
      // If a first token is wrong the server disconnects, and `tokenerror` follows.
      const isFirst = this.#state === "trying";
      if (isFirst && error instanceof ChatError && error.code === "UNAUTHORIZED") return;
      if (isFirst) this.#state = "out";
      this.#open(`The token was not accepted: ${messageOf(error)}.`);
      return;
    }
    this.#accept();
  }

  /** @param {string} token */
  #reconnect(token) {
    const chat = this.#chat;
    if (chat.state !== "closed") chat.close();
    chat.setToken(token);
    setToken(token);
    chat.reconnect();
  }

  /** There is a new connection. The server judges its token before it reads the first command. */
  async #onOpen() {
    if (this.#state !== "trying") return;
    try {
      await this.#chat.ping();
    } catch {
      return; // the connection was lost, and there will be another unless the token was rejected
    }
    this.#accept();
  }

  #accept() {
    const { token, user } = this.#candidate;
    setToken(token);
    this.#state = "in";
    this.#user = user;
    this.#show(user === null ? "Signed in" : `Signed in as ${user}`);
    this.#onToken();
  }

  /** @param {ChatError} error */
  #onRejected({ message }) {
    const problem = this.#state === "out" ? "" : `The token was not accepted: ${message}.`;
    this.#state = "out";
    this.#chat.setToken("");
    setToken("");
    this.#show("Not signed in");
    if (problem) this.#open(problem);
    else this.ask();
  }
}

/** Forget the token, and everything that the page has received with it. */
function signOut() {
  joined.set([]);
  location.reload();
}

/**
 * Return the user that a token names. Only the server can tell whether the token is valid.
 *
 * @param {string} token A JSON Web Token (RFC 7519).
 * @returns {string | null}
 */
function userOf(token) {
  try {
    const [, claims = ""] = token.split(".");
    const bytes = atob(claims.replaceAll("-", "+").replaceAll("_", "/"));
    const text = new TextDecoder().decode(Uint8Array.from(bytes, (byte) => byte.charCodeAt(0)));
    const { sub } = JSON.parse(text);
    return typeof sub === "string" ? sub : null;
  } catch {
    return null;
  }
}
