// A guided tour: what each stop of it says.
"use strict";

const Tour = (() => {
  const size = (numbers) => numbers.filter((one, axis) => numbers.length < 2 || axis || one > 1).join(" x ");
  const texts = {
    conv: (step) => `A window of ${size(step.kernel)} slides over the maps before. Where it stands the numbers under it are multiplied by the weights of a kernel and added up, with a bias: one number of the new map. Each of the ${Layers.last(step.output)} kernels makes a map of its own. The lines lead to the maps that feed the cell, thick where they count much, red where they raise it, blue where they lower it.`,
    upconv: (step) => `A convolution the other way round: each number is spread over ${size(step.kernel)} cells of a larger map, times the weights of a kernel, and what meets there is added up.`,
    dwconv: () => "Every map has a small kernel of its own here; no map is mixed with another, which saves most of the work.",
    sepconv: () => "First a small kernel for every map alone, then one number from all maps at a place: nearly a convolution, with far fewer weights.",
    max: () => "Of each window only the largest number is kept: the map gets smaller, and it matters less where exactly something was. The dots mark the chosen cells; they alone get a gradient.",
    mean: () => "Each window becomes its mean: the map gets smaller and smoother.",
    dense: (step) => `Each of the ${Layers.last(step.output)} numbers reads every number before it, times a weight of its own, plus a bias. So all that was found before, wherever it was, is weighed together.`,
    softmax: () => "One number for each class, its logit. Softmax makes shares of them: e to the power of each, divided by the sum of all. The largest logit wins, and the shares add up to 1.",
    norm: () => "The numbers are brought to mean 0 and deviation 1, then scaled and shifted as was learned, so that no layer has to follow how large the one before became.",
    activation: (step) => `${step.activation || step.op} changes each number by itself. Without such a bend all the layers together could be no more than one of them.`,
    recurrent: () => "It reads the series one time after the other and keeps a state: what it has read so far, in a few numbers, with gates that decide what is kept and what is forgotten.",
    add: () => "What the branch found is added to what went in, number by number: a short way for the gradient, and the layers need only learn what to change.",
    concat: () => "The maps of all branches one behind the other; nothing is calculated.",
    scale: () => "Maps times numbers that other layers calculated: some are turned down, others let through.",
    rearrange: () => "The same numbers at other places, or between them; nothing is learned here.",
  };

  const kindOf = (step) => {
    if (step.activation === "softmax" && step.op === "dense") return "softmax";
    if (texts[step.op]) return step.op;
    if (step.role === "pool") return step.op.includes("max") || step.op === "gmp" ? "max" : "mean";
    return texts[step.role] ? step.role : step.op === "mul" || step.op === "layerscale" ? "scale" : "rearrange";
  };

  const ofInput = ({ input, series }) => (input.length === 1
    ? `The network is given ${input[0]} numbers.`
    : series ? `A series is a row of numbers for each of ${input[2]} channels, ${input[1]} times of each.`
      : `A picture is a table of numbers: ${input[0]} rows and ${input[1]} columns, ${input[2] === 1 ? "one number" : `${input[2]} numbers: red, green and blue`} for each place, 0 for black. Nothing else reaches the network. Draw, or choose another sample, and every layer follows.`);

  const ofAnswer = "The answer is the class with the largest share. A large share does not mean that it is right: draw something that is no class at all and see.";
  const ofGradients = "Backwards: how much the likeliest class would gain if a number grew. Red raises it, blue lowers it, white does not matter. So the gradient goes through every layer when a network learns, and a maximum hands it on to its chosen cell alone.";
  const ofLearning = "Here a network begins with weights by chance. After every few samples all weights go a small step against their gradient, and the loss falls. Press Train; change the settings and compare.";

  return { ofAnswer, ofGradients, ofInput, ofLearning, ofLayer: (step) => texts[kindOf(step)](step) };
})();
