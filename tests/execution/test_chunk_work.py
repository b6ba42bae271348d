"""What a worker does with a chunk."""

import cloudpickle
import lz4.frame

from bphcoffea.execution.chunk_work import unpickled
from bphcoffea.processing import Processor


def test_a_process_unpickles_the_processor_of_a_run_once(ds_phipi):
    def sent(analysis):
        return lz4.frame.compress(cloudpickle.dumps(Processor(analysis)))

    content = sent(ds_phipi)
    first = unpickled(content)
    assert unpickled(bytes(bytearray(content))) is first  # each task brings its own copy
    other = unpickled(sent(ds_phipi.corrected({}, nominal_only=True)))
    assert other.analysis.nominal_only
    assert not unpickled(content).analysis.nominal_only
