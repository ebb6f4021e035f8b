"""Official sources of the benchmarks: files, checksums, terms of use and citation."""

from typing import NamedTuple


class File(NamedTuple):
    """One file that a data set consists of."""

    name: str
    """Its official name, under which it lies in the folder of archives."""
    url: str | None = None
    """Official address; None where only a person can fetch it (a form, a server that is gone)."""
    digest: str | None = None
    """'sha256:HEX' or 'md5:HEX', published and confirmed; None where no one publishes one."""
    place: str = ''
    """Folder in the data set's folder that it is unpacked or copied to."""


class Source(NamedTuple):
    """Where a data set comes from, and where it goes."""

    title: str
    homepage: str
    terms: str
    """Terms of use and citation, in a sentence or two."""
    root: str
    """The folder that the configs read."""
    reader: str
    """Name of its reader in ``dva_mm.datasets.benchmarks.READERS``."""
    files: tuple[File, ...]
    top: str = ''
    """The archive's own top folder, which becomes ``root``; empty where it has none."""
    boxes: bool = True
    """Whether boxes of the objects come with it. Its config is ``dva_vit_NAME.py``."""


_OXFORD = 'https://www.robots.ox.ac.uk/~vgg/data'
_DOGS = 'http://vision.stanford.edu/aditya86/ImageNetDogs'

# Where a checksum comes from: SHA-256 from the tables of TensorFlow Datasets, which were made from
# the same addresses (and for cub, flowers and pets agree with torchvision's or the publisher's MD5
# of the same files); aircraft's MD5 is the one that Torch's and other downloaders check. NABirds
# and In-Shop publish none.
SOURCES: dict[str, Source] = {
    'cub': Source(
        title='CUB-200-2011',
        homepage='https://www.vision.caltech.edu/datasets/cub_200_2011/',
        terms='Non-commercial research and education; the photographs belong to their '
        'photographers. Cite Wah et al., The Caltech-UCSD Birds-200-2011 Dataset, CNS-TR-2011-001.',
        root='data/CUB_200_2011',
        reader='cub',
        files=(
            File(
                'CUB_200_2011.tgz',
                'https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz',
                'sha256:0c685df5597a8b24909f6a7c9db6d11e008733779a671760afef78feb49bf081',
            ),
        ),
        top='CUB_200_2011',
    ),
    'cars': Source(
        title='Stanford Cars (Cars196)',
        homepage='https://ai.stanford.edu/~jkrause/cars/car_dataset.html (its files are gone)',
        terms='Non-commercial research. Cite Krause et al., 3D Object Representations for '
        'Fine-Grained Categorization, 3dRR 2013.',
        root='data/stanford_cars',
        reader='cars',
        files=(
            File(
                'cars_train.tgz',
                None,
                'sha256:512b227b30e2f0a8aab9e09485786ab4479582073a144998da74d64b801fd288',
            ),
            File(
                'cars_test.tgz',
                None,
                'sha256:bffea656d6f425cba3c91c6d83336e4c5f86c6cffd8975b0f375d3a10da8e243',
            ),
            File(
                'car_devkit.tgz',
                None,
                'sha256:b97deb463af7d58b6bfaa18b2a4de9829f0f79e8ce663dfa9261bf7810e9accd',
            ),
            File(
                'cars_test_annos_withlabels.mat',
                None,
                'sha256:790f75be8ea34eeded134cc559332baf23e30e91367e9ddca97d26ed9b895f05',
                'devkit',
            ),
        ),
    ),
    'dogs': Source(
        title='Stanford Dogs',
        homepage=f'{_DOGS}/',
        terms="ImageNet's photographs, for non-commercial research and education. Cite Khosla et "
        'al., Novel Dataset for Fine-Grained Image Categorization, FGVC 2011.',
        root='data/stanford_dogs',
        reader='dogs',
        files=(
            File(
                'images.tar',
                f'{_DOGS}/images.tar',
                'sha256:a443fc2f9a851aa1a7b8e4fa4af94b8459fce2c9f5a2f4dd4669cf9673a4ec58',
            ),
            File(
                'annotation.tar',
                f'{_DOGS}/annotation.tar',
                'sha256:662ed36f707be6b195c2fda392d8e153e83af28cedc8e2134a649f198def30fd',
            ),
            File(
                'lists.tar',
                f'{_DOGS}/lists.tar',
                'sha256:34b47cacd9a98b5d150e084f24d29391c084c55272295ec65c85651bc35f4d6c',
            ),
        ),
    ),
    'aircraft': Source(
        title='FGVC-Aircraft 2013b',
        homepage=f'{_OXFORD}/fgvc-aircraft/',
        terms='Non-commercial research only; the photographs belong to airliners.net '
        'contributors. Cite Maji et al., Fine-Grained Visual Classification of Aircraft, '
        'arXiv:1306.5151.',
        root='data/fgvc-aircraft-2013b',
        reader='aircraft',
        files=(
            File(
                'fgvc-aircraft-2013b.tar.gz',
                f'{_OXFORD}/fgvc-aircraft/archives/fgvc-aircraft-2013b.tar.gz',
                'md5:d4acdd33327262359767eeaa97a4f732',
            ),
        ),
        top='fgvc-aircraft-2013b',
    ),
    'nabirds': Source(
        title='NABirds',
        homepage='https://dl.allaboutbirds.org/nabirds (a form asks to accept the terms)',
        terms="Non-commercial research and education, under the Cornell Lab of Ornithology's "
        'terms. Cite Van Horn et al., Building a Bird Recognition App and Large Scale Dataset '
        'with Citizen Scientists, CVPR 2015.',
        root='data/nabirds',
        reader='nabirds',
        files=(File('nabirds.tar.gz'),),
        top='nabirds',
    ),
    'flowers': Source(
        title='Oxford 102 Flowers',
        homepage=f'{_OXFORD}/flowers/102/',
        terms='Research; the photographs belong to their owners. Cite Nilsback and Zisserman, '
        'Automated Flower Classification over a Large Number of Classes, ICVGIP 2008.',
        root='data/flowers102',
        reader='flowers',
        files=(
            File(
                '102flowers.tgz',
                f'{_OXFORD}/flowers/102/102flowers.tgz',
                'sha256:2d01ecc807db462958cfe3d92f57a8c252b4abd240eb955770201e45f783b246',
            ),
            File(
                'imagelabels.mat',
                f'{_OXFORD}/flowers/102/imagelabels.mat',
                'sha256:4903e94206bac23bf772aadf06451916df56b58fc483a62db32a97b82656651d',
            ),
            File(
                'setid.mat',
                f'{_OXFORD}/flowers/102/setid.mat',
                'sha256:46b8678f91fd95d3c8f4feab80d271a6c834a1dd896fe29fd3e6ad9ce5c8dccd',
            ),
        ),
        boxes=False,
    ),
    'pets': Source(
        title='Oxford-IIIT Pet',
        homepage=f'{_OXFORD}/pets/',
        terms='CC BY-SA 4.0; the photographs belong to their owners. Cite Parkhi et al., Cats and '
        'Dogs, CVPR 2012.',
        root='data/oxford-iiit-pet',
        reader='pets',
        files=(
            File(
                'images.tar.gz',
                f'{_OXFORD}/pets/data/images.tar.gz',
                'sha256:67195c5e1c01f1ab5f9b6a5d22b8c27a580d896ece458917e61d459337fa318d',
            ),
            File(
                'annotations.tar.gz',
                f'{_OXFORD}/pets/data/annotations.tar.gz',
                'sha256:52425fb6de5c424942b7626b428656fcbd798db970a937df61750c0f1d358e91',
            ),
        ),
        boxes=False,
    ),
    'sop': Source(
        title='Stanford Online Products',
        homepage='https://cvgl.stanford.edu/projects/lifted_struct/',
        terms='Research; the photographs belong to eBay sellers. Cite Song et al., Deep Metric '
        'Learning via Lifted Structured Feature Embedding, CVPR 2016.',
        root='data/Stanford_Online_Products',
        reader='sop',
        files=(
            File(
                'Stanford_Online_Products.zip',
                'http://ftp.cs.stanford.edu/cs/cvgl/Stanford_Online_Products.zip',
                'sha256:b04fa78210e69fab050ce73939550e1cd0f96890bdd98ec9fee732c3b756ef48',
            ),
        ),
        top='Stanford_Online_Products',
        boxes=False,
    ),
    'inshop': Source(
        title='DeepFashion In-Shop Clothes Retrieval',
        homepage='https://mmlab.ie.cuhk.edu.hk/projects/DeepFashion/InShopRetrieval.html '
        '(a Google Drive folder)',
        terms='Non-commercial research only. Cite Liu et al., DeepFashion: Powering Robust Clothes '
        'Recognition and Retrieval with Rich Annotations, CVPR 2016.',
        root='data/In-shop',
        reader='inshop',
        files=(
            File('img.zip', place='Img'),
            File('list_eval_partition.txt', place='Eval'),
            File('list_bbox_inshop.txt', place='Anno'),
        ),
    ),
}
"""Source by the name that tools/prepare_data.py takes."""
