import json
import re
from html.parser import HTMLParser

import pytest

from dancelcm_cli.data.html_page import DATA_ID, data_uri, page


class Scripts(HTMLParser):
    """Collects what a parser takes for the contents of scripts."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.inside = False
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.inside = tag == "script"

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.texts.append(data)


@pytest.mark.parametrize("name", ["</script><script>alert(1)</script>", "<!--", "a & b ü \u2028"])
def test_data_come_back_whatever_markup_is_in_them(name: str) -> None:
    data, script = Scripts(page("", "", "", "run()", {"name": name})).texts
    assert json.loads(data) == {"name": name}
    assert script == "run()"


def test_the_title_is_text() -> None:
    markup = page("<b>", "", "", "", {})
    assert "<title>&lt;b&gt;</title>" in markup


def test_nothing_may_be_requested_and_no_other_script_may_run() -> None:
    markup = page("", "", "p {}", "run()", {})
    (policy,) = re.findall('Policy" content="(.*?)"', markup)
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert f'id="{DATA_ID}"' in markup


def test_numbers_that_json_lacks_are_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        page("", "", "", "", {"psnr": float("nan")})


def test_a_data_uri_holds_its_content() -> None:
    assert data_uri(b"abc", "image/png") == "data:image/png;base64,YWJj"
