"""The event file that TensorBoard's own writer makes of the scalars of test_tensorboard.c.

usage: python make_goldens.py     with tensorboard 2.x; writes events.bin beside this file
"""
import io
import pathlib

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter


class Kept(io.BytesIO):
    def close(self):
        pass


file = Kept()
writer = RecordWriter(file)
writer.write(Event(wall_time=1700000000.0, file_version="brain.Event:2").SerializeToString())
for step, values in ((300, {"score/best": 0.5, "optimiser/sigma": 0.25}), (70000, {"score/best": -1.75})):
    summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
    writer.write(Event(wall_time=1700000001.5, step=step, summary=summary).SerializeToString())
writer.flush()
pathlib.Path(__file__).with_name("events.bin").write_bytes(file.getvalue())
