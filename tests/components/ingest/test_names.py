from components.ingest.names import readable


def test_an_id_is_shown_as_printable_text():
    assert readable(b"a\xff\n\xc3\xa9") == "a\\xff\\n\u00e9"
