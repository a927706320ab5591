// From an opened picture to the network's input, by the rules of `convcli predict`.
"use strict";

const Picture = (() => {
  // The figures and steps of learn/digit.py, which says why.
  const WORK_SIDE = 320, BACKGROUND_GRID = 8, LEAST_CONTRAST = 0.12, SPECK_SHARE = 0.06, LEAST_DIGIT = 0.001;
  const BOX_SHARE = 20 / 28, THINNEST_STROKE = 2.2, FINE = 4;

  const grid = (height, width, data = new Float32Array(height * width)) => ({ height, width, data });
  const mapped = (image, change) => grid(image.height, image.width, image.data.map(change));
  const largestOf = (values) => values.reduce((a, b) => Math.max(a, b), -Infinity);
  const clip = (value) => Math.min(1, Math.max(0, value));
  const rounded = (value) => {
    const low = Math.floor(value), rest = value - low;
    return rest < 0.5 || (rest === 0.5 && low % 2 === 0) ? low : low + 1;
  };
  const quantile = (values, share) => {
    const sorted = Float32Array.from(values).sort(), at = (sorted.length - 1) * share, low = Math.floor(at);
    return sorted[low] + (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low]) * (at - low);
  };

  // For each new place its first source, and weights that fall linearly with the distance.
  const shares = (size, newSize) => Array.from({ length: newSize }, (_, place) => {
    const scale = size / newSize, reach = Math.max(1, scale), center = (place + 0.5) * scale - 0.5;
    const first = Math.max(0, Math.ceil(center - reach)), last = Math.min(size - 1, Math.floor(center + reach));
    const weights = [];
    for (let at = first; at <= last; at++) weights.push(Math.max(0, 1 - Math.abs(at - center) / reach));
    const sum = weights.reduce((a, b) => a + b, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });

  const resized = ({ height, width, data }, newHeight, newWidth, keep = (value) => value) => {
    const across = grid(height, newWidth), found = grid(newHeight, newWidth);
    shares(width, newWidth).forEach(({ first, weights }, x) => {
      for (let y = 0; y < height; y++) across.data[y * newWidth + x] = keep(weights.reduce((sum, weight, k) => sum + weight * data[y * width + first + k], 0));
    });
    shares(height, newHeight).forEach(({ first, weights }, y) => {
      for (let x = 0; x < newWidth; x++) found.data[y * newWidth + x] = keep(weights.reduce((sum, weight, k) => sum + weight * across.data[(first + k) * newWidth + x], 0));
    });
    return found;
  };

  const neighbors = (image, y, x, corners, visit) => {
    for (let row = Math.max(0, y - 1); row <= Math.min(image.height - 1, y + 1); row++) {
      for (let column = Math.max(0, x - 1); column <= Math.min(image.width - 1, x + 1); column++) {
        if (corners || row === y || column === x) visit(row * image.width + column);
      }
    }
  };

  const widest = (image, steps, corners) => {
    for (let step = 0; step < steps; step++) {
      const before = image;
      image = mapped(before, (_, at) => {
        let most = 0;
        neighbors(before, Math.floor(at / before.width), at % before.width, corners, (near) => { most = Math.max(most, before.data[near]); });
        return most;
      });
    }
    return image;
  };

  const edge = ({ height, width, data }) => Array.from(data).filter((_, at) => at < width || at >= (height - 1) * width || at % width === 0 || at % width === width - 1);

  const bounds = (length) => {
    const parts = Math.max(1, Math.min(BACKGROUND_GRID, Math.floor(length / 8))), each = Math.floor(length / parts), longer = length % parts;
    return Array.from({ length: parts + 1 }, (_, part) => part * each + Math.min(part, longer));
  };

  // One figure of each coarse cell.
  const perCell = (image, figure) => {
    const rows = bounds(image.height), columns = bounds(image.width), found = grid(rows.length - 1, columns.length - 1);
    return mapped(found, (_, at) => {
      const row = Math.floor(at / found.width), column = at % found.width, cell = [];
      for (let y = rows[row]; y < rows[row + 1]; y++) cell.push(...image.data.subarray(y * image.width + columns[column], y * image.width + columns[column + 1]));
      return figure(cell);
    });
  };

  const isLightOnDark = (gray) => {
    const middle = perCell(gray, (cell) => quantile(cell, 0.5)), high = widest(perCell(gray, largestOf), 1, true);
    const low = widest(perCell(gray, (cell) => 1 + largestOf(cell.map((value) => -value))), 1, true);
    return middle.data.reduce((sum, value, at) => sum + value - (1 - low.data[at] + high.data[at]) / 2, 0) < 0;
  };

  const paper = (gray) => {
    const level = perCell(gray, (cell) => quantile(cell, 0.9));
    const inside = (at, length) => Math.min(length - 1, Math.max(0, at));
    const smooth = mapped(level, (value, at) => {
      const around = [];
      for (let i = -1; i <= 1; i++) {
        for (let j = -1; j <= 1; j++) around.push(level.data[inside(Math.floor(at / level.width) + i, level.height) * level.width + inside((at % level.width) + j, level.width)]);
      }
      return Math.max(value, quantile(around, 0.5));
    });
    return resized(smooth, gray.height, gray.width);
  };

  const otsu = (values) => {
    const low = -largestOf(values.map((value) => -value)), high = largestOf(values), counts = new Array(128).fill(0);
    const width = (high - low) / 128;
    for (const value of values) counts[Math.min(127, Math.floor((value - low) / width))]++;
    const center = (bin) => low + (bin + 0.5) * width, total = counts.reduce((sum, count, bin) => sum + count * center(bin), 0);
    let below = 0, sum = 0, best = 0, most = -1;
    counts.forEach((count, bin) => {
      below += count;
      sum += count * center(bin);
      const above = values.length - below;
      const between = below && above ? below * above * (sum / below - (total - sum) / above) ** 2 : 0;
      if (between > most) [most, best] = [between, bin];
    });
    return low + (best + 1) * width;
  };

  // The pieces that carry ink, as zeros and ones.
  const withoutDirt = (mask, strength) => {
    const number = new Int32Array(mask.data.length), pieces = [];
    mask.data.forEach((inked, start) => {
      if (!inked || number[start]) return;
      const piece = { mass: 0, pixels: 0, cut: false }, waiting = [start];
      number[start] = pieces.push(piece);
      while (waiting.length) {
        const at = waiting.pop(), y = Math.floor(at / mask.width), x = at % mask.width;
        piece.mass += strength.data[at];
        piece.pixels++;
        piece.cut ||= y === 0 || x === 0 || y === mask.height - 1 || x === mask.width - 1;
        neighbors(mask, y, x, true, (near) => {
          if (mask.data[near] && !number[near]) { number[near] = pieces.length; waiting.push(near); }
        });
      }
    });
    const whole = pieces.some((piece) => !piece.cut && piece.pixels >= LEAST_DIGIT * mask.data.length);
    const mass = pieces.map((piece) => (whole && piece.cut ? 0 : piece.mass)), most = largestOf(mass);
    return mapped(mask, (_, at) => Number(number[at] > 0 && mass[number[at] - 1] >= SPECK_SHARE * most));
  };

  const inkOf = (gray) => {
    if (isLightOnDark(gray)) gray = mapped(gray, (value) => 1 - value);
    const light = paper(gray), difference = mapped(gray, (value, at) => Math.max(0, light.data[at] - value)), most = largestOf(difference.data);
    const full = Math.max(difference.data.length > 400 ? quantile(difference.data, 0.995) : most, 0.7 * most);
    if (full < LEAST_CONTRAST) throw new Error("Nothing stands out: use a picture of one dark digit on light paper, or the reverse.");
    const threshold = Math.max(otsu(difference.data), 0.35 * full);
    const kept = widest(withoutDirt(mapped(difference, (value) => Number(value > threshold)), difference), 1, true);
    return mapped(difference, (value, at) => kept.data[at] * clip((value - threshold / 2) / (full - threshold / 2)));
  };

  const cropped = (ink) => {
    let [top, left, bottom, right] = [ink.height, ink.width, -1, -1];
    ink.data.forEach((value, at) => {
      if (!value) return;
      const y = Math.floor(at / ink.width), x = at % ink.width;
      [top, left, bottom, right] = [Math.min(top, y), Math.min(left, x), Math.max(bottom, y), Math.max(right, x)];
    });
    const found = grid(bottom - top + 1, right - left + 1);
    return mapped(found, (_, at) => ink.data[(top + Math.floor(at / found.width)) * ink.width + left + (at % found.width)]);
  };

  const padded = (image, by) => {
    const found = grid(image.height + 2 * by, image.width + 2 * by);
    for (let y = 0; y < image.height; y++) found.data.set(image.data.subarray(y * image.width, (y + 1) * image.width), (y + by) * found.width + by);
    return found;
  };

  const strokeWidth = (image) => {
    const solid = mapped(image, (value) => Number(value > 0.5));
    const open = widest(mapped(padded(solid, 1), (value) => 1 - value), 1, false);
    let area = 0, hidden = 0;
    solid.data.forEach((value, at) => {
      area += value;
      hidden += 1 - open.data[(Math.floor(at / solid.width) + 1) * open.width + (at % solid.width) + 1];
    });
    return (2 * area) / Math.max(1, area - hidden);
  };

  const fitBox = (ink, box) => {
    const scaled = (image, side, least) => {
      const longer = Math.max(image.height, image.width);
      return resized(image, ...[image.height, image.width].map((length) => Math.max(least, rounded((length * side) / longer))));
    };
    const fine = scaled(ink, box * FINE, FINE);
    const thicker = rounded((Math.max(0, THINNEST_STROKE - strokeWidth(fine) / FINE) * FINE) / 2);
    const small = scaled(widest(padded(fine, thicker), thicker, false), box, 1), most = Math.max(largestOf(small.data), 1e-6);
    return mapped(small, (value) => value / most);
  };

  const centered = (small, side) => {
    let mass = 0, sumX = 0, sumY = 0;
    small.data.forEach((value, at) => {
      mass += value;
      sumX += value * (at % small.width);
      sumY += value * Math.floor(at / small.width);
    });
    const start = (sum, length) => Math.min(Math.max(rounded((side - 1) / 2 - sum / mass), 0), side - length);
    const top = start(sumY, small.height), left = start(sumX, small.width), found = grid(side, side);
    small.data.forEach((value, at) => { found.data[(top + Math.floor(at / small.width)) * side + left + (at % small.width)] = value; });
    return found;
  };

  const digit = (gray, side) => {
    const border = edge(gray);
    if (gray.height === side && gray.width === side && border.reduce((a, b) => a + b, 0) / border.length < 0.25) return gray;
    const scale = Math.min(1, WORK_SIDE / Math.max(gray.height, gray.width));
    const work = scale < 1 ? resized(gray, ...[gray.height, gray.width].map((length) => Math.max(1, rounded(length * scale)))) : gray;
    return centered(fitBox(cropped(inkOf(work)), rounded(side * BOX_SHARE)), side);
  };

  // The bytes that the network takes, from the red, green, blue and alpha of a picture.
  const levels = ({ data, width, height }, [rows, columns, channels], isDigit) => {
    const luma = (at) => {
      const alpha = data[at + 3] / 255;
      return ((0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2]) / 255) * alpha + (1 - alpha);
    };
    const plane = (value) => mapped(grid(height, width), (_, at) => value(4 * at));
    if (isDigit) return Uint8Array.from(digit(plane(luma), rows).data, (value) => rounded(255 * value));
    const byte = (value) => Math.floor(value + 0.5); // Pillow keeps bytes between its two passes
    const colors = [0, 1, 2].map((k) => resized(plane((at) => rounded((data[at + k] * data[at + 3]) / 255)), rows, columns, byte).data);
    if (channels === 1) return Uint8Array.from(colors[0], (red, at) => rounded(0.299 * red + 0.587 * colors[1][at] + 0.114 * colors[2][at]));
    return Uint8Array.from({ length: 3 * rows * columns }, (_, at) => colors[at % 3][Math.floor(at / 3)]);
  };

  return { levels };
})();
