"""Reads a page as strictly as can be and prints what it shows as JSON: read_page.py FILE.

Exit status 1, with a line for each, if the page is not well-formed, asks for another file, runs a
script, or leaves out what readers without eyes need.
"""

import base64
import json
import re
import struct
import sys
import xml.etree.ElementTree as ElementTree
import zlib
from html.parser import HTMLParser

VOID = {"meta", "link", "img", "br", "hr", "input"}
OUTSIDE = re.compile(r"url\(|@import|https?:|//[\w.]+\.\w", re.IGNORECASE)


class Balance(HTMLParser):
    """Whether a parser of HTML, which knows no XML, sees the same nesting."""

    def __init__(self):
        super().__init__()
        self.open, self.errors = [], []

    def handle_starttag(self, tag, attributes):
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        if tag not in VOID | {"path", "rect"}:  # HTML would leave it open
            self.errors.append(f"<{tag}/> is no empty element of HTML")

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.errors.append(f"</{tag}> ends something else")


def text_of(element):
    return " ".join("".join(element.itertext()).split())


def picture_error(image):
    """What is wrong with a picture; None if nothing is."""
    start = "data:image/png;base64,"
    if not image.get("src", "").startswith(start):
        return "is not in the page"
    png = base64.b64decode(image.get("src")[len(start):], validate=True)
    if png[:8] != b"\x89PNG\r\n\x1a\n":
        return "is no PNG"
    at, data = 8, b""
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at:at + 8])
        data += png[at + 8:at + 8 + length] if kind == b"IDAT" else b""
        at += length + 12
    width, height = struct.unpack(">II", png[16:24])
    if len(zlib.decompress(data)) != height * (3 * width + 1):
        return "is cut off"
    if (str(width), str(height)) != (image.get("width"), image.get("height")):
        return "has another size than it says"
    return None if image.get("alt") else "has no text for readers who cannot see"


def errors_of(page, source):
    balance = Balance()
    balance.feed(source)
    balance.close()
    yield from balance.errors
    elements = list(page.iter())
    ids = [element.get("id") for element in elements if element.get("id")]
    yield from (f"two elements have the id {name}" for name in set(ids) if ids.count(name) > 1)
    for element in elements:
        if element.tag in ("script", "iframe", "object", "embed", "form", "base"):
            yield f"there is a {element.tag}"
        for name, value in element.attrib.items():
            if name.startswith("on"):
                yield f"{element.tag} has a script, {name}"
            if name in ("src", "href", "style") and OUTSIDE.search(value):
                yield f"{element.tag} asks for {value[:60]}"
            target = value[1:] if name == "href" and value.startswith("#") else value
            refers = name == "aria-labelledby" or (name == "href" and value.startswith("#"))
            if refers and target not in ids:
                yield f"there is no {target}"
            if name == "href" and value[:1] != "#" and value != "data:,":
                yield f"a link leads to {value[:60]}"
        if element.tag == "style" and OUTSIDE.search(element.text):
            yield "the style sheet asks for another file"
        if element.tag == "svg" and not (element.get("role") == "img" and element.get("aria-label")):
            yield "a drawing has no text for readers who cannot see"
        if element.tag == "img" and picture_error(element):
            yield f"picture '{element.get('alt')}' {picture_error(element)}"
        if element.tag == "table" and element.find("caption") is None:
            yield "a table has no caption"
        if element.tag == "th" and not element.get("scope"):
            yield f"the heading '{text_of(element)}' has no scope"
    if page.get("lang") is None or page.find("head/title") is None:
        yield "the page lacks its language or its title"


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        source = file.read()
    page = ElementTree.fromstring(source)
    errors = list(errors_of(page, source))
    if errors:
        sys.exit("\n".join(errors))
    print(json.dumps({
        "title": text_of(page.find("body/header/h1")),
        "lead": text_of(page.find("body/header/p")),
        "sections": [section.get("id") for section in page.iter("section")],
        "warnings": [text_of(aside) for aside in page.iter("aside")],
        "tables": [[[text_of(cell) for cell in row] for row in table.iter("tr")]
                   for table in page.iter("table")],
        "facts": {text_of(fact.find("dt")): text_of(fact.find("dd"))
                  for facts in page.iter("dl") for fact in facts},
        "charts": [drawing.get("aria-label") for drawing in page.iter("svg")],
        "pictures": [picture.get("alt") for picture in page.iter("img")],
        "text": text_of(page.find("body")),
    }))


if __name__ == "__main__":
    main()
