// What is drawn, with mouse, finger or keys: a picture, or a series as lines over time.
"use strict";

const Pads = (() => {
  const KEY_STEP = 10;

  // Pointer and keys of a pad, as strokes; with the keyboard arrows move a pen, space puts it down.
  const listen = (pad, told, { stroke, clear, changed }) => {
    const place = (event) => {
      const box = pad.getBoundingClientRect();
      return { x: ((event.clientX - box.left) * pad.width) / box.width, y: ((event.clientY - box.top) * pad.height) / box.height };
    };
    let last = null;
    const draw = (from, to) => { stroke(from, to); changed(); };
    pad.addEventListener("pointerdown", (event) => {
      pad.setPointerCapture(event.pointerId);
      last = place(event);
      draw(last, last);
    });
    pad.addEventListener("pointermove", (event) => {
      if (!last) return;
      const point = place(event);
      draw(last, point);
      last = point;
    });
    for (const name of ["pointerup", "pointercancel"]) pad.addEventListener(name, () => { last = null; });

    const pen = { x: pad.width / 2, y: pad.height / 2, down: false };
    const limit = (value, most) => Math.max(0, Math.min(most, value));
    pad.addEventListener("keydown", (event) => {
      const [across, down] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] || [0, 0];
      const clears = event.key === "Delete" || event.key === "Backspace";
      if (!across && !down && !clears && event.key !== " ") return;
      event.preventDefault();
      if (event.key === " ") pen.down = !pen.down;
      if (clears) pen.down = false;
      const to = { x: limit(pen.x + KEY_STEP * across, pad.width), y: limit(pen.y + KEY_STEP * down, pad.height) };
      if (clears) clear(); else if (pen.down) stroke(pen, to);
      Object.assign(pen, to);
      told.textContent = `Pen ${pen.down ? "down" : "up"} at ${Math.round((100 * pen.x) / pad.width)} %, ${Math.round((100 * pen.y) / pad.height)} %.`;
      changed();
    });
  };

  const canvasOf = (width, height) => Object.assign(document.createElement("canvas"), { width, height });

  // White, or a chosen ink, on black. `paint` draws levels on a brush, `unit` is how large a cell is when magnified.
  const picture = ({ input: [height, width, channels] }, pad, { ink, isCentered }) => {
    const pen = pad.getContext("2d", { willReadFrequently: true });
    const small = canvasOf(width, height), smallPen = small.getContext("2d", { willReadFrequently: true });
    let taken = null, empty = true;

    const clear = () => {
      pen.fillStyle = "#000";
      pen.fillRect(0, 0, pad.width, pad.height);
      taken = null;
      empty = true;
    };

    const stroke = (from, to) => {
      pen.strokeStyle = ink();
      pen.lineWidth = pad.width / 13;
      pen.lineCap = pen.lineJoin = "round";
      pen.beginPath();
      pen.moveTo(from.x, from.y);
      pen.lineTo(to.x + 0.01, to.y); // a line of no length is not drawn, a tap is a dot
      pen.stroke();
      taken = null;
      empty = false;
    };

    const paint = (brush, levels, wide, high) => {
      const image = new ImageData(width, height);
      for (let i = 0; i < height * width; i++) {
        for (let c = 0; c < 4; c++) image.data[4 * i + c] = c === 3 ? 255 : levels[i * channels + Math.min(c, channels - 1)];
      }
      smallPen.putImageData(image, 0, 0);
      brush.drawImage(small, 0, 0, wide, high);
    };

    // What the network takes of a picture goes to the pad too, so that one can draw on in it.
    const show = (levels) => {
      paint(pen, levels, pad.width, pad.height);
      taken = levels;
      empty = false;
    };

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

    const read = () => {
      if (taken) return taken;
      smallPen.fillStyle = "#000";
      smallPen.fillRect(0, 0, width, height);
      smallPen.imageSmoothingEnabled = true;
      smallPen.imageSmoothingQuality = "high";
      const place = isCentered() ? inkPlacement() : null;
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

    const magnify = Math.max(1, Math.floor(336 / Math.max(height, width)));
    return { clear, stroke, show, read, paint, unit: [magnify, magnify], thumb: [width, height], isEmpty: () => empty, given: () => taken };
  };

  // Lines over time, each channel on its own scale; the chosen one is drawn.
  const series = ({ input: [, length, channels], preprocessing: { scale, offset }, palette }, pad, { samples, channel }) => {
    const low = new Array(channels).fill(Infinity), high = new Array(channels).fill(-Infinity);
    for (const { levels } of samples) {
      levels.forEach((value, i) => { low[i % channels] = Math.min(low[i % channels], value); high[i % channels] = Math.max(high[i % channels], value); });
    }
    for (let c = 0; c < channels; c++) { // without samples three deviations to each side, if it was standardized
      if (low[c] >= high[c]) [low[c], high[c]] = [(-3 - offset[c]) / scale[c], (3 - offset[c]) / scale[c]];
    }
    const rest = low.map((value, c) => Math.min(high[c], Math.max(value, -offset[c] / scale[c])));
    let levels = null, empty = true;

    const paint = (brush, values, wide, high_) => {
      const own = channel();
      brush.clearRect(0, 0, wide, high_);
      for (const c of [...Array(channels).keys()].filter((one) => one !== own).concat(own)) {
        brush.beginPath();
        for (let t = 0; t < length; t++) brush.lineTo(((t + 0.5) * wide) / length, 3 + (high_ - 6) * (1 - (values[t * channels + c] - low[c]) / (high[c] - low[c])));
        brush.strokeStyle = palette[c % palette.length];
        brush.globalAlpha = c === own ? 1 : 0.55;
        brush.lineWidth = Math.max(1, high_ / (c === own ? 70 : 140));
        brush.stroke();
      }
      brush.globalAlpha = 1;
    };
    const repaint = () => paint(pad.getContext("2d"), levels, pad.width, pad.height);
    const show = (values) => {
      levels = Float32Array.from(values);
      empty = false;
      repaint();
    };
    const clear = () => {
      show(Float32Array.from({ length: length * channels }, (_, i) => rest[i % channels]));
      empty = true;
    };
    const stroke = (from, to) => {
      const own = channel(), time = (x) => Math.max(0, Math.min(length - 1, Math.floor((x * length) / pad.width)));
      const value = (y) => low[own] + (high[own] - low[own]) * (1 - Math.max(0, Math.min(pad.height, y)) / pad.height);
      const [first, last] = from.x <= to.x ? [from, to] : [to, from], begin = time(first.x), end = time(last.x);
      for (let t = begin; t <= end; t++) {
        const share = end > begin ? (t - begin) / (end - begin) : 1, [start, stop] = end > begin ? [first.y, last.y] : [from.y, to.y];
        levels[t * channels + own] = value(start + (stop - start) * share);
      }
      empty = false;
      repaint();
    };
    return {
      clear, stroke, show, paint, repaint, read: () => Float32Array.from(levels), unit: [Math.max(1, Math.floor(336 / length)), 132],
      thumb: [96, 48], isEmpty: () => empty, given: () => null,
    };
  };

  return { canvasOf, listen, picture, series };
})();
