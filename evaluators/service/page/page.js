// State: the option indices of the chosen architecture, and one that is kept to compare. Everything shown follows from
// them and the service's answers; the address of the page names both.

import { ask, describe } from "./ask.js";
import { sideBySide } from "./compare.js";
import { FORMS, copy } from "./copy.js";
import { front } from "./costs.js";
import { chooser } from "./drawing.js";
import { improvement, scatter, standing } from "./figures.js";
import { sketch } from "./sketch.js";
import { element } from "./svg.js";
import { costName, costText, number, ordinal, points, predicted, share, unit, valueText } from "./words.js";

const $ = (id) => document.getElementById(id);
const QUIET = 120; // milliseconds without a further choice before the service is asked
const LISTED = 10, CHANGES = 3, ENOUGH = 3;
let space, trained, measured, view, indices, known = 0, record = null, described = null, kept = null, compared = null, costs = null, advised = [], pending = null, timer = 0;
let quantity = null; // what is predicted, where it is no accuracy

function say(text, error = false) {
  $("status").textContent = text;
  $("status").className = error ? "error" : "";
}

function choose(now, wait = QUIET) {
  indices = now;
  view.show(indices);
  clearTimeout(timer);
  timer = setTimeout(() => predict(indices.join(",")), wait);
}

async function predict(name) {
  pending?.abort();
  const mine = (pending = new AbortController());
  $("answer").classList.add("old");
  const slow = setTimeout(() => say("evaluating …"), 200);
  try {
    const found = await ask(`/v1/predictions/${encodeURIComponent(name)}`, { signal: mine.signal });
    const [about] = await describe([found.arch]);
    if (pending !== mine) return;
    const unseen = !record || found.arch !== record.arch;
    [record, described, indices] = [found, about, found.indices];
    view.show(indices);
    view.drawn(described);
    clearTimeout(slow);
    say("");
    answer();
    if (unseen) await knowledge();
  } catch (error) {
    if (error.name !== "AbortError") say(error.message, true);
  } finally {
    clearTimeout(slow);
  }
}

function answer() {
  $("answer").hidden = false;
  $("answer").classList.remove("old");
  $("changes").replaceChildren();
  $("accuracy").textContent = valueText(record, quantity);
  $("interval-text").textContent = record.interval === null ? "" : `(${record.interval.map((v) => v.toFixed(1)).join(" to ")} at 95%, ${number(record.images)} images)`;
  $("text").value = record.arch;
  const rows = Object.entries(described.cost).filter(([, value]) => value !== null).map(([name, value]) => [costName(name), costText(name, value)]);
  if (record.truth !== null) rows.unshift(["measured", `${record.truth.toFixed(2)} % accuracy, trained alone`]);
  $("facts").replaceChildren(...[...$("facts").children].slice(0, 2), ...rows.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
  rank();
  address();
  figures();
  comparison();
}

// What the page says of accuracies, said of a score.
function scores() {
  for (const place of document.querySelectorAll("[data-score]")) place.textContent = place.dataset.score || quantity;
}

function about() {
  $("about").textContent = [space.name, trained, `${number(known)} predictions known`].filter(Boolean).join(" · ");
}

function rank() {
  const part = share(record, known);
  $("rank").textContent = ordinal(record.rank);
  $("of").textContent = `of ${number(known)} known by ${quantity ?? "accuracy"}`;
  $("better").textContent = record.rank === 1 ? "Nothing that is known is predicted to be better." : `Predicted to be better than ${part}% of the others.`;
  const place = advised.findIndex((row) => row.arch === record.arch), said = place < 0 ? "" : advice(advised[place]);
  $("place").textContent = said && `${ordinal(place + 1)} of those recommended: ${said}.`;
  standing($("standing"), record, Math.max(known, 2));
}

async function knowledge() {
  const quiet = (path) => ask(path).catch((error) => error);
  const [best, costing] = await Promise.all([ask(`/v1/ranking?limit=${LISTED}`), quiet("/v1/costs")]);
  known = best.known;
  advised = best.predictions;
  const parts = Object.keys(best.predictions[0]?.parts ?? {}).map((name) => name.replaceAll("_", " "));
  $("advice").textContent = parts.length > 1 ? `By the ranks of ${parts.join(" and ")} averaged.` : `By ${quantity ?? "accuracy"}.`;
  about();
  const now = best.predictions.find((row) => row.arch === record?.arch);
  if (now) record = now;
  if (record) rank();
  const drawn = await describe(best.predictions.map((row) => row.arch));
  $("best-list").replaceChildren(...best.predictions.map((row, i) => listed(row, drawn[i], i + 1)));
  compared = best.measured >= ENOUGH ? await ask("/v1/comparison") : null;
  costs = costing instanceof Error ? null : costing;
  $("curve").hidden = !compared;
  $("scatter-note").textContent = measured ? `${best.measured} of what is known were measured: fewer than ${ENOUGH} have no order.` : "This service has no ground truth: start it with --benchmark.";
  $("costs").hidden = !costs || !Object.values(costs.fronts).some((each) => each.length);
  offer();
  figures();
}

// What a recommendation is made of: percent of the known that are below.
function advice(row) {
  const parts = Object.entries(row.parts).map(([name, part]) => `${name.replaceAll("_", " ")} ${part.toFixed(1)}`);
  return row.recommended === null ? "" : `above ${row.recommended.toFixed(1)}% of the known: ${parts.join(", ")}`;
}

function listed(row, drawn, place) {
  const button = element("button", { type: "button", title: [row.arch, advice(row)].filter(Boolean).join("\n"), "aria-label": `${ordinal(place)}: ${row.arch}`, "aria-current": record?.arch === row.arch ? "true" : null },
    element("span", { class: "soft" }, String(place)), sketch(space, drawn), element("b", {}, valueText(row, quantity) + unit(quantity)),
    element("span", { class: "soft" }, costText("params", drawn.cost.params)));
  button.addEventListener("click", () => choose(row.indices, 0));
  return element("li", {}, button);
}

// The costs that there are to choose from.
function offer() {
  const names = costs ? Object.keys(costs.fronts).filter((name) => costs.fronts[name].length) : [];
  if (names.join() === [...$("cost").options].map((o) => o.value).join()) return;
  $("cost").replaceChildren(...names.map((name) => element("option", { value: name }, costName(name))));
}

function figures() {
  if (costs && $("cost").value) {
    const chosen = record && described && { ...record, cost: described.cost };
    const { svg, below, best } = front(costs, $("cost").value, chosen, predict, quantity);
    $("front").replaceChildren(svg);
    const part = costs.considered < costs.known ? `${number(costs.considered)} of ${number(costs.known)} known` : `${number(costs.known)} known`;
    $("front-note").textContent = `${part}, ${best} on the front` + (below ? `; ${number(below)} below the axis` : "") + ". Choose a point to see it.";
  }
  if (!compared) return;
  const alone = compared.kendall_tau?.toFixed(3), advised = compared.kendall_tau_recommended?.toFixed(3);
  const tau = alone === undefined ? "" : `, Kendall's tau ` + (advised === undefined ? alone : `${advised} as recommended, ${alone} alone`);
  const [svg, beyond] = scatter(compared, record, quantity);
  $("improvement-note").textContent = "Mean measured accuracy of what is left when the worst predicted go: 0 is the mean of all, 1 the best of the table.";
  $("scatter-note").textContent = `${compared.column}: ${number(compared.count)} architectures${tau}` + (beyond ? `; ${beyond} beyond the axes` : "");
  $("improvement").replaceChildren(improvement(compared, record));
  $("scatter").replaceChildren(svg);
}

function comparison() {
  $("comparison").hidden = !kept;
  $("keep").textContent = kept ? "Keep this" : "Compare";
  if (kept && record) $("compared").replaceChildren(...sideBySide(space, kept, { record, described }, quantity));
}

async function improve() {
  $("improve").disabled = true;
  const of = record.arch, slow = setTimeout(() => say("evaluating what one change makes of it …"), 200);
  try {
    const found = await ask(`/v1/improvements/${encodeURIComponent(of)}?limit=${CHANGES}`);
    if (record.arch !== of) return;
    const better = found.changes.filter((change) => predicted(change.prediction) > predicted(found.of));
    say("");
    $("changes").replaceChildren(
      element("p", {}, better.length ? `The best of ${number(found.tried)} single changes:` : `None of ${number(found.tried)} single changes is predicted to be better.`),
      ...better.map((change) => suggestion(change, found.of)));
    if (better.length) await knowledge();
  } catch (error) {
    say(error.message, true);
  } finally {
    clearTimeout(slow);
    $("improve").disabled = false;
  }
}

function suggestion(change, of) {
  const button = element("button", { type: "button" }, element("b", {}, points(predicted(change.prediction) - predicted(of), quantity)),
    element("span", {}, `${change.decision}: ${change.before} → ${change.option}`), element("span", { class: "soft" }, ordinal(change.prediction.rank)));
  button.addEventListener("click", () => choose(change.prediction.indices, 0));
  return button;
}

// The address

function address() {
  const named = { arch: record.arch, ...(kept && kept.record.arch !== record.arch ? { with: kept.record.arch } : {}) };
  history.replaceState(null, "", `#${Object.entries(named).map(([key, value]) => `${key}=${encodeURIComponent(value)}`).join("&")}`);
}

// Not by URLSearchParams, for which the + of a string that was typed is a space.
const asked = () => Object.fromEntries(location.hash.slice(1).split("&").map((part) => part.split(/=(.*)/s)).map(([key, value]) => [key, decoded(value ?? "")]));

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

async function open() {
  const named = asked();
  if (named.with) await keep(named.with).catch(() => {});
  if (named.arch) return predict(named.arch);
  const best = await first;
  return choose(best.predictions.length ? best.predictions[0].indices : space.decisions.map(() => 0), 0);
}

async function keep(name) {
  const found = await ask(`/v1/predictions/${encodeURIComponent(name)}`);
  kept = { record: found, described: (await describe([found.arch]))[0] };
}

let first;

async function start() {
  first = ask("/v1/ranking?limit=1");
  const [model, decided] = await Promise.all([ask("/v1/model"), ask("/v1/space"), first.catch(() => {})]);
  [space, known] = [decided, model.known];
  $("token").hidden = true;
  quantity = model.protocol.quantity ?? null;
  [trained, measured] = [quantity ?? model.protocol.configuration?.dataset, model.truth !== null];
  if (quantity) scores();
  document.title = `oneshot: ${model.space}`;
  about();
  view = chooser(space, $("drawing"), $("decisions"), (place, option) => choose(indices.map((v, i) => (i === place ? option : v))));
  await open();
}

const begin = () => start().catch((error) => say(error.message, true));

$("named").addEventListener("submit", (event) => { event.preventDefault(); predict($("text").value.trim()); });
$("random").addEventListener("click", async () => choose((await ask("/v1/random")).indices, 0));
$("best").addEventListener("click", async () => {
  const best = await ask("/v1/ranking?limit=1");
  if (best.predictions.length) choose(best.predictions[0].indices, 0);
});
$("improve").addEventListener("click", improve);
$("cost").addEventListener("change", figures);
$("keep").addEventListener("click", () => { kept = { record, described }; comparison(); address(); });
$("drop").addEventListener("click", () => { kept = null; comparison(); address(); $("keep").focus(); });
$("swap").addEventListener("click", () => {
  const other = kept;
  kept = { record, described };
  choose(other.record.indices, 0);
});
$("copy").querySelector(".menu").append(...Object.entries(FORMS).map(([name, form]) => {
  const button = element("button", { type: "button" }, name);
  button.addEventListener("click", async () => {
    const done = await copy(form(record.arch));
    $("copy").open = false;
    $("copy").querySelector("summary").focus();
    say(done ? `${name} copied` : "this browser lets nothing be copied here", !done);
  });
  return button;
}));
$("copy").addEventListener("keydown", (event) => { if (event.key === "Escape") $("copy").open = false; });
$("token").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", $("token-text").value);
  begin();
});
window.addEventListener("hashchange", () => { if (space && asked().arch !== record?.arch) open(); });

begin();
