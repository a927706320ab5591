// What learns in the page, on the samples that came with it and on what is drawn: a small network of one's own, or the page's.
"use strict";

const Learn = (() => {
  const { last, parted, volume } = Layers;
  const VALIDATION = 5; // every fifth sample is kept for validation
  const BETA1 = 0.9, BETA2 = 0.999, EPSILON = 1e-8;

  // Numbers between 0 and 1 that are the same for the same seed (mulberry32).
  const random = (seed) => () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };

  const bellCurve = (seed) => {
    const next = random(seed);
    return () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  };

  // floor((size + 2 padding - kernel) / stride) + 1
  const outputSize = (size, kernel, stride, padding) => Math.floor((size + 2 * padding - kernel) / stride) + 1;

  // A network of one's own: conv, maxpool 2, flatten and dense; of plain numbers hidden dense layers. Null where a window does not fit.
  const describe = (given, settings, seed) => {
    const { input, classes, series } = given, { filters, kernel, stride, padding, hidden, activation } = settings, weights = [], normal = bellCurve(seed);
    const place = (count, deviation) => {
      const first = weights.length;
      for (let i = 0; i < count; i++) weights.push(deviation ? deviation * normal() : 0);
      return [first, count];
    };
    // He et al. 2015 before a ReLU, Glorot and Bengio 2010 else
    const learned = (inputs, outs, end) => ({ kernel: place(inputs * outs, Math.sqrt(2 / (end === "relu" ? inputs : inputs + outs))), bias: place(outs, 0) });
    const dense = (name, inputs, units, end) => ({ op: "dense", role: "dense", name, words: `dense ${units} ${end}`, input: [inputs], output: [units], activation: end, weights: learned(inputs, units, end) });
    const steps = input.length > 1 ? [] : Array.from({ length: hidden }, (_, i) => dense(`dense${i + 1}`, i ? filters : input[0], filters, activation));
    if (input.length > 1) {
      const both = (size, of_rows = 1) => [series ? of_rows : size, size], [kernels, strides, before, twos] = [both(kernel), both(stride), both(padding, 0), both(2)];
      const fitted = (sizes, ...rest) => sizes.map((size, axis) => outputSize(size, ...rest.map((one) => one[axis])));
      const conv = fitted(input.slice(0, 2), kernels, strides, before), pool = fitted(conv, twos, twos, [0, 0]), flat = pool[0] * pool[1] * filters;
      if (Math.min(...conv, ...pool) < 1) return null;
      const reads = (size, step, pad) => ({ kernel: size, reads: size.map((one, axis) => ({ kind: "window", kernel: one, stride: step[axis], before: pad[axis], dilation: 1 })) });
      steps.push(
        { op: "conv", role: "conv", name: "conv1", words: `conv ${filters} ${kernel} s${stride} p${padding} ${activation}`, input, output: [...conv, filters], activation, ...reads(kernels, strides, before), receptive_field: kernels, field_stride: strides, field_padding: before, weights: learned(kernels[0] * kernel * input[2], filters, activation) },
        { op: "maxpool", role: "pool", name: "maxpool1", words: "maxpool 2", input: [...conv, filters], output: [...pool, filters], ...reads(twos, twos, [0, 0]), receptive_field: kernels.map((one, axis) => one + (twos[axis] - 1) * strides[axis]), field_stride: strides.map((one, axis) => one * twos[axis]), field_padding: before, weights: {} },
        { op: "flatten", role: "rearrange", name: "flatten1", words: "flatten", input: [...pool, filters], output: [flat], weights: {}, shown: false },
      );
    }
    const inputs = steps.length ? volume(last(steps).output) : input[0];
    steps.push(dense(`dense${input.length > 1 ? 1 : hidden + 1}`, inputs, classes.length, "softmax"));
    const numbered = steps.map((step, i) => ({ index: i + 1, sources: [i], activation: null, shown: true, ...step })), nodes = [0, ...numbered.map(({ index }) => index)];
    return { ...given, steps: numbered, ends: "none", graph: { row: nodes, lane: nodes.map(() => 0), edges: nodes.slice(1).map((node) => [node - 1, node, 0]) }, weights: Float32Array.from(weights) };
  };

  // Gives a network first weights (He et al. 2015); a norm begins as one that changes nothing.
  const startOver = (network, seed) => {
    const normal = bellCurve(seed);
    for (const step of network.steps) {
      for (const name of Object.keys(step.weights)) {
        const own = network.weight(step, name), inputs = own.length / step.output[step.output.length - 1];
        const constant = { scale: 1, variance: 1, slope: 0.25 }[name] || 0, drawn = ["kernel", "depthwise", "pointwise"].includes(name);
        for (let i = 0; i < own.length; i++) own[i] = drawn ? Math.sqrt(2 / inputs) * normal() : constant;
      }
    }
  };

  // Whether the last layer gives a probability for each class, which is what is learned from.
  const canLearn = ({ steps, description: { ends } }) => {
    const { activation, output } = last(steps);
    return output.length === 1 && (activation === "softmax" || (ends === "pair" ? activation === "sigmoid" : ends === "softmax")) && !steps.some((step) => step.missing);
  };

  class Training {
    constructor(network, settings, samples) {
      this.settings = settings;
      this.network = network;
      this.conv = network.steps.find((step) => step.op === "conv");
      this.next = random(settings.seed + 1);
      const mixed = this.shuffled(samples); // they come class by class
      this.samples = mixed.filter((_, i) => i % VALIDATION !== VALIDATION - 1);
      this.kept = mixed.filter((_, i) => i % VALIDATION === VALIDATION - 1);
      this.mean = new Float64Array(this.network.weights.length);
      this.square = new Float64Array(this.network.weights.length);
      this.steps = 0;
      this.history = [];
      this.order = [];
      this.seen = { loss: 0, right: 0, count: 0 };
    }

    shuffled(items) {
      const found = [...items];
      for (let i = found.length - 1; i > 0; i--) {
        const j = Math.floor(this.next() * (i + 1));
        [found[i], found[j]] = [found[j], found[i]];
      }
      return found;
    }

    get params() { return this.network.weights.length; }

    // One batch: mean gradients of the cross-entropy, then Adam (Kingma and Ba 2015) or plain steps.
    step(batch) {
      const { network } = this, runs = network.runAll(batch.map(({ levels }) => levels), this.next);
      const seeds = runs.map((run, k) => {
        const answers = network.answers(run), { label } = batch[k];
        this.seen.loss -= Math.log(Math.max(answers[label], 1e-30));
        this.seen.right += answers.indexOf(Math.max(...answers)) === label ? 1 : 0;
        this.seen.count += 1;
        const slopes = Float64Array.from(answers, (share, i) => (share - (i === label ? 1 : 0)) / batch.length);
        return network.description.ends === "pair" ? slopes.slice(1) : slopes;
      });
      const gradient = network.backward(runs, seeds, ["softmax", "sigmoid"]).weights;
      const { lr, optimizer } = this.settings;
      this.steps += 1;
      this.gradient = gradient;
      for (let i = 0; i < gradient.length; i++) {
        if (optimizer === "sgd") { network.weights[i] -= lr * gradient[i]; continue; }
        this.mean[i] = BETA1 * this.mean[i] + (1 - BETA1) * gradient[i];
        this.square[i] = BETA2 * this.square[i] + (1 - BETA2) * gradient[i] ** 2;
        const mean = this.mean[i] / (1 - BETA1 ** this.steps), square = this.square[i] / (1 - BETA2 ** this.steps);
        network.weights[i] -= (lr * mean) / (Math.sqrt(square) + EPSILON);
      }
    }

    // Goes on by one batch; tells whether an epoch came to its end.
    advance() {
      if (!this.order.length) this.order = this.shuffled(this.samples);
      this.step(this.order.splice(0, this.settings.batch));
      if (this.order.length) return false;
      const { loss, right, count } = this.seen;
      this.history.push({ loss: loss / count, accuracy: right / count, ...this.validate() });
      this.seen = { loss: 0, right: 0, count: 0 };
      return true;
    }

    validate() {
      let loss = 0, right = 0;
      for (const { levels, label } of this.kept) {
        const answers = this.answers(levels);
        loss -= Math.log(Math.max(answers[label], 1e-30));
        right += answers.indexOf(Math.max(...answers)) === label ? 1 : 0;
      }
      const count = this.kept.length || 1;
      return { valLoss: loss / count, valAccuracy: right / count };
    }

    answers(levels) {
      return this.network.answers(this.network.run(levels));
    }

    // The kernel of one output map of the first convolution, from its first input map: rows of its weights, or of their gradient.
    kernelRows(map, weights = this.network.weights) {
      const { kernel: [height, width], weights: { kernel: [first] } } = this.conv, { each, place } = parted(this.conv);
      return Array.from({ length: height }, (_, row) => Array.from({ length: width }, (_, column) => weights[first + place(row * width + column, Math.floor(map / each), 0) + (map % each)]));
    }
  }

  // Lines over epochs on a canvas: training full, validation in dashes, from 0 to the largest; behind them the validation of earlier runs.
  const drawCurves = (canvas, history, keys, [...inks], past) => {
    const brush = canvas.getContext("2d"), { width, height } = canvas, soft = inks.pop(), all = [history, ...past];
    brush.clearRect(0, 0, width, height);
    if (all.every((one) => !one.length)) return;
    const largest = Math.max(...all.flatMap((one) => one.flatMap((row) => keys.map((key) => row[key]))), 1e-9), epochs = Math.max(2, ...all.map((one) => one.length));
    const floor = height - 14, right = width - 4;
    brush.fillStyle = brush.strokeStyle = soft;
    brush.font = "11px system-ui";
    brush.fillText(largest.toPrecision(3), 2, 10);
    brush.fillText("0", 2, floor);
    brush.fillText("1", 34, height - 2);
    brush.fillText(`epoch ${epochs}`, right - brush.measureText(`epoch ${epochs}`).width, height - 2);
    brush.strokeRect(34, floor, right - 34, 0);
    const line = (rows, key, ink, dashes, wide) => {
      brush.strokeStyle = ink;
      brush.lineWidth = wide;
      brush.setLineDash(dashes);
      brush.beginPath();
      rows.forEach((row, i) => brush.lineTo(34 + ((right - 34) * i) / (epochs - 1), floor - ((floor - 4) * row[key]) / largest));
      brush.stroke();
    };
    for (const one of past) line(one, keys[1], soft, [], 1);
    keys.forEach((key, dashed) => line(history, key, inks[dashed], dashed ? [4, 3] : [], 1.8));
    brush.setLineDash([]);
  };

  // Two numbers to tell classes by, between -1 and 1, as TensorFlow Playground has them.
  const POINTS = 240;
  const shapes = {
    circle: (share, label, classes, chance) => { const r = (label + 0.15 + 0.7 * share) / classes, at = 2 * Math.PI * chance(); return [r * Math.cos(at), r * Math.sin(at)]; },
    xor: (share, label, classes, chance) => {
      const [x, y] = [2 * chance() - 1, 2 * chance() - 1], own = (x > 0) === (y > 0) ? 0 : 1;
      return own === label % 2 ? [x, y] : [-x, y];
    },
    gauss: (share, label, classes, chance) => {
      const at = (2 * Math.PI * label) / classes + Math.PI / 4, r = 0.22 * Math.sqrt(-2 * Math.log(1 - chance())), turn = 2 * Math.PI * chance();
      return [0.5 * Math.cos(at) + r * Math.cos(turn), 0.5 * Math.sin(at) + r * Math.sin(turn)];
    },
    spiral: (share, label, classes) => { const at = 1.75 * 2 * Math.PI * share + (2 * Math.PI * label) / classes; return [0.95 * share * Math.sin(at), 0.95 * share * Math.cos(at)]; },
  };
  const points = (name, classes, noise, seed) => {
    const chance = random(seed), bell = bellCurve(seed + 1);
    return Array.from({ length: POINTS }, (_, i) => ({ label: i % classes, place: shapes[name](Math.floor(i / classes) / (POINTS / classes), i % classes, classes, chance).map((one) => one + 0.25 * noise * bell()) }));
  };

  return { Training, canLearn, describe, drawCurves, points, shapes, startOver };
})();
