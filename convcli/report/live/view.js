// The page: drawing and opening, samples to choose from, the answer, the layers, one pinned cell.
"use strict";

(() => {
  const description = JSON.parse(document.getElementById("network").textContent);
  const first = new Engine.Network(description); // the page's own; another one may learn here
  const isVector = description.input.length === 1, isPlane = isVector && description.input[0] === 2;
  const [height, width, channels] = isVector ? [1, description.input[0], 1] : description.input;
  const { element, number } = Cell;
  const colors = Object.fromEntries(Object.entries(description.colors).map(([kind, stops]) => [kind, Maps.lookUp(stops)]));
  const byId = (id) => document.getElementById(id);
  const seen = byId("seen"), sumBox = byId("sum"), dock = byId("cell"), samples = [];
  const GALLERY = 10, FILTERS_SHOWN = 64, SIDE = 24, PAST = 6;
  const state = { run: null, levels: null, opened: null, pointed: null, pinned: null, drawn: false, gradients: null };
  let network = first, missing = null, last_map = null, markBox = null;

  // ---- drawing and opening ----------------------------------------------------------------------
  const readSamples = () => {
    const { levels, labels } = description.samples, size = height * width * channels;
    const bytes = Uint8Array.from(atob(levels), (letter) => letter.charCodeAt(0));
    const numbers = description.series || isVector ? new Float32Array(bytes.buffer) : bytes;
    labels.forEach((label, i) => samples.push({ levels: numbers.subarray(i * size, (i + 1) * size), label }));
  };
  readSamples();
  const alike = description.classes.map(() => 1 / description.classes.length);
  const pad = Pads[isPlane ? "plane" : isVector ? "vector" : description.series ? "series" : "picture"](description, byId("pad"), {
    samples, side: SIDE, channel: () => Number(byId("channel").value), ink: () => byId("ink").value, isCentered: () => byId("center").checked,
    answers: () => state.surface || new Array(SIDE * SIDE).fill(alike),
  });
  const [magnify, magnifyHigh] = pad.unit;

  const clear = () => { pad.clear(); schedule(); };
  Pads.listen(byId("pad"), byId("penState"), { ...pad, clear, changed: () => schedule() });
  const showLevels = (levels) => { pad.show(levels); schedule(); };
  byId("clear").addEventListener("click", clear);
  byId("channel").addEventListener("change", () => { pad.repaint(); schedule(); });
  for (const id of ["center", "dots", "linked", "shown", "label", "over"]) byId(id).addEventListener("change", () => schedule());
  byId("open").addEventListener("change", async (event) => {
    const [file] = event.target.files;
    if (!file) return;
    try {
      if (description.series || isVector) showLevels(Table.levels(await file.text(), file.name, [width, channels]));
      else {
        const picture = await createImageBitmap(file).catch(() => { throw new Error(`${file.name} is not a picture this browser can read.`); });
        showLevels(Picture.levels(pixelsOf(picture), description.input, description.preprocessing.centered));
      }
    } catch (problem) {
      byId("answer").textContent = problem.message;
    }
    event.target.value = ""; // so that the same file can be opened again
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
    if (!isPlane) samples.slice(0, GALLERY).forEach(({ levels, label }) => {
      const canvas = Pads.canvasOf(...pad.thumb), name = description.classes[label];
      pad.paint(canvas.getContext("2d"), levels, canvas.width, canvas.height);
      const button = element("button", [canvas, element("span", name)], { type: "button", title: `A test sample of ${name}` });
      button.addEventListener("click", () => showLevels(levels.slice()));
      byId("samples").append(button);
    });
    byId("gallery").hidden = samples.length === 0 || isPlane;
    if (samples.length) showLevels(samples[0].levels.slice());
  };

  const inGradients = () => byId("shown").value === "gradients";

  // ---- layers ---------------------------------------------------------------------------------
  const panels = [], panelOf = new Map(), unknown = new Set(), links = byId("links");

  const buildPanel = (step) => {
    const plane = isPlane ? { rows: SIDE, columns: SIDE, maps: Layers.volume(step.output), plane: true } : undefined;
    const panel = new Maps.Panel(step, colors, plane), box = element("div", "", { className: "layer" });
    const told = (shape) => Maps.shapeText(shape, description.series);
    const field = step.receptive_field ? `each cell sees ${told(step.receptive_field)}` : "each cell sees the whole input";
    const title = element("h3", [`${step.name} `, element("span", `${step.words} → ${told(step.output)}, ${field}`)]);
    panel.range = element("p", "", { className: "small" });
    panel.part = box;
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
    panel.canvas.addEventListener("pointermove", (event) => { state.pointed = panel.locate(event); showPointed(panel, event); });
    panel.canvas.addEventListener("pointerleave", () => { state.pointed = null; sumBox.hidden = true; drawSeen(); });
    panel.canvas.addEventListener("click", (event) => {
      const cell = panel.locate(event);
      if (!isPlane || !cell) { pin(cell); return; }
      showLevels(pad.levelsAt((cell.column + 0.5) / SIDE, (cell.row + 0.5) / SIDE)); // the point whose sums are shown
      pin({ ...cell, row: 0, column: 0 });
    });
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
    if (isPlane) for (const panel of panels) for (let map = 0; map < panel.grid.maps; map++) panel.dot(...pad.cellOf(state.levels).reverse(), map);
    const { pinned } = state;
    drawLinks();
    markBox(pinned ? pinned.step.index : presented ? presented.step.index : -1, pinned ? pinned.step.sources : []);
    if (!pinned) return;
    const { step, row, column, channel } = pinned, own = panelOf.get(step.index);
    if (isPlane) {
      own.frame([channel], 0, 0, SIDE, SIDE);
      for (const { index, left, wide } of Cell.reads(network, state.run, pinned)) if (panelOf.has(index)) panelOf.get(index).frame(Array.from({ length: wide }, (_, k) => left + k), 0, 0, SIDE, SIDE);
      return;
    }
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

  const drawLinks = () => {
    const layers = byId("layers"), { pinned, run } = state, own = pinned && panelOf.get(pinned.step.index), lines = [];
    if (own && run && !presented && byId("linked").checked) {
      const to = own.box(pinned.channel, layers), own_maps = Cell.feeds(network, run, pinned);
      for (const { index, map, value } of own_maps) {
        const source = shownAt(index);
        if (source && source !== own && map < (source.grid.flat ? source.grid.columns : source.grid.maps)) lines.push({ from: source.box(map, layers), to, value });
      }
    }
    Graph.link(links, lines);
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
    drawDock();
    if (presented) fit(); else paintPanels();
    drawSeen();
  };

  const moveBy = (panel, event) => {
    const { maps } = panel.grid, [rows, columns, flat] = isPlane ? [1, maps, true] : [panel.grid.rows, panel.grid.columns, panel.grid.flat], own = state.pinned && state.pinned.step === panel.step ? state.pinned : null;
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

  const showPointed = (panel, event) => {
    drawSeen();
    if (!state.pointed || !state.run) { sumBox.hidden = true; return; }
    const { step, row, column, channel } = state.pointed, { grid } = panel, at = grid.flat ? channel : (row * grid.columns + column) * grid.maps + channel;
    const place = isPlane ? `unit ${channel} at ${pad.levelsAt((column + 0.5) / SIDE, (row + 0.5) / SIDE).map(number).join(", ")}` : Maps.placeOf(grid, state.pointed);
    sumBox.replaceChildren(`${step.name}, ${place} = `, element("b", inGradients() && !state.gradients.values[step.index] ? "no gradient" : number(panel.values[at])));
    sumBox.hidden = false;
    const right = event.clientX + 18 + sumBox.offsetWidth < window.innerWidth;
    sumBox.style.left = `${right ? event.clientX + 18 : event.clientX - 18 - sumBox.offsetWidth}px`;
    sumBox.style.top = `${Math.max(4, Math.min(event.clientY + 14, window.innerHeight - sumBox.offsetHeight - 4))}px`;
  };

  // ---- what the network sees ----------------------------------------------------------------------
  seen.width = width * magnify;
  seen.height = height * magnifyHigh;
  const overlay = document.createElement("canvas");

  // The last maps before the answer; norm and activation behind a convolution belong to it.
  const lastMap = () => {
    let found = [...network.steps].reverse().find((step) => ["conv", "upconv", "dwconv", "sepconv", "add", "concat"].includes(step.op) && step.receptive_field && step.output[0] * step.output[1] > 1);
    const same = (one, other) => one && one.sources.join() === `${other.index}` && `${one.output}` === `${other.output}` && `${one.receptive_field}` === `${other.receptive_field}`;
    while (found && same(network.steps[found.index], found) && network.steps[found.index].op !== "dense" && !(network.steps[found.index].activation || "").endsWith("softmax")) found = network.steps[found.index];
    return found;
  };

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

  const percent = (share) => `${(100 * share).toFixed(1)} %`;
  const showAnswer = (answers) => {
    state.drawn = isPlane || !pad.isEmpty();
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
      value.textContent = percent(probabilities[i]);
    });
    byId("answer").textContent = state.drawn ? `${description.classes[best]}, ${percent(probabilities[best])}` : isVector ? "Set the bars." : "Draw something.";
  };

  // ---- a network that learns ---------------------------------------------------------------------
  const OWN = ["filters", "kernel", "stride", "padding", "hidden"], given = first.weights.slice(), past = [];
  const settingsNow = () => ({
    ...Object.fromEntries([...OWN, "lr", "batch"].map((id) => [id, Number(byId(id).value)])),
    activation: byId("activation").value, optimizer: byId("optimizer").value, seed: 1,
  });
  let chosenFilter = 0, training = null;
  if (!Learn.canLearn(first)) byId("learner").querySelectorAll("option:not([value=small])").forEach((option) => { option.disabled = true; });

  // Sizes and parameters of a small network, by the formula.
  const sizesOf = (steps, { kernel, stride, padding }, params) => steps.map((step) => {
    const axis = description.series ? 1 : 0, { weights: { kernel: place, bias }, input, output } = step, outs = Layers.last(output);
    const sum = place ? `: ${outs}·(${place[1] / outs} + 1) = ${place[1] + bias[1]} parameters` : "";
    const size = step.op === "conv" ? `: floor((${input[axis]} + 2·${padding} − ${kernel})/${stride}) + 1 = ${output[axis]}, so` : ":";
    return `${step.words}${output.length > 1 || !place ? `${size} ${output.slice(output.length > 1 ? axis : 0).join("x")}` : ""}${sum}; `;
  }).join("") + `${params} in all.`;

  const learnerNow = (settings) => {
    const isSmall = byId("learner").value === "small";
    if (isSmall && !(byId("filters").value >= 1 && byId("filters").value <= 32)) throw new Error(`Use 1 to 32 ${isVector ? "units" : "filters"}.`);
    const small = isSmall ? Learn.describe(description, settings, settings.seed) : null;
    if (isSmall && !small) throw new Error("The window does not fit the input.");
    if (byId("learner").value === "scratch") Learn.startOver(first, settings.seed);
    return small ? new Engine.Network(small) : first;
  };

  // What an earlier run had, and what came of it, so that settings can be compared.
  const remember = () => {
    if (!training || training.history.length < 2) return;
    past.unshift({ words: training.words, history: training.history });
    past.splice(PAST);
  };

  const startAfresh = () => {
    remember();
    training = null;
    setTraining(false);
    first.weights.set(given);
    const settings = settingsNow();
    try {
      const learner = learnerNow(settings), isSmall = learner !== first;
      training = new Learn.Training(learner, settings, samples);
      training.words = `${learner.steps.filter(({ op }) => op !== "flatten").map(({ words }) => words).join(", ")}; ${settings.optimizer} ${settings.lr}, batch ${settings.batch}`;
      byId("sizes").textContent = isSmall ? sizesOf(learner.steps, settings, training.params) : `${learner.steps.map((step) => step.words).join(", ")}: ${training.params} numbers.`;
      if (isSmall || network !== first) build(learner); else if (state.run) frame();
    } catch (problem) {
      byId("sizes").textContent = problem.message;
    }
    for (const id of [...OWN, "activation"]) byId(id).disabled = byId("learner").value !== "small";
    byId("train").disabled = !training || samples.length < 2;
    showTraining();
  };

  const showTraining = () => {
    state.training = training;
    if (!training || !byId("learning").open) return;
    const { history, steps } = training, looks = getComputedStyle(document.body), inks = ["--bar", "--accent", "--soft"].map((name) => looks.getPropertyValue(name));
    const told = (rows) => { const { loss, accuracy, valLoss, valAccuracy } = Layers.last(rows); return `loss ${number(loss)}, accuracy ${percent(accuracy)}; validation ${number(valLoss)}, ${percent(valAccuracy)}`; };
    byId("progress").textContent = history.length
      ? `Epoch ${history.length}, ${steps} steps: ${told(history)}`
      : `${training.samples.length} samples to learn from, ${training.kept.length} for validation.${samples.length < 2 ? " Draw some and add them." : ""}`;
    const curves = past.map((one) => one.history);
    Learn.drawCurves(byId("lossCurve"), history, ["loss", "valLoss"], inks, curves);
    Learn.drawCurves(byId("accuracyCurve"), history, ["accuracy", "valAccuracy"], inks, curves);
    byId("past").hidden = !past.length;
    byId("past").replaceChildren(element("summary", `Earlier runs to compare: ${past.length}, thin in the curves`), ...past.map((one) => element("p", `${one.words}: ${one.history.length} epochs, ${told(one.history)}`, { className: "small" })));
    byId("filterPart").hidden = !training.conv;
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
    frame();
    showTraining();
    requestAnimationFrame(learnOn);
  };
  byId("train").addEventListener("click", () => { setTraining(!isTraining); learnOn(); });
  byId("fresh").addEventListener("click", startAfresh);
  for (const id of ["learner", ...OWN, "activation", "optimizer", "batch", "lr"]) byId(id).addEventListener("change", startAfresh);
  byId("learning").addEventListener("toggle", () => {
    if (byId("learning").open) { if (training) showTraining(); else startAfresh(); return; }
    setTraining(false);
    if (network === first) return;
    remember();
    training = null;
    build(first);
  });
  byId("add").addEventListener("click", () => {
    samples.push({ levels: state.levels.slice(), label: Number(byId("truth").value) });
    startAfresh();
  });

  // Points of two numbers to learn from: those that came along, or made ones.
  const own = samples.slice();
  const makePoints = () => {
    const name = byId("data").value, made = name ? Learn.points(name, description.classes.length, Number(byId("noise").value), 1) : null;
    samples.splice(0, samples.length, ...(made ? made.map(({ place: [x, y], label }) => ({ label, levels: Float32Array.from(pad.levelsAt(0.5 + 0.43 * x, 0.5 - 0.43 * y)) })) : own));
    startAfresh();
  };
  const buildData = () => {
    if (own.length) byId("data").append(element("option", "the samples that came along", { value: "" }));
    for (const name of Object.keys(Learn.shapes)) byId("data").append(element("option", name, { value: name }));
    for (const id of ["data", "noise"]) byId(id).addEventListener("change", makePoints);
    byId("learner").value = Learn.canLearn(first) ? "given" : "small";
    byId("learning").open = true;
    makePoints();
  };

  // ---- one frame --------------------------------------------------------------------------------
  // What all points of the plane give one unit after the other, cell by cell.
  const overPlane = (all, index) => {
    const units = Layers.volume(network.shapes[index]), found = new Float64Array(all.length * units);
    all.forEach((values, cell) => found.set(values[index] || [], cell * units));
    return found;
  };

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
    state.gradients = !missing && (inGradients() || byId("over").value !== "none") ? network.gradientsOf(state.run, classShown()) : null;
    const plane = isPlane && !missing ? network.runAll(pad.cells) : null;
    if (plane) { state.surface = plane.map((run) => network.answers(run)); pad.repaint(); }
    const everywhere = plane && (inGradients() ? network.backward(plane, plane.map(() => network.seedOf(classShown()))).values : plane.map(({ values }) => values));
    showAnswer(network.answers(state.run));
    for (const panel of panels) {
      const { index, output } = panel.step;
      if (unknown.has(index)) continue;
      if (everywhere) panel.show(overPlane(everywhere, index), inGradients());
      else if (inGradients()) panel.show(state.gradients.values[index] || new Float64Array(Layers.volume(output)), true);
      else panel.show(state.run.values[index]);
      const { largest, negative } = panel.scale;
      if (panel.grid.lines) panel.range.textContent = `from ${number(negative ? -largest : 0)} to ${number(largest)}`;
      else panel.range.textContent = negative ? `blue ${number(-largest)}, white 0, red ${number(largest)}` : `black 0, pale yellow ${number(largest)}`;
    }
    paintPanels();
    drawSeen();
    document.querySelectorAll("details").forEach((fold) => fold.draw && fold.draw());
    if (state.pinned) drawDock();
    state.milliseconds = performance.now() - start;
    byId("speed").textContent = `forward pass ${forward.toFixed(1)} ms, whole frame ${state.milliseconds.toFixed(1)} ms`;
  };

  const fit = () => {
    const room = byId("layers").clientWidth || 900;
    for (const panel of panels) panel.fit(room, panel === presented ? Math.max(240, window.innerHeight - byId("layers").getBoundingClientRect().top - window.scrollY - 90 - (dock.hidden ? 0 : dock.offsetHeight)) : 0);
    if (state.run) { paintPanels(); document.querySelectorAll("details").forEach((fold) => fold.draw && fold.draw()); }
  };

  // ---- one layer at a time, large -----------------------------------------------------------------
  let presented = null;
  const present = (panel) => {
    presented = panel;
    document.body.classList.toggle("presenting", Boolean(panel));
    for (const one of panels) one.part.hidden = Boolean(panel) && one !== panel;
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

  const openLearning = () => {
    if (presented) present(null);
    byId("learning").open = true;
    byId("learning").scrollIntoView({ behavior: "smooth" });
  };
  byId("learn").addEventListener("click", openLearning);

  // ---- a guided tour --------------------------------------------------------------------------------
  let stops = [], stop_at = -1;
  const setShown = (value) => { if (byId("shown").value !== value) { byId("shown").value = value; frame(); } };

  const pinStrongest = (panel) => {
    const { grid, values } = panel, { step } = panel;
    let most = 0;
    for (let at = 0; at < values.length; at++) if (Math.abs(values[at]) > Math.abs(values[most])) most = at;
    if (isPlane || grid.flat) pin({ step, row: 0, column: 0, channel: most % (grid.flat ? grid.columns : grid.maps) });
    else pin({ step, row: Math.floor(most / grid.maps / grid.columns), column: Math.floor(most / grid.maps) % grid.columns, channel: most % grid.maps });
  };

  // What is to be seen is put into the middle of what the box of the tour and the dock leave free.
  const lookAt = (part) => {
    const top = byId("tour").offsetHeight + 24, room = window.innerHeight - top - (dock.hidden ? 0 : dock.offsetHeight), box = part.getBoundingClientRect();
    window.scrollBy({ top: box.top - top - Math.max(0, (room - box.height) / 2) });
  };

  const tourStops = () => [
    { title: "The input", text: Tour.ofInput(description), go: () => { pin(null); lookAt(byId("pad")); } },
    ...panels.filter((panel) => panel.values).map((panel) => ({
      title: `${panel.step.name}: ${panel.step.words}`, text: Tour.ofLayer(panel.step),
      go: () => { pinStrongest(panel); lookAt(panel.part); drawLinks(); },
    })),
    ...(missing ? [] : [
      { title: "The answer", text: Tour.ofAnswer, go: () => { pin(null); lookAt(byId("answer")); } },
      { title: "The way back", text: Tour.ofGradients, go: () => { pin(null); setShown("gradients"); lookAt(byId("layers").querySelector(".layer")); } },
    ]),
    { title: "Learning", text: Tour.ofLearning, go: () => { pin(null); byId("learning").open = true; lookAt(byId("learning")); } },
  ];

  const visit = (to) => {
    const box = byId("tour"), isOver = to < 0 || to >= stops.length;
    stop_at = isOver ? -1 : to;
    box.hidden = isOver;
    document.body.classList.toggle("touring", !isOver);
    setShown("values");
    if (isOver) { pin(null); byId("startTour").focus(); return; }
    const { title, text, go } = stops[to], button = (words, by, id) => {
      const found = element("button", words, { type: "button", id });
      found.addEventListener("click", () => visit(stop_at + by));
      found.disabled = stop_at + by < 0;
      return found;
    };
    const end = element("button", "End", { type: "button" }), onward = button(to + 1 < stops.length ? "Next" : "Done", 1, "tourNext");
    end.addEventListener("click", () => visit(-1));
    box.replaceChildren(element("h2", `${to + 1} of ${stops.length} · ${title}`), element("p", text), element("div", [button("Back", -1, "tourBack"), onward, end], { className: "buttons" }));
    go();
    onward.focus({ preventScroll: true });
  };
  byId("startTour").addEventListener("click", () => {
    if (presented) present(null);
    byId("learning").open = false;
    stops = tourStops();
    visit(0);
  });
  document.addEventListener("keydown", (event) => {
    const by = { PageDown: 1, PageUp: -1, Escape: NaN }[event.key];
    if (stop_at < 0 || by === undefined || event.defaultPrevented) return;
    event.preventDefault();
    visit(Number.isNaN(by) ? -1 : Math.max(0, stop_at + by));
  });

  // Puts a network on the page: its graph and its layers.
  const build = (found) => {
    network = found;
    Object.assign(state, { run: null, pointed: null, pinned: null });
    presented = null;
    panels.length = 0;
    for (const list of [panelOf, unknown]) list.clear();
    byId("layers").replaceChildren(links);
    missing = network.steps.find((step) => step.missing);
    last_map = lastMap();
    byId("over").querySelector("[value=cam]").disabled = !last_map;
    for (const id of ["over", "shown"]) byId(id).disabled = Boolean(missing);
    for (const step of network.steps) if (step.shown) buildPanel(step);
    markBox = Graph.draw(byId("graph"), network.description, (step) => {
      const panel = panelOf.get(step.index);
      if (presented) present(panel); else panel.part.scrollIntoView({ behavior: "smooth", block: "start" });
    });
    fit();
    drawDock();
    window.convcli = { network, state, schedule }; // for tests and the curious
    if (state.levels) frame();
  };

  const hasNumbers = description.series || isVector;
  for (let c = 0; description.series && c < channels; c++) byId("channel").append(element("option", `channel ${c}`, { value: String(c) }));
  byId("open").accept = hasNumbers ? ".csv,.tsv,.txt,text/plain" : "image/*";
  byId("openLabel").firstChild.textContent = hasNumbers ? "Open a table" : "Open a picture";
  byId("drawTitle").textContent = isPlane ? "Choose a point" : isVector ? "Set the inputs" : "Draw here";
  if (isVector) byId("hint").textContent = `Click a unit to see the sum behind it${isPlane ? " at that point; each unit is drawn over the whole plane" : ""}. Arrow keys move to other units.`;
  byId("filtersName").textContent = isVector ? "Units" : "Filters";
  const hide = (isHidden, ...ids) => ids.forEach((id) => { byId(id).hidden = isHidden; });
  hide(hasNumbers, "centerLabel");
  hide(isPlane, "openLabel", "clear");
  hide(!description.series, "channelLabel");
  hide(isVector, "kernelLabel", "strideLabel", "paddingLabel", "seenPart", "dotsLabel");
  hide(!isVector, "hiddenLabel");
  hide(!isPlane, "dataLabel", "noiseLabel");
  byId("pad").classList.toggle("numbers", hasNumbers);
  byId("pad").height = isPlane ? 280 : isVector ? Math.min(560, 34 * width) : description.series ? 140 : 280;
  byId("pad").style.aspectRatio = `280 / ${byId("pad").height}`;
  build(first);
  new ResizeObserver(fit).observe(byId("layers"));
  byId("center").checked = description.preprocessing.centered;
  hide(channels === 1 || hasNumbers, "inkLabel");
  pad.clear();
  buildGallery();
  frame();
  if (isPlane) buildData();
})();
