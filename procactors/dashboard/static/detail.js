// All that is seen of one actor, and what can be done to it.

import { stateBadge, stateOf } from "./badges.js";
import { confirm } from "./dialog.js";
import { $, h, setText, toast } from "./dom.js";
import { bytes, count, percent, rate, seconds, span, things } from "./format.js";
import { Plot } from "./plot.js";
import { append, emptyHistory } from "./store.js";

const FACTS = [
  ["Process", (row) => (row.pid == null ? "none" : String(row.pid))],
  ["Life", (row) => `${row.incarnation}${row.restarts ? `, restarted ${things(row.restarts, "time")}` : ""}`],
  ["In hand", (row, at) => row.in_hand.map(([handler, begun]) => `${handler} since ${seconds(at - begun)}`).join("\n") || "nothing"],
  ["Waits for", (row) => row.waiting_on ?? "nobody"],
  ["Waiting", (row) => things(row.mailbox ?? 0, "message")],
  ["Handled", (row) => count(row.handled)],
];

const METHOD_COLUMNS = [
  ["Handled", (method) => count(method.handled), "Messages that were handled"],
  ["Errors", (method) => count(method.errors), "How often the handler raised"],
  ["Half", (method) => span(method.median), "Half of its handlers took less"],
  ["99 %", (method) => span(method.high), "99 of 100 of its handlers took less"],
  ["Wait", (method) => span(method.wait_high), "99 of 100 of a sample of its messages waited less before they were begun"],
];

const ACTIONS = {
  stop: { label: "Stop", text: (name) => `${name} finishes the messages in its mailbox, and ends for good.`, yes: "Stop it" },
  kill: { label: "Kill", text: (name) => `${name} ends at once and for good. The message in hand is lost, and what waits becomes dead letters.`, yes: "Kill it", danger: true },
  suspend: { label: "Suspend", text: (name) => `The process of ${name} stands still (SIGSTOP) until it is resumed. Who asks it waits.`, yes: "Suspend it" },
  resume: { label: "Resume", text: (name) => `The process of ${name} goes on (SIGCONT).`, yes: "Resume it" },
};

export class Detail {
  #id = null;
  #history = emptyHistory();
  #opener = null;
  #times = { at: [], median: [], high: [] };

  constructor(store, onclose) {
    this.store = store;
    this.onclose = onclose;
    this.#build();
    store.on("actors whole", () => this.#draw());
    store.on("system", () => this.close(false));
  }

  #build() {
    this.name = h("h2", { tabindex: -1 });
    this.kind = h("p", { class: "kind" });
    this.badge = stateBadge();
    this.facts = FACTS.map(([label]) => [h("dt", {}, label), h("dd")]);
    this.buttons = Object.fromEntries(Object.entries(ACTIONS).map(([action, { label, danger }]) =>
      [action, h("button", { type: "button", class: danger ? "danger" : null, onclick: () => this.#act(action) }, label)]));
    this.stacks = h("button", { type: "button", onclick: () => this.#showStacks() }, "Stacks");
    this.plots = {
      rate: new Plot("Handled", rate), mailbox: new Plot("Waiting", count),
      cpu: new Plot("CPU", percent, 5), memory: new Plot("Memory", bytes, 1e6),
      median: new Plot("Half within", span, 1e-6), high: new Plot("99 % within", span, 1e-6),
    };
    this.crash = h("pre");
    this.crashBox = h("section", {}, h("h3", {}, "Last crash"), this.crash);
    this.output = h("pre", { tabindex: 0 });
    this.outputBox = h("section", { hidden: true }, h("h3", {}, "Stacks"), this.output);
    this.methods = h("tbody");
    this.methodsBox = h("section", { hidden: true }, h("h3", {}, "Methods"),
      h("table", { class: "methods" },
        h("thead", {}, h("tr", {}, METHOD_COLUMNS.map(([head, , title]) => h("th", { class: "number", title }, head)))),
        this.methods));
    setInterval(() => { if (!document.hidden) this.#measure(); }, 2000);
    $("detail").replaceChildren(
      h("header", {}, h("div", {}, this.name, this.kind), this.badge.element,
        h("button", { type: "button", class: "quiet", "aria-label": "Close", title: "Close (Esc)", onclick: () => this.close() }, "✕")),
      h("div", { class: "buttons" }, Object.values(this.buttons), this.stacks),
      h("dl", { class: "facts" }, this.facts),
      h("div", { class: "plots" }, Object.values(this.plots).map((plot) => plot.element)),
      this.methodsBox, this.outputBox, this.crashBox);
  }

  get id() { return this.#id; }

  /** Show an actor; with `focus`, go there. */
  async open(id, focus = false) {
    if (focus) {
      this.#opener = document.activeElement;
      this.name.focus();
    }
    if (this.#id === id && !$("detail").hidden) return;
    this.#id = id;
    this.#history = emptyHistory();
    this.#times = { at: [], median: [], high: [] };
    this.outputBox.hidden = this.methodsBox.hidden = true;
    $("detail").hidden = false;
    this.#draw(false);
    if (focus) this.name.focus();
    try {
      const history = await this.store.get("api/history", { actor: id });
      if (this.#id === id) { this.#history = history; this.#draw(false); }
      await this.#measure();
    } catch (error) {
      toast(error.message, "bad");
    }
  }

  close(back = true) {
    if ($("detail").hidden) return false;
    $("detail").hidden = true;
    this.#id = null;
    if (back && this.#opener?.isConnected) this.#opener.focus();
    this.onclose();
    return true;
  }

  #draw(advance = true) {
    if (this.#id == null) return;
    const row = this.store.rows.get(this.#id);
    if (!row) {
      this.badge.show("stopped");
      for (const button of [...Object.values(this.buttons), this.stacks]) button.disabled = true;
      return;
    }
    const isActor = row.kind === "actor";
    const alive = isActor && this.store.ended == null;
    setText(this.name, row.name);
    setText(this.kind, `${row.kind === "inbox" ? "inbox" : row.class}${row.pooled ? ", works for a pool" : ""}`);
    this.badge.show(stateOf(row));
    FACTS.forEach(([, text], at) => setText(this.facts[at][1], text(row, this.store.at)));
    this.buttons.stop.disabled = this.buttons.kill.disabled = !alive;
    this.buttons.suspend.disabled = this.buttons.resume.disabled = !alive || row.pid == null;
    this.buttons.suspend.hidden = row.suspended;
    this.buttons.resume.hidden = !row.suspended;
    this.stacks.disabled = !alive || row.pid == null;
    this.crashBox.hidden = !row.last_crash;
    setText(this.crash, row.last_crash ?? "");
    if (advance) append(this.#history, this.store.at, row);
    const end = this.#history.at.at(-1);
    for (const [name, plot] of Object.entries(this.plots)) {
      const from = name in this.#times ? this.#times : this.#history;
      plot.show(from.at, from[name], end);
    }
  }

  /** How long its handlers take: what has come since the last time. */
  async #measure() {
    const id = this.#id;
    if (id == null || this.store.ended != null || this.store.rows.get(id)?.kind !== "actor") return;
    const { methods, median, high } = await this.store.get("api/latencies", { actor: id }).catch(() => ({ methods: [] }));
    if (this.#id !== id) return;
    this.#times.at.push(this.store.at);
    this.#times.median.push(median ?? null);
    this.#times.high.push(high ?? null);
    this.methodsBox.hidden = !methods.length;
    this.methods.replaceChildren(...methods.flatMap((method) => [
      h("tr", {}, h("th", { scope: "rowgroup", colspan: METHOD_COLUMNS.length }, method.name)),
      h("tr", {}, METHOD_COLUMNS.map(([, text]) => h("td", { class: "number" }, text(method)))),
    ]));
  }

  async #act(action) {
    const { label, text, yes, danger } = ACTIONS[action];
    const id = this.#id;
    const name = this.store.rows.get(id)?.name;
    if (!name || !(await confirm({ title: `${label} ${name}?`, text: text(name), yes, danger }))) return;
    const button = this.buttons[action];
    button.disabled = true;
    try {
      toast(`${name}: ${await this.store.act(action, id)}`, "good");
    } catch (error) {
      toast(`${name}: ${error.message}`, "bad");
    }
    this.#draw(false);
  }

  async #showStacks() {
    const id = this.#id;
    this.stacks.disabled = true;
    try {
      const { text } = await this.store.post("api/stacks", { number: id });
      if (this.#id === id) {
        setText(this.output, text);
        this.outputBox.hidden = false;
        this.outputBox.scrollIntoView({ block: "nearest" });
      }
    } catch (error) {
      toast(error.message, "bad");
    }
    this.stacks.disabled = false;
  }
}
