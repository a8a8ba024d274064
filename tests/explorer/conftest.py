"""An audited run to read examples of, and a browser to read them in."""

import shutil
import threading
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from overmem import store
from overmem.diagnose import Diagnose, diagnose
from overmem.report import Report, report
from overmem.view import View, open_server

GOLDEN = Path(__file__).parents[1] / "golden" / "run"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="session")
def audited(tmp_path_factory):
    """A judged run of four checkpoints, with its report."""
    root = tmp_path_factory.mktemp("explorer") / "golden"
    shutil.copytree(GOLDEN, root)
    diagnose(Diagnose(str(root)))
    report(Report(str(root)))
    return store.open_run(root)


@pytest.fixture(scope="session")
def chromium():
    """A browser that has no network: every request that is not for this machine is noted and refused."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine to open the page with")
    with playwright.sync_playwright() as session:
        browser = session.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


class Reader:
    """A page in the browser, with what it logged and what it asked for outside this machine."""

    def __init__(self, browser, **options):
        self.page = browser.new_page(viewport={"width": 1280, "height": 900}, **options)
        self.errors, self.foreign = [], []
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.route("**/*", self._guard)

    def _guard(self, route):
        if route.request.url.startswith(("file:", "data:", "blob:", "http://127.0.0.1:")):
            route.continue_()
        else:
            self.foreign.append(route.request.url)
            route.abort()

    def open(self, address):
        self.page.goto("about:blank")
        self.page.goto(address)
        self.page.wait_for_selector("#explorer table.examples, #explorer .example, #explorer .none")

    def status(self):
        return self.page.inner_text("#explorer .status")

    def ids(self):
        """The examples of every page of the table, as split/id."""
        keys = []
        while True:
            links = self.page.eval_on_selector_all("a.open", "links => links.map(link => link.getAttribute('href'))")
            keys += [parse_qs(link.partition("?")[2])["example"][0] for link in links]
            following = self.page.get_by_role("button", name="Next page")
            if not following.count() or following.is_disabled():
                return keys
            following.click()


@pytest.fixture
def reader(chromium):
    opened = Reader(chromium)
    yield opened
    assert opened.errors == []
    assert opened.foreign == []
    opened.page.close()


@pytest.fixture
def serve():
    """A function that serves folders and returns the address."""
    servers = []

    def start(*folders):
        server = open_server(View(tuple(map(str, folders)), port=0))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return server.address

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(params=["report", pytest.param("view", marks=pytest.mark.slow)])
def address(request, audited, serve):
    """Where the explorer is: in the report, and on the server."""
    return audited.report_path.as_uri() if request.param == "report" else serve(audited.root)
