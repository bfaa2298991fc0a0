// Whatever starts programs here, a test or a script, takes them along when it ends.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";

import { until } from "./processes.mjs";

const PROCESSES = new URL("./processes.mjs", import.meta.url).href;

/**
 * Starts a simulator in a script that goes on so; gives the script, and the simulator's process id.
 */
async function script(then) {
  const text = `
    import { MOONGATE, Program } from ${JSON.stringify(PROCESSES)};
    const program = new Program(MOONGATE, ["simulate", "--address", "127.0.0.1:0", "--media-address", "127.0.0.1:0"]);
    await program.says(/Firemoon simulator/);
    console.log("started", program.child.pid);
    ${then}`;
  // As by hand: the test runner tells its own children in the environment what they are.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const stdio = ["ignore", "pipe", "ignore"];
  const child = spawn(process.execPath, ["--input-type=module", "--eval", text], { stdio, env });
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (more) => (said += more));
  await until("the simulator runs", () => /started \d+/.test(said));
  return { child, simulator: Number(/started (\d+)/.exec(said)[1]) };
}

const runs = (id) => {
  try {
    return process.kill(id, 0);
  } catch {
    return false;
  }
};

test("a script that fails leaves no program running", async () => {
  const { child, simulator } = await script('throw new Error("as scripts do");');
  if (child.exitCode === null) await once(child, "exit");
  assert.notEqual(child.exitCode, 0);
  await until("the simulator has ended", () => !runs(simulator));
});

test("a script that is killed leaves no program running", async () => {
  const { child, simulator } = await script("setInterval(() => {}, 1000);");
  assert.ok(runs(simulator));
  child.kill("SIGKILL");
  await once(child, "exit");
  await until("the simulator has ended", () => !runs(simulator));
});
