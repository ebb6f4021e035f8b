"""The maps of two pictures towards one another."""

import sys

import numpy as np
import pytest
import torch
from serving import pair, texture

from dva_mm.serve.looks import look_at, model_input, why_no_looks
from dva_mm.visualization.maps import activation_maps, overlay


def test_each_map_aims_at_the_other_picture(textures):
    retriever = textures.retriever
    query, hit = pair(), texture(1, 2)
    found = look_at(retriever, query, hit)
    vectors = torch.from_numpy(retriever.encode([query, hit], workers=0, progress=False))
    for picture, target, image in ((query, vectors[1:], found[0]), (hit, vectors[:1], found[1])):
        top, left = (picture.shape[0] - 32) // 2, (picture.shape[1] - 32) // 2
        seen = picture[top : top + 32, left : left + 32]
        view = (torch.from_numpy(seen).permute(2, 0, 1)[None].float() - 127.5) / 127.5
        heat = activation_maps(retriever.model, view, target)[0]
        np.testing.assert_array_equal(image, overlay(seen, heat))


def test_what_the_model_sees_is_what_the_pipeline_makes(textures):
    seen = model_input(textures.retriever, texture(0, 1))
    expected = texture(0, 1)[16:48, 16:48, ::-1].transpose(2, 0, 1)
    np.testing.assert_array_equal(seen, expected)


def test_why_there_are_no_maps(textures, monkeypatch):
    pytest.importorskip('pytorch_grad_cam', reason='grad-cam is not installed')
    assert why_no_looks(textures.retriever) is None
    assert 'FrozenViT' in why_no_looks(object())
    monkeypatch.setitem(sys.modules, 'pytorch_grad_cam', None)
    assert 'dva_mm[demo]' in why_no_looks(textures.retriever)
