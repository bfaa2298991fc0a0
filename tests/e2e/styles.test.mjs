// What a page is made of has its look: a class that a script sets and no style sheet of its page
// knows shows as raw text.

import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { test } from "node:test";

const PAGES = new URL("../../src/pages/", import.meta.url);
const CLASS = /class(?:=|: name = )(?:"([^"]*)"|\$\{`([^`]*)`\}|\$\{[^}]*\? *"([^"]*)" *: *"([^"]*)")/g;

const read = (name) => readFile(new URL(name, PAGES), "utf8");

/** The classes that the scripts of a folder set, with the script of each. */
async function used(folder) {
  const found = new Map();
  for (const name of (await readdir(new URL(folder, PAGES))).filter((name) => name.endsWith(".js")))
    for (const [, ...parts] of (await read(folder + name)).matchAll(CLASS))
      for (const word of parts.join(" ").replace(/\$\{[^}]*\}/g, " ").split(/\s+/).filter(Boolean))
        found.set(word, folder + name);
  return found;
}

for (const [page, sheets] of [
  ["team", ["shared/style.css"]],
  ["console", ["shared/style.css", "console/console.css"]],
])
  test(`every class that the ${page} page sets has a style`, async () => {
    const css = (await Promise.all(sheets.map(read))).join("");
    const known = new Set(Array.from(css.matchAll(/\.([a-z][a-z-]*)/g), ([, name]) => name));
    const all = [...(await used("shared/")), ...(await used(`${page}/`))];
    assert.ok(all.length > 60, `only ${all.length} classes were found`);
    assert.deepEqual(all.filter(([name]) => !known.has(name)), []);
  });
