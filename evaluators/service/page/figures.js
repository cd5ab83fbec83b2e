// The improvement curve and the scatter, with the chosen architecture marked.

import { node } from "./svg.js";

export const W = 440, H = 290, LEFT = 46, RIGHT = 12, TOP = 10, BOTTOM = 40;

export function axes(label, xs, ys, x, y, xText, yText) {
  const svg = node("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": label });
  for (const v of ys) {
    svg.append(node("line", { class: "axis", x1: LEFT, x2: W - RIGHT, y1: y(v), y2: y(v) }),
      node("text", { class: "tick", x: LEFT - 6, y: y(v) + 4, "text-anchor": "end" }, short(v)));
  }
  for (const v of xs) {
    svg.append(node("line", { class: "axis", x1: x(v), x2: x(v), y1: TOP, y2: H - BOTTOM }),
      node("text", { class: "tick", x: x(v), y: H - BOTTOM + 15, "text-anchor": "middle" }, short(v)));
  }
  svg.append(node("text", { class: "tick", x: (LEFT + W - RIGHT) / 2, y: H - 6, "text-anchor": "middle" }, xText),
    node("text", { class: "tick", "text-anchor": "middle", transform: `translate(11 ${(H - BOTTOM) / 2}) rotate(-90)` }, yText));
  return svg;
}

// At most six signs.
const short = (v) => (Math.abs(v) >= 1e6 ? `${Math.round(v / 1e4) / 100}M` : Math.abs(v) >= 1e4 ? `${Math.round(v / 1e2) / 10}k` : Math.abs(v) >= 1000
  ? v.toLocaleString("en") : String(Math.round(v * 1000) / 1000));
export const scale = (low, high, from, to) => (v) => from + ((v - low) / (high - low || 1)) * (to - from);

export function ticks(low, high) {
  const raw = (high - low || 1) / 4, unit = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * unit).find((s) => s >= raw);
  const first = Math.ceil(low / step) * step;
  return Array.from({ length: Math.floor((high - first) / step + 1e-9) + 1 }, (_, i) => first + i * step);
}

export function improvement(data, record) {
  const pairs = data.remaining.map((r, i) => [r, data.improvement[i]]).filter(([, v]) => v !== null);
  const low = Math.min(0, ...pairs.map(([, v]) => v)), high = 1;
  const place = scale(Math.log(data.count), 0, LEFT, W - RIGHT), x = (r) => place(Math.log(r));
  const y = scale(low, high, H - BOTTOM, TOP);
  const tens = [1, 10, 100, 1000, 10000, 100000].filter((t) => t <= data.count);
  const svg = axes("improvement curve", tens, ticks(low, high), x, y, "architectures left, the best predicted last", "improvement");
  svg.append(node("polyline", { class: "curve", points: pairs.map(([r, v]) => `${x(r)},${y(v)}`).join(" ") }));
  if (record && pairs.length) {
    const rank = Math.min(record.rank, data.count);
    const near = pairs.reduce((a, b) => (Math.abs(Math.log(b[0] / rank)) < Math.abs(Math.log(a[0] / rank)) ? b : a));
    svg.append(node("line", { class: "chosen-line", x1: x(rank), x2: x(rank), y1: TOP, y2: H - BOTTOM }),
      node("circle", { class: "chosen", cx: x(rank), cy: y(near[1]), r: 6 }));
  }
  return svg;
}

export function scatter(data, record, quantity) {
  const chosen = record && record.truth !== null ? [record.accuracy ?? record.score, record.truth] : null;
  const [x, xs] = span(0, LEFT, W - RIGHT), [y, ys, least] = span(1, H - BOTTOM, TOP);
  const svg = axes(quantity ? `${quantity} and true accuracy` : "predicted and true accuracy", xs, ys, x, y, quantity ?? "predicted accuracy, %", "true accuracy, %");
  const below = data.points.filter((p) => x(p[0]) < LEFT || p[1] < least);
  for (const p of data.points) {
    if (x(p[0]) >= LEFT && p[1] >= least) svg.append(node("circle", { class: "point", cx: x(p[0]), cy: y(p[1]), r: 2.6 }));
  }
  if (chosen) svg.append(node("circle", { class: "chosen", cx: x(chosen[0]), cy: y(chosen[1]), r: 6 }));
  return [svg, below.length];

  // From the worst twentieth on, as the rest is far away, but never without the chosen one.
  function span(axis, from, to) {
    const values = data.points.map((p) => p[axis]).sort((a, b) => a - b);
    const kept = [values[Math.floor(values.length / 20)], values.at(-1), ...(chosen ? [chosen[axis]] : [])];
    const [low, high] = [Math.min(...kept), Math.max(...kept)], margin = 0.05 * (high - low) || 0.5;
    return [scale(low - margin, high + margin, from, to), ticks(low, high), low - margin];
  }
}

// Where among all that is known: the last on the left, the first on the right.
export function standing(svg, record, known) {
  const x = scale(known, 1, 8, 292), at = x(record.rank), y = 11;
  svg.replaceChildren(node("line", { class: "track", x1: 8, x2: 292, y1: y, y2: y }),
    node("line", { class: "range", x1: 8, x2: at, y1: y, y2: y }), node("circle", { class: "chosen", cx: at, cy: y, r: 7 }));
}
