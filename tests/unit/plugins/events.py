#!/usr/bin/env python3
"""events.py FOLDER - prints what the real tensorboard package reads in a folder's event files.

Exit status 77 where the package is missing. Lines: "scalar TAG STEP VALUE", "hparam NAME VALUE",
"status N".
"""
import sys

try:
    from tensorboard.backend.event_processing import event_accumulator
    from tensorboard.plugins.hparams import plugin_data_pb2
except ImportError as error:
    print(error)
    sys.exit(77)

events = event_accumulator.EventAccumulator(sys.argv[1], size_guidance={'scalars': 0})
events.Reload()
for tag in sorted(events.Tags()['scalars']):
    for scalar in events.Scalars(tag):
        print('scalar', tag, scalar.step, repr(scalar.value))
for tag, content in sorted(events.PluginTagToContent('hparams').items()):
    data = plugin_data_pb2.HParamsPluginData.FromString(content)
    for name, value in sorted(data.session_start_info.hparams.items()):
        print('hparam', name, repr(getattr(value, value.WhichOneof('kind'))))
    if data.HasField('session_end_info'):
        print('status', data.session_end_info.status)
