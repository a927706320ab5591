// Drawing, the layers' maps and the sum under the pointer.
"use strict";

(() => {
  const description = JSON.parse(document.getElementById("network").textContent);
  const network = new Engine.Network(description);
  const [height, width, channels] = description.input;
  const byId = (id) => document.getElementById(id);
  const pad = byId("pad"), pen = pad.getContext("2d", { willReadFrequently: true });
  const seen = byId("seen"), sumBox = byId("sum");
  const state = { run: null, levels: null, opened: null, pointed: null, drawn: false };

  const shapeText = (shape) => shape.join("x");
  const number = (value) => (Math.abs(value) >= 1000 || (value !== 0 && Math.abs(value) < 0.001) ? value.toExponential(2) : value.toFixed(3));

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
  const clear = () => { clearPad(); schedule(); };
  byId("clear").addEventListener("click", clear);
  pad.addEventListener("keydown", (event) => { if (event.key === "Delete" || event.key === "Backspace") clear(); });
  byId("center").addEventListener("change", () => schedule());
  byId("dots").addEventListener("change", () => schedule());
  byId("open").addEventListener("change", async (event) => {
    const [file] = event.target.files;
    if (!file) return;
    const picture = await createImageBitmap(file).catch(() => null);
    if (!picture) { byId("answer").textContent = `${file.name} is not a picture this browser can read.`; return; }
    try {
      showOpened(Picture.levels(pixelsOf(picture), description.input, description.preprocessing.centered));
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

  // What the network takes of a picture goes to the pad too, so that one can draw on in it.
  const showOpened = (levels) => {
    const image = smallPen.createImageData(width, height);
    for (let i = 0; i < height * width; i++) {
      for (let c = 0; c < 4; c++) image.data[4 * i + c] = c === 3 ? 255 : levels[i * channels + Math.min(c, channels - 1)];
    }
    smallPen.putImageData(image, 0, 0);
    pen.drawImage(small, 0, 0, pad.width, pad.height);
    state.opened = levels;
    state.drawn = true;
    schedule();
  };

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
      const [red, green, blue] = pixels.subarray(4 * i, 4 * i + 3);
      if (channels === 1) levels[i] = Math.round(0.299 * red + 0.587 * green + 0.114 * blue);
      else levels.set([red, green, blue], 3 * i);
    }
    return levels;
  };

  // ---- maps ---------------------------------------------------------------------------------
  const panels = [];

  const gridOf = (shape) => {
    const [rows, columns, maps] = shape.length === 3 ? shape : [1, shape[shape.length - 1], 1];
    return { rows, columns, maps, flat: shape.length !== 3 };
  };

  const buildPanel = (step, parent) => {
    const grid = gridOf(step.output);
    const box = document.createElement("div");
    box.className = "layer";
    const field = step.receptive_field ? `each cell sees ${shapeText(step.receptive_field)}` : "each cell sees the whole input";
    const title = document.createElement("h3");
    title.textContent = `${step.name} `;
    const detail = document.createElement("span");
    detail.textContent = `${step.words} → ${shapeText(step.output)}, ${field}`;
    title.append(detail);
    const canvas = document.createElement("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${step.name}: ${grid.flat ? `${grid.columns} values` : `${grid.maps} maps of ${grid.rows}x${grid.columns}`}`);
    box.append(title, canvas);
    parent.append(box);
    const panel = { step, canvas, ...layout(grid, parent.clientWidth || 900) };
    canvas.width = panel.totalWidth;
    canvas.height = panel.totalHeight;
    canvas.addEventListener("pointermove", (event) => { state.pointed = locate(panel, event); showPointed(event); });
    canvas.addEventListener("pointerleave", () => { state.pointed = null; sumBox.hidden = true; drawSeen(); });
    return panel;
  };

  const layout = (grid, room) => {
    if (grid.flat) {
      const perLine = Math.min(grid.columns, 64), cell = Math.max(6, Math.min(22, Math.floor(room / perLine)));
      const lines = Math.ceil(grid.columns / perLine);
      return { ...grid, cell, perLine, gap: 0, totalWidth: perLine * cell, totalHeight: lines * cell };
    }
    const cell = Math.max(1, Math.round((grid.maps > 16 ? 64 : 84) / Math.max(grid.rows, grid.columns)));
    const gap = 6, mapWidth = grid.columns * cell, mapHeight = grid.rows * cell;
    const perLine = Math.max(1, Math.min(grid.maps, Math.floor((room + gap) / (mapWidth + gap))));
    const lines = Math.ceil(grid.maps / perLine);
    return { ...grid, cell, gap, perLine, mapWidth, mapHeight, totalWidth: perLine * (mapWidth + gap) - gap, totalHeight: lines * (mapHeight + gap) - gap };
  };

  // Black to white for values that are never negative; blue - dark - orange for signed ones.
  const color = (value, largest, signed) => {
    const level = largest > 0 ? Math.max(-1, Math.min(1, value / largest)) : 0;
    if (!signed) return [255 * level, 255 * level, 255 * level];
    return level >= 0 ? [30 + 225 * level, 30 + 150 * level, 36] : [30, 30 + 120 * -level, 36 + 219 * -level];
  };

  const originOf = (panel, map) => ({ x: (map % panel.perLine) * (panel.mapWidth + panel.gap), y: Math.floor(map / panel.perLine) * (panel.mapHeight + panel.gap) });

  const drawPanel = (panel) => {
    const values = state.run.values[panel.step.index];
    let largest = 0, signed = false;
    for (const value of values) {
      largest = Math.max(largest, Math.abs(value));
      signed = signed || value < 0;
    }
    const brush = panel.canvas.getContext("2d");
    const image = brush.createImageData(panel.canvas.width, panel.canvas.height);
    const paint = (left, top, [red, green, blue]) => {
      for (let y = top; y < top + panel.cell; y++) {
        for (let x = left; x < left + panel.cell; x++) image.data.set([red, green, blue, 255], 4 * (y * image.width + x));
      }
    };
    if (panel.flat) {
      values.forEach((value, i) => paint((i % panel.perLine) * panel.cell, Math.floor(i / panel.perLine) * panel.cell, color(value, largest, signed)));
    } else {
      for (let map = 0; map < panel.maps; map++) {
        const origin = originOf(panel, map);
        for (let y = 0; y < panel.rows; y++) {
          for (let x = 0; x < panel.columns; x++) {
            const value = values[(y * panel.columns + x) * panel.maps + map];
            paint(origin.x + x * panel.cell, origin.y + y * panel.cell, color(value, largest, signed));
          }
        }
      }
    }
    brush.putImageData(image, 0, 0);
  };

  const markChosen = () => {
    for (const { step } of panels) {
      const chosen = state.run.chosen[step.index];
      const source = panels.find((panel) => panel.step.index === step.sources[0]);
      if (!chosen || !source || source.flat || source.cell < 2) continue;
      const brush = source.canvas.getContext("2d"), values = state.run.values[step.sources[0]];
      brush.fillStyle = "#ffd54a";
      for (const at of chosen) {
        if (values[at] === 0) continue;
        const map = at % source.maps, cell = Math.floor(at / source.maps), origin = originOf(source, map);
        const x = origin.x + (cell % source.columns) * source.cell, y = origin.y + Math.floor(cell / source.columns) * source.cell;
        brush.fillRect(x + source.cell / 2 - 0.5, y + source.cell / 2 - 0.5, 1, 1);
      }
    }
  };

  const locate = (panel, event) => {
    const box = panel.canvas.getBoundingClientRect();
    const x = ((event.clientX - box.left) * panel.canvas.width) / box.width, y = ((event.clientY - box.top) * panel.canvas.height) / box.height;
    if (panel.flat) {
      const channel = Math.floor(y / panel.cell) * panel.perLine + Math.floor(x / panel.cell);
      return channel < panel.columns ? { step: panel.step, row: 0, column: 0, channel } : null;
    }
    const map = Math.floor(y / (panel.mapHeight + panel.gap)) * panel.perLine + Math.floor(x / (panel.mapWidth + panel.gap));
    const row = Math.floor((y % (panel.mapHeight + panel.gap)) / panel.cell), column = Math.floor((x % (panel.mapWidth + panel.gap)) / panel.cell);
    if (map >= panel.maps || row < 0 || row >= panel.rows || column < 0 || column >= panel.columns) return null;
    return { step: panel.step, row, column, channel: map };
  };

  // ---- the sum behind the pointed cell --------------------------------------------------------
  const valueAt = ({ step, row, column, channel }) => {
    const grid = gridOf(step.output);
    return state.run.values[step.index][grid.flat ? channel : (row * grid.columns + column) * grid.maps + channel];
  };

  const line = (table, ...cells) => {
    const row = table.insertRow();
    for (const cell of cells) row.insertCell().textContent = cell;
  };

  const describe = (pointed) => {
    const { step, row, column, channel } = pointed, flat = gridOf(step.output).flat;
    const title = document.createElement("div"), strong = document.createElement("b");
    title.textContent = `${step.name}, ${flat ? `unit ${channel}` : `map ${channel}, row ${row}, column ${column}`} = `;
    strong.textContent = number(valueAt(pointed));
    title.append(strong);
    const table = document.createElement("table");
    const sum = network.terms(step.index, state.run, row, column, channel);
    if (sum) {
      const heaviest = [...sum.list].sort((a, b) => Math.abs(b.value * b.weight) - Math.abs(a.value * a.weight)).slice(0, 9);
      for (const { place, value, weight } of heaviest) line(table, `[${place.join(",")}]`, number(value), `× ${number(weight)}`, `= ${number(value * weight)}`);
      const rest = sum.list.length - heaviest.length;
      if (rest > 0) line(table, `${rest} more`, "", "", number(sum.sum - sum.bias - heaviest.reduce((part, term) => part + term.value * term.weight, 0)));
      line(table, "bias", "", "", number(sum.bias));
      line(table, "sum", "", "", number(sum.sum));
      if (step.activation) line(table, step.activation, "", "", number(valueAt(pointed)));
    } else if (step.op === "maxpool") {
      const grid = gridOf(step.output), at = state.run.chosen[step.index][(row * grid.columns + column) * grid.maps + channel];
      const cell = Math.floor(at / step.input[2]);
      line(table, "chosen", `row ${Math.floor(cell / step.input[1])}`, `column ${cell % step.input[1]}`, number(state.run.values[step.sources[0]][at]));
    }
    return [title, table];
  };

  const showPointed = (event) => {
    drawSeen();
    if (!state.pointed || !state.run) { sumBox.hidden = true; return; }
    sumBox.replaceChildren(...describe(state.pointed));
    sumBox.hidden = false;
    const right = event.clientX + 18 + sumBox.offsetWidth < window.innerWidth;
    sumBox.style.left = `${right ? event.clientX + 18 : event.clientX - 18 - sumBox.offsetWidth}px`;
    sumBox.style.top = `${Math.max(4, Math.min(event.clientY + 14, window.innerHeight - sumBox.offsetHeight - 4))}px`;
  };

  const magnify = Math.max(1, Math.floor(336 / Math.max(height, width)));
  seen.width = width * magnify;
  seen.height = height * magnify;
  const drawSeen = () => {
    const brush = seen.getContext("2d");
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const at = (y * width + x) * channels, [red, green, blue] = [0, 1, 2].map((c) => state.levels[at + Math.min(c, channels - 1)]);
        brush.fillStyle = `rgb(${red},${green},${blue})`;
        brush.fillRect(x * magnify, y * magnify, magnify, magnify);
      }
    }
    if (!state.pointed) return;
    const { step, row, column } = state.pointed;
    const [fieldHeight, fieldWidth] = step.receptive_field || [height, width];
    const top = step.receptive_field ? row * step.field_stride[0] - step.field_padding[0] : 0;
    const left = step.receptive_field ? column * step.field_stride[1] - step.field_padding[1] : 0;
    brush.strokeStyle = "#ff5252";
    brush.lineWidth = 2;
    brush.strokeRect(left * magnify + 1, top * magnify + 1, fieldWidth * magnify - 2, fieldHeight * magnify - 2);
  };

  // ---- answer ---------------------------------------------------------------------------------
  const rows = description.classes.map((name) => {
    const item = document.createElement("li");
    const [label, track, fill, value] = ["span", "div", "div", "span"].map((tag) => document.createElement(tag));
    label.className = "name";
    label.textContent = name;
    track.className = "track";
    fill.className = "fill";
    track.append(fill);
    item.append(label, track, value);
    byId("classes").append(item);
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

  // ---- one frame --------------------------------------------------------------------------------
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
    showAnswer(Array.from(state.run.values[state.run.values.length - 1]));
    panels.forEach(drawPanel);
    if (byId("dots").checked) markChosen();
    drawSeen();
    byId("speed").textContent = `forward pass ${forward.toFixed(1)} ms, whole frame ${(performance.now() - start).toFixed(1)} ms`;
  };

  for (const step of description.steps) if (step.shown) panels.push(buildPanel(step, byId("layers")));
  byId("center").checked = description.preprocessing.centered;
  byId("inkLabel").hidden = channels === 1;
  clearPad();
  frame();
  // For tests and the curious: the network, and the levels and values of the last frame.
  window.convcli = { network, state, schedule };
})();
