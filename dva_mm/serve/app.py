"""The page and its HTTP API as one ASGI application."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import gradio as gr
from fastapi import FastAPI
from fastapi.responses import FileResponse
from starlette.types import ASGIApp

from .catalogue import Catalogue
from .gate import Gate
from .limits import Limits
from .questions import Questions

PAGE = Path(__file__).parent / 'page'
AGE = 3600  # seconds that Gradio keeps an upload


@contextmanager
def private_uploads() -> Iterator[Path]:
    """A folder of this process alone where Gradio puts uploads, removed at the end.

    Gradio's own is shared by all of its servers on a machine.
    """
    before = os.environ.get('GRADIO_TEMP_DIR')
    with TemporaryDirectory(prefix='dva_mm_serve_') as folder:
        os.environ['GRADIO_TEMP_DIR'] = os.path.realpath(folder)
        try:
            yield Path(os.path.realpath(folder))
        finally:
            os.environ.pop('GRADIO_TEMP_DIR')
            if before is not None:
                os.environ['GRADIO_TEMP_DIR'] = before


def make_app(
    catalogue: Catalogue,
    uploads: Path,
    limits: Limits | None = None,
    title: str = 'index',
    hosts: set[str] | None = None,
) -> ASGIApp:
    """Make the application: a page at ``/``, Gradio's API at ``/gradio_api``, a gate around both.

    Args:
        catalogue: The index.
        uploads: From :func:`private_uploads`, whose block is open.
        limits: Defaults to None: those of :class:`Limits`.
        title: What the index is called. Defaults to 'index'.
        hosts: Names by which the page is asked for; None: any. Defaults to None.
    """
    limits = limits or Limits()
    questions = Questions(catalogue, limits, title)
    with gr.Blocks(title=title, analytics_enabled=False, delete_cache=(60, AGE)) as blocks:
        for ask in (questions.describe, questions.show):
            gr.api(ask, concurrency_limit=2)
        for ask in (questions.search, questions.look):
            gr.api(ask, concurrency_limit=1, concurrency_id='model')
    blocks.queue(max_size=limits.waiting)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    for path, name in (('/', 'page.html'), ('/page.css', 'page.css'), ('/page.js', 'page.js')):
        app.get(path)(_sender(PAGE / name))
    options = dict(max_file_size=limits.upload_bytes, show_error=False, run_history=False)
    gr.mount_gradio_app(app, blocks, path='/', footer_links=[], **options)
    return Gate(app, limits, uploads, hosts)


def _sender(file: Path) -> Callable[[], FileResponse]:
    return lambda: FileResponse(file)
