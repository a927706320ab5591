"""What every field of `--format json` means, said once; `convcli help json` prints it.

A field of the same name means the same in every command. Shapes are lists, channels last; bytes,
seconds and counts are plain numbers; shares go from 0 to 1; null is where there is none.
"""

from __future__ import annotations

from convcli.errors import UsageError, did_you_mean
from convcli.report import Report, tabulate

FREE = (
    "calls", "dropped", "elsewhere", "environment", "extras", "figures", "flops_breakdown",
    "in_features", "process", "recipe", "settings", "test_figures", "val_figures",
)  # fmt: skip
"""Fields whose own fields have the names of other things: layers, settings, packages, figures."""

_TEXT = """
a: the first network of a comparison: its figures, or its layer
about: what a word of the notation stands for, or a preset
above: values that saturated at the high end
accuracy: share of right answers
activation: the activation applied to the output
activation_bytes: bytes of the outputs of all layers, for the batch
after: the value behind it
aliases: other names that are understood
answer: the class that the model gave
array: the array of a layer that is checked
at: row and column of the largest value
b: the second network of a comparison
baseline: accuracy of one who always says the commonest class
batch: samples at a time
before: the value before it
below: values that saturated at the low end
best: whether no epoch before it, or no other trial, was better
best_epoch: number of the epoch whose weights the model has
bias: added once
bound: what the least time of a layer is spent on, compute or memory
buffer_bytes: bytes of running statistics
buffers: running statistics, which are not learned
by_layer: the work of each layer, in order
bytes: of the file that was written, or of the samples in memory
bytes_per_second: what the machine's memory gives at most
c: the third network of a comparison, and so on
calibration: bins of the reliability diagram
calibration_error: expected calibration error over the bins
calls: the same in other libraries: library -> source
cell: row and column in the layer's output
cells: of the window
centered: value minus mean
change: of the weight in this step
changed: mean change of a cell, as a share of the mean cell
channel: number of the channel, from 0; null for all at once
channels: names of the channels
checks: what was found in the data that would mislead
class: the class in question
classes: the classes: their names, or a row of figures for each
col: column, from 0
column: the vertical factor of a separable kernel
columns: first and last column
compile_seconds: spent compiling before the first step
components: kernels whose results are combined
confidence: mean probability of the answers in a bin
confusion: counts; rows are true classes, columns the answers
convcli: version of convcli
convention: the work as another tool counts it
counts: as `confusion`
data: where the samples come from
data_bytes: bytes of `--count` samples, one for each number
default: what holds where nothing is written
delta: gradient of the loss with respect to the sum
dense_weights: those of a dense layer for the same
deviation: standard deviation
differences: layers that frameworks build differently
dilation: distance of the taps in cells
directory: where all is kept
divisor: the kernel's numbers are divided by it
dropped: cells at the end of each axis that no window reads: layer -> cells
dtype: type of the numbers
effective_field: the part of the receptive field that counts, by axis, with random weights
elsewhere: its name in frameworks
engine: numba or numpy, as used
environment: what it ran on
epochs: done, or of a trial
epochs_done: finished so far
error: largest relative error
exact: whether the answers are those of the classifier on each window
example: of how it is written
f1: harmonic mean of precision and recall
failed: those that do not hold
features: numbers of each sample
fields: what a word takes
figure: which figure
figures: further figures of the task by name; or how many there are
file: a file's name
files: that were written
filter: number of the output channel, from 0
flops: floating-point operations of one sample
flops_breakdown: kind of work -> operations
flops_per_second: what the engine's products reach at most
fold: number of the fold that validates
folds: a training for each
format: of the file
from: row and column that was read; null in a border of constants
gflops: billions of operations a second
gradient: of the loss with respect to it
gradient_bytes: bytes of the gradients
group: heading in the list
high: upper end of the bin
hold: how many hold
holds: whether it holds
in_features: what a dense layer reads behind a flatten: layer -> features
index: number in order; layers count from 1, samples from 0
indices: file with the positions of the samples held out
inference_bytes: bytes needed to run
input: shape of one sample; of a filter, the file that was read
input_bytes: bytes of the input
input_gradient: of one input cell, with its terms
intensity: floating-point operations for each byte that is moved
kept_bytes: bytes of activations kept for the way back
keras: what Keras makes of it
kernel: as it was named
kernel_column: the kernel as a column of the matrix product
kind: max or avg
label: the class: the true one, or the likeliest; null under the threshold
layer: as the notation writes it, or its name
layers: the layers, in order
layers_c: the layers of the first and the third network, matched
least_milliseconds: the least time on this machine for a batch
left_out: work that this tool does not count
lines: formulas with the numbers put in
logits: raw outputs before a softmax
loss: mean loss
lossless: lengths at which no layer drops a cell
lost: how much accuracy the permutation costs
low: lower end of the bin
lr: learning rate
macs: multiply-accumulates of one sample, without bias
made_of: the operations that are counted
mae: mean absolute error
map: the values drawn, row by row
max: largest value
mean: mean value
mean_corrected: mean of the gradients, corrected for its start
memory: bytes by what they hold
method: how it was found
milliseconds: of one run
min: smallest value
model: the model file
monitor: the figure that chose the epoch, and ranks the trials of a sweep
monitored: that figure of the validation samples
more: what stands behind a step, or follows
moved_back: the same once the shift is undone
n: how many samples
name: what it is called
network: in the notation
next: the command that goes on from here
non_trainable: frozen parameters and buffers
normalized: centered over the deviation
notes: sentences on what was changed, left out or decided
number: of the epoch, from 1
of: the figure that the mean is of
offset: added at the end; of a kernel in 8-bit levels
onnx: what ONNX makes of it
op: kind of the layer
operations: how many operations
optimizer_bytes: bytes of the optimizer
output: shape of the output; of a filter, the file that was written
output_padding: cells added behind a transposed window's output
outputs: classes or values
padding: cells before each axis, of all layers so far; null where places end
params: learnable numbers
parts: of the lesson: words, commands with their output, questions
patches: what each output cell reads, row by row
peak_bytes: most bytes held at once
peak_index: layer where that is
peak_name: name of that layer
per: one of what
permuted: accuracy where all pixels changed places alike
pictures: figures that were written
pixel: the value as it was stored
place: cell of the layer's output
places: how many were compared
plain: accuracy on the samples as they are
points: learning rates tried
pooled: whether maps were averaged over their cells
precision: share of the answers of a class that are right
preprocessing: inside the file, or outside
probabilities: of all classes
probability: of the class
problem: why it failed; null where it did not
process: that trains: host, pid, began
product: value times weight
provenance: where the samples come from, and what was checked
r2: share of the variance that is told
range: how values became pixels: clip, abs, offset, stretch or raw
rank: of the kernel's matrix
ratio: to the first network
ratio_b: of the second network to the first
ratio_c: of the third network to the first
recall: share of a class that was found
receptive_field: input cells that an output cell depends on, by axis
receptive_field_min: the smallest of them, where cells differ
recipe: the options of the training by name
result: what it came to
rmse: root of the mean squared error
roofline: what this machine does at most, and the least times
rounds: rungs of the search
rule: the arithmetic, with its numbers
row: row, from 0; of a kernel, its horizontal factor
rows: rows of numbers; first and last row; of a network, its layers
run: a run's name; of several, the value of each
run1: the first run's value
run2: the second run's value, and so on
same: whether both layers are the same words
sample: number of the sample, from 0
sample_bytes: bytes of the training samples
sample_shape: of one sample
samples: how many
samples_per_second: training samples a second
scale: samples are multiplied by it
search: grid, random, halving or optuna
seconds: that it took
seed: that decides weights and order
seeds: a training for each, or how many
settings: that differ: name -> value
shape: of the numbers
shares: parts that add up to the whole; of a confusion matrix, of each true class
shift: rows down and columns to the right
silent: channels that are zero everywhere
size: rows and columns; of a change, how large
slope: of the activation at the sum
slope_after: of a sigmoid at the output
slope_before: of a sigmoid at the value
smallest: the smallest input that fits
smoothing: whether all numbers are positive and the sum is 1
source: where it is from
sources: numbers of the layers that it reads; 0 is the input
split: train, validation or test
splits: of the data: name -> samples
square: mean of the squared gradients
square_corrected: the same, corrected for its start
stage: a place of the network
stages: the picture and its maps, in order
started: local time
status: running, interrupted, diverged or done
step: number of the step
step_seconds: seconds of one step
steps: how many steps; of a pixel, those behind the kernel
steps_per_epoch: in an epoch
stride: input cells between neighbors, of all layers so far
suggestion: the learning rate to use; null where the loss never fell
sum: of the terms
symmetry: that the kernel has
takes: what it takes, as it is written
target: number of the true class
task: classes, labels, values or mask
terms: products that are added up
test: how many test samples
test_accuracy: accuracy on the test samples
test_figures: further figures of the test samples
test_loss: loss on the test samples
text: the whole text
timing: of the whole network
title: heading
to_input: gradient passed on to an input
to_weight: gradient of a weight
top: the likeliest classes
topic: of the lesson
torch: what PyTorch makes of it
totals: over all layers
train: how many training samples
train_accuracy: accuracy on the training samples
train_loss: loss on the training samples
train_seconds: spent on training steps
trainable: parameters that are not frozen
training_bytes: bytes needed to train with Adam
trainings: of the trial, one for each seed
transposed: whether the window is transposed
trial: number of the trial
trials: what was tried, or how many
unit: of the work
upstream: gradient that comes from behind
val_accuracy: accuracy on the validation samples
val_figures: further figures of the validation samples
val_loss: loss on the validation samples
validation: the samples held out, or how many
value: a number that was read, or came out
values: the numbers, row by row; of a trial, its settings; of a model, its outputs
variance: mean squared distance from the mean
weight: that a value is multiplied by
weight_bytes: bytes of the parameters
weight_gradient: of one weight, with its terms
weights: the weights; of a training, a hash of them
window: rows and columns of the window
word: of the notation
words: the settings as the notation writes them
work: that is counted
worst: mistakes, those with the highest probability first
written: as it is written in the notation
zero_sum: whether the kernel's numbers add up to 0
zeros: share of the numbers that are 0
"""

FIELDS = dict(line.split(": ", 1) for line in _TEXT.strip().splitlines())
"""Field -> what it means."""


def fields_report(word: str | None = None) -> Report:
    """Return all fields with what they mean, or those that mention a word.

    Raises:
        UsageError: none does.
    """
    chosen = [
        {"field": name, "meaning": told}
        for name, told in FIELDS.items()
        if word is None or word.lower() in f"{name} {told}".lower()
    ]
    if not chosen:
        raise UsageError(f"No field mentions {word!r}.{did_you_mean(str(word), FIELDS)}")
    notes = [
        "A field means the same in every command. Shapes are lists, channels last; shares go from "
        "0 to 1; null is where there is none.",
        f"The fields inside of {', '.join(FREE)} are named by what they hold.",
    ]
    columns = {"field": "Field", "meaning": "Meaning"}
    return tabulate(chosen, columns, title="Fields of --format json", notes=notes)
