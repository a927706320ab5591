// The way back through a network on typed arrays, one sample: gradients of a number with respect to
// every value and every weight. Each rule follows its forward half in engine.js.
"use strict";

const Gradients = (() => {
  const { depthwise, eachTap, erf, sigmoid, volume } = Engine;

  // Slopes of activations: of the number that came out, or of the one that went in.
  const byOutput = {
    relu: (y) => (y > 0 ? 1 : 0),
    relu6: (y) => (y > 0 && y < 6 ? 1 : 0),
    leakyrelu: (y) => (y > 0 ? 1 : 0.01),
    elu: (y) => (y > 0 ? 1 : y + 1),
    tanh: (y) => 1 - y * y,
    sigmoid: (y) => y * (1 - y),
  };
  const byInput = {
    gelu: (x) => 0.5 * (1 + erf(x / Math.SQRT2)) + (x * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI),
    silu: (x) => sigmoid(x) * (1 + x * (1 - sigmoid(x))),
    hardswish: (x) => (x <= -3 ? 0 : x >= 3 ? 1 : (2 * x + 3) / 6),
  };

  const throughActivation = (step, output, input, upstream) => {
    const kind = step.activation;
    if (!kind) return upstream;
    if (kind !== "softmax") {
      const slope = byOutput[kind] || byInput[kind], seen = byOutput[kind] ? output : input;
      return upstream.map((value, i) => value * slope(seen[i]));
    }
    const channels = step.output[step.output.length - 1], found = new Float64Array(upstream.length);
    for (let start = 0; start < upstream.length; start += channels) {
      let sum = 0;
      for (let c = 0; c < channels; c++) sum += upstream[start + c] * output[start + c];
      for (let c = 0; c < channels; c++) found[start + c] = output[start + c] * (upstream[start + c] - sum);
    }
    return found;
  };

  const eachCell = (step, visit) => {
    const [height, width, channels] = step.output;
    for (let row = 0; row < height; row++) {
      for (let column = 0; column < width; column++) visit(row, column, (row * width + column) * channels);
    }
  };

  const addBias = (gradient, upstream) => {
    if (gradient) upstream.forEach((value, i) => { gradient[i % gradient.length] += value; });
  };

  const conv = (step, x, up, dx, weight, grad) => {
    const filters = step.output[2], inChannels = step.input[2] / step.groups, perGroup = filters / step.groups;
    const kernel = weight("kernel"), dKernel = grad("kernel");
    addBias(grad("bias"), up);
    eachCell(step, (row, column, at) => eachTap(step, row, column, (from, tap) => {
      for (let group = 0; group < step.groups; group++) {
        for (let c = 0; c < inChannels; c++) {
          const start = (tap * inChannels + c) * filters, source = from + group * inChannels + c, value = x[source];
          let sum = 0;
          for (let f = group * perGroup; f < (group + 1) * perGroup; f++) {
            sum += up[at + f] * kernel[start + f];
            dKernel[start + f] += up[at + f] * value;
          }
          dx[source] += sum;
        }
      }
    }));
  };

  const throughDepthwise = (step, x, up, dx, kernel, dKernel) => {
    const outChannels = step.input[2] * step.multiplier, shape = { ...step, output: [step.output[0], step.output[1], outChannels] };
    eachCell(shape, (row, column, at) => eachTap(step, row, column, (from, tap) => {
      for (let o = 0; o < outChannels; o++) {
        const source = from + Math.floor(o / step.multiplier), place = tap * outChannels + o;
        dx[source] += up[at + o] * kernel[place];
        dKernel[place] += up[at + o] * x[source];
      }
    }));
  };

  const throughDense = (x, up, dx, kernel, dKernel, units) => {
    const inputs = kernel.length / units;
    for (let place = 0; place < x.length / inputs; place++) {
      for (let i = 0; i < inputs; i++) {
        const source = place * inputs + i, value = x[source];
        let sum = 0;
        for (let u = 0; u < units; u++) {
          sum += up[place * units + u] * kernel[i * units + u];
          dKernel[i * units + u] += up[place * units + u] * value;
        }
        dx[source] += sum;
      }
    }
  };

  const sepconv = (step, x, up, dx, weight, grad) => {
    const middle = depthwise(step, x, weight("depthwise"), null, step.multiplier), dMiddle = new Float64Array(middle.length);
    addBias(grad("bias"), up);
    throughDense(middle, up, dMiddle, weight("pointwise"), grad("pointwise"), step.output[2]);
    throughDepthwise(step, x, dMiddle, dx, weight("depthwise"), grad("depthwise"));
  };

  const avgpool = (step, x, up, dx) => {
    const area = step.kernel[0] * step.kernel[1], channels = step.output[2];
    eachCell(step, (row, column, at) => {
      let count = 0;
      eachTap(step, row, column, () => { count += 1; });
      eachTap(step, row, column, (from) => {
        for (let c = 0; c < channels; c++) dx[from + c] += up[at + c] / (step.count_padding ? area : count);
      });
    });
  };

  const adaptavg = (step, x, up, dx) => {
    const [height, width, channels] = step.input, [outHeight, outWidth] = step.output;
    eachCell(step, (row, column, at) => {
      const top = Math.floor((row * height) / outHeight), bottom = Math.ceil(((row + 1) * height) / outHeight);
      const left = Math.floor((column * width) / outWidth), right = Math.ceil(((column + 1) * width) / outWidth);
      const area = (bottom - top) * (right - left);
      for (let y = top; y < bottom; y++) {
        for (let x0 = left; x0 < right; x0++) for (let c = 0; c < channels; c++) dx[(y * width + x0) * channels + c] += up[at + c] / area;
      }
    });
  };

  const gmp = (step, x, up, dx) => {
    for (let c = 0; c < up.length; c++) {
      let best = c;
      for (let at = c; at < x.length; at += up.length) if (x[at] > x[best]) best = at;
      dx[best] += up[c];
    }
  };

  // Of a trained model: one factor for each channel.
  const bn = (step, x, up, dx, weight, grad) => {
    const [scale, mean, variance] = ["scale", "mean", "variance"].map(weight), dScale = grad("scale");
    addBias(grad("shift"), up);
    up.forEach((value, i) => {
      const c = i % mean.length, deviation = Math.sqrt(variance[c] + step.eps);
      dx[i] += (value * (scale ? scale[c] : 1)) / deviation;
      if (dScale) dScale[c] += (value * (x[i] - mean[c])) / deviation;
    });
  };

  const instancenorm = (step, x, up, dx, weight, grad) => {
    const channels = step.output[2], cells = x.length / channels, scale = weight("scale"), dScale = grad("scale");
    addBias(grad("shift"), up);
    for (let c = 0; c < channels; c++) {
      let mean = 0, variance = 0, sum = 0, along = 0;
      for (let i = c; i < x.length; i += channels) mean += x[i] / cells;
      for (let i = c; i < x.length; i += channels) variance += (x[i] - mean) ** 2 / cells;
      const deviation = Math.sqrt(variance + step.eps), normal = (i) => (x[i] - mean) / deviation;
      for (let i = c; i < x.length; i += channels) { sum += up[i]; along += up[i] * normal(i); }
      dScale[c] += along;
      for (let i = c; i < x.length; i += channels) dx[i] += (scale[c] / deviation) * (up[i] - sum / cells - (normal(i) * along) / cells);
    }
  };

  const copied = (step, x, up, dx) => up.forEach((value, i) => { dx[i] += value; });

  const rules = {
    conv, avgpool, adaptavg, gmp, bn, instancenorm, sepconv,
    activation: copied,
    same: copied,
    dwconv: (step, x, up, dx, weight, grad) => {
      addBias(grad("bias"), up);
      throughDepthwise(step, x, up, dx, weight("kernel"), grad("kernel"));
    },
    dense: (step, x, up, dx, weight, grad) => {
      addBias(grad("bias"), up);
      throughDense(x, up, dx, weight("kernel"), grad("kernel"), step.output[step.output.length - 1]);
    },
    maxpool: (step, x, up, dx, weight, grad, chosen) => chosen.forEach((from, at) => { dx[from] += up[at]; }),
    gap: (step, x, up, dx) => {
      for (let i = 0; i < x.length; i++) dx[i] += (up[i % up.length] * up.length) / x.length;
    },
    prelu: (step, x, up, dx, weight, grad) => {
      const slope = weight("slope"), dSlope = grad("slope");
      up.forEach((value, i) => {
        dx[i] += value * (x[i] > 0 ? 1 : slope[i % slope.length]);
        if (x[i] <= 0) dSlope[i % slope.length] += value * x[i];
      });
    },
    pad: (step, x, up, dx) => {
      const [height, width, channels] = step.input;
      for (let y = 0; y < height; y++) {
        const from = ((y + step.before[0]) * step.output[1] + step.before[1]) * channels;
        for (let i = 0; i < width * channels; i++) dx[y * width * channels + i] += up[from + i];
      }
    },
  };

  // Steps that read several others: each gets its part.
  const joins = {
    add: (step, sources, up) => sources.map(() => up),
    scale: (step, [x, gate], up) => {
      const channels = step.output[step.output.length - 1], whole = gate.length === x.length;
      const dGate = new Float64Array(gate.length);
      up.forEach((value, i) => { dGate[whole ? i : i % channels] += value * x[i]; });
      return [up.map((value, i) => value * gate[whole ? i : i % channels]), dGate];
    },
    concat: (step, sources, up) => {
      const channels = step.output[step.output.length - 1], places = up.length / channels;
      let start = 0;
      return sources.map((source) => {
        const width = source.length / places, part = new Float64Array(source.length), first = start;
        for (let place = 0; place < places; place++) {
          for (let c = 0; c < width; c++) part[place * width + c] = up[place * channels + first + c];
        }
        start += width;
        return part;
      });
    },
  };

  // Gradients of sum(seed * last values), the seed given before the last softmax: with respect to
  // the values of every step (null where nothing arrives), and to the weights, laid out as they are.
  const backward = (network, run, seed, weights = new Float64Array(network.weights.length)) => {
    const values = new Array(run.values.length).fill(null);
    const last = network.steps[network.steps.length - 1];
    values[last.index] = Float64Array.from(seed);
    for (const step of [...network.steps].reverse()) {
      if (!values[step.index]) continue;
      const bare = step === last && step.activation === "softmax";
      const up = bare ? values[step.index] : throughActivation(step, run.values[step.index], run.before[step.index], values[step.index]);
      const sources = step.sources.map((index) => run.values[index]);
      const grad = (name) => {
        const place = step.weights[name];
        return place ? weights.subarray(place[0], place[0] + place[1]) : null;
      };
      for (const index of step.sources) values[index] = values[index] || new Float64Array(run.values[index].length);
      if (joins[step.op]) {
        joins[step.op](step, sources, up).forEach((part, k) => part.forEach((value, i) => { values[step.sources[k]][i] += value; }));
      } else {
        const weight = (name) => network.weight(step, name);
        rules[step.op](step, sources[0], up, values[step.sources[0]], weight, grad, run.chosen[step.index]);
      }
    }
    return { values, weights };
  };

  // Of a class' logit: 1 for it, 0 for all others; a map of answers gives their mean.
  const ofClass = (network, label) => {
    const size = volume(network.steps[network.steps.length - 1].output), classes = network.description.classes.length;
    return Float64Array.from({ length: size }, (_, i) => (i % classes === label ? classes / size : 0));
  };

  // Grad-CAM (Selvaraju et al. 2017): a layer's maps, each weighted by its mean gradient, below 0 cut off.
  const cam = (step, maps, gradient) => {
    const [height, width, channels] = step.output, weights = new Float64Array(channels);
    gradient.forEach((value, i) => { weights[i % channels] += value / (height * width); });
    return Float64Array.from({ length: height * width }, (_, cell) => {
      let sum = 0;
      for (let c = 0; c < channels; c++) sum += weights[c] * maps[cell * channels + c];
      return Math.max(0, sum);
    });
  };

  return { backward, ofClass, cam };
})();
