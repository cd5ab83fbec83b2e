// Architectures as small drawings: nodes on a line and operations as arcs, or the blocks of a chain.

import { element, node } from "./svg.js";

const SMALL = { gap: 24, edge: 6, dot: 3, rise: 8, step: 6, wire: 2.6, block: 9, tall: 22 };
const LARGE = { gap: 66, edge: 30, dot: 15, rise: 26, step: 17, wire: 3, block: 20, tall: 44 };

export const colour = (space, operation) => {
  const place = space.operations.indexOf(operation);
  return operation === "" || place < 0 ? "passes" : `o${place % 8}${place >= 8 ? " second" : ""}`;
};

// An <svg> of a description, see /v1/architectures.
export function sketch(space, described) {
  const parts = described.cells.length ? described.cells.map((cell) => arcs(space, cell, SMALL)) : [chain(space, described.indices, SMALL)];
  return beside(parts, described.arch, "sketch");
}

// All cells, one below the other, with their titles, and what the colours mean.
export function large(space, described) {
  const used = new Set(described.cells.flatMap((cell) => cell.edges.flatMap(([a, b, o]) => [o, own(space, a), own(space, b)])).filter(Boolean));
  return [
    ...described.cells.flatMap((cell) => [element("h3", {}, cell.title), beside([arcs(space, cell, LARGE)], `${cell.title} of ${described.arch}`, "large")]),
    legend(space, space.operations.filter((o) => used.has(o))),
  ];
}

export function legend(space, operations) {
  return element("ul", { class: "legend" }, ...operations.map((operation) =>
    element("li", {}, node("svg", { viewBox: "0 0 20 10", "aria-hidden": "true" }, node("path", { d: "M1 5H19", class: `wire ${colour(space, operation)}` })), operation)));
}

function beside(parts, label, kind) {
  const width = parts.reduce((sum, part) => sum + part.width, 0) + 10 * (parts.length - 1);
  const high = Math.max(...parts.map((part) => part.height));
  const svg = node("svg", { viewBox: `0 0 ${width} ${high}`, role: "img", "aria-label": label, class: kind, preserveAspectRatio: kind === "sketch" ? "xMinYMid" : null });
  let x = 0;
  for (const part of parts) {
    svg.append(node("g", { transform: `translate(${x} ${(high - part.height) / 2})` }, ...part.shapes));
    x += part.width + 10;
  }
  return svg;
}

// The operation of a vertex, in spaces whose vertices have them: "3 conv1x1".
const own = (space, name) => space.operations.find((o) => name.endsWith(` ${o}`));

function arcs(space, cell, size) {
  const named = cell.edges.filter(([, , operation]) => operation); // what only passes on is left out where there is little room
  const edges = size === SMALL && named.length ? named : cell.edges;
  const names = order(space, edges), at = new Map(names.map((name, i) => [name, i]));
  const beside = new Map();
  const lines = edges.map(([source, target, operation]) => {
    const [a, b] = [at.get(source), at.get(target)], key = `${a} ${b}`, nth = beside.get(key) ?? 0;
    beside.set(key, nth + 1);
    const span = b - a, height = span === 1 && nth === 0 ? 0 : size.rise + size.step * (span - 1) + (size.step * 0.7 * nth);
    return { a, b, operation, height: a % 2 ? -height : height };
  });
  const most = size.rise + size.step * (names.length - 2); // of the longest arc: small drawings have room for it, all alike
  const reach = [1, -1].map((side) => (size === SMALL ? most * 0.75 + size.wire : Math.max(size.dot + 2, ...lines.map((l) => side * l.height * 0.75 + size.wire))));
  const base = reach[0] + 2, x = (i) => size.edge + size.gap * i + size.dot;
  const shapes = lines.map(({ a, b, operation, height }) => {
    const from = x(a), to = x(b), third = (to - from) / 4, y = base - height;
    const shape = node("path", { d: `M${from} ${base}C${from + third} ${y} ${to - third} ${y} ${to} ${base}`, class: `wire ${named.length ? colour(space, operation) : "flows"}` });
    shape.append(node("title", {}, `${names[a]} to ${names[b]}: ${operation || "passed on"}`));
    return shape;
  });
  names.forEach((name, i) => {
    const operation = own(space, name);
    shapes.push(node("circle", { cx: x(i), cy: base, r: operation ? size.dot * 1.25 : size.dot, class: operation ? `vertex ${colour(space, operation)}` : "node" }));
    if (size === LARGE) shapes.push(node("text", { x: x(i), y: base + 4, class: operation ? "vertex-name" : "node-name" }, short(operation ? name.split(" ")[0] : name)));
  });
  return { shapes, width: x(names.length - 1) + size.dot + size.edge, height: base + reach[1] + 2 };
}

const short = (name) => ({ input: "in", output: "out" })[name] ?? name.replace(/^c\[(.*)\]$/, (_, of) => of.replace("-", "−"));

// Every node behind those that lead to it; of a space of edges all of its nodes, used or not.
function order(space, edges) {
  if (space.edges) {
    const last = Math.max(...space.edges.flat());
    return ["input", ...Array.from({ length: last - 1 }, (_, i) => String(i + 1)), "output"];
  }
  const left = new Set(edges.flatMap(([a, b]) => [a, b])), found = [];
  while (left.size) {
    const free = [...left].filter((name) => !edges.some(([a, b]) => b === name && left.has(a))).sort((a, b) => place(a) - place(b));
    if (!free.length) break;
    found.push(free[0]);
    left.delete(free[0]);
  }
  return found;
}

// Inputs first, those from further back before the others; then nodes by their number.
const place = (name) => parseInt(name.replace(/^c\[k-?/, "-")) || 0;

function chain(space, indices, size) {
  const most = Math.max(...space.decisions.map((d) => d.options.length));
  const wide = Math.min(size.block, 170 / indices.length);
  const shapes = indices.map((option, i) => {
    const name = space.decisions[i].options[option], tall = size.tall * (0.35 + (0.65 * (option + 1)) / most);
    const shape = node("rect", { x: i * wide + 0.5, y: size.tall - tall, width: Math.max(wide - 1.5, 1), height: tall, rx: 1.5, class: `block ${colour(space, name)}` });
    shape.append(node("title", {}, `${space.decisions[i].name}: ${name}`));
    return shape;
  });
  return { shapes, width: wide * indices.length, height: size.tall };
}
