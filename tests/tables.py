"""The tables and lists of an HTML page, by their ids."""

from html.parser import HTMLParser


class Tables(HTMLParser):
    """What stands in them, without their markup."""

    def __init__(self, html):
        super().__init__()
        self.rows: dict[str, list[list[str]]] = {}  # of each table with an id, those of its header among them
        self.terms: dict[str, dict[str, str]] = {}  # of each list with an id
        self._id, self._into = "", None
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        if tag in ("table", "dl"):
            self._id = dict(attrs).get("id", "")
            (self.rows if tag == "table" else self.terms)[self._id] = [] if tag == "table" else {}
        elif tag == "tr":
            self.rows[self._id].append([])
        elif tag in ("td", "th", "dt", "dd"):
            self._into = []
        elif tag == "br":
            self.handle_data(" ")

    def handle_endtag(self, tag):
        if tag in ("td", "th", "dt", "dd"):
            text = " ".join("".join(self._into).split())
            if tag == "dt":
                self._term = text
            elif tag == "dd":
                self.terms[self._id][self._term] = text
            else:
                self.rows[self._id][-1].append(text)
            self._into = None

    def handle_data(self, data):
        if self._into is not None:
            self._into.append(data)

    def told(self, table, name):
        """The rest of the row that begins with `name`: the text after it, and the cells."""
        (row,) = [row for row in self.rows[table] if row[0] == name or row[0].startswith(f"{name} ")]
        return [row[0].removeprefix(name).strip(), *row[1:]]
