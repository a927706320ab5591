// What each kind of layer does to one sample, channels last, and its way back: a kind is one function
// (step, sources, weight, learning) => { out, back }, and back(upstream, grad) gives the gradients of
// its sources and adds those of its weights to what `grad` holds. What an axis reads comes resolved.
"use strict";

const Layers = (() => {
  const volume = (shape) => shape.reduce((product, size) => product * size, 1);
  const last = (shape) => shape[shape.length - 1];

  // ---- activations: value, and slope of (what went in, what came out) ---------------------------
  // Abramowitz and Stegun 7.1.26 is too coarse for 1e-5; this is the incomplete gamma series and
  // continued fraction (Numerical Recipes, section 6.2), good to double precision.
  const erf = (x) => {
    const t = Math.abs(x);
    if (t > 6) return Math.sign(x);
    if (t < 2.5) {
      let term = t, sum = t;
      for (let n = 1; Math.abs(term) > 1e-17 * sum && n < 200; n++) {
        term *= (2 * t * t) / (2 * n + 1);
        sum += term;
      }
      return (Math.sign(x) * 2 * Math.exp(-t * t) * sum) / Math.sqrt(Math.PI);
    }
    let fraction = 0;
    for (let n = 60; n > 0; n--) fraction = n / 2 / (t + fraction);
    return Math.sign(x) * (1 - Math.exp(-t * t) / (Math.sqrt(Math.PI) * (t + fraction)));
  };
  const sigmoid = (x) => 1 / (1 + Math.exp(-x));
  const softplus = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
  const clip = (x, low, high) => Math.min(Math.max(x, low), high);
  const within = (x, low, high) => (x > low && x < high ? 1 : 0);

  const pointwise = {
    relu: [(x) => (x > 0 ? x : 0), (x) => (x > 0 ? 1 : 0)],
    relu6: [(x) => clip(x, 0, 6), (x) => within(x, 0, 6)],
    leakyrelu: [(x, slope) => (x > 0 ? x : slope * x), (x, y, slope) => (x > 0 ? 1 : slope)],
    elu: [(x, alpha) => (x > 0 ? x : alpha * Math.expm1(x)), (x, y, alpha) => (x > 0 ? 1 : y + alpha)],
    gelu: [(x) => 0.5 * x * (1 + erf(x / Math.SQRT2)), (x) => 0.5 * (1 + erf(x / Math.SQRT2)) + (x * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI)],
    silu: [(x) => x * sigmoid(x), (x) => sigmoid(x) * (1 + x * (1 - sigmoid(x)))],
    mish: [(x) => x * Math.tanh(softplus(x)), (x) => Math.tanh(softplus(x)) + x * sigmoid(x) * (1 - Math.tanh(softplus(x)) ** 2)],
    hardswish: [(x) => (x * clip(x + 3, 0, 6)) / 6, (x) => (x <= -3 ? 0 : x >= 3 ? 1 : (2 * x + 3) / 6)],
    hardsigmoid: [(x) => clip(x + 3, 0, 6) / 6, (x) => within(x, -3, 3) / 6],
    softplus: [softplus, sigmoid],
    clip: [clip, (x, y, low, high) => within(x, low, high)],
    tanh: [Math.tanh, (x, y) => 1 - y * y],
    sigmoid: [sigmoid, (x, y) => y * (1 - y)],
  };

  // Softmax of each cell's channels, or its logarithm, and the way back.
  const shares = (x, channels, logarithm) => {
    const out = new Float32Array(x.length);
    for (let start = 0; start < x.length; start += channels) {
      let largest = -Infinity, sum = 0;
      for (let c = start; c < start + channels; c++) largest = Math.max(largest, x[c]);
      for (let c = start; c < start + channels; c++) sum += Math.exp(x[c] - largest);
      for (let c = start; c < start + channels; c++) out[c] = logarithm ? x[c] - largest - Math.log(sum) : Math.exp(x[c] - largest) / sum;
    }
    const back = (up) => {
      const found = new Float64Array(up.length);
      for (let start = 0; start < up.length; start += channels) {
        let sum = 0;
        for (let c = start; c < start + channels; c++) sum += logarithm ? up[c] : up[c] * out[c];
        for (let c = start; c < start + channels; c++) found[c] = logarithm ? up[c] - Math.exp(out[c]) * sum : out[c] * (up[c] - sum);
      }
      return found;
    };
    return { out, back };
  };

  const activated = ({ activation, numbers = [], output }, x) => {
    if (activation === "softmax" || activation === "logsoftmax") return shares(x, last(output), activation === "logsoftmax");
    const [value, slope] = pointwise[activation], [first, second] = numbers;
    const out = x.map((one) => value(one, first, second));
    return { out, back: (up) => up.map((one, i) => one * slope(x[i], out[i], first, second)) };
  };

  // ---- which cells an output cell reads ---------------------------------------------------------
  const counted = (count, make) => Array.from({ length: count }, (_, i) => make(i));

  // Along one axis: [cell, place in the kernel, share] for every place that output `at` reads.
  const along = {
    window: ({ kernel, stride, dilation, before }, at) => counted(kernel, (tap) => [at * stride - before + tap * dilation, tap, 1]),
    spread: ({ kernel, stride, dilation, before }, at) => counted(kernel, (tap) => [(at + before - tap * dilation) / stride, tap, 1]).filter(([from]) => Number.isInteger(from)),
    adaptive: ({ size, count }, at) => {
      const first = Math.floor((at * size) / count);
      return counted(Math.ceil(((at + 1) * size) / count) - first, (i) => [first + i, 0, 1]);
    },
    enlarge: ({ factor, over, linear }, at, size) => {
      if (!linear) return [[Math.floor((at * over) / factor), 0, 1]];
      const place = clip(((at + 0.5) * over) / factor - 0.5, 0, size - 1), left = Math.floor(place);
      return [[left, 0, 1 - (place - left)], [Math.min(left + 1, size - 1), 0, place - left]].filter(([, , share]) => share);
    },
  };

  const MEANS = new Set(["avgpool", "gap", "adaptavg"]);

  // The reads of one axis, cut to the input; those of a mean weigh one part of the window each.
  const axisOf = (step, axis, size, places) => {
    const rule = step.reads ? step.reads[axis] : { kind: "adaptive", size, count: 1 };
    return counted(places, (at) => {
      const found = along[rule.kind](rule, at, size).filter(([from]) => from >= 0 && from < size);
      if (!MEANS.has(step.op)) return found;
      const start = at * rule.stride - rule.before, stop = Math.min(start + (rule.kernel - 1) * rule.dilation + 1, size + rule.after);
      return found.map(([from, tap]) => [from, tap, 1 / (step.count_padding ? stop - start : found.length)]);
    });
  };

  // Of all output cells, one after the other: the cells of the input, the place in the kernel, the
  // share; `first` tells where those of each begin.
  const links = (step) => {
    if (step.links) return step.links;
    const sizes = step.input.slice(0, -1), places = step.output.length === step.input.length ? step.output.slice(0, -1) : sizes.map(() => 1);
    let cells = [[[0, 0, 1]]];
    sizes.forEach((size, axis) => {
      const own = axisOf(step, axis, size, places[axis]), kernel = step.kernel ? step.kernel[axis] : 1;
      cells = cells.flatMap((outer) => own.map((inner) => outer.flatMap(([from, tap, share]) => inner.map(([cell, more, part]) => [from * size + cell, tap * kernel + more, share * part]))));
    });
    const first = new Int32Array(cells.length + 1), all = cells.flat();
    cells.forEach((taps, at) => { first[at + 1] = first[at] + taps.length; });
    step.links = { first, from: Int32Array.from(all, ([from]) => from), tap: Int32Array.from(all, ([, tap]) => tap), share: Float64Array.from(all, ([, , share]) => share) };
    return step.links;
  };

  // Calls `visit(output cell, input cell, place in the kernel, share)` for all that output cells read.
  const eachLink = (step, visit, only = null) => {
    const { first, from, tap, share } = links(step);
    const [begin, end] = only === null ? [0, first.length - 1] : [only, only + 1];
    for (let at = begin; at < end; at++) for (let i = first[at]; i < first[at + 1]; i++) visit(at, from[i], tap[i], share[i]);
  };

  // ---- sums of products ---------------------------------------------------------------------------
  const biased = (size, bias) => {
    const sums = new Float64Array(size);
    if (bias) for (let at = 0; at < size; at += bias.length) sums.set(bias, at);
    return sums;
  };
  const addBias = (gradient, up) => {
    if (gradient) for (let i = 0; i < up.length; i++) gradient[i % gradient.length] += up[i];
  };

  // Where the weights of input channel `c` of a group begin, and how the channels are parted.
  const parted = (step) => {
    const ins = last(step.input), filters = last(step.output), groups = step.groups || 1, own = ins / groups, each = filters / groups;
    const place = step.op === "upconv" ? (tap, group, c) => (tap * ins + group * own + c) * each : (tap, group, c) => (tap * own + c) * filters + group * each;
    return { ins, filters, groups, own, each, place };
  };

  const conv = (step, [x], weight) => {
    const { ins, filters, groups, own, each, place } = parted(step), kernel = weight("kernel");
    const sums = biased(volume(step.output), weight("bias"));
    eachLink(step, (at, from, tap) => {
      for (let group = 0; group < groups; group++) {
        for (let c = 0; c < own; c++) {
          const value = x[from * ins + group * own + c], start = place(tap, group, c), to = at * filters + group * each;
          if (value !== 0) for (let f = 0; f < each; f++) sums[to + f] += value * kernel[start + f];
        }
      }
    });
    const back = (up, grad) => {
      const dx = new Float64Array(x.length), dKernel = grad("kernel");
      addBias(grad("bias"), up);
      eachLink(step, (at, from, tap) => {
        for (let group = 0; group < groups; group++) {
          for (let c = 0; c < own; c++) {
            const source = from * ins + group * own + c, value = x[source], start = place(tap, group, c), to = at * filters + group * each;
            let sum = 0;
            for (let f = 0; f < each; f++) {
              sum += up[to + f] * kernel[start + f];
              dKernel[start + f] += up[to + f] * value;
            }
            dx[source] += sum;
          }
        }
      });
      return [dx];
    };
    return { out: new Float32Array(sums), back };
  };

  // Output channel = input channel * multiplier + copy, kernel taps x channel x copy.
  const dwconv = (step, [x], weight) => {
    const ins = last(step.input), outs = ins * step.multiplier, kernel = weight("kernel");
    const sums = biased((volume(step.output) / last(step.output)) * outs, weight("bias"));
    const eachProduct = (visit) => eachLink(step, (at, from, tap) => {
      for (let o = 0; o < outs; o++) visit(at * outs + o, from * ins + Math.floor(o / step.multiplier), tap * outs + o);
    });
    eachProduct((to, source, place) => { sums[to] += x[source] * kernel[place]; });
    const back = (up, grad) => {
      const dx = new Float64Array(x.length), dKernel = grad("kernel");
      addBias(grad("bias"), up);
      eachProduct((to, source, place) => {
        dx[source] += up[to] * kernel[place];
        dKernel[place] += up[to] * x[source];
      });
      return [dx];
    };
    return { out: new Float32Array(sums), back };
  };

  const dense = ({ output }, [x], weight) => {
    const units = last(output), kernel = weight("kernel"), inputs = kernel.length / units, sums = biased((x.length / inputs) * units, weight("bias"));
    for (let i = 0; i < x.length; i++) {
      const to = Math.floor(i / inputs) * units, start = (i % inputs) * units, value = x[i];
      if (value !== 0) for (let u = 0; u < units; u++) sums[to + u] += value * kernel[start + u];
    }
    const back = (up, grad) => {
      const dx = new Float64Array(x.length), dKernel = grad("kernel");
      addBias(grad("bias"), up);
      for (let i = 0; i < x.length; i++) {
        const to = Math.floor(i / inputs) * units, start = (i % inputs) * units, value = x[i];
        for (let u = 0; u < units; u++) {
          dx[i] += up[to + u] * kernel[start + u];
          dKernel[start + u] += up[to + u] * value;
        }
      }
      return [dx];
    };
    return { out: new Float32Array(sums), back };
  };

  const sepconv = (step, [x], weight) => {
    const renamed = (arrays, names) => (name) => (names[name] ? arrays(names[name]) : null), depth = { kernel: "depthwise" }, point = { kernel: "pointwise", bias: "bias" };
    const middle = dwconv(step, [x], renamed(weight, depth)), whole = dense(step, [middle.out], renamed(weight, point));
    return { out: whole.out, back: (up, grad) => middle.back(whole.back(up, renamed(grad, point))[0], renamed(grad, depth)) };
  };

  // ---- the same numbers elsewhere -------------------------------------------------------------------
  // `chosen` tells for each number which of the input it is.
  const moved = (x, chosen) => {
    const back = (up) => {
      const dx = new Float64Array(x.length);
      chosen.forEach((from, at) => { dx[from] += up[at]; });
      return [dx];
    };
    return { out: Float32Array.from(chosen, (from) => x[from]), chosen, back };
  };

  // ---- pools and what else weighs cells -----------------------------------------------------------
  const largest = (step, [x]) => {
    const channels = last(step.input), out = new Float32Array(volume(step.output)).fill(-Infinity), chosen = new Int32Array(out.length);
    eachLink(step, (at, from) => {
      for (let c = 0; c < channels; c++) {
        const value = x[from * channels + c], to = at * channels + c;
        if (value > out[to]) { out[to] = value; chosen[to] = from * channels + c; }
      }
    });
    return moved(x, chosen);
  };

  const weighed = (step, [x]) => {
    const channels = last(step.input), out = new Float64Array(volume(step.output));
    eachLink(step, (at, from, tap, share) => { for (let c = 0; c < channels; c++) out[at * channels + c] += share * x[from * channels + c]; });
    const back = (up) => {
      const dx = new Float64Array(x.length);
      eachLink(step, (at, from, tap, share) => { for (let c = 0; c < channels; c++) dx[from * channels + c] += share * up[at * channels + c]; });
      return [dx];
    };
    return { out: new Float32Array(out), back };
  };

  // ---- norms ------------------------------------------------------------------------------------
  // Numbers of a group less their mean over their deviation, scaled and shifted by channel; with
  // `fixed` mean and variance nothing flows through the statistics.
  const normalized = (step, x, groups, groupOf, weight, { centered = true, fixed = null } = {}) => {
    const channels = last(step.output), count = x.length / groups, normal = new Float64Array(x.length), scale = weight("scale"), shift = weight("shift");
    const [mean, variance] = fixed || [new Float64Array(groups), new Float64Array(groups)];
    if (!fixed && centered) for (let i = 0; i < x.length; i++) mean[groupOf(i)] += x[i] / count;
    if (!fixed) for (let i = 0; i < x.length; i++) variance[groupOf(i)] += (x[i] - mean[groupOf(i)]) ** 2 / count;
    const inverse = Float64Array.from(variance, (one) => 1 / Math.sqrt(one + step.eps)), out = new Float32Array(x.length);
    for (let i = 0; i < x.length; i++) {
      const group = groupOf(i), c = i % channels;
      normal[i] = (x[i] - mean[group]) * inverse[group];
      out[i] = normal[i] * (scale ? scale[c] : 1) + (shift ? shift[c] : 0);
    }
    const back = (up, grad) => {
      const dx = new Float64Array(x.length), level = new Float64Array(groups), slope = new Float64Array(groups), dScale = grad("scale");
      addBias(grad("shift"), up);
      for (let i = 0; i < x.length; i++) {
        dx[i] = up[i] * (scale ? scale[i % channels] : 1);
        if (dScale) dScale[i % channels] += up[i] * normal[i];
        if (fixed) continue;
        if (centered) level[groupOf(i)] += dx[i] / count;
        slope[groupOf(i)] += (dx[i] * normal[i]) / count;
      }
      for (let i = 0; i < x.length; i++) dx[i] = (dx[i] - level[groupOf(i)] - normal[i] * slope[groupOf(i)]) * inverse[groupOf(i)];
      return [dx];
    };
    return { out, back, mean, variance };
  };

  const byCell = (centered) => (step, [x], weight) => {
    const channels = last(step.output);
    return normalized(step, x, x.length / channels, (i) => Math.floor(i / channels), weight, { centered });
  };
  const byGroups = (countOf) => (step, [x], weight) => {
    const channels = last(step.output), groups = countOf(step), each = channels / groups;
    return normalized(step, x, groups, (i) => Math.floor((i % channels) / each), weight);
  };
  const bn = (step, [x], weight) => normalized(step, x, last(step.output), (i) => i % last(step.output), weight, { fixed: [weight("mean"), weight("variance")] });

  // In training one norm over the samples of a batch, whose statistics move the running ones (Ioffe and Szegedy 2015).
  const bnOfBatch = (step, batch, weight) => {
    const size = batch[0].length, channels = last(step.output), joined = new Float64Array(size * batch.length);
    batch.forEach((x, i) => joined.set(x, i * size));
    const { out, back, mean, variance } = normalized(step, joined, channels, (i) => i % channels, weight), count = joined.length / channels;
    const parts = (array) => batch.map((_, i) => array.subarray(i * size, (i + 1) * size));
    for (let c = 0; c < channels; c++) {
      weight("mean")[c] += step.momentum * (mean[c] - weight("mean")[c]);
      weight("variance")[c] += step.momentum * ((variance[c] * count) / Math.max(1, count - 1) - weight("variance")[c]);
    }
    return {
      outs: parts(out),
      back: (ups, grad) => {
        const all = new Float64Array(joined.length);
        ups.forEach((up, i) => all.set(up, i * size));
        return parts(back(all, grad)[0]);
      },
    };
  };

  // Each cell's channels as a vector of length 1.
  const l2norm = (step, [x]) => {
    const channels = last(step.output), cells = counted(x.length / channels, (cell) => cell * channels);
    const along = (a, b) => cells.map((at) => { let sum = 0; for (let c = 0; c < channels; c += 1) sum += a[at + c] * b[at + c]; return sum; });
    const lengths = along(x, x).map((square) => Math.max(Math.sqrt(square), 1e-12)), cell = (i) => Math.floor(i / channels);
    const out = x.map((one, i) => one / lengths[cell(i)]);
    return { out, back: (up) => { const sums = along(up, out); return [up.map((one, i) => (one - out[i] * sums[cell(i)]) / lengths[cell(i)])]; } };
  };

  // x / (k + alpha / size * sum of squares of neighboring channels) ** beta (Krizhevsky et al. 2012).
  const lrn = (step, [x]) => {
    const channels = last(step.output), { size, alpha, beta, k } = step, before = size >> 1, after = (size - 1) >> 1;
    const around = (values, low, high) => Float64Array.from(values, (_, i) => {
      const c = i % channels;
      let sum = 0;
      for (let j = Math.max(0, c - low); j <= Math.min(channels - 1, c + high); j++) sum += values[i - c + j];
      return sum;
    });
    const level = around(Float64Array.from(x, (one) => one * one), before, after).map((sum) => k + (alpha / size) * sum), root = level.map((one) => one ** -beta);
    const back = (up) => {
      const felt = around(Float64Array.from(up, (one, i) => (one * x[i] * root[i]) / level[i]), after, before);
      return [Float64Array.from(up, (one, i) => one * root[i] - ((2 * alpha * beta) / size) * x[i] * felt[i])];
    };
    return { out: x.map((one, i) => one * root[i]), back };
  };

  // Into which axes a layer parts its input, and in which order it puts them.
  const dealt = {
    shuffle: ({ input, groups }) => [[...input.slice(0, -1), groups, last(input) / groups], [...input.slice(0, -1).keys(), input.length, input.length - 1]],
    permute: ({ input, order }) => [input, order.length === input.length ? order : [0, ...order.map((axis) => axis + 1)]],
    pixelshuffle: ({ input, output }) => {
      const factors = input.slice(0, -1).map((size, axis) => output[axis] / size), rank = factors.length;
      return [[...input.slice(0, -1), last(output), ...factors], [...factors.flatMap((_, axis) => [axis, rank + 1 + axis]), rank]];
    },
    pixelunshuffle: ({ input, output }) => {
      const rank = input.length - 1, axes = [...Array(rank).keys()];
      return [[...axes.flatMap((axis) => [output[axis], input[axis] / output[axis]]), last(input)], [...axes.map((axis) => 2 * axis), 2 * rank, ...axes.map((axis) => 2 * axis + 1)]];
    },
  };

  const deal = (step, [x]) => {
    const [split, order] = dealt[step.op](step), jumps = split.map((_, axis) => volume(split.slice(axis + 1)));
    let index = [0];
    for (const axis of order) index = index.flatMap((start) => counted(split[axis], (i) => start + i * jumps[axis]));
    return moved(x, index);
  };

  const slice = (step, [x]) => {
    const ins = last(step.input), outs = last(step.output);
    return moved(x, counted(x.length / ins * outs, (i) => Math.floor(i / outs) * ins + step.channels[0] + (i % outs)));
  };

  // ---- several sources -------------------------------------------------------------------------------
  const add = (step, sources) => ({ out: sources.slice(1).reduce((sum, other) => sum.map((value, i) => value + other[i]), sources[0]), back: (up) => sources.map(() => up) });

  const concat = (step, sources) => {
    const channels = last(step.output), places = volume(step.output) / channels, out = new Float32Array(places * channels);
    const each = (visit) => sources.reduce((start, source, k) => {
      const width = source.length / places;
      for (let i = 0; i < source.length; i++) visit(k, i, Math.floor(i / width) * channels + start + (i % width));
      return start + width;
    }, 0);
    each((k, i, at) => { out[at] = sources[k][i]; });
    const back = (up) => {
      const found = sources.map((source) => new Float64Array(source.length));
      each((k, i, at) => { found[k][i] = up[at]; });
      return found;
    };
    return { out, back };
  };

  // Where the number for place `at` of a map stands in one that has 1 for some of its axes.
  const broadcast = (whole, part) => {
    const padded = [...whole.slice(part.length).map(() => 1), ...part];
    let index = [0];
    whole.forEach((size, axis) => { index = index.flatMap((start) => counted(size, (i) => start * padded[axis] + (padded[axis] > 1 ? i : 0))); });
    return index;
  };

  const product = (step, sources) => {
    const places = step.shapes.map((shape) => (`${shape}` === `${step.output}` ? null : broadcast(step.output, shape)));
    const at = (k, i) => (places[k] ? places[k][i] : i), out = sources[0].map((_, i) => sources.reduce((value, source, k) => value * source[at(k, i)], 1));
    const back = (up) => sources.map((source, k) => {
      const found = new Float64Array(source.length);
      up.forEach((one, i) => { found[at(k, i)] += sources.reduce((value, other, j) => (j === k ? value : value * other[at(j, i)]), one); });
      return found;
    });
    return { out, back };
  };

  // ---- a factor for each channel ----------------------------------------------------------------------
  const factored = (name, applies) => (step, [x], weight) => {
    const factor = weight(name), of = (i) => (applies(x[i]) ? factor[i % factor.length] : 1);
    const back = (up, grad) => {
      const dFactor = grad(name);
      up.forEach((one, i) => { if (applies(x[i])) dFactor[i % factor.length] += one * x[i]; });
      return [Float64Array.from(up, (one, i) => one * of(i))];
    };
    return { out: x.map((value, i) => value * of(i)), back };
  };

  // ---- over time --------------------------------------------------------------------------------------
  // One step of one unit: from the sums of the gates, as inputs and state give them, the new state; and
  // from the gradients of the new state those of both sums and of the old state.
  const cells = {
    lstm: {
      gates: 4, // i f g o
      forward: (x, h, before) => {
        const [i, f, g, o] = [sigmoid(x[0] + h[0]), sigmoid(x[1] + h[1]), Math.tanh(x[2] + h[2]), sigmoid(x[3] + h[3])], cell = f * before.cell + i * g;
        return { hidden: o * Math.tanh(cell), cell, kept: [i, f, g, o] };
      },
      back: (dHidden, dLater, { cell, kept: [i, f, g, o] }, before) => {
        const top = Math.tanh(cell), dCell = dLater + dHidden * o * (1 - top * top);
        const sums = [dCell * g * i * (1 - i), dCell * before.cell * f * (1 - f), dCell * i * (1 - g * g), dHidden * top * o * (1 - o)];
        return { fromX: sums, fromH: sums, dBefore: 0, dCell: dCell * f };
      },
    },
    gru: {
      gates: 3, // r z n; the reset gate weighs what the recurrent kernel made of the state
      forward: (x, h, before) => {
        const r = sigmoid(x[0] + h[0]), z = sigmoid(x[1] + h[1]), n = Math.tanh(x[2] + r * h[2]);
        return { hidden: z * before.hidden + (1 - z) * n, cell: 0, kept: [r, z, n, h[2]] };
      },
      back: (dHidden, dLater, { kept: [r, z, n, h] }, before) => {
        const dn = dHidden * (1 - z) * (1 - n * n), dr = dn * h * r * (1 - r), dz = dHidden * (before.hidden - n) * z * (1 - z);
        return { fromX: [dr, dz, dn], fromH: [dr, dz, dn * r], dBefore: dHidden * z, dCell: 0 };
      },
    },
  };

  const direction = (step, x, array, order) => {
    const { gates, forward, back } = cells[step.op], { units } = step, ins = last(step.input), wide = gates * units;
    const [kernel, recurrent, bias, again] = ["kernel", "recurrent", "bias", "recurrent_bias"].map(array);
    const rest = counted(units, () => ({ hidden: 0, cell: 0 })), states = [rest];
    for (const time of order) {
      const before = last(states), fromX = biased(wide, bias), fromH = biased(wide, again);
      for (let g = 0; g < wide; g++) {
        for (let c = 0; c < ins; c++) fromX[g] += x[time * ins + c] * kernel[c * wide + g];
        for (let u = 0; u < units; u++) fromH[g] += before[u].hidden * recurrent[u * wide + g];
      }
      const own = (sums, u) => counted(gates, (gate) => sums[gate * units + u]);
      states.push(counted(units, (u) => forward(own(fromX, u), own(fromH, u), before[u])));
    }
    const backward = (upstream, dx, grad) => {
      const [dKernel, dRecurrent, dBias, dAgain] = ["kernel", "recurrent", "bias", "recurrent_bias"].map(grad);
      let dHidden = new Float64Array(units), dCell = new Float64Array(units);
      for (let number = order.length; number > 0; number--) {
        const time = order[number - 1], before = states[number - 1], fromX = new Float64Array(wide), fromH = new Float64Array(wide), dBefore = new Float64Array(units);
        for (let u = 0; u < units; u++) {
          const found = back(dHidden[u] + upstream(time, u), dCell[u], states[number][u], before[u]);
          for (let gate = 0; gate < gates; gate++) { fromX[gate * units + u] = found.fromX[gate]; fromH[gate * units + u] = found.fromH[gate]; }
          [dBefore[u], dCell[u]] = [found.dBefore, found.dCell];
        }
        addBias(dBias, fromX);
        addBias(dAgain, fromH);
        for (let g = 0; g < wide; g++) {
          for (let c = 0; c < ins; c++) { dKernel[c * wide + g] += x[time * ins + c] * fromX[g]; dx[time * ins + c] += fromX[g] * kernel[c * wide + g]; }
          for (let u = 0; u < units; u++) { dRecurrent[u * wide + g] += before[u].hidden * fromH[g]; dBefore[u] += fromH[g] * recurrent[u * wide + g]; }
        }
        dHidden = dBefore;
      }
    };
    return { states, backward };
  };

  const recurrent = (step, [x], weight) => {
    const length = step.input[1], { units, sequence } = step, times = [...Array(length).keys()], out = new Float32Array(volume(step.output));
    const ways = ["", ...(step.bidirectional ? ["reverse_"] : [])].map((name, k) => {
      const order = name ? [...times].reverse() : times, way = direction(step, x, (array) => weight(name + array), order);
      const place = (time) => (sequence ? time * last(step.output) : 0) + k * units;
      const shown = sequence ? [...order.keys()] : [length - 1];
      for (const number of shown) way.states[number + 1].forEach(({ hidden }, u) => { out[place(order[number]) + u] = hidden; });
      return { name, way, upstream: (up) => (time, u) => (sequence || time === order[length - 1] ? up[place(time) + u] : 0) };
    });
    const back = (up, grad) => {
      const dx = new Float64Array(x.length);
      for (const { name, way, upstream } of ways) way.backward(upstream(up), dx, (array) => grad(name + array));
      return [dx];
    };
    return { out, back };
  };

  const same = (step, [x]) => ({ out: x, back: (up) => [up] });

  // In training numbers, or whole channels, are left out by chance.
  const dropout = (step, [x], weight, learning) => {
    if (!learning) return same(step, [x]);
    const channels = last(step.output), draw = () => (learning() < step.rate ? 0 : 1 / (1 - step.rate)), whole = counted(channels, draw);
    const mask = Float32Array.from(x, (_, i) => (step.op === "dropout2d" ? whole[i % channels] : draw()));
    return { out: x.map((one, i) => one * mask[i]), back: (up) => [up.map((one, i) => one * mask[i])] };
  };

  const kinds = {
    conv, upconv: conv, dwconv, sepconv, dense, bn, l2norm, lrn, add, concat, slice, dropout, dropout2d: dropout,
    maxpool: largest, gmp: largest, adaptmax: largest,
    avgpool: weighed, gap: weighed, adaptavg: weighed, pad: weighed, crop: weighed, upsample: weighed,
    ln: byCell(true), rmsnorm: byCell(false), gn: byGroups(({ groups }) => groups), instancenorm: byGroups(({ output }) => last(output)),
    shuffle: deal, permute: deal, pixelshuffle: deal, pixelunshuffle: deal,
    scale: product, mul: product, prelu: factored("slope", (x) => x <= 0), layerscale: factored("scale", () => true),
    lstm: recurrent, gru: recurrent, flatten: same, reshape: same, activation: (step, [x]) => ({ out: x, back: (up) => [up] }),
  };

  return { activated, bnOfBatch, eachLink, kinds, last, parted, volume };
})();
