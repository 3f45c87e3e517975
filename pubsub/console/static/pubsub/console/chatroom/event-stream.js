/**
 * Reads server-sent events (WHATWG HTML §9.2.6). Unlike `EventSource`, it is used with `fetch`, which
 * can send a token in a header, and it shows the server's comments.
 *
 * @module event-stream
 */

/** @typedef {{data: string} | {comment: string}} Item */

/**
 * Read a response until it ends.
 *
 * @param {ReadableStream<Uint8Array>} body
 * @returns {AsyncGenerator<Item>} The data of each event, and each comment, in order.
 */
export async function* itemsOf(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  /** @type {string[]} */
  let data = [];
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += decoder.decode(value, { stream: true });
    // A CR at the end may be followed by its LF in the next chunk.
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const [, field, text = ""] = /^([^:]*):? ?(.*)$/s.exec(line) ?? [];
      if (field) {
        if (field === "data") data.push(text);
      } else if (line) {
        yield { comment: text };
      } else if (data.length) {
        yield { data: data.join("\n") };
        data = [];
      }
    }
  }
}
