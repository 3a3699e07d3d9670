"""The script of the map page: zoom, pan, choosing a landslide, sorting. It asks nothing of any network."""

from __future__ import annotations

SCRIPT = r"""
"use strict";
(() => {
const find = (id) => document.getElementById(id);
const data = JSON.parse(find("data").textContent);
const map = find("map"), view = find("view"), slides = find("slides"), details = find("details");
const ruler = find("ruler");
const full = {width: data.columns, height: data.rows};
const paths = new Map([...slides.querySelectorAll("path")].map((path) => [Number(path.dataset.id), path]));
const places = new Map(data.landslides.map((values, place) => [values[0], place]));
let centre = [full.width / 2, full.height / 2], scale = 1, current = null, came = null;

// View: `scale` is in pixels of the screen for a cell of the picture.
const size = () => ({width: view.clientWidth || 1, height: view.clientHeight || 1});
const fitting = () => Math.min(size().width / full.width, size().height / full.height);
const largest = () => Math.max(4 * fitting(), 40 / data.factor, 8);
const within = (value, low, high) => low > high ? (low + high) / 2 : Math.min(high, Math.max(low, value));
function show() {
  const {width, height} = size();
  scale = within(scale, fitting(), largest());
  const across = width / scale, down = height / scale;
  centre = [within(centre[0], across / 2, full.width - across / 2),
            within(centre[1], down / 2, full.height - down / 2)];
  view.setAttribute("viewBox", [centre[0] - across / 2, centre[1] - down / 2, across, down]
    .map((value) => value.toFixed(3)).join(" "));
  const zoomed = scale > fitting() * 1.001;
  view.classList.toggle("zoomed", zoomed);
  find("closer").disabled = scale > largest() * 0.999;
  find("farther").disabled = find("whole").disabled = !zoomed;
  if (ruler) measure();
}
function measure() {
  const most = Math.min(160, size().width / 3) * data.cell_m / scale / 1000;
  const power = 10 ** Math.floor(Math.log10(most));
  const length = [5, 2, 1].map((step) => step * power).find((one) => one <= most);
  ruler.querySelector("span").style.width = `${length * 1000 / data.cell_m * scale}px`;
  ruler.querySelector("b").textContent = `${Number(length.toPrecision(1))} km`;
}
const whole = () => { scale = 0; show(); };
const inside = (event) => {
  const box = view.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
};
function zoom(factor, at) {
  const {width, height} = size(), [x, y] = at || [width / 2, height / 2];
  const before = scale, away = [x - width / 2, y - height / 2];
  scale = within(scale * factor, fitting(), largest());
  centre = centre.map((value, axis) => value + away[axis] / before - away[axis] / scale);
  show();
}
function pan(x, y) { centre = [centre[0] + x / scale, centre[1] + y / scale]; show(); }

view.addEventListener("wheel", (event) => {
  const farther = event.deltaY > 0;
  if (farther ? scale <= fitting() * 1.001 : scale >= largest() * 0.999) return;  // the page scrolls on
  event.preventDefault();
  const lines = event.deltaMode ? 24 : 1;
  zoom(Math.exp(-within(event.deltaY * lines, -240, 240) * (event.ctrlKey ? 0.01 : 0.002)), inside(event));
}, {passive: false});

// One pointer drags, two pinch. A press that hardly moves chooses what is under it.
const pointers = new Map();
let moved = 0;
view.addEventListener("pointerdown", (event) => {
  if (event.pointerType === "mouse" && event.button !== 0) return;
  if (!pointers.size) moved = 0;
  pointers.set(event.pointerId, inside(event));
});
window.addEventListener("pointermove", (event) => {
  const before = pointers.get(event.pointerId);
  if (!before) return;
  const after = inside(event), others = [...pointers].filter(([id]) => id !== event.pointerId);
  moved += Math.hypot(after[0] - before[0], after[1] - before[1]);
  pointers.set(event.pointerId, after);
  if (others.length === 1) {
    const other = others[0][1], span = (one) => Math.hypot(one[0] - other[0], one[1] - other[1]);
    zoom(span(after) / Math.max(1, span(before)), [(after[0] + other[0]) / 2, (after[1] + other[1]) / 2]);
    pan((before[0] - after[0]) / 2, (before[1] - after[1]) / 2);
  } else if (!others.length && moved > 4) {
    view.classList.add("dragged");
    pan(before[0] - after[0], before[1] - after[1]);
  }
});
for (const kind of ["pointerup", "pointercancel"]) window.addEventListener(kind, (event) => {
  pointers.delete(event.pointerId);
  if (!pointers.size) view.classList.remove("dragged");
});
view.addEventListener("mousedown", (event) => {  // or a drag would choose, by focus, the landslide that it starts on
  event.preventDefault();
  map.focus({preventScroll: true});
});
slides.addEventListener("click", (event) => {
  const path = event.target.closest("path");
  if (path && moved <= 4) goTo(Number(path.dataset.id), false);
});
view.addEventListener("dblclick", (event) => zoom(2, inside(event)));
find("closer").addEventListener("click", () => zoom(1.6));
find("farther").addEventListener("click", () => zoom(1 / 1.6));
find("whole").addEventListener("click", whole);

const step = 70;
const keys = {
  "+": () => zoom(1.4), "=": () => zoom(1.4), "-": () => zoom(1 / 1.4), "0": whole,
  ArrowLeft: () => pan(-step, 0), ArrowRight: () => pan(step, 0), ArrowUp: () => pan(0, -step),
  ArrowDown: () => pan(0, step), n: () => walk(1), p: () => walk(-1),
  Escape: () => { if (came) came.focus(); },
};
map.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || !(event.key in keys)) return;
  event.preventDefault();
  keys[event.key]();
});

// The landslides: one of them is in the order of the Tab key, `n` and `p` go on from it.
const label = (values) => `Landslide ${values[0]}, ${data.texts[places.get(values[0])][0]}`;
function reachable(id) {
  const path = paths.get(id);
  // Not taken from the path itself, which would lose the focus.
  for (const other of slides.querySelectorAll("[tabindex]")) if (other !== path) other.removeAttribute("tabindex");
  path.setAttribute("tabindex", "0");
  path.setAttribute("role", "button");
  path.setAttribute("aria-label", label(data.landslides[places.get(id)]));
  return path;
}
function choose(id) {
  if (current === id) return;
  current = id;
  const path = reachable(id);
  for (const mark of [find("halo"), find("chosen")]) mark.setAttribute("d", path.getAttribute("d"));
  const list = document.createElement("dl");
  data.texts[places.get(id)].forEach((text, place) => {
    const term = document.createElement("dt"), value = document.createElement("dd");
    term.textContent = data.names[place];
    value.textContent = text;
    list.append(term, value);
  });
  const heading = document.createElement("h2");
  heading.textContent = `Landslide ${id}`;
  details.replaceChildren(heading, list);
  for (const row of document.querySelectorAll("#landslides tr.current")) row.classList.remove("current");
  const row = find(`row-${id}`);
  if (row) row.classList.add("current");
}
function box(id) {
  const {x, y, width, height} = paths.get(id).getBBox();
  return {x: x / data.parts, y: y / data.parts, width: width / data.parts, height: height / data.parts};
}
function goTo(id, close) {
  const {x, y, width, height} = box(id), {width: across, height: down} = size();
  const middle = [x + width / 2, y + height / 2], room = 0.5;
  const seen = Math.abs(middle[0] - centre[0]) < across / scale / 2
    && Math.abs(middle[1] - centre[1]) < down / scale / 2;
  if (close) scale = Math.min(room * across / Math.max(width, 0.1), room * down / Math.max(height, 0.1), largest() / 2);
  if (close || !seen) centre = middle;
  show();
  reachable(id).focus({preventScroll: true});  // which chooses it
  choose(id);
}
function walk(by) {
  const ids = [...paths.keys()], place = current === null ? (by > 0 ? -1 : 0) : ids.indexOf(current);
  if (ids.length) goTo(ids[(place + by + ids.length) % ids.length], false);
}
map.addEventListener("focusin", (event) => {  // on the drawing itself it would make that a stop of the Tab key
  const path = event.target.closest("#slides path");
  if (path) choose(Number(path.dataset.id));
  map.classList.toggle("focused", Boolean(path) && path.matches(":focus-visible"));
});
map.addEventListener("focusout", () => map.classList.remove("focused"));

// The table.
const body = document.querySelector("#landslides tbody");
for (const head of document.querySelectorAll("#landslides tbody th")) {
  const button = document.createElement("button"), id = Number(head.textContent);
  button.type = "button";
  button.textContent = head.textContent;
  button.setAttribute("aria-label", `Show landslide ${id} on the map`);
  button.addEventListener("click", () => {
    came = button;
    map.scrollIntoView({block: "nearest"});
    goTo(id, true);
  });
  head.replaceChildren(button);
}
document.querySelectorAll("#landslides thead th").forEach((head, column) => {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = head.textContent;
  button.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") !== "descending" && (column > 0 || head.hasAttribute("aria-sort"));
    for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    sort(column, down);
  });
  head.replaceChildren(button);
});
function sort(column, down) {
  const value = (row) => data.landslides[places.get(Number(row.id.slice(4)))][column];
  const rows = [...body.rows].map((row) => [value(row), row]);
  rows.sort(([one], [other]) => one === null || other === null
    ? (one === null) - (other === null) : (down ? other - one : one - other));
  body.append(...rows.map(([, row]) => row));
}

const opacity = find("opacity");
function tint() {
  slides.style.opacity = opacity.value / 100;
  find("opacity-text").textContent = `${opacity.value} %`;
}
opacity.addEventListener("input", tint);

document.documentElement.classList.add("scripted");
if (paths.size) reachable(paths.keys().next().value);
tint();
whole();
let fits = true;
new ResizeObserver(() => { if (fits) scale = 0; show(); }).observe(view);
for (const kind of ["wheel", "pointerup", "click", "keyup"])
  map.addEventListener(kind, () => { fits = !view.classList.contains("zoomed"); });
addEventListener("beforeprint", () => view.setAttribute("viewBox", `0 0 ${full.width} ${full.height}`));
addEventListener("afterprint", show);
})();
"""
