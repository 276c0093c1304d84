"""The second half of ``setup_env.py``: runs inside the new environment, with the standard library alone."""

# The note in an environment. Its presence says that it was made here: setup_env.py writes it first of all.
STATE = 'moganet-setup.json'
# What `mim` and MMEngine look for beside the modules of an OpenMMLab package; setup.py has the same list.
MIM = ('configs', 'tools', 'model-index.yml', 'requirements')
