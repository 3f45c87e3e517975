/**
 * Formats JSON for reading. Numbers are never parsed, so 99.50 stays 99.50 and a 30-digit integer
 * keeps all its digits.
 *
 * @module json-text
 */

import { TOKEN } from "./chatroom/source-text.js";

/** Deeper levels are not indented further, so that a small, deeply nested text stays small. */
const LEVELS = 20;

/**
 * Format JSON with two spaces per level, leaving keys and values unchanged.
 *
 * @param {string} text Valid JSON; anything else is returned unchanged.
 * @param {number} [enough] After this many characters, the rest may be left out.
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
