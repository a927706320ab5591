// A network on typed arrays: forward, sample by sample or a batch at a time, and the way back.
"use strict";

const Engine = (() => {
  const { activated, bnOfBatch, eachLink, kinds, last, parted, volume } = Layers;

  const decodeWeights = (text) => new Float32Array(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);

  class Network {
    constructor(description) {
      this.description = description;
      const { weights, input, steps } = description;
      this.weights = typeof weights === "string" ? decodeWeights(weights) : weights;
      this.steps = steps;
      this.shapes = [input, ...steps.map((step) => step.output)];
      for (const step of steps) {
        step.shapes = step.sources.map((index) => this.shapes[index]);
        step.missing = kinds[step.op] ? null : step.words;
      }
    }

    get last() { return last(this.steps); }

    weight(step, name, all = this.weights) {
      const place = step.weights[name];
      return place ? all.subarray(place[0], place[0] + place[1]) : null;
    }

    // What the network is fed for raw levels.
    prepared(levels) {
      const { scale, offset } = this.description.preprocessing, channels = scale.length;
      return Float32Array.from(levels, (level, i) => level * scale[i % channels] + offset[i % channels]);
    }

    // Runs one sample: every step's values, the input first, what its activation was given, the cells
    // that max pooling chose. A step that the page has no function for, and all that read it, have null.
    run(levels) { return this.runAll([levels])[0]; }

    // Runs samples, all through a step before the next; `learning`, a source of chance, makes norms
    // take the batch's statistics and dropout leave out.
    runAll(samples, learning = null) {
      const runs = samples.map((levels) => ({ values: [this.prepared(levels)], before: [null], chosen: [null], backs: [null] }));
      for (const step of this.steps) {
        const weight = (name) => this.weight(step, name), known = !step.missing && step.sources.every((index) => runs[0].values[index]);
        const sources = runs.map((run) => step.sources.map((index) => run.values[index]));
        const joint = known && learning && step.op === "bn" ? bnOfBatch(step, sources.map(([x]) => x), weight) : null;
        runs.forEach((run, i) => {
          const found = joint ? { out: joint.outs[i], back: joint.back } : known ? kinds[step.op](step, sources[i], weight, learning) : { out: null };
          const end = known && step.activation ? activated(step, found.out) : null;
          run.before.push(end ? found.out : null);
          run.values.push(end ? end.out : found.out);
          run.chosen.push(found.chosen || null);
          run.backs.push({ inner: found.back, outer: end && end.back, isJoint: Boolean(joint) });
        });
      }
      return runs;
    }

    // Gradients of sum(seed * last values) of each run, the seed given before the last activation if it
    // is one of `bareOf`: with respect to the values of every step (null where nothing arrives) and,
    // summed, to the weights.
    backward(runs, seeds, bareOf = ["softmax"]) {
      const weights = new Float64Array(this.weights.length);
      const found = runs.map((run, i) => {
        const values = new Array(run.values.length).fill(null);
        values[this.last.index] = Float64Array.from(seeds[i]);
        return values;
      });
      for (const step of [...this.steps].reverse()) {
        if (!found[0][step.index]) continue;
        const grad = (name) => this.weight(step, name, weights), bare = step === this.last && bareOf.includes(step.activation);
        const ups = runs.map((run, i) => {
          const { outer } = run.backs[step.index], up = found[i][step.index];
          return outer && !bare ? outer(up) : up;
        });
        const { inner, isJoint } = runs[0].backs[step.index], joint = isJoint ? inner(ups, grad) : null;
        runs.forEach((run, i) => {
          const parts = joint ? [joint[i]] : run.backs[step.index].inner(ups[i], grad);
          step.sources.forEach((index, k) => {
            const own = found[i][index];
            found[i][index] = own ? own.map((value, at) => value + parts[k][at]) : Float64Array.from(parts[k]);
          });
        });
      }
      return { values: found, weights };
    }

    // What `convcli predict` makes of the last values: probabilities, where the network gives scores;
    // two of one. Null where the page cannot run it.
    answers({ values }) {
      const found = last(values), { ends } = this.description;
      if (!found || ends === "none") return found;
      return ends === "pair" ? Float32Array.of(1 - found[0], found[0]) : activated({ activation: "softmax", output: this.last.output }, found).out;
    }

    // Of a class' logit: 1 for it, 0 for all others; a map of answers gives their mean.
    seedOf(label) {
      const size = volume(this.last.output), { ends, classes: { length: classes } } = this.description;
      return Float64Array.from({ length: size }, (_, i) => (ends === "pair" ? 2 * label - 1 : i % classes === label ? classes / size : 0));
    }

    gradientsOf(run, label) {
      const { values: [values], weights } = this.backward([run], [this.seedOf(label)]);
      return { values, weights };
    }

    // The products behind one output value of a convolution or a dense layer, and their sum with the bias.
    terms(step, run, row, column, channel) {
      const source = run.values[step.sources[0]], bias = this.weight(step, "bias"), list = [], grid = step.output.length > 1 ? step.output : [1, 1], cell = row * grid[1] + column;
      const place = (from) => [Math.floor(from / step.input[1]), from % step.input[1]];
      const kernel = this.weight(step, "kernel"), outs = last(step.output), ins = last(step.input);
      if (step.op === "dense") {
        const inputs = kernel.length / outs;
        for (let i = 0; i < inputs; i++) list.push({ place: [i], value: source[cell * inputs + i], weight: kernel[i * outs + channel] });
      } else if (step.op === "conv" || step.op === "upconv") {
        const { own, each, place: start } = parted(step), group = Math.floor(channel / each);
        eachLink(step, (_, from, tap) => {
          for (let c = 0; c < own; c++) list.push({ place: [...place(from), group * own + c], tap, value: source[from * ins + group * own + c], weight: kernel[start(tap, group, c) + (channel % each)] });
        }, cell);
      } else if (step.op === "dwconv") {
        const c = Math.floor(channel / step.multiplier);
        eachLink(step, (_, from, tap) => list.push({ place: [...place(from), c], tap, value: source[from * ins + c], weight: kernel[tap * outs + channel] }), cell);
      } else if (step.op === "sepconv") { // both kernels are one: each channel's times its point's, summed over the copies
        const [depth, point] = ["depthwise", "pointwise"].map((name) => this.weight(step, name)), { multiplier } = step;
        eachLink(step, (_, from, tap) => {
          for (let c = 0; c < ins; c++) {
            let weight = 0;
            for (let copy = c * multiplier; copy < (c + 1) * multiplier; copy++) weight += depth[tap * ins * multiplier + copy] * point[copy * outs + channel];
            list.push({ place: [...place(from), c], tap, value: source[from * ins + c], weight });
          }
        }, cell);
      } else return null;
      const start = bias ? bias[channel] : 0;
      return { list, bias: start, sum: list.reduce((sum, term) => sum + term.value * term.weight, start) };
    }
  }

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

  return { Network, cam };
})();
