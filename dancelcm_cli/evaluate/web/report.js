"use strict";
// The report's pictures are sheets of frames: drawing a piece of one shows exactly that frame.

const data = JSON.parse(document.getElementById("data").textContent);
const COLOURS = ["#8a8d96", "#2f6fed", "#e4572e", "#17a673", "#a05bd8", "#d9a400", "#00a6c8", "#d6457f"];
const FRAMES_PER_SECOND = 12;
const GAIN = 4; // differences are shown this much stronger
const SVG = "http://www.w3.org/2000/svg";

const state = { video: 0, place: 0, metric: 0, difference: false, timer: null };
const sheets = new Map(); // address: decoded picture
const colour = (row) => COLOURS[row % COLOURS.length];
const video = () => data.videos[state.video];
const byId = (id) => document.getElementById(id);

function make(tag, parent, text = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  parent.append(element);
  return element;
}

function draw(tag, parent, attributes, text = "") {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  parent.append(element);
  return element;
}

async function sheet(address) {
  if (!sheets.has(address)) {
    const picture = new Image();
    picture.src = address;
    sheets.set(address, picture.decode().then(() => picture));
  }
  return sheets.get(address);
}

function paint(canvas, picture, shown, place) {
  const { width, height, columns } = shown;
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const left = (place % columns) * width;
  const top = Math.floor(place / columns) * height;
  context.drawImage(picture, left, top, width, height, 0, 0, width, height);
  return context;
}

function paintDifference(context, truth, width, height) {
  const shown = context.getImageData(0, 0, width, height);
  const expected = truth.getImageData(0, 0, width, height).data;
  for (let i = 0; i < expected.length; i += 1) {
    if (i % 4 !== 3) shown.data[i] = Math.min(255, GAIN * Math.abs(shown.data[i] - expected[i]));
  }
  context.putImageData(shown, 0, 0);
}

async function showFrame() {
  const shown = video();
  const { video: asked, place } = state;
  const pictures = await Promise.all(shown.sheets.map(sheet));
  if (asked !== state.video || place !== state.place) return; // somebody was faster
  const panes = [...byId("panes").querySelectorAll("canvas")];
  const truth = paint(panes[0], pictures[0], shown, place);
  panes.slice(1).forEach((canvas, row) => {
    const context = paint(canvas, pictures[row + 1], shown, place);
    if (state.difference) paintDifference(context, truth, shown.width, shown.height);
  });
  const index = shown.frames[place];
  byId("scrubber").value = place;
  byId("frame").textContent = `frame ${index}`;
  document.body.dataset.frame = index;
  document.body.dataset.video = shown.name;
  moveCursor();
}

function goTo(place) {
  state.place = Math.max(0, Math.min(place, video().frames.length - 1));
  return showFrame();
}

function goToIndex(index) {
  const distances = video().frames.map((frame) => Math.abs(frame - index));
  return goTo(distances.indexOf(Math.min(...distances)));
}

function chooseVideo(number) {
  state.video = number;
  byId("video").value = number;
  byId("scrubber").max = video().frames.length - 1;
  byId("panes").replaceChildren();
  for (const name of ["truth", ...data.rows]) {
    const figure = make("figure", byId("panes"));
    make("canvas", figure);
    make("figcaption", figure, name);
  }
  drawCurves();
  drawStrips();
  return goTo(0);
}

function togglePlay() {
  if (state.timer !== null) {
    clearInterval(state.timer);
    state.timer = null;
  } else {
    const next = () => goTo((state.place + 1) % video().frames.length);
    state.timer = setInterval(next, 1000 / FRAMES_PER_SECOND);
  }
  byId("play").textContent = state.timer === null ? "Play" : "Pause";
}

// Curves: a value for each frame, in the width of the picture.
const BOX = { left: 52, right: 908, top: 10, bottom: 150 };

function scale(values, start, end, rare = 0) {
  // The rarest values, such as the 100 dB of a reference frame, may lie beyond the edge.
  const sorted = [...values].sort((a, b) => a - b);
  const low = sorted[Math.floor(rare * (sorted.length - 1))];
  const high = sorted[Math.ceil((1 - rare) * (sorted.length - 1))];
  const share = (value) => Math.max(0, Math.min(1, (value - low) / (high - low || 1)));
  return { low, high, at: (value) => start + share(value) * (end - start) };
}

const short = (value) => Number(value.toPrecision(3)).toString();

function drawCurves() {
  const plot = byId("plot");
  plot.replaceChildren();
  const metric = data.metrics[state.metric];
  if (!metric) return; // FVD alone has no value for a frame
  const curves = video().curves[metric.name] ?? data.rows.map(() => []);
  const points = curves.flat();
  if (!points.length) {
    draw("text", plot, { x: BOX.left, y: 40 }, "no values");
    return;
  }
  const x = scale(points.map((point) => point[0]), BOX.left, BOX.right);
  const y = scale(points.map((point) => point[1]), BOX.bottom, BOX.top, 0.02);
  draw("line", plot, { class: "axis", x1: BOX.left, x2: BOX.right, y1: BOX.bottom, y2: BOX.bottom });
  draw("text", plot, { x: BOX.left - 6, y: BOX.top + 6, "text-anchor": "end" }, short(y.high));
  draw("text", plot, { x: BOX.left - 6, y: BOX.bottom, "text-anchor": "end" }, short(y.low));
  draw("text", plot, { x: BOX.left, y: BOX.bottom + 16 }, short(x.low));
  draw("text", plot, { x: BOX.right, y: BOX.bottom + 16, "text-anchor": "end" }, short(x.high));
  curves.forEach((curve, row) => {
    const line = curve.map(([index, value]) => `${x.at(index)},${y.at(value)}`).join(" ");
    draw("polyline", plot, { class: "curve", stroke: colour(row), points: line });
  });
  draw("line", plot, { class: "cursor", id: "cursor", y1: BOX.top, y2: BOX.bottom });
  const hit = { class: "hit", x: BOX.left, y: 0, width: BOX.right - BOX.left, height: BOX.bottom };
  draw("rect", plot, hit).addEventListener("pointerdown", (event) => {
    const area = event.currentTarget.getBoundingClientRect();
    const share = (event.clientX - area.left) / area.width;
    goToIndex(x.low + share * (x.high - x.low));
  });
  plot.cursorAt = x.at;
  moveCursor();
}

function moveCursor() {
  const cursor = byId("cursor");
  if (cursor === null) return;
  const x = byId("plot").cursorAt(video().frames[state.place]);
  cursor.setAttribute("x1", x);
  cursor.setAttribute("x2", x);
}

// Strips: a dot for each video, a line for each row of the table.
function drawStrips() {
  const strips = byId("strips");
  strips.replaceChildren();
  data.metrics.forEach((metric) => {
    const values = data.means[metric.name];
    const known = values.flat().filter((value) => value !== null);
    if (!known.length) return;
    const box = make("div", strips);
    make("div", box, metric.heading);
    const height = 14 * data.rows.length + 20;
    const svg = draw("svg", box, { viewBox: `0 0 320 ${height}` });
    const x = scale(known, 10, 310);
    values.forEach((ofRow, row) => {
      const y = 8 + 14 * row;
      draw("line", svg, { class: "axis", x1: 10, x2: 310, y1: y, y2: y });
      ofRow.forEach((value, number) => {
        if (value === null) return;
        const dot = draw("circle", svg, { cx: x.at(value), cy: y, r: 4.5, fill: colour(row) });
        draw("title", dot, {}, `${data.names[number]}, ${data.rows[row]}: ${short(value)}`);
        const shown = data.videos.findIndex((each) => each.name === data.names[number]);
        if (shown === state.video) dot.setAttribute("class", "chosen");
        if (shown >= 0) dot.addEventListener("click", () => chooseVideo(shown));
      });
    });
    draw("text", svg, { x: 10, y: height - 4 }, short(x.low));
    draw("text", svg, { x: 310, y: height - 4, "text-anchor": "end" }, short(x.high));
  });
}

async function drawWorst() {
  for (const worst of data.worst) {
    const shown = data.videos[worst.video];
    const button = make("button", byId("worst"));
    const canvas = make("canvas", button);
    const value = `${data.metrics[0].label} ${short(worst.value)}`;
    make("div", button, `${shown.name}, frame ${worst.frame}`);
    make("div", button, `${data.rows[worst.row]}: ${value}`);
    const place = shown.frames.indexOf(worst.frame);
    button.addEventListener("click", async () => {
      await chooseVideo(worst.video);
      await goTo(place);
      byId("panes").scrollIntoView({ block: "center" });
    });
    paint(canvas, await sheet(shown.sheets[worst.row + 1]), shown, place);
  }
}

function drawLegends() {
  for (const legend of document.querySelectorAll(".legend")) {
    data.rows.forEach((name, row) => {
      const entry = make("span", legend);
      const svg = draw("svg", entry, { width: 10, height: 10, viewBox: "0 0 10 10" });
      svg.style.cssText = "display: inline-block; width: 10px; margin-right: .4em";
      draw("circle", svg, { cx: 5, cy: 5, r: 5, fill: colour(row) });
      entry.append(name);
    });
  }
}

function start() {
  data.videos.forEach((shown, number) => (make("option", byId("video"), shown.name).value = number));
  data.metrics.forEach((metric, number) => (make("option", byId("metric"), metric.heading).value = number));
  byId("video").addEventListener("change", (event) => chooseVideo(Number(event.target.value)));
  byId("metric").addEventListener("change", (event) => {
    state.metric = Number(event.target.value);
    drawCurves();
  });
  byId("scrubber").addEventListener("input", (event) => goTo(Number(event.target.value)));
  byId("difference").addEventListener("change", (event) => {
    state.difference = event.target.checked;
    showFrame();
  });
  byId("play").addEventListener("click", togglePlay);
  drawLegends();
  return Promise.all([chooseVideo(0), drawWorst()]);
}

start().then(() => (document.body.dataset.ready = "yes"));
