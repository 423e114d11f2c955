// The page: its parts put together, tabs, keys, and which system is shown.

import { $, h, setText, toast } from "./dom.js";
import { Detail } from "./detail.js";
import { showKeys } from "./dialog.js";
import { Events } from "./events.js";
import { bytes, count, percent, rate, seconds, span, things, time } from "./format.js";
import { Log } from "./log.js";
import { Plot } from "./plot.js";
import { Store } from "./store.js";
import { Table } from "./table.js";
import { Tree } from "./tree.js";
import { Crashes, Letters } from "./troubles.js";
import { Waits } from "./waits.js";

const store = new Store();
const detail = new Detail(store, () => select(null));
const tree = new Tree(store, select);
const table = new Table(store, select);
const panels = {
  tree: { label: "Tree", element: h("div"), draw() {}, narrow: true },
  actors: Object.assign(table, { label: "Actors", number: () => store.totals.actors }),
  waits: Object.assign(new Waits(store, select), { label: "Waits", count: () => panels.waits.number }),
  crashes: Object.assign(new Crashes(store, select), { label: "Crashes", count: () => store.crashes.length }),
  letters: Object.assign(new Letters(store), { label: "Dead letters", count: () => store.letters.kept }),
  log: Object.assign(new Log(store), { label: "Log" }),
  events: Object.assign(new Events(store), { label: "Events" }),
};
let chosen = "actors";

function select(id, focus = false) {
  tree.show(id);
  table.show(id);
  if (id != null) detail.open(id, focus);
}

// -- tabs ------------------------------------------------------------------------------------------

for (const [name, panel] of Object.entries(panels)) {
  panel.badge = h("span", { class: "count" });
  panel.tab = h("button", {
    type: "button", role: "tab", id: `tab-${name}`, "aria-controls": `panel-${name}`,
    class: panel.narrow ? "narrow" : null, onclick: () => choose(name),
  }, panel.label, panel.badge);
  panel.box = h("section", { role: "tabpanel", id: `panel-${name}`, "aria-labelledby": `tab-${name}`, hidden: true }, panel.element);
  $("tabs").append(panel.tab);
  $("panels").append(panel.box);
}

$("tabs").addEventListener("keydown", (event) => {
  const names = Object.keys(panels).filter((name) => panels[name].tab.offsetParent);
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const next = names.at((names.indexOf(chosen) + step) % names.length);
  choose(next);
  panels[next].tab.focus();
});

function choose(name) {
  chosen = name;
  for (const [other, panel] of Object.entries(panels)) {
    panel.box.hidden = other !== name;
    panel.tab.setAttribute("aria-selected", other === name);
    panel.tab.tabIndex = other === name ? 0 : -1;
  }
  panels[name].tab.scrollIntoView({ block: "nearest", inline: "nearest" }); // on a narrow screen
  panels[name].draw();
}

const narrow = window.matchMedia("(max-width: 760px)");
function placeTree() {
  (narrow.matches ? panels.tree.element : $("tree")).append(tree.element);
  if (!narrow.matches && chosen === "tree") choose("actors");
}
narrow.addEventListener("change", placeTree);

$("filter").addEventListener("input", () => {
  for (const panel of [table, panels.crashes, panels.letters, panels.log, panels.events]) {
    panel.filter = $("filter").value.trim();
    panel.draw();
  }
});

function showCounts() {
  for (const panel of Object.values(panels)) {
    const number = panel.count?.() ?? 0;
    setText(panel.badge, number ? count(number) : "");
  }
  panels.waits.badge.classList.toggle("bad", store.circles.length > 0);
}

// -- the whole system ------------------------------------------------------------------------------

const plots = {
  rate: new Plot("Handled", rate), mailbox: new Plot("Waiting", count),
  latency: new Plot("99 % within", span, 1e-6),
  cpu: new Plot("CPU", percent, 5), memory: new Plot("Memory", bytes, 1e6),
};
const facts = h("p", { class: "facts" });
$("overview").append(facts, h("div", { class: "plots" }, Object.values(plots).map((plot) => plot.element)));

function showTotals() {
  const { actors = 0, busy = 0, restarts = 0 } = store.totals;
  setText(facts, `${things(actors, "actor")}, ${count(busy)} busy, ${things(restarts, "restart")}`);
  for (const [name, plot] of Object.entries(plots))
    if (name !== "latency") plot.show(store.history.at, store.history[name]);
  plots.latency.show(store.latencies.map(([at]) => at), store.latencies.map(([, , high]) => high), store.history.at.at(-1));
  showCounts();
}

function showState() {
  const { system, ended, silence, connection, at } = store;
  document.body.dataset.state = !system ? "none" : ended != null ? "ended" : "running";
  const since = system ? seconds(Math.max(0, (at || Date.now() / 1000) - system.started)) : "";
  setText($("state"), !system ? "" : ended != null ? `ended at ${time(ended)}` : `running, pid ${system.pid}, up ${since}`);
  const trouble = connection === "lost"
    ? "The dashboard does not answer: it has ended, or this computer was asleep. Trying again."
    : ended == null && silence ? `Crash reports, dead letters and orders wait for the parent: ${silence}` : "";
  $("banner").hidden = !trouble;
  setText($("banner"), trouble);
}

store.on("actors whole latencies", showTotals);
store.on("crashes letters", showCounts);
store.on("state whole connection system actors", showState);

// -- which system ----------------------------------------------------------------------------------

/** Whether one system is another's next run: of the same name, or the same command. */
function isNextOf(next, system) {
  if (system.name !== system.key) return next.name === system.name;
  return next.name === next.key && next.cwd === system.cwd && next.argv.join("\0") === system.argv.join("\0");
}

function followSystems() {
  const { systems, system } = store;
  // What is just beginning says its name a moment later.
  const fresh = systems.find(({ key }) => key === system?.key);
  if (fresh && fresh.name !== system.name) {
    store.system = fresh;
    named(fresh);
  }
  const wanted = decodeURIComponent(location.hash.slice(1));
  if (!system) {
    const named = systems.filter(({ key, name }) => key === wanted || name === wanted);
    if (named.length === 1 || systems.length === 1) show(named[0] ?? systems[0]);
  } else if (!systems.some(({ key }) => key === system.key)) {
    const next = systems.filter((other) => isNextOf(other, system)).at(-1);
    if (next) {
      show(next);
      toast(`${next.name} has started again: pid ${next.pid}`, "good");
    }
  }
  showChoice();
}

function named({ name }) {
  history.replaceState(null, "", `#${encodeURIComponent(name)}`);
  document.title = `${name} · procactors`;
}

function show(system) {
  named(system);
  store.show(system);
  $("chooser").hidden = true;
  $("shown").hidden = false;
  showChoice();
}

function showChoice() {
  const { systems, system } = store;
  const options = systems.map(({ key, name, pid }) => h("option", { value: key }, `${name} (${pid})`));
  if (system && !systems.some(({ key }) => key === system.key))
    options.unshift(h("option", { value: system.key }, `${system.name} (${system.pid}), ended`));
  if (!system) options.unshift(h("option", { value: "" }, systems.length ? "Choose a system" : "No system runs"));
  $("system").replaceChildren(...options);
  $("system").value = system?.key ?? "";
  $("chooser").hidden = Boolean(system);
  if (system) return;
  $("chooser").replaceChildren(
    h("h2", {}, systems.length ? "Which system?" : "No system runs"),
    systems.length ? "" : h("p", {}, "It is shown here as soon as a program makes an ActorSystem."),
    h("ul", {}, [...systems].reverse().map((one) => h("li", {}, h("button", { type: "button", onclick: () => show(one) },
      h("b", {}, one.name), h("span", {}, `pid ${one.pid}${one.python ? `, Python ${one.python}, since ${time(one.started)}` : ""}`), h("code", {}, one.argv.join(" ")))))));
}

$("system").addEventListener("change", (event) => {
  const system = store.systems.find(({ key }) => key === event.target.value);
  if (system) show(system);
});
store.on("systems", followSystems);

// -- keys ------------------------------------------------------------------------------------------

function showTheme() {
  const dark = document.documentElement.dataset.theme === "dark";
  setText($("theme"), dark ? "☀" : "☾");
  $("theme").setAttribute("aria-label", dark ? "Light" : "Dark");
}
window.addEventListener("theme", showTheme);
showTheme();
$("theme").addEventListener("click", () => window.toggleTheme());
$("help").addEventListener("click", showKeys);

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || $("dialog").open) return;
  const writing = event.target.matches?.("input, select, textarea");
  if (event.key === "Escape") {
    if (writing) { $("filter").value = ""; $("filter").dispatchEvent(new Event("input")); event.target.blur(); }
    else detail.close();
    return;
  }
  if (writing) return;
  const tabs = Object.keys(panels).filter((name) => panels[name].tab.offsetParent);
  const keys = {
    "/": () => $("filter").focus(),
    "?": showKeys,
    t: () => window.toggleTheme(),
    g: () => { if (narrow.matches) choose("tree"); tree.focus(); },
  };
  tabs.forEach((name, at) => { keys[at + 1] = () => choose(name); });
  if (event.key in keys) {
    event.preventDefault();
    keys[event.key]();
  }
});

placeTree();
choose(chosen);
showState();
store.show(null);
