"""Mask R-CNN of TensorFlow Model Garden (on tf_keras), configured in Python for slices of microscopy."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras
from official.vision.configs import backbones, common, decoders
from official.vision.configs import maskrcnn as config
from official.vision.modeling import factory

from zoo.recipe_detector import HEADS, LEVELS, DetectorRecipe


def configuration(recipe: DetectorRecipe) -> config.MaskRCNN:
    """Return Model Garden's configuration for a recipe."""
    heads = HEADS[recipe.heads]
    resnet = backbones.ResNet(model_id=recipe.backbone, depth_multiplier=recipe.width)
    return config.MaskRCNN(
        num_classes=2,  # background and nucleus
        input_size=[None, None, recipe.channels],
        min_level=LEVELS[0],
        max_level=LEVELS[-1],
        anchor=config.Anchor(num_scales=recipe.scales, aspect_ratios=[1.0], anchor_size=recipe.anchor),
        backbone=backbones.Backbone(type="resnet", resnet=resnet),
        decoder=decoders.Decoder(type="fpn", fpn=decoders.FPN(num_filters=recipe.filters)),
        rpn_head=config.RPNHead(num_convs=1, num_filters=recipe.filters),
        detection_head=config.DetectionHead(
            num_convs=heads.box_convs, num_filters=heads.filters, num_fcs=1, fc_dims=heads.dense
        ),
        roi_generator=config.ROIGenerator(
            pre_nms_top_k=heads.candidates,
            num_proposals=heads.proposals,
            test_pre_nms_top_k=heads.candidates,
            test_num_proposals=heads.proposals,
            use_batched_nms=False,
        ),
        roi_sampler=config.ROISampler(num_sampled_rois=heads.sampled),
        mask_head=config.MaskHead(num_convs=heads.mask_convs, num_filters=heads.filters),
        mask_sampler=config.MaskSampler(num_sampled_masks=heads.masks),
        detection_generator=config.DetectionGenerator(
            pre_nms_score_threshold=0.05,
            nms_iou_threshold=recipe.nms,
            max_num_detections=recipe.most,
        ),
        # a momentum of 0.997 would need more steps than a compact training has
        norm_activation=common.NormActivation(
            activation="relu", norm_momentum=recipe.norm_momentum, norm_epsilon=1e-3, use_sync_bn=False
        ),
    )


def build(recipe: DetectorRecipe) -> tf_keras.Model:
    """Build a detector with fresh weights.

    Its input is float32 (N, Y, X, channels) with Y and X multiples of 32, of any size; each new size is
    traced once.
    """
    model_config = configuration(recipe)
    specs = tf_keras.layers.InputSpec(shape=[None, *model_config.input_size])
    model: Any = factory.build_maskrcnn(input_specs=specs, model_config=model_config)
    edge = recipe.patch
    images = tf.zeros((1, edge, edge, recipe.channels))
    model(images, image_shape=tf.constant([[edge, edge]], tf.float32), training=False)
    return model
