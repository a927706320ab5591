"""Writes keras_configs.json: networks as Keras saves them, with the figures Keras gives them.

Run by hand where Keras is installed:
KERAS_BACKEND=torch python -m tests.reference.make_keras_configs
"""

from __future__ import annotations

import json
from math import prod
from pathlib import Path
from typing import Any

import keras
from keras import layers


def digits() -> Any:
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(32, (3, 5), strides=(1, 2), padding="same", use_bias=False),
            layers.BatchNormalization(scale=False),
            layers.ReLU(max_value=6.0),
            layers.SpatialDropout2D(0.25),
            layers.AveragePooling2D(3, 2, padding="same"),
            layers.Flatten(),
            layers.Dense(32, activation="relu", trainable=False),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ],
        name="digits",
    )


def mixed() -> Any:
    return keras.Sequential(
        [
            keras.Input((32, 30, 6)),
            layers.ZeroPadding2D(((0, 1), (2, 3))),
            layers.DepthwiseConv2D(3, strides=2, depth_multiplier=2, padding="same"),
            layers.SeparableConv2D(24, 3, padding="same", dilation_rate=2, activation="silu"),
            layers.GroupNormalization(4),
            layers.Conv2D(16, 3, groups=4, padding="same", activation="gelu"),
            layers.LayerNormalization(),
            layers.Cropping2D(((1, 0), (2, 1))),
            layers.UpSampling2D(2, interpolation="bilinear"),
            layers.Conv2DTranspose(5, 3, strides=2, padding="same", activation="tanh"),
            layers.Conv2DTranspose(4, 2, strides=3),
            layers.LeakyReLU(negative_slope=0.01),
            layers.GlobalMaxPooling2D(),
            layers.Dense(12, activation="elu"),
            layers.Reshape((4, 3)),
            layers.LSTM(7, return_sequences=True),
            layers.LSTM(5),
            layers.Dense(2, activation="sigmoid"),
        ],
        name="mixed",
    )


def residual() -> Any:
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="stem")(image)
    for filters, strides in ((8, 1), (12, 2)):
        body = layers.Conv2D(filters, 3, strides=strides, padding="same")(x)
        body = layers.BatchNormalization()(body)
        body = layers.Activation("relu")(body)
        body = layers.Conv2D(filters, 3, padding="same")(body)
        gate = layers.GlobalAveragePooling2D(keepdims=True)(body)
        gate = layers.Conv2D(2, 1, activation="relu")(gate)
        gate = layers.Conv2D(filters, 1, activation="sigmoid")(gate)
        body = layers.Multiply()([body, gate])
        short = layers.Conv2D(filters, 1, strides=strides)(x) if strides > 1 else x
        x = layers.ReLU()(layers.Add()([short, body]))
    x = layers.Dense(10)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, layers.Softmax()(x), name="residual")


def unet() -> Any:
    image = keras.Input((32, 32, 1))
    x, skips = image, []
    for filters in (4, 8):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Conv2D(16, 3, padding="same", activation="relu")(x)
    for filters in (8, 4):
        x = layers.Conv2DTranspose(filters, 2, strides=2)(x)
        x = layers.Concatenate()([x, skips.pop()])
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
    return keras.Model(image, layers.Conv2D(2, 1)(x), name="unet")


def inception() -> Any:
    image = keras.Input((20, 20, 3))
    x = layers.Conv2D(8, 3)(image)
    one = layers.Conv2D(4, 1, activation="relu")(x)
    three = layers.Conv2D(6, 3, padding="same", activation="relu")(layers.Conv2D(2, 1)(x))
    left, right = (
        layers.Conv2D(2, (1, 3), padding="same")(three),
        layers.Conv2D(2, (3, 1), padding="same")(three),
    )
    three = layers.concatenate([left, right])
    pool = layers.Conv2D(3, 1)(layers.MaxPooling2D(3, 1, padding="same")(x))
    x = layers.concatenate([one, three, pool])
    head = keras.Sequential([layers.GlobalAveragePooling2D(), layers.Dense(3)], name="head")
    return keras.Model(image, head(x), name="inception")


def series() -> Any:
    return keras.Sequential(
        [
            keras.Input((128, 9)),
            layers.Conv1D(16, 5, padding="causal", dilation_rate=2, activation="relu"),
            layers.MaxPooling1D(2),
            layers.SeparableConv1D(8, 3),
            layers.ZeroPadding1D((1, 2)),
            layers.Cropping1D((0, 1)),
            layers.UpSampling1D(2),
            layers.AveragePooling1D(4),
            layers.GlobalAveragePooling1D(),
            layers.Dense(6, activation="softmax"),
        ],
        name="series",
    )


def volume() -> Any:
    return keras.Sequential(
        [
            keras.Input((12, 16, 20, 2)),
            layers.Conv3D(4, (3, 3, 1), activation="relu"),
            layers.MaxPooling3D(2),
            layers.Conv3D(8, 3, strides=(1, 2, 2), padding="same"),
            layers.GlobalAveragePooling3D(),
            layers.Dense(2),
        ],
        name="volume",
    )


def figures(model: Any) -> dict[str, Any]:
    """Return what Keras says of a model and of each layer with a single output."""
    rows = [
        {"name": layer.name, "output": list(layer.output.shape[1:]), "params": layer.count_params()}
        for layer in model.layers
    ]
    trainable = sum(prod(weight.shape) for weight in model.trainable_weights)
    return {
        "name": model.name,
        "config": json.loads(model.to_json()),
        "layers": rows,
        "params": model.count_params(),
        "trainable": trainable,
    }


def main() -> None:
    makers = (digits, mixed, residual, unet, inception, series, volume)
    document = {
        "source": f"keras {keras.__version__}, model.to_json() and count_params()",
        "models": [figures(maker()) for maker in makers],
    }
    place = Path(__file__).with_name("keras_configs.json")
    place.write_text(json.dumps(document, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
