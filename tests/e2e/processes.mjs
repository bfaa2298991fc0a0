// Starts the programs that the tests need, reads what they print, and ends them.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after } from "node:test";

/** The program under test: the one named, or the one that cargo built last. */
export const MOONGATE = process.env.MOONGATE ?? new URL("../../target/debug/moongate", import.meta.url).pathname;

const PATIENCE_MS = 20_000;

/** Every program that was started: whatever a test left behind ends with the tests of its file. */
const started = [];
after(() => started.forEach((program) => program.child.kill("SIGKILL")));

/**
 * Before a command: it ends with this process, however that ends. A script that fails calls no
 * `after`.
 */
const TIED = existsSync("/usr/bin/setpriv") ? ["/usr/bin/setpriv", "--pdeathsig", "KILL", "--"] : [];

/** A running program. `said` is everything it printed so far, to either stream. */
export class Program {
  constructor(command, args, options = {}) {
    this.name = path.basename(command);
    this.said = "";
    started.push(this);
    const [first, ...rest] = [...TIED, command, ...args];
    this.child = spawn(first, rest, { stdio: ["ignore", "pipe", "pipe"], ...options });
    this.gone = once(this.child, "exit");
    this.closed = once(this.child, "close");
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", (text) => (this.said += text));
    }
  }

  /** Waits until the program has printed what `pattern` matches; gives the match. */
  async says(pattern) {
    await until(`${this.name} says ${pattern}`, () => {
      if (this.child.exitCode !== null) throw new Error(`${this.name} has ended:\n${this.said}`);
      return pattern.test(this.said);
    });
    return pattern.exec(this.said);
  }

  /** Tells it to stop and gives its exit code, once all it said was read. */
  async stop() {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill("SIGTERM");
    const [code] = await this.gone;
    await this.closed;
    return code;
  }
}

/** Waits for a condition; fails when it does not come about. */
export async function until(what, condition, patience = PATIENCE_MS) {
  const deadline = Date.now() + patience;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** A folder of its own, and how to remove it. */
export async function folder() {
  const name = await mkdtemp(path.join(tmpdir(), "moongate-e2e-"));
  return { name, remove: () => rm(name, { recursive: true, force: true }) };
}

/** Sends a command of plain words to a Redis, and gives the first line that it answers. */
async function told(port, command) {
  const socket = connect(port, "127.0.0.1");
  socket.setEncoding("utf8");
  socket.write(`${command}\r\n`);
  const [answer] = await once(socket, "data");
  socket.destroy();
  return answer.split("\r\n")[0];
}

/** A real redis-server on a free port, keeping nothing; `tell` it what a test does to it. */
export async function redis(directory) {
  for (let attempt = 0; attempt < 20; attempt += 1) {
    // Below the range from which the system gives out ports for outgoing connections.
    const port = 2_048 + Math.floor(Math.random() * 8_000);
    const args = ["--port", `${port}`, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", directory];
    const program = new Program("redis-server", args);
    try {
      await program.says(/Ready to accept connections/);
      return { program, url: `redis://127.0.0.1:${port}`, tell: (command) => told(port, command) };
    } catch (error) {
      if (!/Address already in use/.test(program.said)) throw error;
    }
  }
  throw new Error("no port is free");
}
