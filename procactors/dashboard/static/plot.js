// A series of numbers over the last minutes as a small drawing.

import { h, s, setAttribute, setText } from "./dom.js";
import { time } from "./format.js";

const WINDOW_S = 300;
const WIDTH = 320, HEIGHT = 76, TOP = 6, BOTTOM = 3;

export class Plot {
  #points = [];

  /**
   * @param title what is drawn.
   * @param format makes text of a number.
   * @param least the scale reaches up to here at least.
   */
  constructor(title, format, least = 1) {
    this.format = format;
    this.least = least;
    this.title = title;
    this.value = h("b");
    this.area = s("path", { class: "area" });
    this.line = s("path", { class: "line" });
    this.cross = s("line", { class: "cross", y1: 0, y2: HEIGHT, visibility: "hidden" });
    const grid = [0, 0.5, 1].map((part) => {
      const y = TOP + part * (HEIGHT - TOP - BOTTOM);
      return s("line", { class: "grid", x1: 0, x2: WIDTH, y1: y, y2: y });
    });
    this.drawing = s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
      grid, this.area, this.line, this.cross);
    this.top = h("span", { class: "top" });
    this.element = h("figure", { class: "plot", role: "img" },
      h("figcaption", {}, h("span", {}, title), this.value),
      h("div", { class: "drawing", onpointermove: (event) => this.#hover(event), onpointerleave: () => this.#leave() }, this.drawing, this.top));
  }

  /** Draw a series; the instants are in seconds, null stands for no number. */
  show(instants, values, end = instants.at(-1) ?? 0) {
    const most = Math.max(this.least, ...values.filter((value) => value != null)) * 1.05;
    this.#points = [];
    for (let at = 0; at < instants.length; at += 1) {
      const age = end - instants[at];
      if (age > WINDOW_S) continue;
      const y = values[at] == null ? null : HEIGHT - BOTTOM - (values[at] / most) * (HEIGHT - TOP - BOTTOM);
      this.#points.push({ x: WIDTH * (1 - age / WINDOW_S), y, at: instants[at], value: values[at] });
    }
    let line = "", area = "", start = null, last = null;
    const close = () => { if (last) area += `L${last.x.toFixed(1)},${HEIGHT}L${start.x.toFixed(1)},${HEIGHT}Z`; start = last = null; };
    for (const point of this.#points) {
      if (point.y == null) { close(); continue; }
      const place = `${point.x.toFixed(1)},${point.y.toFixed(1)}`;
      line += `${last ? "L" : "M"}${place}`;
      area += `${last ? "L" : "M"}${place}`;
      start ??= point;
      last = point;
    }
    close();
    setAttribute(this.line, "d", line);
    setAttribute(this.area, "d", area);
    setText(this.top, this.format(most / 1.05));
    this.now = values.at(-1);
    if (this.cross.getAttribute("visibility") === "hidden") this.#leave();
    setAttribute(this.element, "aria-label", `${this.title}: ${this.now == null ? "unknown" : this.format(this.now)}`);
  }

  #hover(event) {
    const box = this.drawing.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * WIDTH;
    const near = this.#points.reduce((best, point) => (!best || Math.abs(point.x - x) < Math.abs(best.x - x) ? point : best), null);
    if (!near || near.value == null) return this.#leave();
    for (const end of ["x1", "x2"]) this.cross.setAttribute(end, near.x);
    this.cross.setAttribute("visibility", "visible");
    setText(this.value, `${this.format(near.value)} at ${time(near.at)}`);
  }

  #leave() {
    this.cross.setAttribute("visibility", "hidden");
    setText(this.value, this.now == null ? "–" : this.format(this.now));
  }
}
