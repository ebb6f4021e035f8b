"""Draw docs/images/three_views.svg: the views of a training image, the encoder and the losses.

Run it from a checkout: ``python docs/draw_diagram.py``. The picture is a drawn bird of the demo.
"""

import base64
from pathlib import Path

import cv2
import numpy as np
from jinja2 import Template

from dva_mm.datasets.opa import background_view, discriminative_view
from dva_mm.demo.birds import draw_bird, make_species

OUT = Path(__file__).parent / 'images' / 'three_views.svg'
SIDE, SEED = 112, 5

TEMPLATE = Template(
    """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 468" font-family="Helvetica, Arial,
sans-serif" font-size="14" fill="#1f2933">
<title>Three views of a training image pass one frozen encoder with ICA</title>
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7"
orient="auto"><path d="M0 0 8 4 0 8z" fill="#52606d"/></marker></defs>
<rect width="960" height="468" rx="12" fill="#ffffff"/>
<text x="24" y="34" font-size="17" font-weight="bold">Training</text>
{% for view in views %}
<g transform="translate(24 {{ 52 + loop.index0 * 134 }})">
<rect x="-3" y="-3" width="118" height="118" rx="6" fill="{{ view.colour }}"/>
<image width="112" height="112" href="data:image/jpeg;base64,{{ view.jpeg }}"/>
<text x="128" y="44" font-weight="bold">{{ view.name }}</text>
<text x="128" y="66" fill="#52606d">{{ view.note }}</text>
<path d="M128 86H290" stroke="{{ view.colour }}" stroke-width="3" marker-end="url(#tip)"/>
</g>
{% endfor %}
<g transform="translate(330 52)">
<rect width="210" height="380" rx="10" fill="#f0f4f8" stroke="#9fb3c8"/>
<text x="105" y="32" text-anchor="middle" font-weight="bold">Pre-trained ViT</text>
<text x="105" y="54" text-anchor="middle" fill="#52606d">frozen; one pass, all views</text>
{% for name, y, trained in (('Q', 92, 1), ('K', 160, 1), ('V', 228, 0)) %}
<rect x="24" y="{{ y }}" width="72" height="44" rx="6" fill="#d9e2ec"/>
<text x="60" y="{{ y + 28 }}" text-anchor="middle">{{ name }}</text>
{% if trained %}
<path d="M116 {{ y }}l44 14v16l-44 14zM186 {{ y }}l-22 14v16l22 14z" fill="#f7a23b"/>
<text x="104" y="{{ y + 28 }}" text-anchor="middle">+</text>
{% endif %}
{% endfor %}
<text x="105" y="306" text-anchor="middle" fill="#b45309" font-weight="bold">ICA: what trains</text>
<text x="105" y="328" text-anchor="middle" fill="#52606d">a bottleneck beside Q and K</text>
<text x="105" y="350" text-anchor="middle" fill="#52606d">0.68 % of a ViT-B/16</text>
</g>
<g transform="translate(600 0)">
{% for view in views %}
<path d="M-56 {{ 108 + loop.index0 * 134 }}H-14" stroke="{{ view.colour }}" stroke-width="3"
marker-end="url(#tip)"/>
<circle cx="4" cy="{{ 108 + loop.index0 * 134 }}" r="13" fill="{{ view.colour }}"/>
<text x="26" y="{{ 113 + loop.index0 * 134 }}" font-style="italic">z<tspan dy="4"
font-size="11">{{ view.sub }}</tspan></text>
<path d="M54 {{ 108 + loop.index0 * 134 }}H112" stroke="#52606d" stroke-width="2"
marker-end="url(#tip)"/>
<text x="124" y="{{ 104 + loop.index0 * 134 }}">{{ view.loss }}</text>
<text x="124" y="{{ 124 + loop.index0 * 134 }}" fill="#52606d">{{ view.loss_note }}</text>
{% endfor %}
<path d="M4 226V128" stroke="#b45309" stroke-width="3" stroke-dasharray="7 5"
marker-end="url(#tip)"/>
<text x="20" y="172" fill="#b45309" font-weight="bold">DPT</text>
<text x="20" y="192" fill="#52606d">the original learns what the object shows</text>
</g>
<text x="600" y="446" font-weight="bold">Retrieval needs the original image alone.</text>
</svg>
"""
)


def jpeg(picture: np.ndarray) -> str:
    """(H, W, 3) RGB -> base64 of a JPEG of SIDE x SIDE pixels."""
    small = cv2.resize(picture, (2 * SIDE, 2 * SIDE), interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode('.jpg', small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    return base64.b64encode(data.tobytes()).decode()


def main() -> None:
    """Draw one bird, make its views as OPA makes them, and write the SVG."""
    drawing = draw_bird(make_species(5)[4], np.random.default_rng(SEED), (320, 320), (0.36, 0.4))
    x, y, w, h = drawing.box
    box = (x, y, x + w, y + h)
    views = [
        dict(
            name='Original',
            note='the plain image',
            colour='#3b82c4',
            picture=drawing.picture,
            sub='',
            loss='proxy of its class',
            loss_note='pulls z to itself',
        ),
        dict(
            name='Object (OPA)',
            note='cut at its box',
            colour='#2f9e5b',
            picture=discriminative_view(drawing.picture, box),
            sub='d',
            loss='proxy of its class',
            loss_note='likewise',
        ),
        dict(
            name='Background (OPA)',
            note='the box painted over',
            colour='#829ab1',
            picture=background_view(drawing.picture, box, (127.5,) * 3),
            sub='b',
            loss='proxy of the background',
            loss_note='so scenes tell no class',
        ),
    ]
    for view in views:
        view['jpeg'] = jpeg(view.pop('picture'))
    OUT.write_text(TEMPLATE.render(views=views) + '\n')
    print(OUT)


if __name__ == '__main__':
    main()
