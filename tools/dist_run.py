"""Start processes as torchrun does, with its arguments; say in one line which of them failed."""

import logging
import sys

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main

if __name__ == '__main__':
    logging.getLogger('torch.distributed.elastic').setLevel(logging.CRITICAL)
    logging.getLogger('torch.distributed.elastic.multiprocessing.api').setLevel(logging.CRITICAL)
    try:
        main()
    except SignalException as error:
        sys.exit(128 + error.sigval)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode == 2:  # a user's mistake, which the process itself has told
            sys.exit(2)
        end = failure.signal_name() if failure.exitcode < 0 else f'exit code {failure.exitcode}'
        print(f'error: the process of rank {rank} ended with {end}', file=sys.stderr)
        sys.exit(1)
