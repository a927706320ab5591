// What learns in the page, on the samples that came with it and on what is drawn: a small network of one's own, or the page's.
"use strict";

const Learn = (() => {
  const { last, parted } = Layers;
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

  // input, conv FILTERS KERNEL sSTRIDE pPADDING relu, maxpool 2, flatten, dense CLASSES softmax; null where a window does not fit.
  const describe = ({ input, classes, preprocessing, series }, { filters, kernel, stride, padding }, seed) => {
    const [height, width, channels] = input, both = (size, of_rows = 1) => [series ? of_rows : size, size];
    const [kernels, strides, before, pools] = [both(kernel), both(stride), both(padding, 0), both(2)];
    const conv = [height, width].map((size, axis) => outputSize(size, kernels[axis], strides[axis], before[axis]));
    const pool = conv.map((size, axis) => outputSize(size, pools[axis], pools[axis], 0));
    if (Math.min(...conv, ...pool) < 1) return null;
    const flat = pool[0] * pool[1] * filters, weights = [];
    const normal = bellCurve(seed);
    const place = (count, deviation) => {
      const first = weights.length;
      for (let i = 0; i < count; i++) weights.push(deviation ? deviation * normal() : 0);
      return [first, count];
    };
    const inputs = kernels[0] * kernel * channels; // He et al. 2015 before a ReLU, Glorot and Bengio 2010 before a softmax
    const windows = (kernel_, stride_, before_) => ({ kernel: kernel_, reads: kernel_.map((size, axis) => ({ kind: "window", kernel: size, stride: stride_[axis], before: before_[axis], dilation: 1 })) });
    const steps = [
      { op: "conv", name: "conv1", input, output: [...conv, filters], activation: "relu", ...windows(kernels, strides, before), weights: { kernel: place(inputs * filters, Math.sqrt(2 / inputs)), bias: place(filters, 0) } },
      { op: "maxpool", name: "maxpool1", input: [...conv, filters], output: [...pool, filters], ...windows(pools, pools, [0, 0]), weights: {} },
      { op: "flatten", name: "flatten1", input: [...pool, filters], output: [flat], weights: {} },
      { op: "dense", name: "dense1", input: [flat], output: [classes.length], activation: "softmax", weights: { kernel: place(flat * classes.length, Math.sqrt(2 / (flat + classes.length))), bias: place(classes.length, 0) } },
    ].map((step, i) => ({ index: i + 1, sources: [i], activation: null, ...step }));
    return { input, classes, preprocessing, steps, ends: "none", weights: Float32Array.from(weights) };
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

  // Lines over epochs on a canvas: training full, validation in dashes, from 0 to the largest.
  const drawCurves = (canvas, history, keys, [...inks]) => {
    const brush = canvas.getContext("2d"), { width, height } = canvas;
    brush.clearRect(0, 0, width, height);
    const largest = Math.max(...history.flatMap((row) => keys.map((key) => row[key])), 1e-9);
    const floor = height - 14, right = width - 4;
    brush.fillStyle = brush.strokeStyle = inks.pop();
    brush.font = "11px system-ui";
    brush.fillText(largest.toPrecision(3), 2, 10);
    brush.fillText("0", 2, floor);
    brush.fillText("1", 34, height - 2);
    if (history.length > 1) brush.fillText(`epoch ${history.length}`, right - brush.measureText(`epoch ${history.length}`).width, height - 2);
    brush.strokeRect(34, floor, right - 34, 0);
    brush.lineWidth = 1.8;
    keys.forEach((key, dashed) => {
      brush.strokeStyle = inks[dashed];
      brush.setLineDash(dashed ? [4, 3] : []);
      brush.beginPath();
      history.forEach((row, i) => brush.lineTo(34 + ((right - 34) * i) / Math.max(1, history.length - 1), floor - ((floor - 4) * row[key]) / largest));
      brush.stroke();
    });
    brush.setLineDash([]);
  };

  return { Training, canLearn, describe, drawCurves, startOver };
})();
