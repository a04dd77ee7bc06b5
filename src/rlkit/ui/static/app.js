// The page of `rlkit ui`. Every text of a run enters the page by textContent, so that none of it is ever HTML.

const POLL_MS = 2000;
const MOST_TICKED = 16;
const RETURN = "return";
// As src/rlkit/evidence/plots.py: Okabe and Ito's palette, with two others for black and yellow.
const COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8A8A00", "#7F7F7F"];
const DASHES = [[], [8, 4]];

const COLUMNS = [
  { key: "status", head: "status" },
  { key: "algo", head: "algo" },
  { key: "env", head: "env" },
  { key: "score", head: "score", right: true, about: "Mean of the final evaluations over seeds, ± half of its 95 % interval; while a run trains, its latest evaluation" },
  { key: "frames", head: "frames", right: true },
  { key: "fps", head: "fps", right: true, about: "Training frames a second, the mean over seeds" },
  { key: "started", head: "started" },
  { key: "id", head: "folder" },
];

let runs = new Map(); // id -> row of the list
const ticked = new Map(); // id -> {slot, version, lines: Map(seed -> {frames, values, seconds, last})}
const view = { tab: "runs", filter: "", sort: "started", down: true, open: "", metric: RETURN, axis: "frames", search: "" };
let listing = { runs: [], searches: [], reports: [] };
let metrics = [];
let plot = null;
let plotted = "";
let shown = []; // what each series of the plot is

const $ = (id) => document.getElementById(id);

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value != null && value !== "") made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

async function ask(path, words = {}) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(words)) for (const one of [value].flat()) query.append(key, one);
  const answer = await fetch(`${path}?${query}`);
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.error);
  return found;
}

const link = (kind, id) => `/${kind}/${id.split("/").map(encodeURIComponent).join("/")}`;

// Numbers and times

const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

function number(x) {
  if (x == null) return "";
  return Math.abs(x) >= 1000 ? whole.format(x) : x.toFixed(1);
}

function precise(x) {
  if (x == null) return "";
  const size = Math.abs(x);
  return size >= 1000 ? whole.format(x) : size >= 0.001 || x === 0 ? String(+x.toPrecision(4)) : x.toExponential(2);
}

const few = (x) => (x == null ? "" : compact.format(x).replace("K", "k"));

function time(seconds) {
  if (seconds == null) return "";
  const date = new Date(seconds * 1000);
  const two = (n) => String(n).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

// The list

function matches(row, words) {
  return words.every((word) => {
    const [key, value] = word.split(/=(.*)/s);
    const field = { folder: "id" }[key] ?? key;
    if (value != null && ["algo", "env", "status", "id"].includes(field)) return String(row[field] ?? "").toLowerCase().includes(value);
    return [row.id, row.algo, row.env, row.status, row.problem, row.error].join(" ").toLowerCase().includes(word);
  });
}

function ordered(rows) {
  const value = (row) => (view.sort === "score" ? (row.score ?? row.latest) : row[view.sort]);
  const sign = view.down ? -1 : 1;
  return rows.sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if ((x == null) !== (y == null)) return x == null ? 1 : -1; // what is missing comes last
    const order = typeof x === "string" ? x.localeCompare(y) : x - y;
    return sign * order || a.id.localeCompare(b.id);
  });
}

function scoreCell(row) {
  const cell = element("td", { class: "right score" });
  if (row.score == null) {
    if (row.latest != null) cell.append(element("em", { class: "sofar", title: "latest evaluation" }, number(row.latest)), element("span"));
    return cell;
  }
  const [low, high] = row.interval ?? [];
  cell.append(number(row.score), element("span", {}, high != null ? `± ${number((high - low) / 2)}` : ""));
  cell.title = row.per_seed ? `per seed: ${row.per_seed.map((x) => number(x) || "none").join(", ")}` : "";
  return cell;
}

function framesCell(row) {
  const running = row.status === "running";
  const cell = element("td", { class: "right frames", title: row.budget ? `${whole.format(row.frames)} of ${whole.format(row.budget)}` : "" });
  cell.append(row.frames == null ? "" : few(row.frames));
  if (row.budget && (running || row.frames < row.budget)) cell.append(element("span", { class: "muted" }, ` / ${few(row.budget)}`));
  if (running && row.budget) {
    const done = element("b");
    done.style.width = `${Math.min(100, (100 * row.frames) / row.budget)}%`;
    cell.append(element("i", {}, done));
  }
  return cell;
}

function fill(tr, row) {
  const box = element("input", { type: "checkbox", "aria-label": `Show curves of ${row.id}`, onchange: () => toggle(row.id) });
  box.checked = ticked.has(row.id);
  box.disabled = row.status === "unreadable" || row.status === "reading";
  const focused = tr.contains(document.activeElement) ? document.activeElement.tagName : null;
  const badge = element("td", {}, element("span", { class: `badge ${row.status}`, title: row.problem || row.error || "" }, row.status));
  const name = element("td", { class: "folder", title: row.id }, element("button", { onclick: () => open(row.id) }, row.id));
  if (row.problem) {
    const why = element("td", { colspan: 6, class: "problem col-problem" }, row.problem);
    tr.replaceChildren(element("td", {}, box), badge, why, name);
  } else {
    tr.replaceChildren(
      element("td", {}, box), badge,
      element("td", {}, row.algo ?? ""), element("td", {}, row.env ?? ""), scoreCell(row), framesCell(row),
      element("td", { class: "right col-fps" }, row.fps ? whole.format(row.fps) : ""),
      element("td", { class: "col-started" }, time(row.started)), name,
    );
  }
  tr.dataset.version = row.version;
  if (focused) tr.querySelector(focused.toLowerCase())?.focus();
}

const lines = new Map(); // id -> tr

function showList() {
  const words = view.filter.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = ordered([...runs.values()].filter((row) => matches(row, words)));
  const wanted = rows.map((row) => {
    if (!lines.has(row.id)) lines.set(row.id, element("tr"));
    const tr = lines.get(row.id);
    if (tr.dataset.version !== row.version) fill(tr, row);
    tr.classList.toggle("open", row.id === view.open);
    return tr;
  });
  for (const id of lines.keys()) if (!runs.has(id)) lines.delete(id);
  const body = $("rows");
  if (wanted.length !== body.children.length || wanted.some((tr, i) => tr !== body.children[i])) {
    const focused = document.activeElement;
    const kept = body.contains(focused);
    body.replaceChildren(...wanted);
    if (kept && focused.isConnected) focused.focus({ preventScroll: true });
  }
  $("empty").hidden = rows.length > 0;
  $("empty").textContent = runs.size ? "No run has all of these words." : "There is no run below this folder yet.";
  showTabs(rows.length);
}

function showTabs(found) {
  const counts = { runs: found === runs.size ? runs.size : `${found} of ${runs.size}`, searches: listing.searches.length, reports: listing.reports.length };
  const names = { runs: "Runs", searches: "Searches", reports: "Reports" };
  const labels = Object.keys(names).map((tab) => `${names[tab]} ${counts[tab]}`);
  if ($("tabs").dataset.labels !== labels.join()) {
    const focused = [...$("tabs").children].indexOf(document.activeElement);
    $("tabs").replaceChildren(...Object.keys(names).map((tab, i) => element("button", { "aria-pressed": "false", onclick: () => choose(tab) }, labels[i])));
    $("tabs").dataset.labels = labels.join();
    $("tabs").children[focused]?.focus();
  }
  [...$("tabs").children].forEach((button, i) => button.setAttribute("aria-pressed", String(Object.keys(names)[i] === view.tab)));
}

function showHeads() {
  const heads = COLUMNS.map(({ key, head, right, about }) => element(
    "th", { scope: "col", class: `${right ? "right" : ""} col-${key}`, title: about, "aria-sort": view.sort === key ? (view.down ? "descending" : "ascending") : null },
    element("button", { onclick: () => sortBy(key) }, head),
  ));
  $("heads").replaceChildren(element("th", { "aria-label": "curves" }), ...heads);
}

function sortBy(key) {
  view.down = view.sort === key ? !view.down : ["score", "frames", "fps", "started"].includes(key);
  view.sort = key;
  showHeads();
  [...$("heads").children][COLUMNS.findIndex((column) => column.key === key) + 1].firstChild.focus();
  showList();
}

// Searches and reports

function choose(tab) {
  view.tab = tab;
  $("runs").hidden = tab !== "runs";
  $("other").hidden = tab === "runs";
  $("filter").disabled = tab !== "runs";
  showList();
  if (tab !== "runs") showOther().catch(tell);
}

async function showOther() {
  const place = $("other");
  if (view.tab === "reports") {
    const links = listing.reports.map((id) => element("li", {}, element("a", { class: "link", href: link("report", id), target: "_blank", rel: "noopener" }, id)));
    place.replaceChildren(links.length ? element("ul", { class: "links" }, ...links) : hint("No report is below this folder. rlkit report RUN... --out FOLDER writes one."));
    return;
  }
  if (!listing.searches.includes(view.search)) view.search = listing.searches.at(-1) ?? "";
  if (!view.search) return place.replaceChildren(hint("No search or sweep is below this folder."));
  const picker = element("select", { "aria-label": "Search", onchange: (event) => { view.search = event.target.value; showOther().catch(tell); } },
    ...listing.searches.map((id) => element("option", { value: id, selected: id === view.search }, id)));
  const search = view.search;
  const found = await ask("/api/search", { search }).then(searchTable, (error) => element("p", { class: "problem" }, error.message));
  if (view.tab === "searches" && view.search === search) place.replaceChildren(picker, found);
}

function hint(text) {
  return element("p", { class: "muted" }, text);
}

function searchTable({ heads, lines: rows, runs: ids, why }) {
  const known = ids.map((id) => runs.has(id));
  const line = (cells, i) => element("tr", { title: why[i] }, ...cells.map((text, j) => {
    if (j === 1) return element("td", {}, element("span", { class: `badge ${text.split(" ")[0]}` }, text));
    const inside = j === 0 && known[i] ? element("button", { class: "link", onclick: () => open(ids[i]) }, text) : text;
    return element("td", { class: j > 1 && isNumber(text) ? "right" : "" }, inside);
  }));
  const right = heads.map((_, j) => j > 1 && rows.every((cells) => isNumber(cells[j])));
  const head = element("tr", {}, ...heads.map((text, j) => element("th", { scope: "col", class: right[j] ? "right" : "" }, text)));
  return element("div", { class: "wide" }, element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows.map(line))));
}

const isNumber = (text) => /^(-|[-+\d.,e]+)$/.test(text);

// Ticked runs and their curves

function toggle(id) {
  if (ticked.has(id)) ticked.delete(id);
  else if (ticked.size < MOST_TICKED) {
    const taken = new Set([...ticked.values()].map((one) => one.slot));
    const slot = [...Array(MOST_TICKED).keys()].find((free) => !taken.has(free));
    ticked.set(id, { slot, version: null, lines: new Map() });
  }
  if (lines.has(id)) lines.get(id).querySelector("input").checked = ticked.has(id);
  remember();
  refresh().catch(tell);
  showDifferences().catch(tell);
}

async function fetchCurves(id, one) {
  const version = runs.get(id)?.version;
  if (!version || (one.version === version && one.metric === view.metric)) return;
  if (one.metric !== view.metric) one.lines = new Map();
  const metric = view.metric;
  const after = [...one.lines].map(([seed, line]) => `${seed}:${line.last}`).join();
  const points = Math.round(Math.max(200, Math.min(2000, 20000 / Math.max(1, ticked.size))));
  const found = await ask("/api/curves", { run: id, metric, after, points });
  if (metric !== view.metric) return;
  let again = false;
  for (const part of found.sessions) {
    const line = one.lines.get(part.seed) ?? { frames: [], values: [], seconds: [], last: -1 };
    again ||= part.last < line.last || line.frames.length > 2 * points; // it was resumed from before, or has grown long
    for (const key of ["frames", "values", "seconds"]) line[key].push(...part[key]);
    one.lines.set(part.seed, Object.assign(line, { last: part.last }));
  }
  Object.assign(one, { version: again ? null : version, metric, metrics: found.metrics });
  if (again) {
    one.lines = new Map();
    await fetchCurves(id, one);
  }
}

async function refresh() {
  await Promise.all([...ticked].map(([id, one]) => fetchCurves(id, one)));
  metrics = [...new Set([...ticked.values()].flatMap((one) => one.metrics ?? []))].sort();
  showMetrics();
  showPlot();
}

function showMetrics() {
  const names = [RETURN, ...metrics];
  if ($("metric").dataset.names === names.join()) return;
  $("metric").replaceChildren(...names.map((name) => element("option", { value: name, selected: name === view.metric }, name === RETURN ? "evaluation return" : name)));
  $("metric").dataset.names = names.join();
}

function rising(line) {
  const [xs, ys] = [[], []];
  line[view.axis].forEach((x, i) => {
    if (x != null && (!xs.length || x > xs.at(-1))) {
      xs.push(x);
      ys.push(line.values[i]);
    }
  });
  return [xs, ys];
}

function at([xs, ys], x) {
  let [low, high] = [0, xs.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (xs[middle] <= x) low = middle; else high = middle;
  }
  if (high <= low || xs[low] === x) return ys[low];
  return ys[low] + ((ys[high] - ys[low]) * (x - xs[low])) / (xs[high] - xs[low]);
}

// The mean of the seeds, in a straight line between their points, where all of them have begun and none has ended.
function mean(curves) {
  const first = Math.max(...curves.map(([xs]) => xs[0]));
  const last = Math.min(...curves.map(([xs]) => xs.at(-1)));
  const xs = [...new Set(curves.flatMap(([all]) => all))].filter((x) => x >= first && x <= last).sort((a, b) => a - b);
  return [xs, xs.map((x) => curves.reduce((sum, curve) => sum + at(curve, x), 0) / curves.length)];
}

function series() {
  const found = [];
  for (const [id, { slot, lines: seeds }] of ticked) {
    const curves = [...seeds.values()].map(rising).filter(([xs]) => xs.length);
    if (curves.length > 1) for (const curve of curves) found.push({ id, slot, curve, strong: false });
    if (curves.length) found.push({ id, slot, curve: curves.length > 1 ? mean(curves) : curves[0], strong: true });
  }
  return found.sort((a, b) => a.strong - b.strong).filter(({ curve }) => curve[0].length);
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function options(size) {
  const axis = { stroke: () => colour("--soft"), grid: { stroke: () => colour("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif", labelFont: "12px system-ui, sans-serif" };
  const label = view.metric === RETURN ? "mean return of an evaluation" : view.metric;
  return {
    ...size,
    legend: { show: false },
    padding: [8, 12, 0, 0],
    cursor: { y: false, points: { size: 6 } },
    scales: { x: { time: false } },
    axes: [
      { ...axis, label: view.axis === "frames" ? "frames" : "training time (s)", labelSize: 22, size: 30, values: (_, marks) => marks.map(few) },
      { ...axis, label, labelSize: 22, size: 52, values: (_, marks) => marks.map((mark) => (Math.abs(mark) >= 10000 ? few(mark) : precise(mark))) },
    ],
    series: [{}, ...shown.map(({ slot, strong, curve }) => ({
      stroke: COLOURS[slot % COLOURS.length] + (strong ? "" : "66"),
      width: strong ? 2.25 : 1,
      dash: DASHES[Math.floor(slot / COLOURS.length)],
      spanGaps: true,
      points: { show: strong && curve[0].length === 1 },
    }))],
    hooks: { setCursor: [showValues] },
  };
}

function showPlot() {
  shown = series();
  const place = $("plot");
  const key = JSON.stringify([view.metric, view.axis, shown.map(({ id, slot, strong, curve }) => [id, slot, strong, curve[0].length === 1])]);
  if (!shown.length) {
    plot?.destroy();
    [plot, plotted] = [null, ""];
    const text = ticked.size ? "There are no points to draw yet." : "Tick runs in the list to draw their curves.";
    place.replaceChildren(element("div", { class: "hint" }, text));
  } else {
    const data = uPlot.join(shown.map(({ curve }) => curve));
    if (key === plotted) plot.setData(data);
    else {
      plot?.destroy();
      place.replaceChildren();
      plot = new uPlot(options({ width: place.clientWidth, height: place.clientHeight }), data, place);
      plotted = key;
    }
  }
  place.dataset.points = String(shown.reduce((sum, { curve }) => sum + curve[0].length, 0));
  showLegend();
}

function title(id) {
  const row = runs.get(id) ?? {};
  return [element("span", {}, `${row.algo ?? ""} ${row.env ?? ""} `, element("small", {}, id))];
}

function swatch(id) {
  const made = element("span", { class: "swatch" });
  made.style.background = COLOURS[ticked.get(id).slot % COLOURS.length];
  return made;
}

function showLegend() {
  if ($("legend").dataset.ids !== JSON.stringify([...ticked.keys()])) {
    $("legend").replaceChildren(...[...ticked.keys()].map((id) => element(
      "li", {}, swatch(id), ...title(id), element("output"), element("button", { "aria-label": `Remove ${id}`, onclick: () => toggle(id) }, "×"))));
    $("legend").dataset.ids = JSON.stringify([...ticked.keys()]);
  }
  showValues();
}

// Beside each run, its value under the cursor; the latest where the cursor is elsewhere.
function showValues() {
  const x = plot?.cursor.idx != null ? plot.data[0][plot.cursor.idx] : null;
  [...ticked.keys()].forEach((id, i) => {
    const curve = shown.find((one) => one.id === id && one.strong)?.curve;
    const inside = curve && (x == null || (x >= curve[0][0] && x <= curve[0].at(-1)));
    const value = !inside ? "" : precise(x == null ? curve[1].at(-1) : at(curve, x));
    const output = $("legend").children[i]?.querySelector("output");
    if (output) output.textContent = value;
  });
}

async function showDifferences() {
  const ids = [...ticked.keys()].filter((id) => runs.has(id));
  const table = ids.length > 1 ? await ask("/api/differences", { run: ids }) : {};
  if (ids.join() !== [...ticked.keys()].join() && ids.length > 1) return;
  const place = $("differences");
  place.hidden = ids.length < 2;
  if (place.hidden) return;
  const heads = ids.map((id) => element("th", { scope: "col", title: id }, swatch(id), ` ${runs.get(id).algo} `, element("span", { class: "muted" }, id.split("/").at(-1))));
  const rows = Object.entries(table).map(([key, values]) => element("tr", {}, element("th", { scope: "row", class: "mono" }, key), ...values.map((value) => element("td", { class: "mono" }, value))));
  place.replaceChildren(
    element("h2", {}, "Differences of the configurations"),
    rows.length
      ? element("div", { class: "wide" }, element("table", {}, element("thead", {}, element("tr", {}, element("th"), ...heads)), element("tbody", {}, ...rows)))
      : hint("None, apart from seeds, names and logging."),
  );
}

// One run

async function open(id) {
  view.open = view.open === id ? "" : id;
  remember();
  showList();
  await showDetails().catch(tell);
  if (view.open) $("details").scrollIntoView({ block: "nearest" });
}

let detailed = "";

async function showDetails() {
  const [id, place] = [view.open, $("details")];
  place.hidden = !id;
  const row = runs.get(id);
  if (!id || !row || detailed === `${id} ${row.status}`) return;
  const found = await ask("/api/run", { run: id }).catch((error) => ({ problem: error.message }));
  if (view.open !== id) return;
  detailed = `${id} ${row.status}`;
  place.replaceChildren(
    element("div", { class: "bar" }, element("h2", {}, `${row.algo ?? ""} ${row.env ?? ""}`.trim() || "Run"), element("span", { class: `badge ${row.status}` }, row.status), element("button", { "aria-label": "Close", onclick: () => open(id) }, "×")),
    ...(found.problem ? [element("p", { class: "problem" }, found.problem)] : details(row, found)),
  );
}

function details(row, found) {
  const pairs = (values) => Object.entries(values).map(([key, value]) => `${key} ${value}`).join(", ");
  const facts = {
    folder: found.folder, command: found.command && element("code", {}, found.command), started: time(row.started),
    "per seed": (row.per_seed ?? []).map((x) => number(x) || "none").join(", "),
    revision: found.revision, versions: pairs(found.versions), machine: pairs(found.host), device: pairs(found.device),
  };
  const list = Object.entries(facts).filter(([, value]) => value).flatMap(([key, value]) => [element("dt", {}, key), element("dd", {}, value)]);
  const config = Object.entries(found.config).map(([key, value]) => element("tr", {}, element("th", { scope: "row", class: "mono" }, key), element("td", { class: "mono" }, value)));
  const fold = (name, inside, opened = false) => element("details", { open: opened }, element("summary", {}, name), inside);
  return [
    found.error ? element("pre", { class: "problem" }, found.error) : null,
    element("dl", {}, ...list),
    found.videos.length ? element("h3", {}, "Videos") : null,
    found.videos.length ? element("div", { class: "films" }, ...found.videos.slice(-12).map(film)) : null,
    fold("Configuration", element("div", { class: "wide" }, element("table", {}, element("tbody", {}, ...config)))),
    found.log ? fold("Log", element("pre", {}, found.log), ["failed", "diverged"].includes(row.status)) : null,
  ].filter(Boolean);
}

function film(id) {
  const [session, , name] = id.split("/").slice(-3);
  const src = link("video", id);
  const shot = id.endsWith(".gif") ? element("img", { src, alt: "" }) : element("video", { src, controls: true, preload: "metadata" });
  return element("figure", {}, shot, element("figcaption", {}, `${session.replace("session_", "seed ")}, ${few(parseInt(name, 10) || 0)} frames`));
}

// What the address holds: a reload shows the same

function remember() {
  const words = new URLSearchParams();
  if (view.filter) words.set("filter", view.filter);
  if (view.open) words.set("open", view.open);
  for (const id of ticked.keys()) words.append("run", id);
  history.replaceState(null, "", `#${words}`);
}

function recall() {
  const words = new URLSearchParams(location.hash.slice(1));
  view.filter = $("filter").value = words.get("filter") ?? "";
  view.open = words.get("open") ?? "";
  words.getAll("run").slice(0, MOST_TICKED).forEach((id, slot) => ticked.set(id, { slot, version: null, lines: new Map() }));
}

// Asking the server again

function tell(error) {
  $("live").textContent = error.message;
  $("live").classList.add("lost");
}

async function look() {
  listing = await ask("/api/runs");
  runs = new Map(listing.runs.map((row) => [row.id, row]));
  $("root").textContent = $("root").title = listing.root;
  const running = listing.runs.filter((row) => row.status === "running").length;
  $("live").classList.remove("lost");
  $("live").textContent = listing.waiting ? `reading ${listing.waiting} more` : running ? `${running} running` : "";
  showList();
  if (!listing.waiting) for (const id of ticked.keys()) if (!runs.has(id)) ticked.delete(id); // its folder was removed
  await Promise.all([refresh(), showDetails(), view.tab === "searches" ? showOther() : null]);
  return listing.waiting ? 50 : POLL_MS;
}

let timer = 0;
let first = true;

async function poll() {
  clearTimeout(timer);
  let pause = POLL_MS;
  if (!document.hidden) {
    try {
      pause = await look();
      if (first) showDifferences().catch(tell);
      first = false;
    } catch (error) {
      tell(error instanceof TypeError ? new Error("rlkit ui does not answer") : error);
    }
  }
  timer = setTimeout(poll, pause);
}

$("filter").addEventListener("input", (event) => { view.filter = event.target.value; showList(); remember(); });
$("metric").addEventListener("change", (event) => { view.metric = event.target.value; refresh().catch(tell); });
$("axis").addEventListener("change", (event) => { view.axis = event.target.value; showPlot(); });
document.addEventListener("visibilitychange", () => { if (!document.hidden) poll(); });
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !["INPUT", "SELECT"].includes(event.target.tagName)) { event.preventDefault(); $("filter").focus(); }
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plot?.redraw());
new ResizeObserver(() => plot?.setSize({ width: $("plot").clientWidth, height: $("plot").clientHeight })).observe($("plot"));

recall();
showHeads();
showMetrics();
poll();
