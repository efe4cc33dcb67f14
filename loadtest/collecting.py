"""How samples come together: kept in this process, or sent from workers to the master, and written when all is over.

Imported only in Locust's processes.
"""

import contextlib
import logging
import os
import platform
import time
from pathlib import Path
from typing import Any

import gevent
import msgspec
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from loadtest import page, samples, table, verdict
from loadtest.samples import Lateness, Samples, SessionSample, TurnSample
from loadtest.verdict import Limits

log = logging.getLogger(__name__)

FINISH, FINISHED = "parley_finish", "parley_finished"
_REPORT = "parley"
LAST_WITHIN_S = 10.0
"""For the last samples of all workers."""
STATUS = {"passed": 0, "missed": 1, "invalid": 3}


class Collector:
    """What this process's people say, and on the master what all of them say."""

    def __init__(self) -> None:
        self.late = Lateness()
        self._samples = Samples()
        self._began_at = time.time()
        self._owing: set[str] = set()
        """Workers whose last samples have not come."""
        self._workers: set[str] = set()
        self._written = False

    def turned(self, turn: TurnSample) -> None:
        self._samples.turns.append(turn)

    def ended(self, session: SessionSample) -> None:
        self._samples.sessions.append(session)

    def attach(self, environment: Environment, end: Any) -> None:
        """Take part in a test. `end()` stops all of this process's people."""
        runner = environment.runner
        environment.events.test_start.add_listener(self._begin)
        if isinstance(runner, WorkerRunner):
            environment.events.report_to_master.add_listener(self._report)

            def finish(environment: Environment, msg: Any, **_: Any) -> None:
                end()
                runner.send_message(FINISHED, {_REPORT: self._take()})

            runner.register_message(FINISH, finish)
            return
        if isinstance(runner, MasterRunner):
            environment.events.worker_report.add_listener(self._hear)

            def finished(environment: Environment, msg: Any, **_: Any) -> None:
                self._merge(msg.data[_REPORT])
                self._owing.discard(msg.node_id)

            runner.register_message(FINISHED, finished)
            environment.events.test_stopping.add_listener(self._await_workers)
        environment.events.quitting.add_listener(self._write)

    def _begin(self, environment: Environment, **_: Any) -> None:
        self._began_at = time.time()
        self._samples = Samples()
        self.late.counts.clear()

    # --- Worker ----------------------------------------------------------------------------------------------

    def _take(self) -> bytes:
        taken, self._samples = self._samples, Samples()
        taken.late = dict(self.late.counts)
        self.late.counts.clear()
        return samples.pack(taken)

    def _report(self, client_id: str, data: dict[str, Any], **_: Any) -> None:
        data[_REPORT] = self._take()

    # --- Master ----------------------------------------------------------------------------------------------

    def _hear(self, client_id: str, data: dict[str, Any], **_: Any) -> None:
        self._workers.add(client_id)
        self._merge(data.get(_REPORT, b""))

    def _merge(self, packed: bytes) -> None:
        if packed:
            self._samples.merge(samples.unpack(packed))

    def _await_workers(self, environment: Environment, **_: Any) -> None:
        """Locust lets half a second pass for the last reports; samples are worth asking for."""
        runner = environment.runner
        assert isinstance(runner, MasterRunner)
        self._owing = {client.id for client in runner.clients.all}
        for worker in list(self._owing):
            runner.send_message(FINISH, None, client_id=worker)
        with contextlib.suppress(gevent.Timeout), gevent.Timeout(LAST_WITHIN_S):
            while self._owing:
                gevent.sleep(0.05)
        if self._owing:
            log.error("the last samples of %d workers never came", len(self._owing))

    # --- The end ---------------------------------------------------------------------------------------------

    def _write(self, environment: Environment, **_: Any) -> None:
        if self._written:
            return
        self._written = True
        assert environment.runner is not None
        environment.runner.quit()  # people say how far they came when they are stopped
        options = environment.parsed_options
        assert options is not None
        if self.late.counts:
            self._samples.merge(Samples(late=self.late.counts))
        limits = Limits(
            first_audio_p95_ms=options.first_audio_p95 * 1000,
            failed_share=options.failed,
            refused_share=options.refused,
            late_p99_ms=options.late_ms,
            refusal_ms=options.refusal_ms,
            alone_within_ms=options.alone_within_ms,
        )
        conditions = {
            "began": time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(self._began_at)),
            "took": f"{time.time() - self._began_at:.0f} s",
            "target": environment.host or "",
            "load": f"{options.num_users or 1} sessions on average, open-loop Poisson arrivals, {options.turns:g} "
            f"turns each on average; {options.mix}; {options.pauses:.0%} of the utterances with a pause inside; "
            f"end-of-turn silence {options.silence_ms} ms; seed {options.seed}",
            "generator": f"{os.cpu_count()} CPUs ({platform.machine()}), Python {platform.python_version()}, "
            + (f"{len(self._workers)} workers" if self._workers else "one process"),
        }
        if options.note:
            conditions["note"] = options.note
        summary = verdict.summarise(self._samples, limits, conditions)
        if self._owing:
            summary = msgspec.structs.replace(summary, result="invalid")
        said = table.table(summary)
        if options.report:
            self._save(Path(options.report), summary, said)
        print(said, flush=True)
        environment.process_exit_code = STATUS[summary.result]

    def _save(self, folder: Path, summary: verdict.Summary, said: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "turns.csv").write_text(samples.turns_csv(self._samples.turns))
        (folder / "sessions.csv").write_text(samples.sessions_csv(self._samples.sessions))
        (folder / "summary.json").write_bytes(msgspec.json.format(msgspec.json.encode(summary), indent=2))
        (folder / "report.txt").write_text(said)
        (folder / "report.html").write_text(page.page(summary, self._samples))
