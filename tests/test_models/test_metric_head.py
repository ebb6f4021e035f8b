import copy

import pytest
import torch
import torch.nn.functional as F
from mmengine.runner.checkpoint import get_state_dict, load_state_dict
from mmpretrain.registry import MODELS
from pytorch_metric_learning import losses, miners

from dva_mm.models import DVARetriever, MetricLearningHead

CLASSES, CHANNELS = 4, 8


def head(loss: dict, **options) -> MetricLearningHead:
    options = dict(num_classes=CLASSES, in_channels=CHANNELS, **options)
    return MODELS.build(dict(type='MetricLearningHead', loss=loss, **options))


def batch(images: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    labels = torch.arange(CLASSES).repeat(images)
    return torch.randn(len(labels), CHANNELS, requires_grad=True), labels


def test_the_loss_and_its_gradient_are_pmls():
    model = head(dict(type='MultiSimilarityLoss'), miner=dict(type='MultiSimilarityMiner'))
    embeddings, labels = batch()
    got = model.loss(embeddings, labels)
    pairs = miners.MultiSimilarityMiner()(embeddings, labels)
    want = losses.MultiSimilarityLoss()(embeddings, labels, pairs)
    assert got.keys() == {'loss_metric', 'mined'}
    assert got['mined'] == len(pairs[0]) + len(pairs[2]) > 0
    assert got['loss_metric'] == want
    gradients = [torch.autograd.grad(value, embeddings)[0] for value in (*got.values(), want)[::2]]
    assert torch.equal(*gradients) and gradients[0].abs().sum() > 0


def test_triplets_are_counted():
    model = head(dict(type='TripletMarginLoss'), miner=dict(type='TripletMarginMiner'))
    embeddings, labels = batch()
    triplets = miners.TripletMarginMiner()(embeddings, labels)
    assert model.loss(embeddings, labels)['mined'] == len(triplets[0]) > 0


def test_a_proxy_loss_by_its_formula():
    """ProxyNCA++ is cross-entropy over cosines to unit-norm proxies, by the temperature."""
    model = head(dict(type='NormalizedSoftmaxLoss', temperature=0.1))
    embeddings, labels = batch()
    value = model.loss(embeddings, labels)['loss_metric']
    total = 0
    for row, label in zip(embeddings, labels, strict=True):
        cosines = [F.cosine_similarity(row, proxy, dim=0) for proxy in model.loss_function.W.T]
        scores = torch.stack(cosines) / 0.1
        total = total - scores[label] + torch.logsumexp(scores, 0)
    torch.testing.assert_close(value, total / len(labels))


def test_the_object_view_joins_the_batch_and_the_background_does_not():
    model = head(dict(type='SupConLoss'))
    (embeddings, labels), (objects, _) = batch(), batch()
    assert not model.uses_background
    got = model.loss(embeddings, labels, objects, torch.randn(0, CHANNELS), labels[:0])
    want = losses.SupConLoss()(torch.cat([embeddings, objects]), torch.cat([labels, labels]))
    assert got['loss_metric'] == want


def test_a_loss_stays_in_float32_under_autocast():
    model = head(dict(type='ProxyAnchorLoss'))
    embeddings, labels = batch()
    want = model.loss(embeddings.bfloat16(), labels)['loss_metric']
    with torch.autocast('cpu', dtype=torch.bfloat16):
        got = model.loss(embeddings.bfloat16(), labels)['loss_metric']
    assert got == want and got.dtype == torch.float32
    assert model.loss_function.proxies.dtype == torch.float32


def test_a_queue_is_saved_and_resumed():
    config = dict(type='CrossBatchMemory', loss=dict(type='ContrastiveLoss'), memory_size=40)
    whole, batches = head(config), [batch() for _ in range(4)]
    for embeddings, labels in batches[:2]:
        whole.loss(embeddings, labels)
    resumed = head(config)
    load_state_dict(resumed, copy.deepcopy(get_state_dict(whole)), strict=True)
    for embeddings, labels in batches[2:]:  # the third batch fills the queue
        want = whole.loss(embeddings, labels)['loss_metric']
        assert resumed.loss(embeddings, labels)['loss_metric'] == want > 0
    memories = whole.loss_function, resumed.loss_function
    assert [memory.queue_idx for memory in memories] == [64 % 40] * 2
    assert all(memory.has_been_filled for memory in memories)
    fresh = head(config)
    assert fresh.loss(*batches[3])['loss_metric'] != want


def test_a_queue_mines_for_itself():
    nested = dict(type='CrossBatchMemory', loss=dict(type='ContrastiveLoss'))
    miner = dict(type='MultiSimilarityMiner')
    for loss, options in (
        (nested, dict(miner=miner)),
        (dict(type='MultipleLosses', losses=[nested], miners=[miner]), {}),
    ):
        with pytest.raises(ValueError, match='a CrossBatchMemory mines its own queue'):
            head(loss, **options)
    model = head({**nested, 'miner': miner, 'memory_size': 64})
    for _ in range(3):
        assert model.loss(*batch())['loss_metric'].isfinite()


def test_every_parameter_of_a_loss_gets_a_gradient_in_every_batch():
    model = head(dict(type='MarginLoss', learn_beta=True))
    embeddings, labels = torch.randn(4, CHANNELS, requires_grad=True), torch.arange(4)
    model.loss(embeddings, labels)['loss_metric'].backward()  # no triplet
    assert model.loss_function.beta.grad is not None


def test_smooth_ap_is_zero_for_a_perfect_batch_in_any_order():
    model = head(dict(type='SmoothAPLoss'))
    labels = torch.arange(4).repeat(4)
    perfect = F.one_hot(labels, CHANNELS) + 1e-3 * torch.randn(16, CHANNELS)
    assert model.loss(perfect, labels)['loss_metric'] < 1e-4
    wrong = model.loss(perfect, torch.arange(4).repeat_interleave(4))
    assert wrong['loss_metric'] > 0.5


@pytest.mark.parametrize(('classes', 'images'), [(4, 2), (2, 4)])
def test_smooth_ap_refuses_the_batches_on_which_pmls_is_wrong(classes, images):
    labels = torch.arange(classes).repeat_interleave(images)
    perfect = F.one_hot(labels, CHANNELS) + 1e-3 * torch.randn(len(labels), CHANNELS)
    assert losses.SmoothAPLoss()(perfect, labels) > 0.15  # nothing is ranked wrongly
    with pytest.raises(ValueError, match=f'{classes} classes of .*MPerClassSampler'):
        head(dict(type='SmoothAPLoss')).loss(perfect, labels)


def test_mistakes_are_named():
    for label in (4, -1):
        with pytest.raises(ValueError, match=f'label {label}'):
            head(dict(type='SupConLoss')).loss(batch()[0], torch.full((16,), label))
    with pytest.raises(ValueError, match='memory_size 8 .*batch of 16'):
        loss = dict(type='CrossBatchMemory', loss=dict(type='SupConLoss'), memory_size=8)
        head(loss).loss(*batch())
    with pytest.raises(ValueError, match='miner must be a miner'):
        head(dict(type='SupConLoss'), miner=dict(type='SupConLoss'))
    with pytest.raises(ValueError, match='loss must be a loss'):
        head(dict(type='TripletMarginMiner'))


def test_a_retriever_trains_neck_and_proxies_on_the_frozen_encoder(mmpretrain_arch, images):
    model = DVARetriever(
        backbone=dict(
            type='FrozenViT', arch=mmpretrain_arch, pretrained=False, img_size=32, tuning=None
        ),
        neck=dict(type='LinearNeck', out_channels=5, norm_cfg=None),
        head=dict(type='MetricLearningHead', loss=dict(type='ProxyAnchorLoss'), num_classes=3),
    )
    assert model.neck.fc.weight.shape == (5, 32)
    assert model.head.loss_function.proxies.shape == (3, 5)
    samples = model.predict(images)
    for label, sample in enumerate(samples):
        assert sample.embedding.shape == (5,)
        sample.set_gt_label(label)
    sum(model.loss(images, samples).values()).backward()
    moved = {name for name, p in model.named_parameters() if p.grad is not None}
    assert moved == {'neck.fc.weight', 'neck.fc.bias', 'head.loss_function.proxies'}
    assert torch.stack([p.grad.abs().sum() for p in model.neck.parameters()]).min() > 0
