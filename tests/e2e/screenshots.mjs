// Takes the pictures of the README: the team page and the console of a gateway under traffic.
//
// Run by tests/pictures, with those of the boards.

import { mkdir, stat } from "node:fs/promises";
import path from "node:path";

import { Visit } from "./browser.mjs";
import { CONSOLE_TEAMS, OPS, consoleInstallation } from "./console.mjs";

const TO = new URL("../../deploy/screenshots/", import.meta.url).pathname;
/** What users ask for, over and over: who, with which model, how many. */
const TRAFFIC = [
  ["ana", "flux/dev", { num_images: 4 }],
  ["ben", "flux/schnell", { num_images: 4 }],
  ["render-farm", "flux/dev", { num_images: 2 }],
  ["ana", "kling/kling-2-1-master", { duration: "5" }],
  ["chloe", "flux/schnell", {}],
  ["render-farm", "flux/dev", { num_images: 3 }],
];

const limits = {
  requests_per_minute: 600,
  concurrent: 20,
  credits_per_day: 10,
  credits_per_month: 250,
};
const teams = { ...CONSOLE_TEAMS, design: { models: ["*"], limits, weight: 2 } };
const upstream = { reconcile: { every: "1s" } };
const at = await consoleInstallation({ teams, upstream });
const busy = async (rounds) => {
  for (let round = 0; round < rounds; round += 1) {
    for (const [user, model, body] of TRAFFIC)
      await at.generate(await at.token(user), { prompt: "a lighthouse", ...body }, model);
  }
};
await mkdir(TO, { recursive: true });
// Calls that take a moment, as they do at Firemoon; here a short one.
const moment = { fault: "slow_headers", after: "240ms", times: 1000 };
await at.place.faults([moment]);
await busy(3);
await at.place.faults([{ fault: "generation_failed", times: 1 }, moment]);
await busy(2);

/** The other teams spend as well, and a key of the design team is refused. */
async function others() {
  const video = { prompt: "waves", duration: "5" };
  const key = (wanted) => at.api("keys", wanted).then((made) => made.secret);
  const narrow = { credits_per_day: 0.25 };
  const nightly = { team: "design", name: "nightly renders", limits: narrow };
  const [studio, renders] = [await key({ team: "studio", name: "editing room" }), await key(nightly)];
  for (let call = 0; call < 5; call += 1)
    await at.generate(studio, video, "kling/kling-2-1-master");
  for (let call = 0; call < 3; call += 1) {
    await at.generate(at.keys.growth, video, "kling/kling-2-1-master");
    await at.generate(renders, { prompt: "a lighthouse", num_images: 4 });
    await at.generate(at.keys.poor, { prompt: "a lighthouse", num_images: 2 });
    await at.generate(at.keys.poor, video, "kling/kling-2-1-master");
  }
  await at.generate("mgk_nobody");
}
await others();

/** `file` says by its ending how the picture is kept: JPEG where it shows photographs. */
async function shoot(file, view, options = {}, prepare = async () => {}) {
  const { at: place = "", ...how } = options;
  const visit = await Visit.open(place ? at.place.operator : at.url, {
    at: place,
    viewport: { width: 1280, height: 860 },
    reducedMotion: "reduce",
    ...how,
  });
  await visit.signedIn(place ? OPS : await at.token("ana"));
  await visit.go(view);
  await prepare(visit);
  await visit.page.waitForLoadState("networkidle");
  const to = path.join(TO, file);
  const kept = file.endsWith(".jpg") ? { quality: 85 } : {};
  await visit.page.screenshot({ path: to, fullPage: options.fullPage ?? false, ...kept });
  console.log(`${to}: ${Math.round((await stat(to)).size / 1024)} KiB`);
  await visit.close();
}

const spend = async (visit) => {
  await visit.page.getByLabel("Which budget").selectOption("team:credits_per_day");
  await visit.sees(visit.card("Spend").getByRole("rowheader", { name: "ana" }));
};
await shoot("team-overview.png", "Overview", { viewport: { width: 1280, height: 1100 } }, spend);
await shoot("team-generate.jpg", "Generate", { colorScheme: "dark" }, async (visit) => {
  await visit.page.getByLabel("Prompt").fill("a lighthouse at dusk, long exposure");
  // With this seed the simulator's pictures are of four photographs.
  await visit.page.getByText("Further fields").click();
  await visit.page.getByLabel("As one JSON object").fill('{"seed": 14035}');
  await visit.page.getByText("Further fields").click();
  await visit.page.getByLabel("Images").selectOption("4");
  await visit.page.getByRole("button", { name: "Generate" }).click();
  await visit.sees("Cost 0.10 credits");
  await visit.sees("May be made now");
});

const operator = { at: "console", viewport: { width: 1280, height: 1320 } };
await shoot("console-overview.png", "Overview", operator, async (visit) => {
  await visit.sees(visit.card("Spend by team, this month").getByRole("link", { name: "design" }));
  await visit.sees(visit.card("Refusals by reason").getByText("budget_exhausted"));
  await visit.sees(visit.card("Health").getByText("Balance of primary"));
});
await shoot("console-team.png", "Teams", operator, async (visit) => {
  await visit.card("Limits and spend").getByRole("link", { name: "design" }).click();
  await visit.sees(visit.card("Users and keys").getByText("Nearly used up"));
  await visit.sees(visit.card("Latest calls").getByText("flux/dev").first());
});
await at.place.remove([]);
process.exit(0);
