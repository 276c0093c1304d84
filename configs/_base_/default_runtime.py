# What every config needs, whatever its toolbox: importing moganet registers the backbone.
# The rest of the runtime (hooks, visualizer, log) is each toolbox's own default_runtime.py.
custom_imports = dict(imports=['moganet'], allow_failed_imports=False)
# Runs that are stopped go on exactly; under each toolbox's own train.py, too.
runner_type = 'ResumableRunner'
