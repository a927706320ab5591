// The page: drawing and opening, samples to choose from, the answer, the layers, one pinned cell.
"use strict";

(() => {
  const description = JSON.parse(document.getElementById("network").textContent);
  const network = new Engine.Network(description);
  const [height, width, channels] = description.input;
  const { element, number } = Cell;
  const colors = Object.fromEntries(Object.entries(description.colors).map(([kind, stops]) => [kind, Maps.lookUp(stops)]));
  const byId = (id) => document.getElementById(id);
  const pad = byId("pad"), pen = pad.getContext("2d", { willReadFrequently: true });
  const seen = byId("seen"), sumBox = byId("sum"), dock = byId("cell");
  const GALLERY = 10;
  const state = { run: null, levels: null, opened: null, pointed: null, pinned: null, drawn: false, gradients: null };

  // ---- drawing ----------------------------------------------------------------------------
  const clearPad = () => {
    pen.fillStyle = "#000";
    pen.fillRect(0, 0, pad.width, pad.height);
    state.opened = null;
    state.drawn = false;
  };

  const strokeTo = (from, to) => {
    pen.strokeStyle = byId("ink").value;
    pen.lineWidth = pad.width / 13;
    pen.lineCap = pen.lineJoin = "round";
    pen.beginPath();
    pen.moveTo(from.x, from.y);
    pen.lineTo(to.x, to.y);
    pen.stroke();
    state.opened = null;
    state.drawn = true;
  };

  const padPoint = (event) => {
    const box = pad.getBoundingClientRect();
    return { x: ((event.clientX - box.left) * pad.width) / box.width, y: ((event.clientY - box.top) * pad.height) / box.height };
  };

  let last = null;
  pad.addEventListener("pointerdown", (event) => {
    pad.setPointerCapture(event.pointerId);
    last = padPoint(event);
    strokeTo(last, last);
    schedule();
  });
  pad.addEventListener("pointermove", (event) => {
    if (!last) return;
    const point = padPoint(event);
    strokeTo(last, point);
    last = point;
    schedule();
  });
  for (const name of ["pointerup", "pointercancel"]) pad.addEventListener(name, () => { last = null; });

  // The keyboard draws too: arrows move a pen, which is down while space was pressed.
  const keyPen = { x: pad.width / 2, y: pad.height / 2, down: false };
  const clear = () => { clearPad(); schedule(); };
  pad.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const clears = event.key === "Delete" || event.key === "Backspace";
    if (clears) { keyPen.down = false; clear(); }
    else if (event.key === " ") keyPen.down = !keyPen.down;
    else if (!steps) return;
    event.preventDefault();
    if (clears) return;
    const to = { x: keyPen.x + 10 * (steps || [0, 0])[0], y: keyPen.y + 10 * (steps || [0, 0])[1] };
    if (keyPen.down) strokeTo(keyPen, to);
    Object.assign(keyPen, { x: Math.max(0, Math.min(pad.width, to.x)), y: Math.max(0, Math.min(pad.height, to.y)) });
    byId("penState").textContent = `Pen ${keyPen.down ? "down" : "up"} at ${Math.round((100 * keyPen.x) / pad.width)} %, ${Math.round((100 * keyPen.y) / pad.height)} %.`;
    schedule();
  });
  byId("clear").addEventListener("click", clear);
  byId("center").addEventListener("change", () => schedule());
  for (const id of ["dots", "shown", "label", "over"]) byId(id).addEventListener("change", () => schedule());
  byId("open").addEventListener("change", async (event) => {
    const [file] = event.target.files;
    if (!file) return;
    const picture = await createImageBitmap(file).catch(() => null);
    event.target.value = ""; // so that the same file can be opened again
    if (!picture) { byId("answer").textContent = `${file.name} is not a picture this browser can read.`; return; }
    try {
      showLevels(Picture.levels(pixelsOf(picture), description.input, description.preprocessing.centered));
    } catch (problem) {
      byId("answer").textContent = problem.message;
    }
  });

  const pixelsOf = (picture) => {
    const whole = document.createElement("canvas");
    whole.width = picture.width;
    whole.height = picture.height;
    const brush = whole.getContext("2d");
    brush.drawImage(picture, 0, 0);
    return brush.getImageData(0, 0, picture.width, picture.height);
  };

  const imageOf = (levels) => {
    const image = new ImageData(width, height);
    for (let i = 0; i < height * width; i++) {
      for (let c = 0; c < 4; c++) image.data[4 * i + c] = c === 3 ? 255 : levels[i * channels + Math.min(c, channels - 1)];
    }
    return image;
  };

  // What the network takes of a picture goes to the pad too, so that one can draw on in it.
  const showLevels = (levels) => {
    smallPen.putImageData(imageOf(levels), 0, 0);
    pen.drawImage(small, 0, 0, pad.width, pad.height);
    state.opened = levels;
    state.drawn = true;
    schedule();
  };

  // ---- samples to choose from -----------------------------------------------------------------
  const buildGallery = () => {
    const { levels, labels } = description.samples, size = height * width * channels;
    const bytes = Uint8Array.from(atob(levels), (letter) => letter.charCodeAt(0));
    labels.forEach((label, i) => {
      const own = bytes.subarray(i * size, (i + 1) * size), name = description.classes[label];
      samples.push({ levels: own, label });
      if (i >= GALLERY) return;
      const canvas = element("canvas");
      canvas.width = width;
      canvas.height = height;
      canvas.getContext("2d").putImageData(imageOf(own), 0, 0);
      const button = element("button", [canvas, element("span", name)], { type: "button", title: `A test sample of ${name}` });
      button.addEventListener("click", () => showLevels(own.slice()));
      byId("samples").append(button);
    });
    byId("gallery").hidden = labels.length === 0;
    if (labels.length) showLevels(bytes.slice(0, size));
  };

  const samples = [];

  // ---- pad -> network input -----------------------------------------------------------------
  const small = document.createElement("canvas");
  small.width = width;
  small.height = height;
  const smallPen = small.getContext("2d", { willReadFrequently: true });

  // The ink's box scaled to 20/28 of the input and its center of mass put in the middle, as in MNIST.
  const inkPlacement = () => {
    const pixels = pen.getImageData(0, 0, pad.width, pad.height).data;
    let left = pad.width, right = -1, top = pad.height, bottom = -1, mass = 0, sumX = 0, sumY = 0;
    for (let y = 0; y < pad.height; y++) {
      for (let x = 0; x < pad.width; x++) {
        const at = 4 * (y * pad.width + x), level = pixels[at] + pixels[at + 1] + pixels[at + 2];
        if (level < 60) continue;
        left = Math.min(left, x); right = Math.max(right, x);
        top = Math.min(top, y); bottom = Math.max(bottom, y);
        mass += level; sumX += level * (x + 0.5); sumY += level * (y + 0.5);
      }
    }
    if (mass === 0) return null;
    const scale = ((20 / 28) * Math.min(width, height)) / Math.max(right - left + 1, bottom - top + 1);
    return { scale, x: width / 2 - (sumX / mass) * scale, y: height / 2 - (sumY / mass) * scale };
  };

  const readLevels = () => {
    if (state.opened) return state.opened;
    smallPen.fillStyle = "#000";
    smallPen.fillRect(0, 0, width, height);
    smallPen.imageSmoothingEnabled = true;
    smallPen.imageSmoothingQuality = "high";
    const place = byId("center").checked ? inkPlacement() : null;
    if (place) smallPen.drawImage(pad, place.x, place.y, pad.width * place.scale, pad.height * place.scale);
    else smallPen.drawImage(pad, 0, 0, width, height);
    const pixels = smallPen.getImageData(0, 0, width, height).data;
    const levels = new Uint8Array(height * width * channels);
    for (let i = 0; i < height * width; i++) {
      const red = pixels[4 * i], green = pixels[4 * i + 1], blue = pixels[4 * i + 2];
      if (channels === 1) levels[i] = Math.round(0.299 * red + 0.587 * green + 0.114 * blue);
      else levels.set([red, green, blue], 3 * i);
    }
    return levels;
  };

  const inGradients = () => byId("shown").value === "gradients";

  // ---- layers ---------------------------------------------------------------------------------
  const panels = [], panelOf = new Map();

  const buildPanel = (step) => {
    const panel = new Maps.Panel(step, colors), box = element("div", "", { className: "layer" });
    const field = step.receptive_field ? `each cell sees ${step.receptive_field.join("x")}` : "each cell sees the whole input";
    const title = element("h3", [`${step.name} `, element("span", `${step.words} → ${step.output.join("x")}, ${field}`)]);
    panel.range = element("p", "", { className: "small" });
    box.append(title, panel.canvas, panel.range);
    if (step.weights.kernel) box.append(kernelsOf(step));
    byId("layers").append(box);
    panel.canvas.addEventListener("pointermove", (event) => { state.pointed = panel.locate(event); showPointed(event); });
    panel.canvas.addEventListener("pointerleave", () => { state.pointed = null; sumBox.hidden = true; drawSeen(); });
    panel.canvas.addEventListener("click", (event) => pin(panel.locate(event)));
    panel.canvas.addEventListener("keydown", (event) => moveBy(panel, event));
    panels.push(panel);
    panelOf.set(step.index, panel);
  };

  // All kernels of a layer on one canvas: a column for each output map, a row for each input map; of
  // a dense layer a row for each unit, so that thousands of inputs have room.
  const kernelsOf = (step) => {
    const fold = element("details", [element("summary", "kernels")]), canvas = element("canvas");
    fold.append(canvas, element("p", `${step.op === "dense" ? "Rows are units, columns what they read" : "Columns are output maps, rows what they read"}; blue is negative, red positive.`, { className: "small" }));
    fold.draw = () => {
      if (!fold.open) return;
      const weights = inGradients() ? gradientOf(step, "kernel") : network.weight(step, "kernel");
      const outs = step.output[step.output.length - 1];
      const [tall, wide] = step.kernel && step.op !== "dense" ? step.kernel : [1, 1], ins = weights.length / (outs * tall * wide), gap = tall > 1 || wide > 1 ? 1 : 0;
      const [across, down] = step.op === "dense" ? [ins, outs] : [outs, ins];
      const image = new ImageData(across * (wide + gap), down * (tall + gap)), words = new Uint32Array(image.data.buffer);
      const scale = Maps.scaleOf(weights, colors, true);
      for (let at = 0; at < weights.length; at++) {
        const out = at % outs, from = Math.floor(at / outs) % ins, tap = Math.floor(at / (outs * ins));
        const [x, y] = step.op === "dense" ? [from, out] : [out, from];
        words[(y * (tall + gap) + Math.floor(tap / wide)) * image.width + x * (wide + gap) + (tap % wide)] = scale.color(weights[at]);
      }
      canvas.width = image.width;
      canvas.height = image.height;
      canvas.getContext("2d").putImageData(image, 0, 0);
      const cell = Math.max(1, Math.min(step.op === "dense" ? 2 : 8, Math.floor(byId("layers").clientWidth / image.width)));
      canvas.style.width = `${image.width * cell}px`;
      canvas.style.height = `${image.height * Math.max(cell, step.op === "dense" ? 6 : 1)}px`;
    };
    fold.addEventListener("toggle", fold.draw);
    return fold;
  };

  const gradientOf = (step, name) => {
    const [first, count] = step.weights[name];
    return state.gradients.weights.subarray(first, first + count);
  };

  // The nearest step before it that has a panel: rows that change no number are passed over.
  const shownSource = (step) => {
    let index = step.sources[0];
    while (index && !panelOf.has(index)) index = network.steps[index - 1].sources[0];
    return panelOf.get(index);
  };

  const mark = () => {
    if (byId("dots").checked && !inGradients()) panels.forEach(markChosen);
    const { pinned } = state;
    if (!pinned) return;
    const { step, row, column, channel } = pinned, own = panelOf.get(step.index);
    if (own.grid.flat) own.frame([0], 0, channel, 1, 1);
    else own.frame([channel], row, column, 1, 1);
    const source = shownSource(step);
    if (!source) return;
    const { rows, columns, maps } = source.grid, all = Array.from({ length: maps }, (_, map) => map);
    if (source.grid.flat) { source.frame([0], 0, 0, 1, columns); return; }
    if (!step.kernel || step.op === "dense") { source.frame(all, 0, 0, rows, columns); return; }
    const single = ["maxpool", "avgpool"].includes(step.op) ? [channel] : step.op === "dwconv" ? [Math.floor(channel / step.multiplier)] : all;
    const reach = step.kernel.map((size, axis) => (size - 1) * step.dilation[axis] + 1);
    source.frame(single, row * step.stride[0] - step.before[0], column * step.stride[1] - step.before[1], ...reach);
  };

  const markChosen = ({ step }) => {
    const chosen = state.run.chosen[step.index], source = shownSource(step);
    if (!chosen || !source || source.grid.flat || source.cell < 3) return;
    const values = state.run.values[step.sources[0]], { columns, maps } = source.grid;
    for (const at of chosen) if (values[at] !== 0) source.dot(Math.floor(at / maps / columns), Math.floor(at / maps) % columns, at % maps);
  };

  // ---- one cell: pointed at, pinned, moved ------------------------------------------------------
  const pin = (cell) => {
    state.pinned = cell;
    paintPanels();
    drawSeen();
    drawDock();
  };

  const moveBy = (panel, event) => {
    const { rows, columns, maps, flat } = panel.grid, own = state.pinned && state.pinned.step === panel.step ? state.pinned : null;
    const limit = (value, most) => Math.max(0, Math.min(most - 1, value));
    if (event.key === "Escape") pin(null);
    else if (event.key === "Enter" || (event.key === " " && !own)) pin({ step: panel.step, row: rows >> 1, column: flat ? 0 : columns >> 1, channel: flat ? columns >> 1 : 0 });
    else if (own && event.key.startsWith("Arrow")) {
      const [down, across] = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
      if (flat) pin({ ...own, channel: limit(own.channel + across + down * panel.perLine, columns) });
      else pin({ ...own, row: limit(own.row + down, rows), column: limit(own.column + across, columns) });
    } else if (own && !flat && (event.key === "," || event.key === ".")) pin({ ...own, channel: limit(own.channel + (event.key === "." ? 1 : -1), maps) });
    else return;
    event.preventDefault();
  };

  const drawDock = () => {
    dock.hidden = !state.pinned;
    if (!state.pinned) return;
    const close = element("button", "Close", { type: "button" });
    close.addEventListener("click", () => pin(null));
    const slide = element("button", sliding ? "Stop" : "Slide the window", { type: "button", id: "slide" });
    slide.addEventListener("click", () => { sliding ? stop() : start(); drawDock(); });
    dock.replaceChildren(element("div", [...(state.pinned.step.kernel ? [slide] : []), close], { className: "buttons" }), ...Cell.explain(network, state.run, state.pinned, colors));
  };

  let sliding = null;
  const stop = () => { clearInterval(sliding); sliding = null; };
  const start = () => {
    sliding = setInterval(() => {
      const { pinned } = state;
      if (!pinned) { stop(); return; }
      const [rows, columns] = pinned.step.output, next = (pinned.row * columns + pinned.column + 1) % (rows * columns);
      pin({ ...pinned, row: Math.floor(next / columns), column: next % columns });
    }, 150);
  };

  const showPointed = (event) => {
    drawSeen();
    if (!state.pointed || !state.run) { sumBox.hidden = true; return; }
    const { step, row, column, channel } = state.pointed, grid = Maps.gridOf(step.output);
    const at = grid.flat ? channel : (row * grid.columns + column) * grid.maps + channel;
    const values = inGradients() ? state.gradients.values[step.index] : state.run.values[step.index];
    const where = grid.flat ? `unit ${channel}` : `map ${channel}, row ${row}, column ${column}`;
    sumBox.replaceChildren(`${step.name}, ${where} = `, element("b", values ? number(values[at]) : "no gradient"));
    sumBox.hidden = false;
    const right = event.clientX + 18 + sumBox.offsetWidth < window.innerWidth;
    sumBox.style.left = `${right ? event.clientX + 18 : event.clientX - 18 - sumBox.offsetWidth}px`;
    sumBox.style.top = `${Math.max(4, Math.min(event.clientY + 14, window.innerHeight - sumBox.offsetHeight - 4))}px`;
  };

  // ---- what the network sees ----------------------------------------------------------------------
  const magnify = Math.max(1, Math.floor(336 / Math.max(height, width)));
  seen.width = width * magnify;
  seen.height = height * magnify;
  const overlay = document.createElement("canvas");

  const last_map = [...network.steps].reverse().find((step) => ["conv", "dwconv", "sepconv", "add", "concat"].includes(step.op) && step.receptive_field && step.output[0] * step.output[1] > 1);
  if (!last_map) byId("over").querySelector("[value=cam]").disabled = true;

  const classShown = () => {
    const chosen = byId("label").value, answers = state.run.values[state.run.values.length - 1];
    return chosen === "" ? answers.indexOf(Math.max(...answers)) % description.classes.length : Number(chosen);
  };

  // The strength of each cell, where cells have their centers: with `magnitude` alone the more it is, the denser.
  const drawOver = (brush, values, rows, columns, box) => {
    const scale = Maps.scaleOf(values, colors), image = new ImageData(columns, rows), words = new Uint32Array(image.data.buffer);
    for (let at = 0; at < values.length; at++) {
      const opacity = Math.round(230 * Math.sqrt(Math.abs(values[at]) / (scale.largest || 1)));
      words[at] = (scale.color(values[at]) & 0xffffff) | (opacity << 24);
    }
    overlay.width = columns;
    overlay.height = rows;
    overlay.getContext("2d").putImageData(image, 0, 0);
    brush.drawImage(overlay, ...box.map((part) => part * magnify));
  };

  const drawSeen = () => {
    const brush = seen.getContext("2d"), way = byId("over").value;
    smallPen.putImageData(imageOf(state.levels), 0, 0);
    brush.imageSmoothingEnabled = false;
    brush.globalAlpha = 1;
    brush.drawImage(small, 0, 0, seen.width, seen.height);
    if (way !== "none") {
      brush.fillStyle = "#0008";
      brush.fillRect(0, 0, seen.width, seen.height);
      const { values } = state.gradients;
      if (way === "gradient") {
        const joined = Float64Array.from({ length: height * width }, (_, at) => {
          let most = 0;
          for (let c = 0; c < channels; c++) most = Math.max(most, Math.abs(values[0][at * channels + c]));
          return most;
        });
        drawOver(brush, joined, height, width, [0, 0, width, height]);
      } else {
        const [rows, columns] = last_map.output, support = Gradients.cam(last_map, state.run.values[last_map.index], values[last_map.index]);
        const first = [0, 1].map((axis) => (last_map.receptive_field[axis] - last_map.field_stride[axis]) / 2 - last_map.field_padding[axis]);
        brush.imageSmoothingEnabled = true;
        drawOver(brush, support, rows, columns, [first[1], first[0], columns * last_map.field_stride[1], rows * last_map.field_stride[0]]);
      }
    }
    const cell = state.pointed || state.pinned;
    if (!cell) return;
    const { step, row, column } = cell, [tall, wide] = step.receptive_field || [height, width];
    const top = step.receptive_field ? row * step.field_stride[0] - step.field_padding[0] : 0;
    const left = step.receptive_field ? column * step.field_stride[1] - step.field_padding[1] : 0;
    for (const [line, color] of [[4, "#ffffff"], [2, "#00c46a"]]) {
      brush.strokeStyle = color;
      brush.lineWidth = line;
      brush.strokeRect(left * magnify + 1, top * magnify + 1, wide * magnify - 2, tall * magnify - 2);
    }
  };

  // ---- answer ---------------------------------------------------------------------------------
  const rows = description.classes.map((name, i) => {
    const label = element("span", name, { className: "name" }), fill = element("div", "", { className: "fill" });
    const value = element("span"), item = element("li", [label, element("div", [fill], { className: "track" }), value]);
    byId("classes").append(item);
    for (const id of ["label", "truth"]) byId(id).append(element("option", name, { value: String(i) }));
    return { item, fill, value };
  });

  const showAnswer = (probabilities) => {
    const best = probabilities.indexOf(Math.max(...probabilities));
    rows.forEach(({ item, fill, value }, i) => {
      item.className = i === best && state.drawn ? "best" : "";
      fill.style.width = `${100 * probabilities[i]}%`;
      value.textContent = `${(100 * probabilities[i]).toFixed(1)} %`;
    });
    byId("answer").textContent = state.drawn ? `${description.classes[best]}, ${(100 * probabilities[best]).toFixed(1)} %` : "Draw something.";
  };

  // ---- a small network that learns -------------------------------------------------------------
  const settingsNow = () => ({
    ...Object.fromEntries(["filters", "kernel", "stride", "padding", "lr", "batch"].map((id) => [id, Number(byId(id).value)])),
    optimizer: byId("optimizer").value,
    seed: 1,
  });
  let chosenFilter = 0, training = null;

  const startAfresh = () => {
    training = null;
    setTraining(false);
    try {
      if (!(byId("filters").value >= 1 && byId("filters").value <= 32)) throw new Error("Use 1 to 32 filters.");
      training = new Learn.Training(description, settingsNow(), samples);
      const [conv, pool, flat, dense] = training.network.steps, { filters, kernel, stride, padding } = training.settings;
      const inputs = kernel * kernel * conv.input[2];
      byId("sizes").textContent = `conv ${filters} ${kernel} s${stride} p${padding}: floor((${conv.input[0]} + 2·${padding} − ${kernel})/${stride}) + 1 = ${conv.output[0]}, so ${conv.output.join("x")} and ${filters}·(${inputs} + 1) = ${conv.weights.kernel[1] + filters} parameters; maxpool 2: ${pool.output.join("x")}; flatten: ${flat.output[0]}; dense ${dense.output[0]}: ${dense.weights.kernel[1] + dense.output[0]} parameters; ${training.params} in all.`;
    } catch (problem) {
      byId("sizes").textContent = problem.message;
    }
    byId("train").disabled = !training || samples.length < 2;
    showTraining();
  };

  const showTraining = () => {
    state.training = training;
    if (!training || !byId("learning").open) return;
    const { history, steps } = training, last = history[history.length - 1], ink = getComputedStyle(document.body).color;
    const percent = (share) => `${(100 * share).toFixed(1)} %`;
    byId("progress").textContent = last
      ? `Epoch ${history.length}, ${steps} steps: loss ${number(last.loss)}, accuracy ${percent(last.accuracy)}; validation ${number(last.valLoss)}, ${percent(last.valAccuracy)}`
      : `${training.samples.length} samples to learn from, ${training.kept.length} for validation.${samples.length < 2 ? " Draw some and add them." : ""}`;
    Learn.drawCurves(byId("lossCurve"), history, ["loss", "valLoss"], ink);
    Learn.drawCurves(byId("accuracyCurve"), history, ["accuracy", "valAccuracy"], ink);
    const answers = training.answers(state.levels);
    byId("small").replaceChildren(Cell.bars(description.classes.map((name, i) => ({ name, value: answers[i], text: percent(answers[i]) }))));
    chosenFilter = Math.min(chosenFilter, training.settings.filters - 1);
    byId("learned").replaceChildren(...Array.from({ length: training.settings.filters }, (_, map) => {
      const rows = training.kernelRows(map), canvas = element("canvas"), image = new ImageData(rows.length, rows.length);
      const scale = Maps.scaleOf(rows.flat(), colors, true), words = new Uint32Array(image.data.buffer);
      rows.flat().forEach((weight, at) => { words[at] = scale.color(weight); });
      canvas.width = canvas.height = rows.length;
      canvas.getContext("2d").putImageData(image, 0, 0);
      const button = element("button", [canvas], { type: "button", ariaLabel: `Filter ${map}` });
      button.addEventListener("click", () => { chosenFilter = map; showTraining(); });
      return button;
    }));
    const parts = [Cell.heat(`weights of filter ${chosenFilter}`, training.kernelRows(chosenFilter), colors, true)];
    if (training.gradient) parts.push(Cell.heat("their gradient", training.kernelRows(chosenFilter, training.gradient), colors, true));
    byId("learnedKernel").replaceChildren(...parts);
  };

  let isTraining = false;
  const setTraining = (on) => {
    isTraining = on;
    byId("train").textContent = on ? "Pause" : "Train";
  };
  const learnOn = () => {
    if (!isTraining || !training) return;
    const until = performance.now() + 30;
    do training.advance(); while (performance.now() < until);
    showTraining();
    requestAnimationFrame(learnOn);
  };
  byId("train").addEventListener("click", () => { setTraining(!isTraining); learnOn(); });
  byId("fresh").addEventListener("click", startAfresh);
  for (const id of ["filters", "kernel", "stride", "padding", "optimizer", "batch", "lr"]) byId(id).addEventListener("change", startAfresh);
  byId("learning").addEventListener("toggle", () => (training ? showTraining() : startAfresh()));
  byId("add").addEventListener("click", () => {
    samples.push({ levels: Uint8Array.from(state.levels), label: Number(byId("truth").value) });
    startAfresh();
  });

  // ---- one frame --------------------------------------------------------------------------------
  const backward = () => Gradients.backward(network, state.run, Gradients.ofClass(network, classShown()));

  const paintPanels = () => {
    panels.forEach((panel) => panel.paint());
    mark();
  };

  let waiting = false;
  const schedule = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; frame(); });
  };

  const frame = () => {
    state.levels = readLevels();
    const start = performance.now();
    state.run = network.run(state.levels);
    const forward = performance.now() - start;
    state.gradients = inGradients() || byId("over").value !== "none" ? backward() : null;
    showAnswer(Array.from(state.run.values[state.run.values.length - 1]));
    for (const panel of panels) {
      const { index, output } = panel.step;
      if (inGradients()) panel.show(state.gradients.values[index] || new Float64Array(Engine.volume(output)), true);
      else panel.show(state.run.values[index]);
      const { largest, negative } = panel.scale;
      panel.range.textContent = negative ? `blue ${number(-largest)}, white 0, red ${number(largest)}` : `black 0, pale yellow ${number(largest)}`;
    }
    paintPanels();
    drawSeen();
    document.querySelectorAll("details").forEach((fold) => fold.draw && fold.draw());
    drawDock();
    if (!isTraining) showTraining();
    state.milliseconds = performance.now() - start;
    byId("speed").textContent = `forward pass ${forward.toFixed(1)} ms, whole frame ${state.milliseconds.toFixed(1)} ms`;
  };

  const fit = () => {
    for (const panel of panels) panel.fit(byId("layers").clientWidth || 900);
    if (state.run) { paintPanels(); document.querySelectorAll("details").forEach((fold) => fold.draw && fold.draw()); }
  };

  for (const step of description.steps) if (step.shown) buildPanel(step);
  fit();
  new ResizeObserver(fit).observe(byId("layers"));
  byId("center").checked = description.preprocessing.centered;
  byId("inkLabel").hidden = channels === 1;
  clearPad();
  buildGallery();
  frame();
  // For tests and the curious: the network, and the levels and values of the last frame.
  window.convcli = { network, state, schedule };
})();
