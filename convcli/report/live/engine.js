// The forward pass of a network on typed arrays, channels last, one sample.
// Every step arrives with its padding resolved to numbers, so no padding rule stands here.
"use strict";

const Engine = (() => {
  const volume = (shape) => shape.reduce((product, size) => product * size, 1);

  const decodeWeights = (text) => {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    return new Float32Array(bytes.buffer);
  };

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
  const pointwise = {
    relu: (x) => (x > 0 ? x : 0),
    relu6: (x) => Math.min(Math.max(x, 0), 6),
    leakyrelu: (x) => (x > 0 ? x : 0.01 * x),
    elu: (x) => (x > 0 ? x : Math.expm1(x)),
    gelu: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
    silu: (x) => x * sigmoid(x),
    hardswish: (x) => (x * Math.min(Math.max(x + 3, 0), 6)) / 6,
    tanh: Math.tanh,
    sigmoid,
  };

  const softmax = (values, channels) => {
    for (let start = 0; start < values.length; start += channels) {
      let largest = -Infinity, sum = 0;
      for (let c = 0; c < channels; c++) largest = Math.max(largest, values[start + c]);
      const exponentials = [];
      for (let c = 0; c < channels; c++) {
        exponentials.push(Math.exp(values[start + c] - largest));
        sum += exponentials[c];
      }
      for (let c = 0; c < channels; c++) values[start + c] = exponentials[c] / sum;
    }
  };

  // What goes into these is kept: for their slopes, and to be shown as logits.
  const keepsInput = new Set(["gelu", "silu", "hardswish", "softmax"]);

  const activate = (kind, values, channels) => {
    if (!kind) return values;
    if (kind === "softmax") softmax(values, channels);
    else for (let i = 0; i < values.length; i++) values[i] = pointwise[kind](values[i]);
    return values;
  };

  // Calls `visit(inputOffset, tap)` for every cell of the window of output (row, column) that lies
  // inside the input; `tap` counts kernel cells row by row.
  const eachTap = (step, row, column, visit) => {
    const [height, width, channels] = step.input;
    const { kernel, stride, before, dilation } = step;
    for (let r = 0; r < kernel[0]; r++) {
      const y = row * stride[0] - before[0] + r * dilation[0];
      if (y < 0 || y >= height) continue;
      for (let c = 0; c < kernel[1]; c++) {
        const x = column * stride[1] - before[1] + c * dilation[1];
        if (x < 0 || x >= width) continue;
        visit((y * width + x) * channels, r * kernel[1] + c, y, x);
      }
    }
  };

  const conv = (step, source, weight) => {
    const [outHeight, outWidth, filters] = step.output;
    const inChannels = step.input[2] / step.groups, perGroup = filters / step.groups;
    const kernel = weight("kernel"), bias = weight("bias");
    const out = new Float32Array(volume(step.output)), sums = new Float64Array(filters);
    for (let row = 0; row < outHeight; row++) {
      for (let column = 0; column < outWidth; column++) {
        if (bias) sums.set(bias); else sums.fill(0);
        eachTap(step, row, column, (from, tap) => {
          for (let group = 0; group < step.groups; group++) {
            for (let c = 0; c < inChannels; c++) {
              const value = source[from + group * inChannels + c];
              if (value === 0) continue;
              const start = (tap * inChannels + c) * filters;
              for (let f = group * perGroup; f < (group + 1) * perGroup; f++) {
                sums[f] += value * kernel[start + f];
              }
            }
          }
        });
        out.set(sums, (row * outWidth + column) * filters);
      }
    }
    return out;
  };

  // Depthwise: output channel = input channel * multiplier + copy, kernel H x W x channel x copy.
  const depthwise = (step, source, kernel, bias, multiplier) => {
    const [outHeight, outWidth] = step.output, channels = step.input[2];
    const outChannels = channels * multiplier;
    const out = new Float32Array(outHeight * outWidth * outChannels);
    const sums = new Float64Array(outChannels);
    for (let row = 0; row < outHeight; row++) {
      for (let column = 0; column < outWidth; column++) {
        if (bias) sums.set(bias); else sums.fill(0);
        eachTap(step, row, column, (from, tap) => {
          for (let o = 0; o < outChannels; o++) {
            sums[o] += source[from + Math.floor(o / multiplier)] * kernel[tap * outChannels + o];
          }
        });
        out.set(sums, (row * outWidth + column) * outChannels);
      }
    }
    return out;
  };

  const dense = (step, source, weight) => {
    const units = step.output[step.output.length - 1];
    const inputs = step.input[step.input.length - 1], places = source.length / inputs;
    const kernel = weight("kernel"), bias = weight("bias");
    const out = new Float32Array(places * units), sums = new Float64Array(units);
    for (let place = 0; place < places; place++) {
      if (bias) sums.set(bias); else sums.fill(0);
      for (let i = 0; i < inputs; i++) {
        const value = source[place * inputs + i];
        if (value !== 0) for (let u = 0; u < units; u++) sums[u] += value * kernel[i * units + u];
      }
      out.set(sums, place * units);
    }
    return out;
  };

  const pool = (step, source, largest) => {
    const [outHeight, outWidth, channels] = step.output;
    const out = new Float32Array(volume(step.output));
    const chosen = largest ? new Int32Array(out.length) : null;
    const area = step.kernel[0] * step.kernel[1];
    for (let row = 0; row < outHeight; row++) {
      for (let column = 0; column < outWidth; column++) {
        for (let c = 0; c < channels; c++) {
          const at = (row * outWidth + column) * channels + c;
          let best = -Infinity, sum = 0, count = 0;
          eachTap(step, row, column, (from) => {
            const value = source[from + c];
            if (largest && value > best) { best = value; chosen[at] = from + c; }
            sum += value;
            count += 1;
          });
          out[at] = largest ? best : sum / (step.count_padding ? area : count);
        }
      }
    }
    return { out, chosen };
  };

  const wholePool = (step, source, largest) => {
    const channels = step.output[step.output.length - 1], places = source.length / channels;
    const out = new Float32Array(channels);
    for (let c = 0; c < channels; c++) {
      let best = -Infinity, sum = 0;
      for (let place = 0; place < places; place++) {
        best = Math.max(best, source[place * channels + c]);
        sum += source[place * channels + c];
      }
      out[c] = largest ? best : sum / places;
    }
    return out;
  };

  const adaptive = (step, source) => {
    const [height, width, channels] = step.input, [outHeight, outWidth] = step.output;
    const out = new Float32Array(volume(step.output));
    for (let row = 0; row < outHeight; row++) {
      const top = Math.floor((row * height) / outHeight), bottom = Math.ceil(((row + 1) * height) / outHeight);
      for (let column = 0; column < outWidth; column++) {
        const left = Math.floor((column * width) / outWidth), right = Math.ceil(((column + 1) * width) / outWidth);
        for (let c = 0; c < channels; c++) {
          let sum = 0;
          for (let y = top; y < bottom; y++) for (let x = left; x < right; x++) sum += source[(y * width + x) * channels + c];
          out[(row * outWidth + column) * channels + c] = sum / ((bottom - top) * (right - left));
        }
      }
    }
    return out;
  };

  const batchNorm = (step, source, weight) => {
    const channels = step.output[step.output.length - 1];
    const [scale, shift, mean, variance] = ["scale", "shift", "mean", "variance"].map(weight);
    return source.map((value, i) => {
      const c = i % channels;
      const normal = (value - mean[c]) / Math.sqrt(variance[c] + step.eps);
      return normal * (scale ? scale[c] : 1) + (shift ? shift[c] : 0);
    });
  };

  const instanceNorm = (step, source, weight) => {
    const channels = step.output[2], cells = source.length / channels;
    const mean = new Float64Array(channels), variance = new Float64Array(channels);
    source.forEach((value, i) => { mean[i % channels] += value / cells; });
    source.forEach((value, i) => { variance[i % channels] += (value - mean[i % channels]) ** 2 / cells; });
    const [scale, shift] = ["scale", "shift"].map(weight);
    return source.map((value, i) => {
      const c = i % channels;
      return ((value - mean[c]) / Math.sqrt(variance[c] + step.eps)) * scale[c] + shift[c];
    });
  };

  const padded = (step, source) => {
    const [height, width, channels] = step.input, [outHeight, outWidth] = step.output;
    const out = new Float32Array(volume(step.output));
    for (let row = 0; row < outHeight; row++) {
      for (let column = 0; column < outWidth; column++) {
        const y = row - step.before[0], x = column - step.before[1];
        if (y < 0 || y >= height || x < 0 || x >= width) continue;
        const from = (y * width + x) * channels;
        out.set(source.subarray(from, from + channels), (row * outWidth + column) * channels);
      }
    }
    return out;
  };

  const concat = (step, sources) => {
    const channels = step.output[step.output.length - 1], places = volume(step.output) / channels;
    const out = new Float32Array(volume(step.output));
    let start = 0;
    for (const source of sources) {
      const width = source.length / places;
      for (let place = 0; place < places; place++) {
        out.set(source.subarray(place * width, (place + 1) * width), place * channels + start);
      }
      start += width;
    }
    return out;
  };

  const scaled = (step, [source, gate]) => {
    const channels = step.output[step.output.length - 1];
    return source.map((value, i) => value * (gate.length === source.length ? gate[i] : gate[i % channels]));
  };

  const operations = {
    conv: (step, [source], weight) => conv(step, source, weight),
    dwconv: (step, [source], weight) =>
      depthwise(step, source, weight("kernel"), weight("bias"), step.multiplier),
    sepconv: (step, [source], weight) => {
      const middle = depthwise(step, source, weight("depthwise"), null, step.multiplier);
      const inputs = step.input[2] * step.multiplier;
      const point = { input: [inputs], output: step.output };
      const rename = (name) => weight(name === "kernel" ? "pointwise" : name);
      return dense(point, middle, rename);
    },
    dense: (step, [source], weight) => dense(step, source, weight),
    avgpool: (step, [source]) => pool(step, source, false).out,
    gap: (step, [source]) => wholePool(step, source, false),
    gmp: (step, [source]) => wholePool(step, source, true),
    adaptavg: (step, [source]) => adaptive(step, source),
    bn: (step, [source], weight) => batchNorm(step, source, weight),
    instancenorm: (step, [source], weight) => instanceNorm(step, source, weight),
    prelu: (step, [source], weight) => {
      const slope = weight("slope");
      return source.map((value, i) => (value > 0 ? value : slope[i % slope.length] * value));
    },
    activation: (step, [source]) => source.slice(),
    same: (step, [source]) => source,
    pad: (step, [source]) => padded(step, source),
    add: (step, sources) => sources.slice(1).reduce((sum, other) => sum.map((value, i) => value + other[i]), sources[0]),
    concat,
    scale: scaled,
  };

  class Network {
    constructor(description) {
      this.description = description;
      const { weights } = description;
      this.weights = typeof weights === "string" ? decodeWeights(weights) : weights;
      this.steps = description.steps;
    }

    weight(step, name) {
      const place = step.weights[name];
      return place ? this.weights.subarray(place[0], place[0] + place[1]) : null;
    }

    // What the network is fed for raw levels 0..255.
    prepared(levels) {
      const { scale, offset } = this.description.preprocessing;
      const channels = this.description.input[2];
      return Float32Array.from(levels, (level, i) => level * scale[i % channels] + offset[i % channels]);
    }

    // Runs one picture of raw levels; returns every step's values, the input first, the cells that
    // max pooling chose, and what went into activations where that is needed on the way back. A step
    // that the page has no function for, and all that read it, have null.
    run(levels) {
      const values = [this.prepared(levels)], chosen = [null], before = [null];
      for (const step of this.steps) {
        const sources = step.sources.map((index) => values[index]);
        if (step.missing || sources.includes(null)) {
          for (const list of [values, chosen, before]) list.push(null);
          continue;
        }
        const { out, chosen: cells = null } = step.op === "maxpool"
          ? pool(step, sources[0], true)
          : { out: operations[step.op](step, sources, (name) => this.weight(step, name)) };
        before.push(keepsInput.has(step.activation) ? out.slice() : null);
        values.push(activate(step.activation, out, step.output[step.output.length - 1]));
        chosen.push(cells);
      }
      return { values, chosen, before };
    }

    // The products behind one output value of a conv, dwconv or dense step, and their sum with the bias.
    terms(index, run, row, column, channel) {
      const step = this.steps[index - 1], source = run.values[step.sources[0]];
      const kernel = this.weight(step, "kernel"), bias = this.weight(step, "bias");
      const list = [];
      if (step.op === "dense") {
        const units = step.output[step.output.length - 1];
        source.forEach((value, i) => list.push({ place: [i], value, weight: kernel[i * units + channel] }));
      } else if (step.op === "conv") {
        const filters = step.output[2], inChannels = step.input[2] / step.groups;
        const first = Math.floor(channel / (filters / step.groups)) * inChannels;
        eachTap(step, row, column, (from, tap, y, x) => {
          for (let c = 0; c < inChannels; c++) {
            const weight = kernel[(tap * inChannels + c) * filters + channel];
            list.push({ place: [y, x, first + c], value: source[from + first + c], weight });
          }
        });
      } else if (step.op === "dwconv") {
        const filters = step.output[2], from = Math.floor(channel / step.multiplier);
        eachTap(step, row, column, (at, tap, y, x) => {
          list.push({ place: [y, x, from], value: source[at + from], weight: kernel[tap * filters + channel] });
        });
      } else return null;
      const start = bias ? bias[channel] : 0;
      return { list, bias: start, sum: list.reduce((sum, term) => sum + term.value * term.weight, start) };
    }
  }

  return { Network, depthwise, eachTap, erf, sigmoid, volume };
})();
