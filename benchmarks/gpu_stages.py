"""Stages of ./run gpu: commands with a time limit, of which one may fail and the next goes on."""

import os
import signal
import subprocess
import tempfile
import time


def start(command, log, environment):
    """A process in a group of its own, so that what it starts can be stopped with it."""
    return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                            env={**os.environ, **environment})


def stop(process):
    """Ends a process of start(), and all that it has started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class Part:
    """A command that runs, and its output."""

    def __init__(self, name, command, environment, judge, seconds):
        self.name, self.command, self.judge, self.seconds = name, command, judge, seconds
        self.begin = time.monotonic()
        self.output = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        self.process, self.why = None, ""
        try:
            self.process = start(command, self.output, environment)
        except OSError as error:
            self.why = error.strerror

    def finish(self):
        """(why it failed or "", output), once it has ended or its time has."""
        if self.process:
            try:
                status = self.process.wait(max(0, self.begin + self.seconds - time.monotonic()))
                self.why = f"exit status {status}" if status else ""
            except subprocess.TimeoutExpired:
                self.why = f"stopped after {self.seconds:.0f} s"
        self.stop()
        self.output.seek(0)
        text = self.output.read()
        self.output.close()
        if not self.why and self.judge:
            self.why = self.judge(text)
        return self.why, text

    def stop(self):
        if self.process:
            stop(self.process)


class Runner:
    """Runs stages one by one within one time limit, and keeps what became of them."""

    def __init__(self, log_path, seconds):
        self.log = open(log_path, "w", encoding="utf-8")
        self.begin = time.monotonic()
        self.deadline = self.begin + seconds
        self.stages = []

    def seconds_left(self):
        return self.deadline - time.monotonic()

    def say(self, text):
        print(f"[{time.monotonic() - self.begin:4.0f} s] {text}", flush=True)

    def record(self, name, seconds, outcome):
        self.stages.append({"name": name, "seconds": round(seconds, 1), "outcome": outcome})
        self.say(f"{name}: {outcome} ({seconds:.0f} s)")

    def skip(self, name, why):
        self.record(name, 0, f"not run: {why}")

    def run(self, name, command, seconds, environment=None, judge=None):
        """Runs one command, at most so many seconds; whether it passed.

        `judge(output)` gives the reason why a command that exits with 0 has failed all the same, or
        "".
        """
        return self.run_together([(name, command, environment or {}, judge)], seconds)

    def run_together(self, parts, seconds):
        """The same for several (name, command, environment, judge) at once."""
        limit = min(seconds, self.seconds_left())
        if limit <= 0:
            for name, *_ in parts:
                self.skip(name, "out of time")
            return False
        self.say(" ".join(name for name, *_ in parts) + f" (at most {limit:.0f} s) ...")
        running = [Part(*part, limit) for part in parts]
        try:
            return all([self.finish(part) for part in running])
        finally:  # when somebody interrupts
            for part in running:
                part.stop()

    def finish(self, part):
        """Waits for a part and writes down what became of it; whether it passed."""
        why, text = part.finish()
        self.log.write(f"===== {part.name}: {' '.join(map(str, part.command))}\n{text}\n")
        self.log.flush()
        if why:
            print("\n".join(text.splitlines()[-25:]), flush=True)
        self.record(part.name, time.monotonic() - part.begin, f"failed: {why}" if why else "passed")
        return not why

    def failures(self):
        return [stage for stage in self.stages if stage["outcome"] != "passed"]
