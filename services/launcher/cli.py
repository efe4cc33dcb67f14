"""The `parley` command.

Each sub-command is registered by a small function in COMMANDS and imports what it needs when it runs, so that
`parley --help` is instant.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from services.launcher.bench_options import count, counts, minutes, settings, share, silence_ms

Subparsers = argparse._SubParsersAction  # type: ignore[type-arg]  # argparse has no public name for it


def add_up(commands: "Subparsers[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "up",
        help="run the whole stack on this machine until Ctrl-C",
        description="Run nats-server, tritonserver, a dialogue worker and the edge on this machine until Ctrl-C. "
        "Each option stands for the variable in brackets, which can be set in the environment or in .env, too.",
    )
    for flag, variable, shown, text in (
        ("--host", "PARLEY_HOST", "ADDRESS", "serve the page on this address (default 127.0.0.1)"),
        ("--port", "PARLEY_PORT", "N", "the page's port (default 8080; the next free one if it is taken)"),
        ("--answers", "PARLEY_LLM_MODE", "MODE", "auto (default), llm, template or echo"),
        ("--llm-url", "PARLEY_LLM_URL", "URL", "an OpenAI-compatible server, such as http://127.0.0.1:11434/v1"),
        ("--llm-model", "PARLEY_LLM_MODEL", "NAME", "the model to ask there (default: the first it lists)"),
        ("--state-dir", "PARLEY_STATE_DIR", "FOLDER", "the session secret, stores and logs (default .parley)"),
    ):
        parser.add_argument(flag, dest=variable, metavar=shown, help=f"{text} [{variable}]")
    parser.add_argument("--verbose", action="store_true", help="show every line of every part, not only trouble")

    def run(options: argparse.Namespace) -> int:
        given = {name: value for name, value in vars(options).items() if name.startswith("PARLEY_")}
        os.environ.update({name: value for name, value in given.items() if value is not None})
        from services.launcher.up import up

        return up(verbose=options.verbose)

    parser.set_defaults(run=run)


def add_doctor(commands: "Subparsers[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "doctor",
        help="say what is missing or wrong on this machine",
        description="Look at all that the stack needs on this machine. Exit status 1: something needed is wrong.",
    )

    def run(_options: argparse.Namespace) -> int:
        from services.launcher.doctor import doctor

        return doctor()

    parser.set_defaults(run=run)


def add_bench(commands: "Subparsers[argparse.ArgumentParser]") -> None:
    bench = commands.add_parser("bench", help="measure a stack", description="Measure a stack.")
    measures = bench.add_subparsers(title="measures", metavar="MEASURE", required=True)
    _add_bench_turn(measures)
    _add_bench_density(measures)
    _add_bench_bargein(measures)
    _add_bench_speculation(measures)


def _add_bench_turn(measures: "Subparsers[argparse.ArgumentParser]") -> None:
    parser = measures.add_parser(
        "turn",
        help="how long after the last word the answer sounds",
        description="Speak recorded sentences to a running stack, one turn after the other, and print how long after "
        "the last speech sample the answer sounded, and where the time went.",
    )
    parser.add_argument("url", nargs="?", help="the page's address (default: the stack that runs from this folder)")
    parser.add_argument("--turns", type=count, default=20, metavar="N", help="turns to measure (default 20)")
    parser.add_argument(
        "--silence-ms",
        type=silence_ms,
        metavar="MS",
        help="silence that ends a turn (default 500; 200 with --standins)",
    )
    parser.add_argument(
        "--standins", action="store_true", help="start a stack of its own with stand-ins for the models"
    )
    parser.add_argument(
        "--settings",
        type=settings,
        default="{}",
        metavar="JSON",
        help='with --standins: of the session, as {"speculation": "on"}',
    )

    def run(options: argparse.Namespace) -> int:
        from services.launcher.bench_turn import bench_turn, bench_turn_standins
        from services.launcher.running import NoStackError, conversation_address

        if options.standins:
            return bench_turn_standins(options.turns, options.silence_ms or 200, options.settings)
        try:
            address = conversation_address(options.url)
        except NoStackError as error:
            print(f"parley: {error}", file=sys.stderr)
            return 2
        return bench_turn(address, options.turns, options.silence_ms or 500)

    parser.set_defaults(run=run)


def _add_bench_density(measures: "Subparsers[argparse.ArgumentParser]") -> None:
    parser = measures.add_parser(
        "density",
        help="how many conversations one core carries",
        description="Start a stack of its own with stand-ins for the models, whose latencies are known, let so many "
        "sessions talk at once in real time, and print what each run took: latency over the known parts, processor "
        "time, memory.",
    )
    parser.add_argument(
        "--sessions", type=counts, default="1,10,25,50", metavar="N,N", help="runs to make (default 1,10,25,50)"
    )
    _add_standin_options(parser)
    parser.add_argument("--no-past", action="store_true", help="leave out the session past the limit")
    parser.add_argument("--peer", choices=("pipecat",), help="run another system side by side; see loadtest/peers/")

    def run(options: argparse.Namespace) -> int:
        from services.launcher.bench_density import Conditions, bench_density
        from services.launcher.bench_peers import bench_peer

        conditions = Conditions(options.sessions, past=not options.no_past, **_standin_options(options))
        return bench_peer(conditions) if options.peer else bench_density(conditions)

    parser.set_defaults(run=run)


def _add_bench_bargein(measures: "Subparsers[argparse.ArgumentParser]") -> None:
    parser = measures.add_parser(
        "bargein",
        help="how soon the page is silent when somebody talks over the answer",
        description="Start a stack of its own with stand-ins for the models, interrupt each answer, and print how long "
        "it took until the page was silent, and whether history keeps what was heard and no more.",
    )
    parser.add_argument(
        "--by", choices=("voice", "command"), default="voice", help="full duplex, or `interrupt` (default voice)"
    )
    parser.add_argument("--sessions", type=count, default=4, metavar="N", help="at once (default 4)")
    _add_standin_options(parser)

    def run(options: argparse.Namespace) -> int:
        from services.launcher.bench_bargein import bench_bargein
        from services.launcher.bench_density import Conditions

        return bench_bargein(Conditions([options.sessions], **_standin_options(options)), options.by)

    parser.set_defaults(run=run)


def _add_bench_speculation(measures: "Subparsers[argparse.ArgumentParser]") -> None:
    parser = measures.add_parser(
        "speculation",
        help="what preparing the answer in the pause wins, and what it costs",
        description="Start stacks of its own with stand-ins for the models, without and with speculation in turn, and "
        "print how much sooner the answer sounds, as a share of what is possible, and what was prepared for nothing.",
    )
    parser.add_argument("--sessions", type=count, default=10, metavar="N", help="at once (default 10)")
    _add_standin_options(parser, pauses=0.3, silence=500)

    def run(options: argparse.Namespace) -> int:
        from services.launcher.bench_density import Conditions
        from services.launcher.bench_speculation import bench_speculation

        return bench_speculation(Conditions([options.sessions], **_standin_options(options)))

    parser.set_defaults(run=run)


def _standin_options(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "turns": options.turns,
        "pauses": options.pauses,
        "silence_ms": options.silence_ms,
        "settings": options.settings,
    }


def _add_standin_options(parser: argparse.ArgumentParser, pauses: float = 0.25, silence: int = 200) -> None:
    """What the benchmarks with stand-ins have in common; with the defaults of one of them."""
    parser.add_argument("--turns", type=count, default=4, metavar="N", help="of each session (default 4)")
    parser.add_argument(
        "--pauses",
        type=share,
        default=pauses,
        metavar="SHARE",
        help=f"utterances with a pause inside (default {pauses:g})",
    )
    parser.add_argument(
        "--silence-ms",
        type=silence_ms,
        default=silence,
        metavar="MS",
        help=f"silence that ends a turn (default {silence})",
    )
    parser.add_argument(
        "--settings",
        type=settings,
        default="{}",
        metavar="JSON",
        help='further settings of the sessions, such as {"duplex": "full"}',
    )


def add_loadtest(commands: "Subparsers[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "loadtest",
        help="let many users talk at once, and hold the answers to their promises",
        description="Let Locust's users talk to a stack as pages do, and print what they heard: to the one that runs "
        "from this folder, or else to one of its own with stand-in models. docs/loadtest.md says what is measured. "
        "Exit status 1: a promise was missed; 2: it could not be tried; 3: the generator was late; nothing is proven.",
    )
    parser.add_argument("--users", type=count, default=50, metavar="N", help="there at once, on average (default 50)")
    parser.add_argument("--minutes", type=minutes, default=5.0, metavar="M", help="of load (default 5)")
    parser.add_argument("--host", metavar="URL", help="the page's address of a stack")
    parser.add_argument("--overload", action="store_true", help="2N users want in where there is room for N")
    parser.add_argument("--soak", action="store_true", help="the servers' memory is watched, and must be flat")
    parser.add_argument(
        "--report",
        type=Path,
        default=Path(".parley/loadtest"),
        metavar="FOLDER",
        help="raw samples, summary and page (default .parley/loadtest)",
    )
    for flag, kind, shown, text in (
        ("--first-audio-p95", float, "SECONDS", "allowed (default 2)"),
        ("--failed", share, "SHARE", "of turns and sessions that may fail (default 0.01)"),
        ("--late-ms", float, "MS", "that the generator may be late, p99 (default 10)"),
        ("--mix", str, "KIND=N,...", "kinds of users and their weights"),
        ("--turns", count, "N", "of a session, on average (default 6)"),
        ("--pauses", share, "SHARE", "of utterances with a pause inside (default 0.25)"),
        ("--silence-ms", silence_ms, "MS", "silence that ends a turn (default 500)"),
        ("--seed", count, "N", "of who comes when and says what (default 1)"),
    ):
        parser.add_argument(flag, type=kind, metavar=shown, help=text)

    def run(options: argparse.Namespace) -> int:
        from services.launcher.loadtest import Wanted, loadtest

        if options.host and (options.overload or options.soak):
            parser.error("--overload and --soak start a stack of their own; leave --host out")
        if options.overload and options.soak:
            parser.error("--overload and --soak are two tests; choose one")
        names = ("first_audio_p95", "failed", "late_ms", "mix", "turns", "pauses", "silence_ms", "seed")
        given = {name.replace("_", "-"): getattr(options, name) for name in names}
        return loadtest(
            Wanted(
                users=options.users,
                minutes=options.minutes,
                host=options.host,
                report=options.report.absolute(),
                overload=options.overload,
                soak=options.soak,
                locust={name: value for name, value in given.items() if value is not None},
            )
        )

    parser.set_defaults(run=run)


def add_verify(commands: "Subparsers[argparse.ArgumentParser]") -> None:
    verify = commands.add_parser(
        "verify", help="hold a server to its contracts", description="Hold a server to its contracts."
    )
    servers = verify.add_subparsers(title="servers", metavar="SERVER", required=True)
    parser = servers.add_parser(
        "triton",
        help="a Triton server and its speech models",
        description="Hold a Triton server, any server, to the contracts of docs/triton.md. "
        "Exit status 1: it breaks one; 2: no server answers.",
    )
    parser.add_argument("url", nargs="?", help="its gRPC address, host:port (default: that of the stack run here)")
    parser.add_argument("--recognition-model", default="pocketsphinx", metavar="NAME", help="(default pocketsphinx)")
    parser.add_argument("--synthesis-model", default="espeak", metavar="NAME", help="(default espeak)")

    def run(options: argparse.Namespace) -> int:
        from services.launcher.running import NoStackError, triton_address
        from services.launcher.verify_triton import verify_triton

        try:
            address = triton_address(options.url)
        except NoStackError as error:
            print(f"parley: {error}", file=sys.stderr)
            return 2
        return verify_triton(address, options.recognition_model, options.synthesis_model)

    parser.set_defaults(run=run)


COMMANDS: tuple[Callable[["Subparsers[argparse.ArgumentParser]"], None], ...] = (
    add_up,
    add_doctor,
    add_verify,
    add_bench,
    add_loadtest,
)


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line; what it parses has `run(options) -> exit status`."""
    whole = argparse.ArgumentParser(
        prog="parley", description="A spoken conversation with AI characters in the browser."
    )
    whole.add_argument("--version", action="store_true", help="print the version and exit")
    commands = whole.add_subparsers(title="commands", metavar="COMMAND")
    for add in COMMANDS:
        add(commands)
    return whole


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; exits with the sub-command's status."""
    whole = parser()
    options = whole.parse_args(arguments)
    if options.version:
        from importlib.metadata import version

        print(f"parley {version('parley')}")
        return
    if not hasattr(options, "run"):
        whole.print_help()
        raise SystemExit(2)
    sys.exit(options.run(options))
