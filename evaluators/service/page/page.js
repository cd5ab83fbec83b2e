// State: the option indices of the chosen architecture. Everything shown follows from them and the service's answers.

import { chooser } from "./drawing.js";
import { improvement, interval, scatter } from "./figures.js";
import { element } from "./svg.js";

const $ = (id) => document.getElementById(id);
const QUIET = 120; // milliseconds without a further choice before the service is asked
let space, show, indices, record = null, compared = null, pending = null, timer = 0;
let quantity = null; // what is predicted, where it is no accuracy
const value = (row) => (quantity ? Number(row.score.toPrecision(6)).toLocaleString("en", { maximumSignificantDigits: 6 }) : row.accuracy.toFixed(2));

async function ask(path, options = {}) {
  const token = sessionStorage.getItem("token");
  const headers = { ...(token ? { authorization: `Bearer ${token}` } : {}), ...options.headers };
  const answer = await fetch(path, { ...options, headers });
  const document = await answer.json();
  if (answer.status === 401) $("token").hidden = false;
  if (!answer.ok) throw new Error(document.error.message);
  return document;
}

function say(text, error = false) {
  $("status").textContent = text;
  $("status").className = error ? "error" : "";
}

function choose(now) {
  indices = now;
  show(indices);
  clearTimeout(timer);
  timer = setTimeout(() => predict(indices.join(",")), QUIET);
}

async function predict(name) {
  pending?.abort();
  const mine = (pending = new AbortController());
  $("answer").classList.add("old");
  const slow = setTimeout(() => say("evaluating …"), 200);
  try {
    const found = await ask(`/v1/predictions/${encodeURIComponent(name)}`, { signal: mine.signal });
    if (pending !== mine) return;
    const unseen = !record || found.arch !== record.arch;
    record = found;
    indices = found.indices;
    show(indices);
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
  $("accuracy").textContent = value(record);
  $("unit").textContent = quantity ? ` ${quantity}` : " % predicted";
  $("interval").hidden = record.interval === null;
  if (record.interval === null) {
    $("interval-text").textContent = "It ranks architectures, and is no accuracy.";
  } else {
    const [low, high] = record.interval.map((v) => v.toFixed(2));
    $("interval-text").textContent = `95% interval ${low} to ${high}, from ${record.images.toLocaleString("en")} images`;
    interval($("interval"), record);
  }
  $("text").value = record.arch;
  figures();
}

function facts(known) {
  const rows = [["rank", `${record.rank.toLocaleString("en")} of ${known.toLocaleString("en")} known`]];
  if (!quantity) rows.push(["loss", record.loss?.toFixed(4) ?? "infinite"]);
  if (record.truth !== null) rows.unshift(["measured", `${record.truth.toFixed(2)} %`]);
  $("facts").replaceChildren(...rows.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
}

async function knowledge() {
  const [best, comparison] = await Promise.all([ask("/v1/ranking?limit=8"), ask("/v1/comparison").catch((error) => error)]);
  if (record) facts(best.known);
  $("best-list").replaceChildren(...best.predictions.map((row) => {
    const button = element("button", { type: "button", title: row.arch, "aria-current": record?.arch === row.arch ? "true" : null },
      element("b", {}, value(row)), element("span", { class: "name" }, row.arch));
    button.addEventListener("click", () => choose(row.indices));
    return element("li", {}, button);
  }));
  compared = comparison instanceof Error ? null : comparison;
  if (!compared) $("improvement-note").textContent = $("scatter-note").textContent = comparison.message;
  figures();
}

function figures() {
  if (!compared) return;
  const tau = compared.kendall_tau === null ? "" : `, Kendall's tau ${compared.kendall_tau.toFixed(3)}`;
  const [svg, below] = scatter(compared, record, quantity);
  $("improvement-note").textContent = `mean truth of what is left: 0 is the mean of all, 1 the best of the table`;
  $("scatter-note").textContent = `${compared.column}: ${compared.count.toLocaleString("en")} architectures${tau}` +
    (below ? `; ${below} beyond the axes` : "");
  $("improvement").replaceChildren(improvement(compared, record));
  $("scatter").replaceChildren(svg);
}

async function start() {
  const model = await ask("/v1/model");
  quantity = model.protocol.quantity ?? null;
  space = await ask("/v1/space");
  $("token").hidden = true;
  const trained = quantity ?? model.protocol.configuration?.dataset;
  $("about").textContent = [model.space, trained, `${model.known.toLocaleString("en")} predictions known`].filter(Boolean).join(" · ");
  document.title = `oneshot: ${model.space}`;
  $("decisions").replaceChildren();
  show = chooser(space, $("drawing"), $("decisions"), (place, option) => choose(indices.map((v, i) => (i === place ? option : v))));
  const best = await ask("/v1/ranking?limit=1");
  choose(best.predictions.length ? best.predictions[0].indices : space.decisions.map(() => 0));
}

$("named").addEventListener("submit", (event) => { event.preventDefault(); predict($("text").value.trim()); });
$("random").addEventListener("click", () => choose(space.decisions.map((d) => Math.floor(Math.random() * d.options.length))));
$("best").addEventListener("click", async () => {
  const best = await ask("/v1/ranking?limit=1");
  if (best.predictions.length) choose(best.predictions[0].indices);
});
$("token").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", $("token-text").value);
  begin();
});

const begin = () => start().catch((error) => say(error.message, true));
begin();
