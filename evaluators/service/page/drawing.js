// What one decides: a cell whose edges are clicked where the space says which nodes each decision joins, else a list.

import { colour, large, legend, sketch } from "./sketch.js";
import { element, node } from "./svg.js";

const STEP = 112, TOP = 24, PILL = [104, 26], NEAR = 75, FURTHER = 65, SIDE = 40; // of the drawing, in its own units

// `show` takes indices, `drawn` the description of what is shown.
export function chooser(space, drawing, list, change) {
  if (space.edges) return { show: cell(space, drawing, list, change), drawn: () => {} };
  const show = selects(space, list, change);
  return { show, drawn: (described) => drawing.replaceChildren(...whole(space, described)) };
}

function whole(space, described) {
  if (described.cells.length) return large(space, described);
  const options = [...new Set(space.decisions.flatMap((decision) => decision.options))];
  return [sketch(space, described), ...(options.length <= 16 ? [legend(space, options)] : [])];
}

function selects(space, list, change) {
  const made = space.decisions.map((decision, place) => {
    const select = element("select", { name: decision.name });
    decision.options.forEach((option, i) => select.append(element("option", { value: i }, option)));
    select.addEventListener("change", () => change(place, Number(select.value)));
    return select;
  });
  const labels = made.map((select, place) => element("label", {}, space.decisions[place].name, select));
  const folded = element("details", { id: "choices", ...(made.length <= 24 ? { open: "" } : {}) },
    element("summary", {}, `Change one of ${made.length} decisions`), element("div", { class: "list" }, ...labels));
  list.replaceChildren(folded);
  return (indices) => made.forEach((select, place) => { select.value = indices[place]; });
}

function cell(space, drawing, list, change) {
  let indices = [], selected = 0;
  const count = Math.max(...space.edges.flat()) + 1;
  const bends = space.edges.map((_, place) => bend(space.edges, place));
  const middle = Math.max(NEAR + FURTHER, ...bends.map(Math.abs)) + SIDE;
  const svg = node("svg", { viewBox: `0 0 ${2 * middle} ${2 * TOP + STEP * (count - 1)}`, role: "group", "aria-label": "cell" });
  const shapes = space.edges.map((edge, place) => shape(edge, bends[place], place, middle));
  svg.append(...shapes.map((s) => s.group), ...Array.from({ length: count }, (_, i) => circle(i, middle)));
  drawing.replaceChildren(svg);
  const options = element("fieldset", { id: "options" });
  list.replaceChildren(options);

  shapes.forEach(({ group }, place) => {
    group.addEventListener("click", () => select(place));
    group.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      const length = space.decisions[place].options.length;
      if (step) { select(place); change(place, (indices[place] + step + length) % length); }
      else if (event.key === "Enter" || event.key === " ") { select(place); options.querySelector(":checked").focus(); }
      else return;
      event.preventDefault();
    });
  });

  function select(place) { selected = place; show(indices); }

  function show(now) {
    indices = now;
    shapes.forEach((s, place) => {
      const option = space.decisions[place].options[indices[place]], kind = colour(space, option);
      s.group.setAttribute("class", option === space.zero ? "edge none" : "edge");
      s.group.setAttribute("aria-pressed", place === selected);
      s.group.setAttribute("aria-label", `${space.decisions[place].name}: ${option}`);
      s.wire.setAttribute("class", `wire ${kind}`);
      s.pill.setAttribute("class", kind);
      s.text.textContent = option;
    });
    const decision = space.decisions[selected];
    if (options.dataset.place !== String(selected)) {
      options.dataset.place = selected;
      options.replaceChildren(element("legend", {}, decision.name), ...decision.options.map((option, i) => {
        const radio = element("input", { type: "radio", name: "option", value: i });
        radio.addEventListener("change", () => change(selected, i));
        return element("label", {}, radio, option);
      }));
    }
    options.querySelectorAll("input")[indices[selected]].checked = true;
  }
  return show;
}

// How far to the side an edge goes: not at all between neighbours, else in turns to the left and the right.
function bend(edges, place) {
  const long = edges.map(([a, b], i) => [b - a, i]).filter(([span]) => span > 1).sort((x, y) => x[0] - y[0] || x[1] - y[1]);
  const turn = long.findIndex(([, i]) => i === place);
  return turn < 0 ? 0 : (turn % 2 ? 1 : -1) * (NEAR + FURTHER * (turn >> 1));
}

function shape([a, b], bent, place, middle) {
  const [from, to] = [TOP + STEP * a, TOP + STEP * b], y = (from + to) / 2, x = middle + bent;
  const control = middle + (4 / 3) * bent; // a cubic's middle lies three quarters of the way to its control points
  const path = `M${middle} ${from}C${control} ${from + STEP / 3} ${control} ${to - STEP / 3} ${middle} ${to}`;
  const at = Math.min(Math.max(x, PILL[0] / 2 + 2), 2 * middle - PILL[0] / 2 - 2);
  const wire = node("path", { d: path });
  const pill = node("rect", { x: at - PILL[0] / 2, y: y - PILL[1] / 2, width: PILL[0], height: PILL[1], rx: 13 });
  const text = node("text", { x: at, y: y + 4.5 });
  const group = node("g", { role: "button", tabindex: 0, "data-edge": place }, node("path", { d: path, class: "hit" }), wire, pill, text);
  return { group, wire, pill, text };
}

function circle(i, middle) {
  const y = TOP + STEP * i;
  return node("g", {}, node("circle", { cx: middle, cy: y, r: 15, class: "node" }),
    node("text", { x: middle, y: y + 4.5, class: "node-name" }, String(i)));
}
