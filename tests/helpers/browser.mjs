// Opens one page in headless Chromium, over the DevTools pipe, and reports what a person with it would meet.
//
// Standard input: {"chromium", "page", "profile", "folder", "axe", "shots": [{"file", "width", "dark"}], "pdf"}; the two
// folders are empty, and axe (source of axe-core), a shot's file and pdf may be null.
// Standard output: {"errors", "requests", "dialogs", "toggles", "saved", "styles", "views": [{"width", "dark",
// "overflow", "violations"}]}: console errors, what was asked of a network, a key pressed on every toggle, the files
// that the links save into the folder, the computed style of every element outside of those with data-shown, and for
// every view whether it is wider than the screen and what axe-core says.
import { spawn } from "node:child_process";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";

const job = JSON.parse(readFileSync(0, "utf8"));
const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", `--user-data-dir=${job.profile}`];
const browser = spawn(job.chromium, [...flags, "about:blank"], { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
const ended = new Promise((resolve) => browser.on("exit", resolve));
const waiting = new Map();
const listeners = [];
let count = 0;
let pending = Buffer.alloc(0);

browser.stdio[4].on("data", (chunk) => {
  pending = Buffer.concat([pending, chunk]);
  for (let end = pending.indexOf(0); end >= 0; end = pending.indexOf(0)) {
    const message = JSON.parse(pending.subarray(0, end).toString());
    pending = pending.subarray(end + 1);
    if (message.id) {
      const { resolve, reject } = waiting.get(message.id);
      waiting.delete(message.id);
      if (message.error) reject(new Error(message.error.message));
      else resolve(message.result);
    } else listeners.forEach((listen) => listen(message.method, message.params));
  }
});

let sessionId;
function send(method, params = {}) {
  const id = ++count;
  browser.stdio[3].write(JSON.stringify({ id, method, params, sessionId }) + "\0");
  return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
}

const once = (method) =>
  new Promise((resolve) => listeners.push((name, params) => name === method && resolve(params)));

async function evaluate(expression) {
  const { result, exceptionDetails } = await send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
  if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
  return result.value;
}

async function press(key, code) {
  const event = { key, code: key, windowsVirtualKeyCode: code, text: key === "Enter" ? "\r" : undefined };
  await send("Input.dispatchKeyEvent", { type: "keyDown", ...event });
  await send("Input.dispatchKeyEvent", { type: "keyUp", ...event });
}

const found = { errors: [], requests: [], dialogs: 0, toggles: [], saved: [], views: [] };
listeners.push((method, params) => {
  if (method === "Runtime.exceptionThrown") found.errors.push(params.exceptionDetails.text);
  if (method === "Runtime.consoleAPICalled") found.errors.push(params.args.map((value) => value.value).join(" "));
  if (method === "Log.entryAdded") found.errors.push(params.entry.text);
  if (method === "Network.requestWillBeSent") found.requests.push(params.request.url);
  if (method === "Page.javascriptDialogOpening") {
    found.dialogs += 1;
    send("Page.handleJavaScriptDialog", { accept: false });
  }
});

try {
  const { targetId } = await send("Target.createTarget", { url: "about:blank" });
  ({ sessionId } = await send("Target.attachToTarget", { targetId, flatten: true }));
  for (const domain of ["Runtime", "Log", "Network", "Page"]) await send(`${domain}.enable`);
  const loaded = once("Page.loadEventFired");
  await send("Page.navigate", { url: job.page });
  await loaded;

  found.styles = await evaluate(`[...document.querySelectorAll("*")]
    .filter((element) => !element.closest("[data-shown], head"))
    .map((element) => {
      const style = getComputedStyle(element);
      const own = [...style].filter((name) => !/^(block-size|height|perspective-origin|transform-origin)$/.test(name));
      return [element.tagName, Object.fromEntries(own.map((name) => [name, style.getPropertyValue(name)]))];
    })`);

  // the keyboard: Tab must come to every toggle, and Enter must open or close it
  const toggles = await evaluate("document.querySelectorAll('summary').length");
  const links = await evaluate("[...document.querySelectorAll('a, [tabindex]')].length");
  for (let i = 0; i < 4 * (toggles + links) && found.toggles.length < toggles; i++) {
    await press("Tab", 9);
    const is_open = "document.activeElement.parentElement.open";
    if (!(await evaluate("document.activeElement.matches('summary') && !document.activeElement.seen"))) continue;
    const before = await evaluate(`(document.activeElement.seen = true, ${is_open})`);
    await press("Enter", 13);
    found.toggles.push({ before, after: await evaluate(is_open), text: await evaluate("document.activeElement.innerText") });
    if (!(await evaluate(is_open))) await press("Enter", 13);
  }
  found.missed = toggles - found.toggles.length;

  await send("Browser.setDownloadBehavior", { behavior: "allow", downloadPath: job.folder, eventsEnabled: true });
  const names = await evaluate("[...document.querySelectorAll('a[download]')].map(link => link.download)");
  for (const name of names) {
    const done = new Promise((resolve) =>
      listeners.push((method, params) => method === "Browser.downloadProgress" && params.state === "completed" && resolve()),
    );
    const link = `document.querySelector(${JSON.stringify(`a[download="${name}"]`)})`;
    await send("Runtime.evaluate", { expression: `${link}.click()`, userGesture: true });
    await done;
  }
  found.saved = readdirSync(job.folder).sort();

  for (const shot of job.shots) {
    const size = { width: shot.width, height: 800, deviceScaleFactor: 1, mobile: shot.width < 600 };
    await send("Emulation.setDeviceMetricsOverride", size);
    const colours = [{ name: "prefers-color-scheme", value: shot.dark ? "dark" : "light" }];
    await send("Emulation.setEmulatedMedia", { features: colours });
    await evaluate("scrollTo(0, 0)");
    const view = { width: shot.width, dark: shot.dark, violations: [] };
    view.overflow = await evaluate("document.documentElement.scrollWidth - innerWidth");
    if (job.axe) {
      await evaluate(`${job.axe}; 0`);
      const said = await evaluate("axe.run(document, { resultTypes: ['violations'] }).then(result => JSON.stringify(result.violations))");
      view.violations = JSON.parse(said).map(({ id, impact, help, nodes }) => ({
        id, impact, help, first: nodes[0].html.slice(0, 300), why: nodes[0].failureSummary, count: nodes.length,
      }));
    }
    found.views.push(view);
    if (shot.file) {
      const { cssContentSize } = await send("Page.getLayoutMetrics");
      const clip = { x: 0, y: 0, width: shot.width, height: Math.min(cssContentSize.height, 16000), scale: 1 };
      const { data } = await send("Page.captureScreenshot", { captureBeyondViewport: true, clip });
      writeFileSync(shot.file, Buffer.from(data, "base64"));
    }
  }
  if (job.pdf) {
    await send("Emulation.clearDeviceMetricsOverride");
    const { data } = await send("Page.printToPDF", { printBackground: false });
    writeFileSync(job.pdf, Buffer.from(data, "base64"));
  }
} finally {
  sessionId = undefined;
  await send("Browser.close");
  await ended;
}
process.stdout.write(JSON.stringify(found));
