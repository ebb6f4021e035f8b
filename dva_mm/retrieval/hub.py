"""Models on the Hugging Face hub: published files with the config that they carry, and a card."""

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory

from .source import config_of

PREFIX = 'hf://'

CARD = """\
---
license: {licence}
library_name: dva_mm
pipeline_tag: image-feature-extraction
tags:
- image-retrieval
- fine-grained
---
# {title}

A model for image retrieval: a frozen encoder with small trained parts (`{file}`). The encoder's own
weights are not in this file: {encoder}.

```python
from dva_mm import Index, Retriever

retriever = Retriever.load('hf://{repo}')
index = Index.build(retriever, 'photos/', 'photos.index')
hits = index.search('query.jpg', k=10)
```

## Figures

{figures}

## Model

```python
{model}
```
"""


def download(source: str) -> str:
    """Fetch a published file; it is kept in huggingface_hub's cache.

    Args:
        source: ``'hf://USER/NAME'``, where there is one published file, or
            ``'hf://USER/NAME/FILE.safetensors'``.

    Returns:
        Path of the file.

    Raises:
        ValueError: If the source has another form, or there is not one file alone.
        FileNotFoundError: If the hub has no such model or file, or cannot be reached.
    """
    from huggingface_hub import HfApi, hf_hub_download

    parts = source.removeprefix(PREFIX).split('/', 2)
    if len(parts) < 2 or not all(parts) or '..' in parts:
        raise ValueError(f'{source} has another form than hf://USER/NAME[/FILE.safetensors]')
    repo = '/'.join(parts[:2])
    try:
        if len(parts) == 3:
            name = parts[2]
        else:
            files = HfApi().list_repo_files(repo)
            names = [file for file in files if file.endswith('.safetensors')]
            if len(names) != 1:
                raise ValueError(
                    f'{source} has {len(names)} files .safetensors; name one of '
                    f'{", ".join(names) or "another model"}'
                )
            (name,) = names
        return hf_hub_download(repo, name)
    except ValueError as error:
        if source in str(error):
            raise
        raise ValueError(f'{source}: {error}') from error
    except Exception as error:  # of its own, of its HTTP library, of the file system
        raise FileNotFoundError(f'{source} cannot be fetched: {error}') from error


def model_card(
    file: str | Path, repo: str, licence: str, figures: dict[str, float] | None = None
) -> str:
    """The README.md of a published file.

    Args:
        file: The published file.
        repo: ``'USER/NAME'``.
        licence: Its identifier, such as ``'apache-2.0'``.
        figures: Measured values by name. Defaults to None.

    Raises:
        ValueError: If the file carries no config.
    """
    cfg = config_of(os.fspath(file))
    rows = [f'| {name} | {value:.2f} |' for name, value in (figures or {}).items()]
    table = '\n'.join(['| metric | value |', '|---|---|', *rows]) if rows else 'None were given.'
    model = cfg.model.to_dict()
    encoder = model['backbone'].get('pretrained')
    if isinstance(encoder, str):  # of a file, the name alone: the folder is the writer's own
        encoder = os.path.basename(encoder)
        model['backbone']['pretrained'] = encoder
    named = model['backbone'].get('arch') if encoder is True else encoder
    return CARD.format(
        licence=licence,
        title=repo.split('/')[-1],
        file=Path(file).name,
        encoder=f'they are {named!r}',
        repo=repo,
        figures=table,
        model=json.dumps(model, indent=1),
    )


def push_to_hub(
    file: str | Path,
    repo: str,
    licence: str,
    figures: dict[str, float] | None = None,
    private: bool = False,
) -> str:
    """Upload a published file and its card; logged in by ``hf auth login`` or ``HF_TOKEN``.

    Args:
        file: A published ``.safetensors``.
        repo: ``'USER/NAME'``; made if there is none.
        licence: Its identifier, such as ``'apache-2.0'``.
        figures: Measured values by name, for the card. Defaults to None.
        private: Make a new model private. Defaults to False.

    Returns:
        Address of the model.

    Raises:
        ValueError: If the file is no published ``.safetensors``.
    """
    from huggingface_hub import HfApi

    file = Path(file)
    if file.suffix != '.safetensors':
        raise ValueError(f'{file} is no .safetensors; publish it as one')
    card = model_card(file, repo, licence, figures)
    api = HfApi()
    address = api.create_repo(repo, private=private, exist_ok=True)
    with TemporaryDirectory() as folder:
        (Path(folder) / 'README.md').write_text(card)
        (Path(folder) / file.name).symlink_to(file.absolute())
        api.upload_folder(
            repo_id=repo, folder_path=folder, commit_message=f'Upload {file.name} and its card'
        )
    return str(address)
