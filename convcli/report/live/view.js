// The page: drawing and opening, samples to choose from, the answer, the layers, one pinned cell.
"use strict";

(() => {
  const description = JSON.parse(document.getElementById("network").textContent);
  const network = new Engine.Network(description);
  const [height, width, channels] = description.input;
  const { element, number } = Cell;
  const colors = Object.fromEntries(Object.entries(description.colors).map(([kind, stops]) => [kind, Maps.lookUp(stops)]));
  const byId = (id) => document.getElementById(id);
  const seen = byId("seen"), sumBox = byId("sum"), dock = byId("cell"), samples = [];
  const GALLERY = 10, FILTERS_SHOWN = 64;
  const state = { run: null, levels: null, opened: null, pointed: null, pinned: null, drawn: false, gradients: null };
  const missing = network.steps.find((step) => step.missing);

  // ---- drawing and opening ----------------------------------------------------------------------
  const pad = description.series
    ? Pads.series(description, byId("pad"), { samples: readSamples(), channel: () => Number(byId("channel").value) })
    : Pads.picture(description, byId("pad"), { ink: () => byId("ink").value, isCentered: () => byId("center").checked });
  const [magnify, magnifyHigh] = pad.unit;

  function readSamples() {
    const { levels, labels } = description.samples, size = height * width * channels;
    const bytes = Uint8Array.from(atob(levels), (letter) => letter.charCodeAt(0));
    const numbers = description.series ? new Float32Array(bytes.buffer) : bytes;
    labels.forEach((label, i) => samples.push({ levels: numbers.subarray(i * size, (i + 1) * size), label }));
    return samples;
  }
  if (!description.series) readSamples();

  const clear = () => { pad.clear(); schedule(); };
  Pads.listen(byId("pad"), byId("penState"), { ...pad, clear, changed: () => schedule() });
  const showLevels = (levels) => { pad.show(levels); schedule(); };
  byId("clear").addEventListener("click", clear);
  byId("channel").addEventListener("change", () => { pad.repaint(); schedule(); });
  for (const id of ["center", "dots", "shown", "label", "over"]) byId(id).addEventListener("change", () => schedule());
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

  // ---- samples to choose from -----------------------------------------------------------------
  const buildGallery = () => {
    samples.slice(0, GALLERY).forEach(({ levels, label }) => {
      const canvas = Pads.canvasOf(...pad.thumb), name = description.classes[label];
      pad.paint(canvas.getContext("2d"), levels, canvas.width, canvas.height);
      const button = element("button", [canvas, element("span", name)], { type: "button", title: `A test sample of ${name}` });
      button.addEventListener("click", () => showLevels(levels.slice()));
      byId("samples").append(button);
    });
    byId("gallery").hidden = samples.length === 0;
    if (samples.length) showLevels(samples[0].levels.slice());
  };

  const inGradients = () => byId("shown").value === "gradients";

  // ---- layers ---------------------------------------------------------------------------------
  const panels = [], panelOf = new Map(), unknown = new Set();

  const buildPanel = (step) => {
    const panel = new Maps.Panel(step, colors), box = element("div", "", { className: "layer" });
    const told = (shape) => Maps.shapeText(shape, description.series);
    const field = step.receptive_field ? `each cell sees ${told(step.receptive_field)}` : "each cell sees the whole input";
    const title = element("h3", [`${step.name} `, element("span", `${step.words} → ${told(step.output)}, ${field}`)]);
    panel.range = element("p", "", { className: "small" });
    panel.box = box;
    box.append(title);
    byId("layers").append(box);
    panels.push(panel);
    panelOf.set(step.index, panel);
    if (step.missing || network.steps.some((other) => step.sources.includes(other.index) && unknown.has(other.index))) unknown.add(step.index);
    if (unknown.has(step.index)) {
      box.append(element("p", step.missing ? `This page has no function for ${step.missing}.` : `Not calculated: it reads what ${missing.name} gives.`, { className: "unknown" }));
      return;
    }
    box.append(panel.canvas, panel.range);
    if (step.weights.kernel) box.append(kernelsOf(step));
    panel.canvas.addEventListener("pointermove", (event) => { state.pointed = panel.locate(event); showPointed(event); });
    panel.canvas.addEventListener("pointerleave", () => { state.pointed = null; sumBox.hidden = true; drawSeen(); });
    panel.canvas.addEventListener("click", (event) => pin(panel.locate(event)));
    panel.canvas.addEventListener("keydown", (event) => moveBy(panel, event));
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

  // A step, or the nearest one before it that has a panel: rows that change no number are passed over.
  const shownAt = (index) => {
    while (index && !panelOf.has(index)) index = network.steps[index - 1].sources[0];
    return panelOf.get(index);
  };

  const mark = () => {
    if (byId("dots").checked && !inGradients()) panels.forEach(markChosen);
    const { pinned } = state;
    markBox(pinned ? pinned.step.index : presented ? presented.step.index : -1, pinned ? pinned.step.sources : []);
    if (!pinned) return;
    const { step, row, column, channel } = pinned, own = panelOf.get(step.index);
    if (own.grid.flat) own.frame([0], 0, channel, 1, 1);
    else own.frame([channel], row, column, 1, 1);
    for (const { index, maps, top, left, high, wide } of Cell.reads(network, state.run, pinned)) {
      const source = shownAt(index);
      if (!source || unknown.has(source.step.index)) continue;
      const { rows, columns, flat } = source.grid;
      if (source.step.index === index) source.frame(maps, top, left, high, wide);
      else source.frame(Array.from({ length: flat ? 1 : source.grid.maps }, (_, map) => map), 0, 0, rows, columns); // a flattened map
    }
  };

  const markChosen = ({ step }) => {
    const chosen = state.run.chosen[step.index], source = shownAt(step.sources[0]);
    if (step.role !== "pool" || !chosen || !source || source.grid.flat || source.cell < 3) return;
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
    if (event.key === "Escape" && state.pinned) pin(null);
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
    sumBox.replaceChildren(`${step.name}, ${Maps.placeOf(grid, state.pointed)} = `, element("b", values ? number(values[at]) : "no gradient"));
    sumBox.hidden = false;
    const right = event.clientX + 18 + sumBox.offsetWidth < window.innerWidth;
    sumBox.style.left = `${right ? event.clientX + 18 : event.clientX - 18 - sumBox.offsetWidth}px`;
    sumBox.style.top = `${Math.max(4, Math.min(event.clientY + 14, window.innerHeight - sumBox.offsetHeight - 4))}px`;
  };

  // ---- what the network sees ----------------------------------------------------------------------
  seen.width = width * magnify;
  seen.height = height * magnifyHigh;
  const overlay = document.createElement("canvas");

  let last_map = [...network.steps].reverse().find((step) => ["conv", "dwconv", "sepconv", "add", "concat"].includes(step.op) && step.receptive_field && step.output[0] * step.output[1] > 1);
  // Norm and activation behind a convolution belong to it.
  const same = (one, other) => one && one.sources.join() === `${other.index}` && `${one.output}` === `${other.output}` && `${one.receptive_field}` === `${other.receptive_field}`;
  while (last_map && same(network.steps[last_map.index], last_map) && !["dense", "softmax", "logsoftmax"].includes(network.steps[last_map.index].op)) last_map = network.steps[last_map.index];
  if (!last_map) byId("over").querySelector("[value=cam]").disabled = true;
  if (missing) for (const id of ["over", "shown"]) byId(id).disabled = true;

  const classShown = () => {
    const chosen = byId("label").value, answers = network.answers(state.run);
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
    brush.drawImage(overlay, ...box.map((part, axis) => part * (axis % 2 ? magnifyHigh : magnify)));
  };

  const drawSeen = () => {
    const brush = seen.getContext("2d"), way = byId("over").value;
    brush.imageSmoothingEnabled = false;
    brush.globalAlpha = 1;
    pad.paint(brush, state.levels, seen.width, seen.height);
    if (way !== "none") {
      brush.fillStyle = "#0008";
      if (!description.series) brush.fillRect(0, 0, seen.width, seen.height);
      const { values } = state.gradients;
      if (way === "gradient") {
        const joined = Float64Array.from({ length: height * width }, (_, at) => {
          let most = 0;
          for (let c = 0; c < channels; c++) most = Math.max(most, Math.abs(values[0][at * channels + c]));
          return most;
        });
        drawOver(brush, joined, height, width, [0, 0, width, height]);
      } else {
        const [rows, columns] = last_map.output, support = Engine.cam(last_map, state.run.values[last_map.index], values[last_map.index]);
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
      brush.strokeRect(left * magnify + 1, top * magnifyHigh + 1, wide * magnify - 2, tall * magnifyHigh - 2);
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

  const showAnswer = (answers) => {
    state.drawn = !pad.isEmpty();
    byId("classes").hidden = !answers;
    if (!answers) {
      byId("answer").textContent = `No answer here: the page has no function for ${missing.name}, ${missing.missing}.`;
      return;
    }
    const probabilities = Array.from(answers);
    const best = probabilities.indexOf(Math.max(...probabilities));
    rows.forEach(({ item, fill, value }, i) => {
      item.className = i === best && state.drawn ? "best" : "";
      fill.style.width = `${100 * probabilities[i]}%`;
      value.textContent = `${(100 * probabilities[i]).toFixed(1)} %`;
    });
    byId("answer").textContent = state.drawn ? `${description.classes[best]}, ${(100 * probabilities[best]).toFixed(1)} %` : "Draw something.";
  };

  // ---- a small network that learns -------------------------------------------------------------
  const OWN = ["filters", "kernel", "stride", "padding"];
  const settingsNow = () => ({
    ...Object.fromEntries([...OWN, "lr", "batch"].map((id) => [id, Number(byId(id).value)])),
    optimizer: byId("optimizer").value,
    seed: 1,
  });
  const given = network.weights.slice();
  let chosenFilter = 0, training = null;
  if (!Learn.canLearn(network)) byId("learner").querySelectorAll("option:not([value=small])").forEach((option) => { option.disabled = true; });

  // Sizes and parameters of the small network, by the formula.
  const sizesOf = ({ steps: [conv, pool, flat, dense] }, { filters, kernel, stride, padding }, params) => {
    const inputs = conv.kernel[0] * kernel * conv.input[2], axis = description.series ? 1 : 0;
    return `conv ${filters} ${kernel} s${stride} p${padding}: floor((${conv.input[axis]} + 2·${padding} − ${kernel})/${stride}) + 1 = ${conv.output[axis]}, so ${conv.output.slice(axis).join("x")} and ${filters}·(${inputs} + 1) = ${conv.weights.kernel[1] + filters} parameters; maxpool 2: ${pool.output.slice(axis).join("x")}; flatten: ${flat.output[0]}; dense ${dense.output[0]}: ${dense.weights.kernel[1] + dense.output[0]} parameters; ${params} in all.`;
  };

  const learnerNow = (settings) => {
    if (byId("learner").value === "small") {
      if (!(byId("filters").value >= 1 && byId("filters").value <= 32)) throw new Error("Use 1 to 32 filters.");
      const small = Learn.describe(description, settings, settings.seed);
      if (!small) throw new Error("The window does not fit the input.");
      return new Engine.Network(small);
    }
    if (byId("learner").value === "scratch") Learn.startOver(network, settings.seed);
    return network;
  };

  const startAfresh = () => {
    training = null;
    setTraining(false);
    network.weights.set(given);
    const settings = settingsNow();
    try {
      training = new Learn.Training(learnerNow(settings), settings, samples);
      byId("sizes").textContent = training.network === network
        ? `${network.steps.map((step) => step.words).join(", ")}: ${training.params} numbers. Every layer above shows it as it learns${network.steps.some((step) => step.op === "bn") ? "; the statistics of its norms stay" : ""}.`
        : sizesOf(training.network, settings, training.params);
    } catch (problem) {
      byId("sizes").textContent = problem.message;
    }
    for (const id of OWN) byId(id).disabled = byId("learner").value !== "small";
    byId("train").disabled = !training || samples.length < 2;
    if (state.run) schedule();
    showTraining();
  };

  const showTraining = () => {
    state.training = training;
    if (!training || !byId("learning").open) return;
    const { history, steps } = training, last = history[history.length - 1], looks = getComputedStyle(document.body), inks = ["--bar", "--accent", "--soft"].map((name) => looks.getPropertyValue(name));
    const percent = (share) => `${(100 * share).toFixed(1)} %`;
    byId("progress").textContent = last
      ? `Epoch ${history.length}, ${steps} steps: loss ${number(last.loss)}, accuracy ${percent(last.accuracy)}; validation ${number(last.valLoss)}, ${percent(last.valAccuracy)}`
      : `${training.samples.length} samples to learn from, ${training.kept.length} for validation.${samples.length < 2 ? " Draw some and add them." : ""}`;
    Learn.drawCurves(byId("lossCurve"), history, ["loss", "valLoss"], inks);
    Learn.drawCurves(byId("accuracyCurve"), history, ["accuracy", "valAccuracy"], inks);
    const answers = training.answers(state.levels);
    byId("small").replaceChildren(Cell.bars(description.classes.map((name, i) => ({ name, value: answers[i], text: percent(answers[i]) }))));
    if (!training.conv) return;
    const filters = Math.min(training.conv.output[2], FILTERS_SHOWN);
    chosenFilter = Math.min(chosenFilter, filters - 1);
    byId("learned").replaceChildren(...Array.from({ length: filters }, (_, map) => {
      const rows = training.kernelRows(map), canvas = element("canvas"), image = new ImageData(rows[0].length, rows.length);
      const scale = Maps.scaleOf(rows.flat(), colors, true), words = new Uint32Array(image.data.buffer);
      rows.flat().forEach((weight, at) => { words[at] = scale.color(weight); });
      [canvas.width, canvas.height] = [rows[0].length, rows.length];
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
    if (training.network === network) frame();
    showTraining();
    requestAnimationFrame(learnOn);
  };
  byId("train").addEventListener("click", () => { setTraining(!isTraining); learnOn(); });
  byId("fresh").addEventListener("click", startAfresh);
  for (const id of ["learner", ...OWN, "optimizer", "batch", "lr"]) byId(id).addEventListener("change", startAfresh);
  byId("learning").addEventListener("toggle", () => (training ? showTraining() : startAfresh()));
  byId("add").addEventListener("click", () => {
    samples.push({ levels: state.levels.slice(), label: Number(byId("truth").value) });
    startAfresh();
  });

  // ---- one frame --------------------------------------------------------------------------------
  const backward = () => network.gradientsOf(state.run, classShown());

  const paintPanels = () => {
    panels.forEach((panel) => panel.values && panel.paint());
    mark();
  };

  let waiting = false;
  const schedule = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; frame(); });
  };

  const frame = () => {
    state.levels = pad.read();
    state.opened = pad.given();
    const start = performance.now();
    state.run = network.run(state.levels);
    const forward = performance.now() - start;
    state.gradients = !missing && (inGradients() || byId("over").value !== "none") ? backward() : null;
    showAnswer(network.answers(state.run));
    for (const panel of panels) {
      const { index, output } = panel.step;
      if (unknown.has(index)) continue;
      if (inGradients()) panel.show(state.gradients.values[index] || new Float64Array(Layers.volume(output)), true);
      else panel.show(state.run.values[index]);
      const { largest, negative } = panel.scale;
      if (panel.grid.lines) panel.range.textContent = `from ${number(negative ? -largest : 0)} to ${number(largest)}`;
      else panel.range.textContent = negative ? `blue ${number(-largest)}, white 0, red ${number(largest)}` : `black 0, pale yellow ${number(largest)}`;
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
    const room = byId("layers").clientWidth || 900;
    for (const panel of panels) panel.fit(room, panel === presented ? Math.max(240, window.innerHeight - byId("layers").getBoundingClientRect().top - window.scrollY - 150) : 0);
    if (state.run) { paintPanels(); document.querySelectorAll("details").forEach((fold) => fold.draw && fold.draw()); }
  };

  // ---- one layer at a time, large -----------------------------------------------------------------
  let presented = null;
  const present = (panel) => {
    presented = panel;
    document.body.classList.toggle("presenting", Boolean(panel));
    for (const one of panels) one.box.hidden = Boolean(panel) && one !== panel;
    byId("present").textContent = panel ? "All layers" : "One layer at a time";
    byId("which").textContent = panel ? `${panels.indexOf(panel) + 1} of ${panels.length}` : "";
    if (panel && state.pinned && state.pinned.step !== panel.step) state.pinned = null;
    fit();
    drawDock();
    if (panel) window.scrollTo(0, 0);
  };
  const presentNext = (by) => present(panels[Math.max(0, Math.min(panels.length - 1, panels.indexOf(presented) + by))]);
  byId("present").addEventListener("click", () => present(presented ? null : shownAt(state.pinned ? state.pinned.step.index : panels[0].step.index)));
  byId("before").addEventListener("click", () => presentNext(-1));
  byId("next").addEventListener("click", () => presentNext(1));
  document.addEventListener("keydown", (event) => { // PageUp and PageDown are what a presenter's remote control sends
    if (!presented || !["PageUp", "PageDown", "Escape"].includes(event.key) || event.defaultPrevented) return;
    event.preventDefault();
    if (event.key === "Escape") present(null); else presentNext(event.key === "PageDown" ? 1 : -1);
  });

  byId("learn").addEventListener("click", () => {
    if (presented) present(null);
    byId("learning").open = true;
    byId("learning").scrollIntoView({ behavior: "smooth" });
  });

  for (const step of description.steps) if (step.shown) buildPanel(step);
  const markBox = Graph.draw(byId("graph"), description, (step) => {
    const panel = panelOf.get(step.index);
    if (presented) present(panel); else panel.box.scrollIntoView({ behavior: "smooth", block: "start" });
  });
  for (let c = 0; description.series && c < channels; c++) byId("channel").append(element("option", `channel ${c}`, { value: String(c) }));
  for (const id of ["openLabel", "centerLabel"]) byId(id).hidden = description.series;
  byId("channelLabel").hidden = !description.series;
  byId("pad").classList.toggle("series", description.series);
  if (description.series) byId("pad").height = 140;
  fit();
  new ResizeObserver(fit).observe(byId("layers"));
  byId("center").checked = description.preprocessing.centered;
  byId("inkLabel").hidden = channels === 1 || description.series;
  pad.clear();
  buildGallery();
  frame();
  // For tests and the curious: the network, and the levels and values of the last frame.
  window.convcli = { network, state, schedule };
})();
