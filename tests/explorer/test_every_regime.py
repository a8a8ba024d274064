"""The report and the view of a run of each regime open without an error, and find the same examples."""

import dataclasses
import shutil
import subprocess
import sys

import pytest

from overmem import store
from overmem.records import REGIMES
from overmem.report import Report, report


@pytest.mark.slow
@pytest.mark.parametrize("regime", REGIMES)
def test_report_and_view_open(reader, audited, serve, tmp_path, regime):
    shutil.copytree(audited.root, tmp_path / "run")
    run = store.open_run(tmp_path / "run")
    verdict = store.read_verdict(run)
    checkpoints = tuple(dataclasses.replace(c, regime=regime) for c in verdict.checkpoints)
    shipped = verdict.recommended if regime in ("healthy", "over-memorized", "healthy-memorizing") else None
    store.write_verdict(
        run,
        dataclasses.replace(
            verdict, regime=regime, checkpoints=checkpoints, recommended=shipped, best=verdict.recommended
        ),
    )
    texts = []
    for address in (report(Report(str(run.root))).as_uri(), serve(run.root)):
        reader.open(address)
        assert regime in reader.page.inner_text("body")
        assert regime in reader.page.inner_text("[data-key=to]")
        texts.append(reader.status())
        assert reader.page.evaluate("document.documentElement.scrollWidth") <= 1280
    assert texts[0] == texts[1]


def test_a_table_grows_while_an_audit_is_running(reader, audited, serve, tmp_path):
    shutil.copytree(audited.root, tmp_path / "run")
    run = store.open_run(tmp_path / "run")
    path = run.unit_path("checkpoint-350", "val", "samples")
    kept = path.read_bytes()
    path.unlink()  # as before the audit comes to it
    reader.open(f"{serve(run.root)}#examples?split=val&from=checkpoint-200&to=checkpoint-350&change=lost")
    assert reader.status().startswith("0 of")
    path.write_bytes(kept)
    reader.page.wait_for_function(
        "() => !document.querySelector('.status').innerText.startsWith('0 of')", timeout=30000
    )
    assert reader.page.locator("a.open").count() > 0
    store.write_verdict(run, dataclasses.replace(store.read_verdict(run), headline="Judged again."))
    reader.page.wait_for_function("() => document.querySelector('h1').innerText === 'Judged again.'", timeout=30000)


def test_several_runs_are_one_table_and_each_can_be_chosen(reader, audited, serve, tmp_path):
    for name in ("one", "two"):
        shutil.copytree(audited.root, tmp_path / name)
    reader.open(serve(tmp_path))
    page = reader.page
    assert page.locator("#runs tbody tr").count() == 2
    assert page.inner_text("#runs tr.current th") == "one"
    page.locator("#runs a", has_text="two").click()
    page.wait_for_function("() => document.querySelector('#runs tr.current th').innerText === 'two'")
    page.wait_for_selector("table.examples a.open")
    page.locator("a.open").first.click()
    page.wait_for_selector(".example")
    assert "run=two" in page.url


def test_a_server_that_stops_leaves_the_page_as_it_is(chromium, audited):
    command = [sys.executable, "-m", "overmem", "view", str(audited.root), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        page = chromium.new_page()
        page.goto(process.stdout.readline().strip())
        page.wait_for_selector("table.examples")
    finally:
        process.terminate()
        process.wait()
    page.wait_for_selector("body.lost", state="attached", timeout=30000)
    assert page.locator("a.open").count() > 0
    page.close()
