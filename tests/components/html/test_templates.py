import base64

import jinja2
import pytest
import tensorflow as tf

from components.html.templates import environment

PNG = tf.io.encode_png(tf.zeros([8, 32, 3], tf.uint8)).numpy()


@pytest.fixture
def rendered(tmp_path):
    def render(text, **values):
        (tmp_path / "one.html.j2").write_text(text)
        return environment([tmp_path], {"twice": lambda value: 2 * value}).get_template("one.html.j2").render(values)

    return render


def test_a_page_has_the_frame_and_the_style(rendered):
    html = rendered(
        '{% extends "page.html.j2" %}{% block title %}A{% endblock %}{% block body %}<h1>B</h1>{% endblock %}'
    )
    for text in ("<title>A</title>", "<main>\n<h1>B</h1>", "--ink:", 'content: " (" attr(href) ")"'):
        assert text in html


def test_a_picture_has_its_size_its_words_and_all_its_bytes(rendered):
    of = '{% from "elements.html.j2" import picture %}{{ picture(png, alt, "<below>", pixels=true) }}'
    html = rendered(of, png=PNG, alt='"x"')
    assert f'class="pixels" src="data:image/png;base64,{base64.b64encode(PNG).decode()}"' in html
    assert 'width="32" height="8" alt="&#34;x&#34;"' in html
    assert "<figcaption>&lt;below&gt;</figcaption>" in html


def test_a_template_has_the_filters_of_its_room_and_those_of_all(rendered):
    assert (
        rendered("{{ 2|twice }} {{ 1234.5678|nats }} {{ 1234|count }} {{ {}.missing|nats }}") == "4 1234.57 1,234 n/a"
    )


def test_a_missing_value_and_markup_in_a_value_are_not_written(rendered):
    assert rendered("{{ value }}", value="<b>") == "&lt;b&gt;"
    with pytest.raises(jinja2.UndefinedError):
        rendered("{{ value }}")
