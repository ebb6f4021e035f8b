import cv2
import numpy as np
import pytest
import torch
from mmpretrain.registry import DATASETS
from photos import PIPELINE, make_retriever
from PIL import Image
from tiny_data import write_config, write_cub, write_weights

from dva_mm.retrieval import Retriever


def test_rows_are_unit_norm_in_the_order_given(retriever, photos):
    files = sorted(photos.rglob('*.png'))
    rows = retriever.encode(files, batch_size=5, workers=2, progress=False)
    assert rows.dtype == np.float32 and rows.shape == (12, retriever.dims)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    backwards = retriever.encode(files[::-1], batch_size=4, workers=0, progress=False)
    assert np.allclose(backwards[::-1], rows, atol=1e-6)
    assert np.allclose(retriever.encode(photos, progress=False), rows, atol=1e-6)


def test_files_pil_images_and_arrays_of_one_picture_agree(retriever, photos):
    file = next(photos.rglob('*.png'))
    picture = Image.open(file)
    kinds = [str(file), file, picture, np.asarray(picture)]
    one_by_one = [retriever.encode(kind, workers=0, progress=False)[0] for kind in kinds]
    together = retriever.encode(iter(kinds), workers=0, progress=False)
    assert np.allclose(one_by_one, together[:1], atol=1e-6)
    grey = np.asarray(picture)[..., 1]
    as_colour = np.repeat(grey[..., None], 3, axis=2)
    rows = retriever.encode([grey, as_colour], workers=0, progress=False)
    assert np.allclose(rows[0], rows[1], atol=1e-6)


def test_the_embedding_is_the_models_own(retriever, photos):
    file = next(photos.rglob('*.png'))
    image = cv2.imread(str(file))[4:36, 8:40, ::-1].astype(np.float32)
    pixels = torch.from_numpy((image - 127.5) / 127.5).permute(2, 0, 1)[None]
    expected = retriever.model.backbone(pixels)[0][0]
    expected = expected / expected.norm()
    row = retriever.encode(file, workers=0, progress=False)[0]
    assert np.allclose(row, expected.detach().numpy(), atol=1e-5)


def test_flip_averages_with_the_mirrored_image(retriever, photos):
    image = np.asarray(Image.open(next(photos.rglob('*.png'))))
    plain, mirrored = retriever.encode([image, image[:, ::-1]], workers=0, progress=False)
    mean = (plain + mirrored) / np.linalg.norm(plain + mirrored)
    flipped = retriever.encode(image, workers=0, flip=True, progress=False)[0]
    assert not np.allclose(flipped, plain, atol=1e-4)
    assert np.allclose(flipped, mean, atol=1e-5)


@pytest.mark.parametrize('content', [b'', b'no image', b'\x89PNG\r\n\x1a\n' + b'\0' * 20])
def test_an_unreadable_image_is_named_or_left_out(retriever, photos, content, caplog):
    bad = photos / 'bad.png'
    bad.write_bytes(content)
    files = [*sorted(photos.rglob('0*.png'))[:2], bad, photos / 'missing.png']
    with pytest.raises(ValueError, match='bad.png'):
        retriever.encode(files, workers=0, progress=False)
    rows = retriever.encode(files, workers=0, errors='skip', progress=False)
    assert len(rows) == 2
    assert np.allclose(rows, retriever.encode(files[:2], workers=0, progress=False), atol=1e-6)


def test_a_data_set_is_embedded_through_its_own_pipeline(retriever, tmp_path):
    root = write_cub(tmp_path / 'cub')
    options = dict(data_root=str(root), reader='cub', split='test', pipeline=PIPELINE)
    dataset = DATASETS.build(dict(type='FineGrainedDataset', **options))
    rows = retriever.encode(dataset, workers=0, progress=False)
    files = [dataset.get_data_info(i)['img_path'] for i in range(len(dataset))]
    assert np.allclose(rows, retriever.encode(files, workers=0, progress=False), atol=1e-6)


def test_half_precision_is_near_and_is_float32_outside(retriever, photos):
    rows = make_retriever(precision='bf16').encode(photos, workers=0, progress=False)
    assert rows.dtype == np.float32
    exact = retriever.encode(photos, workers=0, progress=False)
    assert 1e-7 < np.abs(rows - exact).max() < 0.05


def test_models_of_other_weights_have_another_fingerprint(retriever):
    assert make_retriever().fingerprint == retriever.fingerprint
    assert make_retriever(seed=1).fingerprint != retriever.fingerprint


def test_a_config_alone_is_its_frozen_encoder(tmp_path):
    root, weights = write_cub(tmp_path / 'cub'), write_weights(tmp_path / 'vit.safetensors')
    config = write_config(tmp_path / 'config.py', root, weights)
    retriever = Retriever.load(config, device='cpu')
    assert Retriever.load(config, device='cpu').fingerprint == retriever.fingerprint
    assert not [p for p in retriever.model.parameters() if p.requires_grad]
    moved = weights.rename(tmp_path / 'moved.safetensors')
    with pytest.raises(FileNotFoundError, match='vit.safetensors'):
        Retriever.load(config, device='cpu')
    again = Retriever.load(config, pretrained=moved, device='cpu')
    assert again.fingerprint == retriever.fingerprint


@pytest.mark.parametrize('precision', ['fp8', None])
def test_an_unknown_precision_is_refused(precision):
    with pytest.raises(ValueError, match=str(precision)):
        make_retriever(precision=precision)
