"""A run's model on its way to another ground."""

from __future__ import annotations

import dataclasses

import keras

from mmls_tf.data.normalise import Normalisation
from mmls_tf.models.registry import build_model
from mmls_tf.models.spec import ModelSpec
from mmls_tf.prediction.member import Member


def copied(member: Member, normalisation: Normalisation) -> Member:
    """Returns a member with a network of its own, of the same weights, for bands normalised in another way.

    What is derived of elevations needs their unit, which is a matter of normalisation: so the network is built anew.
    """
    model = copy_of(member, normalisation)
    model.compile(jit_compile=member.model.jit_compile)
    record = dataclasses.replace(member.record, normalisation=normalisation)
    return dataclasses.replace(member, record=record, model=model, normalisation=normalisation)


def copy_of(member: Member, normalisation: Normalisation) -> keras.Model:
    """Returns the network alone, not compiled."""
    record = member.record
    spec = ModelSpec.of(record.config, record.tile_size, normalisation)
    model = build_model(spec, record.precision, record.config.seed)
    model.set_weights(member.model.get_weights())
    return model
