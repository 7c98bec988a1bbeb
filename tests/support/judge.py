"""How an end-to-end program ends: with a status, and after a failure with the ends of the logs."""
import subprocess
import sys

from support.processes import Failure


def judge(check, logs, stop):
    """Runs `check`, then `stop` whatever happened; the exit status. `logs` gives (name, text) of what ran."""
    try:
        check()
    except (Failure, subprocess.SubprocessError) as failure:
        print(f"\nFAILED: {failure}\n{getattr(failure, 'stderr', None) or ''}", file=sys.stderr)
        for name, tail in logs():
            print(f"--- {name}\n{tail}", file=sys.stderr)
        return 1
    finally:
        stop()
    return 0
