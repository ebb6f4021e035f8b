import pytest
import torch
from pytorch_metric_learning import distances, losses, miners, reducers, regularizers

from dva_mm.models.pml_builder import build_pml, names

KNOWN = dict(num_classes=4, embedding_size=8, descriptors_dim=8)
# What each class needs beside what is known of the data.
OPTIONS = dict(
    CrossBatchMemory=dict(loss=dict(type='ContrastiveLoss')),
    MultipleLosses=dict(losses=[dict(type='TripletMarginLoss'), dict(type='NTXentLoss')]),
    RankedListLoss=dict(margin=1.0, Tn=10),
    BatchedDistance=dict(distance=dict(type='LpDistance')),
    ClassWeightedReducer=dict(weights=[1.0, 2.0, 1.0, 0.5]),
    MultipleReducers=dict(reducers=dict(loss=dict(type='SumReducer'))),
    SparseCentersRegularizer=dict(centers_per_class=2),
    ThresholdReducer=dict(low=0.01),
)


def batch():
    """Four classes of four images, as SmoothAPLoss wants them."""
    return torch.randn(16, 8, requires_grad=True), torch.arange(4).repeat_interleave(4)


@pytest.mark.parametrize('name', names(losses))
def test_every_loss_of_pml_is_built_from_its_name_and_gives_gradients(name):
    loss = build_pml(dict(type=name, **OPTIONS.get(name, {})), KNOWN)
    assert type(loss) is getattr(losses, name)
    for _ in range(2):  # some keep what the first step leaves behind
        embeddings, labels = batch()
        value = loss(embeddings, labels)
        value.backward()
    assert value.isfinite() and embeddings.grad.isfinite().all()
    if name != 'ThresholdConsistentMarginLoss':  # nothing passes its thresholds here
        assert embeddings.grad.abs().sum() > 0


@pytest.mark.parametrize('family', [distances, reducers, regularizers, miners])
def test_every_other_class_of_pml_is_built_from_its_name(family):
    embeddings, labels = (tensor[:15] for tensor in batch())  # five triplets, for one miner
    for name in names(family):
        part = build_pml(dict(type=name, **OPTIONS.get(name, {})), KNOWN)
        assert type(part) is getattr(family, name)
        if family is miners:
            assert len(part(embeddings, labels)) in (3, 4)


def test_classes_are_weighted_from_a_plain_list():
    embeddings, labels = batch()
    config = dict(type='NCALoss', reducer=dict(type='ClassWeightedReducer', weights=[0.0] * 4))
    assert build_pml(config, {})(embeddings, labels) == 0
    config['reducer']['weights'] = [1.0] * 4
    plain = build_pml(dict(type='NCALoss'), {})
    assert build_pml(config, {})(embeddings, labels) == plain(embeddings, labels)


def test_pml_has_the_losses_that_the_test_above_shall_cover():
    found = names(losses)
    assert len(found) >= 29
    assert {'ProxyAnchorLoss', 'SoftTripleLoss', 'ArcFaceLoss', 'SupConLoss'} <= set(found)
    assert not {'BaseMetricLossFunction', 'WeightRegularizerMixin', 'VICRegLoss'} & set(found)


@pytest.mark.parametrize(
    'name', ['LargeMarginSoftmaxLoss', 'ProxyAnchorLoss', 'SoftTripleLoss', 'SubCenterArcFaceLoss']
)
def test_sizes_come_from_the_data(name):
    sizes = {side for p in build_pml(dict(type=name), KNOWN).parameters() for side in p.shape}
    assert 8 in sizes and sizes - {8} <= {4, 4 * 10, 4 * 3}


def test_a_size_that_a_loss_can_do_without_is_left_to_the_config():
    assert len(build_pml(dict(type='MarginLoss'), KNOWN).beta) == 1
    assert len(build_pml(dict(type='MarginLoss', num_classes=4), KNOWN).beta) == 4


def test_options_that_are_pml_objects_or_functions_themselves():
    config = dict(
        type='ProxyAnchorLoss',
        distance=dict(type='CosineSimilarity'),
        reducer=dict(type='MultipleReducers', reducers=dict(loss=dict(type='SumReducer'))),
        weight_regularizer=dict(type='LpRegularizer', p=2),
        weight_reg_weight=0.25,
        weight_init_func=dict(type='constant_', val=0.5),
    )
    loss = build_pml(config, KNOWN)
    assert type(loss.distance) is distances.CosineSimilarity
    assert type(loss.reducer.reducers['loss']) is reducers.SumReducer
    assert type(loss.weight_regularizer) is regularizers.LpRegularizer
    assert loss.weight_reg_weight == 0.25 and (loss.proxies == 0.5).all()


@pytest.mark.parametrize(
    ('config', 'words'),
    [
        (dict(type='ProxyAncorLoss'), ["'ProxyAncorLoss'", 'ProxyAnchorLoss']),
        (dict(type='BaseMetricLossFunction'), ['BaseMetricLossFunction']),
        (dict(margin=1), ['None']),
        (dict(type='VICRegLoss'), ['VICRegLoss', 'labels']),
        (dict(type='GenericPairLoss'), ['GenericPairLoss', 'base class']),
        (dict(type='DynamicSoftMarginLoss'), ['DynamicSoftMarginLoss', 'graph']),
        ((dict(type='SupConLoss'),), ["dict(type='TripletMarginLoss')", 'SupConLoss']),
        (dict(type='TripletMarginLoss', marge=1), ['TripletMarginLoss', 'marge']),
        (dict(type='ProxyAnchorLoss'), ['ProxyAnchorLoss', 'num_classes']),
        (dict(type='CrossBatchMemory', embedding_size=8), ['CrossBatchMemory', 'loss']),
        (dict(type='ContrastiveLoss', distance=dict(type='Cosine')), ['CosineSimilarity']),
        (dict(type='ArcFaceLoss', weight_init_func=dict(type='normal')), ['weight_init_func']),
    ],
)
def test_mistakes_are_named(config, words):
    with pytest.raises(ValueError) as error:
        build_pml(config, {})
    assert all(word in str(error.value) for word in words)
