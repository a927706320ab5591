// What is drawn, with mouse, finger or keys: a picture, or a series as lines over time.
"use strict";

const Pads = (() => {
  const KEY_STEP = 10;

  // Pointer and keys of a pad, as strokes; with the keyboard arrows move a pen, space puts it down.
  const listen = (pad, told, { stroke, clear, changed, glides }) => {
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
      if (clears) clear(); else if (pen.down || glides) stroke(pen, to);
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

  // Between which numbers each channel lies: those of the samples; without any, three deviations to each side, if it was standardized.
  const ranges = (samples, { scale, offset }) => scale.map((factor, c) => {
    let [low, high] = [Infinity, -Infinity];
    for (const { levels } of samples) for (let i = c; i < levels.length; i += scale.length) { low = Math.min(low, levels[i]); high = Math.max(high, levels[i]); }
    return low < high ? { low, high } : { low: (-3 - offset[c]) / factor, high: (3 - offset[c]) / factor };
  });
  const clip = (value, low, high) => Math.max(low, Math.min(high, value));

  // What is stored as numbers, not as a picture: `draw` paints them, `change` sets some of them along a stroke.
  const numbers = (size, rest, pad, draw, change, looks) => {
    let levels = null, empty = true;
    const repaint = () => draw(pad.getContext("2d"), levels, pad.width, pad.height);
    const show = (values) => { levels = Float32Array.from(values); empty = false; repaint(); };
    const clear = () => { show(Float32Array.from({ length: size }, (_, i) => rest[i % rest.length])); empty = true; };
    const stroke = (from, to) => { change(levels, from, to); empty = false; repaint(); };
    return { clear, stroke, show, paint: draw, repaint, read: () => Float32Array.from(levels), isEmpty: () => empty, given: () => null, unit: [1, 1], ...looks };
  };

  // Lines over time, each channel on its own scale; the chosen one is drawn.
  const series = ({ input: [, length, channels], preprocessing, palette }, pad, { samples, channel }) => {
    const ends = ranges(samples, preprocessing), rest = ends.map(({ low, high }, c) => clip(-preprocessing.offset[c] / preprocessing.scale[c], low, high));
    const draw = (brush, values, wide, high_) => {
      const own = channel();
      brush.clearRect(0, 0, wide, high_);
      for (const c of [...Array(channels).keys()].filter((one) => one !== own).concat(own)) {
        const { low, high } = ends[c];
        brush.beginPath();
        for (let t = 0; t < length; t++) brush.lineTo(((t + 0.5) * wide) / length, 3 + (high_ - 6) * (1 - (values[t * channels + c] - low) / (high - low)));
        brush.strokeStyle = palette[c % palette.length];
        brush.globalAlpha = c === own ? 1 : 0.55;
        brush.lineWidth = Math.max(1, high_ / (c === own ? 70 : 140));
        brush.stroke();
      }
      brush.globalAlpha = 1;
    };
    const change = (levels, from, to) => {
      const own = channel(), { low, high } = ends[own], time = (x) => clip(Math.floor((x * length) / pad.width), 0, length - 1);
      const value = (y) => low + (high - low) * (1 - clip(y, 0, pad.height) / pad.height);
      const [first, last] = from.x <= to.x ? [from, to] : [to, from], begin = time(first.x), end = time(last.x);
      for (let t = begin; t <= end; t++) {
        const share = end > begin ? (t - begin) / (end - begin) : 1, [start, stop] = end > begin ? [first.y, last.y] : [from.y, to.y];
        levels[t * channels + own] = value(start + (stop - start) * share);
      }
    };
    return numbers(length * channels, rest, pad, draw, change, { unit: [Math.max(1, Math.floor(336 / length)), 132], thumb: [96, 48] });
  };

  // Plain numbers as bars from a zero line; a stroke sets those that it crosses.
  const vector = ({ input: [count], preprocessing, names }, pad, { samples }) => {
    const ends = ranges(samples, preprocessing), rest = preprocessing.scale.map((factor, c) => clip(-preprocessing.offset[c] / factor, ends[c].low, ends[c].high));
    const draw = (brush, values, wide, high_) => {
      const ink = getComputedStyle(document.body), tall = high_ / count;
      brush.clearRect(0, 0, wide, high_);
      values.forEach((value, c) => {
        const { low, high } = ends[c], at = (one) => (wide * (one - low)) / (high - low), zero = at(clip(0, low, high)), isTold = tall >= 26 && wide >= 200, top = c * tall + (isTold ? 18 : 1);
        brush.fillStyle = ink.getPropertyValue("--bar");
        brush.fillRect(Math.min(zero, at(value)), top, Math.max(1, Math.abs(at(value) - zero)), Math.max(1, (c + 1) * tall - top - 2));
        brush.fillStyle = ink.getPropertyValue("--soft");
        brush.fillRect(zero, top, 1, (c + 1) * tall - top - 2);
        if (!isTold) return;
        brush.fillStyle = ink.getPropertyValue("--ink");
        brush.font = "14px system-ui";
        brush.fillText(`${names[c] || `input ${c}`}: ${Number(value.toPrecision(4))}`, 4, c * tall + 14);
      });
    };
    const change = (levels, from, to) => {
      const row = (y) => clip(Math.floor((y * count) / pad.height), 0, count - 1), [first, last] = [row(from.y), row(to.y)].sort((a, b) => a - b);
      for (let c = first; c <= last; c++) levels[c] = ends[c].low + ((ends[c].high - ends[c].low) * clip(to.x, 0, pad.width)) / pad.width;
    };
    return numbers(count, rest, pad, draw, change, { unit: [336 / count, 24], thumb: [48, 48] });
  };

  // A plane of two numbers: the answers everywhere, the samples as points, and the point that is looked at.
  const plane = ({ preprocessing, palette }, pad, { samples, answers, side }) => {
    const ends = ranges(samples, preprocessing).map(({ low, high }) => ({ low: low - 0.08 * (high - low), high: high + 0.08 * (high - low) }));
    const colors = palette.map((word) => [1, 3, 5].map((at) => parseInt(word.slice(at, at + 2), 16))), small = canvasOf(side, side);
    const levelsAt = (x, y) => [ends[0].low + x * (ends[0].high - ends[0].low), ends[1].high - y * (ends[1].high - ends[1].low)];
    const placeOf = ([x, y]) => [(x - ends[0].low) / (ends[0].high - ends[0].low), (ends[1].high - y) / (ends[1].high - ends[1].low)];
    const draw = (brush, values, wide, high) => {
      const shares = answers(), image = new ImageData(side, side);
      shares.forEach((own, cell) => {
        for (let k = 0; k < 3; k++) image.data[4 * cell + k] = 255 - 0.62 * own.reduce((sum, share, c) => sum + share * (255 - colors[c % colors.length][k]), 0);
        image.data[4 * cell + 3] = 255;
      });
      small.getContext("2d").putImageData(image, 0, 0);
      brush.imageSmoothingEnabled = true;
      brush.drawImage(small, 0, 0, wide, high);
      const dot = ([x, y], radius, fill, edge, thick) => {
        brush.beginPath();
        brush.arc(x * wide, y * high, radius, 0, 7);
        brush.fillStyle = fill;
        brush.fill();
        brush.lineWidth = thick;
        brush.strokeStyle = edge;
        brush.stroke();
      };
      for (const { levels, label } of samples) dot(placeOf(levels), 3.2, palette[label % palette.length], "#fff", 1);
      dot(placeOf(values), 7, "#fff0", "#000", 4);
      dot(placeOf(values), 7, "#fff0", "#fff", 2);
    };
    const change = (levels, from, to) => levels.set(levelsAt(clip(to.x / pad.width, 0, 1), clip(to.y / pad.height, 0, 1)));
    const cells = Array.from({ length: side * side }, (_, cell) => Float32Array.from(levelsAt(((cell % side) + 0.5) / side, (Math.floor(cell / side) + 0.5) / side)));
    return { ...numbers(2, levelsAt(0.62, 0.4), pad, draw, change, { glides: true }), cells, cellOf: (levels) => placeOf(levels).map((one) => clip(Math.floor(one * side), 0, side - 1)), levelsAt };
  };

  return { canvasOf, listen, picture, plane, series, vector };
})();
