"""Pages with one fault each, which `legible` finds, and one page without."""

import base64

import pytest
import tensorflow as tf

from legible import faults

PNG = base64.b64encode(tf.io.encode_png(tf.zeros([8, 32, 3], tf.uint8)).numpy()).decode()
IMAGE = f'<img src="data:image/png;base64,{PNG}" alt="a black picture" width="32" height="8">'
WIDE = "<tr>" + "<td>unbreakable_1234</td>" * 6 + "</tr>"
SVG = '<svg viewBox="0 0 100 20" width="100" height="20" aria-label="a word">{}</svg>'
STYLE = """
:root { color-scheme: light dark; color: #222; background: #fff; font-size: 16px }
@media (prefers-color-scheme: dark) { :root { color: #eee; background: #111 } }
.scroll { overflow-x: auto }
@media print { :root { color: #000; background: #fff } .scroll { overflow: visible } }
body { margin: 0 }
"""
SOUND = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>t</title><style>{STYLE}</style></head>
<body><h1>Title</h1>{IMAGE}<h2>Numbers</h2><table><tr><td>1</td><td>2</td></tr></table>
{SVG.format('<text x="0" y="15" fill="#777">word</text>').replace("#777", "currentColor")}
</body></html>"""


@pytest.fixture
def found(browser, tmp_path):
    def of(html):
        (tmp_path / "page.html").write_text(html)
        return faults(tmp_path / "page.html", browser)

    return of


def added(html):
    return SOUND.replace("</body>", f"{html}</body>")


FAULTS = {
    "a picture that does not decode": (SOUND.replace(PNG, PNG[:40]), "does not decode (360 pixels, light; 360"),
    "no alternative text": (SOUND.replace("a black picture", ""), "no alternative text"),
    "a drawing without alternative text": (SOUND.replace(' aria-label="a word"', ""), "no alternative text"),
    "no size": (SOUND.replace(' width="32" height="8">', ">"), "an <img> has no size"),
    "a stretched picture": (SOUND.replace('height="8"', 'height="30"'), "stretched by"),
    "a table that is too wide": (
        added(f"<table>{WIDE}</table>"),
        "is cut off by the edge of the page (360 pixels, light",
    ),
    "a wide table that is folded": (
        added(f"<details><summary>more</summary><table>{WIDE}</table></details>"),
        "cut off by the edge of the page (360 pixels, light",
    ),
    "a table whose rest is hidden": (
        added(f'<div style="overflow: hidden"><table>{WIDE}</table></div>'),
        "is cut off by <div> 'unbreakable_1234unbreakable_1234unbreaka' (360 pixels, light",
    ),
    "a table that scrolls where paper cannot": (
        added(f'<div style="overflow-x: auto"><table>{WIDE}{WIDE.replace("1234", "1234567890")}</table></div>'),
        "(700 pixels, print)",
    ),
    "lines that are hidden": (added('<p style="height: 10px; overflow: hidden">a<br>b<br>c</p>'), "is cut off by <p>"),
    "text beyond its drawing": (added(SVG.format('<text x="80" y="15">a long word</text>')), "is cut off by <svg>"),
    "grey on grey": (added('<p style="color: #888; background: #aaa">grey</p>'), "contrast of only 1.5"),
    "dark on dark": (added('<p style="color: #222">dark</p>'), "(360 pixels, dark; 1280 pixels, dark)"),
    "white on white": (added('<p style="color: #fff">white</p>'), "1280 pixels, light; 700 pixels, print)"),
    "pale text": (added('<p style="opacity: .3">pale</p>'), "contrast of only"),
    "a grey word in a drawing": (added(SVG.format('<text y="15" fill="#888">a</text>')), "contrast of only 3.5"),
    "tiny text": (added('<p style="font-size: 7px">tiny</p>'), "only 7.0 pixels high"),
    "a request": (added('<img src="http://localhost:9/x.png" alt="x">'), "it requests http://localhost:9/x.png"),
    "a script": (added("<script>0</script>"), "it has a script (source)"),
    "a script in an attribute": (added('<p onclick="0">x</p>'), "a script in onclick"),
    "an element in a wrong place": (added("<p><ul><li>x</li></ul></p>"), "the browser corrects the nesting"),
    "text in a table": (added("<table><div>x</div></table>"), "the browser corrects the nesting"),
    "an element without an end": (added("<div>x"), "</body> ends another element"),
    "a heading left out": (added("<h4>x</h4>"), "a level of headings is left out: [1, 2, 4]"),
    "a style in the body": (added("<style>p {color: inherit}</style>"), "a <style> in its body"),
    "two titles": (added("<h1>x</h1>"), "its only <h1>"),
    "the same id twice": (added('<p id="a">x</p><p id="a">y</p>'), "two elements have the id a"),
    "no language": (SOUND.replace(' lang="en"', ""), "it has no <html lang="),
    "too many bytes": (added(f"<!-- {'x' * 2_000_000} -->"), "bytes (source)"),
}


def test_a_sound_page_has_no_fault(found):
    assert found(SOUND) == []


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found(name, found):
    html, fault = FAULTS[name]
    assert html != SOUND
    assert [one for one in found(html) if fault in one], found(html)


def test_the_size_of_turned_text_is_known(found):
    turned = '<text x="10" y="15" fill="currentColor" transform="rotate(-90 10 15)" font-size="{}">a</text>'
    assert found(added(SVG.format(turned.format(12)))) == []
    assert found(added(SVG.format(turned.format(5)))) != []


def test_what_scrolls_on_a_phone_and_fits_on_paper_is_no_fault(found):
    wide = '<p style="width: 500px; text-align: right">right</p>'
    assert found(added(wide)) != []
    assert found(added(f'<div class="scroll">{wide}</div>')) == []
