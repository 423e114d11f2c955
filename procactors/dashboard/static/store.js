// What the page knows: one system's actors and troubles, kept up to date by server-sent events.

const SERIES = ["rate", "mailbox", "cpu", "memory"];
const KEPT = { events: 500, crashes: 200, points: 600, latencies: 300 };

export class Store extends EventTarget {
  systems = [];
  system = null; // the one that is shown
  rows = new Map();
  byName = new Map();
  totals = {};
  circles = [];
  events = [];
  crashes = [];
  letters = { total: 0, kept: 0, letters: [] };
  history = emptyHistory();
  latencies = []; // [instant, median, 99 %] of all handlers
  at = 0;
  ended = null;
  silence = null;
  connection = "waiting"; // open, lost
  #source = null;
  #sleeper = 0;

  constructor() {
    super();
    // A page that nobody looks at costs nothing, and holds none of the browser's few connections.
    document.addEventListener("visibilitychange", () => {
      clearTimeout(this.#sleeper);
      if (document.hidden) this.#sleeper = setTimeout(() => this.#close(), 30000);
      else if (!this.#source) this.connect();
    });
  }

  /** Show a system; null: none, only the list of systems is followed. */
  show(system) {
    if (this.system?.key !== system?.key) {
      this.system = system;
      this.#forget();
      this.#say("system", "whole", "state");
    }
    this.connect();
  }

  connect() {
    this.#close();
    const query = this.system ? `?system=${encodeURIComponent(this.system.key)}` : "";
    const source = (this.#source = new EventSource(`api/stream${query}`));
    const on = (name, take) => source.addEventListener(name, (event) => {
      if (source === this.#source) take(JSON.parse(event.data));
    });
    on("systems", (systems) => { this.systems = systems; this.#connected("open"); this.#say("systems"); });
    on("whole", (whole) => this.#takeWhole(whole));
    on("change", (change) => this.#takeChange(change));
    source.onerror = () => { if (source === this.#source) this.#connected("lost"); };
  }

  #close() {
    this.#source?.close();
    this.#source = null;
  }

  #connected(how) {
    if (this.connection !== how) {
      this.connection = how;
      this.#say("connection");
    }
  }

  #forget() {
    this.rows = new Map();
    this.byName = new Map();
    this.totals = {};
    this.circles = [];
    this.events = [];
    this.crashes = [];
    this.letters = { total: 0, kept: 0, letters: [] };
    this.history = emptyHistory();
    this.latencies = [];
    this.ended = this.silence = null;
  }

  #takeWhole(whole) {
    this.rows = new Map(whole.rows.map((row) => [row.id, row]));
    for (const name of ["totals", "circles", "events", "crashes", "letters", "history", "ended", "silence", "latencies"])
      this[name] = whole[name];
    this.at = Date.now() / 1000;
    this.#nameAll();
    this.#say("actors", "events", "crashes", "letters", "state", "whole");
  }

  #takeChange(change) {
    const said = [];
    if (change.at) this.at = change.at;
    if (change.rows) {
      for (const row of change.rows) this.rows.set(row.id, row);
      for (const id of change.gone) this.rows.delete(id);
      if (change.rows.length || change.gone.length) this.#nameAll();
      this.totals = change.totals;
      this.circles = change.circles;
      append(this.history, change.at, change.totals);
      said.push("actors");
    }
    if (change.events?.length) {
      this.events = [...this.events, ...change.events].slice(-KEPT.events);
      said.push("events");
    }
    if (change.crashes) {
      const known = new Set(this.crashes.map((crash) => crash.number));
      const fresh = change.crashes.filter((crash) => !known.has(crash.number));
      this.crashes = [...this.crashes, ...fresh].slice(-KEPT.crashes);
      said.push("crashes");
    }
    if (change.latency) {
      this.latencies = [...this.latencies, change.latency].slice(-KEPT.latencies);
      said.push("latencies");
    }
    if (change.letters) { this.letters = change.letters; said.push("letters"); }
    if ("silence" in change) { this.silence = change.silence; said.push("state"); }
    if (change.ended != null && this.ended == null) { this.ended = change.ended; said.push("state"); }
    this.#say(...said);
  }

  #nameAll() {
    this.byName = new Map([...this.rows.values()].map((row) => [row.name, row]));
  }

  #say(...names) {
    for (const name of names) this.dispatchEvent(new Event(name));
  }

  on(names, listener) {
    for (const name of names.split(" ")) this.addEventListener(name, listener);
  }

  /** Have the server do something that the user has confirmed; what came of it, in words. */
  async act(action, number) {
    return (await this.post("api/act", { action, number })).says;
  }

  async post(path, wanted) {
    const response = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ system: this.system.key, ...wanted }),
    });
    return answerOf(response);
  }

  async get(path, wanted = {}) {
    const query = new URLSearchParams({ system: this.system.key, ...wanted });
    return answerOf(await fetch(`${path}?${query}`));
  }
}

async function answerOf(response) {
  const answer = await response.json().catch(() => ({ error: `the server answered ${response.status}` }));
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

export function emptyHistory() {
  return { at: [], rate: [], mailbox: [], cpu: [], memory: [] };
}

/** Add a point to a history. */
export function append(history, at, values) {
  history.at.push(at);
  for (const name of SERIES) history[name].push(values?.[name] ?? null);
  if (history.at.length > KEPT.points) for (const series of Object.values(history)) series.shift();
}
