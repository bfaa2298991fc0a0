// Fetches the libraries of the pages from the npm registry and writes their files here. What is
// fetched stands in vendor.json: each package with its version and the hash of its archive, each
// file with the name it gets.
//
//   node src/pages/vendor/vendor.mjs            writes the files, and SHA256SUMS over all of them
//   node src/pages/vendor/vendor.mjs --check    says whether the files here are what it would write

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const step = JSON.parse(readFileSync(path.join(here, "vendor.json"), "utf8"));

/** The archive of a package, unpacked below `folder`; fails when it is not the recorded one. */
function unpack({ name, version, integrity }, folder) {
  const packed = execFileSync("npm", ["pack", `${name}@${version}`, "--silent"], {
    cwd: folder,
    encoding: "utf8",
  });
  const archive = path.join(folder, packed.trim());
  const hash = createHash("sha512").update(readFileSync(archive)).digest("base64");
  if (`sha512-${hash}` !== integrity)
    throw new Error(`${name} ${version} is another archive: sha512-${hash}`);
  execFileSync("tar", ["-xzf", archive, "-C", folder]);
  return path.join(folder, "package");
}

/** The files that the step makes, by name. */
function make() {
  const files = new Map();
  for (const pack of step.packages) {
    const folder = mkdtempSync(path.join(tmpdir(), "vendor-"));
    try {
      const unpacked = unpack(pack, folder);
      for (const { from, to, replace = [], append = "" } of pack.files) {
        let text = readFileSync(path.join(unpacked, from), "utf8");
        for (const [old, by] of replace) {
          if (!text.includes(old)) throw new Error(`${pack.name}: ${from} has no ${old}`);
          text = text.replaceAll(old, by);
        }
        files.set(to, text + append);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  }
  return files;
}

const sum = (text) => createHash("sha256").update(text).digest("hex");
const files = make();
const names = [...files.keys()].sort();
files.set("SHA256SUMS", names.map((name) => `${sum(files.get(name))}  ${name}\n`).join(""));

if (process.argv.includes("--check")) {
  const own = ["vendor.mjs", "vendor.json"];
  const there = readdirSync(here).filter((name) => !own.includes(name));
  const differs = (name) =>
    !there.includes(name) || readFileSync(path.join(here, name), "utf8") !== files.get(name);
  const wrong = [...[...files.keys()].filter(differs), ...there.filter((name) => !files.has(name))];
  if (wrong.length > 0) {
    console.error(`not what this step writes: ${wrong.join(", ")}`);
    process.exit(1);
  }
} else {
  for (const [name, text] of files) writeFileSync(path.join(here, name), text);
}
