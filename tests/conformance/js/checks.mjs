// Named checks, run one after the other; each answers with a line of JSON.
import assert from "node:assert/strict";

const LIMIT_MS = 30_000;
const all = [];

export function check(name, run) {
  all.push({ name, run });
}

function limit(promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing after ${LIMIT_MS} ms`)), LIMIT_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

export async function runAll() {
  for (const { name, run } of all) {
    let error = null;
    try {
      await limit(run());
    } catch (raised) {
      error = String(raised.stack ?? raised);
    }
    console.log(JSON.stringify({ check: name, error }));
  }
  process.exit(0);
}

/** What the promise is rejected with. */
export async function failure(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new assert.AssertionError({ message: "nothing failed" });
}

/** Values that come one by one, for who waits for them. */
export class Inbox {
  #values = [];
  #waiting = [];

  put(value) {
    const next = this.#waiting.shift();
    if (next) next(value);
    else this.#values.push(value);
  }

  take() {
    if (this.#values.length > 0) return Promise.resolve(this.#values.shift());
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}
