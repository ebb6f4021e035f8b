import pytest
import reference
import torch
from mmpretrain.registry import MODELS

from dva_mm.models import DVAHead, sample_classes

CLASSES, CHANNELS, TAU, BETA = 4, 6, 0.5, 0.7


def head(**options):
    options = {'num_classes': CLASSES, 'temperature': TAU, 'beta': BETA, **options}
    return MODELS.build(dict(type='DVAHead', in_channels=CHANNELS, **options))


@pytest.fixture
def batch():
    """Embeddings of no particular length; the second of the three images has no background."""
    views = [torch.randn(n, CHANNELS).mul(3).requires_grad_() for n in (3, 3, 2)]
    labels = torch.tensor([1, 3, 0])
    return dict(
        zip(('original', 'discriminative', 'background'), views, strict=True),
        labels=labels,
        background_labels=labels[[0, 2]],
    )


@pytest.mark.parametrize(
    ('mode', 'smoothing'), [('kl', 0.0), ('l2', 0.0), ('cosine', 0.0), ('kl', 0.3)]
)
@pytest.mark.parametrize('background', ['proxy', 'class', 'none'])
def test_terms_and_gradients_are_those_of_the_twin(batch, background, mode, smoothing):
    model = head(
        background=background,
        dpt=dict(type='DPTLoss', mode=mode, temperature=2.0),
        label_smoothing=smoothing,
    )
    inputs = [batch['original'], batch['discriminative'], batch['background'], model.proxies]
    slow = [tensor.detach().double().requires_grad_() for tensor in inputs]
    own_class = batch['background_labels']
    want = reference.dva_terms(
        *slow[:3],
        labels=batch['labels'],
        background_labels=torch.full((2,), CLASSES) if background == 'proxy' else own_class,
        proxies=slow[3],
        tau=TAU,
        beta=BETA,
        temperature=2.0,
        mode=mode,
        smoothing=smoothing,
    )
    if background == 'none':
        del want['loss_background']
    got = model.loss(**batch)
    assert got.keys() == want.keys()
    for name in want:
        torch.testing.assert_close(got[name], want[name].float(), msg=name)
        gradients = [
            torch.autograd.grad(terms[name], leaves, retain_graph=True, allow_unused=True)
            for terms, leaves in ((got, inputs), (want, slow))
        ]
        for fast, slow_one in zip(*gradients, strict=True):
            assert (fast is None) == (slow_one is None)
            if fast is not None:
                torch.testing.assert_close(fast.double(), slow_one, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize('background', ['proxy', 'class', 'none'])
def test_a_sampled_softmax_is_the_whole_one_of_the_sampled_proxies(batch, background):
    count = 40
    model = head(num_classes=count, background=background, sample_rate=0.2, label_smoothing=0.1)
    batch['labels'] = torch.tensor([30, 3, 17])
    batch['background_labels'] = torch.tensor([17, 5])  # 5 is no class of the other views
    drawn = [batch['labels'], batch['labels']]
    drawn += [batch['background_labels']] if background == 'class' else []
    rows = sample_classes(torch.cat(drawn), count, 0.2).tolist()
    assert len(rows) == 8
    rows += [count] if background == 'proxy' else []
    own = [rows.index(label) for label in batch['background_labels'] if label in rows]
    want = reference.dva_terms(
        *(batch[name] for name in ('original', 'discriminative', 'background')),
        labels=torch.tensor([rows.index(label) for label in batch['labels']]),
        background_labels=torch.tensor(own if background == 'class' else [len(rows) - 1] * 2),
        proxies=model.proxies[rows],
        tau=TAU,
        beta=BETA,
        temperature=1.0,
        mode='kl',
        smoothing=0.1,
    )
    if background == 'none':
        del want['loss_background']
    got = model.loss(**batch)
    assert got.keys() == want.keys()
    for name in want:
        torch.testing.assert_close(got[name], want[name], msg=name)
    sum(got.values()).backward()
    assert model.proxies.grad.abs().sum(dim=1).nonzero().flatten().tolist() == rows


@pytest.mark.parametrize('background', ['proxy', 'class', 'none'])
def test_a_sample_of_all_classes_is_the_whole_softmax(batch, background):
    whole, sampled = head(background=background), head(background=background, sample_rate=0.99)
    sampled.load_state_dict(whole.state_dict())
    gradients = []
    for model in (whole, sampled):
        losses = model.loss(**batch)
        gradients.append(torch.autograd.grad(sum(losses.values()), model.proxies)[0])
    torch.testing.assert_close(losses, whole.loss(**batch))
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize('options', [{}, dict(dpt=None)])
def test_views_and_beta_choose_the_terms(batch, options):
    model = head(beta=0, **options)
    got, alone = model.loss(**batch), model.loss(batch['original'], batch['labels'])
    assert sorted(got) == ['loss_background', 'loss_discriminative', 'loss_proxy']
    assert alone == dict(loss_proxy=got['loss_proxy'])


@pytest.mark.parametrize('background', ['proxy', 'class'])
def test_a_batch_without_any_background_has_a_zero_term(batch, background):
    model = head(background=background)
    batch['background'] = torch.zeros(0, CHANNELS, requires_grad=True)
    batch['background_labels'] = torch.zeros(0, dtype=torch.int64)
    losses = model.loss(**batch)
    assert losses['loss_background'] == 0
    sum(losses.values()).backward()
    assert model.proxies.grad.isfinite().all()


@pytest.mark.parametrize(('background', 'count'), [('proxy', 5), ('class', 4), ('none', 4)])
def test_proxies_and_logits(batch, background, count):
    model = head(background=background)
    assert model.proxies.shape == (count, CHANNELS)
    assert model.uses_background == (background != 'none')
    z = torch.nn.functional.normalize(batch['original'], dim=1)
    want = [torch.stack(reference.logits(row, model.proxies, TAU)) for row in z]
    torch.testing.assert_close(model.logits(z), torch.stack(want))


def test_proxies_start_at_unit_length_on_average():
    proxies = DVAHead(num_classes=2000, in_channels=64).proxies
    assert proxies.norm(dim=1).mean().item() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_autocast_does_not_reach_the_losses(batch, dtype):
    model = head(temperature=0.05)
    floats = {name: z.detach().to(dtype) for name, z in batch.items() if z.is_floating_point()}
    want = model.loss(**{**batch, **{name: z.float() for name, z in floats.items()}})
    with torch.autocast('cpu', torch.bfloat16):
        got = model.loss(**{**batch, **floats})
    assert got == want and {value.dtype for value in got.values()} == {torch.float32}


@pytest.mark.parametrize('label', [CLASSES, -1, -100])  # cross-entropy skips -100 silently
def test_a_label_that_is_no_class_is_named(batch, label):
    batch['labels'][1] = label
    with pytest.raises(ValueError, match=f'label {label}'):
        head().loss(**batch)


@pytest.mark.parametrize(
    ('name', 'value'),
    [
        ('num_classes', None),
        ('num_classes', 1),
        ('in_channels', None),
        ('temperature', 0),
        ('background', 'mean'),
        ('beta', -1),
        ('label_smoothing', 1),
        ('sample_rate', 0),
        ('sample_rate', 1.5),
        ('dpt', None),  # with beta 1
    ],
)
def test_mistakes_are_named(name, value):
    with pytest.raises(ValueError) as error:
        DVAHead(**{'num_classes': CLASSES, 'in_channels': CHANNELS, name: value})
    assert name in str(error.value) and str(value) in str(error.value)
