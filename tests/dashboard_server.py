"""A server that understands as much of Weights & Biases' protocol as its client needs, and remembers what was sent."""

import gzip
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Server(ThreadingHTTPServer):
    """Runs by id: ``history`` (lines by offset), ``summary``, ``exit``, and what the client says of them."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.runs: dict[str, dict[str, Any]] = {}
        # Cleared: requests wait.
        self.awake = threading.Event()
        self.awake.set()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: Any) -> None:
        """Clients that leave are none of ours."""

    def steps(self, name: str, key: str) -> list[tuple[int, float]]:
        """A curve, as sent."""
        return [(line["_step"], line[key]) for line in self.runs[name]["history"] if key in line]

    def streamed(self, name: str, body: dict[str, Any]) -> None:
        run = self.runs[name]
        for file, chunk in (body.get("files") or {}).items():
            lines = [json.loads(line) for line in chunk["content"]]
            if file == "wandb-history.jsonl":
                run["history"][chunk["offset"] : chunk["offset"] + len(lines)] = lines
            elif file == "wandb-summary.json":
                run["summary"] = lines[-1]
        if "exitcode" in body:
            run["exit"] = body["exitcode"]

    def answer(self, query: str, given: dict[str, Any]) -> dict[str, Any]:
        """What the client reads of the answers to its queries; nothing to those that it can do without."""
        asked = "".join(re.findall(r"(?:query|mutation)\s+(\w+)", query)[:1])
        name = given.get("name", "")
        project = {"id": "p", "name": given.get("project"), "entity": {"id": "e", "name": "me"}}
        if asked == "UpsertBucket":
            inserted = name not in self.runs
            run = self.runs.setdefault(name, {"history": [], "summary": {}, "exit": None})
            run |= {key: value for key, value in given.items() if value is not None}
            about = {"displayName": name, "config": run["config"], "historyLineCount": len(run["history"])}
            bucket = {"id": name, "name": name, "sweepName": None, "project": project, **about}
            return {"upsertBucket": {"bucket": bucket, "inserted": inserted}}
        if asked == "RunResumeStatus" and name in self.runs:
            run = self.runs[name]
            counts = {"historyLineCount": len(run["history"]), "logLineCount": 0, "eventsLineCount": 0}
            tails = {"historyTail": json.dumps([json.dumps(h) for h in run["history"][-1:]]), "eventsTail": "[]"}
            more = {"summaryMetrics": json.dumps(run["summary"]), "config": run["config"], "tags": []}
            # Without a time of beginning the client takes a run for one that never began.
            bucket = {"id": name, "name": name, "wandbConfig": json.dumps({"t": 1}), **counts, **tails, **more}
            return {"model": {**project, "bucket": bucket}}
        if asked == "CreateRunFiles":
            files = [{"name": file, "uploadUrl": f"{self.url}/upload"} for file in given["files"]]
            return {"createRunFiles": {"runID": name, "uploadHeaders": [], "files": files}}
        return {"model": {**project, "bucket": None}} if asked == "RunResumeStatus" else {}


class Handler(BaseHTTPRequestHandler):
    """Graph queries, streams of run files, uploads that are dropped."""

    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *arguments: Any) -> None:
        """Quietly."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
        found: dict[str, Any] = {"exitcode": None, "limits": {}}
        if self.path.endswith("/graphql"):
            asked = json.loads(body)
            found = {"data": self.server.answer(asked["query"], asked.get("variables") or {})}
        elif self.path.endswith("/file_stream"):
            self.server.streamed(self.path.split("/")[-2], json.loads(body))
        self.server.awake.wait()
        body = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST
