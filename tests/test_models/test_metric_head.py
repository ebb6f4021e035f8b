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
    for name, parts in (('MultiSimilarity', (0, 2)), ('TripletMargin', (0,))):  # pairs, triplets
        model = head(dict(type=f'{name}Loss'), miner=dict(type=f'{name}Miner'))
        embeddings, labels = batch()
        got = model.loss(embeddings, labels)
        found = getattr(miners, f'{name}Miner')()(embeddings, labels)
        want = getattr(losses, f'{name}Loss')()(embeddings, labels, found)
        assert got.keys() == {'loss_metric', 'mined'}
        assert got['mined'] == sum(len(found[part]) for part in parts) > 0
        assert got['loss_metric'] == want
        values = (got['loss_metric'], want)
        gradients = [torch.autograd.grad(value, embeddings)[0] for value in values]
        assert torch.equal(*gradients) and gradients[0].abs().sum() > 0


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
        with pytest.raises(ValueError, match='CrossBatchMemory'):
            head(loss, **options)
    model = head({**nested, 'miner': miner, 'memory_size': 64})
    for _ in range(3):
        assert model.loss(*batch())['loss_metric'].isfinite()


def test_every_parameter_of_a_loss_gets_a_gradient_in_every_batch():
    model = head(dict(type='MarginLoss', learn_beta=True))
    embeddings, labels = torch.randn(4, CHANNELS, requires_grad=True), torch.arange(4)
    model.loss(embeddings, labels)['loss_metric'].backward()  # no triplet
    assert model.loss_function.beta.grad is not None


@pytest.mark.parametrize(('classes', 'images'), [(4, 4), (4, 2), (2, 4)])
def test_smooth_ap_is_zero_for_a_perfect_batch_in_any_order_or_refuses_it(classes, images):
    model = head(dict(type='SmoothAPLoss'))
    labels = torch.arange(classes).repeat(images)
    perfect = F.one_hot(labels, CHANNELS) + 1e-3 * torch.randn(len(labels), CHANNELS)
    if classes == images:
        assert model.loss(perfect, labels)['loss_metric'] < 1e-4
        assert model.loss(perfect, labels.sort()[0])['loss_metric'] > 0.5
    else:  # PML's loss is wrong: nothing is ranked wrongly
        order = labels.argsort()
        assert losses.SmoothAPLoss()(perfect[order], labels[order]) > 0.15
        with pytest.raises(ValueError, match=f'{classes} classes of .*MPerClassSampler'):
            model.loss(perfect, labels)


def test_mistakes_are_named():
    for label in (4, -1):
        with pytest.raises(ValueError, match=f'label {label}'):
            head(dict(type='SupConLoss')).loss(batch()[0], torch.full((16,), label))
    with pytest.raises(ValueError, match='memory_size 8 .*16'):
        loss = dict(type='CrossBatchMemory', loss=dict(type='SupConLoss'), memory_size=8)
        head(loss).loss(*batch())
    with pytest.raises(ValueError, match='miner .*SupConLoss'):
        head(dict(type='SupConLoss'), miner=dict(type='SupConLoss'))
    with pytest.raises(ValueError, match='loss .*TripletMarginMiner'):
        head(dict(type='TripletMarginMiner'))


def test_a_retriever_trains_neck_and_proxies_on_the_frozen_encoder(mmpretrain_arch, images):
    backbone = dict(type='FrozenViT', arch=mmpretrain_arch, pretrained=False, tuning=None)
    model = DVARetriever(
        backbone,
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
