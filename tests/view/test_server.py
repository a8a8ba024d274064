"""The server of `overmem view`: its responses, and which requests it refuses."""

import http.client
import json
import shutil
import threading
from pathlib import Path

import pytest

from overmem import store
from overmem.errors import BadRequest
from overmem.view import View, open_server
from overmem.view.server import is_loopback

GOLDEN = Path(__file__).parents[1] / "golden" / "run"


@pytest.fixture
def run(tmp_path):
    shutil.copytree(GOLDEN, tmp_path / "runs" / "a")
    return store.open_run(tmp_path / "runs" / "a")


@pytest.fixture
def server(run):
    opened = open_server(View((str(run.root),), port=0))
    threading.Thread(target=opened.serve_forever, daemon=True).start()
    yield opened
    opened.shutdown()
    opened.server_close()


def get(server, path, **headers):
    connection = http.client.HTTPConnection(*server.server_address)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


def test_the_table_is_sent_once_and_again_when_a_file_changes(server, run):
    first, body = get(server, "/runs/0/table")
    assert first.status == 200
    table = json.loads(body)
    assert len(table["id"]) == table["total"] > 300
    a, b = ([c["name"] for c in table["checkpoints"]].index(name) for name in table["compared"])
    lost = [marks[a] in "Rr" and marks[b] in "Ww" for marks in table["marks"]]
    assert any(lost)
    assert lost == sorted(lost, reverse=True)  # the most relevant first
    tag = first.headers["ETag"]
    unchanged, nothing = get(server, "/runs/0/table", **{"If-None-Match": tag})
    assert (unchanged.status, nothing) == (304, b"")
    run.unit_path("checkpoint-350", "test", "samples").unlink()  # as before an audit comes to it
    changed, body = get(server, "/runs/0/table", **{"If-None-Match": tag})
    assert changed.status == 200
    place = [c["name"] for c in table["checkpoints"]].index("checkpoint-350")
    newer = json.loads(body)
    assert newer["marks"][newer["id"].index(store.read_examples(run, "test")[0].id)][place] == "-"


def test_an_example_is_sent_whole(server, run):
    example = store.read_examples(run, "test")[0]
    answer, body = get(server, f"/runs/0/example?split=test&id={example.id}")
    assert answer.status == 200
    detail = json.loads(body)
    assert detail["solution"] == example.solution
    assert len(detail["completions"]) == len(store.read_checkpoints(run))


@pytest.mark.parametrize(
    "path",
    ["/runs/1/table", "/runs/-1/table", "/runs/0/example?split=test&id=x", "/runs/0/example?split=../../x&id=y",
     "/runs/0/%2e%2e/plan.json", "/../../etc/passwd", "/runs/0", "/runs/0/report", "/runs/0/table/x"],
)  # fmt: skip
def test_anything_else_is_refused_in_one_line(server, path):
    answer, body = get(server, path)
    assert answer.status == 404
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert body
    assert b"Traceback" not in body


def test_another_host_name_is_refused(server):
    assert get(server, "/", Host="evil.example")[0].status == 403
    assert get(server, "/", Host=f"localhost:{server.server_address[1]}")[0].status == 200


def test_every_response_has_the_content_security_policy(server):
    for path in ("/", "/explorer.js", "/view.js", "/view.css", "/runs", "/runs/0/table"):
        answer, _ = get(server, path)
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_only_this_machine_is_served_by_default(server):
    assert server.server_address[0] == "127.0.0.1"
    assert [is_loopback(h) for h in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "10.0.0.1", "host.example")] == [
        True, True, True, False, False, False
    ]  # fmt: skip


def test_a_folder_of_runs_gives_all_of_them_distinct_names(run, tmp_path):
    shutil.copytree(run.root, tmp_path / "runs" / "b")
    shutil.copytree(run.root, tmp_path / "other" / "a")
    opened = open_server(View((str(tmp_path / "runs"), str(tmp_path / "other" / "a")), port=0))
    try:
        assert [r.name for r in opened.runs] == ["runs/a", "b", "other/a"]
    finally:
        opened.server_close()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (View(()), "no run was given"),
        (View(("nowhere",)), "no run at"),
        (View(("a", "b"), out="x"), "--out"),
    ],
)
def test_a_bad_request_is_refused(config, message):
    with pytest.raises(BadRequest, match=message):
        open_server(config)


def test_a_run_that_was_not_audited_is_refused(tmp_path):
    with pytest.raises(BadRequest, match="overmem audit"):
        open_server(View((str(tmp_path),)))


def test_a_port_in_use_is_refused(server, run):
    with pytest.raises(BadRequest, match="--port"):
        open_server(View((str(run.root),), port=server.server_address[1]))
