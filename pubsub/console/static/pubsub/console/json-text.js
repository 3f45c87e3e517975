/**
 * JSON as it was written: the text of a member, and the text laid out for reading. Numbers are
 * never parsed, so that 99.50 stays 99.50 and an integer of thirty digits stays whole.
 *
 * @module json-text
 */

const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

/**
 * Return the source text of a member of the object that `text` is; of several with the name, the
 * last one's.
 *
 * @param {string} text Valid JSON.
 * @param {string} name
 * @returns {string | undefined}
 */
export function member(text, name) {
  let depth = 0;
  let key = "";
  let start = -1;
  let found;
  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    if (depth === 1 && start < 0 && token[0] === '"') key = JSON.parse(token);
    else if (depth === 1 && start < 0 && token === ":") start = index + 1;
    else if (depth === 1 && (token === "," || token === "}")) {
      if (start >= 0 && key === name) found = text.slice(start, index).trim();
      start = -1;
    }
    if (token === "{" || token === "[") depth += 1;
    if (token === "}" || token === "]") depth -= 1;
  }
  return found;
}

/** Levels that are indented: with all of a thousand, a small text would become a huge one. */
const LEVELS = 20;

/**
 * Lay out JSON with two spaces for each level; values and keys stay as they are.
 *
 * @param {string} text Valid JSON; anything else comes back as it is.
 * @param {number} [enough] Characters after which the rest may be left out.
 * @returns {string}
 */
export function layOut(text, enough = Infinity) {
  try {
    JSON.parse(text);
  } catch {
    return text;
  }
  let depth = 0;
  let out = "";
  let previous = "";
  for (const [token] of text.matchAll(TOKEN)) {
    const closes = token === "}" || token === "]";
    const opened = previous === "{" || previous === "[";
    if (closes) depth -= 1;
    if (closes ? !opened : opened || previous === ",") {
      out += `\n${"  ".repeat(Math.min(depth, LEVELS))}`;
    }
    out += token === ":" ? ": " : token;
    if (out.length > enough) break;
    if (token === "{" || token === "[") depth += 1;
    previous = token;
  }
  return out;
}
