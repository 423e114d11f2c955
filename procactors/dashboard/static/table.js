// All actors as a table: sorted by a column, filtered by words, walked by the arrow keys.

import { matches, stateBadge, stateOf } from "./badges.js";
import { arrange, h, setAttribute, setText } from "./dom.js";
import { bytes, count, percent, rate, seconds } from "./format.js";

const busyFor = (row, now) => (row.in_hand.length ? now - row.in_hand[0][1] : 0);

/** Columns: heading, what is sorted by, what is shown, and whether it is a number. */
const COLUMNS = [
  { key: "name", head: "Name", of: (row) => row.name },
  { key: "state", head: "State", of: stateOf },
  { key: "cpu", head: "CPU", of: (row) => row.cpu, text: (row) => percent(row.cpu), number: true },
  { key: "memory", head: "Memory", of: (row) => row.memory, text: (row) => bytes(row.memory), number: true },
  { key: "mailbox", head: "Waiting", title: "Messages that wait in its mailbox", of: (row) => row.mailbox, text: (row) => count(row.mailbox ?? 0), number: true },
  { key: "rate", head: "Handled", title: "Messages handled a second", of: (row) => row.rate, text: (row) => rate(row.rate), number: true },
  { key: "hand", head: "In hand", title: "The message that it handles, and since when", of: (row, now) => busyFor(row, now), text: handText },
  { key: "waits", head: "Waits for", title: "Whose answer it waits for", of: (row) => row.waiting_on ?? "", text: (row) => row.waiting_on ?? "" },
  { key: "restarts", head: "Restarts", of: (row) => row.restarts, text: (row) => String(row.restarts), number: true },
  { key: "pid", head: "Process", of: (row) => row.pid ?? 0, text: (row) => String(row.pid ?? "–"), number: true },
];

function handText(row, now) {
  if (!row.in_hand.length) return "";
  const [handler, begun] = row.in_hand[0];
  const more = row.in_hand.length > 1 ? ` +${row.in_hand.length - 1}` : "";
  return `${handler}${more}  ${seconds(now - begun)}`;
}

export class Table {
  #rows = new Map();
  #sort = { key: null, down: false }; // null: in the order of the start
  #order = [];
  #focus = null;

  constructor(store, select) {
    this.store = store;
    this.select = select;
    this.filter = "";
    this.heads = COLUMNS.map((column) =>
      h("th", { scope: "col", class: column.number ? "number" : null, "data-column": column.key },
        h("button", { type: "button", title: column.title, onclick: () => this.#sortBy(column) }, column.head)));
    this.body = h("tbody", { onkeydown: (event) => this.#key(event) });
    this.empty = h("p", { class: "empty", hidden: true });
    this.element = h("div", {},
      h("div", { class: "scroll" },
        h("table", { class: "actors" }, h("thead", {}, h("tr", {}, this.heads)), this.body)),
      this.empty);
    store.on("actors whole", () => this.draw());
    store.on("system", () => { this.#focus = null; });
  }

  show(selected) {
    this.selected = selected;
    for (const [id, item] of this.#rows) setAttribute(item.element, "aria-selected", id === selected);
  }

  draw() {
    if (this.element.closest("[hidden]")) return;
    const { rows, at } = this.store;
    const shown = [...rows.values()].filter((row) => row.kind !== "supervisor" && matches(row, this.filter));
    const column = COLUMNS.find(({ key }) => key === this.#sort.key);
    if (column) {
      const sign = this.#sort.down ? -1 : 1;
      const keys = new Map(shown.map((row) => [row.id, column.of(row, at)]));
      shown.sort((a, b) => {
        const [x, y] = [keys.get(a.id), keys.get(b.id)];
        return sign * (typeof x === "string" ? x.localeCompare(y, "en", { numeric: true }) : x - y) || a.id - b.id;
      });
    }
    for (const id of this.#rows.keys()) if (!rows.has(id)) this.#rows.delete(id);
    this.#order = shown.map(({ id }) => id);
    if (!this.#order.includes(this.#focus)) this.#focus = this.#order[0] ?? null;
    for (const row of shown) this.#fill(row, at);
    arrange(this.body, this.#order.map((id) => this.#rows.get(id).element));
    this.empty.hidden = shown.length > 0;
    setText(this.empty, rows.size ? "No actor matches the filter." : "No actors yet.");
  }

  #fill(row, at) {
    const item = this.#rows.get(row.id) ?? this.#make(row.id);
    setAttribute(item.element, "tabindex", row.id === this.#focus ? 0 : -1);
    setAttribute(item.element, "aria-selected", row.id === this.selected);
    for (const column of COLUMNS) {
      const cell = item.cells[column.key];
      if (column.key === "name") {
        setText(item.name, row.name);
        setText(item.kind, row.kind === "inbox" ? "inbox" : row.class);
        setAttribute(cell, "title", row.name.length > 24 ? row.name : null);
      } else if (column.key === "state") item.badge.show(stateOf(row));
      else {
        const text = column.text(row, at);
        setText(cell, text);
        setAttribute(cell, "title", text.length > 24 ? text : null);
      }
    }
  }

  #make(id) {
    const item = { badge: stateBadge(), name: h("b"), kind: h("small"), cells: {} };
    for (const column of COLUMNS)
      item.cells[column.key] = h("td", { class: column.number ? "number" : null, "data-column": column.key });
    item.cells.name.append(item.name, " ", item.kind);
    item.cells.state.append(item.badge.element);
    item.element = h("tr", { onclick: () => { this.#go(id); this.select(id); } }, Object.values(item.cells));
    item.element.dataset.id = id;
    this.#rows.set(id, item);
    return item;
  }

  #sortBy({ key, number }) {
    const first = Boolean(number) || key === "hand"; // numbers: the largest first
    if (this.#sort.key !== key) this.#sort = { key, down: first };
    else if (this.#sort.down === first) this.#sort.down = !first;
    else this.#sort = { key: null, down: false };
    COLUMNS.forEach((column, at) => {
      const order = column.key === this.#sort.key ? (this.#sort.down ? "descending" : "ascending") : null;
      setAttribute(this.heads[at], "aria-sort", order);
    });
    this.draw();
  }

  #go(id) {
    const before = this.#rows.get(this.#focus)?.element;
    if (before) before.tabIndex = -1;
    this.#focus = id;
    const { element } = this.#rows.get(id);
    element.tabIndex = 0;
    element.focus();
  }

  #key(event) {
    const at = this.#order.indexOf(this.#focus);
    const moves = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: this.#order.length - 1, PageDown: Math.min(at + 15, this.#order.length - 1), PageUp: Math.max(at - 15, 0) };
    if (event.key === "Enter" || event.key === " ") this.select(this.#focus, true);
    else if (event.key in moves) { if (moves[event.key] in this.#order) this.#go(this.#order[moves[event.key]]); }
    else return;
    event.preventDefault();
  }
}
